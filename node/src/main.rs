//! The `comity` binary: see [`comity_node::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    comity_node::cli::run()
}
