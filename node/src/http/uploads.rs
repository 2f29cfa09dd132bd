//! Uploads that go on after the line was lost: announced first, then sent in as many requests as it
//! takes. What has come whole goes the way of all files.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_RANGE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json as Answered, Router};
use futures_util::StreamExt as _;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::auth::Me;
use super::extract::{Json, id};
use super::failure::{Answer, Failure};
use super::files::{FILE_BYTES, UPLOADS, stage};
use super::{App, Web};
use crate::home::id::Id;
use crate::home::people::{PART_BYTES, PartialUpload, UploadError};

/// How long a request may bring no byte until its line counts as lost.
const SILENCE: Duration = Duration::from_secs(30);

pub fn routes() -> Router<Arc<Web>> {
    Router::new()
        .route("/uploads", post(begin))
        .route("/users/{user}/uploads", get(mine))
        .route(
            "/uploads/{upload}",
            // A body is taken part by part, and never past the size that was announced.
            get(one).post(send).layer(DefaultBodyLimit::disable()),
        )
}

impl From<UploadError> for Failure {
    fn from(error: UploadError) -> Failure {
        match error {
            UploadError::People(error) => error.into(),
            UploadError::Gone => Failure::missing("upload"),
            limit => Failure::bad(format!("The upload does not go on: {limit}.")),
        }
    }
}

fn shape(upload: &PartialUpload) -> Value {
    json!({
        "id": upload.id,
        "type": "attachment",
        "create_at": upload.created_ms,
        "user_id": upload.user,
        "channel_id": upload.channel,
        "filename": upload.name,
        "file_size": upload.size,
        "file_offset": upload.offset,
    })
}

#[derive(Deserialize)]
struct NewUpload {
    channel_id: String,
    filename: String,
    file_size: u64,
}

async fn begin(
    me: Me,
    State(web): App,
    Json(new): Json<NewUpload>,
) -> Answer<(StatusCode, Answered<Value>)> {
    let room = super::channels::room(&web, &me, &new.channel_id)?;
    if new.file_size == 0 {
        return Err(Failure::bad("An empty file needs no upload: POST /files."));
    }
    if new.file_size > FILE_BYTES as u64 {
        return Err(Failure::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "api.upload.create.upload_too_large.app_error",
            "The file is larger than 50 MiB: the administrator can send it by 'comity file send'.",
        ));
    }
    let name = new.filename.rsplit(['/', '\\']).next().unwrap_or_default();
    let people = &web.home.people;
    let upload = people.begin_upload(me.id(), room.id, name.into(), new.file_size)?;
    Ok((StatusCode::CREATED, Answered(shape(&upload))))
}

async fn mine(me: Me, State(web): App, Path(user): Path<String>) -> Answer<Answered<Vec<Value>>> {
    let uploads = web.home.people.uploads_of(me.only(&user)?);
    Ok(Answered(uploads.iter().map(shape).collect()))
}

/// An upload of the asker.
fn own(web: &Web, me: &Me, upload: &str) -> Answer<PartialUpload> {
    let found = web.home.people.upload(&id(upload, "upload")?);
    let found = found.filter(|upload| upload.user == me.id());
    found.ok_or_else(|| Failure::missing("upload"))
}

async fn one(me: Me, State(web): App, Path(upload): Path<String>) -> Answer<Answered<Value>> {
    Ok(Answered(shape(&own(&web, &me, &upload)?)))
}

/// Which uploads a request brings bytes for: one at a time each, so that nothing is taken twice.
#[derive(Default)]
pub struct Sending {
    taken: Mutex<BTreeSet<Id>>,
}

/// A request's right to bring bytes, given back when it ends however it ends.
struct Turn(Arc<Web>, Id);

impl Turn {
    fn take(web: &Arc<Web>, upload: Id) -> Option<Turn> {
        let taken = &web.sending.taken;
        let mut taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.insert(upload).then(|| Turn(web.clone(), upload))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let taken = &self.0.sending.taken;
        let mut taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.remove(&self.1);
    }
}

/// Takes what comes of a file from where it ended on. Answers 204 while there is more to come, and
/// the file once it is whole.
async fn send(
    me: Me,
    State(web): App,
    Path(upload): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Answer<Response> {
    let Some(turn) = Turn::take(&web, own(&web, &me, &upload)?.id) else {
        return Err(Failure::new(
            StatusCode::CONFLICT,
            "api.upload.upload_data.concurrent.app_error",
            "Another request brings bytes of this file: wait until it has ended, and ask how far it came.",
        ));
    };
    // As it is now that nobody else changes it.
    let upload = own(&web, &me, &upload)?;
    check_range(&headers, &upload)?;
    // A client that goes away takes its request along, but not what it has brought.
    let taking = tokio::spawn(async move {
        let upload = take(&web, upload, body.into_data_stream()).await?;
        let answer = match upload.is_whole() {
            true => finish(&web, &me, &upload).await,
            false => Ok(StatusCode::NO_CONTENT.into_response()),
        };
        drop(turn);
        answer
    });
    taking.await.map_err(|_| {
        Failure::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "comity.internal.app_error",
            "The upload broke off: ask how far it came, and go on.",
        )
    })?
}

/// A client may say which part it sends; then it has to be the one that is due.
fn check_range(headers: &HeaderMap, upload: &PartialUpload) -> Answer<()> {
    let text = |name| headers.get(name).and_then(|it| it.to_str().ok());
    let left = upload.size - upload.offset;
    let length = text(CONTENT_LENGTH).and_then(|it| it.parse::<u64>().ok());
    if length.is_some_and(|length| length > left) {
        return Err(Failure::bad(format!(
            "{left} bytes of the file are to come, and the request has more."
        )));
    }
    let Some(range) = text(CONTENT_RANGE) else {
        return Ok(());
    };
    let from = range
        .strip_prefix("bytes ")
        .and_then(|it| it.split_once('-'));
    let from = from.and_then(|(from, _)| from.parse::<u64>().ok());
    match from == Some(upload.offset) {
        true => Ok(()),
        false => Err(Failure::new(
            StatusCode::RANGE_NOT_SATISFIABLE,
            "comity.range.app_error",
            format!("Byte {} of the file is due next.", upload.offset),
        )),
    }
}

/// Stores what comes, part by part; a line that breaks ends it, and loses nothing.
async fn take(
    web: &Web,
    mut upload: PartialUpload,
    mut body: BodyDataStream,
) -> Answer<PartialUpload> {
    let mut part = Vec::with_capacity(PART_BYTES);
    loop {
        let came = timeout(SILENCE, body.next()).await;
        let Ok(Some(Ok(bytes))) = came else { break };
        let left = upload.size - upload.offset - part.len() as u64;
        if bytes.len() as u64 > left {
            return Err(UploadError::TooLong.into());
        }
        for piece in bytes.chunks(PART_BYTES) {
            part.extend_from_slice(piece);
            if part.len() >= PART_BYTES {
                upload = store(web, &upload.id, std::mem::take(&mut part)).await?;
            }
        }
    }
    match part.is_empty() {
        true => Ok(upload),
        false => store(web, &upload.id, part).await,
    }
}

/// Writing is synced, and holds its thread up.
async fn store(web: &Web, upload: &Id, part: Vec<u8>) -> Answer<PartialUpload> {
    let (home, upload) = (web.home.clone(), *upload);
    let work = web.home.node.environment.work;
    let stored = work.run(move || home.people.take_part(&upload, part)).await;
    Ok(stored.map_err(|_| Failure::missing("upload"))??)
}

async fn finish(web: &Web, me: &Me, upload: &PartialUpload) -> Answer<Response> {
    // Bringing it may have taken long.
    if !web.home.people.is_live(&me.session) {
        return Err(Failure::session());
    }
    let room = web.home.room_for(&me.id(), &upload.channel);
    let room = room.ok_or_else(|| Failure::missing("channel"))?;
    let _turn = UPLOADS
        .acquire()
        .await
        .map_err(|_| Failure::too_many("The node is stopping."))?;
    let bytes = web.home.people.upload_bytes(upload)?;
    let entry = stage(web, me, &room, &upload.name, &bytes).await?;
    web.home.people.end_upload(&upload.id)?;
    Ok((StatusCode::CREATED, Answered(entry.shape())).into_response())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;
    use crate::home::people::tests::people;

    #[test]
    fn only_the_part_that_is_due_is_taken() {
        let (_dir, people) = people();
        let user = Id([1; 16]);
        let upload = people.begin_upload(user, user, "a".into(), 10).unwrap();
        let upload = people.take_part(&upload.id, vec![0; 4]).unwrap();
        let check = |name, value: &'static str| {
            let headers = HeaderMap::from_iter([(name, HeaderValue::from_static(value))]);
            check_range(&headers, &upload).map_err(|it| it.status.as_u16())
        };
        assert_eq!(check(CONTENT_RANGE, "bytes 4-9/10"), Ok(()));
        assert_eq!(check(CONTENT_RANGE, "bytes 0-9/10"), Err(416));
        assert_eq!(check(CONTENT_RANGE, "4-9"), Err(416));
        assert_eq!(check(CONTENT_LENGTH, "6"), Ok(()));
        assert_eq!(check(CONTENT_LENGTH, "7"), Err(400));
    }
}
