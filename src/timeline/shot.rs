//! The units between two cuts, and what the head makes of runs of them.

use std::collections::VecDeque;

use candle_core::Tensor;

use crate::Result;

/// A short stretch of video that went through the CNN as a whole.
pub(super) struct Unit {
    pub start: f64,
    pub end: f64,
    /// `f32 [T', D]`.
    features: Tensor,
    /// Sum of the probabilities of `runs` runs.
    sum: Vec<f32>,
    runs: usize,
}

/// A unit's probabilities, in the model's own order, and behind them its score of knowing where the model has prototypes.
pub(super) struct Scored {
    pub start: f64,
    pub end: f64,
    pub scores: Vec<f32>,
}

impl Unit {
    pub(super) fn new(start: f64, end: f64, features: Tensor) -> Self {
        Self { start, end, features, sum: Vec::new(), runs: 0 }
    }

    fn add(&mut self, scores: &[f32]) {
        self.sum.resize(scores.len(), 0.0);
        for (sum, score) in self.sum.iter_mut().zip(scores) {
            *sum += score;
        }
        self.runs += 1;
    }

    fn finish(self) -> Scored {
        let scores = self.sum.iter().map(|sum| sum / self.runs.max(1) as f32).collect();
        Scored { start: self.start, end: self.end, scores }
    }
}

/// The last units since a cut.
pub(super) struct Shot {
    context: usize,
    units: VecDeque<Unit>,
}

impl Shot {
    /// Runs are `context` units long.
    pub(super) fn new(context: usize) -> Self {
        Self { context, units: VecDeque::new() }
    }

    /// Adds a unit. Returns the one that no later run can be part of, if there is one.
    pub(super) fn push(
        &mut self,
        unit: Unit,
        scores: impl Fn(&[&Tensor]) -> Result<Vec<f32>>,
    ) -> Result<Option<Scored>> {
        self.units.push_back(unit);
        if self.units.len() < self.context {
            return Ok(None);
        }
        self.read(scores)?;
        Ok(self.units.pop_front().map(Unit::finish))
    }

    /// The shot is over: what is left of it. One that is shorter than a run is a run of its own.
    pub(super) fn end(&mut self, scores: impl Fn(&[&Tensor]) -> Result<Vec<f32>>) -> Result<Vec<Scored>> {
        if self.units.iter().any(|unit| unit.runs == 0) {
            self.read(scores)?;
        }
        Ok(self.units.drain(..).map(Unit::finish).collect())
    }

    fn read(&mut self, scores: impl Fn(&[&Tensor]) -> Result<Vec<f32>>) -> Result<()> {
        let features: Vec<&Tensor> = self.units.iter().map(|unit| &unit.features).collect();
        let scores = scores(&features)?;
        self.units.iter_mut().for_each(|unit| unit.add(&scores));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    /// The score of a run is the mean of its units' numbers.
    fn mean(features: &[&Tensor]) -> Result<Vec<f32>> {
        let values = features.iter().map(|t| t.to_vec2::<f32>().unwrap()[0][0]);
        Ok(vec![values.sum::<f32>() / features.len() as f32])
    }

    fn unit(i: usize) -> Unit {
        Unit::new(i as f64, i as f64 + 1.0, Tensor::full(i as f32, (1, 1), &Device::Cpu).unwrap())
    }

    #[test]
    fn each_unit_gets_the_mean_over_its_runs() {
        let mut shot = Shot::new(2);
        let mut scored = Vec::new();
        for i in 0..4 {
            scored.extend(shot.push(unit(i), mean).unwrap());
        }
        scored.extend(shot.end(mean).unwrap());
        // Runs 0–1, 1–2, 2–3 score 0.5, 1.5, 2.5.
        assert_eq!(scored.iter().map(|s| s.scores[0]).collect::<Vec<_>>(), [0.5, 1.0, 2.0, 2.5]);
        assert_eq!(scored.iter().map(|s| s.start).collect::<Vec<_>>(), [0.0, 1.0, 2.0, 3.0]);
    }

    #[test]
    fn a_short_shot_is_one_run() {
        let mut shot = Shot::new(4);
        for i in 0..2 {
            assert!(shot.push(unit(i), mean).unwrap().is_none());
        }
        let scored = shot.end(mean).unwrap();
        assert_eq!(scored.iter().map(|s| s.scores[0]).collect::<Vec<_>>(), [0.5, 0.5]);
        assert!(shot.end(mean).unwrap().is_empty());
    }
}
