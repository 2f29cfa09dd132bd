//! Simulates a scenario or profile, as `comity simulate` does: SCENARIO [DIR [RUNS [SEED]]].

use std::path::Path;

use comity_simulation::plan::{Scenario, simulate};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| {
        arguments
            .get(at)
            .map_or(1, |it| it.parse().expect("a number"))
    };
    let name = arguments.first().map_or("geo-satcom", String::as_str);
    let scenario = match Scenario::load(name) {
        Ok(scenario) => scenario,
        Err(refusal) => return eprintln!("error: {refusal}"),
    };
    let report = simulate(&scenario, number(3), number(2), &mut |_, _| {});
    println!("{}", report.text());
    if let Some(dir) = arguments.get(1) {
        let [page, figures] = report
            .write(Path::new(dir))
            .expect("a directory to write to");
        println!("{}\n{}", page.display(), figures.display());
    }
}
