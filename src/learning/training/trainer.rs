//! The loop that all stages of training share.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use candle_core::{Device, Tensor, Var};
use rand::{Rng, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::optimizer::DIVERGED;
use super::{AdamW, AdamWConfig, Checkpoint, Epoch, Pace, Recipe, Schedule, Validation};
use crate::model::Weights;
use crate::{Error, Result};
use classify_kernels::Numbers;

/// What the loop doesn't know: how a batch becomes a loss.
pub(super) trait Stage {
    /// The labels of each training clip.
    fn labels(&self) -> &[Vec<usize>];

    /// Loss of the training clips `batch`, with what the step's own `rng` makes random.
    fn step(&self, weights: &Weights, batch: &[usize], rng: &mut ChaCha8Rng) -> Result<Step>;

    /// How good `weights` are on the validation clips.
    fn validate(&self, weights: &Weights) -> Result<Validation>;
}

/// One batch's result.
pub(super) struct Step {
    /// A scalar with its graph.
    pub loss: Tensor,
    /// How many of the clips were right ([`Wanted::correct`](super::Wanted::correct)).
    pub correct: f64,
}

/// Trains a stage's tensors.
pub(super) struct Trainer<'a> {
    /// The stage's name, for progress, checkpoints and metrics.
    pub name: &'a str,
    /// Changes whenever the run would: a checkpoint with another one is not taken up.
    pub digest: &'a str,
    pub recipe: &'a Recipe,
    /// Draw classes evenly instead of clips.
    pub balanced: bool,
    /// End after so many epochs and keep the last, where there is nothing to validate on; otherwise
    /// the best epoch is kept.
    pub until: Option<usize>,
    /// Where the state is saved after every epoch, and taken up from where it exists.
    pub checkpoint: Option<PathBuf>,
    /// Set from outside to end after the step under way; the best weights so far are returned.
    pub stop: &'a AtomicBool,
    /// Called after every step with the loss.
    pub on_step: &'a dyn Fn(Pace, f64),
    /// Called after every epoch.
    pub on_epoch: &'a dyn Fn(&Epoch),
}

/// What a run of the loop yields.
pub(super) struct Trained {
    /// The trained tensors at their best epoch, or the last one.
    pub best: Weights,
    pub history: Vec<Epoch>,
}

impl Trainer<'_> {
    /// Runs `stage` from `start`; `rates` gives parameters a share of the learning rate of their own.
    ///
    /// Everything random in epoch `e` comes from the seed and `e`, so that a run taken up from a
    /// checkpoint goes the way an undisturbed one goes.
    pub(super) fn run(
        &self,
        stage: &dyn Stage,
        start: &Weights,
        rates: BTreeMap<String, f64>,
    ) -> Result<Trained> {
        let recipe = self.recipe;
        let vars: BTreeMap<String, Var> =
            start.0.iter().map(|(n, t)| Ok((n.clone(), Var::from_tensor(t)?))).collect::<Result<_>>()?;
        let config = AdamWConfig {
            weight_decay: recipe.weight_decay,
            clip_norm: recipe.clip_norm,
            ..Default::default()
        };
        let mut optimizer = AdamW::new(vars, rates, config)?;
        let mut state = State::new(start, recipe, self.name, self.digest);
        if let Some(path) = self.checkpoint.as_ref().filter(|p| p.exists()) {
            state.checkpoint = Checkpoint::load(path, &state.checkpoint)?;
            state.checkpoint.restore(&mut optimizer)?;
        }

        let steps_an_epoch = stage.labels().len().div_ceil(recipe.batch);
        let steps = steps_an_epoch * recipe.epochs;
        let warmup_steps = (recipe.warmup * steps as f64).round() as usize;
        let schedule = Schedule { peak: recipe.learning_rate, warmup_steps, steps };
        while !self.finished(&state) {
            let epoch = state.checkpoint.history.len();
            let begin = Instant::now();
            let mut rng = ChaCha8Rng::seed_from_u64(recipe.seed);
            rng.set_stream(epoch as u64 + 1);
            let order = draw_epoch(stage.labels(), self.balanced, &mut rng);
            let (mut loss_sum, mut correct) = (0.0, 0.0);
            for (i, batch) in order.chunks(recipe.batch).enumerate() {
                if self.stop.load(Ordering::Relaxed) {
                    return Ok(state.into_trained());
                }
                let live =
                    Weights(optimizer.vars.iter().map(|(n, v)| (n.clone(), v.as_tensor().clone())).collect());
                let step = stage.step(&live, batch, &mut rng)?;
                let loss = f64::from(step.loss.to_scalar::<f32>()?);
                optimizer.step(&step.loss.backward()?, schedule.rate(epoch * steps_an_epoch + i))?;
                state.average(&optimizer, recipe.average)?;
                loss_sum += loss * batch.len() as f64;
                correct += step.correct;
                let pace =
                    Pace { epoch: epoch + 1, epochs: self.most_epochs(), step: i + 1, steps: steps_an_epoch };
                (self.on_step)(pace, loss);
            }
            let validation = match self.until {
                None => Some(finite(stage.validate(&Weights(state.checkpoint.average.clone()))?)?),
                Some(_) => None,
            };
            let row = Epoch {
                stage: self.name.to_owned(),
                epoch: epoch + 1,
                learning_rate: schedule.rate((epoch + 1) * steps_an_epoch - 1),
                train_loss: loss_sum / order.len() as f64,
                train_accuracy: correct / order.len() as f64,
                validation,
                best: state.is_best(validation.as_ref()),
                seconds: begin.elapsed().as_secs_f64(),
            };
            (self.on_epoch)(&row);
            state.record(row, &optimizer)?;
            if let Some(path) = &self.checkpoint {
                state.checkpoint.save(path)?;
            }
        }
        Ok(state.into_trained())
    }

    fn finished(&self, state: &State) -> bool {
        let epochs = state.checkpoint.history.len();
        let stale = state.best().is_some_and(|(best, _)| epochs - 1 - best >= self.recipe.patience);
        epochs >= self.most_epochs() || stale
    }

    fn most_epochs(&self) -> usize {
        self.until.unwrap_or(self.recipe.epochs)
    }
}

/// Guards against weights that are no numbers any more, though their last gradients were.
fn finite(validation: Validation) -> Result<Validation> {
    match validation.loss.is_finite() {
        true => Ok(validation),
        false => Err(Error::Usage(DIVERGED.into())),
    }
}

/// The checkpoint in the making.
struct State {
    checkpoint: Checkpoint,
}

impl State {
    fn new(start: &Weights, recipe: &Recipe, stage: &str, digest: &str) -> Self {
        Self { checkpoint: Checkpoint::new(start, recipe, stage, digest) }
    }

    fn best(&self) -> Option<(usize, Option<&Validation>)> {
        let rows = &self.checkpoint.history;
        rows.iter().rposition(|row| row.best).map(|i| (i, rows[i].validation.as_ref()))
    }

    /// Without validation, the newest is the best.
    fn is_best(&self, validation: Option<&Validation>) -> bool {
        match (validation, self.best()) {
            (Some(new), Some((_, Some(best)))) => new.better_than(best),
            _ => true,
        }
    }

    /// Weight averaging (Polyak & Juditsky, 1992) as a running mean that warms up.
    fn average(&mut self, optimizer: &AdamW, decay: f64) -> Result<()> {
        let step = optimizer.step as f64;
        let share = 1.0 - decay.min(step / (step + 10.0)) as f32;
        for (name, var) in &optimizer.vars {
            let average = self.checkpoint.average[name].contiguous()?.to_device(&Device::Cpu)?;
            let now = var.to_device(&Device::Cpu)?;
            let values: Vec<f32> = {
                let (average, now) = (Numbers::of(&average)?, Numbers::of(&now)?);
                average.par_iter().zip(now.par_iter()).map(|(a, x)| a + (x - a) * share).collect()
            };
            let new = Tensor::from_vec(values, var.shape(), var.device())?;
            self.checkpoint.average.insert(name.clone(), new);
        }
        Ok(())
    }

    fn record(&mut self, row: Epoch, optimizer: &AdamW) -> Result<()> {
        if row.best {
            self.checkpoint.best = self.checkpoint.average.clone();
        }
        self.checkpoint.history.push(row);
        self.checkpoint.keep(optimizer)
    }

    fn into_trained(self) -> Trained {
        Trained { best: Weights(self.checkpoint.best), history: self.checkpoint.history }
    }
}

/// The clips of an epoch in their order: each once; or, balanced, as many draws with every class
/// equally likely.
fn draw_epoch(labels: &[Vec<usize>], balanced: bool, rng: &mut ChaCha8Rng) -> Vec<usize> {
    let mut order: Vec<usize> = (0..labels.len()).collect();
    if balanced {
        let mut classes = BTreeMap::<usize, Vec<usize>>::new();
        for (clip, labels) in labels.iter().enumerate() {
            // Clips that show none of the labels are drawn as often as those of one.
            let own = if labels.is_empty() { &[usize::MAX] } else { labels.as_slice() };
            own.iter().for_each(|label| classes.entry(*label).or_default().push(clip));
        }
        let classes: Vec<Vec<usize>> = classes.into_values().collect();
        // Clip by clip of its class in a shuffled round, so that a class's clips come equally often.
        let mut rounds: Vec<Vec<usize>> = vec![Vec::new(); classes.len()];
        for slot in &mut order {
            let class = rng.random_range(0..classes.len());
            if rounds[class].is_empty() {
                rounds[class] = classes[class].clone();
                rounds[class].shuffle(rng);
            }
            *slot = rounds[class].pop().unwrap_or(*slot);
        }
    } else {
        order.shuffle(rng);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn balanced_draws_even_out_the_classes() {
        let labels: Vec<Vec<usize>> = (0..1000).map(|i| vec![usize::from(i % 10 == 0)]).collect();
        let order = draw_epoch(&labels, true, &mut ChaCha8Rng::seed_from_u64(0));
        let rare = order.iter().filter(|&&i| labels[i] == [1]).count();
        assert!((430..570).contains(&rare), "{rare}");
        let mut all = draw_epoch(&labels, false, &mut ChaCha8Rng::seed_from_u64(0));
        all.sort();
        assert!(all.iter().copied().eq(0..1000));
    }
}
