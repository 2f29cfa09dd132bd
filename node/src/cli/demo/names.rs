//! What the partners of a demonstration are called.

/// The most partners of a demonstration.
pub const MAX_PARTNERS: usize = NAMES.len();

const NAMES: [&str; 16] = [
    "alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india", "juliett",
    "kilo", "lima", "mike", "november", "oscar", "papa",
];

/// The names of the first `count` partners.
pub fn names(count: usize) -> Vec<String> {
    NAMES.iter().take(count).map(ToString::to_string).collect()
}

/// All names a partner of a demonstration can have.
pub fn all() -> impl Iterator<Item = &'static str> {
    NAMES.into_iter()
}
