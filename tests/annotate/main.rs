//! `classify annotate` as people use it: its page in a real browser.
#![cfg(unix)]

mod browser;
mod clips;
#[path = "../browser/mod.rs"]
mod driver;
mod films;
mod labelling;
mod looks;
mod models;
mod odd;
mod program;
mod speed;
mod together;
