//! What somebody wants to write.

use std::collections::BTreeSet;

use comity_crypto as crypto;
use serde_bytes::ByteBuf;

use super::partners::{of_node, partner};
use crate::body::{
    CertificatesBody, EmptyBody, EndorseBody, GrantBody, InviteBody, RemoveBody, Role,
    SealingKeyBody, WriterBody,
};
use crate::codec::{Canonical, encode};
use crate::event::Kind;
use crate::id::{ChannelId, EventId, Hash};

/// For whom a message is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum To {
    /// All members.
    Open,
    /// These partners, by a directed lane.
    Only(BTreeSet<usize>),
}

impl To {
    pub fn only(partners: &[usize]) -> To {
        To::Only(partners.iter().copied().collect())
    }
}

#[derive(Debug, Clone)]
pub enum Wish {
    Post,
    Reply(EventId),
    Edit(EventId),
    Redact(EventId),
    React(EventId),
    Pin(EventId),
    Receipt(EventId),
    File(Option<EventId>),
    Roster,
    Invite(usize, Role),
    /// With another of the partner's lists than the first.
    InviteWith(usize, Role, usize),
    Accept,
    Grant(usize, Role),
    Remove(usize),
    Suspend(usize),
    Leave,
    /// Announces the sealing key of this generation.
    SealingKey(usize),
    /// Endorses what this wish proposes.
    Endorse(Box<Wish>),
    /// The act with the endorsements that it lists.
    Endorsed(Box<Wish>, Vec<EventId>),
    /// One of its partner's lists.
    Introduce(usize),
    /// One of its partner's nodes.
    Retire(usize),
    SeatMove(usize),
    /// What this partner's root says: a list, the node that is to have the seat, and the event up
    /// to which it trusts the former one.
    Transfer(usize, usize, usize, EventId),
    Merge,
    Cut,
    /// A new lane epoch, in so many parts.
    Key(usize),
}

impl Wish {
    pub fn kind(&self) -> Kind {
        match self {
            Wish::Post | Wish::Reply(_) => Kind::Post,
            Wish::Edit(_) => Kind::Edit,
            Wish::Redact(_) => Kind::Redact,
            Wish::React(_) => Kind::React,
            Wish::Pin(_) => Kind::Pin,
            Wish::Receipt(_) => Kind::Receipt,
            Wish::File(_) => Kind::File,
            Wish::Roster => Kind::Roster,
            Wish::Invite(..) | Wish::InviteWith(..) => Kind::Invite,
            Wish::Accept => Kind::Accept,
            Wish::Grant(..) => Kind::Grant,
            Wish::Remove(_) => Kind::Remove,
            Wish::Suspend(_) => Kind::Suspend,
            Wish::Leave => Kind::Leave,
            Wish::SealingKey(_) => Kind::SealingKey,
            Wish::Endorse(_) => Kind::Endorse,
            Wish::Endorsed(act, _) => act.kind(),
            Wish::Introduce(_) => Kind::WriterIntroduce,
            Wish::Retire(_) => Kind::WriterRetire,
            Wish::SeatMove(_) => Kind::SeatMove,
            Wish::Transfer(..) => Kind::SeatTransfer,
            Wish::Merge => Kind::Merge,
            Wish::Cut => Kind::Cut,
            Wish::Key(_) => Kind::Key,
        }
    }

    pub fn about(&self) -> Option<EventId> {
        match self {
            Wish::Reply(target)
            | Wish::Edit(target)
            | Wish::Redact(target)
            | Wish::React(target)
            | Wish::Pin(target)
            | Wish::Receipt(target)
            | Wish::File(Some(target)) => Some(*target),
            _ => None,
        }
    }

    /// The hash by which owners endorse this act; nothing where it cannot be endorsed.
    pub fn proposal(&self, channel: ChannelId) -> Option<Hash> {
        let (subject, role): (Vec<u8>, u8) = match self {
            Wish::Invite(whom, role) => (encode(&partner(*whom).identity), *role as u8),
            Wish::InviteWith(whom, role, list) => {
                (encode(partner(*whom).with_list(*list)), *role as u8)
            }
            Wish::Grant(whom, role) => (partner(*whom).id.0.to_vec(), *role as u8),
            Wish::Remove(whom) | Wish::Suspend(whom) => (partner(*whom).id.0.to_vec(), 0),
            Wish::Endorsed(act, _) => return act.proposal(channel),
            _ => return None,
        };
        let parts: [&[u8]; 4] = [&channel.0, &[self.kind().number()], &subject, &[role]];
        Some(Hash(crypto::hash("comity/v1/proposal", &parts)))
    }

    /// The public body; what stands for a sealed one otherwise, since acceptance never opens it.
    pub fn body(&self, channel: ChannelId, who: usize, generation: usize) -> Vec<u8> {
        self.body_with(channel, who, generation, Vec::new())
    }

    fn body_with(
        &self,
        channel: ChannelId,
        who: usize,
        generation: usize,
        endorsements: Vec<EventId>,
    ) -> Vec<u8> {
        let author = of_node(who);
        let key = |sealing_key: ByteBuf| SealingKeyBody { sealing_key }.to_bytes();
        let writer = |node: usize| {
            let writer = author.node(node);
            WriterBody { writer }.to_bytes()
        };
        let invite = |whom: usize, role: Role, list: usize, endorsements: Vec<EventId>| {
            let partner = partner(whom).with_list(list).clone();
            InviteBody {
                partner,
                role,
                endorsements,
            }
            .to_bytes()
        };
        match self {
            Wish::Invite(whom, role) => invite(*whom, *role, 0, endorsements),
            Wish::InviteWith(whom, role, list) => invite(*whom, *role, *list, endorsements),
            Wish::Accept => key(author.sealing_key(generation)),
            Wish::SealingKey(generation) => key(author.sealing_key(*generation)),
            Wish::Grant(whom, role) => GrantBody {
                partner: partner(*whom).id,
                role: *role,
                endorsements,
            }
            .to_bytes(),
            Wish::Remove(whom) | Wish::Suspend(whom) => RemoveBody {
                partner: partner(*whom).id,
                endorsements,
            }
            .to_bytes(),
            Wish::Endorsed(act, listed) => act.body_with(channel, who, generation, listed.clone()),
            Wish::Endorse(act) => EndorseBody {
                proposal: act.proposal(channel).unwrap_or(Hash([0; 32])),
            }
            .to_bytes(),
            Wish::Introduce(list) => CertificatesBody {
                identity: author.with_list(*list).clone(),
            }
            .to_bytes(),
            Wish::Retire(node) | Wish::SeatMove(node) => writer(*node),
            Wish::Transfer(whom, list, node, after) => {
                let whom = partner(*whom);
                whom.seat_transfer(channel, *list, whom.node(*node), *after)
                    .to_bytes()
            }
            Wish::Leave | Wish::Merge | Wish::Cut => EmptyBody {}.to_bytes(),
            _ => b"sealed".to_vec(),
        }
    }
}
