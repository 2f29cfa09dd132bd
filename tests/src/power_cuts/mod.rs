//! Power cuts at any moment, under the real store: nothing acknowledged is lost.
//!
//! A node lives in this process, whole but for its links, on a file system that forgets what was not
//! synced. The power goes before some operation of the store on its files: in the middle of a write,
//! of a flush, of a compaction, of recovering from the cut before. Which operation, and how much of
//! what was not synced stays all the same, is in the seed; how the node's threads interleave is not.

mod campaign;
mod home;
mod people;
mod told;

pub use campaign::{CUTS_OF_A_STORE, Report, Tally, run, suffer};
pub use home::{Home, Life, WRITE_BUFFER_BYTES, stop};
pub use people::People;
pub use told::{ARCHIVE, PARTNER, Said, Told};
