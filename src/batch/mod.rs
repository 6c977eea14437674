//! Folders of thousands, unattended: what a run has done is never lost and never done twice.

mod journal;
mod merge;
pub(crate) mod paths;
mod run;
mod shard;
mod sort;

pub use journal::{Header, Journal, Stamp};
pub use merge::{Merged, merge};
pub use paths::read_list;
pub use run::{Run, Step, Trust, journal_path};
pub use shard::Shard;
pub use sort::{How, SortPlan};
