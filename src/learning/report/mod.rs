//! What a training and an evaluation leave to look at: a page, and TensorBoard's event files.

mod confusion;
mod mistakes;
mod page;
mod several;
mod tensorboard;

pub(crate) use page::{EpochPoint, Mistake, TrainingReport};
pub(crate) use several::{SeveralMistake, SeveralResults};
pub(crate) use tensorboard::EventWriter;
