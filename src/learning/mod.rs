//! Learning labels from labelled clips, and measuring how well that went.

pub(crate) mod calibration;
pub mod dataset;
pub mod evaluation;
pub(crate) mod features;
mod knowing;
pub mod metrics;
pub(crate) mod report;
pub(crate) mod thresholds;
pub mod training;

pub use features::FeatureCache;
