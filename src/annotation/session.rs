//! A labelling session over some clips.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use serde::Serialize;

use super::{Clip, Found, Grid, Id, Offer, Query, Status, Verdict};
use crate::learning::training::Observer;
use crate::model::Changes;
use crate::Result;

/// What a session is about.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// In the order in which they were given.
    pub clips: Vec<PathBuf>,
    /// The labelled list, CSV. The journal stands beside it.
    pub output: PathBuf,
    /// Labels that are offered before the first answer, in this order.
    pub labels: Vec<String>,
    /// Model whose CNN looks at the clips: a name or a folder.
    pub backbone: String,
    /// Windows, frames and size of its look, where not its own.
    pub changes: Changes,
    /// Where features are kept; `None` keeps them in memory only.
    pub cache: Option<PathBuf>,
    /// Who labels, for the journal.
    pub by: Option<String>,
    /// Decides what is held out, and every other draw.
    pub seed: u64,
    /// Regular expression with one capture over a clip's name: its group.
    pub group: Option<String>,
    /// An output of a batch run, whose labels are shown as guesses.
    pub prelabels: Option<PathBuf>,
    /// Draw the clips in random order instead of choosing them: what choosing is measured against.
    pub random: bool,
    /// Folder that [`Session::finish`] writes the model to.
    pub model: PathBuf,
    /// Cores for features and training.
    pub threads: usize,
    /// How long the features of a clip may take.
    pub timeout: Duration,
    /// Ends all that goes on in the background.
    pub stop: Arc<AtomicBool>,
}

/// A model that was written.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Finished {
    pub folder: PathBuf,
    /// How good it is, in a few lines.
    pub summary: String,
    /// Labels the rest.
    pub command: String,
}

/// A labelling session. All methods answer at once but [`Self::finish`].
///
/// A `reader` is one open page: what is offered to one isn't offered to another at the same time, and undo takes back
/// what the page itself said last.
pub(crate) struct Session {}

impl Session {
    /// Takes up the session of `options.output`, or begins one, and starts to look at the clips.
    ///
    /// # Errors
    /// Where the list or the journal can't be read or written, another process holds the journal, or the model can't be
    /// had.
    pub(crate) fn open(options: Options) -> Result<Arc<Self>> {
        let _ = options;
        unimplemented!("skeleton")
    }

    /// The next `count` clips for `reader`, first the next; asked again before an answer, they are the same. None while
    /// no clip is ready, or when all are labelled.
    pub(crate) fn next(&self, count: usize, reader: &str) -> Vec<Offer> {
        let _ = (count, reader);
        unimplemented!("skeleton")
    }

    /// Takes down what was said of a clip, also of one that had an answer before.
    ///
    /// # Errors
    /// [`crate::Error::Usage`] for an unknown clip or an impossible label, [`crate::Error::Io`] where the journal can't
    /// be written: then nothing has changed.
    pub(crate) fn label(&self, id: Id, verdict: Verdict, reader: &str) -> Result<()> {
        let _ = (id, verdict, reader);
        unimplemented!("skeleton")
    }

    /// Takes back what `reader` did last (a verdict, a grid, a renaming). The clips that it was about; none where there is
    /// nothing.
    pub(crate) fn undo(&self, reader: &str) -> Result<Vec<Id>> {
        let _ = reader;
        unimplemented!("skeleton")
    }

    /// All about one clip.
    pub(crate) fn clip(&self, id: Id) -> Option<Clip> {
        let _ = id;
        unimplemented!("skeleton")
    }

    /// The clips that `query` wants: nearest first with `like`, else the last answer first, then in the clips' order.
    pub(crate) fn find(&self, query: &Query) -> Found {
        let _ = query;
        unimplemented!("skeleton")
    }

    /// Clips to be confirmed together, where a round has ended and the model is sure of some; `label` asks for those of one
    /// class at any time.
    pub(crate) fn grid(&self, label: Option<&str>) -> Option<Grid> {
        let _ = label;
        unimplemented!("skeleton")
    }

    /// Takes down a grid: `right` show `label`, `wrong` show something else.
    pub(crate) fn confirm(&self, label: &str, right: &[Id], wrong: &[Id], reader: &str) -> Result<()> {
        let _ = (label, right, wrong, reader);
        unimplemented!("skeleton")
    }

    /// Calls all clips labelled `from`, and those to come, `to`; where `to` is there already, the two become one.
    pub(crate) fn rename(&self, from: &str, to: &str, reader: &str) -> Result<()> {
        let _ = (from, to, reader);
        unimplemented!("skeleton")
    }

    /// How far it is.
    pub(crate) fn status(&self) -> Status {
        unimplemented!("skeleton")
    }

    /// The clips of which something was said since the version `since` of [`Status`], as they stand.
    pub(crate) fn changes(&self, since: u64) -> Vec<Clip> {
        let _ = since;
        unimplemented!("skeleton")
    }

    /// Writes the list as it stands.
    pub(crate) fn save(&self) -> Result<()> {
        unimplemented!("skeleton")
    }

    /// Writes the list, and the model by all labels given so far: minutes. `command` is what the card says it was made by.
    ///
    /// # Errors
    /// As of [`crate::learning::training::train`]; also where one is being written already.
    pub(crate) fn finish(&self, command: &str, observer: &dyn Observer) -> Result<Finished> {
        let _ = (command, observer);
        unimplemented!("skeleton")
    }
}
