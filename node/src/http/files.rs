//! Files: handed over, told of, and given out. What is given out can run nowhere: it is an
//! attachment of no type, and the browser is told to believe that.

use std::sync::Arc;

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
use crate::service::answer::Items;
use crate::service::files as service;

/// The largest file that is taken over HTTP, in bytes: it is held in memory until it is sealed.
/// Larger ones go by `comity file send`.
pub const FILE_BYTES: usize = 50 << 20;
/// Uploads at a time: bounds that memory.
static UPLOADS: Semaphore = Semaphore::const_new(4);
/// How long whoever asks for a file waits until it has come from another partner, in seconds.
const FETCH_S: u64 = 60;

pub fn routes() -> Router<Arc<Web>> {
    Router::new()
        .route("/files", post(upload))
        .route("/files/{file}", get(download))
        .route("/files/{file}/info", get(info))
        .route("/files/{file}/thumbnail", get(no_preview))
        .route("/files/{file}/preview", get(no_preview))
        .route("/files/{file}/link", get(no_link))
        .route("/teams/{team}/files/search", post(none_found))
        .layer(DefaultBodyLimit::max(FILE_BYTES + (1 << 20)))
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Target {
    channel_id: String,
    filename: String,
}

/// Takes files by a form, as clients send them.
async fn upload(
    me: Me,
    State(web): App,
    RawQuery(target): RawQuery<Target>,
    mut form: Multipart,
) -> Answer<(StatusCode, Answered<Value>)> {
    let _turn = UPLOADS
        .acquire()
        .await
        .map_err(|_| Failure::too_many("The node is stopping."))?;
    let bad = |error: axum::extract::multipart::MultipartError| {
        Failure::new(
            error.status(),
            "api.file.upload_file.read_form_value.app_error",
            error.body_text(),
        )
    };
    let (mut channel, mut client_ids, mut files) = (target.channel_id, Vec::new(), Vec::new());
    while let Some(field) = form.next_field().await.map_err(bad)? {
        match field.name().unwrap_or_default() {
            "channel_id" => channel = field.text().await.map_err(bad)?,
            "client_ids" => client_ids.push(field.text().await.map_err(bad)?),
            "files" => {
                let name = field.file_name().unwrap_or("file").to_string();
                let media_type = field.content_type().unwrap_or_default().to_string();
                files.push((name, media_type, field.bytes().await.map_err(bad)?));
            }
            _ => {}
        }
        if files.len() > crate::home::posting::FILES_PER_POST {
            return Err(Failure::bad("Those are too many files for one post."));
        }
    }
    let _ = target.filename;
    let room = super::channels::room(&web, &me, &channel)?;
    let mut infos = Vec::new();
    for (name, _, bytes) in files {
        infos.push(stage(&web, &me, &room, &name, &bytes).await?.shape());
    }
    let answer = json!({"file_infos": infos, "client_ids": client_ids});
    Ok((StatusCode::CREATED, Answered(answer)))
}

async fn stage(
    web: &Web,
    me: &Me,
    room: &crate::home::feed::Room,
    name: &str,
    bytes: &[u8],
) -> Answer<FileEntry> {
    let node = &web.home.node;
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
        media_type: String::new(),
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
        media_type: String::new(),
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

async fn no_preview(me: Me, State(web): App, Path(name): Path<String>) -> Answer<()> {
    file(&web, &me, &name)?;
    Err(Failure::missing("preview"))
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
    set(CONTENT_TYPE, "application/octet-stream".into());
    set(CONTENT_DISPOSITION, disposition(&entry.name));
    set(CONTENT_LENGTH, (to - from).to_string());
    set(
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; sandbox".into(),
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

/// The name that a browser saves a file under (RFC 6266, RFC 8187).
fn disposition(name: &str) -> String {
    let plain: String = name
        .chars()
        .map(|it| {
            if it.is_ascii_alphanumeric() || "._- ".contains(it) {
                it
            } else {
                '_'
            }
        })
        .collect();
    let escaped: String = name
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'_' | b'-' => {
                (byte as char).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect();
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{escaped}")
}

/// A picture for a user who has none: a square of a colour that follows from who it is.
pub fn initial(user: &Id, _name: &str) -> Vec<u8> {
    const SIDE: u32 = 64;
    let [red, green, blue, ..] = user.0;
    let colour = image::Rgb([red / 2 + 64, green / 2 + 64, blue / 2 + 64]);
    let square = image::RgbImage::from_pixel(SIDE, SIDE, colour);
    let mut png = std::io::Cursor::new(Vec::new());
    // Writing to memory does not fail.
    let _ = square.write_to(&mut png, image::ImageFormat::Png);
    png.into_inner()
}
