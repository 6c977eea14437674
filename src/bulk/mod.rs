//! Many clips: what a run has done is never lost and never done twice, and a clip that crashes or
//! hangs the decoder costs itself only.

mod inputs;
mod journal;
mod labelling;
mod list;
mod merge;
mod ordered;
mod run;
mod shard;
mod sort;
pub mod worker;

pub use inputs::Inputs;
pub use journal::{Header, Journal, Stamp};
pub use labelling::{Settings, available_threads, in_order, label, label_read, pool};
pub use list::read_list;
pub use merge::{Merged, merge};
pub use ordered::Ordered;
pub use run::{Run, Step, Trust, journal_path};
pub use shard::Shard;
pub use sort::{How, SortPlan};
