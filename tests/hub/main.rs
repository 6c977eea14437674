//! `classify pull` and what comes of it, against a server with the hub's routes.

mod downloads;
mod names;
mod pickles;
#[path = "../ran/mod.rs"]
mod ran;
mod refusals;
mod server;
mod user;
mod whole;
