//! Comity from the outside: real processes, real QUIC, real files. One module per topic.

mod at_rest;
mod demo;
mod errors;
mod files;
mod finality;
mod full_disk;
mod hostile;
mod hostile_peer;
mod kill;
mod link_cut;
mod membership;
mod messages;
mod narrow;
mod network;
mod peering;
mod people;
mod power;
mod relay;
mod removal;
mod restore;
mod segregation;
mod stopping;
