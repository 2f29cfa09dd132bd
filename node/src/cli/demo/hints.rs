//! What to try while the nodes of a demonstration run.

use std::path::Path;

use super::super::escape::escape;
use super::fleet::Fleet;

/// Commands to copy into another terminal.
pub fn text(fleet: &Fleet, room: &str, user: &str) -> String {
    let (Some(first), Some(last)) = (fleet.members.first(), fleet.members.last()) else {
        return String::new();
    };
    let comity = program();
    let (here, there) = (shell(&path(&first.dir)), shell(&path(&last.dir)));
    let (room, user) = (shell(room), shell(user));
    let post = |text: &str| format!("{comity} post {room} '{text}' --user {user} --dir {here}");
    let read = format!("{comity} read {room} --limit 5 --dir {there}");
    let process = last.process_id().map(|id| id.to_string());
    let steps = [
        (format!("post at {}", first.name), post("Hello, all.")),
        (format!("read it at {}", last.name), read.clone()),
        (
            "see the links".into(),
            format!("{comity} peer list --dir {here}"),
        ),
        (
            format!("kill {}", last.name),
            format!("kill -9 {}", process.unwrap_or_default()),
        ),
        ("post meanwhile".into(), post("Are you there?")),
        (format!("start {}", last.name), restart(&last.dir)),
        ("it has caught up".into(), read),
        (
            "take all of it".into(),
            format!("{comity} export --dir {there} > all.jsonl"),
        ),
    ];
    let lines = steps.map(|(what, command)| format!("  {what:<18} {command}"));
    format!(
        "The nodes run until Ctrl-C. In another terminal:\n{}",
        lines.join("\n")
    )
}

/// How to start a node that has ended.
pub fn restart(dir: &Path) -> String {
    format!("{} serve --dir {}", program(), shell(&path(dir)))
}

/// This program as it was called.
fn program() -> String {
    let name = std::env::args().next().unwrap_or_else(|| "comity".into());
    shell(&escape(&name))
}

fn path(path: &Path) -> String {
    escape(&path.to_string_lossy()).into_owned()
}

/// Quotes a word for a shell where it needs that.
fn shell(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.into(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_a_shell_needs_it() {
        assert_eq!(shell("/tmp/demo-1/alpha"), "/tmp/demo-1/alpha");
        assert_eq!(shell("a b"), "'a b'");
        assert_eq!(shell("it's"), r"'it'\''s'");
        assert_eq!(shell(""), "''");
    }
}
