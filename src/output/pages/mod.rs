//! Pages to look at and to show to others, one HTML file each that opens without a network.

mod batch;
pub mod chart;
mod filmstrip;
mod page;

pub use batch::BatchReport;
pub use filmstrip::{Filmstrip, data_url};
pub use page::{count, page, percent, seconds, section, tile};
