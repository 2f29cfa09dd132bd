//! What is final on real nodes, and what waits for a partner that is silent.

use std::time::{Duration, Instant};

use comity_tests::{PATIENCE, Site, eventually, say};

const ALL: [&str; 3] = ["alpha", "bravo", "charlie"];

#[test]
fn a_post_is_final_once_all_have_said_so_and_waits_for_whoever_is_silent() {
    let mut site = Site::sharing("harbour", &ALL);
    site.await_members("harbour", &ALL);
    let post = site["alpha"].post("harbour", "amal", "All are here.").id;
    let took = is_final(&site, &ALL, &post);
    say(&format!("final at all three after {} ms", took.as_millis()));

    site["charlie"].kill();
    let post = site["alpha"].post("harbour", "amal", "Charlie is away.").id;
    eventually("alpha and bravo wait for charlie", PATIENCE, || {
        let waiting = ["alpha", "bravo"].iter().all(|at| {
            let shown = site[*at].show("harbour");
            let mut lanes = shown.lanes.iter();
            lanes.any(|lane| {
                lane.form == "open" && lane.not_final > 0 && lane.waits_for == ["charlie"]
            })
        });
        waiting.then_some(())
    });
    let shown = site["alpha"].comity(&["channel", "show", "harbour"]).ok();
    let shown = String::from_utf8_lossy(&shown.stdout);
    assert!(shown.contains("WAITS FOR"), "{shown}");
    assert!(!site["alpha"].find("harbour", &post).unwrap().is_final);
    let read = site["alpha"].comity(&["read", "harbour"]).ok();
    let read = String::from_utf8_lossy(&read.stdout);
    assert!(read.contains("not final yet"), "{read}");

    site["charlie"].start();
    let took = is_final(&site, &ALL, &post);
    say(&format!(
        "final {} ms after the silent one was started again",
        took.as_millis()
    ));
    site.converge(&ALL);
}

fn is_final(site: &Site, partners: &[&str], post: &str) -> Duration {
    let begun = Instant::now();
    eventually("the post is final everywhere", PATIENCE, || {
        let is_final = |at: &&str| {
            site[*at]
                .find("harbour", post)
                .is_some_and(|it| it.is_final)
        };
        partners.iter().all(is_final).then_some(())
    });
    begun.elapsed()
}
