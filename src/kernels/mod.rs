//! Operators that candle lacks.

mod volume;

pub use volume::{conv3d_plain, max_pool3d_plain, same_padding};
