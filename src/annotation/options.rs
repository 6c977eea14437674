//! What a session is about.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::model::Changes;

/// What a session is about.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// In the order in which they were given.
    pub clips: Vec<PathBuf>,
    /// Those of which parts are labelled, each on its own: from and to, in seconds.
    pub parts: HashMap<PathBuf, Vec<[f64; 2]>>,
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
    /// Folder that the model is written to.
    pub model: PathBuf,
    /// What the model's card says it was made by.
    pub command: String,
    /// Cores for features and training.
    pub threads: usize,
    /// How long the features of a clip may take.
    pub timeout: Duration,
    /// Ends all that goes on in the background.
    pub stop: Arc<AtomicBool>,
}
