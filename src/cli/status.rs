//! What the process says when it ends.

use std::process::ExitCode;

use crate::Error;

/// The exit status of every command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// All was done.
    Done,
    /// At least one input failed.
    SomeFailed,
    /// Wrong usage, no input, or nothing could be done at all: no model, no output file.
    Refused,
    /// Ctrl-C.
    Interrupted,
}

impl Status {
    /// The status of a command that ended with `error`.
    pub fn of(error: &Error) -> Self {
        match error {
            Error::Clip { .. } => Self::SomeFailed,
            Error::Interrupted(_) => Self::Interrupted,
            _ => Self::Refused,
        }
    }

    /// The status that another process of ours ended with.
    pub fn from_code(code: u8) -> Self {
        let all = [Self::Done, Self::SomeFailed, Self::Interrupted];
        all.into_iter().find(|status| status.code() == code).unwrap_or(Self::Refused)
    }

    /// The number that the shell sees.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::SomeFailed => 1,
            Self::Refused => 2,
            Self::Interrupted => 130,
        }
    }
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        status.code().into()
    }
}
