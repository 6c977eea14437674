//! Clips, handed to worker processes.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use classify::internals::bulk::available_threads;
use classify::internals::bulk::worker::{self, Pool, Request, Setup};
use classify::model::{Changes, Description, ModelFiles, Words, embedded_models};
use classify::{Error, Result};
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::errors::{about, raised};

/// How often a waiting call lets Python look for Ctrl-C.
const LOOK: Duration = Duration::from_millis(50);

/// From here on workers are started by `command`, a program and its first arguments.
#[pyfunction]
pub(crate) fn start_by(command: Vec<OsString>) {
    worker::start_by(command);
}

/// A model's worker processes.
#[pyclass(frozen, module = "classify_video._classify")]
pub(crate) struct Workers {
    setup: Setup,
    timeout: Duration,
    lanes: Mutex<Lanes>,
    /// The model's name or folder, so that it is found from anywhere.
    #[pyo3(get)]
    model: String,
    /// As results carry it.
    #[pyo3(get)]
    name: String,
    /// What the model can answer, in its own order.
    #[pyo3(get)]
    labels: Vec<String>,
    /// Whether the network sees brightness at three moments instead of red, green and blue.
    #[pyo3(get)]
    luma: bool,
    #[pyo3(get)]
    threads: usize,
}

/// Both of them, as far as they were needed: a clip alone gets all threads, many get one each.
#[derive(Default)]
struct Lanes {
    /// The process that they belong to.
    process: u32,
    alone: Option<Arc<Lane>>,
    many: Option<Arc<Lane>>,
}

/// So many clips at a time, each by a process of its own.
struct Lane {
    pool: Pool,
    slots: rayon::ThreadPool,
}

impl Lane {
    fn new(setup: Setup, timeout: Duration, slots: usize) -> Result<Arc<Self>> {
        // A mistake of ours costs its clip's answer, not Python.
        let threads = rayon::ThreadPoolBuilder::new().num_threads(slots).panic_handler(|_| ()).build();
        let slots = threads.map_err(|e| Error::Usage(format!("can't start {slots} threads: {e}")))?;
        Ok(Arc::new(Self { pool: Pool::of_this_program(setup, timeout)?, slots }))
    }
}

impl Drop for Lanes {
    /// A copy of the process (`os.fork`) must not end the workers of the one that it is a copy of.
    fn drop(&mut self) {
        if self.process != std::process::id() {
            std::mem::forget((self.alone.take(), self.many.take()));
        }
    }
}

#[pymethods]
impl Workers {
    #[new]
    #[pyo3(signature = (model, *, threads, top, windows, frames, size, threshold, labels, timeout))]
    #[expect(clippy::too_many_arguments, reason = "what a model can be asked for, by name")]
    fn new(
        py: Python<'_>,
        model: String,
        threads: Option<usize>,
        top: Option<usize>,
        windows: Option<usize>,
        frames: Option<usize>,
        size: Option<usize>,
        threshold: Option<f64>,
        labels: Option<Vec<(String, Vec<String>)>>,
        timeout: f64,
    ) -> PyResult<Self> {
        let changes = Changes { windows, frames, size, words: None, threshold };
        let labels = labels.map(|labels| {
            labels.into_iter().map(|(label, texts)| Description { label, texts }).collect::<Vec<_>>()
        });
        let made = py.detach(|| {
            let timeout = Duration::try_from_secs_f64(timeout).ok().filter(|timeout| !timeout.is_zero());
            let timeout = timeout.ok_or_else(|| Error::Usage("timeout: must be above 0 seconds".into()))?;
            Self::of(model, changes, labels, threads, top, timeout)
        });
        made.map_err(|error| raised(py, &error))
    }

    /// Has the clip at `path`, which the caller knows as `name`, labelled.
    fn label(&self, py: Python<'_>, path: PathBuf, name: Py<PyString>, alone: bool) -> PyResult<Ticket> {
        self.ask(py, path, name, alone, self.timeout, Request::label)
    }

    /// Has its filmstrip saved in the file `to`.
    fn strip(&self, py: Python<'_>, path: PathBuf, name: Py<PyString>, to: PathBuf) -> PyResult<Ticket> {
        self.ask(py, path, name, true, self.timeout, |path| Request::strip(path, to))
    }

    /// Has the frames that the model sees saved in the file `to`.
    fn frames(&self, py: Python<'_>, path: PathBuf, name: Py<PyString>, to: PathBuf) -> PyResult<Ticket> {
        self.ask(py, path, name, true, self.timeout, |path| Request::frames(path, to))
    }

    /// Has what the CNN makes of them saved in the file `to`.
    fn features(&self, py: Python<'_>, path: PathBuf, name: Py<PyString>, to: PathBuf) -> PyResult<Ticket> {
        self.ask(py, path, name, true, self.timeout, |path| Request::features(path, to))
    }

    /// Has the film at `path` watched, however long that takes.
    fn timeline(
        &self,
        py: Python<'_>,
        path: PathBuf,
        name: Py<PyString>,
        window: Option<f64>,
        cuts: bool,
    ) -> PyResult<Ticket> {
        self.ask(py, path, name, true, Duration::MAX, |path| Request::timeline(path, window, cuts))
    }
}

impl Workers {
    fn of(
        model: String,
        mut changes: Changes,
        labels: Option<Vec<Description>>,
        threads: Option<usize>,
        top: Option<usize>,
        timeout: Duration,
    ) -> Result<Self> {
        let files = ModelFiles::named(&model)?.changed(&changes);
        files.config.sampling.check().map_err(Error::Usage)?;
        changes.words = labels.map(|labels| Words::embed(&files, &labels)).transpose()?;
        let files = files.changed(&changes);
        // Workers, and those who unpickle a model, may be in another folder.
        let is_folder = !embedded_models().any(|name| name == model) && PathBuf::from(&model).is_dir();
        let model = match std::path::absolute(&model) {
            Ok(folder) if is_folder => folder.to_string_lossy().into_owned(),
            _ => model,
        };
        let threads = threads.unwrap_or_else(available_threads).max(1);
        let setup = Setup {
            model: Some(model.clone()),
            changes,
            device: "cpu".into(),
            threads,
            top: top.unwrap_or(usize::MAX),
            training: false,
        };
        let name = files.name();
        let luma = files.config.sampling.luma_lag.is_some();
        let labels = files.config.id2label;
        Ok(Self { setup, timeout, lanes: Mutex::default(), model, name, labels, luma, threads })
    }

    fn lane(&self, alone: bool) -> Result<Arc<Lane>> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        if lanes.process != std::process::id() {
            *lanes = Lanes { process: std::process::id(), alone: None, many: None };
        }
        let alone = alone || self.threads == 1;
        let (lane, slots) = match alone {
            true => (&mut lanes.alone, 1),
            false => (&mut lanes.many, self.threads),
        };
        if let Some(lane) = lane {
            return Ok(lane.clone());
        }
        let setup = Setup { threads: self.threads / slots, ..self.setup.clone() };
        Ok(lane.insert(Lane::new(setup, self.timeout, slots)?).clone())
    }

    fn ask(
        &self,
        py: Python<'_>,
        path: PathBuf,
        name: Py<PyString>,
        alone: bool,
        timeout: Duration,
        request: impl FnOnce(&std::path::Path) -> Request,
    ) -> PyResult<Ticket> {
        let (path, query) = worker::place(&path).map_err(|error| raised(py, &error))?;
        let request = request(&path);
        let lane = self.lane(alone).map_err(|error| raised(py, &error))?;
        let (stop, (sender, answer)) = (Arc::new(AtomicBool::new(false)), channel());
        let (given_up, worker) = (stop.clone(), lane.clone());
        lane.slots.spawn_fifo(move || {
            if !given_up.load(Ordering::Relaxed) {
                let answer = worker.pool.ask_signed::<serde_json::Value>(&request, query, timeout, &given_up);
                // Nobody may wait for it any more.
                let _ = sender.send(answer);
            }
        });
        Ok(Ticket { name, answer: Mutex::new(answer), stop })
    }
}

/// An answer to come. Who drops it doesn't want it any more, and the work on it ends.
#[pyclass(frozen, module = "classify_video._classify")]
pub(crate) struct Ticket {
    name: Py<PyString>,
    answer: Mutex<Receiver<Result<serde_json::Value>>>,
    stop: Arc<AtomicBool>,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

#[pymethods]
impl Ticket {
    /// Waits for the answer, JSON, while other threads of Python go on; Ctrl-C ends it.
    fn wait(&self, py: Python<'_>) -> PyResult<String> {
        loop {
            let answer =
                py.detach(|| self.answer.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(LOOK));
            match answer {
                Ok(answer) => {
                    return answer
                        .map(|value| value.to_string())
                        .map_err(|error| about(py, &error, &self.name));
                }
                Err(RecvTimeoutError::Timeout) => py.check_signals().inspect_err(|_| {
                    // The exception keeps what it passes through, this ticket too.
                    self.stop.store(true, Ordering::Relaxed);
                })?,
                Err(RecvTimeoutError::Disconnected) => {
                    let reason = "no answer came: a mistake inside this program, please report it";
                    return Err(about(py, &Error::clip("", reason), &self.name));
                }
            }
        }
    }
}
