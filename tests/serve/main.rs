//! `classify serve` as a process of its own, asked over HTTP as clients do.
#![cfg(target_os = "linux")]

mod browser;
mod client;
mod document;
mod ending;
mod inference;
mod labels;
mod limits;
mod odd;
mod process;
mod root;
mod timelines;
