//! The parts of so many minutes, and what they come to.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::figures::Total;
use super::part::{Ended, Kind, Part};
use crate::{Dice, say};

/// Shares of the time of a round. What is left is the swarm's, which finds most for its cost.
///
/// Whole nodes: some 1.05 lives a second of a processor; 300 lives with 3,000 crashes take 290 of the
/// 1,440 that two cores have in twelve minutes.
const LIVES_SHARE: f64 = 0.27;
/// Power cuts of single nodes; docs/simulation.md has the rate.
const POWER_CUTS_SHARE: f64 = 0.12;
/// The least that is left to the swarm, if the planted bugs took long.
const SWARM_SHARE_MIN: f64 = 0.2;
/// A longer campaign is made of rounds, so that it may be broken off at any time.
const ROUND: Duration = Duration::from_secs(30 * 60);
/// Looking for planted bugs is as much work as it is. It must not take longer than this.
const PLANTED_MAX: Duration = Duration::from_secs(10 * 60);
/// Canaries end within seconds.
const CANARIES_MAX: Duration = Duration::from_secs(3 * 60);
/// What a part may take over its time: the run that it is in, and making a failure small.
const GRACE: Duration = Duration::from_secs(3 * 60);
/// Runs in which a canary must have found something.
const CANARY_LIVES: u64 = 10;
const CANARY_STORES: u64 = 5;
/// How much of what a failed part said is printed once more at the end: its last lines, and before
/// them those with a word that stands wherever a part says how to repeat a failure.
const LAST_LINES: usize = 5;
const REPEATS_MAX: usize = 20;
const AGAIN: &str = "again";

/// Where the programs are.
#[derive(Debug, Clone)]
pub struct Programs {
    /// The directory of `virtual-time` and `power-cuts`.
    pub dir: PathBuf,
    pub swarm: PathBuf,
    /// The swarm that was built with deliberate faults.
    pub planted: PathBuf,
}

/// What is to be done.
#[derive(Debug)]
pub struct Campaign {
    pub programs: Programs,
    pub time: Duration,
    /// Where all the parts' seeds come from.
    pub seed: u64,
    /// Programs, or threads of a program, that run at once.
    pub cores: usize,
    /// What failed is written there.
    pub write: Option<PathBuf>,
    /// What a part may take over its time, if another than usual.
    pub grace: Option<Duration>,
}

impl Campaign {
    /// Runs everything. Nothing has failed if the total has no failures.
    pub fn run(&self) -> Total {
        let mut running = Running {
            campaign: self,
            begun: Instant::now(),
            dice: Dice::seeded(self.seed),
            total: Total::default(),
            failed: Vec::new(),
        };
        running.phase(&[self.planted()]);
        let canaries = running.canaries();
        running.phase(&canaries);
        let mut end = Duration::ZERO;
        while end < self.time {
            let begin = end;
            end = (begin + ROUND).min(self.time);
            running.round(end - begin, end);
        }
        running.say_what_failed();
        running.total
    }

    fn planted(&self) -> Part {
        let jobs = self.cores.to_string();
        Part {
            name: "planted".into(),
            kind: Kind::Planted,
            program: self.programs.planted.clone(),
            arguments: vec!["--planted".into(), "--jobs".into(), jobs],
            deadline: self.grace.unwrap_or(PLANTED_MAX),
            is_canary: false,
        }
    }

    /// One that goes on for so long.
    fn part(&self, name: &str, kind: Kind, program: &Path, time: Duration) -> Part {
        let minutes = format!("{:.3}", time.as_secs_f64() / 60.0);
        Part {
            name: name.into(),
            kind,
            program: program.into(),
            arguments: vec!["--minutes".into(), minutes],
            deadline: time + self.grace.unwrap_or(GRACE),
            is_canary: false,
        }
    }
}

/// A campaign under way.
struct Running<'a> {
    campaign: &'a Campaign,
    begun: Instant,
    dice: Dice,
    total: Total,
    /// A part that failed, and why, with the command that repeats it.
    failed: Vec<String>,
}

impl Running<'_> {
    /// A seed that can be typed.
    fn seed(&mut self) -> String {
        (self.dice.roll() >> 32).to_string()
    }

    /// Stores that do not sync, which must lose something that is noticed. (For the swarm the
    /// planted bugs are that.)
    fn canaries(&mut self) -> Vec<Part> {
        let lives = (
            "canary-lives",
            Kind::Lives,
            "virtual-time",
            "--runs",
            CANARY_LIVES,
        );
        let cuts = (
            "canary-power-cuts",
            Kind::PowerCuts,
            "power-cuts",
            "--stores",
            CANARY_STORES,
        );
        let canary = |(name, kind, program, option, runs): (&str, _, &str, &str, u64)| {
            let program = &self.campaign.programs.dir.join(program);
            let mut part = self.campaign.part(name, kind, program, CANARIES_MAX);
            let arguments = [
                "--unsynced",
                option,
                &runs.to_string(),
                "--seed",
                &self.seed(),
            ];
            part.arguments = arguments.map(String::from).to_vec();
            part.is_canary = true;
            part
        };
        [lives, cuts].map(canary).into()
    }

    /// Lives, power cuts, and for what is left of the time the swarm.
    fn round(&mut self, time: Duration, end: Duration) {
        let cores = self.campaign.cores;
        for (kind, name, program, share) in [
            (Kind::Lives, "lives", "virtual-time", LIVES_SHARE),
            (
                Kind::PowerCuts,
                "power-cuts",
                "power-cuts",
                POWER_CUTS_SHARE,
            ),
        ] {
            let program = &self.campaign.programs.dir.join(program);
            let one = |number: usize| {
                let name = format!("{name}-{number}");
                let mut part = self
                    .campaign
                    .part(&name, kind, program, time.mul_f64(share));
                part.arguments.extend(["--seed".into(), self.seed()]);
                part
            };
            let each_core: Vec<Part> = (1..=cores).map(one).collect();
            self.phase(&each_core);
        }
        let left = end.saturating_sub(self.begun.elapsed());
        let left = left.max(time.mul_f64(SWARM_SHARE_MIN));
        let program = &self.campaign.programs.swarm;
        let mut swarm = self.campaign.part("swarm", Kind::Swarm, program, left);
        let jobs = cores.to_string();
        let arguments = ["--first".into(), self.seed(), "--jobs".into(), jobs];
        swarm.arguments.extend(arguments);
        if let Some(dir) = &self.campaign.write {
            let dir = dir.display().to_string();
            swarm.arguments.extend(["--write".into(), dir]);
        }
        self.phase(&[swarm]);
    }

    /// Runs parts at once and takes what they came to.
    fn phase(&mut self, parts: &[Part]) {
        for part in parts {
            say(&format!("{}: {}", part.name, part.command()));
        }
        let ended: Vec<Ended> = std::thread::scope(|scope| {
            let threads = parts.iter().map(|part| scope.spawn(|| part.run()));
            let threads: Vec<_> = threads.collect();
            let joined = threads.into_iter().map(|thread| thread.join());
            joined
                .map(|ended| ended.expect("it does not panic"))
                .collect()
        });
        for (part, ended) in parts.iter().zip(ended) {
            self.take(part, &ended);
        }
        say(&format!("so far {}", self.total.line()));
    }

    fn take(&mut self, part: &Part, ended: &Ended) {
        let failures = self.total.failures;
        if let Some(figures) = &ended.figures
            && !part.is_canary
        {
            self.total.add(figures);
        }
        let Err(why) = &ended.verdict else { return };
        if self.total.failures == failures {
            self.total.failures += 1;
        }
        let mut failed = format!("FAILED {}: {why}\n  again: {}", part.name, part.command());
        if let Some(dir) = &self.campaign.write {
            match keep(dir, part, self.failed.len(), &ended.lines) {
                Ok(path) => failed += &format!("\n  all that it said: {}", path.display()),
                Err(error) => failed += &format!("\n  {}: {error}", dir.display()),
            }
        }
        let from = ended.lines.len().saturating_sub(LAST_LINES);
        let (before, last) = (ended.lines.range(..from), ended.lines.range(from..));
        let repeats = before.filter(|line| line.contains(AGAIN)).take(REPEATS_MAX);
        for line in repeats.chain(last) {
            failed += &format!("\n  | {line}");
        }
        self.failed.push(failed);
    }

    fn say_what_failed(&self) {
        for failed in &self.failed {
            eprintln!("{failed}");
        }
        if !self.failed.is_empty() {
            let minutes = self.campaign.time.as_secs_f64() / 60.0;
            let seed = self.campaign.seed;
            eprintln!("all of it again: COMITY_SEED={seed} make simulate MINUTES={minutes}");
        }
    }
}

fn keep(
    dir: &Path,
    part: &Part,
    number: usize,
    lines: &VecDeque<String>,
) -> std::io::Result<PathBuf> {
    std::fs::create_dir_all(dir)?;
    let path = dir.join(format!("{}-{number}.log", part.name));
    let mut text = part.command();
    for line in lines {
        text += "\n";
        text += line;
    }
    std::fs::write(&path, text + "\n")?;
    Ok(path)
}
