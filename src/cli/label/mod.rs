//! `classify PATH...`: labels for clips.

mod after;
mod format;
mod job;
mod timeline;
mod to_file;
mod to_stdout;
mod totals;

use std::path::{Path, PathBuf};

use crate::bulk::{self, Settings};
use crate::files::AtomicFile;
use crate::model::{Changes, ModelConfig, ModelFiles, Words, descriptions};
use crate::output::{Columns, Format, Row};
use crate::{Classifier, Error, Result, stores};

use super::batch_args::BatchArgs;
use super::console::Verbosity;
use super::fork::{self, Ended};
use super::model_args::{DeviceName, ModelArgs, warn_of_unnamed};
use super::sink::{Stdout, refuse_existing};
use super::{Console, Status, hints, interrupt};
use after::AfterArgs;
use format::FormatName;
use job::Job;
pub(super) use timeline::WINDOW;
use timeline::{Target, TimelineArgs};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Clips, folders (searched with all below them) and patterns like 'a*.mp4'
    #[arg(required_unless_present = "list", value_name = "PATH")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    model: ModelArgs,
    /// Say which of these labels fits, in plain words: 'a person falls, an empty room', or a file with one on each
    /// line ('label', or 'label: description, another one'); for models that learned pictures with texts
    #[arg(long, value_name = "WORDS|FILE")]
    labels: Option<String>,
    /// Labels per clip [default: 5 in text and JSON, 1 in CSV]
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
    /// Call a clip 'not sure' where its best score is below X, between 0 and 1; by a model that names several labels,
    /// name those that reach X [default: the model's own]
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
        let format = format::of_labels(self.format, self.output.as_deref())?;
        self.check_output()?;
        self.after.prepare()?;
        if self.paths.iter().any(|path| path == Path::new("-")) {
            return Err(Error::Usage("-: a video on standard input needs --timeline".into()));
        }
        let inputs = self.batch.inputs.find(&self.paths)?;
        self.after.check(&inputs.clips)?;
        if let ([clip], None, false) = (&inputs.clips[..], &self.output, self.after.wants_rows())
            && let Some(ended) = fork::copy(self.batch.timeout)
        {
            return self.lone(clip, ended, format, console);
        }
        if inputs.clips.len() > 1 || inputs.folders > 0 {
            console.start_progress(inputs.clips.len(), "clips");
        }
        let model = self.model(console)?;
        let top = self.top(format, &model.config);
        if self.top.is_some_and(|asked| asked as usize > top) {
            console.note("all labels that a clip shows are one cell of the table: -k changes nothing there");
        }
        let job = Job {
            args: &self,
            skipped: inputs.skipped,
            clips: inputs.clips.into(),
            model,
            settings: Settings { threads: self.cores(), top, stop: interrupt::flag() },
            console,
        };
        let status = match &self.output {
            Some(output) => job.to_file(output, format),
            None => job.to_stdout(format),
        };
        console.end_progress();
        let status = status?;
        if status == Status::Interrupted {
            console.note("interrupted");
        }
        Ok(status)
    }

    fn run_timeline(&self, console: &Console) -> Result<Status> {
        let format = format::of_timeline(self.format, self.output.as_deref())?;
        for output in self.output.as_deref().into_iter().chain(self.timeline.overlay()) {
            refuse_existing(output, self.force)?;
        }
        let films = self.batch.inputs.find(&self.paths)?.clips;
        let target = Target { format, output: self.output.as_deref(), threads: self.cores() };
        self.timeline.run(|| self.load(self.model(console)?), &films, &target, console)
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
        let config = self.files()?.config;
        let top = self.top(format, &config);
        let mut out = Stdout(format.exporter(Columns::of(&config, top)));
        out.row(&Row::new(clip, Err(error))).map_err(|e| Error::io("standard output", e))?;
        Ok(Status::SomeFailed)
    }

    /// Refuses a first word that is no path but looks like a command.
    fn check_words(&self) -> Result<()> {
        let Some(word) =
            self.paths.first().filter(|path| path.symlink_metadata().is_err() && !stores::is_address(path))
        else {
            return Ok(());
        };
        match hints::at_command(word) {
            Some(hint) => Err(Error::Usage(format!("{}: no such file; {hint}", word.display()))),
            None => Ok(()),
        }
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

    /// [`Self::files`], with a word where labels say nothing.
    fn model(&self, console: &Console) -> Result<ModelFiles> {
        let files = self.files()?;
        warn_of_unnamed(&self.model.model, &files, console);
        Ok(files)
    }

    fn files(&self) -> Result<ModelFiles> {
        let model = self.model.files()?;
        let embed = |labels: &String| Words::embed(&model, &descriptions(labels)?);
        let words = self.labels.as_ref().map(embed).transpose()?;
        Ok(model.changed(&Changes { words, threshold: self.threshold, ..Changes::default() }))
    }

    fn load(&self, model: ModelFiles) -> Result<Classifier> {
        Classifier::of_files(model, &self.model.device.open()?)
    }

    fn top(&self, format: Format, config: &ModelConfig) -> usize {
        if format.is_table() && config.names_several() {
            return 1;
        }
        self.top.map_or(format.default_top(), |top| top as usize)
    }

    fn cores(&self) -> usize {
        self.threads.map_or_else(bulk::available_threads, |n| n as usize)
    }
}
