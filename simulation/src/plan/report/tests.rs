//! The page is whole, and needs nothing from elsewhere.

use super::super::{Scenario, simulate};
use super::*;

fn page() -> String {
    let text = "name = \"<b>\\\"&'\"\nprofile = \"lan\"\nduration = \"1m\"\nsettle = \"10s\"\n";
    let scenario = Scenario::parse("test", text, Path::new("")).unwrap();
    simulate(&scenario, 1, 1, &mut |_, _| {}).html()
}

#[test]
fn every_element_is_closed_where_it_should_be() {
    const EMPTY: [&str; 2] = ["meta", "!DOCTYPE"];
    let page = page();
    let mut open: Vec<String> = Vec::new();
    let mut rest = page.as_str();
    while let Some(at) = rest.find('<') {
        let end = at + rest[at..].find('>').expect("a tag ends");
        let tag = &rest[at + 1..end];
        rest = &rest[end + 1..];
        assert!(!tag.contains('<'), "{tag}");
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        let name: String = tag.chars().take_while(|c| !c.is_whitespace()).collect();
        match name.strip_prefix('/') {
            Some(closed) => assert_eq!(open.pop().as_deref(), Some(closed)),
            None if tag.ends_with('/') || EMPTY.contains(&name.as_str()) => {}
            None => open.push(name),
        }
    }
    assert_eq!(open, [] as [String; 0]);
}

#[test]
fn nothing_comes_from_elsewhere_and_nothing_runs() {
    let page = page();
    for foreign in [
        "://", "src=", "href=", "<script", "<link", "<img", "@import", "url(", "onload",
    ] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    assert!(page.contains("default-src 'none'"));
}

#[test]
fn names_are_shown_as_they_are_and_plots_have_words() {
    let page = page();
    assert!(
        page.contains("<h1>&lt;b&gt;&quot;&amp;&#39;</h1>"),
        "{page}"
    );
    let plots = page.matches("role=\"img\"").count();
    assert!(plots >= 2);
    assert_eq!(page.matches("<desc id=").count(), plots);
    for (at, _) in page.match_indices("aria-labelledby=\"") {
        let ids = page[at + 17..].split('"').next().unwrap();
        for id in ids.split(' ') {
            assert_eq!(page.matches(&format!(" id=\"{id}\"")).count(), 1, "{id}");
        }
    }
}

#[test]
fn times_and_sizes_are_short() {
    let times = [5, 1_230, 12_345, 90_000, 3_600_000, 5_400_000, 90_000_000].map(time);
    let shown = [
        "5 ms",
        "1.23 s",
        "12.3 s",
        "1 min 30 s",
        "1 h",
        "1 h 30 min",
        "1 d 1 h",
    ];
    assert_eq!(times, shown);
    assert_eq!(
        [999, 1_500, 2_000_000].map(bytes),
        ["999 B", "1.5 kB", "2.0 MB"]
    );
    assert_eq!(
        [9_600, 512_000, 1_000_000_000].map(rate),
        ["9600 bit/s", "512 kbit/s", "1 Gbit/s"]
    );
}
