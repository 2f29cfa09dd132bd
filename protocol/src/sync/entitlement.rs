//! Who may be told what of a lane, and whose word on a lane moves this node to ask.

use std::collections::BTreeMap;

use super::Channels;
use crate::authority::Status;
use crate::channel::Channel;
use crate::id::{ChannelId, LaneId, PartnerId};
use crate::lane::{self, History, LaneForm};
use crate::limits;
use crate::mutation::{self, Mutation};
use crate::wire::ShowLane;

/// Whether `peer` may be sent events of a lane: it reads the lane and is a member (or, for the
/// control lane, invited) in the present state. Whoever may not gets the answer that it would
/// get for a lane that does not exist.
pub fn may_read(channel: &Channel, peer: &PartnerId, lane: &LaneId) -> bool {
    let member = channel.present().members.get(peer);
    let Some(status) = member.map(|member| member.status) else {
        return false;
    };
    if *lane == channel.control_lane {
        return matches!(status, Status::Invited | Status::Active);
    }
    if mutation::is(Mutation::FormerMemberServed) {
        return true;
    }
    let reads = mutation::is(Mutation::AudienceIgnored);
    let reads = reads
        || channel.lane(lane).is_some_and(|lane| {
            let to_all = lane.form == LaneForm::Open && channel.history() == History::All;
            to_all || lane.audience.contains(peer)
        });
    status == Status::Active && reads
}

/// Whether a peer has no standing in a channel that is held here: what it says of the control lane
/// may bring an invitation, and nothing that is held is to show in the asking.
pub fn is_stranger(channel: &Channel, peer: &PartnerId) -> bool {
    !channel.present().members.contains_key(peer)
}

/// The lanes that a peer has shown to read, by naming their audience. A lane's id is the hash of
/// its audience: whoever is not in it cannot show it.
#[derive(Debug, Default)]
pub struct Shown {
    lanes: BTreeMap<(ChannelId, LaneId), Showing>,
}

#[derive(Debug, Clone, Copy)]
struct Showing {
    names_both: bool,
    open: bool,
}

impl Shown {
    /// Takes a lane frame of `peer`; one more than the peer may show is passed over.
    pub fn take(&mut self, own: &PartnerId, peer: &PartnerId, shown: &ShowLane) {
        let Some(form) = LaneForm::from_number(shown.form) else {
            return;
        };
        let audience = shown.audience.iter().copied().collect();
        let lane = lane::lane_id(shown.channel, form, &audience);
        let at = (shown.channel, lane);
        if self.lanes.len() >= limits::LANES_SHOWN && !self.lanes.contains_key(&at) {
            return;
        }
        let showing = Showing {
            names_both: audience.contains(own) && audience.contains(peer),
            open: form == LaneForm::Open,
        };
        self.lanes.insert(at, showing);
    }

    /// How many lanes the peer has shown.
    pub fn len(&self) -> usize {
        self.lanes.len()
    }

    /// Whether what `peer` says of a lane may move this node to ask for it. Asking shows what is
    /// held here, so the peer must read the lane, or nothing may show. To learn of a channel at
    /// all, anybody may be asked for a control lane in which it has no place yet.
    pub fn may_tell(
        &self,
        channels: &Channels,
        own: &PartnerId,
        peer: &PartnerId,
        (channel, lane): (ChannelId, LaneId),
    ) -> bool {
        let Some(held) = channels.get(&channel) else {
            return lane == lane::control_lane(channel);
        };
        if lane == held.control_lane {
            return may_read(held, peer, &lane) || is_stranger(held, peer);
        }
        let members = held.present();
        let Some(showing) = self.lanes.get(&(channel, lane)) else {
            return false;
        };
        let both = members.member(peer).is_some() && members.member(own).is_some();
        both && (showing.names_both || (showing.open && held.history() == History::All))
    }
}
