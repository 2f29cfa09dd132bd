//! Starting again from what was stored.

use std::collections::BTreeSet;

use comity_crypto as crypto;

use super::{Own, Replica};
use crate::channel::Channel;
use crate::codec::{Canonical, Malformed};
use crate::event::Kind;
use crate::id::{ChannelId, EventId, WriterId};
use crate::lane::control_lane;
use crate::mutation::{self, Mutation};
use crate::rows::{self, ChannelNote, StoredEvent, Table};

/// Puts a replica together again from its stored rows.
pub struct Restore {
    replica: Replica,
    events: Vec<StoredEvent>,
    from_backup: bool,
    spent: BTreeSet<WriterId>,
}

impl Restore {
    pub fn new(own: Own) -> Restore {
        Restore {
            replica: Replica::new(own),
            events: Vec::new(),
            from_backup: false,
            spent: BTreeSet::new(),
        }
    }

    /// Says that the rows come from a backup: what was written since it was made is not among
    /// them. The writers that the store has used are never used again, whatever the peers show.
    pub fn from_backup(&mut self) {
        self.from_backup = true;
    }

    /// Says that a writer has been in use since the backup was made, though the store does not know
    /// it: an earlier restore put it to use. It is never used again either. To be said with
    /// [`Restore::from_backup`].
    pub fn spent(&mut self, writer: WriterId) {
        self.spent.insert(writer);
    }

    /// Takes one row; rows of tables that are not the machine's are passed over.
    pub fn row(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), Malformed> {
        match table {
            Table::Logs => self.replica.numbers.restore(key, value),
            Table::Secrets => {
                let id = key.try_into().map_err(|_| Malformed::Undecodable {
                    expected: "event id",
                })?;
                let secret = value.try_into().map_err(|_| Malformed::Undecodable {
                    expected: "epoch secret",
                })?;
                self.replica
                    .keyring
                    .restore(EventId(id), crypto::EpochSecret::from_bytes(secret));
                Ok(())
            }
            Table::Events => {
                let mut stored = rows::read_event(value)?;
                if stored.event.header.kind().is_sealed() {
                    // Acceptance never looks inside; the body stays in the store.
                    stored.event.body = Vec::new();
                }
                if stored.event.header.kind() != Kind::Key {
                    stored.event.header_bytes = Vec::new();
                }
                self.events.push(stored);
                Ok(())
            }
            Table::Channels => {
                let id = key.try_into().map_err(|_| Malformed::Undecodable {
                    expected: "channel id",
                })?;
                let note = ChannelNote::from_bytes(value)?;
                self.replica.notes.insert(ChannelId(id), note);
                Ok(())
            }
            Table::Writers => self.replica.writers.restore(key),
            Table::Files => self.replica.held.restore(key, value),
            Table::Meta
            | Table::Pacts
            | Table::Imports
            | Table::Audit
            | Table::Chunks
            | Table::Uploads
            | Table::People => Ok(()),
        }
    }

    /// Merges the stored events again, control events first, parents before children. An event
    /// that is no longer accepted means a damaged store.
    pub fn finish(mut self) -> Result<Replica, Malformed> {
        self.events.sort_by_key(|stored| {
            let header = &stored.event.header;
            (header.lane != control_lane(header.channel), stored.h)
        });
        let mut used = BTreeSet::from([self.replica.writers.first()]);
        if mutation::is(Mutation::LastEventForgotten) {
            let own = self.replica.writers.first();
            let last = self.events.iter().rposition(|stored| {
                let header = &stored.event.header;
                header.writer == own && header.kind() == Kind::Post
            });
            let is_head = |at: &usize| {
                let id = self.events[*at].event.id;
                let cites = |stored: &StoredEvent| {
                    let header = &stored.event.header;
                    header.prev == Some(id) || header.deps.iter().any(|dep| dep.id == id)
                };
                !self.events.iter().any(cites)
            };
            if let Some(at) = last.filter(is_head) {
                self.events.remove(at);
            }
        }
        let partner = self.replica.partner;
        for stored in self.events {
            let id = stored.event.header.channel;
            used.insert(stored.event.header.writer);
            let channel = self
                .replica
                .channels
                .entry(id)
                .or_insert_with(|| Channel::held_by(id, partner));
            if stored.event.header.kind() == Kind::Key {
                // Secrets of first parts are in no row until the last part is accepted. What did
                // not open before does not open now, and was on record then.
                let _ = self.replica.keyring.read(&stored.event);
            }
            let outcome = channel.restore(stored.event);
            if outcome.accepted.is_empty() {
                return Err(Malformed::Rule(
                    "a stored event is no longer accepted: the store is damaged",
                ));
            }
        }
        let channels: Vec<ChannelId> = self.replica.channels.keys().copied().collect();
        for channel in channels {
            if let Some(held) = self.replica.channels.get_mut(&channel) {
                held.restored();
            }
            self.replica.want_missing_keys(channel);
            let deleted = self.replica.drop_withdrawn(channel);
            self.replica.append(deleted);
            self.replica.suspect_stored(channel);
        }
        if self.from_backup {
            used.append(&mut self.spent);
            used.retain(|writer| self.replica.writers.are_own(writer));
            let spent = used.into_iter();
            let spent = spent.filter_map(|writer| self.replica.writers.spend(writer));
            let rows = spent.collect();
            self.replica.append(rows);
            self.replica.writers.catch_up();
        }
        Ok(self.replica)
    }
}
