//! Exit codes and failures, as people and monitoring see them.

use comity_node::api::{Fault, NodeStatus};
use comity_tests::{Outcome, Site, comity};

#[test]
fn status_tells_monitoring_how_the_node_is() {
    let mut site = Site::of(&["alpha"]);
    site["alpha"].comity(&["status"]).ok();

    // Its socket is open and nothing comes.
    site["alpha"].signal("STOP");
    let silent = site["alpha"].comity(&["status"]);
    assert_eq!(silent.code(), 3, "{}", silent.stderr);
    site["alpha"].signal("CONT");

    assert!(site["alpha"].stop().success());
    let stopped = site["alpha"].json(&["status"]);
    assert_eq!(stopped.code(), 2);
    assert_eq!(stopped.object::<NodeStatus>().mode, "offline");
}

#[test]
fn a_directory_without_a_node_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("nowhere");
    for command in [vec!["status"], vec!["read", "harbour"], vec!["serve"]] {
        let run = |options: &[&str]| {
            let mut comity = comity();
            comity
                .arg("--dir")
                .arg(&missing)
                .args(options)
                .args(&command);
            Outcome::of(comity, b"")
        };
        let words = run(&[]);
        let [what, ..] = words.failed_in_words();
        assert!(
            what.contains("nowhere") && what.ends_with("[no_node]"),
            "{what}"
        );
        assert!(words.stdout.is_empty());
        let error = run(&["--json"]).failed();
        assert_eq!(
            (error.code.as_str(), error.fault),
            ("no_node", Fault::Operator)
        );
    }
    assert!(!missing.exists(), "asking makes nothing");
}

#[test]
fn an_unknown_channel_is_refused_alike_by_a_running_and_a_stopped_node() {
    let mut site = Site::of(&["alpha"]);
    unknown_channel_is_refused(&site);
    assert!(site["alpha"].stop().success());
    unknown_channel_is_refused(&site);
}

fn unknown_channel_is_refused(site: &Site) {
    let post = ["post", "har\u{1b}bour", "Anyone?", "--user", "amal"];
    let words = site["alpha"].comity(&post);
    let [what, fault, advice] = words.failed_in_words();
    assert!(
        what.contains(r"har\u{1b}bour") && what.ends_with("[no_such_channel]"),
        "{what}"
    );
    assert!(fault.contains("operator"), "{fault}");
    assert!(advice.contains("comity channel list"), "{advice}");
    let error = site["alpha"].json(&post).failed();
    assert_eq!(
        (error.code.as_str(), error.fault),
        ("no_such_channel", Fault::Operator)
    );
    assert!(error.what.contains("har\u{1b}bour"), "exact for programs");
}

#[test]
fn a_wrong_command_line_fails() {
    let mut command = comity();
    command.args(["post", "harbour"]);
    assert_eq!(Outcome::of(command, b"").code(), 2);
}
