//! A model of all labels, by training's own code.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use serde::Serialize;

use super::Model;
use super::draft::Draft;
use crate::learning::dataset::Dataset;
use crate::learning::evaluation::Measured;
use crate::learning::training::{self, Observer, TrainOptions};
use crate::model::{Changes, remember_trained};
use crate::{Error, Result, bulk};

/// A model that was written.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Finished {
    pub folder: PathBuf,
    /// How good it is, in a few lines.
    pub summary: String,
    /// The same in figures.
    pub model: Model,
    /// What went wrong without harm to the model.
    pub warnings: Vec<String>,
}

/// What is known of a session's models.
#[derive(Default)]
pub(super) struct Models {
    /// The last one, and what tells its list from others. Held while the next is made.
    pub last: Mutex<Option<(String, Finished)>>,
    /// The one that is being made in the background: its list, and what ends it.
    pub underway: Mutex<Option<(String, Arc<AtomicBool>)>>,
    /// A round is over.
    pub round: Condvar,
}

/// What the model is made of.
pub(super) struct Making<'a> {
    pub data: &'a Dataset,
    pub folder: &'a Path,
    pub backbone: &'a str,
    pub changes: &'a Changes,
    pub cache: Option<&'a Path>,
    pub threads: usize,
    /// What the card says it was made by.
    pub command: &'a str,
}

impl Making<'_> {
    /// Trains as `classify train` does without options, and puts the model in the place of the one before.
    ///
    /// # Errors
    /// [`Error::Interrupted`] where `stop` is set before the model is trained; those of [`training::train`].
    pub(super) fn make(&self, stop: &AtomicBool, observer: &dyn Observer) -> Result<Finished> {
        bulk::pool(self.threads)?.install(|| self.train(stop, observer))
    }

    fn train(&self, stop: &AtomicBool, observer: &dyn Observer) -> Result<Finished> {
        let start = Instant::now();
        let Self { data, .. } = *self;
        let Changes { windows, frames, size, .. } = *self.changes;
        let options = TrainOptions {
            backbone: self.backbone.to_owned(),
            frames,
            size,
            windows,
            refit: true,
            cache: self.cache.map(Path::to_owned),
            threads: self.threads,
            ..TrainOptions::default()
        };
        let draft = Draft::new(self.folder)?;
        let outcome = training::train(data, &options, &draft.checkpoints(), stop, observer)?;
        if stop.load(Ordering::Relaxed) {
            return Err(Error::Interrupted("a model of other labels is wanted".into()));
        }
        let took = start.elapsed();
        let figures = training::finish(&outcome, data, &options, &draft.model(), self.command, took, &|| ())?;
        draft.place()?;
        let mut warnings: Vec<String> = data.warnings.iter().map(ToString::to_string).collect();
        warnings.extend(outcome.warnings.iter().cloned());
        warnings.extend(
            data.problems
                .iter()
                .chain(&data.none.problems)
                .chain(&outcome.problems)
                .map(|p| format!("left out: {p}")),
        );
        // `classify models` lists it; a training isn't lost where that fails.
        warnings.extend(remember_trained(self.folder).err().map(|error| error.to_string()));
        let (part, quoted) = figures.quoted();
        warnings.extend(quoted.warnings());
        let (accuracy, clips) = match quoted {
            Measured::OneOf(found) => (found.metrics.accuracy, found.metrics.clips),
            // Not of a list with one label a clip.
            Measured::AnyOf(found) => (found.metrics.exact, found.metrics.clips),
        };
        let labels =
            data.samples.len() + data.problems.len() + data.none.samples.len() + data.none.problems.len();
        Ok(Finished {
            folder: self.folder.to_owned(),
            summary: quoted.summary(part, data.labels.len()),
            model: Model {
                name: self.folder.file_name().unwrap_or_default().to_string_lossy().into_owned(),
                labels,
                accuracy,
                clips,
                part: part.to_owned(),
            },
            warnings,
        })
    }
}
