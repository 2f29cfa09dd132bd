//! The protocol of Comity: events, charters, lanes, merge and sync.
//!
//! Everything here is pure. The machines take facts ([`replica::Input`]) and give wishes
//! ([`replica::Output`]); time, seeds and stored rows are arguments. So a node on real sockets
//! and disks and a simulator drive the very same code.

pub mod acceptance;
pub mod authority;
pub mod body;
pub mod channel;
pub mod codec;
pub mod compose;
pub mod event;
pub mod evidence;
pub mod files;
pub mod finality;
mod flags;
pub mod giving;
pub mod graph;
pub mod id;
pub mod identity;
pub mod keys;
pub mod lane;
pub mod limits;
pub mod mutation;
pub mod parking;
pub mod peering;
pub mod pull;
pub mod quota;
pub mod replica;
pub mod reserved;
pub mod rows;
pub mod sync;
#[cfg(test)]
mod tests;
pub mod time;
pub mod wire;
