//! How long a client may take to send what it says.

use std::io;
use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use futures_util::StreamExt as _;
use tokio::time::{Instant, timeout_at};

/// How long a client may send nothing in the middle of a body: a bad line comes back sooner.
const SILENCE: Duration = Duration::from_secs(30);
/// How long a body may take in all: one of 1 MiB comes in that time at 18 KiB a second, the largest
/// upload at 85.
const WHOLE: Duration = Duration::from_secs(60);
const WHOLE_UPLOAD: Duration = Duration::from_secs(600);

/// Ends a request whose body does not come in time.
pub async fn in_time(request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let whole = match request.uri().path().contains("/files") {
        true => WHOLE_UPLOAD,
        false => WHOLE,
    };
    next.run(request.map(|body| timed(body, whole))).await
}

fn timed(body: Body, whole: Duration) -> Body {
    let end = Instant::now() + whole;
    let parts =
        futures_util::stream::unfold(Some(body.into_data_stream()), move |parts| async move {
            let mut parts = parts?;
            match timeout_at(end.min(Instant::now() + SILENCE), parts.next()).await {
                Ok(Some(Ok(part))) => Some((Ok(part), Some(parts))),
                Ok(Some(Err(error))) => Some((Err(io::Error::other(error)), None)),
                Ok(None) => None,
                Err(_) => {
                    let why = "the body did not come in time";
                    Some((Err(io::Error::new(io::ErrorKind::TimedOut, why)), None))
                }
            }
        });
    Body::from_stream(parts)
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use futures_util::stream;

    use super::*;

    /// A body of so many parts of one byte, each so long after the last.
    fn slow(parts: usize, pause: Duration) -> Body {
        Body::from_stream(stream::unfold(0, move |at| async move {
            tokio::time::sleep(pause).await;
            (at < parts).then(|| (Ok::<_, io::Error>("x"), at + 1))
        }))
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_comes_in_time_or_not_at_all() {
        let read = |body| to_bytes(body, usize::MAX);
        let steady = read(timed(slow(50, Duration::from_secs(1)), WHOLE)).await;
        assert_eq!(steady.unwrap().len(), 50);
        let begun = Instant::now();
        read(timed(slow(2, SILENCE * 2), WHOLE)).await.unwrap_err();
        assert!(begun.elapsed() <= SILENCE * 2, "silence ends it");
        let begun = Instant::now();
        read(timed(slow(1000, Duration::from_secs(1)), WHOLE))
            .await
            .unwrap_err();
        assert!(
            begun.elapsed() <= WHOLE * 2,
            "and so does going on for too long"
        );
    }
}
