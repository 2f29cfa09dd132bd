//! The home node for its people: who they are, what they may see, and what they are told.
//!
//! The machine knows partners and channels; here are users, teams, who has read what, and the open
//! WebSockets. Nothing in here decides what is valid or who receives it: that is the machine's.

pub mod calling;
pub mod direct;
pub mod feed;
pub mod files;
mod finder;
mod groups;
pub mod hub;
pub mod id;
mod outgoing;
mod own;
pub mod people;
pub mod posting;
pub mod presence;
mod publishing;
pub mod roster;
pub mod shapes;
mod telling;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::Duration;

use comity_protocol::authority::Status;
use comity_protocol::graph::Pos;
use comity_protocol::id::{ChannelId, PartnerId};
use tokio::sync::Notify;

use crate::api::{ApiError, History, Item};
use crate::node::Node;
use crate::service::{channels, failure, posts};
pub use direct::is_direct;
use feed::{Feed, Place, RemoteUser, Room};
use files::{FileEntry, Files, Source};
use finder::Finder;
use hub::Hub;
use id::Id;
use people::{Account, Action, Marks, People};
use roster::Learned;
use shapes::Post;

/// The channel that everybody of a partner is in, as Mattermost's clients expect one.
pub const COMMON_ROOM: &str = "town-square";

/// All that the people's side of a node is made of.
pub struct Home {
    pub node: Arc<Node>,
    pub people: People,
    pub feed: Feed,
    pub hub: Hub,
    pub files: Files,
    pub posting: posting::Turns,
    pub finder: Finder,
    /// Asks programs elsewhere.
    pub caller: calling::Caller,
    outgoing: outgoing::Outgoing,
    pub presence: presence::Presence,
    /// Something came to the index of posts, files and channels.
    pub told: Notify,
    /// Who is in the channels between users.
    between: direct::Between,
    /// What each partner is called here.
    names: RwLock<BTreeMap<PartnerId, String>>,
}

/// A group of channels, as clients list them: the partner's own, or those that the same partners
/// hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Team {
    pub id: Id,
    pub name: String,
    pub display_name: String,
    pub partners: BTreeSet<PartnerId>,
    pub created_ms: u64,
}

impl Home {
    /// Puts the people's side of a node together, and keeps it current.
    pub async fn open(node: Arc<Node>) -> Result<Arc<Home>, ApiError> {
        let people = People::load(node.store.clone(), node.partner, node.environment.clone());
        let people = people.map_err(|error| failure::node("store_damaged", error))?;
        let home = Arc::new(Home {
            node: node.clone(),
            people,
            feed: Feed::default(),
            hub: Hub::default(),
            files: Files::default(),
            posting: posting::Turns::default(),
            finder: Finder::default(),
            caller: calling::Caller::new(&node.config.http.hook_hosts),
            outgoing: outgoing::Outgoing::default(),
            presence: presence::Presence::default(),
            told: Notify::new(),
            between: direct::Between::default(),
            names: RwLock::default(),
        });
        let committed = node.committed();
        let filling = home.clone();
        let now = node.now_ms();
        let filled = node
            .handle
            .look(move |replica| filling.feed.fill(replica, now));
        filled.await.map_err(failure::stopped)?;
        home.learn_names().await;
        home.learn_files().await?;
        home.learn_rosters().await?;
        home.learn_pairs();
        home.learn_groups(true);
        home.tell_programs();
        tokio::spawn(telling::run(home.clone(), committed));
        home.found_common_room().await?;
        tokio::spawn(index_all(home.clone()));
        tokio::spawn(write_marks(Arc::downgrade(&home)));
        tokio::spawn(end_custom_statuses(Arc::downgrade(&home)));
        tokio::spawn(publishing::run(Arc::downgrade(&home)));
        tokio::spawn(presence::run(Arc::downgrade(&home), node.passing()));
        Ok(home)
    }

    /// The room that everybody of this partner is in, made once.
    async fn found_common_room(&self) -> Result<(), ApiError> {
        let is_common = |room: &Arc<Room>| room.name == COMMON_ROOM && !room.is_shared();
        if self.feed.rooms().iter().any(is_common) {
            return Ok(());
        }
        let made = channels::create(&self.node, COMMON_ROOM.into(), History::FromJoin, 0).await;
        match made {
            Ok(_) => Ok(()),
            // A node that was restored founds no channel until it has a new list of writers; its
            // people can go on without this one.
            Err(error) => {
                tracing::warn!(%error, "there is no common room for this partner's users");
                Ok(())
            }
        }
    }

    /// Asks again what each partner is called.
    async fn learn_names(&self) {
        let rooms = self.feed.rooms();
        let partners = rooms.iter().flat_map(|room| room.parties.keys().copied());
        let known = self.feed.remote_users();
        let partners = partners.chain(known.iter().map(|(_, user)| user.partner));
        let partners: BTreeSet<PartnerId> = partners.chain([self.node.partner]).collect();
        let mut names = BTreeMap::new();
        for partner in partners {
            names.insert(partner, self.node.partner_name(&partner).await);
        }
        *self.names.write().unwrap_or_else(PoisonError::into_inner) = names;
    }

    async fn learn_files(&self) -> Result<(), ApiError> {
        for room in self.feed.rooms() {
            let channel = room.channel;
            let found = self.node.handle.look(move |replica| {
                let channel = replica.channels().get(&channel);
                let files = channel.map(|channel| channel.files().map(|(_, pos)| pos).collect());
                files.unwrap_or_default()
            });
            let positions: Vec<_> = found.await.map_err(failure::stopped)?;
            self.take_files(&room, &positions).await?;
        }
        Ok(())
    }

    /// Reads again what partners said of their users.
    async fn learn_rosters(&self) -> Result<(), ApiError> {
        for room in self.feed.rooms() {
            let channel = room.channel;
            let found = self.node.handle.look(move |replica| {
                let channel = replica.channels().get(&channel);
                channel.map(roster::to_read).unwrap_or_default()
            });
            let positions = found.await.map_err(failure::stopped)?;
            for page in positions.chunks(ROSTERS_AT_A_TIME) {
                let learned = self.take_rosters(room.channel, page).await?;
                self.note_over(&learned);
            }
        }
        Ok(())
    }

    /// Takes the rosters that stand in a channel, as far as they can be read.
    async fn take_rosters(
        &self,
        channel: ChannelId,
        positions: &[Pos],
    ) -> Result<Learned, ApiError> {
        let told = posts::rosters_at(&self.node, channel, positions).await?;
        let now = self.node.now_ms();
        Ok(self.feed.take_rosters(&self.node.partner, &told, now))
    }

    /// A partner whose users are more than are known here is on record, once.
    fn note_over(&self, learned: &Learned) {
        let Some(partner) = learned.over.filter(|it| *it != self.node.partner) else {
            return;
        };
        let name = self.partner_name(&partner);
        let text = format!(
            "partner {name} ({partner}) names more users than the {} by rosters and {} by what they \
             wrote that are known of one partner: the others are passed over",
            roster::LISTED,
            roster::HEARD
        );
        tracing::warn!(%partner, %text, "users of a partner are passed over");
        if let Err(error) = self.node.audit.record("users_over_limit", &text) {
            tracing::warn!(%error, "this is in the log only");
        }
    }

    /// Takes note of files that stand in a channel.
    async fn take_files(&self, room: &Room, positions: &[Pos]) -> Result<(), ApiError> {
        for item in posts::at(&self.node, room.channel, positions).await? {
            let Item::File(info) = item else { continue };
            let (Some(id), Some(name)) = (shapes::id_of_hex(&info.id), info.name) else {
                continue;
            };
            self.files.put(FileEntry {
                id,
                user: self.author_id(&info.author).0,
                channel: room.id,
                post: info
                    .post
                    .as_deref()
                    .and_then(shapes::id_of_hex)
                    .or(Some(id)),
                name,
                media_type: info.media_type.unwrap_or_default(),
                size: info.size.unwrap_or(0),
                create_at: info.create_at,
                source: Source::Posted(info.id),
            });
        }
        Ok(())
    }

    /// What a partner is called here.
    pub fn partner_name(&self, partner: &PartnerId) -> String {
        let names = self.names.read().unwrap_or_else(PoisonError::into_inner);
        names
            .get(partner)
            .cloned()
            .unwrap_or_else(|| partner.to_hex()[..12].to_string())
    }

    /// The partner of that name.
    pub fn partner_named(&self, name: &str) -> Option<PartnerId> {
        let names = self.names.read().unwrap_or_else(PoisonError::into_inner);
        names
            .iter()
            .find(|(_, own)| *own == name)
            .map(|(partner, _)| *partner)
    }

    /// A user as clients know it: `alice` of this partner, `alice:bravo` of another.
    pub fn user_name(&self, partner: &PartnerId, name: &str) -> String {
        match *partner == self.node.partner {
            true => name.to_string(),
            false => format!("{name}:{}", self.partner_name(partner)),
        }
    }

    /// How clients know another partner; none for this one.
    pub fn remote_id(&self, partner: &PartnerId) -> Option<Id> {
        (*partner != self.node.partner).then(|| Id::of_team([partner]))
    }

    /// The user id of an author as [`crate::api`] writes it, `alice@bravo`.
    pub fn author_id(&self, author: &str) -> (Id, Option<PartnerId>) {
        let (name, partner) = author.rsplit_once('@').unwrap_or((author, ""));
        let partner = match self.partner_named(partner) {
            Some(partner) => partner,
            // Nobody has been told of this name yet: still an id of its own.
            None => {
                return (
                    Id::hashed("comity unknown author", &[author.as_bytes()]),
                    None,
                );
            }
        };
        let remote = (partner != self.node.partner).then_some(partner);
        (Id::of_user(&partner, name), remote)
    }

    pub fn own_team(&self) -> Team {
        let partners = BTreeSet::from([self.node.partner]);
        let name = self.node.identity.name.as_str().to_string();
        Team {
            id: Id::of_team(&partners),
            display_name: name.clone(),
            name,
            partners,
            created_ms: 0,
        }
    }

    /// The partner's own team, and one for each group of partners that hold a channel together.
    pub fn teams(&self) -> Vec<Team> {
        let mut teams = BTreeMap::new();
        let own = self.own_team();
        teams.insert(own.id, own);
        for room in self.feed.rooms() {
            if self.is_open(&room) && !is_direct(&room) {
                let team = self.team_of(&room);
                let held = teams.entry(team.id).or_insert_with(|| team.clone());
                held.created_ms = held.created_ms.min(team.created_ms);
            }
        }
        teams.into_values().collect()
    }

    /// The team that a channel belongs to.
    pub fn team_of(&self, room: &Room) -> Team {
        let partners: BTreeSet<PartnerId> = room.members().copied().collect();
        if partners.len() < 2 {
            return self.own_team();
        }
        let mut names: Vec<String> = partners.iter().map(|it| self.partner_name(it)).collect();
        names.sort_unstable();
        Team {
            id: Id::of_team(&partners),
            name: names.join("-"),
            display_name: names.join(" + "),
            partners,
            created_ms: room.created_ms,
        }
    }

    /// The id of a channel's team as clients see it: none for direct channels.
    pub fn team_id(&self, room: &Room) -> String {
        match is_direct(room) {
            true => String::new(),
            false => self.team_of(room).id.to_string(),
        }
    }

    /// Whether this partner is a member of a channel.
    pub fn is_open(&self, room: &Room) -> bool {
        room.own == Status::Active
    }

    /// Whether a user of this partner is in a channel.
    pub fn is_member(&self, user: &Id, room: &Room) -> bool {
        self.is_open(room)
            && self.people.may(user, Action::Talk)
            && (!is_direct(room) || self.is_between(room))
            && self.people.marks(*user, room.id).joined.unwrap_or_else(|| {
                joins_by_itself(room)
                    && !self.people.is_private(&room.id)
                    && self.people.may(user, Action::JoinChannels)
            })
    }

    /// The users of this partner that are in a channel.
    pub fn members(&self, room: &Room) -> Vec<Id> {
        let mut users = self.people.active_ids();
        users.retain(|user| self.is_member(user, room));
        users
    }

    /// Who is in a channel, as far as is known here: the users of this partner, and those of others
    /// as their rosters say, or that wrote something where none says anything.
    pub fn people_in(&self, room: &Room) -> Vec<Id> {
        let mut people = self.members(room);
        let remote = self.between(room);
        let remote = remote.unwrap_or_else(|| self.feed.remote_users_in(room));
        people.extend(remote.into_iter().filter(|id| !self.people.is_own(id)));
        people
    }

    /// The user of this partner that a mention calls: `bob`, or `bob:bravo` as others write it.
    fn called(&self, name: &str) -> Option<Account> {
        let own = match name.split_once(':') {
            Some((name, partner)) if self.partner_named(partner) == Some(self.node.partner) => name,
            Some(_) => return None,
            None => name,
        };
        self.people.by_name(&own.to_lowercase())
    }

    /// Those who have no account here and are known by rosters or by what they wrote.
    pub fn authors(&self) -> Vec<(Id, RemoteUser)> {
        let mut authors = self.feed.remote_users();
        authors.retain(|(id, _)| !self.people.is_own(id));
        authors
    }

    /// A user's marks in a channel; at the first look all that is there counts as read.
    pub fn marks(&self, user: Id, room: &Room) -> Marks {
        let held = self.people.marks(user, room.id);
        if held.joined_ms != 0 {
            return held;
        }
        let now = self.node.now_ms();
        let begun = self
            .people
            .mark(user, room.id, false, |marks| begin(marks, room, now));
        begun.unwrap_or(held)
    }

    /// The channels that a user is in.
    pub fn rooms_of(&self, user: &Id) -> Vec<Arc<Room>> {
        let mut rooms = self.feed.rooms();
        rooms.retain(|room| self.is_member(user, room));
        rooms
    }

    /// A channel that a user is in.
    pub fn room_for(&self, user: &Id, id: &Id) -> Option<Arc<Room>> {
        self.feed.room(id).filter(|room| self.is_member(user, room))
    }

    /// A post that a user may read, with its channel.
    pub fn post_for(&self, user: &Id, id: &Id) -> Option<(Arc<Room>, Place)> {
        let place = self.feed.place(id)?;
        let room = self.feed.room_of(&place.channel)?;
        self.is_member(user, &room).then_some((room, place))
    }

    /// Posts as clients know them, in the order asked for; withdrawn ones are marked so.
    pub async fn render(&self, room: &Room, places: &[Place]) -> Result<Vec<Post>, ApiError> {
        let positions: Vec<_> = places.iter().map(|place| place.pos).collect();
        let items = posts::at(&self.node, room.channel, &positions).await?;
        Ok(items
            .iter()
            .filter_map(|item| self.shape(room, item))
            .collect())
    }

    fn shape(&self, room: &Room, item: &Item) -> Option<Post> {
        match item {
            Item::Post(post) => shapes::post(self, room, post),
            Item::File(file) => shapes::file_post(self, room, file),
            _ => None,
        }
    }

    /// The other user of a channel between two; none where it is not known.
    pub fn account_name(&self, user: &Id) -> Option<String> {
        if let Some(account) = self.people.account(user) {
            return Some(account.username);
        }
        let remote = self.feed.remote_user(user)?;
        Some(self.user_name(&remote.partner, &remote.name))
    }

    /// Tells users that they are in a group.
    pub fn tell_group(&self, room: &Room, users: &BTreeSet<Id>) {
        let all = self.between(room).unwrap_or_default();
        for user in users {
            let others: Vec<&Id> = all.iter().filter(|it| *it != user).collect();
            let teammates = serde_json::json!(others).to_string();
            let data = serde_json::json!({"channel_id": room.id, "teammate_ids": teammates});
            let broadcast = hub::Broadcast {
                channel: Some(room.id),
                user: Some(*user),
                ..hub::Broadcast::default()
            };
            self.hub
                .publish("group_added", &data, &broadcast, |other| other == user);
        }
    }

    /// Tells everybody what a user of this partner is like now.
    pub fn tell_user(&self, account: &Account) {
        let own = serde_json::json!({"user": shapes::user(account, true)});
        let others = serde_json::json!({"user": shapes::user(account, false)});
        let all = hub::Broadcast::default();
        let is_own = |user: &Id| *user == account.id;
        self.hub.publish("user_updated", &own, &all, is_own);
        self.hub
            .publish("user_updated", &others, &all, |user| !is_own(user));
    }

    pub fn account(&self, user: &Id) -> Option<Account> {
        self.people.account(user)
    }
}

/// What a user's marks say when the user comes into a channel: all is read.
pub fn begin(marks: &mut Marks, room: &Room, now_ms: u64) {
    if marks.joined_ms == 0 {
        marks.joined_ms = now_ms;
        marks.viewed_ms = now_ms;
        marks.seen = room.posts;
        marks.seen_roots = room.roots;
    }
}

/// Whether all users of this partner are in a channel unless they leave it: what is shared with
/// other partners is shared by the organisation, and there is one common room of its own.
pub fn joins_by_itself(room: &Room) -> bool {
    !is_direct(room) && (room.is_shared() || room.name == COMMON_ROOM)
}

/// Names that channels have by themselves.
pub fn is_reserved(name: &str) -> bool {
    direct::is_reserved(name) || name == COMMON_ROOM
}

/// Puts all posts that can be read into the search index, beside what goes on.
async fn index_all(home: Arc<Home>) {
    for room in home.feed.rooms() {
        let mut before = None;
        loop {
            let Ok(window) = home
                .window(&room, before, false, 0, INDEXED_AT_A_TIME)
                .await
            else {
                return;
            };
            let Some(first) = window.places.first() else {
                break;
            };
            before = Some(first.pos);
            match home.render(&room, &window.places).await {
                Ok(posts) => posts.iter().for_each(|post| home.finder.take(post)),
                Err(error) => tracing::warn!(%error, "some posts cannot be searched for"),
            }
        }
    }
}

/// Writes what people have read, every now and then: nobody was promised it.
async fn write_marks(home: Weak<Home>) {
    loop {
        tokio::time::sleep(MARKS_WRITTEN).await;
        let Some(home) = home.upgrade() else { return };
        if let Err(error) = home.people.write_marks() {
            tracing::warn!(%error, "what people have read is not written");
        }
    }
}

/// Takes back what users said of themselves until a time that has come.
async fn end_custom_statuses(home: Weak<Home>) {
    loop {
        {
            let Some(home) = home.upgrade() else { return };
            for account in home.people.end_custom_statuses() {
                home.tell_user(&account);
            }
        }
        tokio::time::sleep(STATUSES_ENDED).await;
    }
}

/// How late a status may end: clients look at its time themselves.
const STATUSES_ENDED: Duration = Duration::from_secs(10);

const MARKS_WRITTEN: Duration = Duration::from_secs(1);

/// Rosters that are read at a time when the node starts: 8 MB at most.
const ROSTERS_AT_A_TIME: usize = 128;

/// Posts that are read at a time for the search index: others come in between.
const INDEXED_AT_A_TIME: usize = 256;
