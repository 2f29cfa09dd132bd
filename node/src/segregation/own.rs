//! A node's own view: whether everything in its store stands in a lane that its partner reads.
//!
//! It is judged from the rows alone, and not by asking the machine that wrote them: the audience of
//! a lane is read from its key events, and counts only if the lane's id is its hash.

use std::collections::{BTreeMap, BTreeSet};

use comity_crypto::EpochSecret;
use comity_protocol::body::{Charter, InviteBody, KeyBody};
use comity_protocol::codec::Canonical as _;
use comity_protocol::event::{Event, Kind, Reference};
use comity_protocol::files::HeldFile;
use comity_protocol::id::{ChannelId, EventId, Hash, LaneId, PartnerId, hex};
use comity_protocol::lane::{History, LaneForm, control_lane, lane_id};
use comity_protocol::rows::{self, ChannelNote, LogNumbers, Table};
use comity_protocol::wire::LogId;
use serde::Serialize;
use zeroize::Zeroizing;

use super::{LISTED, TableLooked};
use crate::audit::Record;
use crate::store::{Store, StoreError};

/// What a report says that the own view looks for.
pub const LOOKED_FOR: &str = "events, logs, keys, files, notes and import marks of lanes and channels \
                              that this partner does not read, and such as belong to nothing";

/// Something that is out of place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub table: &'static str,
    /// The row's key in hexadecimal digits.
    pub key: String,
    pub what: String,
}

/// What was looked at, and what is out of place.
#[derive(Debug)]
pub struct View {
    pub tables: Vec<TableLooked>,
    pub findings: Vec<Finding>,
    pub findings_total: u64,
}

/// Looks at every row of the store of `own`'s node.
pub fn look(store: &Store, own: &PartnerId) -> Result<View, StoreError> {
    let mut look = Look {
        own: *own,
        held: Held::default(),
        view: View {
            tables: Vec::new(),
            findings: Vec::new(),
            findings_total: 0,
        },
    };
    look.collect(store)?;
    for table in Table::ALL.into_iter().filter(|table| store.has(*table)) {
        let mut looked = TableLooked {
            table: table.name(),
            rows: 0,
            bytes: 0,
        };
        store.scan::<StoreError>(table, &[], &[], |key, value| {
            looked.rows += 1;
            looked.bytes += (key.len() + value.len()) as u64;
            if let Err(what) = look.row(table, key, value) {
                look.view.found(table, key, what);
            }
            Ok(true)
        })?;
        look.view.tables.push(looked);
    }
    Ok(look.view)
}

impl View {
    fn found(&mut self, table: Table, key: &[u8], what: String) {
        self.findings_total += 1;
        if self.findings.len() < LISTED {
            self.findings.push(Finding {
                table: table.name(),
                key: hex(key),
                what,
            });
        }
    }
}

/// What the rows say of lanes, before any is judged.
#[derive(Default)]
struct Held {
    logs: BTreeMap<u32, LogId>,
    used_logs: BTreeSet<u32>,
    charters: BTreeMap<ChannelId, Charter>,
    /// Channels whose charter or one of whose invitations names this partner.
    standing: BTreeSet<ChannelId>,
    keys: BTreeMap<EventId, KeyEvent>,
    /// File references, and where they stand.
    files: BTreeMap<EventId, (ChannelId, LaneId)>,
    /// Where chunks may be kept: of files that are held, and of uploads.
    places: BTreeSet<Vec<u8>>,
    /// The audiences whose hash is the lane's id.
    lanes: BTreeMap<(ChannelId, LaneId), (LaneForm, BTreeSet<PartnerId>)>,
}

struct KeyEvent {
    channel: ChannelId,
    lane: LaneId,
    body: KeyBody,
}

struct Look {
    own: PartnerId,
    held: Held,
    view: View,
}

impl Look {
    /// Learns of the logs, channels and lanes that there are.
    fn collect(&mut self, store: &Store) -> Result<(), StoreError> {
        let held = &mut self.held;
        store.scan::<StoreError>(Table::Logs, &[], &[], |key, value| {
            // One that does not read back is found when its row is judged.
            if let (Ok(number), Some(log)) = (key.try_into(), log(key, value)) {
                held.logs.insert(u32::from_be_bytes(number), log);
            }
            Ok(true)
        })?;
        let own = self.own;
        store.scan::<StoreError>(Table::Events, &[], &[], |key, value| {
            held.used_logs.extend(log_of(key));
            if let Ok(stored) = rows::read_event(value) {
                held.learn(&own, &stored.event);
            }
            Ok(true)
        })?;
        for table in [Table::Files, Table::Uploads] {
            if !store.has(table) {
                continue;
            }
            store.scan::<StoreError>(table, &[], &[], |key, value| {
                let place = match table {
                    Table::Files => HeldFile::from_bytes(value).map(|file| file.place.0.to_vec()),
                    _ => Ok(key.to_vec()),
                };
                held.places.extend(place);
                Ok(true)
            })?;
        }
        held.name_lanes();
        Ok(())
    }

    fn row(&self, table: Table, key: &[u8], value: &[u8]) -> Result<(), String> {
        match table {
            Table::Events => self.event(key, value),
            Table::Logs => self.log(key, value),
            Table::Secrets => self.secret(key, value),
            Table::Channels => {
                ChannelNote::from_bytes(value).map_err(text)?;
                self.channel("a note", key)
            }
            Table::Imports => self.channel("an import mark", key.get(32..).unwrap_or_default()),
            Table::Audit => Record::from_bytes(value).map(drop).map_err(text),
            Table::Files => self.file(key, value),
            Table::Chunks => self.chunk(key),
            // Of this node, its pacts and what its own people hand over; they have a place in no
            // lane.
            Table::Meta | Table::Pacts | Table::Uploads | Table::Writers | Table::People => Ok(()),
        }
    }

    fn event(&self, key: &[u8], value: &[u8]) -> Result<(), String> {
        let event = rows::read_event(value).map_err(text)?.event;
        let header = &event.header;
        let number = log_of(key).ok_or("an event without a log's number")?;
        let log = self.held.logs.get(&number);
        let log = log.ok_or_else(|| format!("an event of log {number}, which there is not"))?;
        if *log != (header.channel, header.lane, header.writer)
            || key != rows::event_key(number, header.seq, &event.id)
        {
            return Err("an event under the key of another one".into());
        }
        self.reads(header.channel, header.lane)
            .map_err(|why| format!("event {} {why}", event.id))?;
        let named = header.deps.iter().chain(&header.about);
        for reference in named {
            self.named(header.channel, header.lane, reference)
                .map_err(|why| format!("event {} names {why}", event.id))?;
        }
        Ok(())
    }

    /// Whoever names a lane or an event of one tells of it.
    fn named(
        &self,
        channel: ChannelId,
        own_lane: LaneId,
        reference: &Reference,
    ) -> Result<(), String> {
        let lane = reference.lane.unwrap_or(own_lane);
        self.reads(channel, lane)
            .map_err(|why| format!("event {}, which {why}", reference.id))
    }

    /// Whether this partner reads a lane, by its audience or by the channel's history rule.
    fn reads(&self, channel: ChannelId, lane: LaneId) -> Result<(), String> {
        let has_standing = self.held.standing.contains(&channel);
        if lane == control_lane(channel) {
            let why = format!(
                "stands in the control lane of channel {channel}, whose charter and invitations \
                 do not name this partner"
            );
            return has_standing.then_some(()).ok_or(why);
        }
        let Some((form, audience)) = self.held.lanes.get(&(channel, lane)) else {
            return Err(format!(
                "stands in lane {lane}, whose id is the hash of no audience that a key event here \
                 names"
            ));
        };
        let history = self.held.charters.get(&channel);
        let history = history.and_then(|charter| History::from_number(charter.history));
        let to_all = *form == LaneForm::Open && history == Some(History::All) && has_standing;
        if audience.contains(&self.own) || to_all {
            return Ok(());
        }
        Err(format!(
            "stands in lane {lane}, whose audience has not this partner"
        ))
    }

    fn log(&self, key: &[u8], value: &[u8]) -> Result<(), String> {
        let (channel, lane, _) = log(key, value).ok_or("a row that is no log")?;
        self.reads(channel, lane)
            .map_err(|why| format!("a log that {why}"))?;
        let is_used = log_of(key).is_some_and(|number| self.held.used_logs.contains(&number));
        is_used
            .then_some(())
            .ok_or_else(|| format!("a log of lane {lane} without an event"))
    }

    fn secret(&self, key: &[u8], value: &[u8]) -> Result<(), String> {
        let id = key.try_into().map(EventId);
        let id = id.map_err(|_| "a secret under what is no event's id")?;
        let event = self.held.keys.get(&id);
        let event =
            event.ok_or_else(|| format!("the secret of {id}, which is no key event here"))?;
        self.reads(event.channel, event.lane)
            .map_err(|why| format!("the secret of key event {id}, which {why}"))?;
        let secret = <[u8; 32]>::try_from(value).map(Zeroizing::new);
        let secret = secret.map_err(|_| "a secret of another length")?;
        let commitment = Hash(EpochSecret::from_bytes(*secret).commitment());
        (event.body.parts.is_some() && commitment == event.body.commitment)
            .then_some(())
            .ok_or_else(|| format!("a secret that is not the one of key event {id}"))
    }

    fn file(&self, key: &[u8], value: &[u8]) -> Result<(), String> {
        HeldFile::from_bytes(value).map_err(text)?;
        let id = key.try_into().map(EventId);
        let id = id.map_err(|_| "a file under what is no event's id")?;
        let place = self.held.files.get(&id);
        let (channel, lane) =
            place.ok_or_else(|| format!("chunks of {id}, which is no file reference here"))?;
        self.reads(*channel, *lane)
            .map_err(|why| format!("chunks of file {id}, which {why}"))
    }

    fn chunk(&self, key: &[u8]) -> Result<(), String> {
        let place = key.get(..32).unwrap_or_default();
        let is_known = self.held.places.contains(place);
        is_known
            .then_some(())
            .ok_or_else(|| "a chunk of no file that is held here".into())
    }

    fn channel(&self, what: &str, id: &[u8]) -> Result<(), String> {
        let channel = id.try_into().map(ChannelId);
        let channel = channel.map_err(|_| format!("{what} of what is no channel"))?;
        let is_held = self.held.standing.contains(&channel);
        is_held.then_some(()).ok_or_else(|| {
            format!("{what} of channel {channel}, of which nothing here names this partner")
        })
    }
}

impl Held {
    fn learn(&mut self, own: &PartnerId, event: &Event) {
        let channel = event.header.channel;
        let is_control = event.header.lane == control_lane(channel);
        let named = match event.header.kind() {
            Kind::Charter if is_control => Charter::from_bytes(&event.body).ok().map(|charter| {
                let creator = charter.creator.partner();
                self.charters.insert(channel, charter);
                creator
            }),
            Kind::Invite if is_control => {
                let body = InviteBody::from_bytes(&event.body).ok();
                body.map(|body| body.partner.partner())
            }
            Kind::Key => {
                if let Ok(body) = KeyBody::from_bytes(&event.body) {
                    let lane = event.header.lane;
                    let event_of = KeyEvent {
                        channel,
                        lane,
                        body,
                    };
                    self.keys.insert(event.id, event_of);
                }
                None
            }
            Kind::File => {
                self.files.insert(event.id, (channel, event.header.lane));
                None
            }
            _ => None,
        };
        if named == Some(*own) {
            self.standing.insert(channel);
        }
    }

    /// An open lane's audience are those to whom its key is wrapped, in all parts.
    fn name_lanes(&mut self) {
        for event in self.keys.values() {
            let earlier = event.body.parts.iter().flatten();
            let earlier = earlier.filter_map(|part| self.keys.get(part));
            let bodies = earlier.map(|part| &part.body).chain([&event.body]);
            let wrapped = bodies.flat_map(|body| body.wraps.iter().map(|wrap| wrap.partner));
            let (form, audience) = match &event.body.audience {
                Some(audience) => (LaneForm::Directed, audience.iter().copied().collect()),
                None => (LaneForm::Open, wrapped.collect()),
            };
            if lane_id(event.channel, form, &audience) == event.lane {
                let place = (event.channel, event.lane);
                self.lanes.insert(place, (form, audience));
            }
        }
    }
}

/// A log's row.
fn log(key: &[u8], value: &[u8]) -> Option<LogId> {
    let mut numbers = LogNumbers::default();
    numbers.restore(key, value).ok()?;
    numbers.log(u32::from_be_bytes(key.try_into().ok()?))
}

/// The log's number in the key of an event or of the log itself.
fn log_of(key: &[u8]) -> Option<u32> {
    key.first_chunk().copied().map(u32::from_be_bytes)
}

fn text(error: comity_protocol::codec::Malformed) -> String {
    format!("a row that does not read back: {error}")
}
