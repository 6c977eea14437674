//! What a training and an evaluation leave to look at: a page, and TensorBoard's event files.

mod confusion;
mod events;
mod training;

pub(crate) use events::EventWriter;
pub(crate) use training::{EpochPoint, Mistake, TrainingReport};
