//! Layers: tensors in, tensors out.
//!
//! Convolutions take and give `[N, C, H, W]`, as candle's `conv2d` does. Their results lie channels-last in memory
//! underneath, as their inputs may: from one layer to the next nothing is copied into another order.
//!
//! Transformers' layers take and give `[.., C]`.

mod attention;
mod conv2d;
mod depthwise_conv2d;
mod images;
mod layer_norm;
mod linear;

pub use attention::{attention, attention_with_kernels};
pub use conv2d::Conv2d;
pub use depthwise_conv2d::DepthwiseConv2d;
pub use layer_norm::LayerNorm;
pub use linear::Linear;
