//! `classify train`: learn new labels from labelled clips. The options of each subject stand in a file of their own.

mod finetuning;
mod folder;
mod folds;
mod head;
mod learning;
mod network;
mod preset;
mod progress;
pub(super) mod values;

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Instant;

use crate::learning::dataset::{self, Dataset, Problem, Split, Task};
use crate::learning::report::EventWriter;
use crate::learning::training::{Choice, Figures, Finetune, TrainOptions, finish, train};
use crate::model::remember_trained;
use crate::{Error, Result, allocator, bulk};

use super::console::Verbosity;
use super::figures::FiguresFormat;
use super::model_args::DeviceName;
use super::sink::say;
use super::{Console, Status, interrupt, shell};
use progress::Progress;

pub(super) use preset::expanded;

/// Learn new labels from a folder of labelled clips
///
/// DATA is a folder with one folder of clips a class, or a list: CSV with the columns
/// path,label[,split][,group], or lines 'path label'; where clips show several labels or none, with the column labels
/// ('label1|label2'), or a column of 0 and 1 for each. Paths are relative to the list. Without a
/// split, part of the clips is set apart for validation; clips cut from one source video stay
/// together where their names (_gNN_), the group column or --group say so.
#[derive(Debug, clap::Args)]
#[command(args_override_self = true)]
pub(super) struct Args {
    /// Labelled clips: a folder with one folder of clips a label, or a list
    data: PathBuf,
    /// Folder to write the model to
    #[arg(short, long, value_name = "MODEL_DIR")]
    output: PathBuf,
    /// Regular expression with one capture: a clip's group (its source video, camera or person)
    #[arg(long, value_name = "REGEX", help_heading = "Data")]
    group: Option<String>,
    /// Folder of clips that show none of the labels, so that the model learns to be 'not sure' of such; a class folder
    /// or a label in the list named `_none_` is the same
    #[arg(long, value_name = "DIR", help_heading = "Data")]
    background: Option<PathBuf>,
    /// How epochs and figures are written to standard output; as JSON each epoch as soon as it is over
    #[arg(short, long, value_enum, default_value_t = FiguresFormat::Text, hide_short_help = true)]
    format: FiguresFormat,
    #[command(flatten)]
    network: network::NetworkArgs,
    #[command(flatten)]
    head: head::HeadArgs,
    #[command(flatten)]
    learning: learning::LearningArgs,
    #[command(flatten)]
    finetuning: finetuning::FinetuningArgs,
    #[command(flatten)]
    process: ProcessArgs,
    #[command(flatten)]
    verbosity: Verbosity,
}

/// Options of the run itself, which don't change what is learned.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Run")]
struct ProcessArgs {
    /// Cores to use [default: all]
    #[arg(long, value_name = "N", value_parser = values::count(1024))]
    threads: Option<u64>,
    /// Where the CNN runs
    #[arg(long, value_enum, default_value_t = DeviceName::Cpu, hide_short_help = true)]
    device: DeviceName,
    /// Where the clips' features are kept for the next run [default: the user's cache folder]
    #[arg(long, value_name = "DIR", hide_short_help = true)]
    cache: Option<PathBuf>,
    /// Keep no features
    #[arg(long, conflicts_with = "cache", hide_short_help = true)]
    no_cache: bool,
    /// Go on where a run with the same settings was ended
    #[arg(long)]
    resume: bool,
    /// Start anew where the output folder has a model, or an earlier run's checkpoints
    #[arg(long)]
    force: bool,
}

impl Args {
    /// Read the data, train, measure the saved model, say how good it is.
    pub(super) fn run(self, console: &Console) -> Result<Status> {
        allocator::keep_for_training();
        console.set_verbosity(self.verbosity);
        // What splits its work does so over the pool that it is called in.
        bulk::pool(self.cores())?.install(|| self.train(console))
    }

    fn train(&self, console: &Console) -> Result<Status> {
        let start = Instant::now();
        if !self.process.force && !self.process.resume {
            folder::check(&self.output)?;
        }
        self.network.check(self.finetuning.is_on())?;
        let mut finetune = self.finetuning.finetune(&self.learning)?;
        let data = self.data(console)?;
        if data.task == Task::AnyOf && self.learning.keep.is_some() {
            let text = "--keep is for clips of one label each: where they may show several, each label's own threshold \
                        says whether it is shown, so leave it out";
            return Err(Error::Usage(text.into()));
        }
        let parts = finetune.as_mut().filter(|_| data.task == Task::AnyOf).and_then(|f| f.shown.take());
        if parts.is_some() {
            console.note("--shown: part of a clip may lack some of its labels, so clips are shown whole");
        }
        let choice = self.network.choice(&data, self.finetuning.is_on(), self.cores())?;
        console.note(format!("backbone: {} ({})", choice.backbone, choice.reason));
        let options = self.options(choice, finetune, data.task)?;
        folder::prepare(&self.output, options.resume)?;
        let checkpoints = folder::checkpoints(&self.output);
        let stop = interrupt::flag();
        let progress = Progress {
            console,
            format: self.format,
            events: EventWriter::create(&self.output.join("events"))?.into(),
            begin: Default::default(),
        };
        if let Some(k) = self.learning.cross_validate {
            folds::cross_validate(k as usize, &data, &options, &checkpoints, &stop, &progress)?;
        }
        let outcome = train(&data, &options, &checkpoints, &stop, &progress)?;
        console.end_progress();
        outcome.warnings.iter().for_each(|warning| console.warning(warning));
        left_out(&outcome.problems, console);
        if stop.load(Ordering::Relaxed) {
            console.note("interrupted; measuring the best model so far");
        }
        let measured = data.samples.iter().chain(&data.none.samples).filter(|s| s.split != Split::Train);
        console.start_progress(measured.count(), "clips measured");
        let took = start.elapsed();
        // With all that a preset stands for, which may change with the version.
        let command = shell::line(expanded(shell::typed()));
        let figures = finish(&outcome, &data, &options, &self.output, &command, took, &|| console.step(0))?;
        console.end_progress();
        // `classify models` lists it; a training isn't lost where that fails.
        if let Err(error) = remember_trained(&self.output) {
            console.warning(error);
        }
        self.summary(&figures, &data, console)?;
        let lost = data.problems.len() + data.none.problems.len() + outcome.problems.len();
        let unmeasured: usize = figures.told().map(|(_, measured)| measured.problems().len()).sum();
        Ok(if stop.load(Ordering::Relaxed) {
            Status::Interrupted
        } else if lost + unmeasured > 0 {
            Status::SomeFailed
        } else {
            Status::Done
        })
    }

    /// The labelled clips, and what there is to say about them.
    fn data(&self, console: &Console) -> Result<Dataset> {
        // The same validation clips whatever the seed, so that runs can be compared and chosen from.
        let settings = dataset::Options {
            group: self.group.clone(),
            background: self.background.clone(),
            ..Default::default()
        };
        let data = Dataset::open(&self.data, &settings)?;
        if data.task == Task::AnyOf {
            console.note(
                "clips may show several labels, as the list has a column `labels` or a column a label: each label gets a \
                 sigmoid and a threshold of its own",
            );
        }
        console.note(data.split_table().trim_end());
        data.warnings.iter().for_each(|warning| console.warning(warning));
        left_out(&data.problems, console);
        left_out(&data.none.problems, console);
        Ok(data)
    }

    fn options(&self, choice: Choice, finetune: Option<Finetune>, task: Task) -> Result<TrainOptions> {
        let Self { network, learning, finetuning, process, .. } = self;
        let [windows, frames, size] = network.look.numbers();
        let cache = process.cache.clone().or(TrainOptions::default().cache);
        Ok(TrainOptions {
            backbone: choice.backbone,
            backbone_reason: choice.reason,
            frames,
            size,
            windows,
            fps: network.fps,
            luma_lag: network.luma_lag,
            cut_bars: network.cut_bars,
            head: self.head.config(learning.dropout),
            heads: self.head.count(),
            recipe: learning.recipe(),
            label_smoothing: learning.label_smoothing as f32,
            mixup: learning.mixup,
            balance: learning.balance(finetune.is_some(), task),
            temporal_shift: finetuning.temporal_shift,
            refit: !learning.no_refit,
            keep: learning.keep.unwrap_or(TrainOptions::default().keep),
            finetune,
            cache: cache.filter(|_| !process.no_cache),
            threads: self.cores(),
            device: process.device.open()?,
            resume: process.resume,
        })
    }

    /// How good the model is, and where it stands.
    fn summary(&self, figures: &Figures, data: &Dataset, console: &Console) -> Result<()> {
        for (part, measured) in figures.told() {
            measured.warnings().iter().for_each(|warning| console.warning(warning));
            for problem in measured.problems() {
                console.warning(format!("counted as wrong: {problem}"));
            }
            say(&match self.format {
                FiguresFormat::Text => {
                    let doubt =
                        measured.doubt().map_or(String::new(), |doubt| format!("\n{}", doubt.summary()));
                    measured.summary(part, data.labels.len()) + &doubt
                }
                FiguresFormat::Json => measured.json(&crate::model::name(&self.output), part),
            })?;
        }
        if self.format == FiguresFormat::Text {
            let report = self.output.join("report.html");
            say(&format!("model: {}\nreport: {}", self.output.display(), report.display()))?;
        }
        Ok(())
    }

    fn cores(&self) -> usize {
        self.process.threads.map_or_else(bulk::available_threads, |n| n as usize)
    }
}

fn left_out(problems: &[Problem], console: &Console) {
    for problem in problems {
        console.warning(format!("left out: {problem}"));
    }
}
