//! Files: taking them from this partner's people, fetching them from other partners, handing them
//! out.
//!
//! A file is handed over chunk by chunk. Each chunk is sealed and stored at once, in a place that
//! is noted as an upload; the reference is written last, and takes the note away in the same
//! write. So whatever moment the node is killed at, a file is there whole or not at all, and what
//! lies about at the next start is known and deleted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use comity_protocol::body::{FileBody, Role};
use comity_protocol::codec::Canonical;
use comity_protocol::files::{FileKey, Place, chunk_count, chunk_key, chunk_len};
use comity_protocol::graph::Pos;
use comity_protocol::id::{ChannelId, EventId, Hash, PartnerId, hex};
use comity_protocol::keys::{Unreadable, open};
use comity_protocol::limits;
use comity_protocol::replica::{Command, CommandError, Draft, Replica};
use comity_protocol::rows::{self, Row, Table};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::Instant;

use super::answer::Items;
use super::{audience, failure, messages, names, peering, posts};
use crate::api::{ApiError, FileData, FileProgress, FileUpload, Item, NewFile, Written};
use crate::driver::Handle;
use crate::environment::Work;
use crate::node::Node;
use crate::store::{Store, StoreError};

/// Files that may be handed over at a time.
const UPLOADS: usize = 16;
/// An upload that nobody goes on with for this long is discarded.
const UPLOAD_IDLE: Duration = Duration::from_secs(600);
/// How often that is looked at.
const UPLOAD_LOOK: Duration = Duration::from_secs(30);
/// How often whoever waits for a fetch looks how far it has come.
const LOOK: Duration = Duration::from_millis(100);
/// The longest pause between two words on how far it has come.
const PROGRESS_PAUSE: Duration = Duration::from_secs(1);
/// The fewest digits of an id that name a file.
const PREFIX_DIGITS: usize = 6;

/// What is under way with files.
#[derive(Default)]
pub struct Files {
    uploads: Arc<StdMutex<BTreeMap<String, Arc<Mutex<Upload>>>>>,
    /// How many wait for the fetch of a file.
    waiting: Arc<StdMutex<BTreeMap<EventId, usize>>>,
}

/// A file that is being handed over.
struct Upload {
    channel: ChannelId,
    draft: Draft,
    /// Members that it is not for, as this node's pact with them is suspended.
    left_out: BTreeSet<PartnerId>,
    post: Option<Pos>,
    place: Place,
    body: FileBody,
    /// SHA-256 of the file's bytes so far, for the audit record.
    digest: digest::Context,
    used: Instant,
}

/// Begins to take a file.
pub async fn begin(node: &Node, file: NewFile) -> Result<FileUpload, ApiError> {
    if node.transport.is_none() {
        return Err(failure::operator(
            "not_running",
            "a file is handed to a node that runs",
            "start it with 'comity serve'",
        ));
    }
    let upload = prepare(node, file).await?;
    let place = upload.place;
    let id = hex(&node.environment.randomness.bytes::<16>());
    let watched = {
        let mut uploads = lock(&node.files.uploads);
        if uploads.len() >= UPLOADS {
            return Err(failure::operator(
                "too_many_uploads",
                "too many files are handed over at a time",
                "try again when one of them has ended",
            ));
        }
        let upload = Arc::new(Mutex::new(upload));
        uploads.insert(id.clone(), upload.clone());
        upload
    };
    let note = Row::put(Table::Uploads, place.0.to_vec(), Vec::new());
    if let Err(error) = write(node, vec![note]).await {
        lock(&node.files.uploads).remove(&id);
        return Err(error);
    }
    let uploads = node.files.uploads.clone();
    let (store, work) = (node.store.clone(), node.environment.work);
    tokio::spawn(watch(store, work, uploads, id.clone(), watched));
    Ok(FileUpload {
        upload: id,
        chunk_bytes: limits::CHUNK_BYTES,
    })
}

async fn prepare(node: &Node, file: NewFile) -> Result<Upload, ApiError> {
    let channel = names::channel(node, &file.channel).await?;
    let post = match &file.post {
        Some(post) => Some(post_in(node, channel, post).await?),
        None => None,
    };
    let audience = audience::choose(node, channel, post, &file.to).await?;
    let draft = Draft {
        audience: audience.partners,
        ..messages::draft(node, &file.user, file.create_at_ms, file.precedence)?
    };
    demand_contributor(node, channel).await?;
    let mut body = FileBody {
        name: file.name,
        media_type: file.media_type,
        size: file.size,
        key: FileKey::from_bytes(node.environment.randomness.bytes()),
        chunks: Vec::new(),
    };
    demand_legal(&mut body)?;
    Ok(Upload {
        channel,
        draft,
        left_out: audience.left_out,
        post,
        place: Hash(node.environment.randomness.bytes()),
        body,
        digest: digest::Context::new(&digest::SHA256),
        used: Instant::now(),
    })
}

/// Refuses before anything is handed over what would be refused at the end.
fn demand_legal(body: &mut FileBody) -> Result<(), ApiError> {
    if body.size > limits::FILE_BYTES {
        return Err(failure::user(
            "file_too_large",
            format!("the file has {} bytes", body.size),
            "a file has at most 1 GiB: split it",
        ));
    }
    body.chunks = vec![Hash([0; 32]); chunk_count(body.size) as usize];
    let legal = body.check();
    body.chunks.clear();
    legal.map_err(|error| {
        failure::user(
            "not_a_file",
            error,
            "choose another name or media type with --name and --media-type",
        )
    })
}

async fn post_in(node: &Node, channel: ChannelId, post: &str) -> Result<Pos, ApiError> {
    match names::post(node, post).await? {
        (there, pos) if there == channel => Ok(pos),
        _ => Err(failure::user(
            "no_such_post",
            "the post that the file is to belong to is in another channel",
            "send the file to the post's channel",
        )),
    }
}

async fn demand_contributor(node: &Node, channel: ChannelId) -> Result<(), ApiError> {
    let own = node.partner;
    let standing = node.handle.look(move |replica| {
        let channel = replica.channels().get(&channel)?;
        let member = channel.present().member(&own)?;
        Some(member.role >= Role::Contributor)
    });
    match standing.await.map_err(failure::stopped)? {
        Some(true) => Ok(()),
        Some(false) => Err(failure::command(CommandError::NotAllowed)),
        None => Err(failure::command(CommandError::NotMember("not a member"))),
    }
}

/// Takes the next chunk: when this returns it is on disk.
pub async fn take_chunk(
    node: &Node,
    upload: &str,
    chunk: u32,
    data: String,
) -> Result<(), ApiError> {
    let taken = taken(node, upload)?;
    let store = node.store.clone();
    let work = node.environment.work;
    let stored = work.run(move || taken_chunk(&store, taken, chunk, &data));
    let stored = stored
        .await
        .map_err(|error| failure::node("internal", error))?;
    if stored.is_err() {
        discard(node, upload).await;
    }
    stored
}

fn taken_chunk(
    store: &Store,
    mut upload: OwnedMutexGuard<Upload>,
    chunk: u32,
    data: &str,
) -> Result<(), ApiError> {
    let bad = |what: String| failure::operator("bad_chunk", what, "use 'comity file send'");
    let mut bytes = BASE64
        .decode(data)
        .map_err(|error| bad(format!("not base64: {error}")))?;
    let (next, size) = (upload.body.chunks.len(), upload.body.size);
    let expected = chunk_len(size, chunk);
    if chunk as usize != next || bytes.len() != expected || expected == 0 {
        return Err(bad(format!(
            "chunk {next} is due, and has its full length; chunk {chunk} came, with {} bytes",
            bytes.len()
        )));
    }
    upload.digest.update(&bytes);
    let hash = upload.body.key.seal(size, chunk, &mut bytes);
    let key = chunk_key(&upload.place, chunk);
    store
        .write(&[Row::put(Table::Chunks, key, bytes)])
        .map_err(failure::store)?;
    upload.body.chunks.push(hash);
    upload.used = Instant::now();
    Ok(())
}

/// Writes the reference to a file whose chunks are all stored, as a part of a post that was written
/// since the file was begun.
pub async fn finish_for(
    node: &Node,
    upload: &str,
    (channel, post): (ChannelId, Pos),
) -> Result<Written, ApiError> {
    let audience = audience::choose(node, channel, Some(post), &[]).await?;
    {
        let mut upload = taken(node, upload)?;
        upload.channel = channel;
        upload.post = Some(post);
        upload.draft.audience = audience.partners;
        upload.left_out = audience.left_out;
    }
    finish(node, upload).await
}

/// Writes the reference to a file whose chunks are all stored.
pub async fn finish(node: &Node, upload: &str) -> Result<Written, ApiError> {
    let guard = taken(node, upload)?;
    let body = guard.body.clone();
    if body.chunks.len() != chunk_count(body.size) as usize {
        let chunks = body.chunks.len();
        drop(guard);
        discard(node, upload).await;
        return Err(failure::operator(
            "bad_chunk",
            format!("only {chunks} chunks were handed over"),
            "use 'comity file send'",
        ));
    }
    let command = Command::File {
        channel: guard.channel,
        draft: guard.draft.clone(),
        target: guard.post,
        file: body,
        place: guard.place,
        rows: vec![Row::delete(Table::Uploads, guard.place.0.to_vec())],
    };
    let (size, name) = (guard.body.size, guard.body.name.clone());
    let sha256 = guard.digest.clone().finish();
    let left_out = guard.left_out.clone();
    drop(guard);
    match node.handle.command(command).await {
        Ok(Ok(written)) => {
            lock(&node.files.uploads).remove(upload);
            let written = messages::describe(node, written, left_out).await?;
            let text = format!(
                "{} in {} for {}: {name:?}, {size} bytes, SHA-256 {}",
                written.id,
                written.channel,
                written.audience.join(", "),
                hex(sha256.as_ref())
            );
            peering::record(node, "file_sent", &text)?;
            Ok(written)
        }
        Ok(Err(refused)) => {
            discard(node, upload).await;
            Err(failure::command(refused))
        }
        // Whether the reference was written shows at the next start, as does what to delete.
        Err(stopped) => Err(failure::stopped(stopped)),
    }
}

/// An upload, for one request at a time.
fn taken(node: &Node, upload: &str) -> Result<OwnedMutexGuard<Upload>, ApiError> {
    let found = lock(&node.files.uploads).get(upload).cloned();
    let free = found.and_then(|upload| upload.try_lock_owned().ok());
    free.ok_or_else(|| {
        failure::operator(
            "no_such_upload",
            "the file is not being handed over, or not any more",
            "send it again",
        )
    })
}

/// Deletes what was handed over of a file that is not sent.
async fn discard(node: &Node, upload: &str) {
    let removed = lock(&node.files.uploads).remove(upload);
    if let Some(upload) = removed {
        let place = upload.lock().await.place;
        discard_place(node.store.clone(), node.environment.work, place).await;
    }
}

async fn discard_place(store: Store, work: Work, place: Place) {
    let deleted = work.run(move || store.write(&chunks_gone(&place))).await;
    if !matches!(deleted, Ok(Ok(()))) {
        tracing::warn!("what was handed over of a file is deleted at the next start");
    }
}

/// Discards an upload that is not gone on with.
async fn watch(
    store: Store,
    work: Work,
    uploads: Arc<StdMutex<BTreeMap<String, Arc<Mutex<Upload>>>>>,
    id: String,
    upload: Arc<Mutex<Upload>>,
) {
    loop {
        tokio::time::sleep(UPLOAD_LOOK).await;
        if !lock(&uploads).contains_key(&id) {
            return;
        }
        let Ok(upload) = upload.try_lock() else {
            continue;
        };
        if upload.used.elapsed() >= UPLOAD_IDLE {
            lock(&uploads).remove(&id);
            return discard_place(store, work, upload.place).await;
        }
    }
}

/// Deletes what was handed over of files that were not sent before the node ended.
pub fn discard_orphans(store: &Store) -> Result<(), StoreError> {
    let mut places = Vec::new();
    store.scan::<StoreError>(Table::Uploads, &[], &[], |key, _| {
        places.extend(key.try_into().map(Hash));
        Ok(true)
    })?;
    for place in places {
        store.write(&chunks_gone(&place))?;
    }
    Ok(())
}

/// The rows that delete an upload: deleting what is not there costs less than looking.
fn chunks_gone(place: &Place) -> Vec<Row> {
    let chunks = 0..limits::CHUNKS as u32;
    let mut rows: Vec<Row> = chunks
        .map(|chunk| Row::delete(Table::Chunks, chunk_key(place, chunk)))
        .collect();
    rows.push(Row::delete(Table::Uploads, place.0.to_vec()));
    rows
}

async fn write(node: &Node, rows: Vec<Row>) -> Result<(), ApiError> {
    let store = node.store.clone();
    let written = node.environment.work.run(move || store.write(&rows)).await;
    let written = written.map_err(|error| failure::node("internal", error))?;
    written.map_err(failure::store)
}

/// A file reference, found and opened.
struct Opened {
    channel: ChannelId,
    pos: Pos,
    id: EventId,
    body: FileBody,
}

/// Fetches what is not held of a file, telling how far that has come.
pub async fn fetch(
    node: &Node,
    file: &str,
    wait_s: u64,
    items: &mut Items<'_>,
) -> Result<(), ApiError> {
    let file = open_file(node, file).await?;
    let info = posts::file(node, file.channel, file.pos).await?;
    items.push(Item::File(info)).await;
    let waiting = Waiting::begin(node, &file);
    let fetched = fetch_all(node, &file, Duration::from_secs(wait_s), items).await;
    waiting.end().await;
    fetched
}

/// Somebody who waits for a file. The last one's going ends the fetch, however it goes: whoever asked
/// over HTTP may hang up at any moment.
struct Waiting {
    counted: Arc<StdMutex<BTreeMap<EventId, usize>>>,
    handle: Handle,
    channel: ChannelId,
    pos: Pos,
    id: EventId,
    is_over: bool,
}

impl Waiting {
    fn begin(node: &Node, file: &Opened) -> Waiting {
        let counted = node.files.waiting.clone();
        *lock(&counted).entry(file.id).or_insert(0) += 1;
        Waiting {
            counted,
            handle: node.handle.clone(),
            channel: file.channel,
            pos: file.pos,
            id: file.id,
            is_over: false,
        }
    }

    /// Ends it, and has the fetch ended when this returns.
    async fn end(mut self) {
        if let Some(end) = self.leave() {
            // It is refused only where there is nothing to end.
            let _ = self.handle.command(end).await;
        }
    }

    /// What the last one has to order.
    fn leave(&mut self) -> Option<Command> {
        if std::mem::replace(&mut self.is_over, true) {
            return None;
        }
        let (channel, target) = (self.channel, self.pos);
        is_last(&self.counted, &self.id).then_some(Command::EndFetch { channel, target })
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let Some(end) = self.leave() else {
            return;
        };
        let handle = self.handle.clone();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let _ = handle.command(end).await;
            });
        }
    }
}

/// Counts one down; true for the last.
fn is_last(counted: &StdMutex<BTreeMap<EventId, usize>>, file: &EventId) -> bool {
    let mut counted = lock(counted);
    let left = counted.get(file).copied().unwrap_or(1).saturating_sub(1);
    if left > 0 {
        counted.insert(*file, left);
    } else {
        counted.remove(file);
    }
    left == 0
}

async fn fetch_all(
    node: &Node,
    file: &Opened,
    patience: Duration,
    items: &mut Items<'_>,
) -> Result<(), ApiError> {
    let first = come_so_far(node, file).await?;
    if first.held == file.body.chunks.len() {
        items.push(progress(node, file, &first).await).await;
        return Ok(());
    }
    if node.transport.is_none() {
        return Err(failure::operator(
            "not_running",
            "the file is not all here, and a node that does not run fetches nothing",
            "start it with 'comity serve'",
        ));
    }
    let command = Command::Fetch {
        channel: file.channel,
        target: file.pos,
        file: file.body.clone(),
    };
    let begun = node.handle.command(command).await;
    begun.map_err(failure::stopped)?.map_err(failure::command)?;
    let last = follow(node, file, first.held, patience, items).await?;
    // The machine is ahead of the disk by what is being written.
    node.handle.settled().await.map_err(failure::stopped)?;
    let mut from = Vec::new();
    for partner in &last.from {
        from.push(node.partner_name(partner).await);
    }
    let text = format!(
        "{}: {} bytes, from {}",
        file.id.to_hex(),
        file.body.size,
        from.join(", ")
    );
    peering::record(node, "file_fetched", &text)
}

/// Waits until all is held, as long as something comes and somebody listens.
async fn follow(
    node: &Node,
    file: &Opened,
    mut held: usize,
    patience: Duration,
    items: &mut Items<'_>,
) -> Result<SoFar, ApiError> {
    let (mut changed, mut told) = (Instant::now(), None::<Instant>);
    loop {
        let now = come_so_far(node, file).await?;
        if now.held != held {
            (held, changed) = (now.held, Instant::now());
        }
        let done = held == file.body.chunks.len();
        if done || told.is_none_or(|told| told.elapsed() >= PROGRESS_PAUSE || changed > told) {
            items.push(progress(node, file, &now).await).await;
            told = Some(Instant::now());
        }
        if done {
            return Ok(now);
        }
        if items.is_unheard() {
            return Err(failure::operator("unheard", "nobody waits for it", ""));
        }
        if changed.elapsed() >= patience {
            return Err(failure::peer(
                "file_unreachable",
                "no partner that has the file is linked and sends it",
                "'comity peer list' shows the links; what came is kept: try again later",
            ));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// How far a file has come.
struct SoFar {
    /// Chunks that are held.
    held: usize,
    asked: Option<PartnerId>,
    from: BTreeSet<PartnerId>,
}

async fn come_so_far(node: &Node, file: &Opened) -> Result<SoFar, ApiError> {
    let (channel, pos, id) = (file.channel, file.pos, file.id);
    let look = node.handle.look(move |replica| {
        let channel = replica.channels().get(&channel)?;
        if channel.is_erased(pos) {
            return None;
        }
        let held = replica.held_file(&id).map_or(0, |held| held.count());
        let fetching = replica.fetching(&id);
        let asked = fetching.as_ref().and_then(|fetching| fetching.asked);
        Some(SoFar {
            held: held as usize,
            asked,
            from: fetching.map_or_else(BTreeSet::new, |fetching| fetching.from),
        })
    });
    let found = look.await.map_err(failure::stopped)?;
    found.ok_or_else(|| failure::command(CommandError::Withdrawn))
}

async fn progress(node: &Node, file: &Opened, so_far: &SoFar) -> Item {
    let from = match &so_far.asked {
        Some(partner) => Some(node.partner_name(partner).await),
        None => None,
    };
    let held = (so_far.held * limits::CHUNK_BYTES) as u64;
    Item::FileProgress(FileProgress {
        held: held.min(file.body.size),
        size: file.body.size,
        from,
    })
}

/// A chunk that is held, opened.
pub async fn read_chunk(node: &Node, file: &str, chunk: u32) -> Result<FileData, ApiError> {
    let bytes = read_bytes(node, file, chunk).await?;
    Ok(FileData {
        chunk,
        data: BASE64.encode(&bytes),
    })
}

/// As [`read_chunk`]: a chunk that is held, opened.
pub async fn read_bytes(node: &Node, file: &str, chunk: u32) -> Result<Vec<u8>, ApiError> {
    let file = open_file(node, file).await?;
    let id = file.id;
    let place = node.handle.look(move |replica| {
        let held = replica.held_file(&id).filter(|held| held.has(chunk));
        held.map(|held| held.place)
    });
    let place = place.await.map_err(failure::stopped)?;
    let store = node.store.clone();
    let read = node.environment.work.run(move || {
        let Some(place) = place else {
            return Ok(None);
        };
        store.get(Table::Chunks, &chunk_key(&place, chunk))
    });
    let read = read
        .await
        .map_err(|error| failure::node("internal", error))?;
    let Some(sealed) = read.map_err(failure::store)? else {
        return Err(failure::user(
            "not_fetched",
            "this part of the file is not here",
            "'comity file get' fetches it",
        ));
    };
    let mut bytes = sealed.to_vec();
    file.body
        .open(chunk, &mut bytes)
        .map_err(|error| failure::node("store_damaged", error))?;
    Ok(bytes)
}

/// Finds a file by its id or the start of it, and opens its reference.
async fn open_file(node: &Node, prefix: &str) -> Result<Opened, ApiError> {
    let unknown = |what: String| {
        failure::user(
            "no_such_file",
            what,
            "'comity file list' shows the ids of files",
        )
    };
    if prefix.len() < PREFIX_DIGITS {
        return Err(unknown(format!("'{prefix}' is too short for a file's id")));
    }
    let wanted = prefix.to_string();
    let found = node.handle.look(move |replica| find(replica, &wanted));
    let found = found.await.map_err(failure::stopped)?;
    let located = match found.as_slice() {
        [one] => one,
        [] => return Err(unknown(format!("there is no file '{prefix}' here"))),
        _ => return Err(unknown(format!("several files begin with '{prefix}'"))),
    };
    if located.withdrawn {
        return Err(failure::command(CommandError::Withdrawn));
    }
    // The machine is ahead of the disk by what is being written.
    node.handle.settled().await.map_err(failure::stopped)?;
    let body = read_body(node, located).await?;
    Ok(Opened {
        channel: located.channel,
        pos: located.pos,
        id: located.id,
        body,
    })
}

/// Where a file reference is.
struct Located {
    channel: ChannelId,
    pos: Pos,
    id: EventId,
    key: Vec<u8>,
    withdrawn: bool,
}

fn find(replica: &Replica, prefix: &str) -> Vec<Located> {
    let mut found = Vec::new();
    for channel in replica.channels().values() {
        for (id, pos) in channel.files() {
            let log = (channel.id, channel.lane_of(pos), channel.writer_of(pos));
            let number = replica.log_number(&log);
            let Some(number) = number.filter(|_| id.to_hex().starts_with(prefix)) else {
                continue;
            };
            found.push(Located {
                channel: channel.id,
                pos,
                id,
                key: rows::event_key(number, pos.seq, &id),
                withdrawn: channel.is_erased(pos) || channel.is_flagged(pos),
            });
        }
    }
    found
}

async fn read_body(node: &Node, located: &Located) -> Result<FileBody, ApiError> {
    let damaged = |what: &str| failure::node("store_damaged", what);
    let value = node
        .store
        .get(Table::Events, &located.key)
        .map_err(failure::store)?
        .ok_or_else(|| damaged("a file's reference is missing"))?;
    let event = rows::read_event(&value)
        .map_err(|error| damaged(&error.to_string()))?
        .event;
    let key_event = event.header.key_event;
    let secret = node
        .handle
        .look(move |replica| replica.secret(&key_event?).cloned())
        .await
        .map_err(failure::stopped)?;
    let unreadable = |what: &str, advice: &str| failure::peer("file_unreadable", what, advice);
    let body = open(&event, secret.as_ref()).map_err(|error| match error {
        Unreadable::NoKey => unreadable(
            "the key of the file's reference is not here yet",
            "another reader of it gives the key once it is linked: 'comity peer list'",
        ),
        _ => unreadable("the file's reference cannot be read", "ask its author"),
    })?;
    FileBody::from_bytes(&body)
        .map_err(|_| unreadable("the file's reference cannot be read", "ask its author"))
}

fn lock<T>(mutex: &StdMutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Nothing under these locks panics half way through a change.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
