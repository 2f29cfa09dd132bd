//! Attacks on responses, each from one that is accepted: what is changed is what refuses it.

mod attacks;
mod idp;
mod profile;
mod settings;
mod wrapping;
