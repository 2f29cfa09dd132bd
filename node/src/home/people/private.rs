//! Channels whose users are taken in one by one. That is a partner's own affair: what it shares with
//! other partners is read there by whomever they let in.

use comity_protocol::rows::{Row, Table};

use super::{PRIVATE, People, row, row_key};
use crate::home::id::Id;
use crate::store::StoreError;

impl People {
    /// Whether nobody of this partner is in a channel without being taken in.
    pub fn is_private(&self, channel: &Id) -> bool {
        self.read().private.contains(channel)
    }

    /// Makes a channel private, or no longer so. On disk when this returns.
    pub fn set_private(&self, channel: Id, is_private: bool) -> Result<(), StoreError> {
        let mut state = self.change();
        if is_private == state.private.contains(&channel) {
            return Ok(());
        }
        if is_private {
            self.store.write(&[row(PRIVATE, &[&channel.0], &true)])?;
            state.private.insert(channel);
        } else {
            let gone = Row::delete(Table::People, row_key(PRIVATE, &[&channel.0]));
            self.store.write(&[gone])?;
            state.private.remove(&channel);
        }
        self.changed.notify_one();
        Ok(())
    }
}
