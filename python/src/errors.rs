//! The program's errors as Python's.

use classify::Error;
use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;

/// The class of `classify_video._errors` that `error` is in Python.
pub(crate) fn class(error: &Error) -> &'static str {
    match error {
        Error::Clip { .. } => "ClipError",
        Error::Model { .. } => "ModelError",
        Error::Data { .. } => "DataError",
        Error::Io { .. } => "FileError",
        Error::Usage(_) => "UsageError",
        _ => "ClassifyError",
    }
}

/// The file that `error` is about.
pub(crate) fn path(error: &Error) -> Option<String> {
    match error {
        Error::Clip { path, .. }
        | Error::Model { path, .. }
        | Error::Data { path, .. }
        | Error::Io { path, .. } => Some(path.to_string_lossy().into_owned()),
        _ => None,
    }
}

/// `error` to be raised.
pub(crate) fn raised(py: Python<'_>, error: &Error) -> PyErr {
    of(py, class(error), path(error), error.reason())
}

/// What is wrong with what the caller knows as `name`, to be raised.
pub(crate) fn about(py: Python<'_>, error: &Error, name: String) -> PyErr {
    match error {
        Error::Clip { .. } => of(py, "ClipError", Some(name), error.reason()),
        Error::Interrupted(reason) => PyKeyboardInterrupt::new_err(reason.clone()),
        // A worker that can't be started says so by its usage of the model.
        other => of(py, "ClassifyError", path(other), other.reason()),
    }
}

fn of(py: Python<'_>, class: &str, path: Option<String>, reason: String) -> PyErr {
    let made = py
        .import("classify_video._errors")
        .and_then(|errors| errors.getattr(class))
        .and_then(|class| class.call1((path, reason)));
    match made {
        Ok(error) => PyErr::from_value(error),
        Err(error) => error,
    }
}
