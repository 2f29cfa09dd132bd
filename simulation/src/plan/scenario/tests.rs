//! What a scenario may say, and what a person is told who says something else.

use std::path::Path;

use super::*;
use crate::plan::links::Capacity;

const SMALL: &str = "duration = \"1m\"\npartners = [\"alpha\", \"bravo\"]\n";
const POSTS: &str = "[[traffic]]\nposts_per_minute = 6\nbytes = 91\n";

fn parse(text: &str) -> Result<Scenario, Refusal> {
    Scenario::parse("test.toml", text, Path::new(""))
}

#[test]
fn a_scenario_overrides_its_profile_field_by_field() {
    let text = "profile = \"geo-satcom\"\nduration = \"5m\"\n[link]\nrate = \"64 kbit/s\"\n";
    let scenario = parse(text).unwrap();
    assert_eq!(scenario.duration_ms, 300_000);
    assert_eq!(scenario.partners.len(), 3);
    let link = &scenario.links[&(0, 2)];
    assert_eq!(link.shape.forth.capacity, Capacity::Rate(64_000));
    assert_eq!(link.shape.forth.latency_us, 300_000);
    assert_eq!(link.shape.forth.loss_ppm, 5_000);
    // The outage of one link is still there; it lies beyond the end.
    assert_eq!(scenario.links[&(0, 1)].shape.forth.latency_us, 300_000);
}

#[test]
fn a_link_has_two_directions_and_the_order_of_its_ends_matters() {
    let text = format!(
        "{SMALL}{POSTS}[[links]]\nbetween = [\"bravo\", \"alpha\"]\nrate = \"1 Mbit/s\"\n\
         rate_back = \"64 kbit/s\"\n"
    );
    let shape = &parse(&text).unwrap().links[&(0, 1)].shape;
    assert_eq!(shape.back.capacity, Capacity::Rate(1_000_000));
    assert_eq!(shape.forth.capacity, Capacity::Rate(64_000));
}

#[test]
fn outages_repeat_and_merge() {
    let text = format!(
        "{SMALL}settle = \"0s\"\n{POSTS}[link]\ndown = [{{ at = \"10s\", for = \"5s\", every = \"20s\" }}, \
         {{ at = \"12s\", for = \"10s\" }}]\n"
    );
    let down = &parse(&text).unwrap().links[&(0, 1)].down;
    assert_eq!(
        down,
        &[(10_000, 22_000), (30_000, 35_000), (50_000, 55_000)]
    );
}

#[test]
fn a_trace_is_read_from_beside_the_scenario() {
    let dir = std::env::temp_dir().join(format!("comity-plan-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("cell.trace"), "5\n10\n").unwrap();
    let file = dir.join("plan.toml");
    let text = |trace: &str| format!("{SMALL}{POSTS}[link]\ntrace = \"{trace}\"\n");
    std::fs::write(&file, text("cell.trace")).unwrap();
    let scenario = Scenario::load(file.to_str().unwrap());
    std::fs::write(&file, text("none.trace")).unwrap();
    let missing = Scenario::load(file.to_str().unwrap());
    std::fs::remove_dir_all(&dir).unwrap();
    let shape = &scenario.unwrap().links[&(0, 1)].shape;
    assert!(
        matches!(&shape.forth.capacity, Capacity::Trace(trace) if trace.mean_bits() == 2_400_000)
    );
    assert!(missing.unwrap_err().0.contains("none.trace"));
}

#[test]
fn a_refusal_names_the_line_the_field_and_what_is_allowed() {
    let event = |text: &str| format!("{SMALL}{POSTS}[[events]]\n{text}");
    let link = |text: &str| format!("{SMALL}{POSTS}[link]\n{text}");
    let traffic = |text: &str| format!("{SMALL}[[traffic]]\n{text}");
    let cases = [
        ("profile = \"moon\"\n".into(), "line 1", "geo-satcom"),
        (format!("{SMALL}speed = 3\n{POSTS}"), "line 3", "expected one of"),
        (link("latency = \"5 parsec\"\n"), "line 7", "us, ms, s, m, h or d"),
        (link("latency = \"11m\"\n"), "line 6", "latency: 10m at most"),
        (link("rate = \"9600\"\n"), "line 7", "kbit/s"),
        (link("loss_percent = 60\n"), "line 6", "from 0 to 50"),
        (link("loss_percent = -1\n"), "line 7", "zero or more"),
        (link("hold = \"5s\"\n"), "line 6", "turnaround"),
        (link("between = [\"alpha\", \"bravo\"]\n"), "line 6", "[[links]]"),
        (traffic("posts_per_minute = 1\n"), "line 3", "sizes = "),
        (traffic("posts_per_minute = 1\nbytes = 0\n"), "line 3", "1 to 32768"),
        (traffic("posts_per_minute = 1e6\nbytes = 9\n"), "line 1", "50000 at most"),
        (
            traffic("posts_per_minute = 1\nbytes = 9\nfrom = [\"zulu\"]\n"),
            "line 3",
            "no partner `zulu`; there are alpha, bravo",
        ),
        (
            traffic("posts_per_minute = 1\nbytes = 9\nprecedence = \"urgent\"\n"),
            "line 6",
            "immediate",
        ),
        (event("at = \"1s\"\nwhat = \"sink\"\n"), "line 8", "partition"),
        (event("at = \"1s\"\nwhat = \"leave\"\n"), "line 6", "events.partner"),
        (event("at = \"9h\"\nwhat = \"leave\"\npartner = \"bravo\"\n"), "line 6", "end of the run"),
        (event("at = \"1s\"\nwhat = \"partition\"\nfor = \"1s\"\n"), "line 6", "events.groups"),
        (
            event("at = \"1s\"\nwhat = \"remove\"\npartner = \"alpha\"\n"),
            "line 6",
            "owns the channel",
        ),
        (
            event("at = \"1s\"\nwhat = \"leave\"\npartner = \"bravo\"\nfor = \"1s\"\n"),
            "line 6",
            "means nothing",
        ),
        (format!("duration = \"8d\"\npartners = [\"a\", \"b\"]\n{POSTS}"), "line 1", "7d at most"),
        (format!("duration = \"1m\"\npartners = [\"a\"]\n{POSTS}"), "line 2", "from 2 to 16"),
        (format!("duration = \"1m\"\npartners = [\"A\", \"b\"]\n{POSTS}"), "line 2", "short name"),
        (SMALL.into(), "line 1", "nobody posts"),
        (POSTS.into(), "line 1", "partners"),
        ("profile = \"wan\"\npartners = [\"a\", \"b\"]\n[[events]]\nat = \"1s\"\nwhat = \"silent\"\npartner = \"delta\"\n".into(), "line 3", "delta"),
    ];
    for (text, line, what) in cases {
        let refusal = parse(&text).expect_err(&text).0;
        assert!(refusal.starts_with("test.toml, "), "{refusal}");
        assert!(
            refusal.contains(&format!("{line},")),
            "{refusal} should name {line}\n{text}"
        );
        assert!(refusal.contains(what), "{refusal} should say {what}");
        assert_eq!(refusal.lines().count(), 1, "{refusal}");
    }
}

#[test]
fn neither_a_file_nor_a_profile_is_told_what_there_is() {
    assert!(Scenario::load("moon").unwrap_err().0.contains("hf-9600"));
    assert!(Scenario::load("no/such.toml").is_err());
}
