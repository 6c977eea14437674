//! `classify eval`: how good a model is on labelled clips.

use std::path::PathBuf;
use std::sync::atomic::Ordering;

use crate::learning::dataset::{self, Dataset, Problem, Sample, Split, Task};
use crate::learning::evaluation::{Clips, measure};
use crate::learning::report::TrainingReport;
use crate::model::Scoring;
use crate::{Classifier, Error, Result, bulk, files};

use super::console::Verbosity;
use super::figures::FiguresFormat;
use super::model_args::ModelArgs;
use super::sink::say;
use super::{Console, Status, interrupt, shell};

/// Measure a model on labelled clips
///
/// DATA is read as `classify train` reads it; its labels must be the model's. A clip that can't be
/// read counts as answered wrongly and is named. Clips with the label `_none_` show none of the labels:
/// the model should be 'not sure' of them.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Labelled clips
    data: PathBuf,
    #[command(flatten)]
    model: ModelArgs,
    /// Which clips [default: the test clips where the data has some, else all]
    #[arg(long, value_enum)]
    split: Option<Part>,
    /// How the figures are written
    #[arg(short, long, value_enum, default_value_t = FiguresFormat::Text)]
    format: FiguresFormat,
    /// Write a page with confusion matrix and mistakes, report.html, into this folder
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Cores to use [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    threads: Option<u32>,
    #[command(flatten)]
    verbosity: Verbosity,
}

#[derive(Debug, Clone, Copy, PartialEq, clap::ValueEnum)]
enum Part {
    Train,
    Val,
    Test,
    All,
}

impl Args {
    /// Label the clips, compare with the truth.
    pub(super) fn run(self, console: &Console) -> Result<Status> {
        console.set_verbosity(self.verbosity);
        if let Some(dir) = self.report.as_ref().filter(|dir| dir.join("config.json").exists()) {
            let reason = "is a model's folder, with a report of its own; name another with --report";
            return Err(Error::Usage(format!("{}: {reason}", dir.display())));
        }
        let classifier = self.model.load()?;
        let labels = classifier.config().id2label.clone();
        let settings = dataset::Options { labels: Some(labels), cut: false, ..Default::default() };
        let data = Dataset::open(&self.data, &settings)?;
        let mut warnings: Vec<String> = data.warnings.iter().map(ToString::to_string).collect();
        warnings.extend(self.fits(&classifier, &data)?);
        let part = self.part(&data, &mut warnings);
        let samples: Vec<&Sample> = data.samples.iter().filter(|s| part.has(s.split)).collect();
        let unreadable = data.problems.iter().chain(&data.none.problems);
        let unreadable: Vec<&Problem> = unreadable.filter(|p| part.has(p.sample.split)).collect();
        let none: Vec<&Sample> = data.none.samples.iter().filter(|s| part.has(s.split)).collect();
        if samples.len() + unreadable.len() + none.len() == 0 {
            return Err(Error::data(&self.data, format!("no {} clips in it", part.name())));
        }
        let stop = interrupt::flag();
        let threads = self.threads.map_or_else(bulk::available_threads, |n| n as usize);
        console.start_progress(samples.len() + none.len(), "clips");
        let progress = |done: usize| {
            if done > 0 {
                console.step(0);
            }
        };
        let clips = Clips { samples: &samples, unreadable: &unreadable, none: &none };
        let evaluation = measure(&classifier, clips, None, threads, &stop, &progress)?;
        console.end_progress();
        if stop.load(Ordering::Relaxed) {
            console.note("interrupted");
            return Ok(Status::Interrupted);
        }
        for problem in evaluation.problems() {
            console.error(problem);
        }
        let count = samples.len() + unreadable.len() + none.len();
        if let Some(first) = evaluation.problems().first().filter(|_| evaluation.problems().len() == count) {
            let reason = format!("none of the {count} clips to measure can be read; the first, {first}");
            return Err(Error::data(&self.data, reason));
        }
        warnings.extend(evaluation.warnings());
        warnings.iter().for_each(|warning| console.warning(warning));
        if let Some(dir) = &self.report {
            let mut facts =
                vec![("Speed", format!("{:.1} clips/s, {threads} threads", evaluation.clips_per_second()))];
            facts.extend(evaluation.doubt().map(|doubt| ("None of the labels", doubt.summary())));
            let report = TrainingReport {
                title: classifier.name(),
                part: part.name(),
                results: &[],
                several: None,
                warnings: &warnings,
                facts: &facts,
                command: &shell::line(shell::typed()),
                epochs: &[],
                best_epoch: None,
                dataset: &data,
                problems: evaluation.problems(),
                mistakes: &[],
            };
            let page = report.of(&evaluation, &classifier, clips);
            std::fs::create_dir_all(dir).map_err(|e| Error::io(dir, e))?;
            let file = dir.join("report.html");
            files::write_atomically(&file, page.as_bytes())?;
            console.note(format!("report: {}", file.display()));
        }
        say(&match self.format {
            FiguresFormat::Text => evaluation.text(part.name(), &data.labels),
            FiguresFormat::Json => evaluation.json(classifier.name(), part.name()).to_string(),
        })?;
        let failed = evaluation.errors() + evaluation.problems().len();
        Ok(if failed > 0 { Status::SomeFailed } else { Status::Done })
    }

    /// What there is to say of a model that is asked something else than the data says.
    fn fits(&self, classifier: &Classifier, data: &Dataset) -> Result<Option<String>> {
        match (classifier.config().scores, data.task) {
            (Scoring::Softmax, Task::AnyOf) => {
                let reason = format!(
                    "its clips may show several labels, and {} names one a clip: measure a model that was trained on such a \
                     list, or give a list with the column `label`",
                    classifier.name()
                );
                Err(Error::data(&self.data, reason))
            }
            (Scoring::Sigmoid, Task::OneOf) => Ok(Some(
                "the data names one label a clip: whatever else a clip shows counts as answered wrongly"
                    .into(),
            )),
            _ => Ok(None),
        }
    }

    /// The part to measure, and what there is to say about it.
    fn part(&self, data: &Dataset, warnings: &mut Vec<String>) -> Part {
        let has_test = data.has(Split::Test);
        if self.split.is_none() && data.split_given && !has_test {
            let text =
                "the data's split has no test part, so all clips are measured: some may have been trained on";
            warnings.push(text.into());
        }
        self.split.unwrap_or(if has_test { Part::Test } else { Part::All })
    }
}

impl Part {
    fn has(self, split: Split) -> bool {
        match self {
            Self::All => true,
            Self::Train => split == Split::Train,
            Self::Val => split == Split::Val,
            Self::Test => split == Split::Test,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Val => "validation",
            Self::Test => "test",
            Self::All => "all",
        }
    }
}
