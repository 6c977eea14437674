//! The program's errors as Python's.

use classify::Error;
use pyo3::prelude::*;
use pyo3::types::PyString;

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
    of(py, class(error), path(error), error)
}

/// What is wrong with the clip that the caller knows as `name`, to be raised.
pub(crate) fn about(py: Python<'_>, error: &Error, name: &Py<PyString>) -> PyErr {
    match error {
        Error::Clip { .. } => of(py, class(error), name, error),
        // A worker that can't be started is not of the caller's doing.
        _ => of(py, "ClassifyError", path(error), error),
    }
}

fn of<'py>(py: Python<'py>, class: &str, path: impl IntoPyObject<'py>, error: &Error) -> PyErr {
    let made = py
        .import("classify_video._errors")
        .and_then(|errors| errors.getattr(class))
        .and_then(|class| class.call1((path, error.reason())));
    made.map_or_else(|error| error, PyErr::from_value)
}
