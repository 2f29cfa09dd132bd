//! As which of its writers a node acts.
//!
//! A position that was signed once must never be signed again. A node whose store was put back
//! from a backup cannot know how far it had come, so a writer that such a store may have used is
//! *spent*: it never writes again, here or anywhere. The node goes on under the next of its
//! writers that the channel knows.

use std::collections::BTreeSet;

use comity_crypto as crypto;

use super::{Notice, Own, Replica};
use crate::authority::{Act, Rank, Status, WriterList, judge};
use crate::body::CertificatesBody;
use crate::channel::Channel;
use crate::codec::{Canonical, Malformed};
use crate::compose::Author;
use crate::event::{Event, Kind};
use crate::id::{ChannelId, EventId, KeyBytes, PartnerId, WriterId};
use crate::identity::writer_id;
use crate::rows::{self, Row};
use crate::time::{Instant, Now};

/// The writers of this node, and which of them it never uses again.
pub(super) struct Writers {
    partner: PartnerId,
    /// The node that founds a channel: the first of the own certificates.
    founder: Option<WriterId>,
    /// The one in use first, then the spares.
    keys: Vec<(WriterId, crypto::SigningKey)>,
    spent: BTreeSet<WriterId>,
    catching_up: CatchingUp,
}

/// Whether a node is still hearing back what it once knew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CatchingUp {
    No,
    /// From its first look at the time on.
    FromNow,
    Until(Instant),
}

/// How long after a restore a node vouches for no former member's messages, ms: it hears its own
/// past again in any order, so it cannot know what it held when that membership ended. An hour is
/// ample for what its peers send at once; who is away for longer is vouched for by others.
const CATCH_UP_MS: u64 = 3_600_000;

/// A seat of this partner that none of its writers can act from: its root must sign a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LostSeat {
    pub channel: ChannelId,
    /// The writer of this node that would take the seat.
    pub writer: WriterId,
    /// The last control event held: all that the former seat did up to there is to stand.
    pub after: EventId,
    /// The number that the transfer's certificate list must exceed.
    pub number: u64,
}

impl Writers {
    pub fn new(own: &Own) -> Writers {
        let nodes = &own.identity.certificates.nodes;
        let keys = std::iter::once(&own.signing).chain(&own.spares);
        let keys = keys.map(|key| {
            let id = writer_id(&KeyBytes(key.public().to_bytes()));
            (id, crypto::SigningKey::from_seed(&key.seed()))
        });
        Writers {
            partner: own.identity.partner(),
            founder: nodes.first().map(|node| node.writer()),
            keys: keys.collect(),
            spent: BTreeSet::new(),
            catching_up: CatchingUp::No,
        }
    }

    /// The writer in use where nothing has happened to it.
    pub fn first(&self) -> WriterId {
        self.keys.first().map_or(WriterId([0; 32]), |(id, _)| *id)
    }

    pub fn are_own(&self, writer: &WriterId) -> bool {
        self.keys.iter().any(|(id, _)| id == writer)
    }

    pub fn is_spent(&self, writer: &WriterId) -> bool {
        self.spent.contains(writer)
    }

    /// Takes a row of [`crate::rows::Table::Writers`].
    pub fn restore(&mut self, key: &[u8]) -> Result<(), Malformed> {
        let id = key.try_into().map_err(|_| Malformed::Undecodable {
            expected: "writer id",
        })?;
        self.spent.insert(WriterId(id));
        Ok(())
    }

    /// Never uses a writer again; gives the row that says so, if it is news.
    pub fn spend(&mut self, writer: WriterId) -> Option<Row> {
        self.spent.insert(writer).then(|| rows::spent_row(&writer))
    }

    /// Says that the node was restored.
    pub fn catch_up(&mut self) {
        self.catching_up = CatchingUp::FromNow;
    }

    pub fn is_catching_up(&mut self, now: Instant) -> bool {
        if self.catching_up == CatchingUp::FromNow {
            self.catching_up = CatchingUp::Until(now.plus(CATCH_UP_MS));
        }
        matches!(self.catching_up, CatchingUp::Until(until) if now < until)
    }

    /// As whom this node writes in a channel: the first of its writers that it may use, that the
    /// channel knows, and that nobody has proved to have forked a log.
    pub fn author(&self, channel: &Channel) -> Option<Author<'_>> {
        if channel.charter.is_none() {
            return self.usable(channel, |writer| Some(*writer) == self.founder);
        }
        let member = channel.present().members.get(&self.partner)?;
        self.usable(channel, |writer| member.writers.contains(writer))
    }

    /// As whom this node acts for its partner in control: as its seat.
    pub fn seat(&self, channel: &Channel) -> Option<Author<'_>> {
        if channel.charter.is_none() {
            return self.author(channel);
        }
        let member = channel.present().members.get(&self.partner)?;
        self.usable(channel, |writer| *writer == member.seat)
    }

    fn usable(&self, channel: &Channel, wanted: impl Fn(&WriterId) -> bool) -> Option<Author<'_>> {
        let usable = |(id, _): &&(WriterId, crypto::SigningKey)| {
            wanted(id) && !self.spent.contains(id) && !channel.is_proved(id)
        };
        let (writer, key) = self.keys.iter().find(usable)?;
        Some(Author {
            partner: self.partner,
            writer: *writer,
            key,
        })
    }
}

impl Replica {
    /// The writers that this node never uses again: its store may be older than what they wrote.
    pub fn spent_writers(&self) -> impl Iterator<Item = &WriterId> {
        self.writers.spent.iter()
    }

    /// Channels in which this partner is a member and none of its node's writers may write.
    pub fn behind_self(&self) -> impl Iterator<Item = &ChannelId> {
        let silent = self.channels.iter().filter(|(_, channel)| {
            self.status_in(channel) == Some(Status::Active)
                && self.writers.author(channel).is_none()
        });
        silent.map(|(id, _)| id)
    }

    /// Seats that the partner's root has to move: to be signed, and carried by
    /// [`super::Command::TransferSeat`], once everything is read back from the peers.
    pub fn lost_seats(&self) -> Vec<LostSeat> {
        let lost = |(id, channel): (&ChannelId, &Channel)| {
            let member = channel.present().member(&self.partner)?;
            let former =
                self.writers.are_own(&member.seat) || !member.writers.contains(&member.seat);
            if !former || self.writers.seat(channel).is_some() {
                return None;
            }
            Some(LostSeat {
                channel: *id,
                writer: self.writers.author(channel)?.writer,
                after: channel.last_control_event()?,
                number: member.number,
            })
        };
        self.channels.iter().filter_map(lost).collect()
    }

    /// An event of a writer of this node, validly signed, that it does not hold: the store is
    /// older than the writer's log. It must never write in these logs again, or it signs positions
    /// twice. Which of its logs a store lacks cannot be known, so the writer is spent everywhere.
    pub(super) fn notice_own_log(&mut self, event: &Event, peer: PartnerId) {
        let header = &event.header;
        let channel = header.channel;
        if !self.writers.are_own(&header.writer) || self.writers.is_spent(&header.writer) {
            return;
        }
        let held = self.channels.get(&channel).is_some_and(|channel| {
            channel
                .graph()
                .find(header.lane, header.writer, header.seq, &event.id)
                .is_some()
        });
        if held {
            return;
        }
        let spent = self.writers.spend(header.writer);
        self.append(spent.into_iter().collect());
        self.notify(Notice::OwnLogAhead {
            channel,
            seq: header.seq,
            peer,
        });
    }

    /// Introduces this node's spare writers in a channel whose members do not know them yet, as
    /// long as the seat can do so: after a restore it could not.
    pub(super) fn introduce_spares(&mut self, id: ChannelId, now: Now) {
        let Some(channel) = self.channels.get(&id) else {
            return;
        };
        let list = WriterList::of(&self.own.identity.certificates);
        let Some(member) = channel.present().member(&self.partner) else {
            return;
        };
        let known = list
            .writers
            .iter()
            .all(|writer| member.writers.contains(writer));
        let act = Act::WriterIntroduce {
            partner: self.partner,
            list,
        };
        let allowed = judge(channel.present(), &self.partner, &act).rank > Rank::None;
        if known || !allowed || self.writers.seat(channel).is_none() {
            return;
        }
        let body = CertificatesBody {
            identity: self.own.identity.clone(),
        };
        if let Err(error) = self.write(id, Kind::WriterIntroduce, body.to_bytes(), now) {
            self.notify(Notice::Refused {
                peer: self.partner,
                why: format!("own spare writer: {error}"),
            });
        }
    }
}
