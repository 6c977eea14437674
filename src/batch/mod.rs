//! Folders of thousands, unattended: what a run has done is never lost and never done twice.

mod journal;
mod paths;
mod shard;

pub use journal::{Header, Journal, Stamp};
pub use paths::read_list;
pub use shard::Shard;
