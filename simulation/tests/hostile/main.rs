//! A partner in hostile hands, with its real keys, among three honest ones: whatever it sends to
//! whom, the honest never judge differently, never stop exchanging, never accuse one another, and
//! hold no more than their limits say.

mod floods;
mod forgeries;
mod forks;
mod frames;
mod many;
mod named;
mod probing;
mod stage;
mod withholding;
