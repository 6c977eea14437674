//! Clips to label, and all that it takes.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::bulk::Settings;
use crate::bulk::worker::{Pool, Setup};
use crate::model::{Changes, ModelFiles};
use crate::output::{Columns, Row};
use crate::{Classifier, Result};

use super::{Args, Console, DeviceName};

/// A run over clips; where the results go is up to `to_stdout.rs` and `to_file.rs`.
pub(super) struct Job<'a> {
    pub args: &'a Args,
    pub clips: Arc<[PathBuf]>,
    /// Files in walked folders that are no videos.
    pub skipped: usize,
    pub model: ModelFiles,
    pub settings: Settings,
    pub console: &'a Console,
}

impl Job<'_> {
    pub(super) fn load(&self) -> Result<Classifier> {
        self.args.load(self.model.clone())
    }

    /// What the results have in common.
    pub(super) fn columns(&self) -> Columns {
        Columns::of(&self.model.config, self.settings.top)
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.settings.stop.load(Ordering::Relaxed)
    }

    /// Processes that label clips, `top` labels each.
    pub(super) fn workers(&self, top: usize) -> Result<Arc<Pool>> {
        let model = &self.args.model;
        let setup = Setup {
            model: Some(model.model.clone()),
            changes: Changes {
                words: self.model.words().cloned(),
                threshold: self.args.threshold,
                ..model.changes()
            },
            device: if model.device == DeviceName::Cuda { "cuda" } else { "cpu" }.into(),
            threads: self.settings.threads_each(self.clips.len()),
            top,
            training: false,
        };
        Ok(Arc::new(Pool::of_this_program(setup, self.args.batch.timeout)?))
    }

    /// Writes the report and sorts the clips, where that is wanted.
    pub(super) fn finish(&self, rows: &[Row], pool: &Arc<Pool>) -> Result<()> {
        self.args.after.run(rows, &self.args.model.model, pool, &self.settings, self.console)
    }
}

/// What pages and folders need of a row, as all of them are in memory then.
pub(super) fn brief(mut row: Row) -> Row {
    if let Ok(clip) = &mut row.outcome {
        clip.shorten(2);
        clip.labels.shrink_to_fit();
    }
    row
}
