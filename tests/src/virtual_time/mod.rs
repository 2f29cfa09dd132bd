//! Whole nodes in virtual time: the transport with its QUIC and TLS, the driver, the committer and
//! RocksDB, all as they are, on a network, clocks and randomness that come out of a seed.
//!
//! A [`World`] holds the partners' nodes. Each lives on a tokio runtime of its own, whose time is
//! held still and moved on in steps ([`partner`](Partner)); all take their steps in turn on one
//! thread, and a step is no longer than any datagram is under way ([`network`](Network)). So nothing
//! depends on how fast the machine is or how it schedules threads, and the same seed gives the same
//! datagrams at the same times, byte for byte. A [`life`](live) is a story in such a world with
//! everything in it that goes wrong, and a [`campaign`] is many of them.

pub mod campaign;
mod key_exchange;
mod life;
mod network;
mod partner;
mod underlay;
mod world;

pub use life::{Life, live};
pub use network::{Network, Weather};
pub use partner::Partner;
pub use world::{Failure, World};
