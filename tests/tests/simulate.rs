//! The harness itself: what is not shown has failed.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

const SWARM: &str = r#"echo '{"seeds":7,"faults":70,"byzantine_acts":3,"simulated_hours":0.26,"planted_found":0,"planted_total":0,"replay_mismatches":0,"failures":0}'"#;
const LIVES: &str = r#"echo '{"node_runs":2,"node_crashes":20,"power_cuts":12,"simulated_hours":0.1,"replay_mismatches":0,"failures":0}'"#;
const CUTS: &str = r#"echo '{"power_cuts":40,"failures":0}'"#;
const PLANTED: &str =
    r#"echo '{"planted_found":37,"planted_total":37,"replay_mismatches":0,"failures":0}'"#;
/// Finds something where it is told to lose something.
const LIVES_LOSE: &str = r#"case "$*" in *--unsynced*)
  echo '{"node_runs":2,"node_crashes":20,"power_cuts":12,"simulated_hours":0.1,"replay_mismatches":0,"failures":2}'; exit 1;; esac"#;
const CUTS_LOSE: &str = r#"case "$*" in *--unsynced*)
  echo '{"power_cuts":1,"failures":1}'; exit 1;; esac"#;

#[test]
fn figures_are_added_up_and_printed_as_one_line() {
    let parts = Parts::sound();
    let output = parts.simulate();
    assert!(output.status.success(), "{output:?}");
    let printed = String::from_utf8(output.stdout).expect("text");
    assert_eq!(printed.lines().count(), 1, "{printed}");
    let figures: Value = serde_json::from_str(&printed).expect("JSON");
    let cores = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    assert_eq!(figures["seeds"], 7);
    assert_eq!(figures["faults"], 70);
    assert_eq!(figures["byzantine_acts"], 3);
    assert_eq!(figures["node_runs"], 2 * cores);
    assert_eq!(figures["node_crashes"], 20 * cores);
    assert_eq!(figures["power_cuts"], (12 + 40) * cores);
    assert_eq!(figures["planted_found"], 37);
    assert_eq!(figures["planted_total"], 37);
    assert_eq!(figures["replay_mismatches"], 0);
    assert_eq!(figures["failures"], 0);
    let hours = figures["simulated_hours"].as_f64().expect("a number");
    assert!((hours - 0.26 - 0.1 * cores as f64).abs() < 0.1, "{hours}");
}

#[test]
fn a_part_that_finds_something_fails_the_whole_and_says_how_to_repeat_it() {
    let found = SWARM.replace("\"failures\":0", "\"failures\":3");
    let much = "for n in 1 2 3 4 5 6 7 8 9; do echo reached this; done";
    let found = format!("echo play it again with: swarm --seed 5\n{much}\n{found}\nexit 1");
    let output = Parts::sound().with("swarm", &found).simulate();
    assert_fails(&output, 3, "failures: 3; exit status: 1");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("| play it again with: swarm --seed 5"),
        "{said}"
    );
    assert!(said.contains("again: "), "{said}");
    assert!(said.contains("COMITY_SEED=11"), "{said}");
}

#[test]
fn a_part_that_prints_no_figures_has_failed() {
    let silent = Parts::sound().with("swarm", "exit 0");
    assert_fails(&silent.simulate(), 1, "it printed no figures");
    let babbling = Parts::sound().with("swarm", &format!("{SWARM}\necho done"));
    assert_fails(&babbling.simulate(), 1, "it printed no figures");
    let vague = Parts::sound().with("swarm", r#"echo '{"seeds":7}'"#);
    assert_fails(&vague.simulate(), 1, "its figures lack faults");
    let idle = Parts::sound().with("swarm", &SWARM.replace("\"seeds\":7", "\"seeds\":0"));
    assert_fails(&idle.simulate(), 1, "its figure of seeds is nothing");
}

#[test]
fn a_part_that_crashes_hangs_or_is_not_there_has_failed() {
    let crashing = Parts::sound().with("swarm", &format!("{SWARM}\nkill -SEGV $$"));
    assert_fails(&crashing.simulate(), 1, "signal: 11");
    let lying = Parts::sound().with("swarm", &format!("{SWARM}\nexit 3"));
    assert_fails(&lying.simulate(), 1, "exit status: 3");
    let hanging = Parts::sound().with("swarm", &format!("{SWARM}\nexec sleep 600"));
    assert_fails(&hanging.simulate(), 1, "killed: it had not ended");
    let talking = Parts::sound().with("swarm", "while sleep 0.1; do echo on and on; done");
    assert_fails(&talking.simulate(), 1, "killed: it had not ended");
    let missing = Parts::sound().without("planted");
    assert_fails(&missing.simulate(), 1, "does not start");
}

#[test]
fn a_second_run_that_went_otherwise_and_a_planted_bug_not_found_are_failures() {
    let otherwise = SWARM.replace("\"replay_mismatches\":0", "\"replay_mismatches\":1");
    let parted = Parts::sound().with("swarm", &otherwise);
    assert_fails(&parted.simulate(), 1, "replay_mismatches: 1");
    let overlooked = PLANTED.replace("\"planted_found\":37", "\"planted_found\":36");
    let blind = Parts::sound().with("planted", &overlooked);
    assert_fails(&blind.simulate(), 1, "36 of 37 planted bugs found");
}

#[test]
fn a_canary_that_finds_nothing_fails_the_whole() {
    let blind = Parts::sound().with("virtual-time", LIVES);
    assert_fails(&blind.simulate(), 1, "blind");
    // A crash is no finding.
    let crashing = format!("case \"$*\" in *--unsynced*) kill -SEGV $$;; esac\n{CUTS}");
    let crashed = Parts::sound().with("power-cuts", &crashing);
    assert_fails(&crashed.simulate(), 1, "canary-power-cuts");
}

#[test]
fn what_failed_is_written_down() {
    let parts = Parts::sound().with("swarm", "echo the last words\nexit 101");
    let dir = parts.0.path().join("failed");
    let output = parts.run(&["--write", &dir.display().to_string()]);
    assert!(!output.status.success());
    let kept = std::fs::read_to_string(dir.join("swarm-0.log")).expect("a log");
    assert!(kept.contains("the last words"), "{kept}");
}

/// Programs that stand for the real ones.
struct Parts(TempDir);

impl Parts {
    fn sound() -> Parts {
        let parts = Parts(tempfile::tempdir().expect("a directory"));
        parts
            .with("swarm", SWARM)
            .with("virtual-time", &format!("{LIVES_LOSE}\n{LIVES}"))
            .with("power-cuts", &format!("{CUTS_LOSE}\n{CUTS}"))
            .with("planted", PLANTED)
    }

    fn with(self, name: &str, script: &str) -> Parts {
        let path = self.path(name);
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("a script");
        let all = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&path, all).expect("a script that runs");
        self
    }

    fn without(self, name: &str) -> Parts {
        std::fs::remove_file(self.path(name)).expect("a script");
        self
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn simulate(&self) -> Output {
        self.run(&[])
    }

    fn run(&self, more: &[&str]) -> Output {
        let dir: &Path = self.0.path();
        let mut command = Command::new(env!("CARGO_BIN_EXE_simulate"));
        command.arg("--programs").arg(dir);
        command.arg("--swarm").arg(self.path("swarm"));
        command.arg("--planted").arg(self.path("planted"));
        command.args(["--minutes", "0.001", "--seed", "11", "--grace", "10"]);
        command.args(more).output().expect("the harness")
    }
}

fn assert_fails(output: &Output, failures: u64, why: &str) {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let printed = String::from_utf8_lossy(&output.stdout);
    let figures: Value = serde_json::from_str(&printed).expect("one line of JSON");
    assert_eq!(figures["failures"], failures, "{printed}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(why), "{why}: {said}");
}
