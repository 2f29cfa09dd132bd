//! Who is known of other partners: by the rosters that they publish in the channels, and by what
//! people wrote. A partner speaks of its own users alone, and of so many of them at most.

use std::collections::BTreeMap;

use comity_protocol::body::RosterUser;
use comity_protocol::channel::Channel;
use comity_protocol::graph::Pos;
use comity_protocol::id::{LaneId, PartnerId};

use super::feed::RemoteUser;
use super::id::Id;

/// Users of one partner that are known by its rosters: a partner of thousands; one that invents
/// names costs no more than that.
pub const LISTED: usize = 10_000;
/// Users of one partner that are known by what they wrote alone: as many.
pub const HEARD: usize = 10_000;
/// Roster events of one partner that are read of a channel when the node starts, the last ones:
/// also if each names one user, they name all who may be known.
pub const READ: usize = LISTED;

/// A roster that can be read.
#[derive(Debug, Clone)]
pub struct Told {
    pub room: Id,
    pub partner: PartnerId,
    pub lane: LaneId,
    order: Order,
    pub users: Vec<RosterUser>,
}

/// Where a roster stands in the timeline of its channel; between channels, its time counts.
type Order = (u64, u64, Id);

impl Told {
    pub fn new(channel: &Channel, pos: Pos, users: Vec<RosterUser>) -> Told {
        let (t, h, _, _, _, id) = channel.timeline_key(pos);
        Told {
            room: Id::of_channel(&channel.id),
            partner: channel.author(pos).partner,
            lane: channel.lane_of(pos),
            order: (t, h, Id::of_event(&id)),
            users,
        }
    }
}

/// The last word on a user in one channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    order: Order,
    pub lane: LaneId,
    /// [`digest`] of the display name.
    pub display: Id,
    pub present: bool,
}

/// Stands for a display name: the name itself is kept once a user.
pub fn digest(display_name: &str) -> Id {
    Id::hashed("comity display name", &[display_name.as_bytes()])
}

#[derive(Default)]
struct Listed {
    latest: Order,
    rooms: BTreeMap<Id, Word>,
}

/// How many users of a partner are known, and how many were passed over.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    pub listed: usize,
    pub heard: usize,
    pub over: u64,
}

/// What partners say of their users, this one included.
#[derive(Default)]
pub struct Rosters {
    listed: BTreeMap<Id, Listed>,
    counts: BTreeMap<PartnerId, Counts>,
}

/// What a roster, or a name in a message, led to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Learned {
    /// Users of other partners that are new, or look otherwise than before.
    pub changed: Vec<Id>,
    /// The partner's users are more than are known, for the first time.
    pub over: Option<PartnerId>,
}

impl Learned {
    pub fn add(&mut self, more: Learned) {
        self.changed.extend(more.changed);
        self.over = self.over.or(more.over);
    }
}

impl Rosters {
    /// The last word on a user in a channel.
    pub fn word(&self, user: &Id, room: &Id) -> Option<&Word> {
        self.listed.get(user)?.rooms.get(room)
    }

    /// Whether any roster names the user.
    pub fn is_listed(&self, user: &Id) -> bool {
        self.listed.contains_key(user)
    }

    /// The users of other partners that a roster in this channel names.
    pub fn named_in(&self, room: &Id) -> Vec<Id> {
        let named = self
            .listed
            .iter()
            .filter(|(_, it)| it.rooms.contains_key(room));
        named.map(|(user, _)| *user).collect()
    }

    pub fn counts(&self, partner: &PartnerId) -> Counts {
        self.counts.get(partner).copied().unwrap_or_default()
    }

    /// Takes a roster; of other partners' users it is noted in `users` how they look.
    pub fn take(
        &mut self,
        told: &Told,
        own: &PartnerId,
        users: &mut BTreeMap<Id, RemoteUser>,
        now_ms: u64,
    ) -> Learned {
        let mut learned = Learned::default();
        for user in &told.users {
            let id = Id::of_user(&told.partner, user.name.as_str());
            let is_remote = told.partner != *own;
            let counts = self.counts.entry(told.partner).or_default();
            if !self.listed.contains_key(&id) {
                if is_remote && counts.listed >= LISTED {
                    counts.over += 1;
                    learned.over = (counts.over == 1).then_some(told.partner).or(learned.over);
                    continue;
                }
                counts.listed += 1;
                if users.contains_key(&id) {
                    // Known by a post until now.
                    counts.heard = counts.heard.saturating_sub(1);
                }
            }
            let listed = self.listed.entry(id).or_default();
            if !listed.take(told, user) || !is_remote {
                continue;
            }
            let since_ms = told.order.0.min(now_ms);
            let known = users
                .entry(id)
                .or_insert_with(|| RemoteUser::new(told.partner, user.name.as_str(), since_ms));
            if listed.describe(told, user, known, now_ms) {
                learned.changed.push(id);
            }
        }
        learned
    }

    /// Takes note of somebody who wrote something.
    pub fn hear(&mut self, user: RemoteUser, users: &mut BTreeMap<Id, RemoteUser>) -> Learned {
        let id = Id::of_user(&user.partner, &user.name);
        let mut learned = Learned::default();
        if users.contains_key(&id) {
            return learned;
        }
        let counts = self.counts.entry(user.partner).or_default();
        if counts.heard >= HEARD {
            counts.over += 1;
            learned.over = (counts.over == 1).then_some(user.partner);
            return learned;
        }
        counts.heard += 1;
        users.insert(id, user);
        learned.changed.push(id);
        learned
    }
}

impl Listed {
    /// Takes a word; false where it is older than what is known of the channel.
    fn take(&mut self, told: &Told, user: &RosterUser) -> bool {
        let word = Word {
            order: told.order,
            lane: told.lane,
            display: digest(&user.display_name),
            present: user.present,
        };
        let before = self.rooms.get(&told.room);
        if before.is_some_and(|before| before.order >= word.order) {
            return false;
        }
        self.rooms.insert(told.room, word);
        true
    }

    /// Notes in `known` how the user looks now; whether that is another look than before.
    fn describe(
        &mut self,
        told: &Told,
        user: &RosterUser,
        known: &mut RemoteUser,
        now_ms: u64,
    ) -> bool {
        let before = known.clone();
        if told.order >= self.latest {
            self.latest = told.order;
            known.display_name.clone_from(&user.display_name);
        }
        let present = self.rooms.values().any(|word| word.present);
        known.gone_ms = match (present, before.gone_ms) {
            (true, _) => 0,
            (false, 0) => told.order.0.clamp(1, now_ms.max(1)),
            (false, since) => since,
        };
        let changed = *known != before || before.changed_ms == 0;
        if changed {
            known.changed_ms = now_ms.max(before.changed_ms + 1);
        }
        changed
    }
}

/// A name for people as clients want it: first and last.
pub fn first_and_last(display_name: &str) -> (&str, &str) {
    let name = display_name.trim();
    name.split_once(' ')
        .map_or((name, ""), |(first, last)| (first, last.trim_start()))
}

/// The last rosters of each partner in a channel, in timeline order.
pub fn to_read(channel: &Channel) -> Vec<Pos> {
    use comity_protocol::event::Kind;
    let mut of_partner: BTreeMap<PartnerId, usize> = BTreeMap::new();
    let mut found = Vec::new();
    for pos in channel.timeline().iter().rev() {
        if channel.entry(*pos).kind != Kind::Roster || channel.is_flagged(*pos) {
            continue;
        }
        let read = of_partner.entry(channel.author(*pos).partner).or_default();
        *read += 1;
        if *read <= READ {
            found.push(*pos);
        }
    }
    found.reverse();
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use comity_protocol::event::UserName;

    const OWN: PartnerId = PartnerId([1; 32]);
    const BRAVO: PartnerId = PartnerId([2; 32]);

    fn told(room: u8, at: u64, users: &[(&str, &str, bool)]) -> Told {
        let user = |(name, display, present): &(&str, &str, bool)| RosterUser {
            name: UserName::try_from(name.to_string()).unwrap(),
            display_name: display.to_string(),
            present: *present,
        };
        Told {
            room: Id([room; 16]),
            partner: BRAVO,
            lane: LaneId([9; 32]),
            order: (at, 0, Id([0; 16])),
            users: users.iter().map(user).collect(),
        }
    }

    #[test]
    fn the_last_word_counts_in_whatever_order_it_comes() {
        let words = [
            told(1, 10, &[("bob", "Bob", true)]),
            told(1, 20, &[("bob", "Robert", true)]),
            told(2, 15, &[("bob", "Bobby", true)]),
        ];
        for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
            let (mut rosters, mut users) = (Rosters::default(), BTreeMap::new());
            for at in order {
                rosters.take(&words[at], &OWN, &mut users, 100);
            }
            let bob = &users[&Id::of_user(&BRAVO, "bob")];
            assert_eq!((bob.display_name.as_str(), bob.gone_ms), ("Robert", 0));
        }
    }

    #[test]
    fn whoever_is_in_no_channel_any_more_is_gone() {
        let (mut rosters, mut users) = (Rosters::default(), BTreeMap::new());
        let bob = Id::of_user(&BRAVO, "bob");
        for (room, at, present, gone_ms) in [
            (1, 10, true, 0),
            (2, 11, true, 0),
            (1, 12, false, 0),
            (2, 13, false, 13),
            (1, 14, true, 0),
        ] {
            rosters.take(
                &told(room, at, &[("bob", "", present)]),
                &OWN,
                &mut users,
                100,
            );
            assert_eq!(users[&bob].gone_ms, gone_ms);
        }
        assert!(!rosters.word(&bob, &Id([2; 16])).unwrap().present);
    }

    #[test]
    fn a_partner_that_invents_names_is_known_by_so_many() {
        let (mut rosters, mut users) = (Rosters::default(), BTreeMap::new());
        let mut over = 0;
        for number in 0..LISTED as u64 + 5 {
            let name = format!("user{number}");
            let learned = rosters.take(&told(1, number, &[(&name, "", true)]), &OWN, &mut users, 1);
            over += usize::from(learned.over.is_some());
            let heard = RemoteUser::new(BRAVO, &format!("heard{number}"), 0);
            rosters.hear(heard, &mut users);
        }
        assert_eq!(over, 1, "it is said once");
        assert_eq!(users.len(), LISTED + HEARD);
        assert_eq!(rosters.counts(&BRAVO).over, 10);
        // Those that are known change as before.
        rosters.take(
            &told(1, 1 << 40, &[("user7", "Seven", true)]),
            &OWN,
            &mut users,
            1,
        );
        assert_eq!(users[&Id::of_user(&BRAVO, "user7")].display_name, "Seven");
    }

    #[test]
    fn names_are_split_where_clients_split_them() {
        assert_eq!(first_and_last("Ana  Maria Ruiz"), ("Ana", "Maria Ruiz"));
        assert_eq!(first_and_last(" Ana "), ("Ana", ""));
        assert_eq!(first_and_last(""), ("", ""));
    }
}
