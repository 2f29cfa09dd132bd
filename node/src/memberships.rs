//! What of the channels' memberships is on record: whoever changed something, here or elsewhere,
//! it goes on record when it takes effect here.

use std::collections::{BTreeMap, BTreeSet};

use comity_protocol::authority::Status;
use comity_protocol::body::Role;
use comity_protocol::channel::Channel;
use comity_protocol::id::{ChannelId, PartnerId};
use comity_protocol::replica::Replica;

/// What a partner is in a channel.
type Place = (Status, Role);

/// The places of partners as they were put on record last.
pub struct Memberships {
    recorded: BTreeMap<ChannelId, BTreeMap<PartnerId, Place>>,
    /// Channels that may have changed since.
    due: BTreeSet<ChannelId>,
}

impl Memberships {
    /// Of a node that starts: what it holds was put on record before.
    pub fn of(replica: &Replica) -> Memberships {
        let own = replica.partner();
        let channels = replica.channels().values();
        let places = channels.map(|channel| (channel.id, places(channel, &own)));
        Memberships {
            recorded: places.collect(),
            due: BTreeSet::new(),
        }
    }

    /// A channel's control state may have changed.
    pub fn touch(&mut self, channel: ChannelId) {
        self.due.insert(channel);
    }

    /// The changes since the last call, in words, which the caller puts on record.
    pub fn take_changes(&mut self, replica: &Replica) -> Vec<String> {
        let own = replica.partner();
        let mut changes = Vec::new();
        for id in std::mem::take(&mut self.due) {
            let Some(channel) = replica.channels().get(&id) else {
                continue;
            };
            let now = places(channel, &own);
            let before = self.recorded.insert(id, now.clone()).unwrap_or_default();
            let partners: BTreeSet<&PartnerId> = before.keys().chain(now.keys()).collect();
            for partner in partners {
                let (was, is) = (before.get(partner), now.get(partner));
                if was != is {
                    changes.push(change(channel, partner, was, is));
                }
            }
        }
        changes
    }
}

/// Who is what in a channel; nothing of a channel that is none of this partner's.
fn places(channel: &Channel, own: &PartnerId) -> BTreeMap<PartnerId, Place> {
    let members = &channel.present().members;
    if !members.contains_key(own) {
        return BTreeMap::new();
    }
    members
        .iter()
        .map(|(partner, member)| (*partner, (member.status, member.role)))
        .collect()
}

fn change(
    channel: &Channel,
    partner: &PartnerId,
    was: Option<&Place>,
    is: Option<&Place>,
) -> String {
    let channel_name = channel
        .charter
        .as_ref()
        .map(|charter| charter.name.as_str());
    let name = channel.identity(partner).map(|held| held.name.as_str());
    format!(
        "channel {} ({}): partner {partner} ({}) is {}, was {}",
        channel.id,
        channel_name.unwrap_or_default(),
        name.unwrap_or_default(),
        words(is),
        words(was),
    )
}

fn words(place: Option<&Place>) -> String {
    match place {
        None => "nothing there".into(),
        Some((status @ (Status::Invited | Status::Active), role)) => {
            let role = match role {
                Role::Observer => "observer",
                Role::Contributor => "contributor",
                Role::Admin => "admin",
                Role::Owner => "owner",
            };
            format!("{} as {role}", status.as_str())
        }
        Some((status, _)) => status.as_str().into(),
    }
}
