//! Proving segregation: that a node has nothing of what was not written for its partner.
//!
//! A node can say by itself that [everything in its store](own) stands in a lane that its partner
//! reads. What it must not have it cannot know: that comes as [needles](needle) from a node that
//! may have it, and is [searched](search) for in every byte of every file and in every value of
//! the store, opened. Nothing in here writes to the directory that is looked at.

mod export;
pub mod needle;
pub mod own;
pub mod search;
mod walk;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use comity_crypto::EpochSecret;
use comity_protocol::id::{EventId, hex};
use comity_protocol::keys;
use comity_protocol::rows::{self, Table};
use serde::Serialize;
use zeroize::{Zeroize as _, Zeroizing};

use crate::api::ApiError;
use crate::config::Config;
use crate::keystore;
use crate::service::failure;
use crate::storage_key::KeyPlace;
use crate::store::{Store, StoreError};

pub use export::{Exported, Wish, export};
use needle::{Kind, Needles, Origin};
use own::Finding;
use search::{Form, Searcher};
use walk::Looked;

/// Places that a report lists, and findings; all are counted.
const LISTED: usize = 1000;

/// How far a scan is: bytes searched, and all there are.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64);

/// What was looked at, for what, and what was found.
#[derive(Debug, Serialize)]
pub struct Report {
    pub verdict: Verdict,
    /// The partner whose node was looked at.
    pub partner: String,
    pub partner_id: String,
    pub directory: PathBuf,
    pub tables: Vec<TableLooked>,
    pub files: Vec<Looked>,
    /// What is out of place by the node's own rows; the first of them.
    pub findings: Vec<Finding>,
    pub findings_total: u64,
    pub search: Option<Search>,
    /// What could not be looked at: there the report says nothing.
    pub not_looked_at: Vec<String>,
    /// Files that are not a node's own; only a search for needles looks into them.
    pub strangers: Vec<PathBuf>,
}

/// What the report comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing was found.
    Clean,
    /// Nothing was found, and there are files that are not a node's own and were not searched.
    Strangers,
    /// Something was found.
    Findings,
    /// Nothing was found, and something could not be looked at.
    Incomplete,
}

/// A table of the store.
#[derive(Debug, Serialize)]
pub struct TableLooked {
    pub table: &'static str,
    pub rows: u64,
    /// Of keys and opened values.
    pub bytes: u64,
}

/// What a search for needles came to.
#[derive(Debug, Serialize)]
pub struct Search {
    pub origin: Origin,
    pub kinds: Vec<KindFound>,
    pub files: u64,
    pub file_bytes: u64,
    /// Keys, opened values and opened bodies.
    pub values: u64,
    pub value_bytes: u64,
    /// Where needles were found: the first place of each needle in the files, and in the values.
    pub places: Vec<Place>,
    /// How often something was found, in all.
    pub occurrences: u64,
    pub by_file: BTreeMap<PathBuf, u64>,
    pub by_table: BTreeMap<&'static str, u64>,
}

/// How many needles of a kind there were, and were found.
#[derive(Debug, Serialize)]
pub struct KindFound {
    pub kind: Kind,
    pub needles: u64,
    pub found: u64,
    pub in_files: u64,
    pub in_values: u64,
}

/// Where a needle is.
#[derive(Debug, Serialize)]
pub struct Place {
    pub kind: Kind,
    /// The event that the needle belongs to.
    pub event: String,
    pub form: Form,
    #[serde(flatten)]
    pub at: At,
    pub offset: u64,
}

/// A file, or a part of a row.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum At {
    File {
        file: PathBuf,
    },
    Row {
        table: &'static str,
        key: String,
        part: Part,
    },
}

/// What of a row was searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    Key,
    /// The value, opened with the storage key.
    Value,
    /// An event's body, opened with the secret of its epoch.
    Body,
}

/// Looks the directory of a stopped node over: by its own rows, and, where there are `needles`,
/// for those. `also` are further files and directories to search for needles.
pub fn prove(
    dir: &Path,
    needles: Option<&Path>,
    also: &[PathBuf],
    progress: Progress<'_>,
) -> Result<Report, ApiError> {
    let config = Config::load(dir)?;
    let needles = needles.map(Needles::read).transpose()?;
    let store = keystore::open_store_read_only(dir, &config.storage).map_err(failure::keys)?;
    let own = keystore::load(&store).map_err(failure::keys)?.own;
    let partner = own.identity.partner();
    let name = own.identity.name.as_str().to_string();
    drop(own);
    let view = own::look(&store, &partner).map_err(failure::store)?;
    let key_file = KeyPlace::of(dir, &config.storage)
        .map_err(failure::storage_key)?
        .path()
        .to_path_buf();
    let walked = walk::walk(dir, &key_file, also);
    let mut report = Report {
        verdict: Verdict::Clean,
        partner: name,
        partner_id: partner.to_hex(),
        directory: dir.into(),
        tables: view.tables,
        files: walked.files,
        findings: view.findings,
        findings_total: view.findings_total,
        search: None,
        not_looked_at: walked.unreadable,
        strangers: walked.strangers,
    };
    for family in store.strays().map_err(failure::store)? {
        let text = format!("column family {family}: left by an interrupted rotation");
        report.not_looked_at.push(text);
    }
    if let Some(needles) = needles {
        let mut hunt = Hunt::new(&needles)?;
        hunt.files(&mut report, progress);
        hunt.store(&store).map_err(failure::store)?;
        report.search = Some(hunt.end(needles.origin.clone()));
    }
    report.verdict = verdict(&report);
    Ok(report)
}

fn verdict(report: &Report) -> Verdict {
    let found = report
        .search
        .as_ref()
        .map_or(0, |search| search.occurrences);
    if report.findings_total > 0 || found > 0 {
        Verdict::Findings
    } else if !report.not_looked_at.is_empty() {
        Verdict::Incomplete
    } else if !report.strangers.is_empty() && report.search.is_none() {
        Verdict::Strangers
    } else {
        Verdict::Clean
    }
}

/// A search under way.
struct Hunt<'a> {
    needles: &'a Needles,
    searcher: Searcher,
    in_files: Vec<bool>,
    in_values: Vec<bool>,
    files: u64,
    file_bytes: u64,
    values: u64,
    value_bytes: u64,
    places: Vec<Place>,
    occurrences: u64,
    by_file: BTreeMap<PathBuf, u64>,
    by_table: BTreeMap<&'static str, u64>,
}

impl<'a> Hunt<'a> {
    fn new(needles: &'a Needles) -> Result<Hunt<'a>, ApiError> {
        let count = needles.needles.len();
        Ok(Hunt {
            needles,
            searcher: searcher(needles)?,
            in_files: vec![false; count],
            in_values: vec![false; count],
            files: 0,
            file_bytes: 0,
            values: 0,
            value_bytes: 0,
            places: Vec::new(),
            occurrences: 0,
            by_file: BTreeMap::new(),
            by_table: BTreeMap::new(),
        })
    }

    fn files(&mut self, report: &mut Report, progress: Progress<'_>) {
        let total = report.files.iter().map(|file| file.bytes).sum();
        let mut done = 0;
        for looked in &mut report.files {
            let mut found = Vec::new();
            let each = |offset, needle, form| found.push((offset, needle, form));
            // An empty file holds nothing. One of them is the store's lock, which would be given
            // up if this process opened and closed it.
            let searched = match looked.bytes {
                0 => Ok(0),
                _ => self.searcher.file(&looked.path, each, |bytes| {
                    done += bytes;
                    progress(done, total);
                }),
            };
            match searched {
                Ok(bytes) => {
                    looked.searched = true;
                    self.files += 1;
                    self.file_bytes += bytes;
                }
                Err(error) => {
                    let text = format!("{}: {error}", looked.path.display());
                    report.not_looked_at.push(text);
                }
            }
            for (offset, needle, form) in found {
                *self.by_file.entry(looked.path.clone()).or_insert(0) += 1;
                let file = looked.path.clone();
                self.found(needle, form, At::File { file }, offset);
            }
        }
    }

    fn store(&mut self, store: &Store) -> Result<(), StoreError> {
        let secrets = secrets(store)?;
        for table in Table::ALL.into_iter().filter(|table| store.has(*table)) {
            store.scan::<StoreError>(table, &[], &[], |key, value| {
                self.value(table, key, Part::Key, key);
                self.value(table, key, Part::Value, value);
                if table == Table::Events
                    && let Some(mut body) = open(value, &secrets)
                {
                    self.value(table, key, Part::Body, &body);
                    body.zeroize();
                }
                Ok(true)
            })?;
        }
        Ok(())
    }

    fn value(&mut self, table: Table, key: &[u8], part: Part, bytes: &[u8]) {
        self.values += 1;
        self.value_bytes += bytes.len() as u64;
        let mut found = Vec::new();
        self.searcher.bytes(bytes, |offset, needle, form| {
            found.push((offset, needle, form))
        });
        for (offset, needle, form) in found {
            *self.by_table.entry(table.name()).or_insert(0) += 1;
            let at = At::Row {
                table: table.name(),
                key: hex(key),
                part,
            };
            self.found(needle, form, at, offset as u64);
        }
    }

    fn found(&mut self, needle: usize, form: Form, at: At, offset: u64) {
        self.occurrences += 1;
        let seen = match at {
            At::File { .. } => &mut self.in_files,
            At::Row { .. } => &mut self.in_values,
        };
        let is_first = !std::mem::replace(&mut seen[needle], true);
        if is_first && self.places.len() < LISTED {
            let needle = &self.needles.needles[needle];
            self.places.push(Place {
                kind: needle.kind,
                event: needle.event.to_hex(),
                form,
                at,
                offset,
            });
        }
    }

    fn end(self, origin: Origin) -> Search {
        let counts = self.needles.counts();
        let of = |kind: Kind, is_found: &dyn Fn(usize) -> bool| {
            let needles = self.needles.needles.iter().enumerate();
            let found = needles.filter(|(at, needle)| needle.kind == kind && is_found(*at));
            found.count() as u64
        };
        let kinds = Kind::ALL.into_iter().map(|kind| KindFound {
            kind,
            needles: counts.get(&kind).copied().unwrap_or(0),
            found: of(kind, &|at| self.in_files[at] || self.in_values[at]),
            in_files: of(kind, &|at| self.in_files[at]),
            in_values: of(kind, &|at| self.in_values[at]),
        });
        Search {
            kinds: kinds.collect(),
            origin,
            files: self.files,
            file_bytes: self.file_bytes,
            values: self.values,
            value_bytes: self.value_bytes,
            places: self.places,
            occurrences: self.occurrences,
            by_file: self.by_file,
            by_table: self.by_table,
        }
    }
}

/// Prepares the search for needles.
fn searcher(needles: &Needles) -> Result<Searcher, ApiError> {
    Searcher::new(&needles.needles).map_err(|error| {
        failure::operator(
            "too_many_needles",
            error,
            "have fewer exported at a time: --channel, --event",
        )
    })
}

/// The secrets in the store, by the key events that they belong to.
fn secrets(store: &Store) -> Result<BTreeMap<EventId, EpochSecret>, StoreError> {
    let mut secrets = BTreeMap::new();
    store.scan::<StoreError>(Table::Secrets, &[], &[], |key, value| {
        if let (Ok(id), Ok(secret)) = (key.try_into(), <[u8; 32]>::try_from(value)) {
            let secret = Zeroizing::new(secret);
            secrets.insert(EventId(id), EpochSecret::from_bytes(*secret));
        }
        Ok(true)
    })?;
    Ok(secrets)
}

/// The body of an event's row, opened, where it is sealed and its secret is here.
fn open(value: &[u8], secrets: &BTreeMap<EventId, EpochSecret>) -> Option<Vec<u8>> {
    let event = rows::read_event(value).ok()?.event;
    let secret = secrets.get(&event.header.key_event?)?;
    keys::open(&event, Some(secret)).ok()
}
