//! Scenario files: a seed and a schedule as text, one action a line, to keep and to play again.

use super::{Action, Options, Outcome, play, schedule_of};

/// A scenario as text.
pub fn write(outcome: &Outcome, schedule: &[Action]) -> String {
    let mut text = format!("# {}\n", outcome.options.line());
    if let Some(failure) = &outcome.failure {
        text += &format!(
            "# at {} ms {}: {}\n",
            failure.at_ms, failure.oracle, failure.what
        );
    }
    text += "# ms verb node a b\n";
    text += &format!("seed {}\n", outcome.options.seed);
    for action in schedule {
        text += &action.line();
        text += "\n";
    }
    text
}

/// Plays a scenario with a log; an error names the line that is none.
pub fn read_and_play(text: &str) -> Result<Outcome, String> {
    let mut seed = None;
    let mut schedule = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        match line.strip_prefix("seed ") {
            Some(number) => seed = number.trim().parse().ok(),
            None if line.trim().is_empty() => {}
            None => schedule.push(Action::parse(line).ok_or(format!("not an action: {line}"))?),
        }
    }
    let seed = seed.ok_or("it names no seed")?;
    Ok(play(&Options::draw(seed), &schedule, true))
}

/// The scenario of a seed, whole.
pub fn of_seed(seed: u64) -> String {
    let options = Options::draw(seed);
    let schedule = schedule_of(&options);
    let mut text = format!("# {}\nseed {seed}\n", options.line());
    for action in schedule {
        text += &action.line();
        text += "\n";
    }
    text
}
