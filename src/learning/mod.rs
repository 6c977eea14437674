//! Learning new labels from labelled clips, and how good a model is on them.

pub mod calibration;
pub mod dataset;
pub mod evaluation;
pub mod features;
pub mod metrics;
pub mod report;
pub mod training;
