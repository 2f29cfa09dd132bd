//! What a control event does, as its public body says.

use std::collections::BTreeMap;
use std::sync::Arc;

use comity_crypto as crypto;

use super::{Judgement, Place};
use crate::body::{GrantBody, InviteBody, RemoveBody, Role};
use crate::codec::encode;
use crate::event::Kind;
use crate::graph::{FrontierIx, Graph, Pos};
use crate::id::{ChannelId, EventId, Hash, PartnerId, WriterId};
use crate::identity::CertificateList;
#[cfg(test)]
use crate::mutation::{self, Mutation};

/// Domain tag of what an endorsement names.
pub const TAG_PROPOSAL: &str = "comity/v1/proposal";

/// What a control event does.
#[derive(Debug, Clone)]
pub enum Act {
    /// Founds the channel; its author is an owner from then on.
    Charter {
        list: WriterList,
        sealing_key: Arc<crypto::SealingPublicKey>,
    },
    Accept {
        sealing_key: Arc<crypto::SealingPublicKey>,
    },
    Invite {
        partner: PartnerId,
        role: Role,
        list: WriterList,
        proposed: Proposed,
    },
    Grant {
        partner: PartnerId,
        role: Role,
        proposed: Proposed,
    },
    Remove {
        partner: PartnerId,
        proposed: Proposed,
    },
    Suspend {
        partner: PartnerId,
        proposed: Proposed,
    },
    Leave,
    SealingKey {
        sealing_key: Arc<crypto::SealingPublicKey>,
    },
    Endorse {
        proposal: Hash,
    },
    SeatMove {
        writer: WriterId,
    },
    /// Signed by the partner's root, whoever the author is.
    SeatTransfer {
        partner: PartnerId,
        list: WriterList,
        seat: WriterId,
    },
    WriterIntroduce {
        partner: PartnerId,
        list: WriterList,
    },
    WriterRetire {
        writer: WriterId,
    },
    Merge,
    /// Proves that a writer forked its log of the control lane at this position.
    Evidence {
        writer: WriterId,
        seq: u64,
    },
}

/// A certificate list as authority needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriterList {
    pub number: u64,
    /// In the order of the list: the first takes the seat where the list admits a partner.
    pub writers: Vec<WriterId>,
}

impl WriterList {
    /// The writers of a list whose certificates hold together.
    pub fn of(list: &CertificateList) -> WriterList {
        WriterList {
            number: list.number,
            writers: list.nodes.iter().map(|node| node.writer()).collect(),
        }
    }
}

/// What an act proposes, and who is said to endorse it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposed {
    pub proposal: Hash,
    /// Events that the act lists; which of them count is another matter.
    pub endorsements: Vec<EventId>,
}

/// What an endorsement of an act names. `subject` is the partner's id, for an invitation the
/// encoded identity; `role` the role granted, if the act grants one.
pub fn proposal(channel: &ChannelId, kind: Kind, subject: &[u8], role: Option<Role>) -> Hash {
    let role = role.map_or(0, u8::from);
    let parts: [&[u8]; 4] = [&channel.0, &[kind.number()], subject, &[role]];
    Hash(crypto::hash(TAG_PROPOSAL, &parts))
}

impl Act {
    /// An invitation into `channel`.
    pub fn invite(channel: &ChannelId, body: &InviteBody) -> Act {
        let subject = encode(&body.partner);
        Act::Invite {
            partner: body.partner.partner(),
            role: body.role,
            list: WriterList::of(&body.partner.certificates),
            proposed: Proposed {
                proposal: proposal(channel, Kind::Invite, &subject, Some(body.role)),
                endorsements: body.endorsements.clone(),
            },
        }
    }

    /// A change of role in `channel`.
    pub fn grant(channel: &ChannelId, body: &GrantBody) -> Act {
        Act::Grant {
            partner: body.partner,
            role: body.role,
            proposed: Proposed {
                proposal: proposal(channel, Kind::Grant, &body.partner.0, Some(body.role)),
                endorsements: body.endorsements.clone(),
            },
        }
    }

    /// A removal from `channel`.
    pub fn remove(channel: &ChannelId, body: &RemoveBody) -> Act {
        Act::Remove {
            partner: body.partner,
            proposed: Proposed {
                proposal: proposal(channel, Kind::Remove, &body.partner.0, None),
                endorsements: body.endorsements.clone(),
            },
        }
    }

    /// A suspension in `channel`.
    pub fn suspend(channel: &ChannelId, body: &RemoveBody) -> Act {
        Act::Suspend {
            partner: body.partner,
            proposed: Proposed {
                proposal: proposal(channel, Kind::Suspend, &body.partner.0, None),
                endorsements: body.endorsements.clone(),
            },
        }
    }

    /// The partner that the act names, if it names one.
    pub(super) fn names(&self) -> Option<PartnerId> {
        match self {
            Act::Invite { partner, .. }
            | Act::Grant { partner, .. }
            | Act::Remove { partner, .. }
            | Act::Suspend { partner, .. }
            | Act::SeatTransfer { partner, .. } => Some(*partner),
            _ => None,
        }
    }

    /// The writer that the act names as a seat, if it names one, and whose.
    pub(crate) fn names_seat(&self, author: PartnerId) -> Option<(WriterId, PartnerId)> {
        match self {
            Act::Charter { list, .. } => Some((*list.writers.first()?, author)),
            Act::Invite { partner, list, .. } => Some((*list.writers.first()?, *partner)),
            Act::SeatMove { writer } => Some((*writer, author)),
            Act::SeatTransfer { partner, seat, .. } => Some((*seat, *partner)),
            _ => None,
        }
    }

    /// What a quorum may carry the act for.
    pub(super) fn proposed(&self) -> Option<&Proposed> {
        match self {
            Act::Invite { proposed, .. }
            | Act::Grant { proposed, .. }
            | Act::Remove { proposed, .. }
            | Act::Suspend { proposed, .. } => Some(proposed),
            _ => None,
        }
    }

    pub(super) fn ends_membership(&self) -> bool {
        matches!(self, Act::Remove { .. } | Act::Suspend { .. } | Act::Leave)
    }

    pub(super) fn sealing_key(&self) -> Option<&Arc<crypto::SealingPublicKey>> {
        match self {
            Act::Charter { sealing_key, .. }
            | Act::Accept { sealing_key }
            | Act::SealingKey { sealing_key } => Some(sealing_key),
            _ => None,
        }
    }

    pub(super) fn list(&self) -> Option<&WriterList> {
        match self {
            Act::Charter { list, .. }
            | Act::Invite { list, .. }
            | Act::SeatTransfer { list, .. }
            | Act::WriterIntroduce { list, .. } => Some(list),
            _ => None,
        }
    }

    pub(super) fn role_given(&self) -> Option<Role> {
        match self {
            Act::Charter { .. } => Some(Role::Owner),
            Act::Invite { role, .. } | Act::Grant { role, .. } => Some(*role),
            _ => None,
        }
    }
}

/// An accepted control event as the fold sees it.
#[derive(Debug, Clone)]
pub struct ControlEvent {
    pub pos: Pos,
    pub id: EventId,
    pub h: u64,
    pub author: PartnerId,
    pub writer: WriterId,
    /// Its control past, itself excluded.
    pub frontier: FrontierIx,
    pub act: Act,
    pub judged: Judgement,
}

impl ControlEvent {
    /// The partner on whose standing the act bears.
    pub(super) fn concerns(&self) -> PartnerId {
        self.act.names().unwrap_or(self.author)
    }

    /// Whether evidence voids the act, given from which position on each proved writer's acts are
    /// void. A charter stays: the channel's id is its hash, and there is no other. Evidence stays:
    /// it proves itself.
    pub(super) fn is_void(&self, forks: &BTreeMap<WriterId, u64>) -> bool {
        #[cfg(test)]
        if mutation::is(Mutation::ForkedActsStand) {
            return false;
        }
        !matches!(self.act, Act::Charter { .. } | Act::Evidence { .. })
            && forks
                .get(&self.writer)
                .is_some_and(|fork| self.pos.seq >= *fork)
    }

    pub(super) fn place(&self) -> Place {
        (self.h, self.id)
    }

    /// Whether `other` lies in this one's past.
    pub(super) fn holds(&self, graph: &Graph, other: &ControlEvent) -> bool {
        graph.frontier_holds(self.frontier, other.pos)
    }
}
