//! Convolutions on the CPU for candle, and their gradients; the layers of transformers.
//!
//! - Tensors in, tensors out: [`Conv2d`] and [`DepthwiseConv2d`], and [`ops`] with gradients; for transformers
//!   [`Linear`], [`LayerNorm`] and [`attention`].
//! - Slices in, slices out, channels-last and `f32`: [`conv`], dense, 1×1, 2D and 3D, its products in bfloat16 where that
//!   is faster; [`depthwise`], one kernel a channel; [`pool`], max pooling; [`winograd`], 3×3×3 with a quarter of the
//!   products; [`grad`], gradients.
//! - The plain truth that the fast kernels are held against: [`Kernels::Plain`], and [`conv3d_plain`],
//!   [`depthwise_plain`] and [`max_pool3d_plain`] by candle's own operators.
//!
//! Public functions check what they are given: those on tensors return an error, those on slices panic. Which
//! instructions run is for [`Kernels`] to say.
#![warn(clippy::undocumented_unsafe_blocks)]

mod aligned;
mod attend;
mod bf16;
mod call;
pub mod conv;
pub mod depthwise;
mod error;
mod gelu;
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
mod product;
mod shape;
mod strip;
mod tiled;
mod volume;
pub mod winograd;

pub use aligned::AlignedBuf;
pub use error::Error;
pub use gelu::Gelu;
pub use instructions::Kernels;
pub use layers::{Conv2d, DepthwiseConv2d, LayerNorm, Linear, attention, attention_with_kernels};
pub use numbers::{Numbers, slice};
pub use precision::Precision;
pub use shape::{Activation, Grid, Window};
pub use volume::{conv3d_plain, depthwise_plain, max_pool3d_plain};

/// The examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
