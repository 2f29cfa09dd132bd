//! Planning: what a mission's links and traffic will make of its channels.

pub(crate) mod links;
mod trace;
