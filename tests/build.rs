//! Compiles the file system that can lose power, against the headers of the RocksDB that is linked.

use std::path::PathBuf;

const SOURCE: &str = "src/power/supply.cc";

/// What RocksDB was compiled with, as far as its headers ask: both sides must see the same classes.
const DEFINES: [&str; 7] = [
    "NDEBUG",
    "HAVE_ALIGNED_NEW",
    "HAVE_UINT128_EXTENSION",
    "OS_LINUX",
    "ROCKSDB_PLATFORM_POSIX",
    "ROCKSDB_LIB_IO_POSIX",
    "ROCKSDB_FALLOCATE_PRESENT",
];

fn main() {
    println!("cargo::rerun-if-changed={SOURCE}");
    let sources = std::env::var_os("DEP_ROCKSDB_CARGO_MANIFEST_DIR")
        .expect("librocksdb-sys tells where its sources are");
    let sources = PathBuf::from(sources).join("rocksdb");
    let mut build = cc::Build::new();
    build.cpp(true).std("c++20").file(SOURCE);
    // The headers of others: what they warn of is not ours to mend.
    for headers in [&sources, &sources.join("include")] {
        build.flag("-isystem").flag(headers);
    }
    build.flag("-include").flag("cstdint");
    for define in DEFINES {
        build.define(define, None);
    }
    build.compile("comity_power");
}
