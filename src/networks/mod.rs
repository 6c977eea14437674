//! The networks: from frames to logits.

pub(crate) mod backbones;
pub(crate) mod heads;
pub(crate) mod transformer;
