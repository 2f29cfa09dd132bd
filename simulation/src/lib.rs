//! The machines of Comity under simulated time, network and disk.
//!
//! A [`World`] runs one [`Replica`](comity_protocol::replica::Replica) per partner on links that
//! delay, cut and overflow, and on disks that lose what was not synced when a process is killed.
//! Everything that happens is drawn from a seed by name, so a run can be repeated exactly;
//! [`World::trace`] tells two runs apart. [`swarm`] runs many random meshes, each from a seed, under
//! every fault there is, and holds what they do against oracles. [`barriers`] stands apart: finality
//! in small, before it is part of the protocol.

pub mod barriers;
mod chance;
mod disk;
mod hostile;
mod oracles;
mod pace;
mod partner;
pub mod plan;
pub mod swarm;
mod world;

pub use chance::Chance;
pub use hostile::{Captive, Pen, events_frames, text_body};
pub use pace::{Pace, SentFrame};
pub use world::{Acknowledged, SentFile, World};
