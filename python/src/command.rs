//! The command `classify`, as it is inside this module.

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use classify::{Error, cli, internals};
use pyo3::prelude::*;

use crate::errors;

/// Does what `arguments` ask (the program's name first), as the command does, and ends the process: Python's own end
/// would be in the way of copies that the command makes of itself.
#[pyfunction]
pub(crate) fn main(py: Python<'_>, arguments: Vec<OsString>) {
    take_signals_back();
    py.detach(|| std::process::exit(cli::run(arguments).into()))
}

/// Answers requests on the standard input until it ends, as a worker process, and ends the process.
#[pyfunction]
pub(crate) fn serve(py: Python<'_>) {
    py.detach(|| {
        let code = internals::bulk::worker::serve();
        std::process::exit((code != ExitCode::SUCCESS).into())
    })
}

/// [`main`] for a caller in another process: an error is told as the last line on the standard output,
/// `{"error": class, "path", "reason"}`. Ends with that process.
#[pyfunction]
pub(crate) fn tell(py: Python<'_>, arguments: Vec<OsString>) {
    py.detach(|| {
        take_signals_back();
        end_with_the_caller();
        std::process::exit(cli::attempt(arguments).unwrap_or_else(|error| told(&error)).into())
    })
}

fn told(error: &Error) -> u8 {
    let (class, path) = (errors::class(error), errors::path(error));
    let line = serde_json::json!({ "error": class, "path": path, "reason": error.reason() });
    // Nobody may be left to be told.
    let _ = writeln!(std::io::stdout(), "{line}");
    2
}

/// Whoever kills the caller means this process, too.
fn end_with_the_caller() {
    // SAFETY: a plain setting of this process.
    #[cfg(target_os = "linux")]
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
    }
}

/// Python's handler would keep Ctrl-C for Python, which doesn't get to see it any more.
fn take_signals_back() {
    // SAFETY: an all-zero sigaction is a valid one to be written to; the rest are plain settings.
    #[cfg(unix)]
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(libc::SIGINT, std::ptr::null(), &mut action);
        if action.sa_sigaction != libc::SIG_IGN {
            libc::signal(libc::SIGINT, libc::SIG_DFL);
        }
    }
}
