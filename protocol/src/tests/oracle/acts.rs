//! What control events say: their bodies, read by the rules of section 8 and rule 7.

use std::collections::BTreeSet;

use comity_crypto as crypto;

use super::{Ids, Oracle, Place};
use crate::body::{
    CertificatesBody, Charter, EmptyBody, EndorseBody, GrantBody, InviteBody, RemoveBody, Role,
    SealingKeyBody, SeatTransferBody, WriterBody,
};
use crate::codec::{Canonical, encode};
use crate::event::{Event, Kind};
use crate::id::{EventId, Hash, KeyBytes, PartnerId, WriterId};
use crate::identity::{CertificateList, Identity, writer_id};

/// A certificate list: whose, its number, and the writers in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    pub partner: PartnerId,
    pub number: u64,
    pub writers: Vec<WriterId>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    Charter(List, [u8; 32]),
    /// With the encoded identity, which is what a proposal names.
    Invite(List, Role, Vec<u8>, Ids),
    Accept([u8; 32]),
    SealingKey([u8; 32]),
    Grant(PartnerId, Role, Ids),
    Remove(PartnerId, Ids),
    Suspend(PartnerId, Ids),
    Leave,
    Endorse(Hash),
    SeatMove(WriterId),
    SeatTransfer(List, WriterId),
    Introduce(List),
    Retire(WriterId),
    Merge,
    /// An acknowledgement of the control lane, which does nothing there.
    Ack,
    /// The writer, and the position that it forked.
    Evidence(WriterId, u64),
}

impl Act {
    /// The partner that the act names; for a charter or a leave its author.
    pub fn target(&self, author: PartnerId) -> Option<PartnerId> {
        match self {
            Act::Charter(..) | Act::Leave => Some(author),
            Act::Invite(list, ..) | Act::SeatTransfer(list, _) => Some(list.partner),
            Act::Grant(partner, ..) | Act::Remove(partner, _) | Act::Suspend(partner, _) => {
                Some(*partner)
            }
            _ => None,
        }
    }

    /// The endorsements that the act lists.
    pub fn listed(&self) -> Option<&Ids> {
        match self {
            Act::Invite(.., listed)
            | Act::Grant(.., listed)
            | Act::Remove(_, listed)
            | Act::Suspend(_, listed) => Some(listed),
            _ => None,
        }
    }

    /// The certificate list that the act carries.
    pub fn list(&self) -> Option<&List> {
        match self {
            Act::Charter(list, _)
            | Act::Invite(list, ..)
            | Act::SeatTransfer(list, _)
            | Act::Introduce(list) => Some(list),
            _ => None,
        }
    }
}

pub fn charter(body: &[u8]) -> Option<Charter> {
    Charter::from_bytes(body).ok()
}

impl Oracle {
    /// Rule 7.
    pub(super) fn read_act(&self, event: &Event, place: &Place) -> Option<Act> {
        let body = event.body.as_slice();
        Some(match event.header.kind() {
            Kind::Charter => self.read_charter(event)?,
            Kind::Accept => Act::Accept(read_key(body)?),
            Kind::SealingKey => Act::SealingKey(read_key(body)?),
            Kind::Invite => {
                let invite = InviteBody::from_bytes(body).ok()?;
                let list = list_of(&invite.partner)?;
                let listed = endorsements(&invite.endorsements)?;
                Act::Invite(list, invite.role, encode(&invite.partner), listed)
            }
            Kind::Grant => {
                let grant = GrantBody::from_bytes(body).ok()?;
                Act::Grant(
                    grant.partner,
                    grant.role,
                    endorsements(&grant.endorsements)?,
                )
            }
            Kind::Remove => {
                let remove = RemoveBody::from_bytes(body).ok()?;
                Act::Remove(remove.partner, endorsements(&remove.endorsements)?)
            }
            Kind::Suspend => {
                let suspend = RemoveBody::from_bytes(body).ok()?;
                Act::Suspend(suspend.partner, endorsements(&suspend.endorsements)?)
            }
            Kind::Leave => EmptyBody::from_bytes(body).ok().map(|_| Act::Leave)?,
            Kind::Merge => EmptyBody::from_bytes(body).ok().map(|_| Act::Merge)?,
            Kind::Ack => Act::Ack,
            Kind::Endorse => Act::Endorse(EndorseBody::from_bytes(body).ok()?.proposal),
            Kind::SeatMove => Act::SeatMove(WriterBody::from_bytes(body).ok()?.writer),
            Kind::WriterRetire => Act::Retire(WriterBody::from_bytes(body).ok()?.writer),
            Kind::WriterIntroduce => {
                Act::Introduce(list_of(&CertificatesBody::from_bytes(body).ok()?.identity)?)
            }
            Kind::SeatTransfer => self.read_seat_transfer(body, place)?,
            Kind::Evidence => {
                let (writer, seq) = self.proved_by(event, place)?;
                Act::Evidence(writer, seq)
            }
            _ => return None,
        })
    }

    fn read_charter(&self, event: &Event) -> Option<Act> {
        let charter = charter(&event.body)?;
        let list = list_of(&charter.creator)?;
        let key = sealing_key_id(&charter.sealing_key)?;
        let here = crypto::hash("comity/v1/channel", &[&event.body]) == self.channel.0;
        let first = event.header.seq == 1 && event.header.deps.is_empty();
        let by_creator = event.header.writer == list.writers[0];
        let known = matches!(charter.history, 1 | 2) && matches!(charter.finality, 1 | 2);
        let quorum = charter.quorum <= 64;
        (here && first && by_creator && known && quorum).then_some(Act::Charter(list, key))
    }

    fn read_seat_transfer(&self, body: &[u8], place: &Place) -> Option<Act> {
        let transfer = SeatTransferBody::from_bytes(body).ok()?;
        let certificates = &transfer.certificates;
        let list = List {
            partner: certificates.partner,
            number: certificates.number,
            writers: writers_that_hold_together(certificates)?,
        };
        if !place.view.members.contains_key(&list.partner)
            || !list.writers.contains(&transfer.seat)
            || !place.frontier.contains(&transfer.after)
            || *self.act(&transfer.after) == Act::Ack
        {
            return None;
        }
        let root = self.root_key(&list.partner, &place.frontier)?;
        let signed = crypto::hash(
            "comity/v1/seat-transfer",
            &[
                &self.channel.0,
                &encode(certificates),
                &transfer.seat.0,
                &transfer.after.0,
            ],
        );
        root.verify(
            "comity/v1/seat-transfer",
            &signed,
            &transfer.root_signature.0,
        )
        .ok()?;
        Some(Act::SeatTransfer(list, transfer.seat))
    }

    /// The root key that a charter or an invitation of this partner shows. The partner's id is
    /// its hash, so that all show the same.
    fn root_key(&self, partner: &PartnerId, among: &Ids) -> Option<crypto::PublicKey> {
        let identity = |id: &EventId| {
            let event = self.event(id);
            match event.header.kind() {
                Kind::Charter => Some(Charter::from_bytes(&event.body).ok()?.creator),
                Kind::Invite => Some(InviteBody::from_bytes(&event.body).ok()?.partner),
                _ => None,
            }
        };
        let mut identities = among.iter().filter_map(identity);
        let identity = identities.find(|identity| identity.partner() == *partner)?;
        crypto::PublicKey::register(&identity.root_key.0).ok()
    }
}

/// The list of an identity that holds together.
fn list_of(identity: &Identity) -> Option<List> {
    identity.verify().ok()?;
    let list = &identity.certificates;
    let writers = list.nodes.iter().map(|node| writer_id(&node.signing_key));
    Some(List {
        partner: identity.partner(),
        number: list.number,
        writers: writers.collect(),
    })
}

/// What an identity demands of its list, for a list that comes without its identity.
fn writers_that_hold_together(list: &CertificateList) -> Option<Vec<WriterId>> {
    if list.version != 1 || list.suite != 1 || !(1..=4).contains(&list.nodes.len()) {
        return None;
    }
    let writer = |node: &crate::identity::NodeCertificate| {
        let key = crypto::PublicKey::register(&node.signing_key.0).ok()?;
        let KeyBytes(key_bytes) = &node.signing_key;
        let name = node.name.as_str().as_bytes();
        let parts: [&[u8]; 4] = [&list.partner.0, key_bytes, &node.tls_pin.0, name];
        let digest = crypto::hash("comity/v1/possession", &parts);
        key.verify("comity/v1/possession", &digest, &node.possession.0)
            .ok()?;
        Some(writer_id(&node.signing_key))
    };
    list.nodes.iter().map(writer).collect()
}

fn read_key(body: &[u8]) -> Option<[u8; 32]> {
    sealing_key_id(&SealingKeyBody::from_bytes(body).ok()?.sealing_key)
}

fn sealing_key_id(bytes: &[u8]) -> Option<[u8; 32]> {
    let key = crypto::SealingPublicKey::from_bytes(bytes).ok()?;
    Some(key.id())
}

/// At most 64, sorted, none twice.
fn endorsements(listed: &[EventId]) -> Option<Ids> {
    let ids: BTreeSet<EventId> = listed.iter().copied().collect();
    (listed.len() <= 64 && ids.iter().eq(listed)).then_some(ids)
}
