//! From a clip to its labels: workers decode, the networks are here, once for all.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::StatusCode;

use super::metrics::{Metrics, Stage};
use super::upload::{Clip, place};
use super::wish::Wish;
use crate::bulk;
use crate::bulk::worker::{Answer, Decoded, Film, Look, Pool, Request, Setup, crashed, too_late};
use crate::error::guard;
use crate::model::Changes;
use crate::output::pages::Filmstrip;
use crate::web::refusal::Refusal;
use crate::{Classifier, ClipLabels, Result};

/// A model that clips can be labelled by.
pub(crate) struct Model {
    /// As requests name it.
    pub name: String,
    /// As it was named when the server was started.
    pub given: String,
    pub classifier: Classifier,
}

/// Models, and all that labels clips by them.
pub(super) struct Engine {
    pub models: Vec<Model>,
    decoders: Pool,
    /// All cores, for a clip that is alone.
    whole: rayon::ThreadPool,
    /// A core each, for clips side by side: nothing waits for anything else then.
    shares: Mutex<Vec<rayon::ThreadPool>>,
    threads: usize,
    timeout: Duration,
    film_timeout: Duration,
    metrics: Arc<Metrics>,
}

/// A clip's labels, and a picture of it where one was wanted.
pub(super) struct Seen {
    pub labels: ClipLabels,
    pub strip: Option<Filmstrip>,
}

impl Engine {
    /// # Errors
    /// Where no worker or no thread can be started.
    pub(super) fn new(
        models: Vec<Model>,
        threads: usize,
        [timeout, film_timeout]: [Duration; 2],
        metrics: Arc<Metrics>,
    ) -> Result<Self> {
        let decoders = Pool::of_this_program(Setup::without_model(1), timeout)?;
        decoders.warm()?;
        let shares = Mutex::new((0..threads).map(|_| bulk::pool(1)).collect::<Result<_>>()?);
        let whole = bulk::pool(threads)?;
        Ok(Self { models, decoders, whole, shares, threads, timeout, film_timeout, metrics })
    }

    /// The model called `name`; the first where none is named.
    ///
    /// # Errors
    /// Where there is none of that name.
    pub(super) fn model(&self, name: Option<&str>) -> Result<&Model, Refusal> {
        let Some(name) = name else {
            return self.models.first().ok_or_else(|| Refusal::ours("this server has no model"));
        };
        self.models.iter().find(|model| model.name == name).ok_or_else(|| {
            let names: Vec<&str> = self.models.iter().map(|model| model.name.as_str()).collect();
            let reason = format!("there is no model {name} here: there are {}", names.join(", "));
            Refusal::new(StatusCode::NOT_FOUND, reason)
        })
    }

    /// Labels a clip, on all cores where it is `alone`, until `stop` is true.
    ///
    /// # Errors
    /// Why it has no labels.
    pub(super) fn label(
        &self,
        clip: &Clip,
        wish: &Wish,
        alone: bool,
        stop: &AtomicBool,
    ) -> Result<Seen, Refusal> {
        let classifier = &self.model(wish.model.as_deref())?.classifier;
        let start = Instant::now();
        let broken =
            |e: &io::Error| Refusal::ours(format!("no memory for frames: {}", crate::error::plain(e)));
        let mut memory = memory().map_err(|e| broken(&e))?;
        let request = Request::Decode(Look {
            path: clip.name.clone(),
            file: Some(clip.place()),
            to: place(&memory),
            sampling: classifier.config().sampling,
            preprocess: classifier.preprocess().clone(),
            threads: if alone { self.threads } else { 1 },
            // The picture shows no frame that may turn out not to be looked at.
            strip: wish.filmstrip.then(|| classifier.least_windows()),
        });
        let answer = self.decoders.answer::<Decoded>(&request, self.timeout, stop);
        let mut decoded = self.done(answer, || too_late(self.timeout, "--timeout"))?;
        let mut pixels = Vec::with_capacity(decoded.len());
        memory.rewind().and_then(|()| memory.read_to_end(&mut pixels)).map_err(|e| broken(&e))?;
        if pixels.len() != decoded.len() {
            return Err(Refusal::ours("a worker's frames aren't whole"));
        }
        let (strip, took) = (decoded.strip.take(), start.elapsed());
        self.metrics.took(Stage::Decode, took);
        let frames = decoded.with(pixels);
        let label = || guard(&clip.name, || classifier.classify_frames(&clip.name, frames, took));
        let labels = if alone { self.whole.install(label) } else { self.in_share(label) };
        self.metrics.took(Stage::Network, start.elapsed() - took);
        let labels = labels.map_err(|error| Refusal::ours(error.reason()))?;
        Ok(Seen { labels, strip })
    }

    /// Watches a long video, in a worker that has a copy of the model and ends with it. Tells each of its segments as
    /// a line of JSON as soon as it is known, until `tell` gives false or `stop` is true.
    ///
    /// # Errors
    /// Why it can't be watched to its end.
    pub(super) fn watch(
        &self,
        clip: &Clip,
        wish: &Wish,
        stop: &AtomicBool,
        tell: impl Fn(String) -> bool + Send,
    ) -> Result<(), Refusal> {
        let model = self.model(wish.model.as_deref())?;
        let broken = |e: &io::Error| Refusal::ours(format!("no pipe: {}", crate::error::plain(e)));
        let [lines, pipe] = pipe().map_err(|e| broken(&e))?;
        let request = Request::Timeline(Film {
            path: clip.name.clone(),
            window: wish.window,
            cuts: !wish.no_cuts,
            file: Some(clip.place()),
            to: Some(place(&pipe)),
        });
        let setup = Setup {
            model: Some(model.given.clone()),
            changes: Changes::default(),
            device: "cpu".into(),
            threads: self.threads,
            top: 0,
            training: false,
        };
        let worker = Pool::of_this_program(setup, self.film_timeout);
        let worker = worker.map_err(|error| Refusal::ours(error.reason()))?;
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for line in BufReader::new(lines).lines().map_while(io::Result::ok) {
                    if !tell(line + "\n") {
                        stop.store(true, Ordering::Relaxed);
                        return;
                    }
                }
            });
            let answer = worker.answer::<serde_json::Value>(&request, self.film_timeout, stop);
            // All ends of the pipe are closed: the other thread ends with the last line.
            drop((pipe, worker));
            self.done(answer, || too_late(self.film_timeout, "--timeline-timeout")).map(drop)
        })
    }

    /// What a worker has `answer`ed, and what is to be counted of it; `late` says what is told where it took too long.
    fn done<T>(&self, answer: Result<Answer<T>>, late: impl FnOnce() -> String) -> Result<T, Refusal> {
        match answer {
            Ok(Answer::Done(done)) => Ok(done),
            Ok(Answer::Refused(reason)) => Err(Refusal::unusable(reason)),
            Ok(Answer::Late) => {
                self.metrics.late.inc();
                Err(Refusal::unusable(late()))
            }
            Ok(Answer::Crashed(how)) => {
                self.metrics.crashes.inc();
                Err(Refusal::ours(crashed(&how)))
            }
            Ok(Answer::Stopped) => Err(Refusal::ours("stopped: nobody waits for it any more")),
            Err(error) => Err(Refusal::ours(error.reason())),
        }
    }

    fn in_share<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let shares = || self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        let share = shares().pop();
        match share {
            Some(share) => {
                let done = share.install(work);
                shares().push(share);
                done
            }
            None => self.whole.install(work),
        }
    }
}

/// A file in memory.
fn memory() -> io::Result<File> {
    // SAFETY: the name is a text that ends in zero; the file that comes of it is nobody else's.
    unsafe {
        match libc::memfd_create(c"classify-frames".as_ptr(), libc::MFD_CLOEXEC) {
            -1 => Err(io::Error::last_os_error()),
            file => Ok(File::from_raw_fd(file)),
        }
    }
}

/// The end of a pipe to read from, and the one to write to.
fn pipe() -> io::Result<[File; 2]> {
    let mut ends = [-1; 2];
    // SAFETY: there is room for two numbers; what they name is nobody else's.
    unsafe {
        match libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(ends.map(|end| File::from(OwnedFd::from_raw_fd(end)))),
        }
    }
}
