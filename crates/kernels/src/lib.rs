//! Convolutions.
#![warn(missing_docs, unreachable_pub, clippy::undocumented_unsafe_blocks)]

mod aligned;
mod bf16;
mod call;
pub mod conv;
pub mod depthwise;
mod error;
pub mod grad;
mod instructions;
mod layers;
mod micro;
mod numbers;
pub mod ops;
mod panels;
mod place;
mod plain;
pub mod pool;
mod precision;
mod shape;
mod volume;
pub mod winograd;

pub use aligned::AlignedBuf;
pub use error::Error;
pub use instructions::Kernels;
pub use layers::{Conv2d, DepthwiseConv2d};
pub use numbers::{Numbers, slice};
pub use precision::Precision;
pub use shape::{Activation, Grid, Window};
pub use volume::{conv3d_plain, max_pool3d_plain};
