//! Who watches a run.

use super::Epoch;

/// How far a stage is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// The epoch under way, counted from 1, of at most `epochs`.
    pub epoch: usize,
    /// Epochs at most.
    pub epochs: usize,
    /// Steps done in it, of `steps`.
    pub step: usize,
    /// Steps an epoch.
    pub steps: usize,
}

/// What a run tells while it goes on.
pub trait Observer: Sync {
    /// `done` of `total` clips have their features; begins with 0.
    fn features(&self, done: usize, total: usize);
    /// A step of an epoch is done.
    fn step(&self, stage: &str, pace: Pace, loss: f64);
    /// An epoch is done and validated.
    fn epoch(&self, row: &Epoch);
}

/// Nobody watches.
impl Observer for () {
    fn features(&self, _: usize, _: usize) {}

    fn step(&self, _: &str, _: Pace, _: f64) {}

    fn epoch(&self, _: &Epoch) {}
}
