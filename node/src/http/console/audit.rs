//! The audit record, the newest first.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::get;
use axum::{Json as Answered, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::auth::Me;
use super::super::extract::Query;
use super::super::failure::Answer;
use super::super::{App, Web};
use crate::audit::Record;
use crate::home::people::Action;
use crate::service::failure;

/// Records of one answer where no number is asked for, and the most.
const RECORDS: usize = 100;
const RECORDS_MAX: usize = 500;
/// The longest text that is looked for, in bytes: more narrows nothing down.
const TEXT_BYTES: usize = 200;

pub fn routes() -> Router<Arc<Web>> {
    Router::new().route("/console/audit", get(tail))
}

#[derive(Deserialize)]
#[serde(default)]
struct Wanted {
    /// Records before this number; 0 for the newest.
    before: u64,
    limit: usize,
    /// Actions, with commas between; empty for all.
    action: String,
    /// Records whose text or action has this in it, in any case.
    text: String,
}

impl Default for Wanted {
    fn default() -> Wanted {
        Wanted {
            before: 0,
            limit: RECORDS,
            action: String::new(),
            text: String::new(),
        }
    }
}

impl Wanted {
    fn takes(&self, record: &Record) -> bool {
        let mut actions = self
            .action
            .split(',')
            .filter(|it| !it.is_empty())
            .peekable();
        let is_of_action = actions.peek().is_none() || actions.any(|it| it == record.action);
        is_of_action
            && (self.text.is_empty()
                || record.text.to_lowercase().contains(&self.text)
                || record.action.contains(&self.text))
    }
}

async fn tail(
    me: Me,
    State(web): App,
    Query(mut wanted): Query<Wanted>,
) -> Answer<Answered<Value>> {
    me.must(&web, Action::ReadAudit)?;
    let end = wanted.text.floor_char_boundary(TEXT_BYTES);
    wanted.text = wanted.text[..end].to_lowercase();
    let limit = wanted.limit.clamp(1, RECORDS_MAX);
    let audit = web.home.node.audit.clone();
    let work = web.home.node.environment.work;
    let searched = work.run(move || {
        let takes = |record: &Record| wanted.takes(record);
        audit.before(wanted.before, limit, takes)
    });
    let searched = searched
        .await
        .map_err(|error| failure::node("internal", error))?;
    let found = searched.map_err(failure::audit)?;
    let records = found.records.iter().map(|(number, record)| {
        json!({
            "number": number,
            "at_ms": record.at_ms,
            "action": record.action,
            "text": record.text,
        })
    });
    Ok(Answered(json!({
        "records": records.collect::<Vec<_>>(),
        "next": found.next,
    })))
}

#[cfg(test)]
mod tests {
    use comity_protocol::id::Hash;

    use super::*;

    #[test]
    fn records_are_wanted_by_action_and_text() {
        let record = Record {
            previous: Hash([0; 32]),
            at_ms: 0,
            action: "peer_approved".into(),
            text: "Bravo by alice".into(),
        };
        let takes = |action: &str, text: &str| {
            let wanted = Wanted {
                action: action.into(),
                text: text.into(),
                ..Wanted::default()
            };
            wanted.takes(&record)
        };
        assert!(takes("", "") && takes("login,peer_approved", "bravo") && takes("", "peer_"));
        assert!(!takes("login", "") && !takes("peer_approved", "charlie"));
    }
}
