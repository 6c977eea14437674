//! A lone clip or film: seen by a copy of this process, which may crash or hang in the decoder.
//!
//! Many clips go to worker processes, but starting one costs more than a short clip itself: linking
//! FFmpeg anew takes longer than decoding. A copy made before anything is loaded costs under a millisecond.

#[cfg(unix)]
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

#[cfg(unix)]
use super::Status;
#[cfg(unix)]
use crate::bulk::worker::{crashed, describe};

/// What became of the copy.
pub(super) enum Ended {
    /// It said all there was to say, and ended with this status.
    WithStatus(u8),
    /// It died; why, as a clip's error says it.
    Died(String),
}

/// Copies this process. The copy gets nothing and goes on; the original waits and gets its end. Must be
/// called before other threads are started. Where copies can't be made, the process itself goes on.
#[cfg(unix)]
pub(super) fn copy(timeout: Duration) -> Option<Ended> {
    match split()? {
        Side::Original(status) => Some(ended(status, timeout)),
        Side::Copy => {
            crate::allocator::keep_for_clips();
            None
        }
    }
}

/// Does `work` in a copy of this process and says how it ended; `work` gives the copy's status. Must be
/// called while no other threads are there. Where copies can't be made, the process itself does it.
#[cfg(unix)]
pub(super) fn in_copy(work: impl FnOnce() -> u8) -> Ended {
    match split() {
        Some(Side::Original(status)) => ended(status, Duration::MAX),
        None => Ended::WithStatus(work()),
        Some(Side::Copy) => {
            let code = work();
            // SAFETY: ends the copy. What the original has open (its draft of the output) stays.
            unsafe { libc::_exit(code.into()) }
        }
    }
}

#[cfg(unix)]
enum Side {
    Copy,
    /// The original gets the copy's end.
    Original(std::process::ExitStatus),
}

#[cfg(unix)]
fn ended(status: std::process::ExitStatus, timeout: Duration) -> Ended {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => Ended::WithStatus(code as u8),
        // Somebody ended it before it had a say in that.
        (None, Some(libc::SIGINT | libc::SIGTERM | libc::SIGHUP)) => {
            Ended::WithStatus(Status::Interrupted.code())
        }
        (None, Some(libc::SIGALRM)) => Ended::Died(crate::bulk::worker::too_late(timeout, "--timeout")),
        _ => Ended::Died(crashed(&describe(status))),
    }
}

#[cfg(unix)]
fn split() -> Option<Side> {
    use std::os::unix::process::ExitStatusExt;

    // SAFETY: no other thread is there yet, so the copy is whole; the rest are plain settings.
    unsafe {
        // Where it is ignored, nobody learns how a copy ended.
        libc::signal(libc::SIGCHLD, libc::SIG_DFL);
        let parent = libc::getpid();
        match libc::fork() {
            -1 => None,
            0 => {
                let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
                libc::setrlimit(libc::RLIMIT_CORE, &none);
                #[cfg(target_os = "linux")]
                {
                    libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                    if libc::getppid() != parent {
                        libc::_exit(1);
                    }
                }
                Some(Side::Copy)
            }
            child => {
                // Ctrl-C goes to both: the copy decides what it means.
                libc::signal(libc::SIGINT, libc::SIG_IGN);
                COPY.store(child, Ordering::Relaxed);
                let before = libc::signal(libc::SIGTERM, pass_on as *const () as libc::sighandler_t);
                let mut status = 0;
                while libc::waitpid(child, &mut status, 0) == -1 {}
                libc::signal(libc::SIGTERM, before);
                Some(Side::Original(std::process::ExitStatus::from_raw(status)))
            }
        }
    }
}

/// The copy that is waited for.
#[cfg(unix)]
static COPY: AtomicI32 = AtomicI32::new(0);

/// Who ends the original means the copy, which tidies up.
#[cfg(unix)]
extern "C" fn pass_on(signal: libc::c_int) {
    // SAFETY: a call that signal handlers may make; the copy is not yet collected.
    unsafe { libc::kill(COPY.load(Ordering::Relaxed), signal) };
}

#[cfg(not(unix))]
pub fn copy(_timeout: Duration) -> Option<Ended> {
    None
}

#[cfg(not(unix))]
pub fn in_copy(work: impl FnOnce() -> u8) -> Ended {
    Ended::WithStatus(work())
}

/// Ends this process after `timeout`.
pub(super) fn set_alarm(timeout: Duration) {
    #[cfg(unix)]
    // SAFETY: all fields of both structures are numbers; the pointers are good for the call.
    unsafe {
        let mut timer: libc::itimerval = std::mem::zeroed();
        timer.it_value.tv_sec = timeout.as_secs() as libc::time_t;
        timer.it_value.tv_usec = timeout.subsec_micros().max(1) as libc::suseconds_t;
        libc::setitimer(libc::ITIMER_REAL, &timer, std::ptr::null_mut());
    }
    #[cfg(not(unix))]
    let _ = timeout;
}
