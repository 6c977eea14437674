//! The models of a session: of the labels of a round, made in the background while a person goes on, and of all labels
//! when that is asked for. Both are made here, one at a time, and the same labels never twice.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Options;
use super::finish::{Finished, Making};
use super::journal::What;
use super::session::{LOOK, Session};
use crate::error::guard;
use crate::learning::dataset::{self, Dataset};
use crate::learning::training::{BESIDE_MODEL, Observer};
use crate::{Error, Result, bulk};

/// The labels as they were written.
struct Labels {
    digest: String,
    data: Dataset,
}

impl Session {
    /// Writes the list, and the model of all labels given so far: seconds where all clips were looked at, and nothing where
    /// there is that model already.
    ///
    /// # Errors
    /// [`Error::Usage`] where the folder has another model, and those of [`crate::learning::training::train`]; labelling
    /// can go on after any.
    pub(crate) fn finish(&self, observer: &dyn Observer) -> Result<Finished> {
        let labels = self.labels(|digest| {
            if let Some((other, stop)) = &*lock(&self.models.underway)
                && other != digest
            {
                stop.store(true, Ordering::Relaxed);
            }
        })?;
        // Whoever wants this one to end ends the program.
        self.make(&labels, &AtomicBool::new(false), observer)
    }

    /// Makes a model whenever a round is over, until asked to stop; whatever else wants the processor goes first.
    pub(super) fn make_models(&self) {
        // Elsewhere that would be the whole program.
        #[cfg(target_os = "linux")]
        bulk::worker::step_back();
        while !self.is_stopped() {
            let idle = |state: &mut super::state::State| !state.wants_model && !self.is_stopped();
            let waited = self.models.round.wait_timeout_while(self.state(), LOOK, idle);
            let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
            let wanted = state.wants_model;
            drop(state);
            if wanted {
                self.make_along();
            }
        }
    }

    /// A model of the labels as they stand. Too few of them, or of one kind only, are no trouble: who finishes is told.
    pub(super) fn make_along(&self) {
        self.state().wants_model = false;
        let stop = Arc::new(AtomicBool::new(false));
        let made = guard(&self.options.output, || {
            let labels = self.labels(|digest| {
                *lock(&self.models.underway) = Some((digest.to_owned(), stop.clone()));
            })?;
            self.make(&labels, &stop, &())
        });
        *lock(&self.models.underway) = None;
        if let Err(error @ (Error::Io { .. } | Error::Tensor(_))) = made {
            self.state().trouble = Some(format!("no model could be made of the last round: {error}"));
        }
    }

    /// Writes the list and reads it as training does; `known` hears what tells it from others before the next is written.
    fn labels(&self, known: impl FnOnce(&str)) -> Result<Labels> {
        let writing = self.writing();
        let digest = self.write(&writing)?;
        let data = Dataset::open(&self.options.output, &dataset::Options::default())?;
        known(&digest);
        Ok(Labels { digest, data })
    }

    fn make(&self, labels: &Labels, stop: &AtomicBool, observer: &dyn Observer) -> Result<Finished> {
        let mut last = lock(&self.models.last);
        if let Some((digest, finished)) = &*last
            && *digest == labels.digest
            && finished.folder.join("config.json").is_file()
        {
            return Ok(finished.clone());
        }
        if stop.load(Ordering::Relaxed) {
            return Err(Error::Interrupted("a model of other labels is wanted".into()));
        }
        let Options { model, backbone, changes, cache, threads, command, .. } = &self.options;
        self.claim(model)?;
        let making = Making {
            data: &labels.data,
            folder: model,
            backbone,
            changes,
            cache: cache.as_deref(),
            threads: *threads,
            command,
        };
        let finished = making.make(stop, observer)?;
        *last = Some((labels.digest.clone(), finished.clone()));
        drop(last);
        let mut state = self.state();
        state.model = Some(finished.model.clone());
        state.version += 1;
        Ok(finished)
    }

    /// Takes down that the model in `folder` is made of these labels, unless there is another one.
    fn claim(&self, folder: &Path) -> Result<()> {
        let name = folder.to_string_lossy().into_owned();
        let mut state = self.state();
        if state.book.made(&name) {
            return Ok(());
        }
        let mut theirs = ["config.json"].into_iter().chain(BESIDE_MODEL).map(|name| folder.join(name));
        if let Some(file) = theirs.find(|file| file.exists()) {
            let reason = "is there already and wasn't made of these labels: name another folder with --model";
            return Err(Error::Usage(format!("{} {reason}", file.display())));
        }
        state.take_down(What::Model { folder: name }, None)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
