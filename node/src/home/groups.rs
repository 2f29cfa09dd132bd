//! Channels that users are in because of their groups at the organisation's provider.

use std::collections::BTreeSet;

use super::people::{Account, AccountError};
use super::{Home, begin, is_direct};

impl Home {
    /// Takes a user into the channels of these names, and out of those that it was in by a group that
    /// it has left. A name that no channel here has is passed over.
    pub fn join_by_group(
        &self,
        account: &Account,
        names: &BTreeSet<&str>,
    ) -> Result<(), AccountError> {
        let rooms = self.feed.rooms();
        let named = rooms.iter().filter(|room| {
            names.contains(room.name.as_str()) && !is_direct(room) && self.is_open(room)
        });
        let wanted: BTreeSet<_> = named.map(|room| room.id).collect();
        if wanted == account.by_group {
            return Ok(());
        }
        let now = self.node.now_ms();
        for room in rooms.iter().filter(|room| wanted.contains(&room.id)) {
            self.people.mark(account.id, room.id, true, |marks| {
                begin(marks, room, now);
                marks.joined = Some(true);
            })?;
        }
        for left in account.by_group.difference(&wanted) {
            self.people
                .mark(account.id, *left, true, |marks| marks.joined = Some(false))?;
        }
        self.people.set_by_group(account.id, wanted)
    }
}
