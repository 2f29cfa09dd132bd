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

impl LaneForm {
    /// The form of a number in a lane frame; the control lane needs none.
    pub fn from_number(number: u8) -> Option<LaneForm> {
        match number {
            2 => Some(LaneForm::Open),
            3 => Some(LaneForm::Directed),
            _ => None,
        }
    }

    pub fn number(self) -> u8 {
        match self {
            LaneForm::Control => 1,
            LaneForm::Open => 2,
            LaneForm::Directed => 3,
        }
    }
}

/// What a partner that joins a channel may read of what was written before, by the charter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum History {
    /// What is written from then on.
    #[default]
    FromJoin,
    /// All open lanes there ever were.
    All,
}

impl History {
    /// The rule of a charter's number.
    pub fn from_number(number: u8) -> Option<History> {
        match number {
            1 => Some(History::FromJoin),
            2 => Some(History::All),
            _ => None,
        }
    }

    pub fn number(self) -> u8 {
        match self {
            History::FromJoin => 1,
            History::All => 2,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            History::FromJoin => "from_join",
            History::All => "all",
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

impl Lane {
    /// Whether every one of `partners` reads the lane, where `members` are the members.
    pub fn is_read_by(
        &self,
        partners: &BTreeSet<PartnerId>,
        history: History,
        members: &BTreeSet<PartnerId>,
    ) -> bool {
        let to_all = self.form == LaneForm::Open && history == History::All;
        partners
            .iter()
            .all(|partner| self.audience.contains(partner) || (to_all && members.contains(partner)))
    }

    /// Whether an event of this lane may depend on one of `other`: whoever reads this lane, now or
    /// after joining later, must be able to hold that.
    pub fn may_cite(&self, other: &Lane, history: History, members: &BTreeSet<PartnerId>) -> bool {
        let to_all = self.form == LaneForm::Open && history == History::All;
        other.is_read_by(&self.audience, history, members)
            && (!to_all || other.form == LaneForm::Open)
    }

    /// The readers among `members`.
    pub fn readers(&self, history: History, members: &BTreeSet<PartnerId>) -> BTreeSet<PartnerId> {
        if self.form == LaneForm::Open && history == History::All {
            return members.clone();
        }
        self.audience.intersection(members).copied().collect()
    }
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
