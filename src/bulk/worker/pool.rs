//! As many workers as are asked at the same time.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::process::{Failure, Process, too_late};
use super::{Request, Setup};
use crate::{Error, Result};

/// Workers with one [`Setup`]; a free one takes the next request, and one is started where none is free.
pub struct Pool {
    program: PathBuf,
    setup: Setup,
    timeout: Duration,
    free: Mutex<Vec<Process>>,
}

impl Pool {
    /// Workers that are killed where a clip takes longer than `timeout`. `program` is this program.
    pub fn new(program: &Path, setup: Setup, timeout: Duration) -> Self {
        Self { program: program.to_owned(), setup, timeout, free: Mutex::default() }
    }

    /// The running program itself.
    pub fn of_this_program(setup: Setup, timeout: Duration) -> Result<Self> {
        // The link stays right when the file is replaced by a newer version during a long run.
        let link = PathBuf::from("/proc/self/exe");
        let program = if link.exists() { Ok(link) } else { std::env::current_exe() };
        let program =
            program.map_err(|e| Error::Usage(format!("can't find this program's own file: {e}")))?;
        Ok(Self::new(&program, setup, timeout))
    }

    fn start(&self) -> Result<Process> {
        Process::start(&self.program, &self.setup).map_err(Error::Usage)
    }

    /// Has `request` done and returns its answer.
    ///
    /// # Errors
    /// [`Error::Clip`] with what the worker said is wrong with the clip, or that it took too long or
    /// crashed; [`Error::Usage`] where no worker can be started.
    pub fn ask<T: DeserializeOwned>(&self, request: &Request) -> Result<T> {
        let clip = request.clip();
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut process = match free {
            Some(process) => process,
            None => self.start()?,
        };
        let answer = process.ask(request, self.timeout).map_err(|failure| {
            let reason = match failure {
                Failure::Late => too_late(self.timeout),
                Failure::Died(how) => format!("crashed the decoder: {how}"),
            };
            Error::clip(&clip.path, reason)
        })?;
        self.give_back(process);
        let answer: Result<T, String> = serde_json::from_str(&answer)
            .map_err(|e| Error::clip(&clip.path, format!("a worker's answer makes no sense: {e}")))?;
        answer.map_err(|reason| Error::clip(&clip.path, reason))
    }

    fn give_back(&self, process: Process) {
        self.free.lock().unwrap_or_else(PoisonError::into_inner).push(process);
    }
}
