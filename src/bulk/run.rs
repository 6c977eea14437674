//! A run whose results go to a journal first, and from there to the output.

use std::collections::HashSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Header, Journal, Stamp};
use super::{Ordered, Settings, in_order};
use crate::bulk::worker::{Pool, Request};
use crate::output::{Exporter, Row};
use crate::{ClipLabels, Error, Result, stores};

/// Which results of an earlier run count.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Trust {
    /// None: start anew.
    pub resume: bool,
    /// A clip is the same if its content is, not if its size and time of change are.
    pub checksum: bool,
    /// Clips that failed are tried again.
    pub retry_failed: bool,
}

/// A run over `clips`.
pub(crate) struct Run {
    shared: Arc<Shared>,
}

struct Shared {
    clips: Arc<[PathBuf]>,
    journal: Mutex<Journal<Outcome>>,
    trust: Trust,
}

/// What the journal holds of a clip: labels, or what is wrong with it.
type Outcome = Result<ClipLabels, String>;

/// What became of one clip.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// Labelled just now.
    Labelled(ClipLabels),
    /// Failed just now.
    Failed(String),
    /// An earlier run labelled it, or it is the same clip again.
    Known,
    /// An earlier run failed on it; why.
    KnownFailed(String),
}

/// The journal of the output at `path`: beside it, so that it is found again; that of an object in this folder, by the
/// name of its address, as nothing can be added to an object.
pub(crate) fn journal_path(output: &Path) -> PathBuf {
    let mut name = match stores::is_address(output) {
        true => output.to_string_lossy().replace("://", "-").replace('/', "-").into(),
        false => output.as_os_str().to_owned(),
    };
    name.push(".journal");
    name.into()
}

impl Run {
    /// Opens the journal of `output`.
    ///
    /// # Errors
    /// See [`Journal::open`].
    pub(crate) fn open(output: &Path, clips: Arc<[PathBuf]>, header: &Header, trust: Trust) -> Result<Self> {
        let journal = Mutex::new(Journal::open(&journal_path(output), header, !trust.resume)?);
        Ok(Self { shared: Arc::new(Shared { clips, journal, trust }) })
    }

    /// Labels what the journal doesn't know. The iterator hands out one step a clip, in their order;
    /// an error ends the run, and what is in the journal stays there.
    pub(crate) fn start(
        &self,
        pool: Arc<Pool>,
        settings: &Settings,
        request: impl Fn(&Path) -> Request + Send + Sync + 'static,
    ) -> Result<Ordered<Result<Step>>> {
        let shared = self.shared.clone();
        let repeated = repeated(&shared.clips);
        in_order(self.shared.clips.len(), settings, move |index| {
            if repeated.contains(&index) {
                return Ok(Step::Known);
            }
            shared.step(&shared.clips[index], &pool, &request)
        })
    }

    /// Writes the whole output from the journal, in the order of the clips.
    pub(crate) fn write(
        &self,
        exporter: &mut dyn Exporter,
        out: &mut dyn Write,
        output: &Path,
    ) -> Result<()> {
        let io = |e| Error::io(output, e);
        let mut journal = self.shared.journal();
        journal.sync()?;
        exporter.header(out).map_err(io)?;
        let mut lines = Vec::new();
        for path in self.shared.clips.iter() {
            let outcome = journal.result(path)?;
            let outcome = outcome.unwrap_or_else(|| Err("not labelled; --resume goes on".into()));
            lines.clear();
            exporter.row(&Row { path: path.clone(), outcome }, &mut lines).map_err(io)?;
            if exporter.is_coloured() {
                lines = anstream::adapter::strip_bytes(&lines).into_vec();
            }
            out.write_all(&lines).map_err(io)?;
        }
        exporter.end(out).map_err(io)
    }

    /// What the journal holds of the clip at `path`.
    pub(crate) fn result(&self, path: &Path) -> Result<Option<Outcome>> {
        self.shared.journal().result(path)
    }

    /// Makes sure that what was done stays, also through a power cut.
    pub(crate) fn sync(&self) -> Result<()> {
        self.shared.journal().sync()
    }

    /// Removes the journal: the output is in place.
    pub(crate) fn remove_journal(&self) -> Result<()> {
        self.shared.journal().remove()
    }

    /// Damaged lines in the journal of an earlier run.
    pub(crate) fn damaged(&self) -> usize {
        self.shared.journal().damaged()
    }
}

impl Shared {
    fn journal(&self) -> MutexGuard<'_, Journal<Outcome>> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn step(&self, path: &Path, pool: &Pool, request: &impl Fn(&Path) -> Request) -> Result<Step> {
        // Before the clip is read: one that changes while it is read is done again the next time.
        let stamp = Stamp::of(path, self.trust.checksum);
        if let Some(known) = self.known(path, stamp.as_ref())? {
            return Ok(known);
        }
        let outcome = match pool.ask::<ClipLabels>(&request(path)) {
            Ok(labels) => Ok(labels),
            Err(Error::Clip { reason, .. }) => Err(reason),
            Err(fatal) => return Err(fatal),
        };
        self.journal().add(path, stamp, &outcome)?;
        Ok(match outcome {
            Ok(labels) => Step::Labelled(labels),
            Err(reason) => Step::Failed(reason),
        })
    }

    fn known(&self, path: &Path, stamp: Option<&Stamp>) -> Result<Option<Step>> {
        let mut journal = self.journal();
        if !journal.knows(path, stamp) {
            return Ok(None);
        }
        Ok(match journal.result(path)? {
            Some(Ok(_)) => Some(Step::Known),
            Some(Err(reason)) if !self.trust.retry_failed => Some(Step::KnownFailed(reason)),
            _ => None,
        })
    }
}

/// The places at which a clip stands that stood at an earlier place already.
fn repeated(clips: &[PathBuf]) -> HashSet<usize> {
    let mut seen = HashSet::with_capacity(clips.len());
    (0..clips.len()).filter(|i| !seen.insert(&clips[*i])).collect()
}
