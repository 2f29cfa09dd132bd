//! Lanes: all events of one channel for one audience.

use std::collections::BTreeSet;

use comity_crypto as crypto;

use crate::id::{ChannelId, LaneId, PartnerId};

/// Domain tag of a lane's id.
pub const TAG_LANE: &str = "comity/v1/lane";

/// What a lane is, in its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LaneForm {
    /// For all members and invited partners; never pruned.
    Control,
    /// For exactly the members at the time.
    Open,
    /// For a stated audience.
    Directed,
}

impl LaneForm {
    fn as_str(self) -> &'static str {
        match self {
            LaneForm::Control => "control",
            LaneForm::Open => "open",
            LaneForm::Directed => "directed",
        }
    }
}

/// A lane of which something was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lane {
    pub form: LaneForm,
    /// The partners it is for; empty for the control lane, which follows the membership.
    pub audience: BTreeSet<PartnerId>,
}

/// The id of a channel's control lane.
pub fn control_lane(channel: ChannelId) -> LaneId {
    lane_id(channel, LaneForm::Control, &BTreeSet::new())
}

/// The id of the lane of `form` for `audience`: the hash of the channel, the form and the
/// sorted partner ids.
pub fn lane_id(channel: ChannelId, form: LaneForm, audience: &BTreeSet<PartnerId>) -> LaneId {
    let mut parts: Vec<&[u8]> = vec![&channel.0, form.as_str().as_bytes()];
    parts.extend(audience.iter().map(|partner| partner.0.as_slice()));
    LaneId(crypto::hash(TAG_LANE, &parts))
}
