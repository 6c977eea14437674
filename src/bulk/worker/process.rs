//! One worker process, as its owner sees it.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::{ARGUMENT, Setup, Told};

/// How long a worker may take to load its model.
const START: Duration = Duration::from_secs(300);

/// How often a waiting owner looks whether it was asked to stop.
const LOOK: Duration = Duration::from_millis(50);

/// A running worker.
pub(super) struct Process {
    child: Child,
    requests: ChildStdin,
    answers: Receiver<String>,
}

/// Why there is no answer.
pub(super) enum Failure {
    /// It took too long. The worker is dead.
    Late,
    /// It died; how.
    Died(String),
    /// Nobody wants an answer any more.
    Stopped,
}

impl Process {
    /// Starts a worker by `command` and waits until it is ready; the error says why it isn't.
    pub(super) fn start(command: &[OsString], setup: &Setup, stop: &AtomicBool) -> Result<Self, String> {
        let [program, arguments @ ..] = command else {
            return Err("nothing to start a worker process by".into());
        };
        let child = Command::new(program)
            .args(arguments)
            .arg(ARGUMENT)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // What a dying C library writes would tear the progress bar; its signal says enough.
            .stderr(Stdio::null())
            .spawn();
        let mut child = child.map_err(|e| format!("can't start a worker process: {e}"))?;
        let (Some(requests), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("can't talk to a worker process".into());
        };
        // A thread reads, because reading from a pipe knows no time limit.
        let (sender, answers) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines() {
                let Ok(line) = line else { return };
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let mut process = Self { child, requests, answers };
        match process.ask(setup, START, stop, &|_| ()) {
            Ok(answer) if answer == "\"ready\"" => Ok(process),
            Ok(reason) => Err(serde_json::from_str(&reason).unwrap_or(reason)),
            Err(Failure::Late) => Err("a worker process doesn't get ready".into()),
            Err(Failure::Died(how)) => Err(format!("a worker process ended at its start: {how}")),
            Err(Failure::Stopped) => Err("stopped before a worker process was ready".into()),
        }
    }

    /// Sends a request and waits for its answer. `tell` hears how far a worker is that says so on the way; `timeout` counts
    /// from there. After an error the worker is of no use any more.
    pub(super) fn ask(
        &mut self,
        request: &impl Serialize,
        timeout: Duration,
        stop: &AtomicBool,
        tell: &dyn Fn(f64),
    ) -> Result<String, Failure> {
        let mut line = serde_json::to_vec(request).map_err(|e| Failure::Died(e.to_string()))?;
        line.push(b'\n');
        // A worker that died before it read the request is noticed by the missing answer.
        let _ = self.requests.write_all(&line).and_then(|()| self.requests.flush());
        let mut start = Instant::now();
        loop {
            match self.answers.recv_timeout(LOOK.min(timeout.saturating_sub(start.elapsed()))) {
                Ok(line) => match serde_json::from_str(&line) {
                    Ok(Told { at }) => {
                        tell(at);
                        start = Instant::now();
                        if stop.load(Ordering::Relaxed) {
                            return Err(Failure::Stopped);
                        }
                    }
                    Err(_) => return Ok(line),
                },
                Err(RecvTimeoutError::Timeout) if stop.load(Ordering::Relaxed) => {
                    return Err(Failure::Stopped);
                }
                Err(RecvTimeoutError::Timeout) if start.elapsed() >= timeout => return Err(Failure::Late),
                Err(RecvTimeoutError::Timeout) => (),
                Err(RecvTimeoutError::Disconnected) => return Err(Failure::Died(self.how_it_ended())),
            }
        }
    }

    /// Itself, where it hasn't ended.
    pub(super) fn alive(mut self) -> Option<Self> {
        matches!(self.child.try_wait(), Ok(None)).then_some(self)
    }

    fn how_it_ended(&mut self) -> String {
        match self.child.wait() {
            Ok(status) => describe(status),
            Err(e) => e.to_string(),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.child.kill().is_ok() && !matches!(self.child.try_wait(), Ok(Some(_))) {
            // A process that waits for a dead network drive dies only when the drive comes back:
            // nobody may wait for it here. It is collected with this process at the latest.
            let pid = self.child.id() as libc::pid_t;
            std::thread::spawn(move || {
                // SAFETY: the child is ours and not waited for by anyone else.
                unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) };
            });
        }
    }
}

/// The error of a clip that a process died of, and `how`: see [`describe`].
pub(crate) fn crashed(how: &str) -> String {
    format!("crashed the decoder: {how}")
}

/// The error of a clip that took longer than `timeout`, which `option` sets.
pub(crate) fn too_late(timeout: Duration, option: &str) -> String {
    let seconds = (timeout.as_secs_f64() * 10.0).round() / 10.0;
    format!("not done within {seconds} s; {option} allows more")
}

/// How a process ended.
#[cfg(unix)]
pub(crate) fn describe(status: std::process::ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match status.signal() {
        Some(libc::SIGSEGV) => "segmentation fault (signal 11)".into(),
        Some(libc::SIGABRT) => "abort (signal 6)".into(),
        Some(libc::SIGFPE) => "arithmetic error (signal 8)".into(),
        Some(libc::SIGILL) => "illegal instruction (signal 4)".into(),
        Some(libc::SIGBUS) => "bus error (signal 7)".into(),
        Some(libc::SIGKILL) => "killed from outside, perhaps out of memory (signal 9)".into(),
        Some(signal) => format!("signal {signal}"),
        None => status.to_string(),
    }
}

#[cfg(not(unix))]
pub(crate) fn describe(status: std::process::ExitStatus) -> String {
    status.to_string()
}
