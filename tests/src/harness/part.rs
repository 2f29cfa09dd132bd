//! One run of one program, followed to its end.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::figures::Figures;

/// What a part has said last is kept, to be written down if it fails.
const KEPT_LINES: usize = 10_000;
/// Between two looks at a program that has closed its pipes and not ended.
const PAUSE: Duration = Duration::from_millis(20);
/// The exit status of a program that found something, in all of them.
const FOUND: i32 = 1;

/// What a part shows, and so which figures it must print.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Replicas with one deliberate fault each, all of which must be found.
    Planted,
    /// Replicas under all faults.
    Swarm,
    /// Whole nodes in virtual time.
    Lives,
    /// Single nodes whose power goes.
    PowerCuts,
}

impl Kind {
    /// Figures that must be there and above zero.
    fn counted(self) -> &'static [&'static str] {
        match self {
            Kind::Planted => &["planted_found", "planted_total"],
            Kind::Swarm => &["seeds", "faults", "simulated_hours"],
            Kind::Lives => &["node_runs", "node_crashes", "power_cuts", "simulated_hours"],
            Kind::PowerCuts => &["power_cuts"],
        }
    }

    /// Figures that must be there and zero.
    fn faults_found(self) -> &'static [&'static str] {
        match self {
            Kind::PowerCuts => &["failures"],
            _ => &["failures", "replay_mismatches"],
        }
    }
}

/// A program to run, and what is asked of it.
#[derive(Debug)]
pub struct Part {
    /// As it is called in what is printed.
    pub name: String,
    pub kind: Kind,
    pub program: PathBuf,
    pub arguments: Vec<String>,
    /// When it is killed, counted from its start.
    pub deadline: Duration,
    /// It has been given a fault that it must find: if it passes, it is blind.
    pub is_canary: bool,
}

/// How a part ended.
#[derive(Debug)]
pub struct Ended {
    /// What it printed last, where that was figures.
    pub figures: Option<Figures>,
    /// What it said, or the end of it.
    pub lines: VecDeque<String>,
    /// What speaks against it.
    pub verdict: Result<(), String>,
}

/// Where a line of a program came from.
enum Said {
    Output(String),
    Error(String),
}

impl Part {
    /// The command that repeats it.
    pub fn command(&self) -> String {
        format!("{} {}", self.program.display(), self.arguments.join(" "))
    }

    /// Runs it to its end or its deadline; what it says is printed on standard error.
    pub fn run(&self) -> Ended {
        let mut lines = VecDeque::new();
        let (figures, verdict) = match self.follow(&mut lines) {
            Ok((status, last)) => {
                let figures = last.and_then(|line| serde_json::from_str(&line).ok());
                let verdict = self.judge(status, figures.as_ref());
                (figures, verdict)
            }
            Err(why) => (None, Err(why)),
        };
        Ended {
            figures,
            lines,
            verdict,
        }
    }

    /// The exit status and the last line of output.
    fn follow(&self, lines: &mut VecDeque<String>) -> Result<(ExitStatus, Option<String>), String> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let unusable = |error| format!("{} does not start: {error}", self.program.display());
        let mut child = command.spawn().map_err(unusable)?;
        let until = Instant::now() + self.deadline;
        let last = self.hear(&listen(&mut child), until, lines);
        let status = await_end(&mut child, until);
        match (last, status) {
            (Some(last), Some(status)) => Ok((status, last)),
            _ => {
                let minutes = self.deadline.as_secs_f64() / 60.0;
                Err(format!(
                    "killed: it had not ended after {minutes:.1} minutes"
                ))
            }
        }
    }

    /// Prints and keeps what it says until both its pipes are closed; the last line of its output.
    /// None where that is not so in time.
    fn hear(
        &self,
        said: &Receiver<Said>,
        until: Instant,
        lines: &mut VecDeque<String>,
    ) -> Option<Option<String>> {
        let mut last = None;
        loop {
            let left = until.checked_duration_since(Instant::now())?;
            let line = match said.recv_timeout(left) {
                Ok(Said::Output(line)) => {
                    last = Some(line.clone());
                    line
                }
                Ok(Said::Error(line)) => line,
                Err(RecvTimeoutError::Disconnected) => return Some(last),
                Err(RecvTimeoutError::Timeout) => return None,
            };
            eprintln!("{}: {line}", self.name);
            lines.push_back(line);
            if lines.len() > KEPT_LINES {
                lines.pop_front();
            }
        }
    }

    /// What speaks against a run that has ended.
    fn judge(&self, status: ExitStatus, figures: Option<&Figures>) -> Result<(), String> {
        let figures = figures.ok_or(format!("it printed no figures; {status}"))?;
        let figure = |name: &&str| {
            let value = figures.get(*name).and_then(Value::as_f64);
            value.ok_or(format!("its figures lack {name}; {status}"))
        };
        for name in self.kind.counted() {
            if figure(name)? <= 0.0 {
                return Err(format!("its figure of {name} is nothing; {status}"));
            }
        }
        let mut found = Vec::new();
        for name in self.kind.faults_found() {
            let count = figure(name)?;
            if count > 0.0 {
                found.push(format!("{name}: {count}"));
            }
        }
        if self.kind == Kind::Planted {
            let (hits, all) = (figure(&"planted_found")?, figure(&"planted_total")?);
            if hits < all {
                found.push(format!("{hits} of {all} planted bugs found"));
            }
        }
        match (self.is_canary, found.is_empty(), status.success()) {
            (false, true, true) => Ok(()),
            // The status of a crash is no finding.
            (true, false, false) if status.code() == Some(FOUND) => Ok(()),
            (true, ..) => Err(format!(
                "blind: it did not find what it had to find; {status}"
            )),
            (false, true, false) => Err(format!("it found nothing and failed; {status}")),
            (false, false, _) => Err(format!("{}; {status}", found.join(", "))),
        }
    }
}

/// Reads both pipes, in threads that end with them.
fn listen(child: &mut Child) -> Receiver<Said> {
    let (sender, said) = channel();
    if let Some(output) = child.stdout.take() {
        read(output, sender.clone(), Said::Output);
    }
    if let Some(error) = child.stderr.take() {
        read(error, sender, Said::Error);
    }
    said
}

fn read(pipe: impl Read + Send + 'static, sender: Sender<Said>, said: fn(String) -> Said) {
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).split(b'\n') {
            let Ok(line) = line else { return };
            let line = String::from_utf8_lossy(&line).into_owned();
            // Nobody listens any more to what was killed.
            if sender.send(said(line)).is_err() {
                return;
            }
        }
    });
}

/// Waits for the end of a program, and makes one where it is late.
fn await_end(child: &mut Child, until: Instant) -> Option<ExitStatus> {
    while Instant::now() < until {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        std::thread::sleep(PAUSE);
    }
    // It may have ended in the meantime.
    let _ = child.kill();
    let _ = child.wait();
    None
}
