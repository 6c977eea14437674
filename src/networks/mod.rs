//! The networks: from frames to logits.

pub mod backbones;
pub mod heads;
