//! The operating system's randomness, the only source of it in the program. (A test may seed what a
//! node draws while it serves: [`Randomness`](crate::environment::Randomness).)

/// Random bytes. Without them no key is safe, so failing to get any ends the process.
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    if let Err(error) = getrandom::fill(&mut bytes) {
        tracing::error!(%error, "the operating system gives no randomness; stopping");
        std::process::abort();
    }
    bytes
}
