//! What is logged, and how: structured records on standard error.

use tracing_subscriber::EnvFilter;

use crate::config::{LogConfig, LogFormat};

/// The environment variable whose filter overrides the configured level.
const OVERRIDE: &str = "COMITY_LOG";

/// Logs as the node's configuration says.
pub fn configured(config: &LogConfig) {
    let logger = tracing_subscriber::fmt()
        .with_env_filter(filter(config.level.as_str()))
        .with_writer(std::io::stderr);
    // It fails only if a logger is installed already; then that one serves.
    let _ = match config.format {
        LogFormat::Text => logger.with_ansi(is_terminal()).try_init(),
        LogFormat::Json => logger.json().try_init(),
    };
}

/// Logs warnings only, for a command that opens a stopped node's directory itself.
pub fn quietly() {
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter("warn"))
        .with_writer(std::io::stderr)
        .with_ansi(is_terminal())
        .try_init();
}

fn filter(default: &str) -> EnvFilter {
    EnvFilter::try_from_env(OVERRIDE).unwrap_or_else(|_| EnvFilter::new(default))
}

fn is_terminal() -> bool {
    std::io::IsTerminal::is_terminal(&std::io::stderr())
}
