//! Feeds every decoder with changes of its corpus, on all cores for so many seconds, and prints one
//! line of JSON. It needs no special compiler and sees no coverage; protocol/fuzz has targets for a
//! fuzzer that does.
//!
//! Inputs come in batches, and a batch is a function of the seed and its number: so what broke a
//! decoder, hung in one or ended this program can be fed again.

#[path = "../../../protocol/fuzz/changes.rs"]
mod changes;
#[path = "../../../protocol/fuzz/targets.rs"]
mod targets;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::Parser;
use comity_node::api::Request;
use comity_tests::harness::cpu_s;
use comity_tests::{fresh_seed, say};
use serde::Serialize;

use changes::{Dice, changed};
use targets::TARGETS;

/// Inputs of one batch, all of one target: some milliseconds of work.
const BATCH: u64 = 500;
/// How long a batch may take: what takes longer hangs.
const HANGS: Duration = Duration::from_secs(60);
/// How much memory the process may have: a decoder that asks for more is not bounded by its input.
const MEMORY_BYTES: u64 = 1 << 30;
/// Inputs that broke something and are written down; more of them say no more.
const KEPT: u64 = 20;
/// How often it is said how far it has come.
const PROGRESS: Duration = Duration::from_secs(10);
/// Between two looks at the threads.
const LOOK: Duration = Duration::from_millis(200);
/// The target that is not the protocol's: a line of the admin socket.
const ADMIN_REQUEST: &str = "admin-request";
/// A thread that is between two batches.
const IDLE: u64 = u64::MAX;

/// Every decoder fed with changes of its corpus.
#[derive(Parser)]
struct Arguments {
    /// How long to go on.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Where the changes come from; drawn from the clock unless given.
    #[arg(long)]
    seed: Option<u64>,
    /// Feeds this batch alone, input by input.
    #[arg(long, requires = "seed")]
    batch: Option<u64>,
    /// A directory for inputs that break something.
    #[arg(long, default_value = "fuzz-found")]
    write: PathBuf,
}

#[derive(Debug, Default, Serialize)]
struct Report {
    inputs: u64,
    /// Those that were well-formed all the same.
    taken: u64,
    targets: usize,
    failures: u64,
    /// User and system time of this process, in seconds.
    cpu_s: f64,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let seed = arguments.seed.unwrap_or_else(fresh_seed);
    say(&format!("seed {seed}"));
    let fuzz = Fuzz::new(seed, arguments.write);
    match arguments.batch {
        Some(batch) => fuzz.feed(batch),
        None => fuzz.go_on(Duration::from_secs(arguments.seconds)),
    }
    let report = fuzz.report();
    println!("{}", serde_json::to_string(&report).expect("numbers only"));
    match report.failures {
        0 if report.inputs > 0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

struct Fuzz {
    seed: u64,
    targets: Vec<&'static str>,
    corpora: BTreeMap<String, Vec<Vec<u8>>>,
    write: PathBuf,
    inputs: AtomicU64,
    taken: AtomicU64,
    failures: AtomicU64,
}

/// What a thread does, and since when.
type Doing = Mutex<(u64, Instant)>;

impl Fuzz {
    fn new(seed: u64, write: PathBuf) -> Fuzz {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../protocol/fuzz/corpus");
        let mut targets: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
        targets.push(ADMIN_REQUEST);
        Fuzz {
            seed,
            targets,
            corpora: changes::corpora(&root),
            write,
            inputs: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        }
    }

    /// Feeds batch after batch on all cores, each decoder in its turn.
    fn go_on(&self, time: Duration) {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let begun = Instant::now();
        let next = AtomicU64::new(0);
        let doing: Vec<Doing> = (0..cores).map(|_| Mutex::new((IDLE, begun))).collect();
        std::thread::scope(|scope| {
            for doing in &doing {
                scope.spawn(|| {
                    while begun.elapsed() < time {
                        let batch = next.fetch_add(1, Ordering::Relaxed);
                        set(doing, batch);
                        self.feed(batch);
                        set(doing, IDLE);
                    }
                });
            }
            self.watch(begun, time, &doing);
        });
    }

    /// Says how far it has come; ends the program where a batch hangs or memory runs out.
    fn watch(&self, begun: Instant, time: Duration, doing: &[Doing]) {
        let mut told_at = begun;
        let busy = |doing: &Doing| get(doing).0 != IDLE;
        while begun.elapsed() < time || doing.iter().any(busy) {
            std::thread::sleep(LOOK);
            let hanging = doing.iter().map(get).find(|(batch, since)| {
                *batch != IDLE && (since.elapsed() > HANGS || resident_bytes() > MEMORY_BYTES)
            });
            if let Some((batch, since)) = hanging {
                let (seconds, bytes) = (since.elapsed().as_secs(), resident_bytes());
                say(&format!(
                    "{seconds} s in one batch, {bytes} bytes of memory"
                ));
                self.say_again(batch);
                std::process::exit(1);
            }
            if told_at.elapsed() >= PROGRESS {
                told_at = Instant::now();
                let Report {
                    inputs,
                    taken,
                    failures,
                    ..
                } = self.report();
                say(&format!(
                    "{inputs} inputs, {taken} of them taken, {failures} failures"
                ));
            }
        }
    }

    /// Feeds one batch to the decoder whose turn it is.
    fn feed(&self, batch: u64) {
        let name = self.targets[(batch % self.targets.len() as u64) as usize];
        let decode = match name {
            ADMIN_REQUEST => admin_request,
            name => targets::target(name),
        };
        let corpus = &self.corpora[name];
        let mut dice = Dice(self.seed ^ Dice(batch).roll());
        let mut taken = 0;
        for _ in 0..BATCH {
            let entry = &corpus[dice.below(corpus.len())];
            let other = &corpus[dice.below(corpus.len())];
            let input = changed(entry, other, &mut dice);
            match catch_unwind(AssertUnwindSafe(|| decode(&input))) {
                Ok(well_formed) => taken += u64::from(well_formed),
                Err(_) => self.keep(name, batch, &input),
            }
        }
        self.inputs.fetch_add(BATCH, Ordering::Relaxed);
        self.taken.fetch_add(taken, Ordering::Relaxed);
    }

    fn keep(&self, name: &str, batch: u64, input: &[u8]) {
        let number = self.failures.fetch_add(1, Ordering::Relaxed);
        if number >= KEPT {
            return;
        }
        let path = self.write.join(format!("{name}-{number}"));
        let dir = std::fs::create_dir_all(&self.write);
        match dir.and_then(|()| std::fs::write(&path, input)) {
            Ok(()) => say(&format!("{name} breaks on {}", path.display())),
            Err(error) => say(&format!("{name} breaks; {}: {error}", path.display())),
        }
        self.say_again(batch);
    }

    fn say_again(&self, batch: u64) {
        let seed = self.seed;
        say(&format!(
            "fuzz --seed {seed} --batch {batch} feeds it again"
        ));
    }

    fn report(&self) -> Report {
        Report {
            inputs: self.inputs.load(Ordering::Relaxed),
            taken: self.taken.load(Ordering::Relaxed),
            targets: self.targets.len(),
            failures: self.failures.load(Ordering::Relaxed),
            cpu_s: cpu_s(),
        }
    }
}

fn set(doing: &Doing, batch: u64) {
    *doing.lock().unwrap_or_else(PoisonError::into_inner) = (batch, Instant::now());
}

fn get(doing: &Doing) -> (u64, Instant) {
    *doing.lock().unwrap_or_else(PoisonError::into_inner)
}

fn admin_request(line: &[u8]) -> bool {
    serde_json::from_slice::<Request>(line).is_ok()
}

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}
