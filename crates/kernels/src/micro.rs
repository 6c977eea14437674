//! The fast path's innermost loops, written once over [`lane::Lane`] and compiled for each instruction set.
//!
//! Here are bare pointers: a kernel trusts its caller. Everything outside of this folder works on slices, compares
//! them with their sizes, and hides these functions.

// Whole bodies are unsafe, each for the one reason that its function's `# Safety` says.
#![allow(clippy::undocumented_unsafe_blocks)]

pub(crate) mod ahead;
pub(crate) mod bf16;
pub(crate) mod blocks;
pub(crate) mod depthwise;
mod dispatch;
mod functions;
pub(crate) mod gradients;
pub(crate) mod lane;
pub(crate) mod rows;
pub(crate) mod tile;
