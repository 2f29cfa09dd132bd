//! Channels between users: of two, and of a few as a group. Their names say who is in them, so that
//! every partner's node finds its own users there without being asked anything.

mod group;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};

use comity_protocol::id::PartnerId;
use comity_protocol::identity::Name;
use tokio::sync::Mutex;

use super::feed::Room;
use super::id::Id;
use super::{Home, begin};
use crate::api::{ApiError, History, Role};
use crate::pacts::PactState;
use crate::service::{channels, failure, members};
use group::Group;
pub use group::{LEAST as GROUP_LEAST, MOST as GROUP_MOST};

/// What the name of a channel between two users begins with.
const PAIR: &str = "dm-";

/// Users that a roster in a channel between two names and that are tried: it names the one that it
/// is between.
const NAMED_TRIED: usize = 4;

/// Users of one side that are tried for a channel between two whose users are not known: bounds what
/// a channel costs that fits nobody.
const PAIRED: usize = 1_000;

/// Who is in the channels between users, as far as is known.
#[derive(Default)]
pub struct Between {
    pairs: RwLock<BTreeMap<Id, (Id, Id)>>,
    groups: RwLock<BTreeMap<Id, Seated>>,
    /// Held while one is made, so that two who ask at once get the same.
    making: Mutex<()>,
}

/// A group whose name and partners fit each other.
#[derive(Clone)]
struct Seated {
    partners: BTreeSet<PartnerId>,
    /// Those of its users that are known.
    users: BTreeSet<Id>,
}

/// A channel between users, whether of two or a group.
pub fn is_direct(room: &Room) -> bool {
    is_name(&room.name)
}

/// Whether it is the name of a channel between users.
pub fn is_name(name: &str) -> bool {
    name.starts_with(PAIR) || Group::of(name).is_some()
}

/// A channel between three and more users.
pub fn is_group(room: &Room) -> bool {
    Group::of(&room.name).is_some()
}

/// Names that only channels between users have.
pub fn is_reserved(name: &str) -> bool {
    name.starts_with(PAIR) || name.starts_with(group::PREFIX)
}

/// The name of the channel of two users: the same at every node.
fn pair_name(one: &Id, other: &Id) -> String {
    let (low, high) = (one.min(other), one.max(other));
    format!(
        "{PAIR}{}",
        Id::hashed("comity direct channel", &[&low.0, &high.0])
    )
}

fn partners_of(room: &Room) -> BTreeSet<PartnerId> {
    room.parties.keys().copied().collect()
}

impl Home {
    /// The channel of two users, made where there is none.
    pub async fn direct(&self, one: Id, other: Id) -> Result<Arc<Room>, ApiError> {
        let _turn = self.between.making.lock().await;
        let name = pair_name(&one, &other);
        let fits = |room: &Room| self.fits_pair(room, &one, &other);
        let room = match self.open_room(&name, &fits) {
            Some(room) => room,
            None => {
                let partners = BTreeSet::from([self.home_of(&one)?, self.home_of(&other)?]);
                self.found_between(name, &partners, Role::Owner, &fits)
                    .await?
            }
        };
        self.pair(&room, one, other)?;
        Ok(room)
    }

    /// The channel of a few users, made where there is none.
    pub async fn group(&self, users: &BTreeSet<Id>) -> Result<Arc<Room>, ApiError> {
        let _turn = self.between.making.lock().await;
        let homes = users.iter().map(|user| self.home_of(user));
        let partners: BTreeSet<PartnerId> = homes.collect::<Result<_, _>>()?;
        let name = group::name(users, &partners);
        let group = Group::of(&name)
            .ok_or_else(|| failure::node("internal", "the name of a group does not read as one"))?;
        let own = users.iter().copied().filter(|it| self.people.is_own(it));
        if group.users_among(self.people.ids()) != own.collect() {
            return Err(failure::user(
                "no_such_group",
                "two of this partner's users cannot be told apart in a group of these",
                "use a private channel instead",
            ));
        }
        let fits = |room: &Room| group.is_of(&partners_of(room));
        let room = match self.open_room(&name, &fits) {
            Some(room) => room,
            None => {
                // Whoever could add a partner could close the group: that is its maker's alone.
                self.found_between(name.clone(), &partners, Role::Contributor, &fits)
                    .await?
            }
        };
        self.seat(&room, &group)?;
        Ok(room)
    }

    fn open_room(&self, name: &str, fits: &(dyn Fn(&Room) -> bool + Sync)) -> Option<Arc<Room>> {
        let mut rooms = self.feed.rooms().into_iter();
        rooms.find(|room| room.name == name && self.is_open(room) && fits(room))
    }

    /// Founds a channel between users of these partners.
    async fn found_between(
        &self,
        name: String,
        partners: &BTreeSet<PartnerId>,
        role: Role,
        fits: &(dyn Fn(&Room) -> bool + Sync),
    ) -> Result<Arc<Room>, ApiError> {
        let mut others = Vec::new();
        for partner in partners.iter().filter(|it| **it != self.node.partner) {
            others.push(self.demand_pact(partner).await?);
        }
        let name = Name::try_from(name).map_err(|error| failure::node("internal", error))?;
        let made = channels::found(&self.node, name, History::All, 0).await?;
        for other in others {
            members::share(&self.node, &made.id, &other, role).await?;
        }
        self.room_by_hex(&made.id, fits).await
    }

    /// The partner that a user is of.
    fn home_of(&self, user: &Id) -> Result<PartnerId, ApiError> {
        self.partner_of(user)
            .ok_or_else(|| failure::user("no_such_user", "there is no such user", "ask who it is"))
    }

    fn partner_of(&self, user: &Id) -> Option<PartnerId> {
        match self.people.is_own(user) {
            true => Some(self.node.partner),
            false => self.feed.remote_user(user).map(|it| it.partner),
        }
    }

    /// The name of a partner that one can share a channel with.
    async fn demand_pact(&self, partner: &PartnerId) -> Result<String, ApiError> {
        let name = self.partner_name(partner);
        let pacts = self.node.pacts.lock().await;
        match pacts.by_name(&name) {
            Ok(pact) if pact.state == PactState::Active && pact.identity.partner() == *partner => {
                Ok(name)
            }
            _ => Err(failure::user(
                "no_pact",
                format!("this node has no pact in force with {name}"),
                "write in a channel that you share, or ask the sysadmin to peer with that partner",
            )),
        }
    }

    /// Both users are in the channel, as far as they are of this partner.
    fn pair(&self, room: &Room, one: Id, other: Id) -> Result<(), ApiError> {
        let pairs = self.between.pairs.write();
        let mut pairs = pairs.unwrap_or_else(PoisonError::into_inner);
        pairs.insert(room.id, (one, other));
        drop(pairs);
        let mut own = [one, other].into_iter().filter(|it| self.people.is_own(it));
        own.try_for_each(|user| self.take_in(room, user))
    }

    /// This partner's users of a group are in its channel; those of others are known as far as they
    /// are. Tells who of this partner's are.
    fn seat(&self, room: &Room, group: &Group<'_>) -> Result<BTreeSet<Id>, ApiError> {
        let own = group.users_among(self.people.ids());
        let partners = partners_of(room);
        let mut others = self.feed.remote_users();
        others.retain(|(id, it)| !self.people.is_own(id) && partners.contains(&it.partner));
        let mut users = group.users_among(others.into_iter().map(|(id, _)| id));
        users.extend(&own);
        let seated = Seated { partners, users };
        let groups = self.between.groups.write();
        let mut groups = groups.unwrap_or_else(PoisonError::into_inner);
        let before = groups.insert(room.id, seated);
        drop(groups);
        let is_new = |user: &Id| before.as_ref().is_none_or(|it| !it.users.contains(user));
        own.iter()
            .filter(|user| is_new(user))
            .try_for_each(|user| self.take_in(room, *user))?;
        Ok(own)
    }

    fn take_in(&self, room: &Room, user: Id) -> Result<(), ApiError> {
        let now = self.node.now_ms();
        let marked = self.people.mark(user, room.id, true, |marks| {
            begin(marks, room, now);
            marks.joined = Some(true);
        });
        marked.map(drop).map_err(failure::store)
    }

    /// Whether this partner's node takes a channel between users without asking: a call is put
    /// through. It shows once somebody here is known to be in it.
    pub fn is_call(&self, room: &Room) -> bool {
        match Group::of(&room.name) {
            Some(group) => {
                group.is_of(&partners_of(room)) && !group.users_among(self.people.ids()).is_empty()
            }
            None => is_direct(room) && room.parties.len() == 2,
        }
    }

    /// Whether a channel between users is still one of their partners alone.
    pub fn is_between(&self, room: &Room) -> bool {
        match is_group(room) {
            true => self
                .seated(room)
                .is_some_and(|seated| room.parties.keys().eq(&seated.partners)),
            false => {
                let pair = self.pair_of(room);
                pair.is_some_and(|(one, other)| self.fits_pair(room, &one, &other))
            }
        }
    }

    /// The users of a channel between users, as far as is known; none for other channels.
    pub fn between(&self, room: &Room) -> Option<Vec<Id>> {
        match self.pair_of(room) {
            Some((one, other)) => Some(vec![one, other]),
            None => Some(self.seated(room)?.users.into_iter().collect()),
        }
    }

    /// The two users of a channel between two, as far as is known.
    pub fn pair_of(&self, room: &Room) -> Option<(Id, Id)> {
        let pairs = self.between.pairs.read();
        let pairs = pairs.unwrap_or_else(PoisonError::into_inner);
        pairs.get(&room.id).copied()
    }

    fn seated(&self, room: &Room) -> Option<Seated> {
        let groups = self.between.groups.read();
        let groups = groups.unwrap_or_else(PoisonError::into_inner);
        groups.get(&room.id).cloned()
    }

    /// Finds out who is in groups: at those that are new, and, where others' users became known, at
    /// all whose users are not all known. Tells in which this partner's users are since.
    pub fn learn_groups(&self, are_others_new: bool) -> Vec<(Arc<Room>, BTreeSet<Id>)> {
        let mut learned = Vec::new();
        for room in self.feed.rooms() {
            let Some(group) = Group::of(&room.name).filter(|_| self.is_open(&room)) else {
                continue;
            };
            let seated = self.seated(&room);
            let is_due = seated
                .as_ref()
                .is_none_or(|seated| are_others_new && seated.users.len() < group.size());
            if !is_due || !group.is_of(&partners_of(&room)) {
                continue;
            }
            match self.seat(&room, &group) {
                Ok(own) if seated.is_none() => learned.push((room, own)),
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "a group's channel is not noted"),
            }
        }
        learned
    }

    /// Finds out who is in the channels between two users: their name is a hash of both.
    pub fn learn_pairs(&self) {
        let known = self.between.pairs.read();
        let known = known.unwrap_or_else(PoisonError::into_inner).clone();
        let rooms = self.feed.rooms();
        let unknown: Vec<_> = rooms
            .iter()
            .filter(|room| room.name.starts_with(PAIR) && !known.contains_key(&room.id))
            .collect();
        if unknown.is_empty() {
            return;
        }
        let own = self.people.active_ids();
        for room in unknown {
            if let Some((one, other)) = self.find_pair(room, &own)
                && let Err(error) = self.pair(room, one, other)
            {
                tracing::warn!(%error, "a direct channel is not noted");
            }
        }
    }

    /// The two users whose hash is a channel's name: whoever a roster in it names, with any of this
    /// partner's; or else those who have written, with some of them.
    fn find_pair(&self, room: &Room, own: &[Id]) -> Option<(Id, Id)> {
        let fits = |one: &Id, other: &Id| {
            pair_name(one, other) == room.name && self.fits_pair(room, one, other)
        };
        let find = |own: &[Id], others: &[Id]| {
            others.iter().find_map(|other| {
                let one = own.iter().find(|one| fits(one, other))?;
                Some((*one, *other))
            })
        };
        let mut named = self.feed.named_in(&room.id);
        named.truncate(NAMED_TRIED);
        let few = &own[..own.len().min(PAIRED)];
        let mut heard = self.feed.remote_users();
        heard.retain(|(_, it)| room.parties.contains_key(&it.partner));
        let heard: Vec<Id> = heard.into_iter().map(|(id, _)| id).take(PAIRED).collect();
        find(own, &named)
            .or_else(|| find(few, few))
            .or_else(|| find(few, &heard))
    }

    /// Whether a channel is of the partners of two users, and of no other: its name alone can be given
    /// to it by anybody who knows theirs.
    fn fits_pair(&self, room: &Room, one: &Id, other: &Id) -> bool {
        match (self.partner_of(one), self.partner_of(other)) {
            (Some(one), Some(other)) => partners_of(room) == BTreeSet::from([one, other]),
            _ => false,
        }
    }

    /// What a channel between users is called by one of them: the others' names.
    pub fn name_between(&self, room: &Room, viewer: Option<&Id>) -> Option<String> {
        let mut users = self.between(room)?;
        if let Some(viewer) = viewer {
            // Whoever writes to oneself is the only one there.
            let is_alone = users.iter().all(|user| user == viewer);
            users.retain(|user| is_alone || user != viewer);
            users.dedup();
        }
        let name = |user: &Id| self.account_name(user).unwrap_or_else(|| user.to_string());
        let mut names: Vec<String> = users.iter().map(name).collect();
        names.sort_unstable();
        Some(names.join(", "))
    }
}
