//! `--cross-validate K`: how good models are on each K-th of the training clips.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::learning::dataset::{Dataset, Task};
use crate::learning::metrics::mean_interval;
use crate::learning::training::{TrainOptions, Validation, train};
use crate::{Error, Result};

use super::super::sink::say;
use super::progress::Progress;

/// Trains on each of `k` divisions of the training clips; says how good the models were on the rest. The models are
/// not kept.
pub(super) fn cross_validate(
    k: usize,
    data: &Dataset,
    options: &TrainOptions,
    checkpoints: &Path,
    stop: &AtomicBool,
    progress: &Progress,
) -> Result<()> {
    let mut scores: Vec<Validation> = Vec::new();
    let options = &TrainOptions { refit: false, ..options.clone() };
    for (i, fold) in data.folds(k, options.recipe.seed)?.iter().enumerate() {
        if i == 0 {
            fold.warnings.iter().for_each(|warning| progress.console.warning(warning));
        }
        progress.console.note(format!("fold {} of {k}", i + 1));
        let checkpoints = checkpoints.join(format!("fold-{}-of-{k}", i + 1));
        std::fs::create_dir_all(&checkpoints).map_err(|e| Error::io(&checkpoints, e))?;
        let outcome = train(fold, options, &checkpoints, stop, progress)?;
        progress.console.end_progress();
        if stop.load(Ordering::Relaxed) {
            return Err(Error::Interrupted("in the folds; --resume goes on from there".into()));
        }
        let kept = outcome.kept().and_then(|row| outcome.history[row].validation);
        scores.extend(kept);
    }
    let f1: Vec<f64> = scores.iter().map(|v| v.macro_f1).collect();
    let precision: Option<Vec<f64>> = scores.iter().map(|v| v.mean_average_precision).collect();
    let accuracy: Vec<f64> = scores.iter().map(|v| v.accuracy).collect();
    let right = match precision.filter(|_| data.task == Task::AnyOf) {
        Some(precision) => format!("mAP {}", shown(&precision, 1.0, 3)),
        None => format!("{} % right", shown(&accuracy, 100.0, 1)),
    };
    say(&format!(
        "{k} folds: {right}, macro-F1 {} (mean and 95 % interval; each fold also chose its epoch, so they are a \
         little too good)",
        shown(&f1, 1.0, 3)
    ))
}

fn shown(values: &[f64], unit: f64, digits: usize) -> String {
    let (mean, half) = mean_interval(values);
    let half = half.map_or(String::new(), |half| format!(" ± {:.digits$}", unit * half));
    format!("{:.digits$}{half}", unit * mean)
}
