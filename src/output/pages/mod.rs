//! Pages to look at and to show to others, one HTML file each that opens without a network.

mod batch;
pub(crate) mod chart;
mod filmstrip;
mod page;

pub(crate) use batch::{BatchReport, cards};
pub(crate) use filmstrip::{Filmstrip, Picture, how_to_look};
pub(crate) use page::{STYLE, count, page, percent, seconds, section, tile};
