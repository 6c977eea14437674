//! A training run, from the labelled clips to the model folder.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use candle_core::Device;

use super::stages::{Run, head_is_better};
use super::temper::temper;
use super::{Balance, Epoch, Observer, TrainOptions};
use crate::learning::dataset::{Dataset, NO_BACKGROUND, NONE, Problem, Split, Task};
use crate::model::ModelFolder;
use crate::{Error, Result};

/// What a run leaves.
pub struct TrainOutcome {
    /// The model, its weights rounded as the file holds them. Its card is still the backbone's.
    pub folder: ModelFolder,
    /// Where it was refitted: the model before, which alone can be measured on the validation clips.
    pub before_refit: Option<ModelFolder>,
    /// What the logits of both were divided by, fitted on the validation clips; not where training was ended in its
    /// course.
    pub temperature: Option<f64>,
    /// Every epoch of every stage.
    pub history: Vec<Epoch>,
    /// Clips that could not be used.
    pub problems: Vec<Problem>,
    /// What else went wrong without harm to the model.
    pub warnings: Vec<String>,
}

/// Trains a model for the classes of `data` on the CNN of `options.backbone`.
///
/// Reads training and validation clips only. Checkpoints go to `checkpoints`, where `options.resume`
/// takes them up from; without it, those that are there are removed. When `stop` is set, the best weights so far are
/// returned.
///
/// # Errors
/// [`Error::Interrupted`] where `stop` is set before an epoch is over; others where `options` ask for what can't be,
/// no class has a usable clip, the backbone doesn't load or the loss is no number any more.
pub fn train(
    data: &Dataset,
    options: &TrainOptions,
    checkpoints: &Path,
    stop: &AtomicBool,
    observer: &dyn Observer,
) -> Result<TrainOutcome> {
    let mut base = ModelFolder::named(&options.backbone, &Device::Cpu)?;
    base.preprocess = options.size.map_or(base.preprocess.clone(), |size| base.preprocess.with_size(size));
    base.preprocess.cut_bars |= options.cut_bars;
    base.config.sampling.frames = options.frames.unwrap_or(base.config.sampling.frames);
    base.config.sampling.windows = options.windows.unwrap_or(base.config.sampling.windows);
    if options.fps.is_some() {
        (base.config.sampling.fps, base.config.sampling.stride) = (options.fps, None);
    }
    base.config.sampling.luma_lag = options.luma_lag.or(base.config.sampling.luma_lag);
    base.keep_backbone();
    base.config.id2label = data.labels.clone();
    base.config.scores = data.task.scoring();
    base.config.thresholds = match data.task {
        Task::OneOf => Vec::new(),
        Task::AnyOf => vec![0.5; data.labels.len()],
    };
    base.config.calibration = None;
    base.config.knowing = None;
    options.check(&base)?;
    if options.temporal_shift {
        base.config.backbone.set_temporal_shift(true)?;
    }
    if !options.resume {
        remove_checkpoints(checkpoints)?;
    }
    let mut run = Run {
        digest: digest(&base, data, options)?,
        data,
        options,
        checkpoints,
        stop,
        observer,
        chosen: None,
        temperature: None,
        thresholds: Vec::new(),
        history: Vec::new(),
        problems: Vec::new(),
        warnings: Vec::new(),
    };
    let (mut folder, mut features) = run.stages(base.clone())?;
    if run.stopped() && run.history.is_empty() {
        return Err(Error::Interrupted("no epoch is over, so there is no model yet".into()));
    }
    let (mut before_refit, mut refit_features) = (None, None);
    if options.refit && !run.stopped() {
        let history = run.history.clone();
        run.chosen = Some(history.clone());
        // A CNN knows its training clips; a head learned after it does best where it meets others, too, so the CNN stays
        // as it is. A head that is as good as it was tuned goes with its CNN: both are trained once more.
        let refitted = match head_is_better(&history) {
            true => run.heads(folder.clone(), &features).map(|folder| (folder, None)),
            false => run.stages(base).map(|(folder, features)| (folder, Some(features))),
        };
        // Half a refit is worth less than the model whose choices it follows; its epochs are no part of that.
        match refitted {
            Ok((refitted, seen)) if !run.stopped() => {
                before_refit = Some(std::mem::replace(&mut folder, refitted));
                refit_features = seen;
            }
            Err(error) if !run.stopped() => {
                run.history = history;
                run.warnings.push(format!("the refit failed, the model before it is kept: {error}"));
            }
            _ => run.history = history,
        }
    }
    if let Some(temperature) = run.temperature {
        for model in [Some(&mut folder), before_refit.as_mut()].into_iter().flatten() {
            temper(&mut model.weights, temperature)?;
            model.weights = model.weights.rounded(&Device::Cpu)?;
            model.config.thresholds.clone_from(&run.thresholds);
        }
        // The threshold, as the temperature, is one for clips that were not learned: of the model before the refit.
        let mut stills = run.stills(before_refit.as_ref().unwrap_or(&folder))?;
        let mut knowing = None;
        if let Some(before) = &mut before_refit {
            knowing = run.learn_to_doubt(before, &features, &stills, false, None)?;
            if let Some(seen) = refit_features {
                (features, stills) = (seen, run.stills(&folder)?);
            }
        }
        let refitted = before_refit.is_some();
        if knowing.is_some() || !refitted {
            run.learn_to_doubt(&mut folder, &features, &stills, refitted, knowing)?;
        }
        run.warnings.extend(undoubting(&folder, data));
    }
    let Run { temperature, history, problems, warnings, .. } = run;
    Ok(TrainOutcome { folder, before_refit, temperature, history, problems, warnings })
}

impl TrainOutcome {
    /// Which epoch of the history the model's weights are of.
    pub fn kept(&self) -> Option<usize> {
        let older_head = self.before_refit.is_none() && !head_is_better(&self.history);
        let kept = |row: &Epoch| row.best && !row.is_baseline() && !(older_head && row.is_of_heads());
        self.history.iter().rposition(kept)
    }
}

/// What is lacking where `model` can't be 'not sure', or only by its labels' clips though `data` has background clips.
fn undoubting(model: &ModelFolder, data: &Dataset) -> Option<String> {
    let learned = data.none.learned().count();
    match model.config.knowing {
        // Thresholds of their own say that nothing is shown.
        _ if data.task == Task::AnyOf => None,
        None => Some(
            "no answer to a validation clip is right, so nothing says when to be 'not sure': the model always answers"
                .into(),
        ),
        Some(knowing) if learned > 0 && knowing.background.is_none() => {
            Some(format!("none of the {learned} `{NONE}` clips could be learned from: {NO_BACKGROUND}"))
        }
        Some(_) => None,
    }
}

/// Those of an earlier run, lest this one, killed before it comes to a stage, be resumed with the other's.
fn remove_checkpoints(folder: &Path) -> Result<()> {
    let io = |e| Error::io(folder, e);
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let path = entry.map_err(io)?.path();
        if path.extension().is_some_and(|ending| ending == "safetensors") {
            std::fs::remove_file(&path).map_err(|e| Error::io(&path, e))?;
        }
    }
    Ok(())
}

/// Changes whenever the run would go another way, but for where and how fast it goes. Clips go by their names.
fn digest(base: &ModelFolder, data: &Dataset, options: &TrainOptions) -> Result<String> {
    let asked = TrainOptions {
        // Its features' digest says more.
        backbone: String::new(),
        backbone_reason: String::new(),
        cache: None,
        threads: 0,
        device: Device::Cpu,
        resume: false,
        refit: false,
        keep: 0.0,
        ..options.clone()
    };
    let mut hasher = blake3::Hasher::new();
    hasher.update(format!("{} {asked:?} {:?}", base.features_digest()?, data.labels).as_bytes());
    let mut groups = BTreeMap::new();
    for sample in data.samples.iter().filter(|sample| sample.split != Split::Test) {
        // By number: a group without a name of its own has its clip's path for one.
        let next = groups.len();
        let number = || *groups.entry(&sample.group).or_insert(next);
        let group = (options.balance == Balance::Margins).then(number);
        // Of a clip with one label what it always was, so that old checkpoints can be taken up.
        let name = sample.path.file_name();
        let clip = match data.task {
            Task::OneOf if sample.span.is_none() => {
                format!("{:?}", (name, sample.label(), sample.split, group))
            }
            _ => format!("{:?}", (name, sample.span, &sample.labels, sample.split, group)),
        };
        hasher.update(clip.as_bytes());
    }
    Ok(hasher.finalize().to_hex().to_string())
}
