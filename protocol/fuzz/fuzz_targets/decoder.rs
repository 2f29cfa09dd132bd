//! The target that the binary is named for.

#![no_main]

#[path = "../targets.rs"]
mod targets;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    targets::target(env!("CARGO_BIN_NAME"))(data);
});
