//! Writing: the events of this node's own log, each citing what is newly seen.

use std::collections::BTreeSet;

use comity_crypto as crypto;

use crate::acceptance;
use crate::channel::{Accepted, Channel};
use crate::codec::{Malformed, encode};
use crate::event::{Event, Header, Kind, Precedence, Reference, UserName};
use crate::graph::{ChainIx, Pos};
use crate::id::{EventId, Hash, LaneId, PartnerId, WriterId};
use crate::keys::{self, Entropy, Keyring, WrapContext};
use crate::lane::{LaneForm, lane_id};
use crate::limits;
use crate::time::WallTime;

/// The node that writes.
pub struct Author<'a> {
    pub partner: PartnerId,
    pub writer: WriterId,
    pub key: &'a crypto::SigningKey,
}

/// What a message is, besides its body.
#[derive(Debug, Clone)]
pub struct Message {
    pub kind: Kind,
    pub user: UserName,
    pub claimed_ms: u64,
    pub precedence: Precedence,
    pub about: Option<Reference>,
    /// The plaintext body, canonical.
    pub body: Vec<u8>,
}

/// Why an own event could not be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ComposeError {
    #[error("{len} bytes are over the limit of {limit}")]
    TooLong { len: usize, limit: usize },
    /// The own event broke a rule: a bug of this node, caught before anything was signed away.
    #[error("the event would not be accepted: {0}")]
    Refused(&'static str),
    #[error("a member's sealing key is unusable")]
    SealingKey,
}

impl From<Malformed> for ComposeError {
    fn from(malformed: Malformed) -> Self {
        match malformed {
            Malformed::TooLong { len, limit } => ComposeError::TooLong { len, limit },
            Malformed::Rule(why) => ComposeError::Refused(why),
            Malformed::Undecodable { .. } | Malformed::NotCanonical { .. } => {
                ComposeError::Refused("its encoding")
            }
        }
    }
}

/// What an own event cites.
struct Heads {
    prev: Option<Pos>,
    deps: Vec<Pos>,
    control_heads: Vec<Pos>,
}

impl Channel {
    /// Writes and accepts a control event.
    pub fn write_control(
        &mut self,
        author: &Author<'_>,
        kind: Kind,
        body: Vec<u8>,
        now: WallTime,
    ) -> Result<Accepted, ComposeError> {
        let lane = self.control_lane;
        let heads = self.heads(author, lane, &[lane]);
        let mut header = self.header(author, lane, &heads, kind, now);
        header.body_len = body.len() as u32;
        header.body_hash = Hash(crypto::body_hash(&body));
        self.write(Event::sign(header, body, author.key)?)
    }

    /// Writes and accepts a message in the open lane of the present members, opening an epoch
    /// before it where the last one no longer serves. What was accepted is in `written`, also
    /// where an error follows: it is part of the log from then on, and must be stored.
    pub fn write_message(
        &mut self,
        author: &Author<'_>,
        message: &Message,
        keyring: &mut Keyring,
        entropy: &Entropy,
        now: WallTime,
        written: &mut Vec<Accepted>,
    ) -> Result<(), ComposeError> {
        let sealed_len = message.body.len() + crypto::SEAL_OVERHEAD;
        if sealed_len > limits::BODY_BYTES {
            let (len, limit) = (sealed_len, limits::BODY_BYTES);
            return Err(ComposeError::TooLong { len, limit });
        }
        let view = self.present().clone();
        let audience = view.active();
        let lane = lane_id(self.id, LaneForm::Open, &audience);
        let latest = self.own_epoch(author, lane, &view.keying(&audience));
        let seq = self.graph().height(lane, author.writer) + 1;
        let epoch = match keyring.usable(&lane, latest, seq, now.0) {
            Some(epoch) => epoch,
            None => {
                self.open_epoch(author, lane, &audience, keyring, entropy, now, written)?;
                written
                    .last()
                    .map_or(EventId([0; 32]), |last| last.event.id)
            }
        };
        let secret = keyring
            .secret(&epoch)
            .ok_or(ComposeError::Refused("the epoch's secret is not held"))?
            .clone();
        let sources = self.citable_lanes(lane, &audience);
        let heads = self.heads(author, lane, &sources);
        let mut header = self.header(author, lane, &heads, message.kind, now);
        header.claimed_ms = message.claimed_ms;
        header.precedence = message.precedence as u8;
        header.author = Some(message.user.clone());
        header.about = message.about.clone();
        header.key_event = Some(epoch);
        let mut salt = [0u8; crypto::SALT_LEN];
        salt.copy_from_slice(&entropy.draw("salt", &lane, header.seq)[..crypto::SALT_LEN]);
        let event = keys::seal(header, &message.body, &secret, &salt, author.key)?;
        written.push(self.write(event)?);
        Ok(())
    }

    /// The own log's latest epoch in a lane, if it is still for these readers and keys.
    fn own_epoch(
        &self,
        author: &Author<'_>,
        lane: LaneId,
        keying: &crate::channel::Keying,
    ) -> Option<EventId> {
        let chain = self.own_chain(author, lane)?;
        let head = Pos {
            chain,
            seq: self.graph().chain(chain).head(),
        };
        acceptance::epoch_at(self, head)
            .filter(|epoch| epoch.keying == *keying)
            .map(|epoch| epoch.key_event)
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the facts of one act, each its own"
    )]
    fn open_epoch(
        &mut self,
        author: &Author<'_>,
        lane: LaneId,
        audience: &BTreeSet<PartnerId>,
        keyring: &mut Keyring,
        entropy: &Entropy,
        now: WallTime,
        written: &mut Vec<Accepted>,
    ) -> Result<(), ComposeError> {
        let seq = self.graph().height(lane, author.writer) + 1;
        let secret = crypto::EpochSecret::from_bytes(*entropy.draw("epoch", &lane, seq));
        let context = WrapContext {
            channel: self.id,
            lane,
            writer: author.writer,
            seq,
        };
        let view = self.present().clone();
        let bodies = keys::wrap_bodies(context, &view, audience, &secret, entropy)
            .map_err(|_| ComposeError::SealingKey)?;
        let last = bodies.len().saturating_sub(1);
        let sources = self.citable_lanes(lane, audience);
        for (part, mut body) in bodies.into_iter().enumerate() {
            if part == last {
                body.parts = Some(written.iter().map(|part| part.event.id).collect());
            }
            let bytes = encode(&body);
            let heads = self.heads(author, lane, &sources);
            let mut header = self.header(author, lane, &heads, Kind::Key, now);
            header.body_len = bytes.len() as u32;
            header.body_hash = Hash(crypto::body_hash(&bytes));
            written.push(self.write(Event::sign(header, bytes, author.key)?)?);
        }
        if let Some(last) = written.last() {
            keyring.drew(lane, last.event.id, secret, last.event.header.seq, now.0);
        }
        Ok(())
    }

    /// The own event goes through the same gate as everyone's.
    fn write(&mut self, event: Event) -> Result<Accepted, ComposeError> {
        let mut outcome = self.offer(event, None);
        if outcome.fork {
            return Err(ComposeError::Refused("its position is taken"));
        }
        if let Some((_, _, why)) = outcome.invalid.pop() {
            return Err(ComposeError::Refused(why));
        }
        outcome
            .accepted
            .pop()
            .ok_or(ComposeError::Refused("its position is taken"))
    }

    fn own_chain(&self, author: &Author<'_>, lane: LaneId) -> Option<ChainIx> {
        self.graph().branches(lane, author.writer).first().copied()
    }

    /// The lanes whose heads an event of `lane` may cite: those that all its readers read.
    fn citable_lanes(&self, lane: LaneId, audience: &BTreeSet<PartnerId>) -> Vec<LaneId> {
        let wide = self
            .lanes()
            .filter(|(id, held)| {
                **id != lane && held.form != LaneForm::Control && audience.is_subset(&held.audience)
            })
            .map(|(id, _)| *id);
        std::iter::once(lane).chain(wide).collect()
    }

    /// What is newly seen since the own log's last event.
    fn heads(&mut self, author: &Author<'_>, lane: LaneId, sources: &[LaneId]) -> Heads {
        let prev = self.own_chain(author, lane).map(|chain| Pos {
            chain,
            seq: self.graph().chain(chain).head(),
        });
        let deps = self.unseen_heads(
            sources,
            prev.into_iter().collect(),
            prev.map(|prev| prev.chain),
        );
        let control_heads = if lane == self.control_lane {
            Vec::new()
        } else {
            self.unseen_control(prev, &deps)
        };
        Heads {
            prev,
            deps,
            control_heads,
        }
    }

    /// The heads of the logs of some lanes that lie neither in the past of `seen` nor in one
    /// another's.
    fn unseen_heads(&self, lanes: &[LaneId], seen: Vec<Pos>, own: Option<ChainIx>) -> Vec<Pos> {
        let graph = self.graph();
        let chains = lanes
            .iter()
            .flat_map(|lane| graph.logs_of(*lane))
            .flat_map(|(_, chains)| chains);
        let heads: Vec<Pos> = chains
            .filter(|chain| Some(**chain) != own)
            .map(|&chain| Pos {
                chain,
                seq: graph.chain(chain).head(),
            })
            .filter(|head| !seen.iter().any(|seen| graph.in_past(*head, *seen)))
            .collect();
        let mut maximal: Vec<Pos> = heads
            .iter()
            .copied()
            .filter(|head| {
                !heads
                    .iter()
                    .any(|other| other != head && graph.in_past(*head, *other))
            })
            .collect();
        maximal.truncate(limits::DEPS);
        maximal
    }

    fn unseen_control(&mut self, prev: Option<Pos>, deps: &[Pos]) -> Vec<Pos> {
        let parents: Vec<_> = prev
            .iter()
            .chain(deps)
            .map(|parent| self.graph().entry(*parent).frontier)
            .collect();
        let seen = self.graph.union(&parents);
        if seen == self.present_frontier() {
            return Vec::new();
        }
        let mut heads = self.unseen_heads(&[self.control_lane], Vec::new(), None);
        heads.retain(|head| !self.graph().frontier_holds(seen, *head));
        heads.truncate(limits::CONTROL_HEADS);
        heads
    }

    fn header(
        &self,
        author: &Author<'_>,
        lane: LaneId,
        heads: &Heads,
        kind: Kind,
        now: WallTime,
    ) -> Header {
        let graph = self.graph();
        let reference = |pos: &Pos| {
            let chain = graph.chain(pos.chain);
            let own_lane = chain.lane == lane || chain.lane == self.control_lane;
            Reference {
                lane: (!own_lane).then_some(chain.lane),
                writer: chain.writer,
                seq: pos.seq,
                id: graph.entry(*pos).id,
            }
        };
        let mut deps: Vec<Reference> = heads.deps.iter().map(reference).collect();
        let mut control_heads: Vec<Reference> = heads.control_heads.iter().map(reference).collect();
        Reference::sort(&mut deps);
        Reference::sort(&mut control_heads);
        Header {
            version: limits::VERSION,
            suite: crypto::Suite::Default.id(),
            channel: self.id,
            lane,
            writer: author.writer,
            seq: heads.prev.map_or(1, |prev| prev.seq + 1),
            prev: heads.prev.map(|prev| graph.entry(prev).id),
            deps,
            control_heads,
            claimed_ms: now.0,
            kind: kind.number(),
            precedence: Precedence::Routine as u8,
            author: None,
            about: None,
            label: None,
            key_event: None,
            body_len: 0,
            commitment: None,
            body_hash: Hash([0; 32]),
        }
    }
}
