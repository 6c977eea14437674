//! `classify PATH...`: labels for clips.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use classify::inputs::Inputs;
use classify::output::{Format, Row};
use classify::run::{self, Settings};
use classify::{ClipLabels, Error, Result, Timings};

use super::console::Verbosity;
use super::model_args::ModelArgs;
use super::sink::Results;
use super::{Console, Status, interrupt};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Clips, folders (searched with all below them) and patterns like 'a*.mp4'
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    model: ModelArgs,
    /// Labels a clip [default: 5 in text and JSON, 1 in CSV]
    #[arg(short = 'k', long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    top: Option<u32>,
    /// How results are written [default: by the output file's ending, else text]
    #[arg(short, long, value_enum)]
    format: Option<FormatName>,
    /// Write results to a file (.txt, .json, .jsonl, .csv) instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace the output file where it exists
    #[arg(long)]
    force: bool,
    /// Call a clip 'not sure' where its best score is below X, between 0 and 1 [default: the model's own]
    #[arg(long, value_name = "X", value_parser = probability)]
    threshold: Option<f64>,
    /// Cores to use [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    threads: Option<u32>,
    #[command(flatten)]
    verbosity: Verbosity,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum FormatName {
    /// For people
    Text,
    /// One object a line
    Json,
    /// A table
    Csv,
}

impl From<FormatName> for Format {
    fn from(name: FormatName) -> Self {
        match name {
            FormatName::Text => Self::Text,
            FormatName::Json => Self::Json,
            FormatName::Csv => Self::Csv,
        }
    }
}

fn probability(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..=1.0).contains(&value) { Ok(value) } else { Err("must be between 0 and 1".into()) }
}

impl Args {
    /// Find the inputs, load the model, label, write.
    pub fn run(self, console: &Console) -> Result<Status> {
        console.set_verbosity(self.verbosity);
        let format = self.format()?;
        let inputs = Inputs::find(&self.paths);
        if inputs.clips.is_empty() {
            let skipped = match inputs.skipped {
                0 => String::new(),
                n => format!(" ({n} files have other endings; name a file itself to have it tried)"),
            };
            return Err(Error::Usage(format!("no input found: no video in {}{skipped}", list(&self.paths))));
        }
        let mut classifier = self.model.load()?;
        if let Some(threshold) = self.threshold {
            classifier = classifier.with_threshold(threshold);
        }
        let top = self.top.map_or(format.default_top(), |top| top as usize);
        let exporter = format.exporter(top, classifier.config().calibration.is_some());
        let mut output = Results::open(exporter, self.output.as_deref(), self.force)?;

        let stop = interrupt::flag();
        let threads = self.threads.map_or_else(run::available_threads, |n| n as usize);
        let settings = Settings { threads, top, stop: stop.clone() };
        let clips: Arc<[PathBuf]> = inputs.clips.into();
        if clips.len() > 1 || inputs.folders > 0 {
            console.start_progress(clips.len(), "clips");
        }
        let mut totals = Totals::new(inputs.skipped);
        let mut written = console.aside(|| output.header());
        let results = run::label(Arc::new(classifier), clips.clone(), &settings)?;
        for (path, result) in clips.iter().zip(results) {
            if written.is_err() {
                break;
            }
            totals.add(path, &result, console);
            let row = Row::new(path, result);
            written = console.aside(|| output.row(&row));
            console.step(totals.failed);
        }
        console.end_progress();
        if stop.load(Ordering::Relaxed) {
            console.note("interrupted");
            return Ok(Status::Interrupted);
        }
        match written {
            // The reader has seen enough (`| head`).
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe && self.output.is_none() => {}
            Err(error) => {
                let path = self.output.as_deref().unwrap_or(Path::new("standard output"));
                return Err(Error::io(path, error));
            }
            Ok(()) => output.commit()?,
        }
        totals.say(console);
        Ok(if totals.failed > 0 { Status::SomeFailed } else { Status::Done })
    }

    fn format(&self) -> Result<Format> {
        match (self.format, &self.output) {
            (Some(format), _) => Ok(format.into()),
            (None, None) => Ok(Format::Text),
            (None, Some(path)) => Format::of(path).ok_or_else(|| {
                let path = path.display();
                Error::Usage(format!("{path}: the ending names no format; --format text, json or csv does"))
            }),
        }
    }
}

fn list(paths: &[PathBuf]) -> String {
    let names: Vec<_> = paths.iter().take(3).map(|p| p.display().to_string()).collect();
    let more = if paths.len() > 3 { ", …" } else { "" };
    names.join(", ") + more
}

/// What is said of a run as a whole.
struct Totals {
    start: Instant,
    labelled: usize,
    failed: usize,
    skipped: usize,
    time: Timings,
}

impl Totals {
    fn new(skipped: usize) -> Self {
        Self { start: Instant::now(), labelled: 0, failed: 0, skipped, time: Timings::default() }
    }

    /// Counts one clip and says what was wrong with it.
    fn add(&mut self, path: &Path, result: &Result<ClipLabels>, console: &Console) {
        match result {
            Ok(clip) => {
                self.labelled += 1;
                self.time.decode += clip.timings.decode;
                self.time.backbone += clip.timings.backbone;
                self.time.head += clip.timings.head;
                for warning in &clip.warnings {
                    console.warning(format!("{}: {warning}", path.display()));
                }
                console.detail(format!("{}: {}", path.display(), parts(&clip.timings)));
            }
            Err(error) => {
                self.failed += 1;
                console.error(error);
            }
        }
    }

    fn say(&self, console: &Console) {
        let clips = self.labelled + self.failed;
        let seconds = self.start.elapsed().as_secs_f64();
        if clips > 1 || self.skipped > 0 {
            let failed = if self.failed > 0 { format!(", {} failed", self.failed) } else { String::new() };
            let skipped = match self.skipped {
                0 => String::new(),
                1 => ", 1 other file skipped".into(),
                n => format!(", {n} other files skipped"),
            };
            let rate = clips as f64 / seconds;
            console.note(format!(
                "{} of {clips} clips labelled in {seconds:.1} s ({rate:.1} clips/s){failed}{skipped}",
                self.labelled
            ));
        }
        if clips > 1 {
            console.detail(format!("all clips, over all cores: {}", parts(&self.time)));
        }
    }
}

fn parts(time: &Timings) -> String {
    let ms = |d: Duration| format!("{:.1} ms", d.as_secs_f64() * 1e3);
    format!("decode {}, network {}, head {}", ms(time.decode), ms(time.backbone), ms(time.head))
}
