//! Convolutions of images as layers: tensors in, tensors out.
//!
//! Both take and give `[N, C, H, W]`, as candle's `conv2d` does. Their results lie channels-last in memory
//! underneath, as their inputs may: from one layer to the next nothing is copied into another order.

mod conv2d;
mod depthwise_conv2d;
mod images;

pub use conv2d::Conv2d;
pub use depthwise_conv2d::DepthwiseConv2d;
