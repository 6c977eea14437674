//! `classify FILM --timeline`: what happens when.

use std::io::{self, Write};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use crate::files::AtomicFile;
use crate::timeline::{self, Options, Segment, TimelineFormat, Told, overlay};
use crate::video::Shown;
use crate::{Classifier, Error, Result};

use super::super::fork::{self, Ended};
use super::super::{Console, Status, interrupt};

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Long videos")]
pub(super) struct TimelineArgs {
    /// Say what happens when, over the whole video; - is a video on standard input
    #[arg(long, conflicts_with_all = ["resume", "report", "sort_into", "top", "timeout"])]
    pub timeline: bool,
    /// Seconds that are looked at together [default: as long as the model's own windows; 6, about a clip of
    /// an action, for a model that spreads its frames over clips of any length]
    #[arg(long, value_name = "SECONDS", requires = "timeline", value_parser = window, hide_short_help = true)]
    window: Option<f64>,
    /// Let a label reach over cuts between scenes
    #[arg(long, requires = "timeline", hide_short_help = true)]
    no_cuts: bool,
    /// Also write the video anew with the labels on it: .mp4, .mkv, .mov, .webm
    ///
    /// VP9 in .webm, else H.264, or MPEG-4 where FFmpeg has no encoder for H.264 (classify doctor shows which).
    #[arg(long, value_name = "FILE", requires = "timeline")]
    overlay: Option<PathBuf>,
}

/// Seconds that `--window` takes.
pub(in crate::cli) const WINDOW: RangeInclusive<f64> = 0.1..=3600.0;

fn window(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if WINDOW.contains(&value) => Ok(value),
        _ => Err("must be between 0.1 and 3600 seconds".into()),
    }
}

/// What a copy of this process ends with where nobody reads its results any more.
const UNREAD: u8 = 3;

/// Where the segments of a run go, and in what form.
pub(super) struct Target<'a> {
    pub format: TimelineFormat,
    /// Standard output where there is none.
    pub output: Option<&'a Path>,
    pub threads: usize,
}

impl TimelineArgs {
    /// The video to write, where one is wanted.
    pub(super) fn overlay(&self) -> Option<&Path> {
        self.overlay.as_deref()
    }

    /// Watches one video after the other, each with all cores. `load` gets the model.
    pub(super) fn run(
        &self,
        load: impl Fn() -> Result<Classifier>,
        films: &[PathBuf],
        target: &Target,
        console: &Console,
    ) -> Result<Status> {
        if target.format.is_subtitles() && films.len() > 1 {
            return Err(Error::Usage("subtitles are for one video: name one at a time".into()));
        }
        if self.overlay.is_some() && (films.len() > 1 || films.first().is_some_and(|f| f == Path::new("-"))) {
            return Err(Error::Usage("--overlay is for one video in a file".into()));
        }
        let mut out = match target.output {
            Some(path) => Out::File(AtomicFile::create(path)?),
            None => Out::Stdout,
        };
        let mut status = Status::Done;
        for (number, film) in films.iter().enumerate() {
            let header = if number == 0 { target.format.header() } else { "" };
            // What crashes the decoder costs its own film only.
            match fork::in_copy(|| self.alone(&load, film, header, target, &mut out, console)) {
                Ended::WithStatus(UNREAD) => return Ok(status),
                Ended::WithStatus(code) => match Status::from_code(code) {
                    Status::Done => (),
                    Status::SomeFailed => status = Status::SomeFailed,
                    ended => return Ok(ended),
                },
                Ended::Died(reason) => {
                    console.error(Error::clip(film, reason));
                    status = Status::SomeFailed;
                }
            }
        }
        out.commit()?;
        Ok(status)
    }

    /// One video, to the end of this process: says what is wrong itself. Returns the status.
    fn alone(
        &self,
        load: impl Fn() -> Result<Classifier>,
        film: &Path,
        header: &str,
        target: &Target,
        out: &mut Out,
        console: &Console,
    ) -> u8 {
        // The kernels here run in rayon's global pool. It can be set up once only, and so it is.
        let _ = rayon::ThreadPoolBuilder::new().num_threads(target.threads).build_global();
        let mut watched = || {
            let classifier = load()?;
            out.write(header, console)?;
            self.film(&classifier, film, target, out, console)
        };
        let watched = watched();
        console.end_progress();
        match watched {
            Ok(true) => Status::Done.code(),
            Ok(false) => Status::Interrupted.code(),
            Err(Error::Io { source, .. }) if out.is_closed_pipe(&source) => UNREAD,
            Err(error) => {
                console.error(&error);
                Status::of(&error).code()
            }
        }
    }

    /// One video; false where it was interrupted.
    fn film(
        &self,
        classifier: &Classifier,
        film: &Path,
        target: &Target,
        out: &mut Out,
        console: &Console,
    ) -> Result<bool> {
        let stop = interrupt::flag();
        let options = Options {
            window: self.window,
            cuts: !self.no_cuts,
            threads: target.threads,
            ..Options::default()
        };
        let name = if film == Path::new("-") { Path::new("standard input") } else { film };
        let for_people = target.format == TimelineFormat::Text;
        if for_people {
            out.write(&format!("{}\n", crate::output::one_line(&name.to_string_lossy())), console)?;
        }
        let mut bar = Bar::default();
        let (mut segments, mut number): (Vec<Segment>, usize) = (Vec::new(), 0);
        let mut any_label = false;
        let mut tell = |told: Told| -> Result<bool> {
            match told {
                Told::At { now, of } => bar.at(now, of, console),
                Told::Segment(segment) => {
                    number += 1;
                    any_label |= segment.label.is_some();
                    out.write(&target.format.segment(name, number, &segment), console)?;
                    // Only what is drawn at the end needs them again.
                    if for_people || self.overlay.is_some() {
                        segments.push(segment);
                    }
                }
            }
            Ok(!stop.load(Ordering::Relaxed))
        };
        let seen = timeline::watch(classifier, film, &options, &mut tell)?;
        if stop.load(Ordering::Relaxed) {
            return Ok(false);
        }
        console.end_progress();
        for warning in &seen.warnings {
            console.warning(format!("{}: {warning}", name.display()));
        }
        if target.format.is_subtitles() && !any_label {
            console.warning(format!(
                "{}: the model is sure of nothing in it, so there are no subtitles",
                name.display()
            ));
        }
        if for_people && number == 0 {
            out.write("nothing it knows\n", console)?;
        }
        out.write(&target.format.footer(&segments, seen.duration), console)?;
        let Some(overlay) = &self.overlay else { return Ok(true) };
        let mut bar = Bar::default();
        let go_on = |shown: Shown| {
            bar.at(shown.end, Some(seen.duration), console);
            !stop.load(Ordering::Relaxed)
        };
        let lost = overlay::render(film, &segments, overlay, target.threads, go_on)?;
        console.end_progress();
        lost.iter().for_each(|lost| console.warning(lost));
        Ok(!stop.load(Ordering::Relaxed))
    }
}

/// A bar of the seconds seen, where the container says how many there are.
#[derive(Default)]
struct Bar {
    started: bool,
    seconds: usize,
}

impl Bar {
    fn at(&mut self, now: f64, of: Option<f64>, console: &Console) {
        let Some(of) = of.filter(|of| (1.0..1e6).contains(of)) else { return };
        if !std::mem::replace(&mut self.started, true) {
            console.start_progress(of as usize, "seconds");
        }
        while self.seconds < now as usize {
            self.seconds += 1;
            console.step(0);
        }
    }
}

enum Out {
    Stdout,
    File(AtomicFile),
}

impl Out {
    fn write(&mut self, text: &str, console: &Console) -> Result<()> {
        let written = match self {
            Self::Stdout => console.aside(|| {
                let mut out = io::stdout().lock();
                out.write_all(text.as_bytes())?;
                out.flush()
            }),
            Self::File(file) => file.write_all(text.as_bytes()),
        };
        written.map_err(|e| Error::io(self.name(), e))
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Stdout => "standard output",
            Self::File(_) => "the output file",
        }
    }

    /// The reader has seen enough (`| head`).
    fn is_closed_pipe(&self, error: &io::Error) -> bool {
        matches!(self, Self::Stdout) && error.kind() == io::ErrorKind::BrokenPipe
    }

    fn commit(self) -> Result<()> {
        match self {
            Self::Stdout => Ok(()),
            Self::File(file) => file.commit(),
        }
    }
}
