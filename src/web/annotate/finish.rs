//! From labels to a model, asked for by the page or by Ctrl-C.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use crate::annotation::{Finished, Session};
use crate::learning::training::{Epoch, Observer, Pace};

/// How far that is.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub(crate) enum Finishing {
    /// Nobody has asked yet.
    Idle,
    Running {
        /// What is being done.
        doing: String,
        /// How much of that is done, 0 to 1.
        share: f64,
    },
    Done(Done),
    Failed {
        reason: String,
    },
}

/// A model, and what it is for.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Done {
    #[serde(flatten)]
    pub finished: Finished,
    /// Labels all the clips.
    pub command: String,
}

/// The end of a session: it can be come to several times.
pub(crate) struct Finish {
    /// The command that labels all clips.
    rest: String,
    state: Mutex<Finishing>,
    /// Held while a model is being made.
    turn: Mutex<()>,
}

impl Finish {
    pub(crate) fn new(rest: String) -> Self {
        Self { rest, state: Mutex::new(Finishing::Idle), turn: Mutex::default() }
    }

    pub(crate) fn state(&self) -> Finishing {
        lock(&self.state).clone()
    }

    /// It is asked for: from here on no model that was made before is shown as this one.
    pub(crate) fn begin(&self) {
        self.set(Finishing::Running { doing: "making the model".into(), share: 0.0 });
    }

    /// Writes the list and the model, after one that is being made already. How it ended.
    pub(crate) fn run(&self, session: &Session) -> Finishing {
        let _turn = lock(&self.turn);
        self.begin();
        let end = match session.finish(self) {
            Ok(finished) => Finishing::Done(Done { finished, command: self.rest.clone() }),
            Err(error) => Finishing::Failed { reason: error.to_string() },
        };
        self.set(end.clone());
        end
    }

    fn set(&self, state: Finishing) {
        *lock(&self.state) = state;
    }
}

impl Observer for Finish {
    fn features(&self, done: usize, total: usize) {
        let share = done as f64 / total.max(1) as f64;
        self.set(Finishing::Running { doing: "looking at the labelled clips".into(), share });
    }

    fn step(&self, stage: &str, pace: Pace, _loss: f64) {
        let Pace { epoch, epochs, step, steps, .. } = pace;
        let done = (epoch - 1) as f64 + step as f64 / steps.max(1) as f64;
        let doing = format!("training ({stage})");
        self.set(Finishing::Running { doing, share: (done / epochs.max(1) as f64).min(1.0) });
    }

    fn epoch(&self, _row: &Epoch) {}
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
