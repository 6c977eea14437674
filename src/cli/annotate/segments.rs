//! `--segments SECONDS|cuts`: long videos are labelled part by part.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rayon::prelude::*;

use crate::bulk::worker::{Answer, Pool, Request, Setup, crashed};
use crate::bulk::{self, Settings, Stamp};
use crate::cli::Console;
use crate::cli::label::WINDOW;
use crate::timeline::Cuts;
use crate::{Error, Result, files};

/// How long videos are divided.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Segments {
    /// Into parts of about so many seconds.
    Seconds(f64),
    /// Into their shots.
    Cuts,
}

impl Segments {
    /// Seconds that a timeline looks at together to see such parts; its own where they are of any length.
    pub(super) fn window(self) -> Option<f64> {
        match self {
            Self::Seconds(seconds) => Some(seconds.clamp(*WINDOW.start(), *WINDOW.end())),
            Self::Cuts => None,
        }
    }
}

impl std::str::FromStr for Segments {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            _ if text == "cuts" => Ok(Self::Cuts),
            Ok(seconds) if seconds > 0.0 && seconds <= 1e6 => Ok(Self::Seconds(seconds)),
            _ => Err("must be a number of seconds above 0, or 'cuts'".into()),
        }
    }
}

/// Divides clips in worker processes, as any file may crash the decoder.
pub(super) struct Divider<'a> {
    /// How long a clip may take; a film that is decoded, from one sign of life to the next.
    pub timeout: Duration,
    pub threads: usize,
    /// Where the cuts of films are kept.
    pub cache: Option<PathBuf>,
    pub interrupted: &'a AtomicBool,
    pub console: &'a Console,
}

impl Divider<'_> {
    /// The parts of those of `clips` that have several: from and to, in seconds. What can't be divided stays whole.
    ///
    /// # Errors
    /// [`Error::Interrupted`] on Ctrl-C, and others where no worker process can be started.
    pub(super) fn parts(
        &self,
        clips: &[PathBuf],
        segments: Segments,
    ) -> Result<HashMap<PathBuf, Vec<[f64; 2]>>> {
        match segments {
            Segments::Seconds(seconds) => {
                let length =
                    |(clip, length): (&PathBuf, Option<f64>)| Some((clip.clone(), divide(length?, seconds)?));
                Ok(clips.iter().zip(self.lengths(clips)?).filter_map(length).collect())
            }
            Segments::Cuts => {
                let parts = self.cuts(clips)?;
                let count: usize = parts.values().map(Vec::len).sum();
                self.console.note(match parts.len() {
                    0 => "no cuts found: all clips stay whole".to_owned(),
                    films => format!("{count} shots in {films} of {} clips", clips.len()),
                });
                Ok(parts)
            }
        }
    }

    /// Seconds of each clip, where its container tells. What is wrong with a clip is said where it is looked at.
    fn lengths(&self, clips: &[PathBuf]) -> Result<Vec<Option<f64>>> {
        let pool = Pool::of_this_program(Setup::without_model(1), self.timeout)?;
        let length = |clip: &PathBuf| pool.ask::<Option<f64>>(&Request::length(clip)).ok().flatten();
        Ok(bulk::pool(self.threads)?.install(|| clips.par_iter().map(length).collect()))
    }

    fn cuts(&self, clips: &[PathBuf]) -> Result<HashMap<PathBuf, Vec<[f64; 2]>>> {
        let mut found: Vec<(&PathBuf, Option<Cuts>)> =
            clips.iter().map(|clip| (clip, self.known(clip))).collect();
        let films: Vec<PathBuf> =
            found.iter().filter(|(_, cuts)| cuts.is_none()).map(|(clip, _)| (*clip).clone()).collect();
        if !films.is_empty() {
            let lengths = self.lengths(&films)?;
            let seconds = lengths.iter().map(|length| length.unwrap_or(0.0) as usize).sum();
            self.console.note(format!("looking for cuts in {} clips; Ctrl-C ends", films.len()));
            self.console.start_progress(seconds, "seconds of film");
            let settings = Settings { threads: self.threads, ..Settings::default() };
            let pool = Pool::of_this_program(
                Setup::without_model(settings.threads_each(films.len())),
                self.timeout,
            )?;
            let searched: Result<Vec<Option<Cuts>>> = bulk::pool(settings.workers(films.len()))?
                .install(|| films.par_iter().map(|film| self.search(&pool, film)).collect());
            self.console.end_progress();
            // Also where a worker could not be started any more.
            if self.interrupted.load(Ordering::Relaxed) {
                return Err(Error::Interrupted("in the search for cuts".into()));
            }
            let mut searched = searched?.into_iter();
            for (_, cuts) in found.iter_mut().filter(|(_, cuts)| cuts.is_none()) {
                *cuts = searched.next().flatten();
            }
        }
        Ok(found.into_iter().filter_map(|(clip, cuts)| Some((clip.clone(), cuts?.parts()?))).collect())
    }

    /// The cuts of one film; none where it can't be decoded, or nobody wants them any more.
    fn search(&self, pool: &Pool, film: &Path) -> Result<Option<Cuts>> {
        if self.interrupted.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let told = std::cell::Cell::new(0);
        let tell = |at: f64| {
            while told.get() < at as usize {
                told.set(told.get() + 1);
                self.console.step(0);
            }
        };
        let whole =
            |reason: String| self.console.warning(format!("{}: {reason}; it stays whole", film.display()));
        match pool.answer_telling(&Request::cuts(film), self.timeout, self.interrupted, &tell)? {
            Answer::Done(cuts) => {
                self.keep(film, &cuts);
                return Ok(Some(cuts));
            }
            // Said where it is looked at.
            Answer::Refused(_) => (),
            Answer::Crashed(how) => whole(crashed(&how)),
            Answer::Late => {
                let seconds = self.timeout.as_secs_f64();
                whole(format!(
                    "no further within {seconds} s in the search for cuts (--timeout allows more)"
                ));
            }
            // Whoever asked for the search sees why.
            Answer::Stopped => (),
        }
        Ok(None)
    }

    /// Where the cuts of the file at `film` are kept; elsewhere once it has changed.
    fn file(&self, film: &Path) -> Option<PathBuf> {
        let stamp = serde_json::to_vec(&Stamp::of(film, false)?).ok()?;
        let path = std::path::absolute(film).ok()?;
        let mut hasher = blake3::Hasher::new();
        hasher.update(path.as_os_str().as_encoded_bytes()).update(&stamp);
        Some(self.cache.as_ref()?.join(format!("{}.json", &hasher.finalize().to_hex()[..32])))
    }

    fn known(&self, film: &Path) -> Option<Cuts> {
        serde_json::from_slice(&std::fs::read(self.file(film)?).ok()?).ok()
    }

    /// Keeps the cuts for the next start. Where that fails they are found again then, and are the same.
    fn keep(&self, film: &Path, cuts: &Cuts) {
        let Some(file) = self.file(film) else { return };
        let kept = file.parent().map_or(Ok(()), std::fs::create_dir_all).ok();
        let text = serde_json::to_vec(cuts).ok();
        if let (Some(()), Some(text)) = (kept, text) {
            let _ = files::write_atomically(&file, &text);
        }
    }
}

/// Parts of `seconds` each, the last longer or shorter by half; none where there is but one.
fn divide(length: f64, seconds: f64) -> Option<Vec<[f64; 2]>> {
    let count = (length / seconds).round();
    // Milliseconds, as a list is read by people.
    let rounded = |time: f64| (time * 1e3).round() / 1e3;
    let end = |part: usize| if part as f64 == count { length } else { part as f64 * seconds };
    (2.0..=1e6)
        .contains(&count)
        .then(|| (0..count as usize).map(|part| [end(part), end(part + 1)].map(rounded)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_the_film_once() {
        assert_eq!(divide(10.4, 4.0), Some(vec![[0.0, 4.0], [4.0, 8.0], [8.0, 10.4]]));
        assert_eq!(divide(9.9, 4.0), Some(vec![[0.0, 4.0], [4.0, 9.9]]));
        assert_eq!((divide(5.9, 4.0), divide(0.0, 4.0), divide(f64::NAN, 4.0)), (None, None, None));
    }

    #[test]
    fn seconds_or_cuts_are_understood_and_nothing_else() {
        assert_eq!(
            ["4", "0.5", "cuts"].map(str::parse),
            [Ok(Segments::Seconds(4.0)), Ok(Segments::Seconds(0.5)), Ok(Segments::Cuts)]
        );
        for text in ["", "0", "-1", "NaN", "inf", "1e7", "cut", "Cuts"] {
            assert!(text.parse::<Segments>().is_err(), "{text}");
        }
    }
}
