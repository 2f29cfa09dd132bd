//! Proving forks: whoever holds two events of one writer for one position says so at once.
//!
//! The machine keeps no headers, so what it accepted is read back from the store before it can be
//! shown. Evidence is written once for a writer and lane; again only for an earlier position,
//! since the earliest counts.

use std::collections::BTreeMap;

use super::{Notice, Output, Replica};
use crate::channel::{Accepted, Channel, Outcome};
use crate::codec::Canonical;
use crate::event::Kind;
use crate::evidence::{EvidenceBody, Forked, SignedHeader};
use crate::graph::Pos;
use crate::id::{ChannelId, EventId, LaneId, WriterId};
use crate::lane::LaneForm;
use crate::limits;
use crate::time::Now;
use crate::wire::LogId;

/// An accepted event whose header is to be read back from the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Recall {
    pub log: LogId,
    pub seq: u64,
    pub id: EventId,
}

/// Forks that are about to be proved, by channel, lane and writer.
#[derive(Debug, Default)]
pub(super) struct Suspects(BTreeMap<(ChannelId, LaneId, WriterId), Suspect>);

#[derive(Debug)]
struct Suspect {
    seq: u64,
    branches: [Branch; 2],
}

#[derive(Debug)]
struct Branch {
    id: EventId,
    /// Absent until the store has given it.
    signed: Option<SignedHeader>,
}

impl Replica {
    /// Takes a second event for a position at which others are accepted.
    pub(super) fn suspect(&mut self, id: ChannelId, forked: Forked, signed: SignedHeader) {
        let Some(channel) = self.channels.get(&id) else {
            return;
        };
        let second = signed.id();
        let branches = channel.graph().branches(forked.lane, forked.writer);
        let first = branches.iter().find_map(|&chain| {
            let at = Pos {
                chain,
                seq: forked.seq,
            };
            let entry = channel.graph().get(at)?;
            (entry.id != second).then_some(entry.id)
        });
        if let Some(first) = first {
            let first = Branch {
                id: first,
                signed: None,
            };
            let second = Branch {
                id: second,
                signed: Some(signed),
            };
            self.pursue(id, forked, [first, second]);
        }
    }

    /// Looks in a channel that was stored for forks that nobody has proved.
    pub(super) fn suspect_stored(&mut self, id: ChannelId) {
        let Some(channel) = self.channels.get(&id) else {
            return;
        };
        let branching = channel.graph().chains().iter();
        let branching = branching.filter(|chain| {
            let first = channel.graph().branches(chain.lane, chain.writer).first();
            first.is_some_and(|first| !std::ptr::eq(channel.graph().chain(*first), *chain))
        });
        let forks: Vec<(Forked, Vec<EventId>)> = branching
            .map(|chain| {
                let forked = Forked {
                    lane: chain.lane,
                    writer: chain.writer,
                    seq: chain.first,
                };
                (forked, events_at(channel, &forked))
            })
            .collect();
        for (forked, ids) in forks {
            if let [first, second, ..] = ids[..] {
                let branch = |id| Branch { id, signed: None };
                self.pursue(id, forked, [branch(first), branch(second)]);
            }
        }
    }

    fn pursue(&mut self, id: ChannelId, forked: Forked, branches: [Branch; 2]) {
        let key = (id, forked.lane, forked.writer);
        let Some(channel) = self.channels.get(&id) else {
            return;
        };
        let proved = channel.proved(forked.lane, forked.writer);
        let pursued = self.suspects.0.get(&key).map(|suspect| suspect.seq);
        let known = proved.into_iter().chain(pursued);
        let is_news = known.min().is_none_or(|earliest| forked.seq < earliest);
        let full = self.suspects.0.len() >= limits::SUSPECTS && pursued.is_none();
        if !is_news || full {
            return;
        }
        let log = (id, forked.lane, forked.writer);
        for branch in branches.iter().filter(|branch| branch.signed.is_none()) {
            self.out.push_back(Output::Recall(Recall {
                log,
                seq: forked.seq,
                id: branch.id,
            }));
        }
        let seq = forked.seq;
        self.suspects.0.insert(key, Suspect { seq, branches });
    }

    /// Takes what the store gave; proves the fork once both headers are there.
    pub(super) fn recalled(&mut self, recall: Recall, found: Option<SignedHeader>, now: Now) {
        let Some(suspect) = self.suspects.0.get_mut(&recall.log) else {
            return;
        };
        let mut branches = suspect.branches.iter_mut();
        let Some(branch) = branches.find(|branch| branch.id == recall.id) else {
            return;
        };
        let Some(signed) = found.filter(|signed| signed.id() == recall.id) else {
            // What is not stored cannot be shown; a peer brings it again.
            self.suspects.0.remove(&recall.log);
            return;
        };
        branch.signed = Some(signed);
        let [first, second] = &suspect.branches;
        if let (Some(first), Some(second)) = (&first.signed, &second.signed) {
            let body = EvidenceBody::new(first.clone(), second.clone());
            let seq = suspect.seq;
            self.suspects.0.remove(&recall.log);
            self.prove(recall.log, seq, &body, now);
        }
    }

    fn prove(&mut self, (id, lane, writer): LogId, seq: u64, body: &EvidenceBody, now: Now) {
        let Some(channel) = self.channels.get_mut(&id) else {
            return;
        };
        // Others may have been quicker.
        let proved = channel.proved(lane, writer);
        if proved.is_some_and(|earliest| earliest <= seq) {
            return;
        }
        let member = channel.present().member(&self.partner).is_some();
        // Who reads a lane by the channel's history alone does not write in it.
        let of_lane = channel.lane(&lane).is_some_and(|held| {
            held.form == LaneForm::Control || held.audience.contains(&self.partner)
        });
        let may_write = member && of_lane;
        let Some(author) = self.writers.author(channel).filter(|_| may_write) else {
            return;
        };
        if !self.quotas.may_prove(id, now.instant) {
            return;
        }
        let mut accepted = Vec::new();
        let result =
            channel.write_evidence(&author, lane, body.to_bytes(), now.wall, &mut accepted);
        let outcome = Outcome {
            accepted,
            ..Outcome::default()
        };
        self.settle(id, outcome, Vec::new(), now);
        if let Err(error) = result {
            self.notify(Notice::Refused {
                peer: self.partner,
                why: format!("own evidence: {error}"),
            });
        }
    }

    /// Puts on record what accepted evidence proves.
    pub(super) fn notice_evidence(&mut self, id: ChannelId, accepted: &Accepted) {
        if accepted.event.header.kind() != Kind::Evidence {
            return;
        }
        let forked = EvidenceBody::from_bytes(&accepted.event.body).and_then(|body| body.forked());
        let (Some(channel), Ok(forked)) = (self.channels.get(&id), forked) else {
            return;
        };
        let Some(partner) = channel.writer_partner(&forked.writer) else {
            return;
        };
        let notice = Notice::Equivocation {
            channel: id,
            evidence: accepted.event.id,
            by: channel.author(accepted.pos).partner,
            partner,
            forked,
        };
        self.notify(notice);
    }
}

/// The accepted events at one position.
fn events_at(channel: &Channel, forked: &Forked) -> Vec<EventId> {
    let branches = channel.graph().branches(forked.lane, forked.writer).iter();
    let seq = forked.seq;
    let entries = branches.filter_map(|&chain| channel.graph().get(Pos { chain, seq }));
    entries.map(|entry| entry.id).collect()
}
