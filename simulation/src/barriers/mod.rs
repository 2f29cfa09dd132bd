//! Finality in small: what acknowledgements, barriers, layers and the timeline are, as pure
//! functions, and a search for histories that break what they promise.
//!
//! Nothing of the protocol is used here but its words, and nothing outside the standard library: a
//! history is checked in some hundred microseconds. `docs/decisions/0018-finality-modelled.md` says what was found.

pub mod acks;
pub mod authority;
pub mod bits;
pub mod chance;
pub mod check;
pub mod explore;
pub mod history;
pub mod minimise;
pub mod profiles;
pub mod rules;
pub mod timeline;

#[cfg(test)]
mod search;
#[cfg(test)]
mod stories;
