//! What can be wrong with a choice of kernels.

use std::ffi::OsStr;

/// An environment variable that asks for what isn't there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{variable}={value}: {reason}")]
pub struct Error {
    variable: &'static str,
    value: String,
    reason: String,
}

impl Error {
    pub(crate) fn new(variable: &'static str, value: &OsStr, reason: impl Into<String>) -> Self {
        Self { variable, value: value.display().to_string(), reason: reason.into() }
    }
}
