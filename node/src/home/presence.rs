//! Who is there and who types, own users and others'. Nothing of it is stored. What other partners
//! say of their users ends with the link, or when they have not said it again for a while.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use comity_protocol::event::UserName;
use comity_protocol::id::PartnerId;
use comity_protocol::limits;
use comity_protocol::wire::{Activity, Ephemeral, Sign};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::feed::Room;
use super::hub::Broadcast;
use super::id::Id;
use super::{Home, telling};
use crate::driver::Passing;

/// How often it is said again who is there: what was lost on the way is made good by then.
const SAID_AGAIN: Duration = Duration::from_secs(60);
/// How long others' users count as there without that being said again: twice, and a little.
const FORGOTTEN: Duration = Duration::from_secs(150);
/// How often one user's typing in one channel goes out at most: clients say it every five seconds.
const TYPING_PAUSE: Duration = Duration::from_secs(1);
/// Users and channels for which that is remembered.
const TYPISTS: usize = 4_096;

/// What is known of who is there.
#[derive(Default)]
pub struct Presence {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What users of this partner chose, as long as the node runs.
    chosen: BTreeMap<Id, Activity>,
    /// Users of other partners that are there: known ones alone, so these are bounded.
    others: BTreeMap<Id, Seen>,
    typed: BTreeMap<(Id, Id), Instant>,
}

#[derive(Clone, Copy)]
struct Seen {
    partner: PartnerId,
    activity: Activity,
    at: Instant,
}

impl Presence {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a user of this partner chose to be; online takes the choice back.
    pub fn choose(&self, user: Id, activity: Activity) {
        let mut state = self.state();
        match activity {
            Activity::Online | Activity::Typing => drop(state.chosen.remove(&user)),
            chosen => drop(state.chosen.insert(user, chosen)),
        }
    }

    pub fn chosen(&self, user: &Id) -> Option<Activity> {
        self.state().chosen.get(user).copied()
    }

    /// Whether a user's typing in a channel goes out now.
    fn may_tell_typing(&self, user: Id, room: Id, now: Instant) -> bool {
        let mut state = self.state();
        let recent = |at: &Instant| now.duration_since(*at) < TYPING_PAUSE;
        if state.typed.get(&(user, room)).is_some_and(recent) {
            return false;
        }
        if state.typed.len() >= TYPISTS {
            state.typed.retain(|_, at| recent(at));
        }
        if state.typed.len() < TYPISTS {
            state.typed.insert((user, room), now);
            return true;
        }
        false
    }

    /// Notes how another partner's user is; whether that is news.
    fn note(&self, user: Id, seen: Seen) -> bool {
        let mut state = self.state();
        let before = match seen.activity {
            Activity::Offline => state.others.remove(&user),
            _ => state.others.insert(user, seen),
        };
        before.map_or(Activity::Offline, |before| before.activity) != seen.activity
    }

    /// Forgets those whom `is_over` names.
    fn forget(&self, is_over: impl Fn(&Seen) -> bool) -> Vec<Id> {
        let mut gone = Vec::new();
        self.state().others.retain(|user, seen| {
            let over = is_over(seen);
            if over {
                gone.push(*user);
            }
            !over
        });
        gone
    }

    fn of_other(&self, user: &Id) -> Activity {
        let state = self.state();
        let seen = state.others.get(user);
        seen.map_or(Activity::Offline, |seen| seen.activity)
    }
}

/// As clients write it.
pub fn status_word(activity: Activity) -> &'static str {
    match activity {
        Activity::Online | Activity::Typing => "online",
        Activity::Away => "away",
        Activity::DoNotDisturb => "dnd",
        Activity::Offline => "offline",
    }
}

/// What a client calls a status.
pub fn status_named(word: &str) -> Option<Activity> {
    match word {
        "online" => Some(Activity::Online),
        "away" => Some(Activity::Away),
        "dnd" => Some(Activity::DoNotDisturb),
        "offline" => Some(Activity::Offline),
        _ => None,
    }
}

impl Home {
    /// Whether a user is there, as far as is known here.
    pub fn status_of(&self, user: &Id) -> Activity {
        if !self.people.is_own(user) {
            return self.presence.of_other(user);
        }
        match (self.presence.chosen(user), self.hub.is_online(user)) {
            (Some(chosen), true) => chosen,
            (None, true) => Activity::Online,
            (_, false) => Activity::Offline,
        }
    }

    /// Tells the clients here, and the partners that hold a channel with that user, how an own user is.
    pub fn tell_status(&self, user: Id) {
        let activity = self.status_of(&user);
        self.show_status(user, activity);
        self.announce(&[(user, activity)]);
    }

    fn show_status(&self, user: Id, activity: Activity) {
        let data = json!({"user_id": user, "status": status_word(activity)});
        self.hub
            .publish("status_change", &data, &Broadcast::default(), |_| true);
    }

    /// Says of own users how they are, to each partner once, in a channel that they are in: the
    /// largest ones first, so that few frames do.
    fn announce(&self, users: &[(Id, Activity)]) {
        let own = self.node.partner;
        let mut rooms = self.feed.rooms();
        rooms.retain(|room| self.is_open(room) && room.members().count() > 1);
        rooms.sort_by_key(|room| (Reverse(room.members().count()), room.id));
        let mut told: BTreeMap<Id, BTreeSet<PartnerId>> = BTreeMap::new();
        for room in rooms {
            let others: BTreeSet<PartnerId> =
                room.members().copied().filter(|it| *it != own).collect();
            let mut signs = Vec::new();
            for (user, activity) in users {
                let told = told.entry(*user).or_default();
                if others.is_subset(told) || !self.is_member(user, &room) {
                    continue;
                }
                if let Some(sign) = self.sign(user, *activity) {
                    told.extend(&others);
                    signs.push(sign);
                }
            }
            for signs in signs.chunks(limits::EPHEMERAL_PER_FRAME) {
                self.node.handle.tell(Ephemeral {
                    channel: room.channel,
                    signs: signs.to_vec(),
                });
            }
        }
    }

    fn sign(&self, user: &Id, activity: Activity) -> Option<Sign> {
        let account = self.people.account(user)?;
        Some(Sign {
            user: UserName::try_from(account.username).ok()?,
            activity: activity as u8,
            root: None,
        })
    }

    /// Says again of all own users that are there.
    fn announce_all(&self) {
        let users = self.people.active_ids().into_iter();
        let users = users.map(|user| (user, self.status_of(&user)));
        let there: Vec<_> = users.filter(|(_, it)| *it != Activity::Offline).collect();
        self.announce(&there);
    }

    /// Takes what a peer tells of its own users: of those that are known here.
    fn take_signs(&self, peer: PartnerId, told: &Ephemeral) {
        let Some(room) = self.feed.room_of(&told.channel) else {
            return;
        };
        if !self.is_open(&room) || !room.members().any(|member| *member == peer) {
            return;
        }
        for sign in &told.signs {
            let user = Id::of_user(&peer, sign.user.as_str());
            if self.feed.remote_user(&user).is_none() {
                continue;
            }
            match sign.activity() {
                Activity::Typing => self.show_typing(&room, user, sign),
                activity => {
                    let seen = Seen {
                        partner: peer,
                        activity,
                        at: Instant::now(),
                    };
                    if self.presence.note(user, seen) {
                        self.show_status(user, activity);
                    }
                }
            }
        }
    }

    fn show_typing(&self, room: &Room, user: Id, sign: &Sign) {
        // In a channel between users, its own alone.
        let is_among = |users: Vec<Id>| users.contains(&user);
        if super::is_direct(room) && !self.between(room).is_some_and(is_among) {
            return;
        }
        let root = sign.root.map(|root| Id::of_event(&root).to_string());
        let data = json!({"parent_id": root.unwrap_or_default(), "user_id": user});
        telling::tell(self, room, "typing", &data);
    }

    fn forget_others(&self, is_over: impl Fn(&Seen) -> bool) {
        for user in self.presence.forget(is_over) {
            self.show_status(user, Activity::Offline);
        }
    }
}

/// Tells the partners of a channel that an own user types there.
pub async fn tell_typing(home: Arc<Home>, user: Id, room: Arc<Room>, root: Option<Id>) {
    if room.members().count() < 2 || !home.presence.may_tell_typing(user, room.id, Instant::now()) {
        return;
    }
    let Some(mut sign) = home.sign(&user, Activity::Typing) else {
        return;
    };
    let place = root.and_then(|root| home.feed.place(&root));
    if let Some(place) = place.filter(|place| place.channel == room.channel) {
        let found = home.node.handle.look(move |replica| {
            let channel = replica.channels().get(&place.channel)?;
            Some(channel.entry(place.pos).id)
        });
        sign.root = found.await.ok().flatten();
    }
    home.node.handle.tell(Ephemeral {
        channel: room.channel,
        signs: vec![sign],
    });
}

/// Goes on until the node ends.
pub async fn run(home: Weak<Home>, mut passing: mpsc::UnboundedReceiver<Passing>) {
    let mut again = tokio::time::interval(SAID_AGAIN);
    loop {
        let came = tokio::select! {
            came = passing.recv() => match came {
                Some(came) => Some(came),
                None => return,
            },
            _ = again.tick() => None,
        };
        let Some(home) = home.upgrade() else { return };
        match came {
            Some(Passing::Told { peer, told }) => home.take_signs(peer, &told),
            Some(Passing::Up(_)) => home.announce_all(),
            Some(Passing::Down(peer)) => home.forget_others(|seen| seen.partner == peer),
            None => {
                let now = Instant::now();
                home.forget_others(|seen| now.duration_since(seen.at) > FORGOTTEN);
                home.announce_all();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(partner: u8, activity: Activity, at: Instant) -> Seen {
        Seen {
            partner: PartnerId([partner; 32]),
            activity,
            at,
        }
    }

    #[tokio::test]
    async fn what_others_say_ends_with_their_link() {
        let (presence, now) = (Presence::default(), Instant::now());
        let (bob, carol) = (Id([1; 16]), Id([2; 16]));
        assert!(presence.note(bob, seen(1, Activity::Online, now)));
        assert!(
            !presence.note(bob, seen(1, Activity::Online, now)),
            "no news"
        );
        assert!(presence.note(carol, seen(2, Activity::Away, now)));
        assert!(!presence.note(Id([3; 16]), seen(2, Activity::Offline, now)));

        let gone = presence.forget(|seen| seen.partner == PartnerId([1; 32]));
        assert_eq!(gone, [bob]);
        assert_eq!(presence.of_other(&bob), Activity::Offline);
        assert_eq!(presence.of_other(&carol), Activity::Away);
    }

    #[tokio::test]
    async fn one_who_types_is_told_of_once_a_second() {
        let (presence, now) = (Presence::default(), Instant::now());
        let (bob, here, there) = (Id([1; 16]), Id([2; 16]), Id([3; 16]));
        assert!(presence.may_tell_typing(bob, here, now));
        assert!(!presence.may_tell_typing(bob, here, now));
        assert!(presence.may_tell_typing(bob, there, now));
        assert!(presence.may_tell_typing(bob, here, now + TYPING_PAUSE));
    }
}
