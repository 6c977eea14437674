//! Results to look at and to show to others: pages, one HTML file each that opens without a
//! network, and TensorBoard event files.

mod batch;
mod chart;
mod confusion;
mod events;
mod filmstrip;
mod page;
mod training;

pub use batch::BatchReport;
pub use events::EventWriter;
pub use filmstrip::{Filmstrip, data_url};
pub use page::{count, page, percent, seconds, section, tile};
pub use training::{EpochPoint, Mistake, TrainingReport};
