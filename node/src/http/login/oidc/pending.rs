//! Log-ins that were begun and wait for the provider to send the browser back.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long somebody may take to log in at the provider.
pub const LASTS: Duration = Duration::from_secs(600);
/// Log-ins that are open at a time, some 300 bytes each. With more the oldest is forgotten: whoever
/// floods the node must go on doing so to keep others out.
const OPEN: usize = 10_000;

/// What only this node and the browser that began it know of a log-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    /// The name of the provider that was asked.
    pub provider: String,
    /// What the browser's cookie has to say.
    pub browser: String,
    pub nonce: String,
    /// What the code can be exchanged with, and nobody else has (PKCE).
    pub verifier: String,
    /// Where the browser goes afterwards: a path of this node.
    pub back_to: String,
}

/// Log-ins by their state.
#[derive(Default)]
pub struct Pending {
    open: Mutex<BTreeMap<String, (Instant, Begun)>>,
}

impl Pending {
    /// Notes a log-in under its state.
    pub fn begin(&self, state: String, begun: Begun) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.len() >= OPEN {
            open.retain(|_, (since, _)| since.elapsed() < LASTS);
        }
        if open.len() >= OPEN {
            let oldest = open.iter().min_by_key(|(_, (since, _))| *since);
            let oldest = oldest.map(|(state, _)| state.clone());
            oldest.and_then(|state| open.remove(&state));
        }
        open.insert(state, (Instant::now(), begun));
    }

    /// Takes the log-in that a browser comes back from: once, in time, from the provider that was
    /// asked, and by the browser that began it. Whatever is tried with a state uses it up.
    pub fn finish(&self, state: &str, provider: &str, browser: Option<&str>) -> Option<Begun> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, begun) = open.remove(state)?;
        let is_same = browser.is_some_and(|given| {
            let (given, own) = (given.as_bytes(), begun.browser.as_bytes());
            aws_lc_rs::constant_time::verify_slices_are_equal(given, own).is_ok()
        });
        (since.elapsed() < LASTS && begun.provider == provider && is_same).then_some(begun)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun() -> Begun {
        Begun {
            provider: "staff".into(),
            browser: "cookie".into(),
            nonce: "nonce".into(),
            verifier: "verifier".into(),
            back_to: "/".into(),
        }
    }

    fn open() -> Pending {
        let pending = Pending::default();
        pending.begin("state".into(), begun());
        pending
    }

    #[tokio::test]
    async fn a_log_in_is_finished_once() {
        let pending = open();
        let finished = pending.finish("state", "staff", Some("cookie"));
        assert_eq!(finished, Some(begun()));
        assert_eq!(pending.finish("state", "staff", Some("cookie")), None);
    }

    #[tokio::test]
    async fn nobody_finishes_a_log_in_that_another_browser_began() {
        for cookie in [None, Some(""), Some("cookies"), Some("another")] {
            let pending = open();
            assert_eq!(pending.finish("state", "staff", cookie), None);
            // And the state is used up.
            assert_eq!(pending.finish("state", "staff", Some("cookie")), None);
        }
    }

    #[tokio::test]
    async fn a_state_of_one_provider_is_nothing_at_another() {
        assert_eq!(open().finish("state", "guests", Some("cookie")), None);
        assert_eq!(open().finish("other", "staff", Some("cookie")), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_log_in_takes_ten_minutes_at_most() {
        let pending = open();
        tokio::time::advance(LASTS).await;
        assert_eq!(pending.finish("state", "staff", Some("cookie")), None);
    }

    #[tokio::test(start_paused = true)]
    async fn with_too_many_open_the_oldest_is_forgotten() {
        let pending = open();
        tokio::time::advance(Duration::from_secs(1)).await;
        for number in 0..OPEN {
            pending.begin(number.to_string(), begun());
        }
        assert_eq!(pending.finish("state", "staff", Some("cookie")), None);
        assert!(pending.finish("0", "staff", Some("cookie")).is_some());
        assert!(pending.open.lock().unwrap().len() < OPEN);
    }
}
