//! The end of a session: the model of all labels, by training's own code.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use serde::Serialize;

use crate::bulk;
use crate::learning::dataset::{self, Dataset};
use crate::learning::training::{self, Observer, TrainOptions};
use crate::model::{Changes, remember_trained};
use crate::{Error, Result};

/// A model that was written.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Finished {
    pub folder: PathBuf,
    /// How good it is, in a few lines.
    pub summary: String,
    /// Whether the figures are of held-out clips, `test`, or of some that chose the epoch, `validation`.
    pub part: String,
    /// What went wrong without harm to the model.
    pub warnings: Vec<String>,
}

/// What the model is made of.
pub(super) struct Making<'a> {
    pub list: &'a Path,
    pub folder: &'a Path,
    pub backbone: &'a str,
    pub changes: &'a Changes,
    pub cache: Option<&'a Path>,
    pub threads: usize,
    /// What the card says it was made by.
    pub command: &'a str,
}

impl Making<'_> {
    /// Trains on the list as it stands, as `classify train` does without options.
    ///
    /// # Errors
    /// As of [`Dataset::open`] and [`training::train`].
    pub(super) fn make(&self, stop: &AtomicBool, observer: &dyn Observer) -> Result<Finished> {
        bulk::pool(self.threads)?.install(|| self.train(stop, observer))
    }

    fn train(&self, stop: &AtomicBool, observer: &dyn Observer) -> Result<Finished> {
        let start = Instant::now();
        let data = Dataset::open(self.list, &dataset::Options::default())?;
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
        let checkpoints = self.folder.join("checkpoints");
        std::fs::create_dir_all(&checkpoints).map_err(|e| Error::io(&checkpoints, e))?;
        let outcome = training::train(&data, &options, &checkpoints, stop, observer)?;
        let took = start.elapsed();
        let figures = training::finish(&outcome, &data, &options, self.folder, self.command, took, &|| ())?;
        let mut warnings: Vec<String> = data.warnings.iter().map(ToString::to_string).collect();
        warnings.extend(outcome.warnings.iter().cloned());
        warnings.extend(data.problems.iter().chain(&outcome.problems).map(|p| format!("left out: {p}")));
        // `classify models` lists it; a training isn't lost where that fails.
        warnings.extend(remember_trained(self.folder).err().map(|error| error.to_string()));
        let (part, quoted) = figures.quoted();
        warnings.extend(quoted.warnings());
        Ok(Finished {
            folder: self.folder.to_owned(),
            summary: quoted.summary(part, data.labels.len()),
            part: part.to_owned(),
            warnings,
        })
    }
}
