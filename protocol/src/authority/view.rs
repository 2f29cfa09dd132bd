//! The state of a channel in the light of one control frontier.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use comity_crypto as crypto;

use crate::body::Role;
use crate::graph::Pos;
use crate::id::{EventId, PartnerId, WriterId};

/// The state of a channel in the light of one control frontier.
#[derive(Debug, Clone, Default)]
pub struct View {
    pub members: BTreeMap<PartnerId, Member>,
    /// The control events that have effect.
    pub effective: BTreeSet<Pos>,
    /// Of these, the ones that end a membership or displace a writer, by their positions.
    pub endings: Vec<Ending>,
    /// The writers that are proved to have forked their log of the control lane, and from which
    /// position on their acts are void.
    pub forks: BTreeMap<WriterId, u64>,
}

/// What a partner is in a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// Reads the control lane only.
    Invited,
    /// A member.
    Active,
    Suspended,
    Left,
    Removed,
}

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Invited => "invited",
            Status::Active => "active",
            Status::Suspended => "suspended",
            Status::Left => "left",
            Status::Removed => "removed",
        }
    }
}

/// A partner's place in a channel.
#[derive(Debug, Clone)]
pub struct Member {
    pub status: Status,
    pub role: Role,
    /// The writer that acts for the partner in the control lane.
    pub seat: WriterId,
    /// Those that write for the partner in the other lanes: at most
    /// [`crate::limits::WRITERS_PER_PARTNER`].
    pub writers: BTreeSet<WriterId>,
    /// The greatest number of a certificate list that counts; a further list needs a greater one.
    pub number: u64,
    /// How often it came back or had its seat transferred: acks of an earlier session no longer
    /// count.
    pub session: u64,
    /// The acts that admitted it last, and every act since that bears on its keys: a key wrapped
    /// under another list is not current.
    pub admissions: BTreeSet<EventId>,
    /// The event that announced the current sealing key, and the key.
    pub sealing_key: Option<(EventId, Arc<crypto::SealingPublicKey>)>,
}

/// The end of a membership, or of a writer that the seat was taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ending {
    /// The act.
    pub pos: Pos,
    pub partner: PartnerId,
    pub scope: Scope,
}

/// Whose writing an [`Ending`] ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Every writer of the partner.
    Partner,
    /// This one of its writers.
    Writer(WriterId),
}

impl Ending {
    /// Whether the events of a partner's writer are struck.
    pub fn strikes(&self, partner: PartnerId, writer: WriterId) -> bool {
        match self.scope {
            Scope::Partner => partner == self.partner,
            Scope::Writer(struck) => writer == struck,
        }
    }
}

impl View {
    /// The members: partners with status active.
    pub fn active(&self) -> BTreeSet<PartnerId> {
        self.members
            .iter()
            .filter(|(_, member)| member.status == Status::Active)
            .map(|(partner, _)| *partner)
            .collect()
    }

    pub fn member(&self, partner: &PartnerId) -> Option<&Member> {
        self.members
            .get(partner)
            .filter(|member| member.status == Status::Active)
    }

    /// The partner that a writer writes for, whatever the partner's status; the lowest, should it
    /// be in the lists of several.
    pub fn partner_of(&self, writer: &WriterId) -> Option<PartnerId> {
        self.members
            .iter()
            .find(|(_, member)| member.writers.contains(writer))
            .map(|(partner, _)| *partner)
    }

    /// The partner whose seat a writer is, whatever the partner's status; the lowest, should it
    /// be that of several.
    pub fn seat_of(&self, writer: &WriterId) -> Option<PartnerId> {
        self.members
            .iter()
            .find(|(_, member)| member.seat == *writer)
            .map(|(partner, _)| *partner)
    }

    /// What decides whether an epoch's wraps are current for an audience: each partner's
    /// admissions and sealing key.
    pub fn keying(
        &self,
        audience: &BTreeSet<PartnerId>,
    ) -> Vec<(PartnerId, BTreeSet<EventId>, Option<EventId>)> {
        audience
            .iter()
            .map(|partner| {
                let member = self.members.get(partner);
                (
                    *partner,
                    member
                        .map(|member| member.admissions.clone())
                        .unwrap_or_default(),
                    member.and_then(|member| member.sealing_key.as_ref().map(|(event, _)| *event)),
                )
            })
            .collect()
    }
}
