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
pub(crate) mod worker;

pub(crate) use inputs::Inputs;
pub(crate) use journal::{Header, Journal, Stamp};
pub use labelling::{Settings, available_threads, in_order, label};
pub(crate) use labelling::{label_read, pool};
pub(crate) use list::read_list;
pub(crate) use merge::merge;
pub(crate) use ordered::Ordered;
pub(crate) use run::{Run, Step, Trust, journal_path};
pub(crate) use shard::Shard;
pub(crate) use sort::{How, SortPlan};
