//! A lone clip: labelled by a copy of this process, which may crash or hang in the decoder.
//!
//! Many clips go to worker processes, but starting one costs more than a short clip itself: linking
//! FFmpeg anew takes longer than decoding. A copy made before anything is loaded costs under a millisecond.

use std::time::Duration;

/// What became of the copy.
pub enum Ended {
    /// It said all there was to say, and ended with this status.
    WithStatus(u8),
    /// It died; why, as a clip's error says it.
    Died(String),
}

/// Copies this process. The copy gets nothing and goes on; the original waits and gets its end. Must be
/// called before other threads are started. Where copies can't be made, the process itself goes on.
#[cfg(unix)]
pub fn copy(timeout: Duration) -> Option<Ended> {
    use std::os::unix::process::ExitStatusExt;

    // SAFETY: no other thread is there yet, so the copy is whole; the rest are plain settings.
    unsafe {
        let parent = libc::getpid();
        match libc::fork() {
            -1 => None,
            0 => {
                let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
                libc::setrlimit(libc::RLIMIT_CORE, &none);
                classify::worker::keep_freed_memory();
                #[cfg(target_os = "linux")]
                {
                    libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                    if libc::getppid() != parent {
                        libc::_exit(1);
                    }
                }
                None
            }
            child => {
                // Ctrl-C goes to both: the copy decides what it means.
                libc::signal(libc::SIGINT, libc::SIG_IGN);
                let mut status = 0;
                while libc::waitpid(child, &mut status, 0) == -1 {}
                let status = std::process::ExitStatus::from_raw(status);
                Some(match (status.code(), status.signal()) {
                    (Some(code), _) => Ended::WithStatus(code as u8),
                    (None, Some(libc::SIGALRM)) => Ended::Died(classify::worker::too_late(timeout)),
                    _ => Ended::Died(classify::worker::crashed(status)),
                })
            }
        }
    }
}

#[cfg(not(unix))]
pub fn copy(_timeout: Duration) -> Option<Ended> {
    None
}

/// Ends this process after `timeout`.
pub fn set_alarm(timeout: Duration) {
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
