//! `classify serve` as a process of its own, asked over HTTP as clients do.
#![cfg(target_os = "linux")]

mod browser;
mod client;
mod document;
#[path = "../browser/mod.rs"]
mod driver;
mod ending;
#[path = "../files/mod.rs"]
mod files;
mod inference;
mod labels;
mod limits;
mod odd;
mod process;
mod root;
mod timelines;
