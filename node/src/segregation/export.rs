//! Cutting needles from the events that one partner must not have.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use comity_protocol::body::{KeyBody, MessageBody, RedactBody};
use comity_protocol::channel::Channel;
use comity_protocol::codec::Canonical as _;
use comity_protocol::event::{Event, Kind as EventKind};
use comity_protocol::files::HeldFile;
use comity_protocol::id::{ChannelId, EventId, PartnerId};
use comity_protocol::keys;
use comity_protocol::lane::LaneForm;
use comity_protocol::replica::Replica;
use comity_protocol::rows::{self, Table};
use serde::Serialize;
use zeroize::Zeroizing;

use super::needle::{Kind, NEEDLE_BYTES_MIN, NEEDLES_MAX, Needle, Needles, Origin, unhex};
use super::searcher;
use crate::api::ApiError;
use crate::audit::Audit;
use crate::config::Config;
use crate::environment::Clock;
use crate::keystore;
use crate::node;
use crate::pacts::Pacts;
use crate::service::{failure, names};
use crate::store::{Store, StoreError};

/// Text is cut into parts of this length, in bytes: whoever has a sentence of it has one.
const TEXT_PART: usize = 24;
/// Of sealed bytes pieces of this length are taken, so far apart, and the last ones: they are
/// random, so a piece proves as much as the whole.
const PIECE: usize = 32;
const PIECE_STEP: usize = 256;
/// How far pieces of a file's chunks are apart: a file has up to a gigabyte of them.
const CHUNK_STEP: usize = 16 << 10;
/// The fewest digits of an id that name something.
const PREFIX_DIGITS: usize = 6;
/// How an export is on record.
const ACTION: &str = "needles_exported";

/// Which needles are wanted.
#[derive(Debug, Clone)]
pub struct Wish {
    /// The partner that must not have them: a name, the start of an id or a whole id.
    pub excluding: String,
    /// Only of this channel, by its name or the start of its id.
    pub channel: Option<String>,
    /// Only of this event, by its id or the start of it.
    pub event: Option<String>,
}

/// What was exported.
#[derive(Debug, Serialize)]
pub struct Exported {
    #[serde(flatten)]
    pub origin: Origin,
    pub kinds: BTreeMap<Kind, u64>,
    pub file: std::path::PathBuf,
}

/// Writes a file of needles from the store of a node that does not run. It holds plaintext and
/// keys: that it was made goes on record before.
pub fn export(dir: &Path, wish: &Wish, file: &Path) -> Result<Exported, ApiError> {
    if file.exists() {
        return Err(failure::operator(
            "file",
            format!("{} exists", file.display()),
            "name a file that does not exist yet",
        ));
    }
    let config = Config::load(dir)?;
    let store = keystore::open_store(dir, &config.storage).map_err(failure::keys)?;
    let own = keystore::load(&store).map_err(failure::keys)?.own;
    let name = own.identity.name.as_str().to_string();
    let replica = node::restore(own, &store)?;
    let names = partner_names(&replica, &store)?;
    let excluded = partner(&names, &wish.excluding)?;
    if excluded == replica.partner() {
        return Err(failure::operator(
            "own_partner",
            "this node's own partner may have all that is here",
            "name the partner that must not have it",
        ));
    }
    let shown = names.get(&excluded).cloned();
    let shown = shown.unwrap_or_else(|| excluded.to_hex());
    let mut cutter = Cutter {
        replica: &replica,
        excluded,
        channels: channels(&replica, wish.channel.as_deref())?,
        event: wish.event.as_deref().map(event_start).transpose()?,
        needles: BTreeMap::new(),
        files: BTreeSet::new(),
        origin: Origin::new(&name, &shown, &excluded, Clock::System.unix_ms()),
        too_many: false,
    };
    cutter.cut(&store).map_err(failure::store)?;
    let needles = cutter.end(&store)?;
    record(store, &needles, file)?;
    needles.write(file)?;
    Ok(Exported {
        kinds: needles.counts(),
        origin: needles.origin,
        file: file.into(),
    })
}

fn record(store: Store, needles: &Needles, file: &Path) -> Result<(), ApiError> {
    let audit = Audit::open(store).map_err(|error| failure::node("audit_broken", error))?;
    let origin = &needles.origin;
    let text = format!(
        "{} needles of {} events that exclude {} ({}), with plaintext and keys, to {}",
        origin.needles,
        origin.events,
        origin.excluding,
        origin.excluding_id,
        file.display()
    );
    audit.record(ACTION, &text).map_err(failure::store)
}

/// Cuts needles from a store, event by event.
struct Cutter<'a> {
    replica: &'a Replica,
    excluded: PartnerId,
    channels: BTreeSet<ChannelId>,
    event: Option<String>,
    /// The first event that each was met in.
    needles: BTreeMap<(Kind, Vec<u8>), EventId>,
    /// File references that were cut.
    files: BTreeSet<EventId>,
    origin: Origin,
    too_many: bool,
}

impl Cutter<'_> {
    fn cut(&mut self, store: &Store) -> Result<(), StoreError> {
        store.scan::<StoreError>(Table::Events, &[], &[], |_, value| {
            // The machine was put together from the same rows.
            if let Ok(stored) = rows::read_event(value)
                && self.is_wanted(&stored.event)
            {
                self.origin.events += 1;
                self.event(&stored.event);
            }
            self.too_many = self.needles.len() > NEEDLES_MAX;
            Ok(!self.too_many)
        })?;
        for (file, held) in self.held_files(store)? {
            store.scan::<StoreError>(Table::Chunks, &held.place.0, &[], |_, chunk| {
                self.pieces(Kind::Chunk, file, chunk, CHUNK_STEP);
                self.too_many = self.needles.len() > NEEDLES_MAX;
                Ok(!self.too_many)
            })?;
        }
        Ok(())
    }

    /// The files, of which something is held, of the references that were cut.
    fn held_files(&self, store: &Store) -> Result<Vec<(EventId, HeldFile)>, StoreError> {
        let mut files = Vec::new();
        store.scan::<StoreError>(Table::Files, &[], &[], |key, value| {
            if let (Ok(id), Ok(held)) = (key.try_into().map(EventId), HeldFile::from_bytes(value))
                && self.files.contains(&id)
            {
                files.push((id, held));
            }
            Ok(true)
        })?;
        Ok(files)
    }

    fn is_wanted(&self, event: &Event) -> bool {
        let header = &event.header;
        let channel = self.replica.channels().get(&header.channel);
        let start = self.event.as_deref().unwrap_or_default();
        self.channels.contains(&header.channel)
            && event.id.to_hex().starts_with(start)
            && channel.is_some_and(|channel| !may_have(channel, event, &self.excluded))
    }

    fn event(&mut self, event: &Event) {
        let header = &event.header;
        let kind = header.kind();
        let id = match kind {
            EventKind::Key => Kind::KeyEvent,
            _ => Kind::EventId,
        };
        self.take(id, event.id, &event.id.0);
        self.take(Kind::Signature, event.id, &event.signature.0);
        self.take(Kind::Lane, event.id, &header.lane.0);
        if kind == EventKind::Key {
            self.key_event(event);
        } else if kind == EventKind::File {
            self.files.insert(event.id);
        }
        let Some(commitment) = header.commitment else {
            return;
        };
        self.take(Kind::Commitment, event.id, &commitment.0);
        self.take(Kind::BodyHash, event.id, &header.body_hash.0);
        self.pieces(Kind::Body, event.id, &event.body, PIECE_STEP);
        if let Some(key_event) = header.key_event {
            self.take(Kind::KeyEvent, event.id, &key_event.0);
            let secret = self.replica.secret(&key_event);
            if let Some(secret) = secret {
                self.take(Kind::Secret, event.id, secret.as_bytes());
            }
            if let Ok(body) = keys::open(event, secret) {
                self.text(event, &Zeroizing::new(body));
            }
        }
    }

    /// Who is in the audience is known elsewhere; the secret and its wraps are not.
    fn key_event(&mut self, event: &Event) {
        let Ok(body) = KeyBody::from_bytes(&event.body) else {
            return;
        };
        self.take(Kind::BodyHash, event.id, &event.header.body_hash.0);
        self.take(Kind::SecretCommitment, event.id, &body.commitment.0);
        for wrap in &body.wraps {
            self.pieces(Kind::Wrap, event.id, &wrap.sealed, PIECE_STEP);
        }
        if let Some(secret) = self.replica.secret(&event.id) {
            self.take(Kind::Secret, event.id, secret.as_bytes());
        }
    }

    /// What people wrote, as they wrote it; of other bodies the whole record.
    fn text(&mut self, event: &Event, body: &[u8]) {
        let text = match event.header.kind() {
            EventKind::Post | EventKind::Edit => {
                MessageBody::from_bytes(body).map(|body| body.message.into_bytes())
            }
            EventKind::Redact => RedactBody::from_bytes(body).map(|body| body.reason.into_bytes()),
            _ => Ok(body.to_vec()),
        };
        let text = Zeroizing::new(text.unwrap_or_else(|_| body.to_vec()));
        if text.len() < NEEDLE_BYTES_MIN {
            self.origin.too_short += 1;
            return;
        }
        let mut rest = text.as_slice();
        while rest.len() >= TEXT_PART + NEEDLE_BYTES_MIN {
            let (part, others) = rest.split_at(TEXT_PART);
            self.take(Kind::Plaintext, event.id, part);
            rest = others;
        }
        self.take(Kind::Plaintext, event.id, rest);
    }

    fn pieces(&mut self, kind: Kind, event: EventId, bytes: &[u8], step: usize) {
        if bytes.len() < PIECE {
            self.origin.too_short += 1;
            return;
        }
        let last = bytes.len() - PIECE;
        for start in (0..last).step_by(step).chain([last]) {
            self.take(kind, event, &bytes[start..start + PIECE]);
        }
    }

    fn take(&mut self, kind: Kind, event: EventId, bytes: &[u8]) {
        self.needles.entry((kind, bytes.to_vec())).or_insert(event);
    }

    fn end(self, store: &Store) -> Result<Needles, ApiError> {
        if self.too_many {
            return Err(failure::operator(
                "too_many_needles",
                format!("there are more than {NEEDLES_MAX} needles"),
                "have fewer exported at a time: --channel, --event",
            ));
        }
        if self.needles.is_empty() {
            return Err(failure::operator(
                "no_needles",
                format!(
                    "nothing that was asked for excludes {}",
                    self.origin.excluding
                ),
                "'comity read' tells whom each post is for",
            ));
        }
        let (replica, excluded) = (self.replica, self.excluded);
        let mut needles = Needles {
            origin: self.origin,
            needles: self
                .needles
                .into_iter()
                .map(|((kind, bytes), event)| Needle { kind, bytes, event })
                .collect(),
        };
        leave_out_known(&mut needles, replica, &excluded, store)?;
        needles.origin.needles = needles.needles.len() as u64;
        Ok(needles)
    }
}

/// Leaves out the parts of texts that also stand in what the excluded partner may read: a common
/// phrase, or a quotation.
fn leave_out_known(
    needles: &mut Needles,
    replica: &Replica,
    excluded: &PartnerId,
    store: &Store,
) -> Result<(), ApiError> {
    let searcher = searcher(needles)?;
    let mut known = vec![false; needles.needles.len()];
    let scanned = store.scan::<StoreError>(Table::Events, &[], &[], |_, value| {
        let Ok(stored) = rows::read_event(value) else {
            return Ok(true);
        };
        let header = &stored.event.header;
        let channel = replica.channels().get(&header.channel);
        if channel.is_some_and(|channel| may_have(channel, &stored.event, excluded)) {
            let secret = header
                .key_event
                .and_then(|key_event| replica.secret(&key_event));
            if let Ok(body) = keys::open(&stored.event, secret).map(Zeroizing::new) {
                searcher.bytes(&body, |_, needle, _| known[needle] = true);
            }
        }
        Ok(true)
    });
    scanned.map_err(failure::store)?;
    let mut is_known = known.into_iter();
    let before = needles.needles.len();
    needles.needles.retain(|needle| {
        let is_known = is_known.next().unwrap_or(false);
        !(is_known && needle.kind == Kind::Plaintext)
    });
    needles.origin.may_be_known = (before - needles.needles.len()) as u64;
    Ok(())
}

/// Whether a partner may have an event. Of the control lane this is asked as of now: whoever ever
/// had a place in the channel may have it.
fn may_have(channel: &Channel, event: &Event, partner: &PartnerId) -> bool {
    let members = &channel.present().members;
    let has_place = members.contains_key(partner);
    if event.header.lane == channel.control_lane {
        return has_place;
    }
    channel.lane(&event.header.lane).is_some_and(|lane| {
        let everybody = members.keys().copied().collect();
        let readers = lane.readers(channel.history(), &everybody);
        lane.audience.contains(partner)
            || (lane.form == LaneForm::Open && readers.contains(partner))
    })
}

/// The partners that this node knows, by its pacts and its channels.
fn partner_names(
    replica: &Replica,
    store: &Store,
) -> Result<BTreeMap<PartnerId, String>, ApiError> {
    let pacts = Pacts::load(store.clone(), replica.partner()).map_err(failure::peering)?;
    let mut names = BTreeMap::new();
    for channel in replica.channels().values() {
        for partner in channel.present().members.keys() {
            if let Some(identity) = channel.identity(partner) {
                names.insert(*partner, identity.name.as_str().to_string());
            }
        }
    }
    for pact in pacts.iter() {
        let identity = &pact.identity;
        names.insert(identity.partner(), identity.name.as_str().to_string());
    }
    Ok(names)
}

fn partner(names: &BTreeMap<PartnerId, String>, wanted: &str) -> Result<PartnerId, ApiError> {
    if let Some(known) = names::partner_among(names, wanted)? {
        return Ok(known);
    }
    let id = unhex(wanted).and_then(|bytes| bytes.try_into().ok());
    id.map(PartnerId).ok_or_else(|| {
        let known: Vec<&str> = names.values().map(String::as_str).collect();
        failure::operator(
            "no_such_partner",
            format!(
                "no partner '{wanted}' is known here; known are {}",
                known.join(", ")
            ),
            "name one of these, or give a partner's whole id",
        )
    })
}

fn channels(replica: &Replica, name: Option<&str>) -> Result<BTreeSet<ChannelId>, ApiError> {
    let is_wanted = |channel: &&Channel| {
        name.is_none_or(|name| {
            names::name_of(channel) == name
                || (name.len() >= PREFIX_DIGITS && channel.id.to_hex().starts_with(name))
        })
    };
    let wanted = replica.channels().values().filter(is_wanted);
    let wanted: BTreeSet<ChannelId> = wanted.map(|channel| channel.id).collect();
    match (wanted.is_empty(), name) {
        (true, Some(name)) => Err(failure::operator(
            "no_such_channel",
            format!("there is no channel '{name}' here"),
            "'comity channel list' names the channels",
        )),
        _ => Ok(wanted),
    }
}

fn event_start(start: &str) -> Result<String, ApiError> {
    if start.len() >= PREFIX_DIGITS {
        return Ok(start.to_ascii_lowercase());
    }
    Err(failure::user(
        "no_such_post",
        format!("'{start}' is too short for an event's id"),
        "'comity read' shows the ids of posts",
    ))
}
