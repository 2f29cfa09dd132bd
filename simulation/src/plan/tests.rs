//! Scenarios from end to end.

use std::path::Path;

use super::*;

fn run(scenario: &Scenario) -> Report {
    simulate(scenario, 1, 1, &mut |_, _| {})
}

#[test]
fn every_profile_runs_and_delivers_everything() {
    for profile in PROFILES {
        let begun = std::time::Instant::now();
        let scenario = Scenario::load(profile.name).expect("a profile is a scenario");
        assert_eq!(scenario.name, profile.name);
        let report = run(&scenario);
        println!(
            "{} {:?} {:?} {:?} missing {} in {:?}",
            profile.name,
            report.delay,
            report.bytes_per_useful_byte,
            report.healed.first(),
            report.missing,
            begun.elapsed()
        );
        println!("{:#?}", report.notes);
        assert!(
            report.posts > 50,
            "{}: {} posts",
            profile.name,
            report.posts
        );
        assert_eq!(report.missing, 0, "{}", profile.name);
        assert_eq!(report.accusations, 0, "{}", profile.name);
    }
}
