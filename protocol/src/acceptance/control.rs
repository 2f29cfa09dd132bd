//! Control events: what their public bodies say, and who may write them.

use std::collections::BTreeSet;
use std::sync::Arc;

use comity_crypto as crypto;

use super::{Placement, Refusal, author_of, demand, empty_placement, invalid};
use crate::authority::{self, Act, Status, View, WriterList};
use crate::body::{
    CertificatesBody, Charter, EmptyBody, EndorseBody, GrantBody, InviteBody, RemoveBody,
    SealingKeyBody, SeatTransferBody, WriterBody,
};
use crate::channel::Channel;
use crate::codec::{Canonical, Malformed};
use crate::event::{Event, Kind};
use crate::evidence::{self, Forked};
use crate::graph::FrontierIx;
use crate::id::{ChannelId, PartnerId, WriterId};
use crate::identity::Identity;
use crate::lane::{Lane, LaneForm};
use crate::mutation::{self, Mutation};

/// Domain tag of a channel's id.
pub const TAG_CHANNEL: &str = "comity/v1/channel";

/// The id of the channel that a charter founds.
pub fn channel_id(charter_bytes: &[u8]) -> ChannelId {
    ChannelId(crypto::hash(TAG_CHANNEL, &[charter_bytes]))
}

/// Reads a charter event's body.
pub fn charter_of(event: &Event) -> Result<Charter, Malformed> {
    Charter::from_bytes(&event.body)
}

/// The key that signs a charter event, as the charter itself names it, where the event is the
/// charter of the channel it names.
pub(crate) fn founder_key(event: &Event) -> Option<crypto::PublicKey> {
    if event.header.kind() != Kind::Charter || channel_id(&event.body) != event.header.channel {
        return None;
    }
    let writers = charter_of(event).ok()?.creator.verify().ok()?;
    let seat = writers
        .first()
        .filter(|(writer, _)| *writer == event.header.writer)?;
    Some(seat.1)
}

/// Writers that a control event makes known, whether or not it has effect.
#[derive(Debug)]
pub(crate) struct Introduction {
    pub partner: PartnerId,
    /// Absent where the event carries a certificate list alone.
    pub identity: Option<Identity>,
    pub writers: Vec<(WriterId, crypto::PublicKey)>,
}

/// An act and whom it makes known: a charter, an invitation, a writer introduction and a seat
/// transfer do. To check what they carry costs more than all else about an event, so it is done
/// once.
type Deed = (Act, Option<Box<Introduction>>);

pub(super) fn place(
    channel: &Channel,
    event: &Event,
    (frontier, view): (FrontierIx, &Arc<View>),
) -> Result<Placement, Refusal> {
    let (act, introduces) = deed_of(channel, event, (frontier, view))?;
    let author = author_of_act(event, &act, view)?;
    let standing = view.members.get(&author).map(|member| member.status);
    let member = match &act {
        Act::Charter { .. } => true,
        Act::Accept { .. } => standing == Some(Status::Invited),
        _ => standing == Some(Status::Active),
    };
    demand(
        member,
        "by a partner that is no member in the event's own past",
    )?;
    let forked = match act {
        Act::Evidence { writer, seq } => Some(Forked {
            lane: event.header.lane,
            writer,
            seq,
        }),
        _ => None,
    };
    let lane = Lane {
        form: LaneForm::Control,
        audience: BTreeSet::new(),
    };
    Ok(Placement {
        act: Some(act),
        lane: Some(lane),
        introduces,
        forked,
        ..empty_placement(view, author)
    })
}

fn author_of_act(event: &Event, act: &Act, view: &View) -> Result<PartnerId, Refusal> {
    let writer = &event.header.writer;
    if mutation::is(Mutation::SeatNotDemanded) && view.seat_of(writer).is_none() {
        return author_of(view, writer);
    }
    match act {
        Act::Charter { .. } => charter_of(event)
            .map(|charter| charter.creator.partner())
            .map_err(|_| Refusal::Invalid(BODY)),
        Act::Merge | Act::Evidence { .. } => author_of(view, writer),
        // The root's word, whoever carries it.
        Act::SeatTransfer { .. } => match view.seat_of(writer) {
            Some(partner) => Ok(partner),
            None => author_of(view, writer),
        },
        _ => view.seat_of(writer).ok_or(Refusal::Invalid(
            "by a writer that is no partner's seat in the event's own past",
        )),
    }
}

const BODY: &str = "a body that does not fit its kind";

/// Reads what a control event does from its public body, and whom it makes known.
fn deed_of(channel: &Channel, event: &Event, past: (FrontierIx, &View)) -> Result<Deed, Refusal> {
    let body = &event.body;
    match event.header.kind() {
        Kind::Charter => charter(channel, event),
        Kind::Invite => {
            let body = invalid(InviteBody::from_bytes(body), BODY)?;
            let introduces = demand_whole(&body.partner)?;
            Ok((Act::invite(&channel.id, &body), introduces))
        }
        Kind::WriterIntroduce => {
            let CertificatesBody { identity } = invalid(CertificatesBody::from_bytes(body), BODY)?;
            let introduces = demand_whole(&identity)?;
            let act = Act::WriterIntroduce {
                partner: identity.partner(),
                list: WriterList::of(&identity.certificates),
            };
            Ok((act, introduces))
        }
        Kind::SeatTransfer => seat_transfer(channel, event, past),
        _ => Ok((act_of(channel, event, past)?, None)),
    }
}

/// Reads what an act does that makes nobody known.
fn act_of(channel: &Channel, event: &Event, past: (FrontierIx, &View)) -> Result<Act, Refusal> {
    let body = &event.body;
    match event.header.kind() {
        Kind::Accept => Ok(Act::Accept {
            sealing_key: sealing_key(body)?,
        }),
        Kind::SealingKey => Ok(Act::SealingKey {
            sealing_key: sealing_key(body)?,
        }),
        Kind::Grant => {
            let body = invalid(GrantBody::from_bytes(body), BODY)?;
            Ok(Act::grant(&channel.id, &body))
        }
        Kind::Remove => {
            let body = invalid(RemoveBody::from_bytes(body), BODY)?;
            Ok(Act::remove(&channel.id, &body))
        }
        Kind::Suspend => {
            let body = invalid(RemoveBody::from_bytes(body), BODY)?;
            Ok(Act::suspend(&channel.id, &body))
        }
        Kind::Leave => invalid(EmptyBody::from_bytes(body), BODY).map(|_| Act::Leave),
        Kind::Merge => invalid(EmptyBody::from_bytes(body), BODY).map(|_| Act::Merge),
        Kind::Endorse => {
            let EndorseBody { proposal } = invalid(EndorseBody::from_bytes(body), BODY)?;
            Ok(Act::Endorse { proposal })
        }
        Kind::SeatMove => {
            let WriterBody { writer } = invalid(WriterBody::from_bytes(body), BODY)?;
            Ok(Act::SeatMove { writer })
        }
        Kind::WriterRetire => {
            let WriterBody { writer } = invalid(WriterBody::from_bytes(body), BODY)?;
            Ok(Act::WriterRetire { writer })
        }
        Kind::Evidence => {
            let Forked { writer, seq, .. } = evidence::place(channel, event, past.0)?;
            Ok(Act::Evidence { writer, seq })
        }
        _ => Err(Refusal::Invalid(
            "a kind that the charter's version does not know",
        )),
    }
}

fn charter(channel: &Channel, event: &Event) -> Result<Deed, Refusal> {
    let charter = invalid(charter_of(event), BODY)?;
    demand(
        channel_id(&event.body) == channel.id,
        "a charter of another channel",
    )?;
    let introduces = demand_whole(&charter.creator)?;
    let list = WriterList::of(&charter.creator.certificates);
    let first = event.header.seq == 1 && event.header.deps.is_empty();
    demand(
        first && list.writers.first() == Some(&event.header.writer),
        "a charter that is not its creator's first event",
    )?;
    let act = Act::Charter {
        list,
        sealing_key: valid_key(&charter.sealing_key)?,
    };
    Ok((act, introduces))
}

/// The root key is that of the identity under which the partner was admitted: its id names it.
fn seat_transfer(
    channel: &Channel,
    event: &Event,
    (frontier, view): (FrontierIx, &View),
) -> Result<Deed, Refusal> {
    let body = invalid(SeatTransferBody::from_bytes(&event.body), BODY)?;
    let partner = body.certificates.partner;
    let identity = channel
        .identity(&partner)
        .filter(|_| view.members.contains_key(&partner))
        .ok_or(Refusal::Invalid(
            "a seat transfer for a partner unknown in the event's own past",
        ))?;
    let verified = body.certificates.verify_seat_transfer(
        &identity.root_key,
        channel.id,
        body.seat,
        body.after,
        &body.root_signature,
    );
    let writers = invalid(verified, "a seat transfer that does not hold together")?;
    demand(
        channel
            .controls
            .holds(&channel.graph, frontier, &body.after),
        "a seat transfer by whoever has not seen what it is to follow",
    )?;
    let act = Act::SeatTransfer {
        partner,
        list: WriterList::of(&body.certificates),
        seat: body.seat,
    };
    let introduces = Introduction {
        partner,
        identity: None,
        writers,
    };
    Ok((act, Some(Box::new(introduces))))
}

fn demand_whole(identity: &Identity) -> Result<Option<Box<Introduction>>, Refusal> {
    let writers = invalid(identity.verify(), "an identity that does not hold together")?;
    Ok(Some(Box::new(Introduction {
        partner: identity.partner(),
        identity: Some(identity.clone()),
        writers,
    })))
}

fn sealing_key(body: &[u8]) -> Result<Arc<crypto::SealingPublicKey>, Refusal> {
    let body = invalid(SealingKeyBody::from_bytes(body), BODY)?;
    valid_key(&body.sealing_key)
}

fn valid_key(bytes: &[u8]) -> Result<Arc<crypto::SealingPublicKey>, Refusal> {
    crypto::SealingPublicKey::from_bytes(bytes)
        .map(Arc::new)
        .map_err(|_| Refusal::Invalid("not a sealing key"))
}

/// Whether an act is allowed by the role alone of whoever would author it now: asked before
/// writing. What a quorum may carry beyond that, [`Channel::quorum_for`] says.
pub(crate) fn would_have_effect(view: &View, author: &PartnerId, act: &Act) -> bool {
    authority::judge(view, author, act).rank > authority::Rank::None
}
