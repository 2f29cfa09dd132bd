//! What a node takes from its machine beside files and the network: time, chance and threads.
//!
//! A node that serves has the machine's, which is the default. Only tests put others in their
//! place, so that a whole node can live in virtual time and do the same again. (Time that is
//! measured or waited for is tokio's, which a test can hold still.)

use std::fmt;
use std::sync::Arc;
use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::random;
use crate::transport::{System, Underlay};

/// Everything that one node is given.
#[derive(Clone)]
pub struct Environment {
    pub clock: Clock,
    pub randomness: Randomness,
    pub work: Work,
    pub underlay: Arc<dyn Underlay>,
}

impl Default for Environment {
    fn default() -> Environment {
        Environment {
            clock: Clock::default(),
            randomness: Randomness::default(),
            work: Work::default(),
            underlay: Arc::new(System),
        }
    }
}

/// What tells the time of day.
#[derive(Debug, Clone, Copy, Default)]
pub enum Clock {
    #[default]
    System,
    /// It showed this, in Unix milliseconds, at that moment, and goes as tokio's time does.
    Set { showed_ms: u64, at: Instant },
}

impl Clock {
    /// The time of day, in Unix milliseconds.
    pub fn unix_ms(self) -> u64 {
        match self {
            Clock::System => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_millis() as u64),
            Clock::Set { showed_ms, at } => showed_ms + at.elapsed().as_millis() as u64,
        }
    }
}

/// Fills what it is given with random bytes.
pub type Fill = dyn Fn(&mut [u8]) + Send + Sync;

/// Where random bytes come from. Clones share it.
#[derive(Clone, Default)]
pub enum Randomness {
    #[default]
    System,
    /// The same again from the same seed: no key drawn from it is secret.
    Seeded(Arc<Fill>),
}

impl Randomness {
    /// So many bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        match self {
            Randomness::System => random::bytes(),
            Randomness::Seeded(fill) => {
                let mut bytes = [0; N];
                fill(&mut bytes);
                bytes
            }
        }
    }
}

impl fmt::Debug for Randomness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Randomness::System => "System",
            Randomness::Seeded(_) => "Seeded",
        })
    }
}

/// Where that is done which holds its thread up: reading, writing and checking signatures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Work {
    /// On other threads than the node's tasks.
    #[default]
    Threads,
    /// Among the node's tasks, in their turn: takes no virtual time, and always comes in the same
    /// order.
    Tasks,
}

impl Work {
    /// Does something once.
    pub fn run<T: Send + 'static>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        match self {
            Work::Threads => tokio::task::spawn_blocking(work),
            Work::Tasks => tokio::spawn(async move { work() }),
        }
    }

    /// Runs a task that holds its thread up now and then, as long as it lives.
    pub fn keep(self, task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        match self {
            Work::Threads => {
                let runtime = tokio::runtime::Handle::current();
                tokio::task::spawn_blocking(move || runtime.block_on(task))
            }
            Work::Tasks => tokio::spawn(task),
        }
    }

    /// How many signatures can be checked at a time.
    pub fn cores(self) -> usize {
        match self {
            Work::Threads => *CORES,
            Work::Tasks => 1,
        }
    }
}

/// Asked once: each answer takes the system some twenty calls, and one is wanted at every event.
static CORES: LazyLock<usize> =
    LazyLock::new(|| std::thread::available_parallelism().map_or(1, usize::from));
