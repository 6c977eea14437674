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
    /// Sum of what the head made of `runs` runs.
    sum: Reading,
    runs: usize,
}

/// What the head makes of a run.
#[derive(Debug, Clone, Default)]
pub(super) struct Reading {
    /// The probabilities, in the model's own order.
    pub scores: Vec<f32>,
    /// The score of knowing, where the model has prototypes.
    pub knowing: Option<f64>,
}

/// A unit, and the mean of what the head made of its runs.
pub(super) struct Scored {
    pub start: f64,
    pub end: f64,
    pub scores: Vec<f32>,
    pub knowing: Option<f64>,
}

impl Unit {
    pub(super) fn new(start: f64, end: f64, features: Tensor) -> Self {
        Self { start, end, features, sum: Reading::default(), runs: 0 }
    }

    fn add(&mut self, run: &Reading) {
        self.sum.scores.resize(run.scores.len(), 0.0);
        for (sum, score) in self.sum.scores.iter_mut().zip(&run.scores) {
            *sum += score;
        }
        self.sum.knowing = run.knowing.map(|score| self.sum.knowing.unwrap_or(0.0) + score);
        self.runs += 1;
    }

    fn finish(self) -> Scored {
        let Self { start, end, sum, .. } = self;
        let runs = self.runs.max(1) as f32;
        let scores = sum.scores.iter().map(|sum| sum / runs).collect();
        Scored { start, end, scores, knowing: sum.knowing.map(|sum| sum / f64::from(runs)) }
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
        head: impl Fn(&[&Tensor]) -> Result<Reading>,
    ) -> Result<Option<Scored>> {
        self.units.push_back(unit);
        if self.units.len() < self.context {
            return Ok(None);
        }
        self.read(head)?;
        Ok(self.units.pop_front().map(Unit::finish))
    }

    /// The shot is over: what is left of it. One that is shorter than a run is a run of its own.
    pub(super) fn end(&mut self, head: impl Fn(&[&Tensor]) -> Result<Reading>) -> Result<Vec<Scored>> {
        if self.units.iter().any(|unit| unit.runs == 0) {
            self.read(head)?;
        }
        Ok(self.units.drain(..).map(Unit::finish).collect())
    }

    fn read(&mut self, head: impl Fn(&[&Tensor]) -> Result<Reading>) -> Result<()> {
        let features: Vec<&Tensor> = self.units.iter().map(|unit| &unit.features).collect();
        let run = head(&features)?;
        self.units.iter_mut().for_each(|unit| unit.add(&run));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    /// The score of a run is the mean of its units' numbers, that of knowing ten times as much.
    fn mean(features: &[&Tensor]) -> Result<Reading> {
        let values = features.iter().map(|t| t.to_vec2::<f32>().unwrap()[0][0]);
        let score = values.sum::<f32>() / features.len() as f32;
        Ok(Reading { scores: vec![score], knowing: Some(10.0 * f64::from(score)) })
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
        assert_eq!(scored.iter().map(|s| s.knowing.unwrap()).collect::<Vec<_>>(), [5.0, 10.0, 20.0, 25.0]);
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
