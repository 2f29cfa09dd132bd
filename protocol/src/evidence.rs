//! Evidence: the proof that a writer forked its log, and what it does to what the writer wrote.
//!
//! Two signed headers of one writer for one position prove by themselves that the writer lied:
//! an honest one signs a position once. Evidence is an event of the lane in which the fork is.
//! In the control lane the writer's acts from the fork on are void
//! ([`crate::authority`]); its messages, there and in every narrower lane, stay and bear a mark.

use comity_crypto as crypto;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::acceptance::Refusal;
use crate::channel::Channel;
use crate::codec::{Canonical, Malformed};
use crate::event::{Event, Header, TAG_EVENT_SIGNATURE};
use crate::flags::{Fallen, author_of_log};
use crate::graph::{FrontierIx, Pos};
use crate::id::{EventId, LaneId, Signature, WriterId};
use crate::lane::{History, Lane, LaneForm};
use crate::limits;
#[cfg(test)]
use crate::mutation::{self, Mutation};

/// Two signed headers for one position ([`crate::event::Kind::Evidence`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceBody {
    /// The one with the lower id.
    pub first: SignedHeader,
    pub second: SignedHeader,
}

/// A header and its signature, as evidence carries them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedHeader {
    pub header: ByteBuf,
    pub signature: Signature,
}

/// The position of a log for which a writer signed two headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forked {
    pub lane: LaneId,
    pub writer: WriterId,
    pub seq: u64,
}

/// What the evidence that is accepted in a lane proves of a writer.
#[derive(Debug, Clone)]
pub(crate) struct Proof {
    /// The earliest position that is proved to be forked.
    pub seq: u64,
    pub evidence: Vec<Pos>,
}

impl SignedHeader {
    pub fn of(event: &Event) -> SignedHeader {
        SignedHeader {
            header: ByteBuf::from(event.header_bytes.clone()),
            signature: event.signature,
        }
    }

    pub fn id(&self) -> EventId {
        Header::id(&self.header)
    }

    /// Verifies the signature, strictly.
    fn verify(&self, key: &crypto::PublicKey) -> Result<(), crypto::SignatureError> {
        key.verify(TAG_EVENT_SIGNATURE, &self.id().0, &self.signature.0)
    }
}

impl EvidenceBody {
    /// Puts two signed headers in their order.
    pub fn new(one: SignedHeader, other: SignedHeader) -> EvidenceBody {
        let (first, second) = if one.id() < other.id() {
            (one, other)
        } else {
            (other, one)
        };
        EvidenceBody { first, second }
    }

    /// Where the fork is. The signatures are another matter.
    pub fn forked(&self) -> Result<Forked, Malformed> {
        self.position().map(|(_, forked)| forked)
    }

    fn position(&self) -> Result<(Header, Forked), Malformed> {
        let first = Header::from_bytes(&self.first.header)?;
        let second = Header::from_bytes(&self.second.header)?;
        let place = |header: &Header| (header.channel, header.lane, header.writer, header.seq);
        if place(&first) != place(&second) {
            return Err(Malformed::Rule("evidence of two positions"));
        }
        if self.first.id() >= self.second.id() {
            return Err(Malformed::Rule("evidence out of order, or of one event"));
        }
        let forked = Forked {
            lane: first.lane,
            writer: first.writer,
            seq: first.seq,
        };
        Ok((first, forked))
    }

    /// Verifies both signatures under the writer's key, strictly.
    pub fn verify(&self, key: &crypto::PublicKey) -> Result<(), crypto::SignatureError> {
        self.first.verify(key)?;
        self.second.verify(key)
    }
}

impl Canonical for EvidenceBody {
    const NAME: &'static str = "evidence";
    const LIMIT: usize = 2 * limits::HEADER_BYTES + 256;

    fn check(&self) -> Result<(), Malformed> {
        self.position().map(|_| ())
    }
}

/// Judges an evidence event whose control frontier is `frontier`: its body must prove a fork in
/// the event's own lane, by a writer that an event of its past introduced.
pub(crate) fn place(
    channel: &Channel,
    event: &Event,
    frontier: FrontierIx,
) -> Result<Forked, Refusal> {
    let body = EvidenceBody::from_bytes(&event.body)
        .map_err(|_| Refusal::Invalid("a body that does not fit its kind"))?;
    let (header, forked) = body
        .position()
        .map_err(|_| Refusal::Invalid("a body that does not fit its kind"))?;
    if header.channel != channel.id || header.lane != event.header.lane {
        return Err(Refusal::Invalid("evidence of another lane"));
    }
    let key = channel
        .introduced_key(&forked.writer, frontier)
        .ok_or(Refusal::Invalid(
            "evidence against a writer not introduced in the event's own past",
        ))?;
    let holds = body.verify(&key).is_ok();
    #[cfg(test)]
    let holds = holds || mutation::is(Mutation::EvidenceUnverified);
    if !holds {
        return Err(Refusal::Invalid("evidence whose signatures do not hold"));
    }
    Ok(forked)
}

/// The messages of a lane that bear the mark, as ranges; positions of other kinds may be among
/// them.
pub(crate) fn marked(channel: &Channel, lane: LaneId) -> Fallen {
    let mut marked = Fallen::default();
    #[cfg(test)]
    if mutation::is(Mutation::ForkedUnmarked) {
        return marked;
    }
    for ((of, writer), proof) in channel.proofs() {
        let branches = channel.graph().branches(lane, *writer);
        if branches.is_empty() || !has_effect_in(channel, *of, lane) {
            continue;
        }
        let seen = if *of == lane {
            Vec::new()
        } else {
            seen_in_time(channel, lane, (*of, *writer), proof)
        };
        for &chain in branches {
            let held = channel.graph().chain(chain);
            let from = if *of == lane {
                proof.seq
            } else {
                let known = seen.iter().map(|pos| channel.graph().known(*pos, chain));
                known.max().unwrap_or(0) + 1
            };
            marked.add(chain, from.max(held.first), held.head());
        }
    }
    marked
}

/// Whether evidence of one lane bears on another: on its own and on those whose readers all read
/// it, now and later. All read the control lane.
fn has_effect_in(channel: &Channel, of: LaneId, lane: LaneId) -> bool {
    if of == lane || of == channel.control_lane {
        return true;
    }
    let (Some(of), Some(lane)) = (channel.lane(&of), channel.lane(&lane)) else {
        return false;
    };
    reads(lane, of, channel.history())
}

fn reads(lane: &Lane, of: &Lane, history: History) -> bool {
    let open = |lane: &Lane| lane.form == LaneForm::Open;
    if lane.form == LaneForm::Control {
        return false;
    }
    match history {
        History::All if open(of) => true,
        // Whoever joins later reads the one and not the other.
        History::All if open(lane) => false,
        _ => lane.audience.is_subset(&of.audience),
    }
}

/// Which events know of a fork: by its evidence, or by what the writer wrote from there on.
struct Aware<'a> {
    channel: &'a Channel,
    in_control: bool,
    /// Events that show it, the first of each chain.
    signs: Vec<Pos>,
}

impl<'a> Aware<'a> {
    fn of(channel: &'a Channel, (lane, writer): (LaneId, WriterId), proof: &Proof) -> Aware<'a> {
        let branches = channel.graph().branches(lane, writer).iter();
        let forked = branches.filter_map(|&chain| {
            let held = channel.graph().chain(chain);
            let seq = proof.seq.max(held.first);
            (seq <= held.head()).then_some(Pos { chain, seq })
        });
        Aware {
            channel,
            in_control: lane == channel.control_lane,
            signs: forked.chain(proof.evidence.iter().copied()).collect(),
        }
    }

    fn is(&self, pos: Pos) -> bool {
        let graph = self.channel.graph();
        self.signs.iter().any(|sign| {
            if self.in_control {
                graph.frontier_holds(graph.entry(pos).frontier, *sign)
            } else {
                graph.in_past(*sign, pos)
            }
        })
    }
}

/// Of each log that another partner wrote in a lane, the last event that knows of no fork. Where
/// the fork is in another lane, nothing but these shows that a message is older.
fn seen_in_time(
    channel: &Channel,
    lane: LaneId,
    (of, writer): (LaneId, WriterId),
    proof: &Proof,
) -> Vec<Pos> {
    let graph = channel.graph();
    let aware = Aware::of(channel, (of, writer), proof);
    let forker = graph.branches(lane, writer).first();
    let forker = forker.map(|chain| author_of_log(channel, *chain));
    let logs = graph.logs_of(lane).flat_map(|(_, chains)| chains);
    let others = logs.filter(|&&other| Some(author_of_log(channel, other)) != forker);
    let last = others.filter_map(|&chain| {
        let held = graph.chain(chain);
        // Who knows once knows from then on.
        let (mut low, mut high) = (held.first, held.head() + 1);
        while low < high {
            let seq = low + (high - low) / 2;
            if aware.is(Pos { chain, seq }) {
                high = seq;
            } else {
                low = seq + 1;
            }
        }
        (low > held.first).then(|| Pos {
            chain,
            seq: low - 1,
        })
    });
    last.collect()
}
