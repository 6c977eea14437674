//! The networks: from frames to logits.

pub(crate) mod backbones;
pub(crate) mod heads;
#[cfg(feature = "words")]
pub(crate) mod text;
pub(crate) mod transformer;
