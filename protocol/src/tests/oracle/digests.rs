//! Digests of lanes (section 13).

use std::collections::{BTreeMap, BTreeSet};

use comity_crypto as crypto;
use serde::Serialize;

use super::{Ids, Oracle};
use crate::codec::encode;
use crate::event::Header;
use crate::id::{EventId, Hash, LaneId, PartnerId, WriterId};

/// What two nodes compare of a lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digests {
    pub timeline: Hash,
    pub state: Hash,
    pub heads: Hash,
}

/// A member as the state digest of the control lane covers it.
#[derive(Serialize)]
struct Member {
    partner: PartnerId,
    status: u8,
    role: u8,
    seat: WriterId,
    writers: BTreeSet<WriterId>,
    number: u64,
    admissions_and_keys: Ids,
    announcement: Option<EventId>,
}

impl Oracle {
    /// Per lane of which an event is accepted.
    pub fn digests(&self) -> BTreeMap<LaneId, Digests> {
        let (flagged, forked) = (self.flagged(), self.forked());
        let lanes: BTreeSet<LaneId> = self.accepted().map(|id| self.header(id).lane).collect();
        let hash = |tag: &'static str, bytes: &[u8]| Hash(crypto::hash(tag, &[bytes]));
        let digests = |lane: LaneId| {
            let of_lane = |ids: &Ids| -> Ids {
                let in_lane = ids.iter().filter(|id| self.header(id).lane == lane);
                in_lane.copied().collect()
            };
            let mut shown = self.timeline();
            let redacted = self.redacted_within(lane);
            shown.retain(|id| self.header(id).lane == lane && !redacted.contains(id));
            let joined: Vec<u8> = shown.iter().flat_map(|id| id.0).collect();
            let state = if lane == self.control_lane() {
                self.control_state()
            } else {
                encode(&(redacted, of_lane(&flagged), of_lane(&forked)))
            };
            Digests {
                timeline: hash("comity/v1/timeline", &joined),
                state: hash("comity/v1/state", &state),
                heads: hash("comity/v1/heads", &encode(&self.heads(lane))),
            }
        };
        lanes
            .into_iter()
            .map(|lane| (lane, digests(lane)))
            .collect()
    }

    fn control_state(&self) -> Vec<u8> {
        let present = self.present();
        let members = present.members.iter().map(|(partner, member)| Member {
            partner: *partner,
            status: member.status as u8,
            role: member.role as u8,
            seat: member.seat,
            writers: member.writers.clone(),
            number: member.number,
            admissions_and_keys: member.admissions_and_keys.clone(),
            announcement: member.sealing_key.map(|(announcement, _)| announcement),
        });
        encode(&(members.collect::<Vec<Member>>(), &present.effective))
    }

    /// The last accepted event of each branch of each log.
    fn heads(&self, lane: LaneId) -> BTreeSet<(WriterId, u64, EventId)> {
        let in_lane = |id: &&EventId| self.header(id).lane == lane;
        let followed: Ids = self
            .accepted()
            .filter_map(|id| self.header(id).prev)
            .collect();
        let heads = self.accepted().filter(in_lane);
        let heads = heads.filter(|id| !followed.contains(id));
        heads
            .map(|id| (self.header(id).writer, self.header(id).seq, *id))
            .collect()
    }

    fn header(&self, id: &EventId) -> &Header {
        &self.event(id).header
    }
}
