//! Ctrl-C: the first asks the command to end well, the second ends the process.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use super::Status;

/// A flag that becomes true on Ctrl-C (and on SIGTERM and SIGHUP). The command that asks for it
/// must watch it from then on.
pub(super) fn flag() -> Arc<AtomicBool> {
    static FLAG: OnceLock<Arc<AtomicBool>> = OnceLock::new();
    FLAG.get_or_init(|| {
        let flag = Arc::new(AtomicBool::new(false));
        let raised = flag.clone();
        let hangup = Hangup::read();
        // Without a handler Ctrl-C ends the process as ever, so nothing is lost by going on.
        let _ = ctrlc::set_handler(move || {
            if raised.swap(true, Ordering::Relaxed) {
                std::process::exit(Status::Interrupted.code().into());
            }
        });
        hangup.keep_ignored();
        flag
    })
    .clone()
}

/// Under nohup SIGHUP is ignored, and has to stay so: the handler would take its place.
struct Hangup {
    #[cfg(unix)]
    ignored: bool,
}

#[cfg(unix)]
impl Hangup {
    fn read() -> Self {
        // SAFETY: an all-zero sigaction is a valid one to be written to, and with no new action
        // given the call only reads.
        let ignored = unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            libc::sigaction(libc::SIGHUP, std::ptr::null(), &mut action) == 0
                && action.sa_sigaction == libc::SIG_IGN
        };
        Self { ignored }
    }

    fn keep_ignored(self) {
        if self.ignored {
            // SAFETY: ignoring a signal needs no handler that could be unsafe.
            unsafe { libc::signal(libc::SIGHUP, libc::SIG_IGN) };
        }
    }
}

#[cfg(not(unix))]
impl Hangup {
    fn read() -> Self {
        Self {}
    }

    fn keep_ignored(self) {}
}
