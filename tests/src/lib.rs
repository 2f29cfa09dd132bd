//! What the end-to-end tests are made of: nodes that are real `comity serve` processes, set up by
//! the commands that a sysadmin types.
//!
//! A test begins with a [`Site`], which makes and starts nodes, peers them and shares channels;
//! `site["alpha"]` is a [`Node`], whose methods are commands. Everything is killed and removed
//! when the site is dropped, and a test that fails shows the end of every node's log.
//!
//! Nothing sleeps for a guessed time: what has to happen is awaited with [`eventually`].

pub mod admin;
mod binary;
pub mod chat;
pub mod harness;
pub mod intruder;
mod lab;
mod node;
mod outage;
mod outcome;
pub mod people;
mod power;
pub mod power_cuts;
mod proxy;
mod seed;
mod site;
pub mod store;
pub mod virtual_time;
mod volume;
mod wait;

pub use binary::comity;
pub use lab::{Lab, Packets, Path};
pub use node::Node;
pub use outage::{Healed, Outage};
pub use outcome::Outcome;
pub use power::{Cut, PowerSupply, Syncing};
pub use proxy::Proxy;
pub use seed::{Dice, fresh_seed};
pub use site::{Site, free_address, unhex};
pub use volume::Volume;
pub use wait::{PATIENCE, at, eventually, past};

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Prints a figure or a seed, past the test harness, which would keep it from a test that passes,
/// and how long the tests have run.
pub fn say(text: &str) {
    static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);
    let seconds = BEGUN.elapsed().as_secs();
    // Nobody is left to be told when standard error is gone.
    let _ = writeln!(std::io::stderr(), "[{seconds:4} s] {text}");
}

/// Where directories of stores are made whose syncing is pretended: where TMPDIR says or, unless it
/// says anything, in memory if the machine has such a place.
pub fn memory() -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    match std::env::var_os("TMPDIR") {
        None if memory.is_dir() => memory,
        _ => std::env::temp_dir(),
    }
}

/// Held by a test that needs the processors for itself.
pub fn heavy() -> MutexGuard<'static, ()> {
    static HEAVY: Mutex<()> = Mutex::new(());
    // A test that failed has left nothing behind that the next could trip over.
    HEAVY.lock().unwrap_or_else(PoisonError::into_inner)
}
