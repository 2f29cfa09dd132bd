//! What users do with posts: writing them once however often they are asked for, changing them, and
//! finding them again.

use std::sync::Arc;

use comity_protocol::event::{Kind, Label};
use comity_protocol::graph::Pos;
use comity_protocol::id::ChannelId;

use super::feed::{Fresh, News, Place, Room};
use super::files::Source;
use super::id::Id;
use super::people::{Account, Pending};
use super::shapes::{self, Post};
use super::{Home, is_direct};
use crate::api::{ApiError, LabelInfo, Precedence};
use crate::search::{Names, Options, Query};
use crate::service::messages::{self, Mark};
use crate::service::{failure, files};

/// The longest message, in characters, as clients are told.
pub const MESSAGE_CHARACTERS: usize = 16_383;
/// Files of one post.
pub const FILES_PER_POST: usize = 10;

/// A post that a user wants to make.
#[derive(Debug, Default)]
pub struct NewPost {
    pub message: String,
    /// The thread that it belongs to.
    pub root: Option<Id>,
    /// Files that were handed over before.
    pub files: Vec<Id>,
    /// The client's own name for it: asked for twice, it is made once.
    pub asked_as: String,
    /// The partners that it is for; empty for all.
    pub to: Vec<String>,
    /// Absent: that of the post it answers.
    pub label: Option<LabelInfo>,
}

/// Requests for one and the same post take turns, so that one that comes twice at once is made once.
/// Some others share their turns, which bounds the locks.
pub struct Turns {
    locks: Vec<tokio::sync::Mutex<()>>,
}

impl Default for Turns {
    fn default() -> Turns {
        Turns {
            locks: (0..TURNS).map(|_| tokio::sync::Mutex::default()).collect(),
        }
    }
}

const TURNS: usize = 4_096;

impl Turns {
    async fn lock_for(&self, user: Id, asked_as: &str) -> tokio::sync::MutexGuard<'_, ()> {
        let tag = "comity post turn";
        let Id([low, high, ..]) = Id::hashed(tag, &[&user.0, asked_as.as_bytes()]);
        let number = usize::from(u16::from_le_bytes([low, high])) % TURNS;
        self.locks[number].lock().await
    }
}

/// Part of a channel, the oldest first.
#[derive(Debug, Default)]
pub struct Window {
    pub places: Vec<Place>,
    /// The posts just after and before it.
    pub next: Option<Id>,
    pub prev: Option<Id>,
}

impl Home {
    /// Makes a post; it is on disk when this returns.
    pub async fn post(
        &self,
        author: &Account,
        room: &Room,
        new: NewPost,
    ) -> Result<Post, ApiError> {
        let user = author.id;
        let _turn = match new.asked_as.is_empty() {
            true => None,
            false => Some(self.posting.lock_for(user, &new.asked_as).await),
        };
        if let Some(made) = self.made_before(user, room, &new).await? {
            return Ok(made);
        }
        self.demand_writable(user, room, &new)?;
        let reply_to = match &new.root {
            Some(root) => Some(self.root_in(room, root)?),
            None => None,
        };
        let claimed_ms = self.node.now_ms();
        let mut pending = Pending {
            channel: room.channel,
            claimed_ms,
            post: None,
        };
        let mut rows = Vec::new();
        if !new.asked_as.is_empty() {
            rows.push(self.people.pending_row(user, &new.asked_as, &pending));
            // Known from now on, also if whoever asked goes away before the answer.
            self.people
                .note_pending(user, &new.asked_as, pending.clone());
        }
        let label = match &new.label {
            Some(label) => Some(label.label(claimed_ms).map_err(bad_label)?),
            None => None,
        };
        let draft = messages::NewPost {
            user: author.username.clone(),
            message: new.message.clone(),
            reply_to: None,
            create_at_ms: Some(claimed_ms),
            precedence: Precedence::Routine,
            to: new.to,
            label,
        };
        let is_directed = !draft.to.is_empty();
        let posting = messages::post_in(&self.node, room.channel, reply_to, draft, rows);
        let (written, left_out) = posting.await?;
        let id = Id::of_event(&written.id);
        if !new.asked_as.is_empty() {
            pending.post = Some(id);
            self.people.note_pending(user, &new.asked_as, pending);
        }
        let place = self.place_soon(id).await?;
        for file in &new.files {
            self.post_file(file, (room.channel, place.pos)).await?;
        }
        let audience = (is_directed || !left_out.is_empty()).then_some(written.audience);
        let news = News {
            channel: room.channel,
            pos: place.pos,
            event: written.id,
            kind: Kind::Post,
            about: place.root.map(|root| (root, place.pos)),
            partner: self.node.partner,
            user: author.username.clone(),
            t_ms: claimed_ms,
            reaction: None,
            fresh: Some(Fresh {
                message: new.message,
                claimed_ms,
                audience: audience.map(|partners| partners.into_iter().collect()),
                late: false,
                forked: false,
                label: match new.root.is_some() || new.label.is_some() {
                    true => self.label_at(room, place.pos).await?,
                    false => None,
                },
            }),
        };
        let made = shapes::fresh(self, room, &news).filter(|_| new.files.is_empty());
        let mut made = match made {
            Some(made) => made,
            None => self.render_one(room, place).await?,
        };
        made.pending_post_id = new.asked_as;
        Ok(made)
    }

    /// The label that a message bears: its own, or that of what it answers.
    async fn label_at(&self, room: &Room, pos: Pos) -> Result<Option<Label>, ApiError> {
        let channel = room.channel;
        let looked = self
            .node
            .handle
            .look(move |replica| replica.channels().get(&channel)?.label(pos).cloned());
        looked.await.map_err(failure::stopped)
    }

    fn demand_writable(&self, user: Id, room: &Room, new: &NewPost) -> Result<(), ApiError> {
        let too_long = new.message.chars().count() > MESSAGE_CHARACTERS;
        let asked_too_long = new.asked_as.len() > 128;
        if too_long || asked_too_long {
            return Err(failure::user(
                "too_long",
                format!("a message has at most {MESSAGE_CHARACTERS} characters"),
                "send it in parts, or as a file",
            ));
        }
        if new.message.trim().is_empty() && new.files.is_empty() {
            return Err(failure::user(
                "empty_message",
                "there is nothing in the message",
                "write something",
            ));
        }
        if new.files.len() > FILES_PER_POST {
            return Err(failure::user(
                "too_many_files",
                format!("a post has at most {FILES_PER_POST} files"),
                "send the others with another post",
            ));
        }
        let known = |file: &Id| {
            self.files.get(file).is_some_and(|it| {
                let is_staged = matches!(it.source, Source::Staged(_));
                is_staged && it.user == user && it.channel == room.id
            })
        };
        match new.files.iter().all(known) {
            true => Ok(()),
            false => Err(failure::user(
                "no_such_file",
                "a file was not handed over, or is posted already",
                "upload it again",
            )),
        }
    }

    /// The post that the same request made before; a node that was killed in between knows it by
    /// its time.
    async fn made_before(
        &self,
        user: Id,
        room: &Room,
        new: &NewPost,
    ) -> Result<Option<Post>, ApiError> {
        if new.asked_as.is_empty() {
            return Ok(None);
        }
        let Some(pending) = self.people.pending(user, &new.asked_as) else {
            return Ok(None);
        };
        if pending.channel != room.channel {
            return Ok(None);
        }
        let places = match pending.post {
            Some(post) => vec![self.place_soon(post).await?],
            None => {
                // It may be under way still.
                self.node.handle.settled().await.map_err(failure::stopped)?;
                self.feed
                    .written_from(&pending.channel, &user, pending.claimed_ms)
            }
        };
        let posts = self.render(room, &places).await?;
        let known = pending.post.is_some();
        let made = posts
            .into_iter()
            .find(|it| known || it.create_at == pending.claimed_ms);
        Ok(made.map(|made| Post {
            pending_post_id: new.asked_as.clone(),
            ..made
        }))
    }

    /// Where a post stands that was just written: the index is told of it after the disk.
    async fn place_soon(&self, id: Id) -> Result<Place, ApiError> {
        loop {
            let told = self.told.notified();
            tokio::pin!(told);
            told.as_mut().enable();
            if let Some(place) = self.feed.place(&id) {
                return Ok(place);
            }
            if tokio::time::timeout(PATIENCE, told).await.is_err() {
                return Err(failure::node(
                    "internal",
                    "a post that was written is not in the index",
                ));
            }
        }
    }

    async fn render_one(&self, room: &Room, place: Place) -> Result<Post, ApiError> {
        let post = self.render(room, &[place]).await?.pop();
        post.ok_or_else(|| failure::node("internal", "a post is not where it was"))
    }

    fn root_in(&self, room: &Room, root: &Id) -> Result<Pos, ApiError> {
        let place = self
            .feed
            .place(root)
            .filter(|place| place.channel == room.channel);
        let place = place.ok_or_else(|| {
            failure::user(
                "no_such_post",
                "the post that this answers is not in the channel",
                "answer one that is",
            )
        })?;
        let first = place.root.and_then(|root| self.feed.place(&root));
        Ok(first.unwrap_or(place).pos)
    }

    async fn post_file(&self, file: &Id, post: (ChannelId, Pos)) -> Result<(), ApiError> {
        let Some(staged) = self.files.get(file) else {
            return Ok(());
        };
        let Source::Staged(upload) = &staged.source else {
            return Ok(());
        };
        let written = files::finish_for(&self.node, upload, post).await?;
        if let Some(posted) = super::shapes::id_of_hex(&written.id) {
            self.files.posted(*file, posted);
            self.file_soon(posted).await;
        }
        Ok(())
    }

    /// Waits until the index knows a file that was just posted.
    async fn file_soon(&self, id: Id) {
        loop {
            let told = self.told.notified();
            tokio::pin!(told);
            told.as_mut().enable();
            if self.files.get(&id).is_some() || tokio::time::timeout(PATIENCE, told).await.is_err()
            {
                return;
            }
        }
    }

    pub async fn edit(
        &self,
        author: &Account,
        place: &Place,
        message: String,
    ) -> Result<(), ApiError> {
        let found = (place.channel, place.pos);
        messages::edit_at(&self.node, found, &author.username, message)
            .await
            .map(drop)
    }

    pub async fn withdraw(&self, author: &Account, place: &Place) -> Result<(), ApiError> {
        let found = (place.channel, place.pos);
        for file in self.files.of_post(&place.id) {
            let own = self
                .feed
                .file_place(&file.id)
                .filter(|_| file.user == author.id);
            if let Some(pos) = own {
                let found = (place.channel, pos);
                messages::redact_at(&self.node, found, &author.username).await?;
            }
        }
        messages::redact_at(&self.node, found, &author.username)
            .await
            .map(drop)
    }

    pub async fn react(
        &self,
        author: &Account,
        place: &Place,
        emoji: &str,
        withdrawn: bool,
    ) -> Result<(), ApiError> {
        let found = (place.channel, place.pos);
        let mark = self.mark_of(author);
        messages::react_at(&self.node, found, mark, emoji.into(), withdrawn)
            .await
            .map(drop)
    }

    pub async fn pin(&self, author: &Account, place: &Place, pinned: bool) -> Result<(), ApiError> {
        let found = (place.channel, place.pos);
        messages::pin_at(&self.node, found, self.mark_of(author), !pinned)
            .await
            .map(drop)
    }

    fn mark_of(&self, author: &Account) -> Mark {
        Mark {
            post: String::new(),
            user: author.username.clone(),
            to: Vec::new(),
        }
    }

    /// Posts of a channel: `size` of them before (or after) an anchor, or the last ones, with `skip`
    /// left out next to it.
    pub async fn window(
        &self,
        room: &Room,
        anchor: Option<Pos>,
        after: bool,
        skip: usize,
        size: usize,
    ) -> Result<Window, ApiError> {
        let channel = room.channel;
        let found = self.node.handle.look(move |replica| {
            let Some(channel) = replica.channels().get(&channel) else {
                return (Vec::new(), None, None);
            };
            let timeline = channel.timeline();
            let at = anchor.map(|anchor| {
                let key = channel.timeline_key(anchor);
                timeline.partition_point(|pos| channel.timeline_key(*pos) < key)
            });
            let stands = |pos: &&Pos| stands_for_itself(channel, **pos);
            let id = |pos: &Pos| Id::of_event(&channel.entry(*pos).id);
            match after {
                true => {
                    let from = at.map_or(0, |at| at + 1).min(timeline.len());
                    let mut later = timeline[from..].iter().filter(stands).skip(skip);
                    let found: Vec<_> = later
                        .by_ref()
                        .take(size)
                        .map(|pos| (*pos, id(pos)))
                        .collect();
                    let next = later.next().map(id);
                    (found, next, anchor.map(|anchor| id(&anchor)))
                }
                false => {
                    let to = at.unwrap_or(timeline.len());
                    let mut earlier = timeline[..to].iter().rev().filter(stands);
                    let skipped = skip
                        .checked_sub(1)
                        .and_then(|last| earlier.by_ref().nth(last));
                    let next = skipped.map(id).or(anchor.map(|anchor| id(&anchor)));
                    let mut found: Vec<_> = earlier
                        .by_ref()
                        .take(size)
                        .map(|pos| (*pos, id(pos)))
                        .collect();
                    let prev = earlier.next().map(id);
                    found.reverse();
                    (found, next, prev)
                }
            }
        });
        let (found, next, prev) = found.await.map_err(failure::stopped)?;
        // The machine is ahead of the disk by what is being written, and the disk of the index: who
        // is shown a post asks for it by its id next.
        self.node.handle.settled().await.map_err(failure::stopped)?;
        for (_, id) in &found {
            if let Err(error) = self.place_soon(*id).await {
                tracing::warn!(post = %id, ?error, "a post is shown that is not in the index");
                break;
            }
        }
        let places = found
            .into_iter()
            .map(|(pos, _)| self.feed.place_at(room.channel, pos));
        Ok(Window {
            places: places.collect(),
            next,
            prev,
        })
    }

    /// How many posts there are from a position on.
    pub async fn posts_from(&self, room: &Room, from: Pos) -> Result<u64, ApiError> {
        let channel = room.channel;
        let counted = self.node.handle.look(move |replica| {
            let Some(channel) = replica.channels().get(&channel) else {
                return 0;
            };
            let key = channel.timeline_key(from);
            let timeline = channel.timeline();
            let at = timeline.partition_point(|pos| channel.timeline_key(*pos) < key);
            timeline[at..]
                .iter()
                .filter(|pos| stands_for_itself(channel, **pos))
                .count() as u64
        });
        counted.await.map_err(failure::stopped)
    }

    /// The posts of a channel that somebody pinned once.
    pub async fn pinned(&self, room: &Room) -> Result<Vec<Place>, ApiError> {
        let channel = room.channel;
        let found = self.node.handle.look(move |replica| {
            let Some(channel) = replica.channels().get(&channel) else {
                return Vec::new();
            };
            let pins = channel
                .timeline()
                .iter()
                .filter(|pos| channel.entry(**pos).kind == Kind::Pin);
            let mut targets: Vec<Pos> = pins.filter_map(|pin| channel.parent(*pin)).collect();
            targets.sort_by_key(|pos| channel.timeline_key(*pos));
            targets.dedup();
            targets
        });
        let found = found.await.map_err(failure::stopped)?;
        Ok(found
            .into_iter()
            .map(|pos| self.feed.place_at(room.channel, pos))
            .collect())
    }

    /// The ids of posts that a user may read and that a query finds, the newest first.
    pub async fn search(
        &self,
        user: &Id,
        (terms, any, offset_s): (&str, bool, i64),
        team: Option<Id>,
        skip: usize,
        size: usize,
    ) -> Result<Vec<Id>, String> {
        let options = Options {
            any,
            utc_offset_s: i32::try_from(offset_s).unwrap_or(0),
        };
        let query = Query::parse(terms, &options).map_err(|error| error.to_string())?;
        let readable: std::collections::BTreeSet<u32> = self
            .rooms_of(user)
            .into_iter()
            .filter(|room| team.is_none_or(|team| is_direct(room) || self.team_of(room).id == team))
            .filter_map(|room| self.finder.channel_number(&room.id))
            .collect();
        Ok(self.finder.find(
            &query,
            |channel| readable.contains(&channel),
            self,
            skip,
            size,
        ))
    }

    /// A channel that was just made, by its id in hexadecimal digits.
    pub async fn room_by_hex(
        &self,
        hex: &str,
        is_as_made: impl Fn(&Room) -> bool,
    ) -> Result<Arc<Room>, ApiError> {
        let id = super::shapes::id_of_hex(hex);
        let id = id.ok_or_else(|| failure::node("internal", "a channel's id is no id"))?;
        loop {
            let told = self.told.notified();
            tokio::pin!(told);
            told.as_mut().enable();
            if let Some(room) = self.feed.room(&id).filter(|room| is_as_made(room)) {
                return Ok(room);
            }
            if tokio::time::timeout(PATIENCE, told).await.is_err() {
                return Err(failure::node(
                    "internal",
                    "a channel that was made is not in the index",
                ));
            }
        }
    }
}

/// How long the index may take to hear of what is on disk.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

fn bad_label(why: &'static str) -> ApiError {
    failure::user("bad_label", why, "correct the label")
}

fn stands_for_itself(channel: &comity_protocol::channel::Channel, pos: Pos) -> bool {
    match channel.entry(pos).kind {
        Kind::Post => !channel.is_erased(pos),
        Kind::File => channel.parent(pos).is_none() && !channel.is_erased(pos),
        _ => false,
    }
}

impl Names for Home {
    fn channel(&self, name: &str) -> Vec<u32> {
        let rooms = self.feed.rooms();
        let named = rooms
            .iter()
            .filter(|room| room.name == name || room.id.to_string() == name);
        named
            .filter_map(|room| self.finder.channel_number(&room.id))
            .collect()
    }

    fn author(&self, name: &str) -> Vec<u32> {
        let name = name.trim_start_matches('@');
        let own = self.people.by_name(name).map(|account| account.id);
        let remote = name
            .split_once(':')
            .and_then(|(user, partner)| Some(Id::of_user(&self.partner_named(partner)?, user)));
        own.into_iter()
            .chain(remote)
            .filter_map(|id| self.finder.author_number(&id))
            .collect()
    }
}
