//! The program under test.

use std::path::{Path, PathBuf};
use std::process::Command;

use comity_node::storage_key::CREDENTIALS_VARIABLE;

/// Names another program to test than the one that was built beside the tests.
const OVERRIDE: &str = "COMITY_BINARY";

/// A command of the program under test.
pub fn comity() -> Command {
    let mut command = Command::new(path());
    // What the tester's shell says about a node is not about these.
    for variable in ["COMITY_DIR", "COMITY_LOG", CREDENTIALS_VARIABLE] {
        command.env_remove(variable);
    }
    command
}

fn path() -> PathBuf {
    if let Some(path) = std::env::var_os(OVERRIDE) {
        return path.into();
    }
    let own = std::env::current_exe().expect("a test knows its own path");
    own.ancestors()
        .skip(1)
        .take(2)
        .map(|dir| dir.join("comity"))
        .find(|path| is_file(path))
        .unwrap_or_else(|| {
            panic!(
                "there is no program to test near {}: run `cargo build --release` first",
                own.display()
            )
        })
}

fn is_file(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.is_file())
}
