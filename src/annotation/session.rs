//! A labelling session over some clips.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use candle_core::Device;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::finish::Models;
use super::item::Item;
use super::journal::What;
use super::state::State;
use super::watch::{Seen, Watch};
use super::{Clip, Id, Offer, Options, Status, Verdict, list, opening};
use crate::bulk;
use crate::bulk::worker::Setup;
use crate::error::{guard, words};
use crate::learning::FeatureCache;
use crate::model::ModelFiles;
use crate::{Error, Result};

/// How often the journal is made safe against a power cut, and a waiting teacher looks whether it was asked to stop.
pub(super) const LOOK: Duration = Duration::from_secs(1);

/// A labelling session. All methods answer at once but [`Self::finish`].
///
/// A `reader` is one open page: what is offered to one isn't offered to another at the same time, and undo takes back
/// what the page itself did last.
pub(crate) struct Session {
    pub(super) options: Options,
    pub(super) models: Models,
    state: Mutex<State>,
    /// The model is to learn anew.
    lesson: Condvar,
    /// Held while the list is written, so that an older content never comes after a newer one.
    writing: Mutex<()>,
}

impl Session {
    /// Takes up the session of `options.output`, or begins one, and starts to look at the clips.
    ///
    /// # Errors
    /// Where the list or the journal can't be read or written, another process holds the journal, or the model can't be
    /// had.
    pub(crate) fn open(options: Options) -> Result<Arc<Self>> {
        let session = Arc::new(Self::take_up(options)?);
        session.watch()?;
        let start = |work: fn(&Self)| {
            let session = session.clone();
            std::thread::Builder::new()
                .spawn(move || work(&session))
                .map_err(|e| Error::Usage(format!("can't start a thread: {e}")))
        };
        start(Self::teach)?;
        start(Self::make_models)?;
        Ok(session)
    }

    /// With nothing going on in the background.
    fn take_up(options: Options) -> Result<Self> {
        let state = Mutex::new(opening::state(&options)?);
        let (models, lesson) = (Models::default(), Condvar::new());
        Ok(Self { options, models, state, lesson, writing: Mutex::default() })
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.options.stop.load(Ordering::Relaxed)
    }

    /// Starts to compute the clips' features.
    fn watch(self: &Arc<Self>) -> Result<()> {
        let Options { backbone, changes, cache, threads, timeout, stop, seed, .. } = &self.options;
        let mut base = ModelFiles::named(backbone)?.changed(changes).load(&Device::Cpu)?;
        base.config.check().map_err(|e| Error::Usage(words(&e)))?;
        base.keep_backbone();
        let (files, mut order): (Vec<_>, _) = {
            let state = self.state();
            let order: Vec<usize> =
                (0..state.items.len()).filter(|&clip| state.broken[clip].is_none()).collect();
            let parts = state.items.iter().map(Item::part);
            (state.files.iter().cloned().zip(parts).collect(), order)
        };
        order.shuffle(&mut ChaCha8Rng::seed_from_u64(*seed));
        let watch = Watch {
            files,
            order,
            cache: cache.as_ref().map(|root| FeatureCache::new(root, &base)).transpose()?,
            setup: Setup {
                model: Some(backbone.clone()),
                changes: changes.clone(),
                training: true,
                ..Setup::without_model(1)
            },
            timeout: *timeout,
            threads: *threads,
            stop: stop.clone(),
        };
        let session = self.clone();
        watch.start(move |seen| session.see(seen))
    }

    fn see(&self, seen: Seen) {
        let mut state = self.state();
        match seen {
            Seen::Features { clip, mean, fresh } => state.seen(clip, mean, fresh),
            Seen::Broken { clip, reason } => {
                state.broken[clip] = Some(reason);
                state.version += 1;
                state.want_lesson();
            }
            Seen::Trouble(trouble) => drop(state.trouble.get_or_insert(trouble)),
        }
        if state.wanted {
            self.lesson.notify_one();
        }
    }

    /// Learns whenever there is something to learn, until asked to stop.
    fn teach(&self) {
        let pool = bulk::pool(self.options.threads);
        while !self.is_stopped() {
            let state = self.state();
            let idle = |state: &mut State| !state.wanted && !self.is_stopped();
            let waited = self.lesson.wait_timeout_while(state, LOOK, idle);
            let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
            if !state.wanted {
                let file = state.journal.file();
                drop(state);
                // A power cut costs a second's answers at most.
                let _ = file.map(|file| file.sync_data());
                continue;
            }
            drop(state);
            match &pool {
                Ok(pool) => pool.install(|| self.learn()),
                Err(_) => self.learn(),
            }
        }
    }

    /// Learns from what was said so far, chooses the next round, writes the list, and has a model made of it where a round is
    /// over.
    fn learn(&self) {
        let snapshot = {
            let mut state = self.state();
            state.learning = true;
            // Of a round that is over nothing is left to be offered. As long as clips are being looked at, the processor has
            // better things to do; and features that are not kept would have to be computed again.
            state.wants_model |= state.round.is_empty()
                && state.answered > 0
                && state.is_seen()
                && self.options.cache.is_some()
                && state.trouble.is_none();
            state.snapshot()
        };
        let lesson = guard(&self.options.output, || snapshot.learn());
        {
            let mut state = self.state();
            state.learning = false;
            if let Err(error) = lesson.and_then(|lesson| state.adopt(lesson, snapshot.given)) {
                state.trouble = Some(format!("the model can't learn: {error}"));
            }
        }
        if let Err(error) = self.save() {
            self.state().trouble = Some(format!("the list can't be written: {error}"));
        }
        self.models.round.notify_one();
    }

    /// The next `count` clips for `reader`, first the next; asked again before an answer, they are the same. None while
    /// no clip is ready, or when all are labelled.
    pub(crate) fn next(&self, count: usize, reader: &str) -> Vec<Offer> {
        let mut state = self.state();
        let offers = state.offer(count, reader);
        if state.wanted {
            self.lesson.notify_one();
        }
        offers
    }

    /// Takes down what was said of a clip, also of one that had an answer before.
    ///
    /// # Errors
    /// [`Error::Usage`] for an unknown clip or an impossible label, [`Error::Io`] where the journal can't be written: then
    /// nothing has changed.
    pub(crate) fn label(&self, id: Id, verdict: Verdict, reader: &str) -> Result<()> {
        let mut state = self.state();
        let clip = number(&state, id)?;
        let item = state.items[clip].clone();
        let what = match verdict {
            Verdict::Label(label) => {
                list::check_label(&label)?;
                nameable(&state, clip)?;
                What::Label { item, label, held_out: state.held_out()[clip] }
            }
            Verdict::Skip => What::Skip { item },
            Verdict::Broken => What::Broken { item },
        };
        state.take_down(what, Some(reader))?;
        state.answered(clip);
        if state.wanted {
            self.lesson.notify_one();
        }
        Ok(())
    }

    /// Takes back what `reader` did last (a verdict, a grid, a renaming). The clips that it was about; none where there is
    /// nothing.
    ///
    /// # Errors
    /// [`Error::Io`] where the journal can't be written.
    pub(crate) fn undo(&self, reader: &str) -> Result<Vec<Id>> {
        let mut state = self.state();
        let Some(event) = state.book.last_of(reader) else { return Ok(Vec::new()) };
        let clips = state.book.clips_of(event);
        state.take_down(What::Undo { event }, Some(reader))?;
        Ok(clips.iter().map(Item::id).collect())
    }

    /// All about one clip.
    pub(crate) fn clip(&self, id: Id) -> Option<Clip> {
        let state = self.state();
        state.numbers.get(&id).map(|&clip| state.clip(clip))
    }

    /// Takes down a grid: `right` show `label`, `wrong` show something else.
    ///
    /// # Errors
    /// As of [`Self::label`].
    pub(crate) fn confirm(&self, label: &str, right: &[Id], wrong: &[Id], reader: &str) -> Result<()> {
        list::check_label(label)?;
        let mut state = self.state();
        let held = state.held_out();
        let items = |ids: &[Id]| -> Result<Vec<Item>> {
            ids.iter()
                .map(|id| {
                    let clip = number(&state, *id)?;
                    nameable(&state, clip)?;
                    Ok((clip, state.items[clip].clone()))
                })
                // Twins may have been found since the grid was shown; the test takes no clips from grids.
                .filter(|found| found.as_ref().map_or(true, |(clip, _)| !held[*clip]))
                .map(|found| found.map(|(_, item)| item))
                .collect()
        };
        let what = What::Grid { label: label.to_owned(), right: items(right)?, wrong: items(wrong)? };
        state.take_down(what, Some(reader))?;
        state.want_lesson();
        self.lesson.notify_one();
        Ok(())
    }

    /// Calls all clips labelled `from` `to`; where `to` is there already, the two become one.
    ///
    /// # Errors
    /// [`Error::Usage`] where there is no `from` or `to` is impossible; [`Error::Io`] where the journal can't be written.
    pub(crate) fn rename(&self, from: &str, to: &str, reader: &str) -> Result<()> {
        list::check_label(to)?;
        let mut state = self.state();
        if !state.book.labels().iter().any(|label| label == from) {
            return Err(Error::Usage(format!("there is no label '{from}'")));
        }
        if from == to {
            return Ok(());
        }
        state.take_down(What::Rename { from: from.into(), to: to.into() }, Some(reader))?;
        for guess in state.guesses.iter_mut().flatten().filter(|guess| guess.label == from) {
            guess.label = to.into();
        }
        state.want_lesson();
        self.lesson.notify_one();
        Ok(())
    }

    /// How far it is.
    pub(crate) fn status(&self) -> Status {
        self.state().status()
    }

    /// The clips of which something was said after the version `since` of [`Status`], as they stand.
    pub(crate) fn changes(&self, since: u64) -> Vec<Clip> {
        let state = self.state();
        state.changed(since).map(|clip| state.clip(clip)).collect()
    }

    /// Writes the list as it stands.
    ///
    /// # Errors
    /// [`Error::Io`] where it can't be written.
    pub(crate) fn save(&self) -> Result<()> {
        self.write(&self.writing()).map(drop)
    }

    /// Nobody else writes the list while this is held.
    pub(super) fn writing(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the list as it stands, and says what tells it from others.
    pub(super) fn write(&self, _writing: &MutexGuard<'_, ()>) -> Result<String> {
        let (text, digest) = {
            let mut state = self.state();
            let text = list::text(&state.rows())?;
            let digest = list::digest(&text);
            // Before the list: one of another content was changed by somebody else.
            if !state.book.wrote(&digest) {
                state.take_down(What::Wrote { digest: digest.clone() }, None)?;
            }
            (text, digest)
        };
        list::write(&self.options.output, &text)?;
        Ok(digest)
    }
}

/// The number of the clip `id`.
fn number(state: &State, id: Id) -> Result<usize> {
    state
        .numbers
        .get(&id)
        .copied()
        .ok_or_else(|| Error::Usage(format!("there is no clip {id}; load the page anew")))
}

/// Refuses a label for a clip that the list can't name.
fn nameable(state: &State, clip: usize) -> Result<()> {
    match state.nameless.get(&clip) {
        None => Ok(()),
        Some(reason) => Err(Error::clip(&state.files[clip], reason)),
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
