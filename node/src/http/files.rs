//! Files: handed over, told of, and given out. What is in a file decides as what it is given out,
//! never what its sender says; and what could run is an attachment of no type.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Multipart, Path, Query as RawQuery, State};
use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, RANGE,
};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json as Answered, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use comity_protocol::limits;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::auth::Me;
use super::extract::id;
use super::failure::{Answer, Failure};
use super::{App, Web};
use crate::api::{NewFile, Precedence};
use crate::home::files::{FileEntry, Source};
use crate::home::id::Id;
use crate::media::{
    self, MAX_IMAGE_BYTES, Preview, SNIFF_BYTES, Served, content_disposition, preview, sniff, strip,
};
use crate::service::answer::Items;
use crate::service::files as service;

/// The largest file that is taken over HTTP, in bytes: it is held in memory until it is sealed.
/// Larger ones go by `comity file send`.
pub const FILE_BYTES: usize = 50 << 20;
/// Uploads that are sealed at a time, once they are read: a picture is held twice meanwhile.
pub(super) static UPLOADS: Semaphore = Semaphore::const_new(4);
/// Bytes of uploads that are held while they are read, of all users and of one: the ten files of a
/// post, or two of the largest.
const READING: usize = 512 << 20;
const READING_OF_ONE: usize = 2 * (FILE_BYTES + (1 << 20));
/// Pictures that are read whole at a time, to see whether they are pictures before they are given out.
static JUDGED: Semaphore = Semaphore::const_new(2);
/// Files of which it is remembered as what they are given out.
const VERDICTS: usize = 4_096;
/// Pictures that are drawn at a time: each may take some hundred megabytes for a second.
static PREVIEWS: Semaphore = Semaphore::const_new(2);
/// Pictures that are kept in memory, of some hundred kilobytes at most.
const PREVIEWS_KEPT: usize = 64;
/// How long whoever asks for a file waits until it has come from another partner, in seconds.
const FETCH_S: u64 = 60;

pub fn routes() -> Router<Arc<Web>> {
    Router::new()
        .route("/files", post(upload))
        .route("/files/{file}", get(download))
        .route("/files/{file}/info", get(info))
        .route("/files/{file}/thumbnail", get(thumbnail))
        .route("/files/{file}/preview", get(large))
        .route("/files/{file}/link", get(no_link))
        .route("/teams/{team}/files/search", post(none_found))
        .layer(DefaultBodyLimit::max(FILE_BYTES + (1 << 20)))
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Target {
    channel_id: String,
}

/// Takes files by a form, as clients send them.
async fn upload(
    me: Me,
    State(web): App,
    RawQuery(target): RawQuery<Target>,
    mut form: Multipart,
) -> Answer<(StatusCode, Answered<Value>)> {
    let bad = |error: axum::extract::multipart::MultipartError| {
        // That a body ends too early or is no form is its sender's fault, whatever the parser calls it.
        let status = match error.status().is_server_error() {
            true => StatusCode::BAD_REQUEST,
            false => error.status(),
        };
        let id = "api.file.upload_file.read_form_value.app_error";
        Failure::new(status, id, error.body_text())
    };
    let (mut channel, mut client_ids, mut files) = (target.channel_id, Vec::new(), Vec::new());
    let mut reading = Reading::begin(&web.forms, me.id());
    while let Some(mut field) = form.next_field().await.map_err(bad)? {
        match field.name().unwrap_or_default() {
            "channel_id" => channel = field.text().await.map_err(bad)?,
            "client_ids" => client_ids.push(field.text().await.map_err(bad)?),
            "files" => {
                let name = field.file_name().unwrap_or("file").to_string();
                let mut bytes = Vec::new();
                while let Some(part) = field.chunk().await.map_err(bad)? {
                    reading.more(part.len())?;
                    bytes.extend_from_slice(&part);
                }
                files.push((name, bytes));
            }
            _ => {}
        }
        if files.len() > crate::home::posting::FILES_PER_POST {
            return Err(Failure::bad("Those are too many files for one post."));
        }
    }
    let room = super::channels::room(&web, &me, &channel)?;
    // A slow line holds nobody else up: the turn begins when all is here.
    let _turn = UPLOADS
        .acquire()
        .await
        .map_err(|_| Failure::too_many("The node is stopping."))?;
    let mut infos = Vec::new();
    for (name, bytes) in files {
        infos.push(stage(&web, &me, &room, &name, &bytes).await?.shape());
    }
    let answer = json!({"file_infos": infos, "client_ids": client_ids});
    Ok((StatusCode::CREATED, Answered(answer)))
}

/// How much each user has on the way here.
#[derive(Default)]
pub struct Forms {
    held: Mutex<BTreeMap<Id, usize>>,
}

/// A form that is being read, counted until it is dropped.
struct Reading {
    forms: Arc<Forms>,
    user: Id,
    bytes: usize,
}

impl Reading {
    fn begin(forms: &Arc<Forms>, user: Id) -> Reading {
        let forms = forms.clone();
        Reading {
            forms,
            user,
            bytes: 0,
        }
    }

    /// Counts what has come; refused where it is too much for one user, or for all.
    fn more(&mut self, bytes: usize) -> Answer<()> {
        let mut held = self.forms.held();
        let (own, all) = (held.get(&self.user).copied(), held.values().sum::<usize>());
        let own = own.unwrap_or(0) + bytes;
        if own > READING_OF_ONE || all + bytes > READING {
            return Err(Failure::too_many(
                "Too many files are on the way here at a time: send them one after another.",
            ));
        }
        held.insert(self.user, own);
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        let mut held = self.forms.held();
        let left = held.get(&self.user).copied().unwrap_or(0);
        match left.saturating_sub(self.bytes) {
            0 => drop(held.remove(&self.user)),
            left => drop(held.insert(self.user, left)),
        }
    }
}

impl Forms {
    fn held(&self) -> MutexGuard<'_, BTreeMap<Id, usize>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) async fn stage(
    web: &Web,
    me: &Me,
    room: &crate::home::feed::Room,
    name: &str,
    bytes: &[u8],
) -> Answer<FileEntry> {
    let node = &web.home.node;
    let kind = sniff(&bytes[..bytes.len().min(SNIFF_BYTES)], name);
    // Where a picture was taken, and by whom, goes to nobody; a picture that cannot be read is kept
    // as it is, and given out as no picture.
    let cleaned = match kind.is_image() {
        true => strip(bytes).unwrap_or_default(),
        false => None,
    };
    let bytes = cleaned.as_deref().unwrap_or(bytes);
    let media_type = kind.served_as().content_type;
    if bytes.len() > FILE_BYTES {
        return Err(Failure::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "api.file.upload_file.too_large.app_error",
            "The file is larger than 50 MiB: the administrator can send it by 'comity file send'.",
        ));
    }
    let name: String = name.rsplit(['/', '\\']).next().unwrap_or("file").into();
    let new = NewFile {
        channel: room.channel.to_hex(),
        user: me.account.username.clone(),
        name: name.clone(),
        media_type: media_type.into(),
        size: bytes.len() as u64,
        to: Vec::new(),
        post: None,
        create_at_ms: None,
        precedence: Precedence::Routine,
    };
    let upload = service::begin(node, new).await?.upload;
    for (number, chunk) in bytes.chunks(limits::CHUNK_BYTES).enumerate() {
        service::take_chunk(node, &upload, number as u32, BASE64.encode(chunk)).await?;
    }
    let entry = FileEntry {
        id: Id(crate::random::bytes()),
        user: me.id(),
        channel: room.id,
        post: None,
        name,
        media_type: media_type.into(),
        size: bytes.len() as u64,
        create_at: node.now_ms(),
        source: Source::Staged(upload),
    };
    match web.home.files.stage(entry.clone()) {
        true => Ok(entry),
        false => Err(Failure::too_many(
            "Too many files wait to be posted: post or try again in ten minutes.",
        )),
    }
}

/// A file of a channel that the asker is in; one that is not posted yet is its owner's alone.
fn file(web: &Web, me: &Me, file: &str) -> Answer<FileEntry> {
    let found = web.home.files.get(&id(file, "file")?);
    let allowed = |entry: &FileEntry| match entry.source {
        Source::Staged(_) => entry.user == me.id(),
        Source::Posted(_) => web.home.room_for(&me.id(), &entry.channel).is_some(),
    };
    found
        .filter(allowed)
        .ok_or_else(|| Failure::missing("file"))
}

async fn info(me: Me, State(web): App, Path(name): Path<String>) -> Answer<Answered<Value>> {
    Ok(Answered(file(&web, &me, &name)?.shape()))
}

pub async fn of_post(
    me: Me,
    State(web): App,
    Path(post): Path<String>,
) -> Answer<Answered<Vec<Value>>> {
    let post = id(&post, "post")?;
    web.home
        .post_for(&me.id(), &post)
        .ok_or_else(|| Failure::missing("post"))?;
    let files = web.home.files.of_post(&post);
    Ok(Answered(files.iter().map(FileEntry::shape).collect()))
}

async fn thumbnail(me: Me, State(web): App, Path(name): Path<String>) -> Answer<Response> {
    let pictures = pictures(&web, &file(&web, &me, &name)?).await?;
    Ok(picture(pictures.thumbnail.clone()))
}

async fn large(me: Me, State(web): App, Path(name): Path<String>) -> Answer<Response> {
    let pictures = pictures(&web, &file(&web, &me, &name)?).await?;
    let large = pictures.preview.as_ref().unwrap_or(&pictures.thumbnail);
    Ok(picture(large.clone()))
}

/// Pictures are always drawn here, as JPEG.
fn picture(bytes: Vec<u8>) -> Response {
    let headers = [
        (CONTENT_TYPE, "image/jpeg"),
        (CACHE_CONTROL, "private, max-age=86400"),
    ];
    (headers, bytes).into_response()
}

async fn pictures(web: &Web, entry: &FileEntry) -> Answer<Arc<Preview>> {
    if let Some(drawn) = web.previews.get(&entry.id) {
        return Ok(drawn);
    }
    let missing = || Failure::missing("preview");
    let (Source::Posted(reference), true) = (&entry.source, entry.size <= MAX_IMAGE_BYTES as u64)
    else {
        return Err(missing());
    };
    let _turn = PREVIEWS.acquire().await.map_err(|_| missing())?;
    let bytes = whole(web, reference, entry.size).await?;
    let drawn = web.home.node.environment.work.run(move || preview(&bytes));
    let drawn = Arc::new(drawn.await.map_err(|_| missing())?.map_err(|_| missing())?);
    web.previews.put(entry.id, drawn.clone());
    Ok(drawn)
}

/// A file that is held, in one piece.
async fn whole(web: &Web, reference: &str, size: u64) -> Answer<Vec<u8>> {
    let mut sink = |_| {};
    service::fetch(
        &web.home.node,
        reference,
        FETCH_S,
        &mut Items::direct(&mut sink),
    )
    .await?;
    let mut bytes = Vec::new();
    for chunk in 0..size.div_ceil(limits::CHUNK_BYTES as u64) {
        bytes.extend(service::read_bytes(&web.home.node, reference, chunk as u32).await?);
    }
    Ok(bytes)
}

/// Pictures that were drawn lately.
#[derive(Default)]
pub struct Previews {
    drawn: Mutex<VecDeque<(Id, Arc<Preview>)>>,
}

impl Previews {
    fn drawn(&self) -> MutexGuard<'_, VecDeque<(Id, Arc<Preview>)>> {
        self.drawn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, file: &Id) -> Option<Arc<Preview>> {
        let drawn = self.drawn();
        drawn
            .iter()
            .find(|(id, _)| id == file)
            .map(|(_, it)| it.clone())
    }

    fn put(&self, file: Id, preview: Arc<Preview>) {
        let mut drawn = self.drawn();
        drawn.push_back((file, preview));
        if drawn.len() > PREVIEWS_KEPT {
            drawn.pop_front();
        }
    }
}

/// As what a file may be given out: by what it begins with and, of a picture, only if all of it can
/// be read as one.
async fn served(web: &Web, entry: &FileEntry, reference: &str) -> Answer<Served> {
    if entry.size == 0 {
        return Ok(Served::ATTACHMENT);
    }
    let first = service::read_bytes(&web.home.node, reference, 0).await?;
    let kind = sniff(&first[..first.len().min(SNIFF_BYTES)], &entry.name);
    if !kind.is_image() {
        return Ok(kind.served_as());
    }
    if let Some(verdict) = web.verdicts.get(reference) {
        return Ok(verdict);
    }
    let is_readable = entry.size <= MAX_IMAGE_BYTES as u64 && {
        let _turn = JUDGED
            .acquire()
            .await
            .map_err(|_| Failure::too_many("The node is stopping."))?;
        let bytes = whole(web, reference, entry.size).await?;
        let work = web.home.node.environment.work;
        work.run(move || strip(&bytes).is_ok())
            .await
            .unwrap_or(false)
    };
    let verdict = match is_readable {
        true => kind.served_as(),
        false => Served::ATTACHMENT,
    };
    web.verdicts.put(reference, verdict);
    Ok(verdict)
}

/// As what pictures are given out that were looked at: what a reference names never changes.
#[derive(Default)]
pub struct Verdicts {
    known: Mutex<BTreeMap<String, Served>>,
}

impl Verdicts {
    fn known(&self) -> MutexGuard<'_, BTreeMap<String, Served>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, reference: &str) -> Option<Served> {
        self.known().get(reference).copied()
    }

    fn put(&self, reference: &str, verdict: Served) {
        let mut known = self.known();
        if known.len() >= VERDICTS {
            known.clear();
        }
        known.insert(reference.into(), verdict);
    }
}

async fn no_link(_me: Me) -> Failure {
    Failure::forbidden("This node hands out files to its own users only.")
}

async fn none_found(_me: Me) -> Answered<Value> {
    Answered(json!({"order": [], "file_infos": {}, "next_file_id": "", "prev_file_id": ""}))
}

async fn download(
    me: Me,
    State(web): App,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Answer<Response> {
    let entry = file(&web, &me, &name)?;
    let Source::Posted(reference) = entry.source.clone() else {
        return Err(Failure::missing("file"));
    };
    let node = web.home.node.clone();
    let mut sink = |_| {};
    service::fetch(&node, &reference, FETCH_S, &mut Items::direct(&mut sink)).await?;
    let served = served(&web, &entry, &reference).await?;
    let (from, to) = match range(&headers, entry.size)? {
        Some((from, to)) => (from, to),
        None => (0, entry.size),
    };
    let stream = futures_util::stream::unfold(from, move |at| {
        let (node, reference) = (node.clone(), reference.clone());
        async move {
            if at >= to {
                return None;
            }
            let chunk = (at / limits::CHUNK_BYTES as u64) as u32;
            let begins = u64::from(chunk) * limits::CHUNK_BYTES as u64;
            match service::read_bytes(&node, &reference, chunk).await {
                Ok(bytes) => {
                    let ends = (to - begins).min(bytes.len() as u64);
                    let part = bytes[(at - begins) as usize..ends as usize].to_vec();
                    Some((Ok(part), begins + ends))
                }
                Err(error) => Some((Err(std::io::Error::other(error.what)), to)),
            }
        }
    });
    let mut response = Body::from_stream(stream).into_response();
    let whole = from == 0 && to == entry.size;
    *response.status_mut() = if whole {
        StatusCode::OK
    } else {
        StatusCode::PARTIAL_CONTENT
    };
    let answered = response.headers_mut();
    let mut set = |name, value: String| {
        if let Ok(value) = value.parse() {
            answered.insert(name, value);
        }
    };
    set(CONTENT_TYPE, served.content_type.into());
    set(
        CONTENT_DISPOSITION,
        content_disposition(served.inline, &entry.name),
    );
    set(CONTENT_LENGTH, (to - from).to_string());
    set(
        CONTENT_SECURITY_POLICY,
        media::CONTENT_SECURITY_POLICY.into(),
    );
    set(CACHE_CONTROL, "private, max-age=3600".into());
    set(ACCEPT_RANGES, "bytes".into());
    if !whole {
        set(
            CONTENT_RANGE,
            format!("bytes {from}-{}/{}", to.saturating_sub(1), entry.size),
        );
    }
    Ok(response)
}

/// The one range that is asked for: from its first byte until before its last.
fn range(headers: &HeaderMap, size: u64) -> Answer<Option<(u64, u64)>> {
    let Some(asked) = headers.get(RANGE).and_then(|it| it.to_str().ok()) else {
        return Ok(None);
    };
    let parts = asked
        .strip_prefix("bytes=")
        .and_then(|it| it.split_once('-'));
    // What is not understood is passed over, and the whole is sent (RFC 9110, section 14.2).
    let Some((from, to)) = parts else {
        return Ok(None);
    };
    let (from, to) = match (from.parse::<u64>(), to.parse::<u64>()) {
        (Ok(from), Ok(last)) => (from, last.saturating_add(1).min(size)),
        (Ok(from), Err(_)) if to.is_empty() => (from, size),
        (Err(_), Ok(last)) if from.is_empty() => (size.saturating_sub(last), size),
        _ => return Ok(None),
    };
    match from < to {
        true => Ok(Some((from, to))),
        false => Err(Failure::new(
            StatusCode::RANGE_NOT_SATISFIABLE,
            "comity.range.app_error",
            "The file is not as long as that.",
        )),
    }
}

/// A picture for a user who has none: a square of a colour that follows from who it is.
pub fn initial(user: &Id) -> Vec<u8> {
    const SIDE: u32 = 64;
    let [red, green, blue, ..] = user.0;
    let colour = image::Rgb([red / 2 + 64, green / 2 + 64, blue / 2 + 64]);
    let square = image::RgbImage::from_pixel(SIDE, SIDE, colour);
    let mut png = std::io::Cursor::new(Vec::new());
    // Writing to memory does not fail.
    let _ = square.write_to(&mut png, image::ImageFormat::Png);
    png.into_inner()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_on_the_way_is_bounded_by_user_and_in_all_and_given_back() {
        const PART: usize = 1 << 20;
        let forms = Arc::new(Forms::default());
        let fill = |user: u8| {
            let mut reading = Reading::begin(&forms, Id([user; 16]));
            let taken = (0..1024).take_while(|_| reading.more(PART).is_ok()).count();
            (reading, taken * PART)
        };
        let (greedy, taken) = fill(1);
        assert_eq!(taken, READING_OF_ONE);
        let others: Vec<_> = (2..20).map(fill).collect();
        let all = taken + others.iter().map(|(_, taken)| taken).sum::<usize>();
        assert_eq!(all, READING);
        drop((greedy, others));
        assert!(forms.held().is_empty());
        assert_eq!(fill(3).1, READING_OF_ONE);
    }
}
