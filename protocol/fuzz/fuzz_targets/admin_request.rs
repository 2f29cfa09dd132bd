//! A line of the admin socket. The node's crate would bring its store along; what reads the line is
//! this one file of it.

#![no_main]

#[allow(dead_code)]
#[path = "../../../node/src/api.rs"]
mod api;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = serde_json::from_slice::<api::Request>(data);
});
