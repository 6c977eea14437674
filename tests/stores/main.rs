//! Clips in object stores, against servers that behave as these do. Between them and the command stands a proxy that makes what goes wrong on a network.

mod faults;
mod proxy;
#[path = "../ran/mod.rs"]
mod ran;
mod runs;
mod servers;
mod signed;
mod store;
mod uploads;
