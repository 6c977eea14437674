//! As many workers as are asked at the same time.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::process::{Failure, Process, crashed, too_late};
use super::{Request, Setup};
use crate::{Error, Result, stores};

/// Workers with one [`Setup`]; a free one takes the next request, and one is started where none is free.
pub struct Pool {
    /// A program and its first arguments.
    command: Vec<OsString>,
    setup: Setup,
    timeout: Duration,
    free: Mutex<Vec<Process>>,
}

/// What became of a request.
pub(crate) enum Answer<T> {
    Done(T),
    /// The clip can't be used; why.
    Refused(String),
    /// It took too long; the worker is dead.
    Late,
    /// The worker died of it; how.
    Crashed(String),
    /// Nobody wanted it any more; the worker is dead, as there is no other way to end a decoder.
    Stopped,
}

/// What starts a worker where this process isn't this program.
static COMMAND: OnceLock<Vec<OsString>> = OnceLock::new();

/// From here on a worker is started by `command`, a program and its first arguments, which must come to
/// [`serve`](super::serve): for a process that has this crate as a library loaded into another program. The first call
/// counts.
pub fn start_by(command: Vec<OsString>) {
    COMMAND.get_or_init(|| command);
}

impl Pool {
    /// Workers that are killed where a clip takes longer than `timeout`. `program` is this program.
    pub fn new(program: &Path, setup: Setup, timeout: Duration) -> Self {
        Self { command: vec![program.into()], setup, timeout, free: Mutex::default() }
    }

    /// The running program itself, or what [`start_by`] named.
    pub fn of_this_program(setup: Setup, timeout: Duration) -> Result<Self> {
        if let Some(command) = COMMAND.get() {
            return Ok(Self { command: command.clone(), setup, timeout, free: Mutex::default() });
        }
        // The link stays right when the file is replaced by a newer version during a long run.
        let link = PathBuf::from("/proc/self/exe");
        let program = if link.exists() { Ok(link) } else { std::env::current_exe() };
        let program =
            program.map_err(|e| Error::Usage(format!("can't find this program's own file: {e}")))?;
        Ok(Self::new(&program, setup, timeout))
    }

    fn start(&self, stop: &AtomicBool) -> Result<Process> {
        Process::start(&self.command, &self.setup, stop).map_err(Error::Usage)
    }

    /// Makes sure that a worker can be started, and has one ready for the first request.
    ///
    /// # Errors
    /// [`Error::Usage`] with the reason why not.
    pub(crate) fn warm(&self) -> Result<()> {
        let process = self.start(&AtomicBool::new(false))?;
        self.give_back(process);
        Ok(())
    }

    /// Has `request` done and returns its answer.
    ///
    /// # Errors
    /// [`Error::Clip`] with what the worker said is wrong with the clip, or that it took too long or
    /// crashed; [`Error::Usage`] where no worker can be started.
    pub fn ask<T: DeserializeOwned>(&self, request: &Request) -> Result<T> {
        self.ask_until(request, self.timeout, &AtomicBool::new(false))
    }

    /// The same with a `timeout` of its own, and no longer than until `stop` is true.
    ///
    /// # Errors
    /// [`Error::Interrupted`] where it was stopped; the worker is dead then, as there is no other way to end a decoder.
    pub fn ask_until<T: DeserializeOwned>(
        &self,
        request: &Request,
        timeout: Duration,
        stop: &AtomicBool,
    ) -> Result<T> {
        self.ask_signed(request, stores::query(request.path()), timeout, stop)
    }

    /// The same of an address with this `query`, whatever this process knows of it.
    ///
    /// # Errors
    /// As [`Self::ask_until`].
    pub fn ask_signed<T: DeserializeOwned>(
        &self,
        request: &Request,
        query: Option<String>,
        timeout: Duration,
        stop: &AtomicBool,
    ) -> Result<T> {
        let path = request.path();
        match self.exchange(request, query, timeout, stop, &|_| ())? {
            Answer::Done(done) => Ok(done),
            Answer::Refused(reason) => Err(Error::clip(path, reason)),
            Answer::Late => Err(Error::clip(path, too_late(timeout, "--timeout"))),
            Answer::Crashed(how) => Err(Error::clip(path, crashed(&how))),
            Answer::Stopped => Err(Error::Interrupted(format!("in the middle of {}", path.display()))),
        }
    }

    /// What became of `request` within `timeout`, or until `stop` is true.
    ///
    /// # Errors
    /// [`Error::Usage`] where no worker can be started.
    pub(crate) fn answer<T: DeserializeOwned>(
        &self,
        request: &Request,
        timeout: Duration,
        stop: &AtomicBool,
    ) -> Result<Answer<T>> {
        self.answer_telling(request, timeout, stop, &|_| ())
    }

    /// The same where the worker says on the way how many seconds of the film it is through, which `tell` hears: it is
    /// late where it says nothing for `timeout`.
    ///
    /// # Errors
    /// [`Error::Usage`] where no worker can be started.
    pub(crate) fn answer_telling<T: DeserializeOwned>(
        &self,
        request: &Request,
        timeout: Duration,
        stop: &AtomicBool,
        tell: &dyn Fn(f64),
    ) -> Result<Answer<T>> {
        self.exchange(request, stores::query(request.path()), timeout, stop, tell)
    }

    fn exchange<T: DeserializeOwned>(
        &self,
        request: &Request,
        query: Option<String>,
        timeout: Duration,
        stop: &AtomicBool,
        tell: &dyn Fn(f64),
    ) -> Result<Answer<T>> {
        let mut process = match self.free() {
            Some(process) => process,
            None => self.start(stop)?,
        };
        let answer = match process.ask(&(request, query), timeout, stop, tell) {
            Ok(answer) => answer,
            Err(Failure::Late) => return Ok(Answer::Late),
            Err(Failure::Died(how)) => return Ok(Answer::Crashed(how)),
            Err(Failure::Stopped) => return Ok(Answer::Stopped),
        };
        self.give_back(process);
        Ok(match serde_json::from_str(&answer) {
            Ok(Ok(done)) => Answer::Done(done),
            Ok(Err(reason)) => Answer::Refused(reason),
            Err(e) => Answer::Refused(format!("a worker's answer makes no sense: {e}")),
        })
    }

    /// A worker that waits for a request. One that died while it waited costs no clip.
    fn free(&self) -> Option<Process> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        std::iter::from_fn(|| free.pop()).find_map(Process::alive)
    }

    fn give_back(&self, process: Process) {
        self.free.lock().unwrap_or_else(PoisonError::into_inner).push(process);
    }
}
