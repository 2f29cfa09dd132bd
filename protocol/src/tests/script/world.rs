//! Composes and signs what a script's partners write, each on what it has heard.
//!
//! Nothing here judges. Who may write what, and in which lane, is what the script says; whether
//! that is valid is what it checks.

use std::collections::{BTreeMap, BTreeSet};

use comity_crypto as crypto;
use serde_bytes::ByteBuf;

use super::cast::{NodeNumber, cast, node};
use crate::body::{Charter, KeyBody, Role, Wrap};
use crate::codec::Canonical;
use crate::event::{Event, Header, Kind, Precedence, Reference};
use crate::id::{ChannelId, EventId, Hash, LaneId, PartnerId};
use crate::identity::Name;
use crate::lane::{self, LaneForm};
use crate::limits;

pub type Ids = BTreeSet<EventId>;

/// What a script expects of an event's acceptance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Accepted,
    Invalid,
    /// Its past never comes.
    Missing,
}

/// An open or directed lane that a script has named.
#[derive(Clone)]
pub struct NamedLane {
    pub id: LaneId,
    pub form: LaneForm,
    pub audience: BTreeSet<usize>,
}

/// What the composer knows of an event that was written.
pub struct Written {
    pub event: Event,
    pub by: NodeNumber,
    /// All that lies in its past.
    pub past: Ids,
    pub verdict: Verdict,
    /// Whose admissions or sealing keys a control event changes.
    rekeys: Option<usize>,
    /// The sealing key that it announces, by number.
    sealing_key: Option<usize>,
}

/// What is to be written, beside what follows from what its author has heard.
pub struct Draft {
    pub by: NodeNumber,
    pub kind: Kind,
    pub lane: LaneId,
    pub body: Vec<u8>,
    pub about: Option<EventId>,
    /// Cited whatever their lane is.
    pub citing: Ids,
    /// The key event to seal under; found or written where absent.
    pub under: Option<EventId>,
    pub claimed_ms: Option<u64>,
    pub verdict: Verdict,
    pub rekeys: Option<usize>,
    pub sealing_key: Option<usize>,
}

impl Draft {
    pub fn new(by: NodeNumber, kind: Kind, lane: LaneId, body: Vec<u8>) -> Draft {
        Draft {
            by,
            kind,
            lane,
            body,
            about: None,
            citing: Ids::new(),
            under: None,
            claimed_ms: None,
            verdict: Verdict::Accepted,
            rekeys: None,
            sealing_key: None,
        }
    }
}

pub struct World {
    pub channel: ChannelId,
    /// Whether members read all open lanes there ever were.
    history_for_all: bool,
    /// In the order in which they were written.
    pub order: Vec<EventId>,
    pub written: BTreeMap<EventId, Written>,
    pub lanes: BTreeMap<String, NamedLane>,
    pub heard: BTreeMap<NodeNumber, Ids>,
    /// The clock of all honest nodes, Unix milliseconds; each event takes a second.
    now_ms: u64,
}

impl World {
    /// The channel that the first partner founds.
    pub fn founded(quorum: u8, history: u8, finality: u8) -> World {
        let creator = &cast()[0];
        let charter = Charter {
            version: limits::VERSION,
            suite: crypto::Suite::Default.id(),
            name: Name::try_from("relief".to_string()).expect("a legal name"),
            nonce: Hash([1; 32]),
            creator: creator.identity(1, &[0]),
            sealing_key: creator.sealing_key(0),
            history,
            finality,
            quorum,
            label_policy: None,
            label_ceiling: None,
            retention_days: None,
            byte_budget: 0,
        };
        let body = charter.to_bytes();
        let mut world = World {
            channel: ChannelId(crypto::hash("comity/v1/channel", &[&body])),
            history_for_all: history == 2,
            order: Vec::new(),
            written: BTreeMap::new(),
            lanes: BTreeMap::new(),
            heard: BTreeMap::new(),
            now_ms: 1_000_000,
        };
        let charter = Draft {
            rekeys: Some(0),
            sealing_key: Some(0),
            ..Draft::new((0, 0), Kind::Charter, world.control(), body)
        };
        let header = world.header(&charter);
        world.publish(header, charter);
        world
    }

    pub fn control(&self) -> LaneId {
        lane::control_lane(self.channel)
    }

    pub fn name_lane(&mut self, name: &str, form: LaneForm, audience: BTreeSet<usize>) {
        let ids: BTreeSet<PartnerId> = audience.iter().map(|whom| cast()[*whom].id).collect();
        let id = lane::lane_id(self.channel, form, &ids);
        self.lanes
            .insert(name.to_string(), NamedLane { id, form, audience });
    }

    /// The number of the next sealing key that `whom` announces.
    pub fn next_sealing_key(&self, whom: usize) -> usize {
        let own = |written: &&Written| written.by.0 == whom && written.sealing_key.is_some();
        self.written.values().filter(own).count()
    }

    /// The proposal that an endorsement names (section 11).
    pub fn proposal(&self, kind: Kind, subject: &[u8], role: Option<Role>) -> Hash {
        let role = role.map_or(0, |role| role as u8);
        Hash(crypto::hash(
            "comity/v1/proposal",
            &[&self.channel.0, &[kind.number()], subject, &[role]],
        ))
    }

    /// Lets a node hear an event, and of its past what it may read.
    pub fn hear(&mut self, who: NodeNumber, id: EventId) {
        let news: Vec<EventId> = self.written[&id]
            .past
            .iter()
            .chain([&id])
            .filter(|id| self.may_read(who.0, id))
            .copied()
            .collect();
        self.heard.entry(who).or_default().extend(news);
    }

    /// Lets a node hear all that is valid and that it may read.
    pub fn hear_all(&mut self, who: NodeNumber) {
        let valid = |id: &&EventId| self.written[*id].verdict == Verdict::Accepted;
        let all: Vec<EventId> = self.order.iter().filter(valid).copied().collect();
        for id in all {
            if self.may_read(who.0, &id) {
                self.hear(who, id);
            }
        }
    }

    /// Lets a node go on as if it had never heard of an event, nor of what follows on it.
    pub fn forget(&mut self, who: NodeNumber, id: EventId) {
        let follows = |other: &EventId| *other == id || self.written[other].past.contains(&id);
        let mut heard = self.heard.get(&who).cloned().unwrap_or_default();
        heard.retain(|other| !follows(other));
        self.heard.insert(who, heard);
    }

    fn may_read(&self, whom: usize, id: &EventId) -> bool {
        let lane = self.written[id].event.header.lane;
        lane == self.control() || self.reads(&[whom].into(), lane)
    }

    fn reads(&self, whom: &BTreeSet<usize>, lane: LaneId) -> bool {
        let lane = self.lane(lane);
        whom.is_subset(&lane.audience) || (self.history_for_all && lane.form == LaneForm::Open)
    }

    fn lane(&self, id: LaneId) -> &NamedLane {
        let named = self.lanes.values().find(|lane| lane.id == id);
        named.expect("a lane that the script has named")
    }

    /// Writes an event on all that its author has heard, after the key event that it needs.
    pub fn write(&mut self, draft: Draft) -> Result<EventId, String> {
        let mut header = self.header(&draft);
        if draft.kind.is_sealed() {
            let known = draft
                .under
                .or_else(|| self.current_epoch(&header, draft.by));
            header.key_event = match known {
                Some(key_event) => Some(key_event),
                // What is to be refused must be refused for itself.
                None if draft.verdict != Verdict::Accepted => {
                    return Err("no epoch is current: name one with `under`".to_string());
                }
                None => {
                    let key = self.write_key(draft.by, draft.lane, None, Verdict::Accepted);
                    header = self.header(&draft);
                    Some(key)
                }
            };
            header.commitment = Some(Hash([7; 32]));
        }
        Ok(self.publish(header, draft))
    }

    /// Writes a key event that wraps to these partners, or to the lane's audience.
    pub fn write_key(
        &mut self,
        by: NodeNumber,
        lane: LaneId,
        wrapped_to: Option<&BTreeSet<usize>>,
        verdict: Verdict,
    ) -> EventId {
        let NamedLane { form, audience, .. } = self.lane(lane).clone();
        let wrap = |whom: &usize| Wrap {
            partner: cast()[*whom].id,
            sealing_key: cast()[*whom].sealing_key_id(self.heard_sealing_key(by, *whom)),
            sealed: ByteBuf::from(vec![1; crypto::WRAP_LEN]),
        };
        let mut wraps: Vec<Wrap> = wrapped_to.unwrap_or(&audience).iter().map(wrap).collect();
        wraps.sort_by_key(|wrap| wrap.partner);
        let mut named: Vec<PartnerId> = audience.iter().map(|whom| cast()[*whom].id).collect();
        named.sort_unstable();
        let body = KeyBody {
            audience: (form == LaneForm::Directed).then_some(named),
            parts: Some(Vec::new()),
            commitment: Hash([5; 32]),
            wraps,
        };
        let draft = Draft {
            verdict,
            ..Draft::new(by, Kind::Key, lane, body.to_bytes())
        };
        let header = self.header(&draft);
        self.publish(header, draft)
    }

    fn publish(&mut self, mut header: Header, draft: Draft) -> EventId {
        header.body_len = draft.body.len() as u32;
        header.body_hash = Hash(crypto::body_hash(&draft.body));
        let past = self.past(&header);
        let event = Event::sign(header, draft.body, &node(draft.by).key).expect("well formed");
        let id = event.id;
        let written = Written {
            event,
            by: draft.by,
            past,
            verdict: draft.verdict,
            rekeys: draft.rekeys,
            sealing_key: draft.sealing_key,
        };
        assert!(
            self.written.insert(id, written).is_none(),
            "the same event twice"
        );
        self.order.push(id);
        self.now_ms += 1000;
        // What is not valid has no place in its author's log.
        if draft.verdict == Verdict::Accepted {
            self.heard.entry(draft.by).or_default().insert(id);
        }
        id
    }

    /// A header in the author's log with the fewest references that bring in all it has heard
    /// and may cite.
    fn header(&self, draft: &Draft) -> Header {
        let (by, lane, kind) = (draft.by, draft.lane, draft.kind);
        let heard = self.heard.get(&by).cloned().unwrap_or_default();
        let prev = self.own_last(&heard, by, lane);
        let mut known: Ids = prev.iter().flat_map(|id| self.with_past(id)).collect();
        let citable = (&heard | &draft.citing)
            .into_iter()
            .filter(|id| !known.contains(id))
            .filter(|id| draft.citing.contains(id) || self.may_cite(lane, by, id));
        let deps = self.heads(citable.collect());
        known.extend(deps.iter().flat_map(|id| self.with_past(id)));
        let control_heads = if lane == self.control() {
            Ids::new()
        } else {
            let is_ack = |id: &EventId| self.written[id].event.header.kind() == Kind::Ack;
            let unknown = |id: &&EventId| self.is_control(id) && !is_ack(id) && !known.contains(id);
            self.heads(heard.iter().filter(unknown).copied().collect())
        };
        Header {
            version: limits::VERSION,
            suite: crypto::Suite::Default.id(),
            channel: self.channel,
            lane,
            writer: node(by).writer,
            seq: prev.map_or(1, |id| self.written[&id].event.header.seq + 1),
            prev,
            deps: self.references(lane, &deps),
            control_heads: self.references(self.control(), &control_heads),
            claimed_ms: draft.claimed_ms.unwrap_or(self.now_ms),
            kind: kind.number(),
            precedence: Precedence::Routine as u8,
            author: kind.names_author().then(|| cast()[by.0].user()),
            about: draft
                .about
                .map(|target| self.written[&target].event.reference_from(lane)),
            label: None,
            key_event: None,
            body_len: 0,
            commitment: None,
            body_hash: Hash([0; 32]),
        }
    }

    /// The last event of a node's log among those heard.
    fn own_last(&self, heard: &Ids, by: NodeNumber, lane: LaneId) -> Option<EventId> {
        let own = |id: &&EventId| {
            self.written[*id].by == by && self.written[*id].event.header.lane == lane
        };
        heard
            .iter()
            .filter(own)
            .max_by_key(|id| self.written[*id].event.header.seq)
            .copied()
    }

    /// The control lane cites only itself; the others, others' logs of lanes at least as wide.
    fn may_cite(&self, lane: LaneId, by: NodeNumber, id: &EventId) -> bool {
        let written = &self.written[id];
        let theirs = written.event.header.lane;
        if lane == self.control() || theirs == self.control() {
            return lane == theirs;
        }
        let own = written.by == by && theirs == lane;
        let (lane, theirs) = (self.lane(lane), self.lane(theirs));
        // Whoever joins later would read the one and not the other.
        let narrower = self.history_for_all
            && lane.form == LaneForm::Open
            && theirs.form == LaneForm::Directed;
        !own && !narrower && self.reads(&lane.audience, theirs.id)
    }

    fn is_control(&self, id: &EventId) -> bool {
        self.written[id].event.header.lane == self.control()
    }

    fn with_past(&self, id: &EventId) -> Ids {
        let mut all = self.written[id].past.clone();
        all.insert(*id);
        all
    }

    fn past(&self, header: &Header) -> Ids {
        let listed = header.deps.iter().chain(&header.control_heads);
        let cited = header.prev.into_iter().chain(listed.map(|head| head.id));
        cited.flat_map(|id| self.with_past(&id)).collect()
    }

    /// Those that lie in the past of no other one.
    fn heads(&self, all: Ids) -> Ids {
        let covered: Ids = all
            .iter()
            .flat_map(|id| self.written[id].past.iter().copied())
            .collect();
        let heads: Ids = all.difference(&covered).copied().collect();
        assert!(
            heads.len() <= limits::DEPS,
            "more heads than an event lists"
        );
        heads
    }

    fn references(&self, lane: LaneId, to: &Ids) -> Vec<Reference> {
        let mut references: Vec<Reference> = to
            .iter()
            .map(|id| self.written[id].event.reference_from(lane))
            .collect();
        Reference::sort(&mut references);
        references
    }

    /// The latest key event of the log, unless its author has heard since of any act that bears
    /// on the keys of a reader.
    fn current_epoch(&self, header: &Header, by: NodeNumber) -> Option<EventId> {
        let heard = self.heard.get(&by)?;
        let key = heard
            .iter()
            .filter(|id| {
                let event = &self.written[*id].event;
                event.header.kind() == Kind::Key
                    && event.header.lane == header.lane
                    && self.written[*id].by == by
            })
            .max_by_key(|id| self.written[*id].event.header.seq)?;
        let audience = &self.lane(header.lane).audience;
        let stale = heard.iter().any(|id| {
            let rekeys = self.written[id].rekeys;
            rekeys.is_some_and(|whom| audience.contains(&whom))
                && !self.written[key].past.contains(id)
        });
        (!stale).then_some(*key)
    }

    /// The number of the last sealing key of `whom` that a node has heard of.
    fn heard_sealing_key(&self, who: NodeNumber, whom: usize) -> usize {
        let heard = |id: &&EventId| self.heard[&who].contains(id);
        let announced = |id: &EventId| {
            let written = &self.written[id];
            (written.by.0 == whom)
                .then_some(written.sealing_key)
                .flatten()
        };
        let last = self.order.iter().rev().filter(heard).find_map(announced);
        last.unwrap_or(0)
    }
}
