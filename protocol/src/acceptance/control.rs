//! Control events: what their public bodies say, and who may write them.

use std::collections::BTreeSet;
use std::sync::Arc;

use comity_crypto as crypto;

use super::{Placement, Refusal, author_of, demand, empty_placement, invalid};
use crate::authority::{self, Act, Status, View};
use crate::body::{Charter, EmptyBody, GrantBody, InviteBody, RemoveBody, SealingKeyBody};
use crate::channel::Channel;
use crate::codec::{Canonical, Malformed};
use crate::event::{Event, Kind};
use crate::id::{ChannelId, PartnerId, WriterId};
use crate::identity::Identity;
use crate::lane::{Lane, LaneForm};

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

/// The partner that a charter or an invitation introduces, and its writers.
pub(crate) fn introduction(
    event: &Event,
) -> Option<(Identity, Vec<(WriterId, crypto::PublicKey)>)> {
    let identity = match event.header.kind() {
        Kind::Charter => charter_of(event).ok()?.creator,
        Kind::Invite => InviteBody::from_bytes(&event.body).ok()?.partner,
        _ => return None,
    };
    let writers = identity.verify().ok()?;
    Some((identity, writers))
}

pub(super) fn place(
    channel: &Channel,
    event: &Event,
    view: &Arc<View>,
) -> Result<Placement, Refusal> {
    let header = &event.header;
    let act = act_of(channel, event)?;
    let author = match &act {
        Act::Charter { .. } => {
            let identity = introduction(event).map(|(identity, _)| identity.partner());
            identity.ok_or(Refusal::Invalid(
                "a charter whose creator does not hold together",
            ))?
        }
        _ => author_of(view, &header.writer)?,
    };
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
    let lane = Lane {
        form: LaneForm::Control,
        audience: BTreeSet::new(),
    };
    Ok(Placement {
        act: Some(act),
        lane: Some(lane),
        ..empty_placement(view, author)
    })
}

/// Reads what a control event does from its public body.
fn act_of(channel: &Channel, event: &Event) -> Result<Act, Refusal> {
    let why = "a body that does not fit its kind";
    let seat = |identity: &Identity| {
        let writers = invalid(identity.verify(), "an identity that does not hold together")?;
        demand(writers.len() == 1, "version 1 knows one writer per partner")?;
        Ok::<WriterId, Refusal>(writers[0].0)
    };
    let sealing = |bytes: &[u8]| {
        let key = crypto::SealingPublicKey::from_bytes(bytes)
            .map_err(|_| Refusal::Invalid("not a sealing key"))?;
        Ok::<_, Refusal>(Arc::new(key))
    };
    match event.header.kind() {
        Kind::Charter => {
            let charter = invalid(charter_of(event), why)?;
            demand(
                channel_id(&event.body) == channel.id,
                "a charter of another channel",
            )?;
            let seat = seat(&charter.creator)?;
            let first = event.header.seq == 1 && event.header.deps.is_empty();
            demand(
                first && seat == event.header.writer,
                "a charter that is not its creator's first event",
            )?;
            Ok(Act::Charter {
                seat,
                sealing_key: sealing(&charter.sealing_key)?,
            })
        }
        Kind::Accept | Kind::SealingKey => {
            let body = invalid(SealingKeyBody::from_bytes(&event.body), why)?;
            let sealing_key = sealing(&body.sealing_key)?;
            Ok(match event.header.kind() {
                Kind::Accept => Act::Accept { sealing_key },
                _ => Act::SealingKey { sealing_key },
            })
        }
        Kind::Invite => {
            let body = invalid(InviteBody::from_bytes(&event.body), why)?;
            demand(
                body.endorsements.is_empty(),
                "version 1 knows no endorsements",
            )?;
            Ok(Act::Invite {
                partner: body.partner.partner(),
                role: body.role,
                seat: seat(&body.partner)?,
            })
        }
        Kind::Grant => {
            let body = invalid(GrantBody::from_bytes(&event.body), why)?;
            demand(
                body.endorsements.is_empty(),
                "version 1 knows no endorsements",
            )?;
            Ok(Act::Grant {
                partner: body.partner,
                role: body.role,
            })
        }
        Kind::Remove | Kind::Suspend => {
            let body = invalid(RemoveBody::from_bytes(&event.body), why)?;
            demand(
                body.endorsements.is_empty(),
                "version 1 knows no endorsements",
            )?;
            Ok(match event.header.kind() {
                Kind::Remove => Act::Remove {
                    partner: body.partner,
                },
                _ => Act::Suspend {
                    partner: body.partner,
                },
            })
        }
        Kind::Leave => invalid(EmptyBody::from_bytes(&event.body), why).map(|_| Act::Leave),
        _ => Err(Refusal::Invalid(
            "a kind that the charter's version does not know",
        )),
    }
}

/// Whether an act is refused to whoever would author it now: asked before writing.
pub(crate) fn would_have_effect(view: &View, author: &PartnerId, act: &Act) -> bool {
    authority::judge(view, author, act).rank > authority::Rank::None
}
