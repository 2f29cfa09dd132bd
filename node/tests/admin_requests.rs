//! The lines of the admin socket: what is in the fuzzer's corpus is read, and no change of it makes
//! the reader panic.

use std::path::Path;

use comity_node::api::Request;

const CHANGES: u64 = 2_000;

#[test]
fn every_line_of_the_corpus_is_read_and_no_change_of_one_breaks_the_reader() {
    let corpus =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../protocol/fuzz/corpus/admin-request");
    let mut lines = 0;
    let mut state = 7u64;
    for entry in std::fs::read_dir(corpus).expect("the corpus") {
        let line = std::fs::read(entry.expect("an entry").path()).expect("a line");
        let request = serde_json::from_slice::<Request>(&line);
        assert!(request.is_ok(), "{}", String::from_utf8_lossy(&line));
        lines += 1;
        for _ in 0..CHANGES {
            let mut changed = line.clone();
            for _ in 0..3 {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                let at = (state >> 33) as usize % changed.len();
                changed[at] = (state >> 24) as u8;
            }
            let _ = serde_json::from_slice::<Request>(&changed);
        }
    }
    assert!(lines >= 7, "{lines}");
}
