//! The machines of Comity under simulated time, network and disk.
//!
//! A [`World`] runs one [`Replica`](comity_protocol::replica::Replica) per partner on links that
//! delay, cut and overflow, and on disks that lose what was not synced when a process is killed.
//! Everything that happens is drawn from a seed by name, so a run can be repeated exactly;
//! [`World::trace`] tells two runs apart.
//!
//! [`barriers`] stands apart: finality in small, before it is part of the protocol.

pub mod barriers;
mod chance;
mod disk;
mod hostile;
mod pace;
mod partner;
mod world;

pub use chance::Chance;
pub use hostile::{Captive, Pen, events_frames, text_body};
pub use pace::{Pace, SentFrame};
pub use world::{Acknowledged, SentFile, World};
