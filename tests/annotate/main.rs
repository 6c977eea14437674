//! `classify annotate` as people use it: its page in a real browser.
#![cfg(unix)]

mod browser;
mod clips;
mod films;
mod labelling;
mod looks;
mod odd;
mod program;
mod speed;
mod together;
