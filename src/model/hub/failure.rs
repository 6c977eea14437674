//! What goes wrong on the way to the hub, and how often it may.

use std::time::Duration;

use super::Told;

/// Tries of one request before it is given up; bytes that arrived in between start the count anew.
const TRIES: u32 = 5;
/// The wait after the first failure; it doubles with each.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// The longest that a hub may ask to wait before it is left to the user.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// Why a request came to nothing.
#[derive(Debug)]
pub(super) enum Failure {
    /// The same may go well in a moment, or when the hub says.
    Passing {
        reason: String,
        wait: Option<Duration>,
    },
    Lasting(String),
}

impl Failure {
    pub(super) fn passing(reason: impl Into<String>) -> Self {
        Self::Passing { reason: reason.into(), wait: None }
    }
}

impl From<String> for Failure {
    fn from(reason: String) -> Self {
        Self::Lasting(reason)
    }
}

/// Failures so far.
#[derive(Debug, Default)]
pub(super) struct Patience(u32);

impl Patience {
    /// Something went well.
    pub(super) fn renew(&mut self) {
        self.0 = 0;
    }

    /// Waits until it is worth another try.
    ///
    /// # Errors
    /// What to tell the user where it isn't.
    pub(super) fn endure(&mut self, failure: Failure, tell: &dyn Fn(Told)) -> Result<(), String> {
        let (reason, asked) = match failure {
            Failure::Lasting(reason) => return Err(reason),
            Failure::Passing { reason, wait } => (reason, wait),
        };
        self.0 += 1;
        let wait = asked.unwrap_or(FIRST_WAIT * 2u32.pow(self.0 - 1));
        if wait > LONGEST_WAIT {
            return Err(format!("{reason}; the hub asks to wait {} s: run it again then", wait.as_secs()));
        }
        if self.0 == TRIES {
            return Err(format!("{reason}, {TRIES} times; run it again later: it goes on from there"));
        }
        tell(Told::Note(format!("{reason}; trying again in {} s", wait.as_secs_f64())));
        std::thread::sleep(wait);
        Ok(())
    }
}

/// `work` until it goes well, or isn't worth another try.
pub(super) fn persist<T>(tell: &dyn Fn(Told), work: impl Fn() -> Result<T, Failure>) -> Result<T, String> {
    let mut patience = Patience::default();
    loop {
        match work() {
            Ok(value) => return Ok(value),
            Err(failure) => patience.endure(failure, tell)?,
        }
    }
}
