//! One command out of all that plays with faults: it starts the programs that do it, each with
//! seeds of its own, follows what they say, ends what does not end, and adds their figures up.
//!
//! A [`Part`] is one run of one program. A [`Campaign`] is the parts of so many minutes, in phases
//! of which each keeps all cores busy. What is not shown has failed: a part that crashes, hangs, or
//! prints no figures counts as a failure, like one that found something.

mod campaign;
mod figures;
mod length;
mod part;

pub use campaign::{Campaign, Programs};
pub use figures::Total;
pub use length::{Length, cpu_s};
pub use part::{Kind, Part};
