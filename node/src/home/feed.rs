//! What comes to stand in the channels, for the people of this node: an index of posts by the ids
//! that clients use, counts, and who has written, kept current by what the committer has written.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use comity_protocol::authority::Status;
use comity_protocol::body::{MessageBody, ReactBody, Role, RosterBody};
use comity_protocol::channel::Channel;
use comity_protocol::codec::Canonical as _;
use comity_protocol::event::{Event, Kind, Label};
use comity_protocol::graph::Pos;
use comity_protocol::id::{ChannelId, EventId, PartnerId};
use comity_protocol::keys::open;
use comity_protocol::lane::LaneForm;
use comity_protocol::replica::Replica;

use super::id::Id;
use super::roster::{Learned, Rosters, Told, Word};
use crate::service::names;

/// Where a post stands, and when it last changed for the people here.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    pub id: Id,
    pub channel: ChannelId,
    pub pos: Pos,
    /// The first post of the thread, for answers.
    pub root: Option<Id>,
    pub author: Id,
    pub created_ms: u64,
    pub updated_ms: u64,
}

/// Somebody who is known by a roster or by what was written: a user of another partner, or one of
/// this partner that has no account here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteUser {
    pub partner: PartnerId,
    pub name: String,
    /// The time of the first thing known of it.
    pub since_ms: u64,
    /// As its partner's roster says; empty where none does.
    pub display_name: String,
    /// When its partner's rosters said that it is in no channel any more; 0 while it is.
    pub gone_ms: u64,
    /// When a roster last changed it; 0 where none did.
    pub changed_ms: u64,
}

impl RemoteUser {
    pub fn new(partner: PartnerId, name: &str, since_ms: u64) -> RemoteUser {
        RemoteUser {
            partner,
            name: name.to_string(),
            since_ms,
            display_name: String::new(),
            gone_ms: 0,
            changed_ms: 0,
        }
    }
}

/// A partner in a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Party {
    pub status: Status,
    pub role: Role,
    /// As its identity names it.
    pub name: String,
}

/// A channel as people see it.
#[derive(Debug, Clone)]
pub struct Room {
    pub id: Id,
    pub channel: ChannelId,
    pub name: String,
    pub parties: BTreeMap<PartnerId, Party>,
    pub own: Status,
    pub created_ms: u64,
    /// Posts, and of these the ones that begin a thread.
    pub posts: u64,
    pub roots: u64,
    pub last_ms: u64,
}

impl Room {
    /// The partners that are members.
    pub fn members(&self) -> impl Iterator<Item = &PartnerId> {
        let active = self
            .parties
            .iter()
            .filter(|(_, it)| it.status == Status::Active);
        active.map(|(partner, _)| partner)
    }

    /// Whether it was ever meant for more than one partner.
    pub fn is_shared(&self) -> bool {
        self.parties.len() > 1
    }
}

/// Something new in a channel.
#[derive(Debug, Clone)]
pub struct News {
    pub channel: ChannelId,
    pub pos: Pos,
    pub event: EventId,
    pub kind: Kind,
    /// The post that it is about; for an answer the first one of the thread.
    pub about: Option<(Id, Pos)>,
    pub partner: PartnerId,
    pub user: String,
    pub t_ms: u64,
    /// Of a reaction that can be read: which, and whether it was taken back.
    pub reaction: Option<(String, bool)>,
    /// Of a post that can be read and that nothing was done to yet.
    pub fresh: Option<Fresh>,
}

/// All that there is to know of a post when it has just come.
#[derive(Debug, Clone)]
pub struct Fresh {
    pub message: String,
    pub claimed_ms: u64,
    /// The partners that it is for, where it is not for all.
    pub audience: Option<Vec<PartnerId>>,
    pub late: bool,
    pub forked: bool,
    pub label: Option<Label>,
}

#[derive(Default)]
pub struct Feed {
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    posts: HashMap<Id, Place>,
    users: BTreeMap<Id, RemoteUser>,
    rosters: Rosters,
    rooms: BTreeMap<Id, Arc<Room>>,
    /// The answers in each thread, as they came.
    threads: HashMap<Id, Vec<Id>>,
    /// Where files stand.
    files: HashMap<Id, Pos>,
}

impl Feed {
    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn place(&self, post: &Id) -> Option<Place> {
        self.read().posts.get(post).copied()
    }

    /// The first post of the thread that a post stands in; none for that post itself.
    pub fn root(&self, post: &Id) -> Option<Id> {
        self.place(post)?.root
    }

    /// The first post of the thread that an answer to `parent` stands in.
    pub fn thread_of(&self, parent: &Id) -> Id {
        self.root(parent).unwrap_or(*parent)
    }

    pub fn file_place(&self, file: &Id) -> Option<Pos> {
        self.read().files.get(file).copied()
    }

    /// The posts that answer one, the oldest first.
    pub fn thread(&self, root: &Id) -> Vec<(Id, Place)> {
        let state = self.read();
        let ids = state.threads.get(root).map_or(&[][..], Vec::as_slice);
        let placed = ids
            .iter()
            .filter_map(|id| Some((*id, *state.posts.get(id)?)));
        let mut placed: Vec<(Id, Place)> = placed.collect();
        placed.sort_by_key(|(id, place)| (place.created_ms, *id));
        placed
    }

    pub fn room(&self, id: &Id) -> Option<Arc<Room>> {
        self.read().rooms.get(id).cloned()
    }

    pub fn room_of(&self, channel: &ChannelId) -> Option<Arc<Room>> {
        self.room(&Id::of_channel(channel))
    }

    /// All channels that this partner has or had a place in, by id.
    pub fn rooms(&self) -> Vec<Arc<Room>> {
        self.read().rooms.values().cloned().collect()
    }

    pub fn remote_user(&self, id: &Id) -> Option<RemoteUser> {
        self.read().users.get(id).cloned()
    }

    pub fn remote_users(&self) -> Vec<(Id, RemoteUser)> {
        let state = self.read();
        state
            .users
            .iter()
            .map(|(id, user)| (*id, user.clone()))
            .collect()
    }

    /// The last word of a user's partner on it in a channel.
    pub fn roster_word(&self, user: &Id, room: &Id) -> Option<Word> {
        self.read().rosters.word(user, room).cloned()
    }

    /// The users of other partners that are in a channel, as far as their partners say; those of
    /// whom no roster says anything, as far as their partners are in it.
    pub fn remote_users_in(&self, room: &Room) -> Vec<Id> {
        let state = self.read();
        let is_in = |id: &Id| match state.rosters.word(id, &room.id) {
            Some(word) => word.present,
            None => !state.rosters.is_listed(id),
        };
        let of_members = state
            .users
            .iter()
            .filter(|(_, it)| room.parties.contains_key(&it.partner));
        of_members
            .filter(|(id, _)| is_in(id))
            .map(|(id, _)| *id)
            .collect()
    }

    /// The users that a roster in a channel names.
    pub fn named_in(&self, room: &Id) -> Vec<Id> {
        self.read().rosters.named_in(room)
    }

    /// Takes rosters.
    pub fn take_rosters(&self, own: &PartnerId, told: &[Told], now_ms: u64) -> Learned {
        let mut state = self.change();
        let mut all = Learned::default();
        for told in told {
            all.add(state.take_roster(own, told, now_ms));
        }
        all
    }

    /// A post of the index by its position, or what can be said of one that is not in it yet.
    pub fn place_at(&self, channel: ChannelId, pos: Pos) -> Place {
        Place {
            id: Id([0; 16]),
            channel,
            pos,
            root: None,
            author: Id([0; 16]),
            created_ms: 0,
            updated_ms: 0,
        }
    }

    /// The first posts that a user wrote in a channel from a time on: a post stands at its time, or
    /// later where others' clocks are ahead.
    pub fn written_from(&self, channel: &ChannelId, author: &Id, at_ms: u64) -> Vec<Place> {
        let state = self.read();
        let of_author = |it: &&Place| it.channel == *channel && it.author == *author;
        let places = state.posts.values().filter(of_author);
        let mut places: Vec<Place> = places
            .filter(|it| it.created_ms >= at_ms)
            .copied()
            .collect();
        places.sort_by_key(|it| (it.created_ms, it.id));
        places.truncate(WRITTEN_LOOKED_AT);
        places
    }

    /// Threads that a user began or wrote in, with the time of their last answer, the latest first.
    pub fn threads_with(&self, user: &Id) -> Vec<(Id, Place, u64)> {
        let state = self.read();
        let mut threads = Vec::new();
        for (root, answers) in &state.threads {
            let Some(place) = state.posts.get(root) else {
                continue;
            };
            let answers = answers.iter().filter_map(|id| state.posts.get(id));
            let (mut last_ms, mut takes_part) = (0, place.author == *user);
            for answer in answers {
                last_ms = answer.created_ms.max(last_ms);
                takes_part |= answer.author == *user;
            }
            if takes_part {
                threads.push((*root, *place, last_ms));
            }
        }
        threads.sort_by_key(|(root, _, last_ms)| (std::cmp::Reverse(*last_ms), *root));
        threads
    }

    /// Posts of a channel that changed after a time, those that changed first before.
    pub fn changed_since(&self, channel: &ChannelId, since_ms: u64) -> Vec<(Id, Place)> {
        let state = self.read();
        let changed = state.posts.iter();
        let changed = changed.filter(|(_, it)| it.channel == *channel && it.updated_ms > since_ms);
        let mut changed: Vec<(Id, Place)> = changed.map(|(id, it)| (*id, *it)).collect();
        changed.sort_by_key(|(id, it)| (it.updated_ms, *id));
        changed
    }

    /// Takes all that the machine holds, when the node starts.
    pub fn fill(&self, replica: &Replica, now_ms: u64) {
        let mut state = self.change();
        let own = replica.partner();
        for channel in replica.channels().values() {
            state.take_room(channel, &own);
            for pos in channel.timeline() {
                if let Some(news) = news_at(channel, *pos) {
                    // A partner's clock may say anything; what is kept here goes by this node's.
                    let _ = state.take(&news, news.t_ms.min(now_ms));
                }
            }
        }
    }

    /// Takes what was just written; gives what is new to people, in the order of the timeline, and
    /// whom it tells of.
    pub fn take(&self, replica: &Replica, events: &[Event], now_ms: u64) -> (Vec<News>, Learned) {
        let mut state = self.change();
        let own = replica.partner();
        let (mut all, mut learned) = (Vec::new(), Learned::default());
        for event in events {
            let header = &event.header;
            let Some(channel) = replica.channels().get(&header.channel) else {
                continue;
            };
            let kind = header.kind();
            if kind.is_control_act() {
                state.take_room(channel, &own);
            }
            let pos = channel
                .graph()
                .find(header.lane, header.writer, header.seq, &event.id);
            let news = pos.and_then(|pos| news_at(channel, pos));
            if let Some(mut news) = news {
                news.reaction = reaction(replica, event);
                news.fresh = fresh(replica, channel, news.pos, event);
                learned.add(state.take(&news, now_ms));
                all.push(news);
            } else if let Some(pos) = pos.filter(|_| kind == Kind::Roster)
                && let Some(told) = roster_at(replica, channel, pos, event)
            {
                learned.add(state.take_roster(&own, &told, now_ms));
            } else if kind.is_control_act()
                && let Some(pos) = pos
            {
                all.push(control_news(channel, pos, kind));
            }
        }
        (all, learned)
    }
}

impl State {
    fn take_roster(&mut self, own: &PartnerId, told: &Told, now_ms: u64) -> Learned {
        self.rosters.take(told, own, &mut self.users, now_ms)
    }

    fn take(&mut self, news: &News, updated_ms: u64) -> Learned {
        let id = Id::of_event(&news.event);
        let author = RemoteUser::new(news.partner, &news.user, news.t_ms);
        let learned = self.rosters.hear(author, &mut self.users);
        if let Some((target, _)) = &news.about
            && let Some(place) = self.posts.get_mut(target)
        {
            place.updated_ms = place.updated_ms.max(updated_ms);
        }
        if news.kind == Kind::File {
            self.files.insert(id, news.pos);
        }
        let stands_for_itself =
            news.kind == Kind::Post || (news.kind == Kind::File && news.about.is_none());
        if !stands_for_itself {
            return learned;
        }
        let place = Place {
            id,
            channel: news.channel,
            pos: news.pos,
            root: news.about.map(|(root, _)| root),
            author: Id::of_user(&news.partner, &news.user),
            created_ms: news.t_ms,
            updated_ms,
        };
        if self.posts.insert(id, place).is_some() {
            return learned;
        }
        if let Some(root) = place.root {
            self.threads.entry(root).or_default().push(id);
        }
        if let Some(room) = self.rooms.get_mut(&Id::of_channel(&news.channel)) {
            let room = Arc::make_mut(room);
            room.posts += 1;
            room.roots += u64::from(news.about.is_none());
            room.last_ms = room.last_ms.max(updated_ms);
        }
        learned
    }

    fn take_room(&mut self, channel: &Channel, own: &PartnerId) {
        let id = Id::of_channel(&channel.id);
        let Some(status) = names::place(channel, own) else {
            return;
        };
        let parties = channel.present().members.iter().map(|(partner, member)| {
            let identity = channel.identity(partner);
            let party = Party {
                status: member.status,
                role: member.role,
                name: identity.map_or_else(
                    || partner.to_hex()[..12].to_string(),
                    |identity| identity.name.as_str().to_string(),
                ),
            };
            (*partner, party)
        });
        let before = self.rooms.get(&id);
        let created_ms = channel
            .graph()
            .chains()
            .iter()
            .find(|chain| chain.lane == channel.control_lane)
            .and_then(|chain| chain.entries.first())
            .map_or(0, |first| first.t);
        let room = Room {
            id,
            channel: channel.id,
            name: names::name_of(channel),
            parties: parties.collect(),
            own: status,
            created_ms,
            posts: before.map_or(0, |it| it.posts),
            roots: before.map_or(0, |it| it.roots),
            last_ms: before.map_or(created_ms, |it| it.last_ms),
        };
        self.rooms.insert(id, Arc::new(room));
    }
}

/// What an accepted message means to people; none for what they do not see.
fn news_at(channel: &Channel, pos: Pos) -> Option<News> {
    let entry = channel.entry(pos);
    if !entry.kind.is_sealed() || entry.kind == Kind::Roster {
        return None;
    }
    let author = channel.author(pos);
    let about = channel.parent(pos).map(|parent| match entry.kind {
        Kind::Post => root_of(channel, parent),
        _ => parent,
    });
    Some(News {
        channel: channel.id,
        pos,
        event: entry.id,
        kind: entry.kind,
        about: about.map(|about| (Id::of_event(&channel.entry(about).id), about)),
        partner: author.partner,
        user: author
            .user
            .as_ref()
            .map_or_else(String::new, |user| user.as_str().to_string()),
        t_ms: entry.t,
        reaction: None,
        fresh: None,
    })
}

fn fresh(replica: &Replica, channel: &Channel, pos: Pos, event: &Event) -> Option<Fresh> {
    let header = &event.header;
    let is_plain = header.kind() == Kind::Post && channel.about(pos).is_empty();
    if !is_plain || channel.is_flagged(pos) || channel.is_erased(pos) {
        return None;
    }
    let secret = header
        .key_event
        .and_then(|key_event| replica.secret(&key_event));
    let body = MessageBody::from_bytes(&open(event, secret).ok()?).ok()?;
    let lane = channel.lane(&header.lane)?;
    let is_directed = lane.form == LaneForm::Directed;
    Some(Fresh {
        message: body.message,
        claimed_ms: header.claimed_ms,
        audience: is_directed.then(|| lane.audience.iter().copied().collect()),
        late: channel.is_late(pos),
        forked: channel.is_forked(pos),
        label: channel.label(pos).cloned(),
    })
}

fn roster_at(replica: &Replica, channel: &Channel, pos: Pos, event: &Event) -> Option<Told> {
    if channel.is_flagged(pos) {
        return None;
    }
    let secret = event
        .header
        .key_event
        .and_then(|key_event| replica.secret(&key_event));
    let body = RosterBody::from_bytes(&open(event, secret).ok()?).ok()?;
    Some(Told::new(channel, pos, body.users))
}

fn reaction(replica: &Replica, event: &Event) -> Option<(String, bool)> {
    if event.header.kind() != Kind::React {
        return None;
    }
    let secret = event
        .header
        .key_event
        .and_then(|key_event| replica.secret(&key_event));
    let body = ReactBody::from_bytes(&open(event, secret).ok()?).ok()?;
    Some((body.emoji, body.withdrawn))
}

fn control_news(channel: &Channel, pos: Pos, kind: Kind) -> News {
    News {
        channel: channel.id,
        pos,
        event: channel.entry(pos).id,
        kind,
        about: None,
        partner: channel.author(pos).partner,
        user: String::new(),
        t_ms: channel.entry(pos).t,
        reaction: None,
        fresh: None,
    }
}

/// The posts, or rosters, that are sealed under these key events and wait for their secrets: those
/// that follow one in its log, up to the next. Of a long log the last ones.
pub fn sealed_under(channel: &Channel, key_events: &[EventId], kind: Kind) -> Vec<Pos> {
    let mut posts = Vec::new();
    for (number, chain) in channel.graph().chains().iter().enumerate() {
        let mut is_under = false;
        for (at, entry) in chain.entries.iter().enumerate() {
            if entry.kind == Kind::Key {
                is_under = key_events.contains(&entry.id);
            }
            if is_under && entry.kind == kind {
                posts.push(Pos {
                    chain: number as u32,
                    seq: chain.first + at as u64,
                });
            }
        }
    }
    let first = posts.len().saturating_sub(READABLE_TOLD);
    posts.split_off(first)
}

/// Posts that are looked at for one that was written at a time.
const WRITTEN_LOOKED_AT: usize = 64;

/// Posts that are told of when their key comes: clients ask for older ones themselves.
const READABLE_TOLD: usize = 1_000;

/// The first post of the thread that a post stands in. A post's past holds what it answers, so this
/// ends.
pub fn root_of(channel: &Channel, post: Pos) -> Pos {
    let mut root = post;
    while channel.entry(root).kind == Kind::Post
        && let Some(parent) = channel.parent(root)
    {
        root = parent;
    }
    root
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_stands_in_a_thread_even_where_the_index_lags() {
        let feed = Feed::default();
        let (root, answer) = (Id([1; 16]), Id([2; 16]));
        assert_eq!(
            feed.thread_of(&root),
            root,
            "of a post that is not indexed yet"
        );
        let pos = Pos { chain: 0, seq: 1 };
        let channel = ChannelId([0; 32]);
        let placed = Place {
            id: answer,
            root: Some(root),
            ..feed.place_at(channel, pos)
        };
        feed.change().posts.insert(answer, placed);
        assert_eq!(feed.thread_of(&answer), root, "of an answer to an answer");
    }
}
