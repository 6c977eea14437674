//! `classify PATH...`: labels for clips.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::bulk::Inputs;
use crate::bulk::worker::{Pool, Setup};
use crate::bulk::{self, Header, Run, Settings, Step};
use crate::files::AtomicFile;
use crate::model::ModelFiles;
use crate::output::{Exporter, Format, Row};
use crate::timeline::TimelineFormat;
use crate::video::{DecodeOptions, ReadAhead};
use crate::{Classifier, ClipLabels, Error, Result};

use super::after::AfterArgs;
use super::batch_args::BatchArgs;
use super::console::Verbosity;
use super::lone::{self, Ended};
use super::model_args::{DeviceName, ModelArgs};
use super::sink::{Stdout, refuse_existing};
use super::timeline::{Target, TimelineArgs};
use super::totals::Totals;
use super::{Console, Status, hints, interrupt};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Clips, folders (searched with all below them) and patterns like 'a*.mp4'
    #[arg(required_unless_present = "list", value_name = "PATH")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    model: ModelArgs,
    /// Labels a clip [default: 5 in text and JSON, 1 in CSV]
    #[arg(short = 'k', long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    top: Option<u32>,
    /// How results are written [default: by the output file's ending, else text]
    #[arg(short, long, value_enum)]
    format: Option<FormatName>,
    /// Write results to a file (.txt, .json, .jsonl, .csv, .parquet) instead of standard output
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
    timeline: TimelineArgs,
    #[command(flatten)]
    batch: BatchArgs,
    #[command(flatten)]
    after: AfterArgs,
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
    /// A table in columns
    Parquet,
    /// Subtitles, of a --timeline
    Vtt,
    /// Subtitles, of a --timeline
    Srt,
}

fn probability(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..=1.0).contains(&value) { Ok(value) } else { Err("must be between 0 and 1".into()) }
}

impl Args {
    /// Find the inputs, load the model, label, write.
    pub(super) fn run(self, console: &Console) -> Result<Status> {
        console.set_verbosity(self.verbosity);
        self.check_words()?;
        if self.timeline.timeline {
            return self.run_timeline(console);
        }
        let format = self.format()?;
        self.check_output()?;
        self.after.prepare()?;
        if self.paths.iter().any(|path| path == Path::new("-")) {
            return Err(Error::Usage("-: a video on standard input needs --timeline".into()));
        }
        let inputs = self.batch.inputs.find(&self.paths)?;
        if let ([clip], None, false) = (&inputs.clips[..], &self.output, self.after.wants_rows())
            && let Some(ended) = lone::copy(self.batch.timeout)
        {
            return self.lone(clip, ended, format, console);
        }
        let model = self.files()?;
        let top = self.top.map_or(format.default_top(), |top| top as usize);
        let exporter = format.exporter(top, model.config.calibration.is_some());
        let threads = self.threads.map_or_else(bulk::available_threads, |n| n as usize);
        let settings = Settings { threads, top, stop: interrupt::flag() };
        if inputs.clips.len() > 1 || inputs.folders > 0 {
            console.start_progress(inputs.clips.len(), "clips");
        }
        let status = match &self.output {
            Some(output) => self.to_file(output, inputs, model, exporter, &settings, console),
            None => self.to_stdout(inputs, model, exporter, &settings, console),
        };
        console.end_progress();
        let status = status?;
        if status == Status::Interrupted {
            console.note("interrupted");
        }
        Ok(status)
    }

    /// Refuses a first word that is no path but looks like a command.
    fn check_words(&self) -> Result<()> {
        let Some(word) = self.paths.first().filter(|path| path.symlink_metadata().is_err()) else {
            return Ok(());
        };
        match hints::at_command(word) {
            Some(hint) => Err(Error::Usage(format!("{}: no such file; {hint}", word.display()))),
            None => Ok(()),
        }
    }

    fn run_timeline(&self, console: &Console) -> Result<Status> {
        let format = self.timeline_format()?;
        for output in self.output.as_deref().into_iter().chain(self.timeline.overlay()) {
            refuse_existing(output, self.force)?;
        }
        let films = self.batch.inputs.find(&self.paths)?.clips;
        let threads = self.threads.map_or_else(bulk::available_threads, |n| n as usize);
        let target = Target { format, output: self.output.as_deref(), threads };
        self.timeline.run(|| self.load(self.files()?), &films, &target, console)
    }

    fn files(&self) -> Result<ModelFiles> {
        let model = self.model.files()?;
        Ok(match self.threshold {
            Some(threshold) => model.with_threshold(threshold),
            None => model,
        })
    }

    fn load(&self, model: ModelFiles) -> Result<Classifier> {
        Classifier::of_files(model, &self.model.device.open()?)
    }

    /// Each result as soon as it is its turn.
    fn to_stdout(
        &self,
        inputs: Inputs,
        model: ModelFiles,
        exporter: Box<dyn Exporter>,
        settings: &Settings,
        console: &Console,
    ) -> Result<Status> {
        let mut totals = Totals::new(inputs.skipped);
        let mut out = Stdout(exporter);
        let clips: Arc<[PathBuf]> = inputs.clips.into();
        let pool = self.workers(clips.len(), settings.top, settings)?;
        let mut written;
        let results = if clips.len() == 1 && !self.after.wants_rows() {
            let device = self.model.device.open()?;
            // Where the clip crashes this process, the one that it is a copy of adds the row only.
            written = console.aside(|| out.header());
            lone::set_alarm(self.batch.timeout);
            let options = DecodeOptions { threads: settings.threads, ..DecodeOptions::default() };
            let ahead =
                ReadAhead::start(&clips[0], model.config.sampling, model.preprocess.clone(), options)?;
            bulk::label_read(Classifier::of_files(model, &device)?, clips[0].clone(), ahead, settings)?
        } else {
            // Each worker has a model of its own; this tells whether it can be had.
            drop(self.load(model)?);
            written = console.aside(|| out.header());
            let work = clips.clone();
            let (workers, request) = (pool.clone(), self.after.request());
            let label = move |index: usize| workers.ask::<ClipLabels>(&request(&work[index]));
            bulk::in_order(clips.len(), settings, label)?
        };
        let mut rows = Vec::new();
        for (path, result) in clips.iter().zip(results) {
            if written.is_err() {
                break;
            }
            match &result {
                Ok(clip) => totals.labelled(path, clip, console),
                Err(error) => totals.failed(error, console),
            }
            let row = Row::new(path, result);
            written = console.aside(|| out.row(&row));
            if self.after.wants_rows() {
                rows.push(brief(row));
            }
            console.step(totals.failed);
        }
        console.end_progress();
        if settings.stop.load(Ordering::Relaxed) {
            return Ok(Status::Interrupted);
        }
        match written.and_then(|()| out.end()) {
            // The reader has seen enough (`| head`).
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            Err(error) => return Err(Error::io("standard output", error)),
            Ok(()) => (),
        }
        self.after.run(&rows, &self.model.model, &pool, settings, console)?;
        totals.say(console);
        Ok(totals.status())
    }

    /// The end of a copy of this process that labelled a lone clip. What it said it has said; where it
    /// died in the middle, the clip's row is still missing.
    fn lone(&self, clip: &Path, ended: Ended, format: Format, console: &Console) -> Result<Status> {
        let reason = match ended {
            Ended::WithStatus(code) => return Ok(Status::from_code(code)),
            Ended::Died(reason) => reason,
        };
        let error = Error::clip(clip, reason);
        console.error(&error);
        let confident = self.files()?.config.calibration.is_some();
        let top = self.top.map_or(format.default_top(), |top| top as usize);
        let mut out = Stdout(format.exporter(top, confident));
        out.row(&Row::new(clip, Err(error))).map_err(|e| Error::io("standard output", e))?;
        Ok(Status::SomeFailed)
    }

    /// Results go to a journal beside the output, and at the end from there to the output.
    fn to_file(
        &self,
        output: &Path,
        inputs: Inputs,
        model: ModelFiles,
        mut exporter: Box<dyn Exporter>,
        settings: &Settings,
        console: &Console,
    ) -> Result<Status> {
        // A few more labels than asked for, so that asking for them later does nothing again.
        let top = settings.top.max(5);
        let header = Header::new(
            &self.load(model)?.digest(),
            serde_json::json!({ "top": top, "device": format!("{:?}", self.model.device) }),
        );
        let clips: Arc<[PathBuf]> = inputs.clips.into();
        let run = Run::open(output, clips.clone(), &header, self.batch.trust())?;
        if run.damaged() > 0 {
            console.warning(format!(
                "{} damaged lines in the journal; their clips are done again",
                run.damaged()
            ));
        }
        let mut totals = Totals::new(inputs.skipped);
        let pool = self.workers(clips.len(), top, settings)?;
        for (path, step) in clips.iter().zip(run.start(pool.clone(), settings, self.after.request())?) {
            match step {
                Ok(Step::Labelled(clip)) => totals.labelled(path, &clip, console),
                Ok(Step::Failed(reason)) => totals.failed(&Error::clip(path, reason), console),
                Ok(Step::Known) => totals.known(None, console),
                Ok(Step::KnownFailed(reason)) => totals.known(Some(&Error::clip(path, reason)), console),
                Err(error) => {
                    console.note("what was done is kept; --resume goes on from there");
                    return Err(error);
                }
            }
            console.step(totals.failed);
        }
        console.end_progress();
        if settings.stop.load(Ordering::Relaxed) {
            run.sync()?;
            console.note("what was done is kept; --resume goes on from there");
            return Ok(Status::Interrupted);
        }
        let mut file = io::BufWriter::new(AtomicFile::create(output)?);
        run.write(&mut *exporter, &mut file, output)?;
        file.into_inner().map_err(|e| Error::io(output, e.into_error()))?.commit()?;
        if self.after.wants_rows() {
            let row = |path: &PathBuf| -> Result<Row> {
                let outcome = run.result(path)?.unwrap_or_else(|| Err("not labelled".into()));
                Ok(brief(Row { path: path.clone(), outcome }))
            };
            let rows: Vec<Row> = clips.iter().map(row).collect::<Result<_>>()?;
            self.after.run(&rows, &self.model.model, &pool, settings, console)?;
        }
        if !self.batch.trust().resume {
            run.remove_journal()?;
        }
        totals.say(console);
        Ok(totals.status())
    }

    fn workers(&self, clips: usize, top: usize, settings: &Settings) -> Result<Arc<Pool>> {
        let setup = Setup {
            model: Some(self.model.model.clone()),
            frames: self.model.frames.map(|n| n as usize),
            size: self.model.size.map(|n| n as usize),
            threshold: self.threshold,
            device: if self.model.device == DeviceName::Cuda { "cuda" } else { "cpu" }.into(),
            threads: settings.threads_each(clips),
            top,
        };
        Ok(Arc::new(Pool::of_this_program(setup, self.batch.timeout)?))
    }

    /// Refuses to replace what nobody said to replace.
    fn check_output(&self) -> Result<()> {
        let Some(output) = &self.output else { return Ok(()) };
        let journal = bulk::journal_path(output);
        let unfinished = journal.exists();
        if unfinished && !self.batch.trust().resume && !self.force {
            return Err(Error::Usage(format!(
                "{}: an earlier run left its journal; --resume goes on from there, --force starts anew",
                journal.display()
            )));
        }
        // With a journal, the output is this run's own.
        refuse_existing(output, self.force || (unfinished && self.batch.trust().resume))?;
        // Better now than after a night's work.
        drop(AtomicFile::create(output)?);
        Ok(())
    }

    fn format(&self) -> Result<Format> {
        let only = |name| Err(Error::Usage(format!("--format {name} is for --timeline")));
        match (self.format, &self.output) {
            (Some(FormatName::Text), _) | (None, None) => Ok(Format::Text),
            (Some(FormatName::Json), _) => Ok(Format::Json),
            (Some(FormatName::Csv), _) => Ok(Format::Csv),
            (Some(FormatName::Parquet), _) => Ok(Format::Parquet),
            (Some(FormatName::Vtt), _) => only("vtt"),
            (Some(FormatName::Srt), _) => only("srt"),
            (None, Some(path)) => Format::of(path).ok_or_else(|| unnamed(path, "text, json, csv or parquet")),
        }
    }

    fn timeline_format(&self) -> Result<TimelineFormat> {
        match (self.format, &self.output) {
            (Some(FormatName::Text), _) | (None, None) => Ok(TimelineFormat::Text),
            (Some(FormatName::Json), _) => Ok(TimelineFormat::Json),
            (Some(FormatName::Csv), _) => Ok(TimelineFormat::Csv),
            (Some(FormatName::Vtt), _) => Ok(TimelineFormat::Vtt),
            (Some(FormatName::Srt), _) => Ok(TimelineFormat::Srt),
            (Some(FormatName::Parquet), _) => Err(Error::Usage("--timeline has no format parquet".into())),
            (None, Some(path)) => {
                TimelineFormat::of(path).ok_or_else(|| unnamed(path, "text, json, csv, vtt or srt"))
            }
        }
    }
}

/// What pages and folders need of a row, as all of them are in memory then.
fn brief(mut row: Row) -> Row {
    if let Ok(clip) = &mut row.outcome {
        clip.labels.truncate(2);
        clip.labels.shrink_to_fit();
    }
    row
}

fn unnamed(path: &Path, formats: &str) -> Error {
    let path = path.display();
    Error::Usage(format!("{path}: the ending names no format; --format {formats} does"))
}
