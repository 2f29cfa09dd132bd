//! Writing: the events of this node's own log, each citing what is newly seen.

use std::collections::BTreeSet;

use comity_crypto as crypto;

use crate::acceptance;
use crate::authority::Ending;
use crate::body::EmptyBody;
use crate::channel::{Accepted, Channel};
use crate::codec::{Canonical, Malformed, encode};
use crate::event::{Event, Header, Kind, Label, Precedence, Reference, UserName};
use crate::finality::{AckBody, Finality, FloorBody, Past};
use crate::graph::{ChainIx, FrontierIx, Pos};
use crate::id::{EventId, Hash, LaneId, PartnerId, WriterId};
use crate::keys::{self, Entropy, Keyring, WrapContext};
use crate::lane::{Lane, LaneForm, lane_id};
use crate::limits;
use crate::mutation::{self, Mutation};
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
    /// Who it is by; absent where the partner itself speaks.
    pub user: Option<UserName>,
    pub claimed_ms: u64,
    pub precedence: Precedence,
    pub about: Option<Pos>,
    pub label: Option<Label>,
    /// For whom; absent for the open lane of the present members.
    pub audience: Option<BTreeSet<PartnerId>>,
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

/// Most events that one act of writing may put before what it writes: merges and cuts. Each takes
/// in 32 heads, so this is reached only where thousands of forks are held.
const PRELUDE_EVENTS: usize = 64;

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
#[derive(Default)]
struct Heads {
    prev: Option<Pos>,
    deps: Vec<Pos>,
    control_heads: Vec<Pos>,
}

impl Channel {
    /// Writes and accepts a control event, after the merges without which it could not cite all
    /// heads. What was accepted is in `written`, also where an error follows.
    pub fn write_act(
        &mut self,
        author: &Author<'_>,
        kind: Kind,
        body: Vec<u8>,
        now: WallTime,
        written: &mut Vec<Accepted>,
    ) -> Result<(), ComposeError> {
        self.write_merges(author, now, written)?;
        written.push(self.write_control(author, kind, body, now)?);
        Ok(())
    }

    pub(crate) fn write_control(
        &mut self,
        author: &Author<'_>,
        kind: Kind,
        body: Vec<u8>,
        now: WallTime,
    ) -> Result<Accepted, ComposeError> {
        let lane = self.control_lane;
        let heads = self.heads(author, lane, &[lane], None);
        let mut header = self.header(author, lane, &heads, kind, now);
        header.body_len = body.len() as u32;
        header.body_hash = Hash(crypto::body_hash(&body));
        self.write(Event::sign(header, body, author.key)?)
    }

    /// Writes and accepts a message, with what must stand before it: merges where too many
    /// control heads are new, a cut where a membership has ended, a key event where the last
    /// epoch no longer serves. What was accepted is in `written`, also where an error follows: it
    /// is part of the log from then on, and must be stored.
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
        let (form, audience) = match &message.audience {
            None => (LaneForm::Open, self.present().active()),
            Some(audience) => (LaneForm::Directed, audience.clone()),
        };
        let lane = lane_id(self.id, form, &audience);
        let readers = Lane { form, audience };
        let known = self.own_head(author, lane);
        let known = known.map(|head| self.graph().entry(head).frontier);
        if !known.is_some_and(|known| self.has_seen_control(known)) {
            self.write_merges(author, now, written)?;
            self.write_cut(author, lane, &[], now, written)?;
        }
        let epoch =
            self.epoch_to_seal_with(author, lane, &readers, keyring, entropy, now, written)?;
        let secret = keyring
            .secret(&epoch)
            .ok_or(ComposeError::Refused("the epoch's secret is not held"))?
            .clone();
        let sources = self.citable_lanes(lane, &readers);
        let heads = self.heads(author, lane, &sources, message.about);
        let mut header = self.header(author, lane, &heads, message.kind, now);
        header.claimed_ms = message.claimed_ms;
        header.precedence = message.precedence as u8;
        header.author = message.user.clone();
        header.about = message.about.map(|about| self.reference(lane, about));
        header.label = message.label.clone();
        header.key_event = Some(epoch);
        let mut salt = [0u8; crypto::SALT_LEN];
        salt.copy_from_slice(&entropy.draw("salt", &lane, header.seq)[..crypto::SALT_LEN]);
        let event = keys::seal(header, &message.body, &secret, &salt, author.key)?;
        written.push(self.write(event)?);
        Ok(())
    }

    /// Writes the cuts that are due: in every lane held of which a former member was a reader,
    /// unless this node's log there knows of the end of that membership. Nothing that comes later
    /// is vouched for; so this is called together with the acceptance of the ending. A node that
    /// is still learning what it once knew does not `vouch` for what it holds of other partners:
    /// it may have come after the ending.
    pub fn write_cuts(
        &mut self,
        author: &Author<'_>,
        vouch: bool,
        now: WallTime,
        written: &mut Vec<Accepted>,
    ) -> Result<(), ComposeError> {
        let mut news = self.attend_endings();
        news.retain(|ending| vouch || ending.partner == author.partner);
        let lanes: Vec<LaneId> = self.lanes().map(|(lane, _)| *lane).collect();
        for lane in lanes {
            self.write_cut(author, lane, &news, now, written)?;
        }
        Ok(())
    }

    /// Writes and accepts evidence in the lane of a fork, after the merges and the cut without
    /// which it could not stand there. What was accepted is in `written`, also where an error
    /// follows.
    pub fn write_evidence(
        &mut self,
        author: &Author<'_>,
        lane: LaneId,
        body: Vec<u8>,
        now: WallTime,
        written: &mut Vec<Accepted>,
    ) -> Result<(), ComposeError> {
        self.write_merges(author, now, written)?;
        self.write_cut(author, lane, &[], now, written)?;
        let heads = self.heads(author, lane, &[lane], None);
        let mut header = self.header(author, lane, &heads, Kind::Evidence, now);
        header.body_len = body.len() as u32;
        header.body_hash = Hash(crypto::body_hash(&body));
        written.push(self.write(Event::sign(header, body, author.key)?)?);
        Ok(())
    }

    /// Writes and accepts an ack of a lane, of the highest number that is valid, after the cut
    /// that may be due there; false where none is valid yet. What was accepted is in `written`.
    pub fn write_ack(
        &mut self,
        author: &Author<'_>,
        lane: LaneId,
        now: WallTime,
        written: &mut Vec<Accepted>,
    ) -> Result<bool, ComposeError> {
        if lane != self.control_lane {
            self.write_cut(author, lane, &[], now, written)?;
        }
        let heads = self.heads(author, lane, &[lane], None);
        let frontier = self.frontier_of(lane, &heads);
        let view = self.view(frontier);
        let parents: Vec<Pos> = heads.prev.iter().chain(&heads.deps).copied().collect();
        let past = Past::of_event(self, lane, &parents, frontier);
        let nothing = Finality::default();
        let acks = self.finality(lane).unwrap_or(&nothing);
        let Some(ack) = acks.next(&past, &view, author.partner) else {
            return Ok(false);
        };
        let body = AckBody {
            number: ack.number,
            base: acks.digest_of(ack.base),
        };
        let body = body.to_bytes();
        let mut header = self.header(author, lane, &heads, Kind::Ack, now);
        header.body_len = body.len() as u32;
        header.body_hash = Hash(crypto::body_hash(&body));
        written.push(self.write(Event::sign(header, body, author.key)?)?);
        Ok(true)
    }

    /// Writes and accepts a floor of a lane: this node's word on what a barrier comes to. What was
    /// accepted is in `written`.
    pub fn write_floor(
        &mut self,
        author: &Author<'_>,
        lane: LaneId,
        floor: &FloorBody,
        now: WallTime,
        written: &mut Vec<Accepted>,
    ) -> Result<(), ComposeError> {
        if lane != self.control_lane {
            self.write_cut(author, lane, &[], now, written)?;
        }
        let heads = self.heads(author, lane, &[lane], None);
        let body = floor.to_bytes();
        let mut header = self.header(author, lane, &heads, Kind::Floor, now);
        header.body_len = body.len() as u32;
        header.body_hash = Hash(crypto::body_hash(&body));
        written.push(self.write(Event::sign(header, body, author.key)?)?);
        Ok(())
    }

    /// The control frontier of an event that cites these heads.
    fn frontier_of(&mut self, lane: LaneId, heads: &Heads) -> FrontierIx {
        let in_control = lane == self.control_lane;
        let parents = heads.prev.iter().chain(&heads.deps).copied();
        let mut frontiers = Vec::new();
        for parent in parents {
            frontiers.push(match in_control {
                true => self.graph.frontier_with(parent),
                false => self.graph.entry(parent).frontier,
            });
        }
        for head in &heads.control_heads {
            frontiers.push(self.graph.frontier_with(*head));
        }
        self.graph.union(&frontiers)
    }

    /// Writes the cut that is due in a lane, if one is. `news` are the endings that the channel
    /// learned of just now: with another among those to be told of, the lane was learned of after
    /// that ending, and what is held of it may have been written after it, too. Then the cut cites
    /// nothing but what names the lane.
    fn write_cut(
        &mut self,
        author: &Author<'_>,
        lane: LaneId,
        news: &[Ending],
        now: WallTime,
        written: &mut Vec<Accepted>,
    ) -> Result<(), ComposeError> {
        let endings = self.endings_to_tell(author, lane);
        if endings.is_empty() || mutation::is(Mutation::CutOmitted) {
            return Ok(());
        }
        let late = endings.iter().any(|ending| !news.contains(ending));
        let late = late && !mutation::is(Mutation::LateCutVouches);
        self.write_merges(author, now, written)?;
        for _ in 0..PRELUDE_EVENTS {
            let heads = match late {
                true => self.least_heads(author, lane),
                false => self.heads(author, lane, &[lane], None),
            };
            let body = encode(&EmptyBody {});
            let mut header = self.header(author, lane, &heads, Kind::Cut, now);
            header.body_len = body.len() as u32;
            header.body_hash = Hash(crypto::body_hash(&body));
            written.push(self.write(Event::sign(header, body, author.key)?)?);
            if late || self.heads(author, lane, &[lane], None).deps.is_empty() {
                break;
            }
        }
        Ok(())
    }

    /// The endings that the next own event in a lane has to tell of.
    fn endings_to_tell(&self, author: &Author<'_>, lane: LaneId) -> Vec<Ending> {
        let view = self.present();
        let Some(held) = self.lane(&lane) else {
            return Vec::new();
        };
        if held.form == LaneForm::Control
            || view.member(&author.partner).is_none()
            || !held.audience.contains(&author.partner)
        {
            return Vec::new();
        }
        let prev = self.own_head(author, lane);
        let writer = (author.partner, author.writer);
        let frontier = self.present_frontier();
        acceptance::new_endings(self, view, held, writer, prev, frontier)
            .copied()
            .collect()
    }

    /// As little of a lane as an event there can have in its past: the own log, or the key event
    /// with which the lane began here.
    fn least_heads(&mut self, author: &Author<'_>, lane: LaneId) -> Heads {
        let prev = self.own_head(author, lane);
        let graph = self.graph();
        let firsts = graph
            .logs_of(lane)
            .flat_map(|(_, chains)| chains)
            .map(|&chain| Pos {
                chain,
                seq: graph.chain(chain).first,
            });
        let first = firsts.min_by_key(|pos| graph.entry(*pos).h);
        let deps: Vec<Pos> = first.filter(|_| prev.is_none()).into_iter().collect();
        let control_heads = self.unseen_control(prev, &deps);
        Heads {
            prev,
            deps,
            control_heads,
        }
    }

    /// Gathers the heads of the control lane, where there are more than one event may list.
    fn write_merges(
        &mut self,
        author: &Author<'_>,
        now: WallTime,
        written: &mut Vec<Accepted>,
    ) -> Result<(), ComposeError> {
        let lane = self.control_lane;
        for _ in 0..PRELUDE_EVENTS {
            let heads = self.unseen_heads(&[lane], None, None);
            if heads.len() <= limits::DEPS && self.last_acts().len() <= limits::CONTROL_HEADS {
                break;
            }
            written.push(self.write_control(author, Kind::Merge, encode(&EmptyBody {}), now)?);
        }
        Ok(())
    }

    /// The epoch to seal with, opened anew where the last one no longer serves.
    #[expect(
        clippy::too_many_arguments,
        reason = "the facts of one act, each its own"
    )]
    fn epoch_to_seal_with(
        &mut self,
        author: &Author<'_>,
        lane: LaneId,
        readers: &Lane,
        keyring: &mut Keyring,
        entropy: &Entropy,
        now: WallTime,
        written: &mut Vec<Accepted>,
    ) -> Result<EventId, ComposeError> {
        let latest = self.own_epoch(author, lane, &self.present().keying(&readers.audience));
        let seq = self.graph().height(lane, author.writer) + 1;
        if let Some(epoch) = keyring.usable(&lane, latest, seq, now.0) {
            return Ok(epoch);
        }
        let secret = crypto::EpochSecret::from_bytes(*entropy.draw("epoch", &lane, seq));
        let context = WrapContext {
            channel: self.id,
            lane,
            writer: author.writer,
            seq,
        };
        let bodies = keys::wrap_bodies(context, self.present(), readers, &secret, entropy)
            .map_err(|_| ComposeError::SealingKey)?;
        let sources = self.citable_lanes(lane, readers);
        let mut parts = Vec::new();
        let last = bodies.len().saturating_sub(1);
        for (at, mut body) in bodies.into_iter().enumerate() {
            if at == last {
                body.parts = Some(std::mem::take(&mut parts));
            }
            let bytes = encode(&body);
            let heads = self.heads(author, lane, &sources, None);
            let mut header = self.header(author, lane, &heads, Kind::Key, now);
            header.body_len = bytes.len() as u32;
            header.body_hash = Hash(crypto::body_hash(&bytes));
            let accepted = self.write(Event::sign(header, bytes, author.key)?)?;
            parts.push(accepted.event.id);
            written.push(accepted);
        }
        let opened = written
            .last()
            .ok_or(ComposeError::Refused("a lane without readers"))?;
        let (epoch, first) = (opened.event.id, opened.event.header.seq);
        keyring.drew(lane, epoch, secret, first, now.0);
        Ok(epoch)
    }

    /// The own log's latest epoch in a lane, if it is still for these readers and keys.
    fn own_epoch(
        &self,
        author: &Author<'_>,
        lane: LaneId,
        keying: &crate::channel::Keying,
    ) -> Option<EventId> {
        let head = self.own_head(author, lane)?;
        acceptance::epoch_at(self, head)
            .filter(|epoch| epoch.keying == *keying || mutation::is(Mutation::StaleEpochKept))
            .map(|epoch| epoch.key_event)
    }

    /// The own event goes through the same gate as everyone's.
    fn write(&mut self, event: Event) -> Result<Accepted, ComposeError> {
        let mut outcome = self.offer(event, None);
        if !outcome.forks.is_empty() {
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

    fn own_head(&self, author: &Author<'_>, lane: LaneId) -> Option<Pos> {
        let chain = *self.graph().branches(lane, author.writer).first()?;
        Some(Pos {
            chain,
            seq: self.graph().chain(chain).head(),
        })
    }

    /// The lanes whose heads an event of `lane` may cite: those that all its readers read.
    fn citable_lanes(&self, lane: LaneId, readers: &Lane) -> Vec<LaneId> {
        let members = self.present().active();
        let wide = self.lanes().filter(|(id, held)| {
            **id != lane
                && held.form != LaneForm::Control
                && readers.may_cite(held, self.history(), &members)
        });
        std::iter::once(lane)
            .chain(wide.map(|(id, _)| *id))
            .collect()
    }

    /// What is newly seen since the own log's last event; what has `about` in its past first.
    fn heads(
        &mut self,
        author: &Author<'_>,
        lane: LaneId,
        sources: &[LaneId],
        about: Option<Pos>,
    ) -> Heads {
        let prev = self.own_head(author, lane);
        let mut deps = self.unseen_heads(sources, prev, prev.map(|prev| prev.chain));
        if let Some(about) = about {
            deps.sort_by_key(|head| !self.graph().in_past(about, *head));
        }
        deps.truncate(limits::DEPS);
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
    fn unseen_heads(&self, lanes: &[LaneId], seen: Option<Pos>, own: Option<ChainIx>) -> Vec<Pos> {
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
            .filter(|head| seen.is_none_or(|seen| !graph.in_past(*head, seen)))
            .collect();
        heads
            .iter()
            .copied()
            .filter(|head| {
                !heads
                    .iter()
                    .any(|other| other != head && graph.in_past(*head, *other))
            })
            .collect()
    }

    fn unseen_control(&mut self, prev: Option<Pos>, deps: &[Pos]) -> Vec<Pos> {
        let parents: Vec<_> = prev
            .iter()
            .chain(deps)
            .map(|parent| self.graph().entry(*parent).frontier)
            .collect();
        let seen = self.graph.union(&parents);
        if self.has_seen_control(seen) {
            return Vec::new();
        }
        let mut heads = if self.acts_suffice() {
            self.last_acts()
        } else {
            self.unseen_heads(&[self.control_lane], None, None)
        };
        heads.retain(|head| !self.graph().frontier_holds(seen, *head));
        heads.truncate(limits::CONTROL_HEADS);
        heads
    }

    /// Whether an event of a control frontier sees the channel as it is.
    fn has_seen_control(&mut self, frontier: FrontierIx) -> bool {
        if self.acts_suffice() {
            self.graph.acts_of(frontier) == self.present_acts()
        } else {
            frontier == self.present_frontier()
        }
    }

    /// The control events, acks apart, that lie in no other's past: what other lanes cite.
    fn last_acts(&self) -> Vec<Pos> {
        let graph = self.graph();
        let acts = self.acts_within(self.present_frontier());
        let followed = |act: &Pos| {
            let mut others = acts.iter();
            others.any(|other| other != act && graph.in_past(*act, *other))
        };
        acts.iter().copied().filter(|act| !followed(act)).collect()
    }

    fn header(
        &self,
        author: &Author<'_>,
        lane: LaneId,
        heads: &Heads,
        kind: Kind,
        now: WallTime,
    ) -> Header {
        let references = |heads: &[Pos]| -> Vec<Reference> {
            heads
                .iter()
                .map(|head| self.reference(lane, *head))
                .collect()
        };
        let mut deps = references(&heads.deps);
        let mut control_heads = references(&heads.control_heads);
        Reference::sort(&mut deps);
        Reference::sort(&mut control_heads);
        Header {
            version: limits::VERSION,
            suite: crypto::Suite::Default.id(),
            channel: self.id,
            lane,
            writer: author.writer,
            seq: heads.prev.map_or(1, |prev| prev.seq + 1),
            prev: heads.prev.map(|prev| self.graph().entry(prev).id),
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

    /// How an event of `lane` refers to an accepted one.
    fn reference(&self, lane: LaneId, pos: Pos) -> Reference {
        let chain = self.graph().chain(pos.chain);
        let unnamed = chain.lane == lane || chain.lane == self.control_lane;
        Reference {
            lane: (!unnamed).then_some(chain.lane),
            writer: chain.writer,
            seq: pos.seq,
            id: self.graph().entry(pos).id,
        }
    }
}
