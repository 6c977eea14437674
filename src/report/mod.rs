//! Pages to look at and to show to others: one HTML file each, that opens without a network.

mod chart;
mod confusion;
mod filmstrip;
mod page;
mod training;

pub use filmstrip::Filmstrip;
pub use page::{count, page, percent, seconds, section, tile};
pub use training::{EpochPoint, Mistake, TrainingReport};
