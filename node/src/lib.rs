//! The Comity node: storage, links, the driver of the protocol's machine, and its commands.

#[cfg(any(planted, stand_in))]
compile_error!(
    "a node has neither deliberate faults nor stand-in keys: build it without the flags `--cfg planted` and `--cfg stand_in`, which are for simulations"
);

pub mod api;
pub mod audit;
pub mod cli;
pub mod committer;
pub mod config;
pub mod driver;
pub mod environment;
pub mod home;
pub mod http;
pub mod keystore;
pub mod media;
pub mod memberships;
pub mod node;
pub mod pacts;
pub mod pieces;
pub mod random;
pub mod ranges;
pub mod received;
pub mod restored;
pub mod root;
pub mod rotation;
mod sample;
pub mod search;
pub mod segregation;
pub mod service;
pub mod storage_key;
pub mod store;
pub mod transport;
mod turns;
mod verifying;
mod working_time;
