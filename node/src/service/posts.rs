//! Reading: posts with what became of them, in timeline order.
//!
//! The machine says which events there are and in which order; their bodies are read from the
//! store, and opened outside the driver.

use std::collections::{BTreeMap, BTreeSet};

use comity_crypto::EpochSecret;
use comity_protocol::body::{FileBody, MessageBody, PinBody, ReactBody, ReceiptBody, RosterBody};
use comity_protocol::channel::Channel;
use comity_protocol::codec::Canonical;
use comity_protocol::event::{Event, Kind, Label};
use comity_protocol::graph::Pos;
use comity_protocol::id::{ChannelId, EventId, PartnerId};
use comity_protocol::keys::{Unreadable, open};
use comity_protocol::lane::LaneForm as ProtocolLaneForm;
use comity_protocol::replica::Replica;
use comity_protocol::rows::{self, Table};

use super::answer::Items;
use super::{failure, names};
use crate::api::{
    ApiError, FileInfo, Item, LabelInfo, LaneForm, PostInfo, ReactionInfo, ReceiptInfo,
    ReceiptState,
};
use crate::home::roster::Told;
use crate::node::Node;

/// Posts that are read at a time: bounds memory and how long the driver is held up.
const PAGE: usize = 128;
/// Edits of a post that are looked at, the latest ones: normally the last is readable.
const EDITS_READ: usize = 4;
/// Reactions to a post that are looked at, the latest ones.
const REACTIONS_READ: usize = 512;
/// Pins of a post that are looked at, the latest ones: normally the last is readable.
const PINS_READ: usize = 4;
/// Receipts for a post that are looked at, the latest ones.
const RECEIPTS_READ: usize = 512;
/// The most posts that one `read` shows.
const READ_MAX: usize = 10_000;

/// What `read` and `export` show.
const SHOWN: &[Kind] = &[Kind::Post, Kind::File];

/// Where one event is stored, and what the machine knows of it.
#[derive(Debug, Clone)]
struct Located {
    key: Vec<u8>,
    id: EventId,
    kind: Kind,
    partner: PartnerId,
    user: String,
}

/// A post and the events about it.
struct Found {
    post: Located,
    form: LaneForm,
    audience: BTreeSet<PartnerId>,
    flagged: bool,
    forked: bool,
    is_final: bool,
    late: bool,
    label: Option<Label>,
    erased: bool,
    /// The post replied to.
    parent: Option<EventId>,
    /// Answers to it that are not withdrawn, and the time of the last one.
    replies: u64,
    last_reply_ms: u64,
    about: Vec<Located>,
    /// Of a file: how much of it is held.
    held: HeldState,
}

/// How much of a file is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HeldState {
    Nothing,
    Part,
    Whole,
}

/// The last `limit` posts of a channel.
pub async fn read(
    node: &Node,
    channel: &str,
    limit: usize,
    items: &mut Items<'_>,
) -> Result<(), ApiError> {
    let id = names::channel(node, channel).await?;
    let posts = last_of(node, id, SHOWN, limit.min(READ_MAX)).await?;
    send(node, id, &posts, items).await
}

/// All files of a channel.
pub async fn files(node: &Node, channel: &str, items: &mut Items<'_>) -> Result<(), ApiError> {
    let id = names::channel(node, channel).await?;
    let files = last_of(node, id, &[Kind::File], usize::MAX).await?;
    send(node, id, &files, items).await
}

/// One file.
pub async fn file(node: &Node, id: ChannelId, pos: Pos) -> Result<FileInfo, ApiError> {
    let mut partners = BTreeMap::new();
    match read_page(node, id, &[pos], &mut partners).await?.pop() {
        Some(Item::File(file)) => Ok(file),
        _ => Err(failure::node("internal", "the file is not where it was")),
    }
}

/// The posts and files at these positions, in that order; what is not there is left out.
pub async fn at(node: &Node, id: ChannelId, positions: &[Pos]) -> Result<Vec<Item>, ApiError> {
    let mut partners = BTreeMap::new();
    let mut items = Vec::new();
    for page in positions.chunks(PAGE) {
        items.extend(read_page(node, id, page, &mut partners).await?);
    }
    Ok(items)
}

/// The rosters at these positions, as far as they can be read.
pub async fn rosters_at(
    node: &Node,
    id: ChannelId,
    positions: &[Pos],
) -> Result<Vec<Told>, ApiError> {
    let mut told = Vec::new();
    for page in positions.chunks(PAGE) {
        let page = page.to_vec();
        let looked = node.handle.look(move |replica| {
            let channel = replica.channels().get(&id)?;
            let found = page.into_iter().filter_map(|pos| {
                let located = locate(replica, channel, pos)?;
                Some((located, Told::new(channel, pos, Vec::new())))
            });
            Some(found.collect::<Vec<_>>())
        });
        let found = looked.await.map_err(failure::stopped)?.unwrap_or_default();
        let events = read_events(node, found.iter().map(|(located, _)| located))?;
        let secrets = secrets_for(node, &events).await?;
        let reader = Reader {
            channel: "",
            events: &events,
            secrets: &secrets,
            partners: &BTreeMap::new(),
        };
        for (located, mut one) in found {
            if let Ok(body) = reader.body::<RosterBody>(&located) {
                one.users = body.users;
                told.push(one);
            }
        }
    }
    Ok(told)
}

/// All posts of one channel or of all.
pub async fn export(
    node: &Node,
    channel: Option<&str>,
    items: &mut Items<'_>,
) -> Result<(), ApiError> {
    let channels = match channel {
        Some(name) => vec![names::channel(node, name).await?],
        None => all_channels(node).await?,
    };
    for id in channels {
        let posts = last_of(node, id, SHOWN, usize::MAX).await?;
        send(node, id, &posts, items).await?;
    }
    Ok(())
}

async fn all_channels(node: &Node) -> Result<Vec<ChannelId>, ApiError> {
    let own = node.partner;
    let named = node.handle.look(move |replica| {
        let placed = replica
            .channels()
            .values()
            .filter(|channel| names::place(channel, &own).is_some());
        placed
            .map(|channel| (names::name_of(channel), channel.id))
            .collect::<BTreeSet<_>>()
    });
    Ok(named
        .await
        .map_err(failure::stopped)?
        .into_iter()
        .map(|(_, id)| id)
        .collect())
}

/// The last posts and files of a channel, in timeline order: costs what is asked for, not what the
/// channel holds.
async fn last_of(
    node: &Node,
    id: ChannelId,
    kinds: &'static [Kind],
    limit: usize,
) -> Result<Vec<Pos>, ApiError> {
    let posts = node.handle.look(move |replica| {
        let Some(channel) = replica.channels().get(&id) else {
            return Vec::new();
        };
        let is_wanted = |pos: &&Pos| kinds.contains(&channel.entry(**pos).kind);
        let newest_first = channel.timeline().iter().rev();
        let mut posts: Vec<Pos> = newest_first
            .filter(is_wanted)
            .take(limit)
            .copied()
            .collect();
        posts.reverse();
        posts
    });
    let posts = posts.await.map_err(failure::stopped)?;
    // The machine is ahead of the disk by what is being written.
    node.handle.settled().await.map_err(failure::stopped)?;
    Ok(posts)
}

async fn send(
    node: &Node,
    id: ChannelId,
    posts: &[Pos],
    items: &mut Items<'_>,
) -> Result<(), ApiError> {
    let mut partners = BTreeMap::new();
    for page in posts.chunks(PAGE) {
        for item in read_page(node, id, page, &mut partners).await? {
            items.push(item).await;
        }
    }
    Ok(())
}

async fn read_page(
    node: &Node,
    id: ChannelId,
    page: &[Pos],
    partners: &mut BTreeMap<PartnerId, String>,
) -> Result<Vec<Item>, ApiError> {
    let positions = page.to_vec();
    let located = node.handle.look(move |replica| {
        let channel = replica.channels().get(&id)?;
        let found = positions
            .iter()
            .filter_map(|pos| locate_post(replica, channel, *pos))
            .collect::<Vec<_>>();
        Some((names::name_of(channel), found))
    });
    let Some((name, found)) = located.await.map_err(failure::stopped)? else {
        return Ok(Vec::new());
    };
    let events = events_of(node, &found)?;
    let secrets = secrets_for(node, &events).await?;
    let authors = found
        .iter()
        .flat_map(|found| std::iter::once(&found.post).chain(&found.about))
        .map(|event| event.partner);
    let wanted: BTreeSet<PartnerId> = authors
        .chain(
            found
                .iter()
                .flat_map(|found| found.audience.iter().copied()),
        )
        .collect();
    for partner in wanted {
        if let std::collections::btree_map::Entry::Vacant(free) = partners.entry(partner) {
            free.insert(node.partner_name(&partner).await);
        }
    }
    let reader = Reader {
        channel: &name,
        events: &events,
        secrets: &secrets,
        partners,
    };
    Ok(found.iter().map(|found| reader.item(found)).collect())
}

fn locate_post(replica: &Replica, channel: &Channel, pos: Pos) -> Option<Found> {
    let about = channel.about(pos);
    let mut last = latest(channel, &about, Kind::Edit, EDITS_READ);
    last.extend(latest(channel, &about, Kind::React, REACTIONS_READ));
    last.extend(latest(channel, &about, Kind::Pin, PINS_READ));
    last.extend(latest(channel, &about, Kind::Receipt, RECEIPTS_READ));
    let lane = channel.lane(&channel.lane_of(pos))?;
    let is_reply = |it: &&Pos| channel.entry(**it).kind == Kind::Post && !channel.is_erased(**it);
    let replies = about.iter().filter(is_reply);
    let (replies, last_reply_ms) = replies.fold((0, 0), |(count, last), reply| {
        (count + 1, channel.entry(*reply).t.max(last))
    });
    Some(Found {
        replies,
        last_reply_ms,
        post: locate(replica, channel, pos)?,
        form: match lane.form {
            ProtocolLaneForm::Directed => LaneForm::Directed,
            ProtocolLaneForm::Open | ProtocolLaneForm::Control => LaneForm::Open,
        },
        audience: lane.audience.clone(),
        flagged: channel.is_flagged(pos),
        forked: channel.is_forked(pos),
        is_final: channel.is_final(pos),
        late: channel.is_late(pos),
        label: channel.label(pos).cloned(),
        erased: channel.is_erased(pos),
        held: held(replica, &channel.entry(pos).id),
        parent: channel.parent(pos).map(|parent| channel.entry(parent).id),
        about: last
            .into_iter()
            .filter_map(|pos| locate(replica, channel, pos))
            .collect(),
    })
}

fn held(replica: &Replica, file: &EventId) -> HeldState {
    match replica.held_file(file) {
        None => HeldState::Nothing,
        Some(held) if held.is_whole() => HeldState::Whole,
        Some(_) => HeldState::Part,
    }
}

/// The last events of one kind about a post: bounds what reading it costs, however often its
/// author changed it.
fn latest(channel: &Channel, about: &[Pos], kind: Kind, most: usize) -> Vec<Pos> {
    let of_kind = about
        .iter()
        .copied()
        .filter(|pos| channel.entry(*pos).kind == kind);
    let of_kind: Vec<Pos> = of_kind.collect();
    of_kind[of_kind.len().saturating_sub(most)..].to_vec()
}

fn locate(replica: &Replica, channel: &Channel, pos: Pos) -> Option<Located> {
    let entry = channel.entry(pos);
    let number = replica.log_number(&(channel.id, channel.lane_of(pos), channel.writer_of(pos)))?;
    let author = channel.author(pos);
    Some(Located {
        key: rows::event_key(number, pos.seq, &entry.id),
        id: entry.id,
        kind: entry.kind,
        partner: author.partner,
        user: author
            .user
            .as_ref()
            .map_or_else(String::new, |user| user.as_str().to_string()),
    })
}

/// Reads the posts' events, and those that change them (replies stand for themselves).
fn events_of(node: &Node, found: &[Found]) -> Result<BTreeMap<EventId, Event>, ApiError> {
    let changes = |event: &&Located| {
        matches!(
            event.kind,
            Kind::Edit | Kind::React | Kind::Pin | Kind::Receipt
        )
    };
    let located = found
        .iter()
        .flat_map(|found| std::iter::once(&found.post).chain(found.about.iter().filter(changes)));
    read_events(node, located)
}

fn read_events<'a>(
    node: &Node,
    located: impl Iterator<Item = &'a Located>,
) -> Result<BTreeMap<EventId, Event>, ApiError> {
    let mut events = BTreeMap::new();
    for located in located {
        let value = node
            .store
            .get(Table::Events, &located.key)
            .map_err(failure::store)?;
        let stored = value.map(|value| rows::read_event(&value)).transpose();
        let stored = stored.map_err(|error| failure::node("store_damaged", error))?;
        if let Some(stored) = stored {
            events.insert(located.id, stored.event);
        }
    }
    Ok(events)
}

async fn secrets_for(
    node: &Node,
    events: &BTreeMap<EventId, Event>,
) -> Result<BTreeMap<EventId, EpochSecret>, ApiError> {
    let wanted: BTreeSet<EventId> = events
        .values()
        .filter_map(|event| event.header.key_event)
        .collect();
    let secrets = node.handle.look(move |replica| {
        wanted
            .into_iter()
            .filter_map(|id| Some((id, replica.secret(&id)?.clone())))
            .collect()
    });
    secrets.await.map_err(failure::stopped)
}

struct Reader<'a> {
    channel: &'a str,
    events: &'a BTreeMap<EventId, Event>,
    secrets: &'a BTreeMap<EventId, EpochSecret>,
    partners: &'a BTreeMap<PartnerId, String>,
}

impl Reader<'_> {
    fn item(&self, found: &Found) -> Item {
        match found.post.kind {
            Kind::File => Item::File(self.file(found)),
            _ => Item::Post(self.post(found)),
        }
    }

    fn file(&self, found: &Found) -> FileInfo {
        let event = self.events.get(&found.post.id);
        let read = self.body::<FileBody>(&found.post);
        let (file, state) = match (read, found.held) {
            _ if found.erased => (None, "withdrawn"),
            _ if found.flagged => (None, "flagged"),
            (Err(state), _) => (None, state),
            // There is nothing to fetch of an empty file.
            (Ok(file), _) if file.chunks.is_empty() => (Some(file), "held"),
            (Ok(file), HeldState::Whole) => (Some(file), "held"),
            (Ok(file), HeldState::Part) => (Some(file), "partly_held"),
            (Ok(file), HeldState::Nothing) => (Some(file), "not_fetched"),
        };
        FileInfo {
            channel: self.channel.into(),
            id: found.post.id.to_hex(),
            author: self.author(&found.post),
            create_at: event.map_or(0, |event| event.header.claimed_ms),
            name: file.as_ref().map(|file| file.name.clone()),
            media_type: file.as_ref().map(|file| file.media_type.clone()),
            size: file.as_ref().map(|file| file.size),
            audience: self.audience(found),
            post: found.parent.map(|parent| parent.to_hex()),
            state: state.into(),
            forked: found.forked,
        }
    }

    fn audience(&self, found: &Found) -> Vec<String> {
        let names = found.audience.iter().map(|partner| self.partner(partner));
        let mut names: Vec<String> = names.collect();
        names.sort_unstable();
        names
    }

    fn post(&self, found: &Found) -> PostInfo {
        let event = self.events.get(&found.post.id);
        let (message, edit_at) = self.text(found);
        let (message, state) = match message {
            _ if found.flagged => (None, "flagged"),
            _ if found.erased => (None, "withdrawn"),
            Ok(message) => (Some(message), "shown"),
            Err(state) => (None, state),
        };
        PostInfo {
            channel: self.channel.into(),
            id: found.post.id.to_hex(),
            author: self.author(&found.post),
            create_at: event.map_or(0, |event| event.header.claimed_ms),
            why: message.is_none().then(|| self.absence(found, state)),
            message,
            form: found.form,
            audience: self.audience(found),
            reply_to: found.parent.map(|parent| parent.to_hex()),
            replies: found.replies,
            last_reply_at: found.last_reply_ms,
            edit_at,
            state: state.into(),
            forked: found.forked,
            is_final: found.is_final,
            late: found.late,
            label: found.label.as_ref().map(LabelInfo::from),
            pinned: self.is_pinned(found),
            reactions: self.reactions(found),
            receipts: self.receipts(found),
        }
    }

    /// The text of the last readable edit, and its claimed time, or else the post's own.
    fn text(&self, found: &Found) -> (Result<String, &'static str>, Option<u64>) {
        let edits = found.about.iter().rev();
        for edit in edits.filter(|about| about.kind == Kind::Edit) {
            if let Ok(body) = self.body::<MessageBody>(edit) {
                let event = self.events.get(&edit.id);
                return (Ok(body.message), event.map(|event| event.header.claimed_ms));
            }
        }
        let own = self.body::<MessageBody>(&found.post);
        (own.map(|body| body.message), None)
    }

    fn absence(&self, found: &Found, state: &str) -> String {
        match state {
            "withdrawn" => "withdrawn by its author".into(),
            "no_key" => "the key is not here yet".into(),
            "flagged" => format!(
                "kept, not shown: {} wrote it without knowing that its membership had ended, and \
                 no member that stayed had it before",
                self.partner(&found.post.partner)
            ),
            _ => "cannot be read".into(),
        }
    }

    /// Anybody's last word on it.
    fn is_pinned(&self, found: &Found) -> bool {
        let pins = found
            .about
            .iter()
            .rev()
            .filter(|about| about.kind == Kind::Pin);
        let last = pins
            .map(|pin| self.body::<PinBody>(pin))
            .find_map(Result::ok);
        last.is_some_and(|pin| !pin.withdrawn)
    }

    /// The furthest that each user says it came.
    fn receipts(&self, found: &Found) -> Vec<ReceiptInfo> {
        let mut furthest: BTreeMap<String, ReceiptState> = BTreeMap::new();
        for receipt in found
            .about
            .iter()
            .filter(|about| about.kind == Kind::Receipt)
        {
            let Some(state) = self
                .body::<ReceiptBody>(receipt)
                .ok()
                .and_then(|body| receipt_state(body.state))
            else {
                continue;
            };
            let held = furthest.entry(self.author(receipt)).or_insert(state);
            *held = state.max(*held);
        }
        furthest
            .into_iter()
            .map(|(author, state)| ReceiptInfo { author, state })
            .collect()
    }

    /// Each author's last word on each reaction.
    fn reactions(&self, found: &Found) -> Vec<ReactionInfo> {
        let mut given: BTreeMap<(String, String), Option<u64>> = BTreeMap::new();
        for react in found.about.iter().filter(|about| about.kind == Kind::React) {
            if let Ok(body) = self.body::<ReactBody>(react) {
                let event = self.events.get(&react.id);
                let create_at = event.map_or(0, |event| event.header.claimed_ms);
                let held = (!body.withdrawn).then_some(create_at);
                given.insert((body.emoji, self.author(react)), held);
            }
        }
        let held = given.into_iter();
        held.filter_map(|((emoji, author), create_at)| {
            Some(ReactionInfo {
                emoji,
                author,
                create_at: create_at?,
            })
        })
        .collect()
    }

    fn body<T: Canonical>(&self, located: &Located) -> Result<T, &'static str> {
        let event = self.events.get(&located.id).ok_or("unreadable")?;
        let secret = event
            .header
            .key_event
            .and_then(|key_event| self.secrets.get(&key_event));
        match open(event, secret) {
            Ok(body) => T::from_bytes(&body).map_err(|_| "unreadable"),
            Err(Unreadable::NoKey) => Err("no_key"),
            Err(Unreadable::NotSealed | Unreadable::Garbage) => Err("unreadable"),
        }
    }

    fn author(&self, located: &Located) -> String {
        format!("{}@{}", located.user, self.partner(&located.partner))
    }

    fn partner(&self, partner: &PartnerId) -> String {
        self.partners
            .get(partner)
            .cloned()
            .unwrap_or_else(|| partner.to_hex())
    }
}

fn receipt_state(number: u8) -> Option<ReceiptState> {
    match number {
        1 => Some(ReceiptState::Delivered),
        2 => Some(ReceiptState::Read),
        _ => None,
    }
}
