//! `classify train`: learn new labels from labelled clips.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::learning::dataset::{self, Dataset};
use crate::learning::metrics::mean_interval;
use crate::learning::report::EventWriter;
use crate::learning::training::{
    self, Choice, Finetune, FinetuneDepth, TrainOptions, choose_backbone, finish, train,
};
use crate::model::{HeadConfig, LstmConfig};
use crate::{Error, Result, bulk, memory};

use super::console::Verbosity;
use super::model_args::DeviceName;
use super::sink::say;
use super::training_progress::Progress;
use super::{Console, Status, interrupt, shell};

/// Learn new labels from a folder of labelled clips
///
/// DATA is a folder with one folder of clips a class, or a list: CSV with the columns
/// path,label[,split][,group], or lines 'path label'. Paths are relative to the list. Without a
/// split, part of the clips is set apart for validation; clips cut from one source video stay
/// together where their names (_gNN_), the group column or --group say so.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Labelled clips
    data: PathBuf,
    /// Folder to write the model to
    #[arg(short, long, value_name = "MODEL_DIR")]
    output: PathBuf,
    /// Model whose CNN is taken over: a name or a folder [default: kinetics400-i3d where that stays
    /// within the budget, else imagenet-lite0]
    #[arg(long, value_name = "NAME|DIR", help_heading = "Model")]
    backbone: Option<String>,
    /// How much time to spend
    #[arg(long, value_enum, default_value_t = Preset::Balanced, conflicts_with_all = ["backbone", "finetune"])]
    preset: Preset,
    /// Minutes that looking at the clips may take, where the backbone is chosen by time [default: the preset's]
    #[arg(long, value_name = "MINUTES", help_heading = "Model", value_parser = minutes,
          conflicts_with_all = ["backbone", "finetune"])]
    budget: Option<f64>,
    /// Frames to look at in each window of a clip [default: the backbone's]
    #[arg(long, value_name = "N", help_heading = "Model", value_parser = count(10_000))]
    frames: Option<u64>,
    /// Windows to look at in a clip [default: the backbone's]
    #[arg(long, value_name = "N", help_heading = "Model", value_parser = count(1000))]
    windows: Option<u64>,
    /// Width and height of the frames in pixels [default: the backbone's]
    #[arg(long, value_name = "PX", help_heading = "Model", value_parser = clap::value_parser!(u64).range(16..=4096))]
    size: Option<u64>,
    /// Make each frame of the brightness at three moments so many seconds apart, instead of colours, so
    /// that an image network sees motion; for --finetune [default: the backbone's]
    #[arg(long, value_name = "SECONDS", help_heading = "Model", value_parser = lag)]
    luma_lag: Option<f64>,
    /// Cut off black bars around a clip's pictures first [default: as the backbone does]
    #[arg(long, help_heading = "Model")]
    cut_bars: bool,
    /// What reads the features over time
    #[arg(long, value_enum, default_value_t = HeadName::Lstm, help_heading = "Model")]
    head: HeadName,
    /// Length of the LSTM's state
    #[arg(long, value_name = "N", default_value_t = 256, help_heading = "Model", value_parser = count(65_536))]
    hidden: u64,
    /// LSTM layers
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Model", value_parser = count(16))]
    layers: u64,
    /// The LSTM reads the features' change from step to step, too
    #[arg(long, help_heading = "Model")]
    delta: bool,
    /// The classifier reads the LSTM alone, without the features' mean beside it
    #[arg(long, help_heading = "Model")]
    no_skip: bool,
    /// Keep the model that was validated. Otherwise its head is learned once more in the end, on training and
    /// validation clips together, for as many epochs as before; and the CNN with it, where the head that was tuned with
    /// it validated no worse than one learned after
    #[arg(long, help_heading = "Training")]
    no_refit: bool,
    /// Most epochs of the head
    #[arg(long, value_name = "N", default_value_t = 40, help_heading = "Training", value_parser = count(100_000))]
    epochs: u64,
    /// Clips a step [default: 32, with the CNN 8]
    #[arg(long, value_name = "N", help_heading = "Training", value_parser = count(100_000))]
    batch: Option<u64>,
    /// Highest learning rate; it rises to it, then falls to 0 along a cosine
    #[arg(long, value_name = "RATE", default_value_t = 1e-3, help_heading = "Training", value_parser = rate)]
    learning_rate: f64,
    /// Shrinks the weights at each step by this share of the learning rate
    #[arg(long, value_name = "RATE", default_value_t = 0.05, help_heading = "Training", value_parser = share)]
    weight_decay: f64,
    /// Share of values dropped in training
    #[arg(long, value_name = "SHARE", default_value_t = 0.5, help_heading = "Training", value_parser = share)]
    dropout: f64,
    /// Share of a label's probability that is spread over all labels
    #[arg(long, value_name = "SHARE", default_value_t = 0.1, help_heading = "Training", value_parser = share)]
    label_smoothing: f64,
    /// Mix pairs of clips, with shares drawn from Beta(A, A); 0 for none
    #[arg(long, value_name = "A", default_value_t = 0.2, help_heading = "Training", value_parser = mixup)]
    mixup: f64,
    /// How rare classes get their due
    #[arg(long, value_enum, default_value_t = Balance::Weights, help_heading = "Training")]
    balance: Balance,
    /// Stop after so many epochs without a lower validation loss [default: 15, with the CNN 8]
    #[arg(long, value_name = "EPOCHS", help_heading = "Training", value_parser = count(100_000))]
    patience: Option<u64>,
    /// Train the CNN, too, before the head
    #[arg(long, value_enum, default_value_t = Depth::None, help_heading = "Fine-tuning")]
    finetune: Depth,
    /// Epochs of CNN and head together
    #[arg(long, value_name = "N", default_value_t = 14, help_heading = "Fine-tuning", value_parser = count(100_000),
          requires = "finetune")]
    finetune_epochs: u64,
    /// Highest learning rate of the head
    #[arg(long, value_name = "RATE", default_value_t = 8e-4, help_heading = "Fine-tuning", value_parser = rate,
          requires = "finetune")]
    finetune_rate: f64,
    /// The CNN's share of that rate
    #[arg(long, value_name = "SHARE", default_value_t = 0.5, help_heading = "Fine-tuning", value_parser = rate,
          requires = "finetune")]
    backbone_rate: f64,
    /// Frames see their neighbours inside the CNN, at no extra cost; for --finetune
    #[arg(long, help_heading = "Fine-tuning", requires = "finetune")]
    temporal_shift: bool,
    /// Frames that a step shows of each clip, a run from a random place: less time, and more ways to
    /// see a clip [default: all]
    #[arg(long, value_name = "N", help_heading = "Fine-tuning", value_parser = count(10_000), requires = "finetune")]
    shown: Option<u64>,
    /// Never mirror clips: left and right matter
    #[arg(long, help_heading = "Fine-tuning", requires = "finetune")]
    no_flip: bool,
    /// Show this share of the clips with what moves in them before another clip's background, so that places count
    /// for less; for --luma-lag
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, help_heading = "Fine-tuning", value_parser = share,
          requires = "finetune")]
    swap_backgrounds: f64,
    /// Train K times first, each time with another K-th of the training clips to validate on, and say how
    /// good and how even the results are: for sets too small for one validation part to tell
    #[arg(long, value_name = "K", help_heading = "Training", value_parser = count(100))]
    cross_validate: Option<u64>,
    /// Every random choice in training comes from it
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Training")]
    seed: u64,
    /// Regular expression with one capture: a clip's group (its source video, camera or person)
    #[arg(long, value_name = "REGEX")]
    group: Option<String>,
    /// Cores to use [default: all]
    #[arg(long, value_name = "N", value_parser = count(1024))]
    threads: Option<u64>,
    /// Where the CNN runs
    #[arg(long, value_enum, default_value_t = DeviceName::Cpu)]
    device: DeviceName,
    /// Where the clips' features are kept for the next run [default: the user's cache folder]
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Keep no features
    #[arg(long, conflicts_with = "cache")]
    no_cache: bool,
    /// Go on where a run with the same settings was ended
    #[arg(long)]
    resume: bool,
    /// Start anew where the output folder has a model, or an earlier run's checkpoints
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    verbosity: Verbosity,
}

#[derive(Debug, Clone, Copy, PartialEq, clap::ValueEnum)]
enum Preset {
    /// The image network, whatever there is time for: a first answer in a minute or two for 500 clips
    Quick,
    /// The 3D network where looking at the clips with it takes no more than 10 minutes, else the image network
    Balanced,
    /// The 3D network on three windows of 224² pixels of each clip, however long that takes
    Best,
}

impl Preset {
    /// Minutes that looking at the clips may take.
    fn budget(self) -> Option<f64> {
        match self {
            Self::Quick => Some(0.0),
            Self::Balanced => Some(10.0),
            Self::Best => None,
        }
    }

    /// Windows to look at in a clip and pixels a side, where not the backbone's own.
    fn looks(self) -> Option<(u64, u64)> {
        (self == Self::Best).then_some((3, 224))
    }
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum HeadName {
    /// An LSTM: sees what comes before what
    Lstm,
    /// Their mean
    Mean,
}

#[derive(Debug, Clone, Copy, PartialEq, clap::ValueEnum)]
enum Depth {
    /// The CNN stays as it is
    None,
    /// Its last four blocks
    Last,
    /// All but its first layers, which see edges and colours: near all of the gain for two thirds
    /// of the time
    Most,
    /// All of it
    All,
}

#[derive(Debug, Clone, Copy, PartialEq, clap::ValueEnum)]
enum Balance {
    /// A rare class's clips weigh more
    Weights,
    /// A rare class's clips are drawn more often, and it has to win by a margin, the larger the fewer source videos it
    /// has: for fine-tuning
    Margins,
    /// A rare class's clips are drawn more often
    Sampling,
    /// Every clip counts the same
    None,
}

impl From<Balance> for training::Balance {
    fn from(balance: Balance) -> Self {
        match balance {
            Balance::Weights => Self::Weights,
            Balance::Margins => Self::Margins,
            Balance::Sampling => Self::Sampling,
            Balance::None => Self::None,
        }
    }
}

fn count(most: u64) -> clap::builder::RangedU64ValueParser {
    clap::value_parser!(u64).range(1..=most)
}

fn number(text: &str, fits: impl Fn(f64) -> bool, must: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if fits(value) { Ok(value) } else { Err(format!("must be {must}")) }
}

fn minutes(text: &str) -> Result<f64, String> {
    number(text, |x| (0.0..=1e6).contains(&x), "between 0 and 1000000")
}

fn rate(text: &str) -> Result<f64, String> {
    number(text, |x| x > 0.0 && x <= 1.0, "above 0 and at most 1")
}

/// Below, nothing is mixed, and shares so near to 0 can't be drawn.
const LEAST_MIXUP: f64 = 0.01;

fn mixup(text: &str) -> Result<f64, String> {
    share(text)?;
    number(text, |x| x == 0.0 || x >= LEAST_MIXUP, &format!("0 or at least {LEAST_MIXUP}"))
}

fn lag(text: &str) -> Result<f64, String> {
    number(text, |x| x > 0.0 && x <= 10.0, "above 0 and at most 10")
}

fn share(text: &str) -> Result<f64, String> {
    number(text, |x| (0.0..1.0).contains(&x), "at least 0 and below 1")
}

impl Args {
    /// Read the data, train, measure the saved model, say how good it is.
    pub fn run(self, console: &Console) -> Result<Status> {
        memory::keep_for_training();
        console.set_verbosity(self.verbosity);
        // What splits its work does so over the pool that it is called in.
        bulk::pool(self.cores())?.install(|| self.train(console))
    }

    fn train(&self, console: &Console) -> Result<Status> {
        let start = Instant::now();
        self.check_output()?;
        // The same validation clips whatever the seed, so that runs can be compared and chosen from.
        let settings = dataset::Options { group: self.group.clone(), ..Default::default() };
        let data = Dataset::open(&self.data, &settings)?;
        console.note(data.split_table().trim_end());
        data.warnings.iter().for_each(|warning| console.warning(warning));
        for problem in &data.problems {
            console.warning(format!("left out: {problem}"));
        }

        let choice = match (&self.backbone, self.finetune) {
            (Some(backbone), _) => Choice { backbone: backbone.clone(), reason: "as asked".into() },
            (None, Depth::None) => {
                let budget = self.budget.or(self.preset.budget());
                let budget = budget.map(|minutes| Duration::from_secs_f64(60.0 * minutes));
                choose_backbone(&data, self.looks(), budget, self.cores())?
            }
            // The 3D network can't be fine-tuned.
            (None, _) => {
                Choice { backbone: "imagenet-lite0".into(), reason: "the CNN that can be fine-tuned".into() }
            }
        };
        console.note(format!("backbone: {} ({})", choice.backbone, choice.reason));
        let options = self.options(choice)?;
        let checkpoints = self.checkpoints();
        if checkpoints.exists() && !self.resume {
            std::fs::remove_dir_all(&checkpoints).map_err(|e| Error::io(&checkpoints, e))?;
        }
        std::fs::create_dir_all(&checkpoints).map_err(|e| Error::io(&checkpoints, e))?;
        let stop = interrupt::flag();
        let progress = Progress {
            console,
            events: EventWriter::create(&self.output.join("events"))?.into(),
            begin: Instant::now().into(),
        };
        if let Some(k) = self.cross_validate {
            self.cross_validate(k as usize, &data, &options, &stop, &progress)?;
        }
        let outcome = train(&data, &options, &checkpoints, &stop, &progress)?;
        console.end_progress();
        outcome.warnings.iter().for_each(|warning| console.warning(warning));
        for problem in &outcome.problems {
            console.warning(format!("left out: {problem}"));
        }
        if stop.load(Ordering::Relaxed) {
            console.note("interrupted; measuring the best model so far");
        }
        console.start_progress(data.samples.len(), "clips measured");
        let took = start.elapsed();
        let figures =
            finish(&outcome, &data, &options, &self.output, &shell::command(), took, &|| console.step(0))?;
        console.end_progress();
        let (part, quoted) = figures.quoted();
        quoted.metrics.warnings().iter().for_each(|warning| console.warning(warning));
        for problem in &quoted.problems {
            console.warning(format!("counted as wrong: {problem}"));
        }
        say(&format!(
            "{}\nmodel: {}\nreport: {}",
            quoted.summary(part, data.labels.len()),
            self.output.display(),
            self.output.join("report.html").display()
        ))?;
        Ok(if stop.load(Ordering::Relaxed) {
            Status::Interrupted
        } else if data.problems.len() + outcome.problems.len() + quoted.problems.len() > 0 {
            Status::SomeFailed
        } else {
            Status::Done
        })
    }

    fn checkpoints(&self) -> PathBuf {
        self.output.join("checkpoints")
    }

    /// Refuses to replace a model, the work of a run that was ended, or what somebody else's folder has.
    fn check_output(&self) -> Result<()> {
        if self.force || self.resume {
            return Ok(());
        }
        if self.output.join("config.json").exists() {
            let reason = "there is a model already; --force replaces it, --resume goes on with its training";
            return Err(Error::model(&self.output, reason));
        }
        let checkpoints = self.checkpoints();
        if std::fs::read_dir(&checkpoints).is_ok_and(|mut entries| entries.next().is_some()) {
            return Err(Error::Usage(format!(
                "{}: an earlier run left its checkpoints; --resume goes on from there, --force starts anew",
                checkpoints.display()
            )));
        }
        let ours = ["README.md", "report.html", "metrics.jsonl"].map(|name| self.output.join(name));
        match ours.iter().find(|file| file.exists()) {
            Some(file) => Err(Error::Usage(format!(
                "{}: exists already and would be replaced; name a folder of its own with -o, or --force",
                file.display()
            ))),
            None => Ok(()),
        }
    }

    fn options(&self, choice: Choice) -> Result<TrainOptions> {
        let default = TrainOptions::default();
        let head = match self.head {
            HeadName::Mean => HeadConfig::Mean { pool: 1 },
            HeadName::Lstm => HeadConfig::Lstm(LstmConfig {
                hidden_size: self.hidden as usize,
                num_layers: self.layers as usize,
                dropout: self.dropout,
                delta: self.delta,
                skip: !self.no_skip,
            }),
        };
        let (windows, size) = self.looks();
        let mut recipe = default.recipe;
        recipe.epochs = self.epochs as usize;
        recipe.batch = self.batch.map_or(recipe.batch, |n| n as usize);
        recipe.learning_rate = self.learning_rate;
        recipe.weight_decay = self.weight_decay;
        recipe.patience = self.patience.map_or(recipe.patience, |n| n as usize);
        recipe.seed = self.seed;
        Ok(TrainOptions {
            backbone: choice.backbone,
            backbone_reason: choice.reason,
            frames: self.frames.map(|n| n as usize),
            size,
            windows,
            luma_lag: self.luma_lag,
            cut_bars: self.cut_bars,
            head,
            recipe,
            label_smoothing: self.label_smoothing as f32,
            mixup: self.mixup,
            balance: self.balance.into(),
            temporal_shift: self.temporal_shift,
            refit: !self.no_refit,
            finetune: self.finetune(),
            cache: if self.no_cache { None } else { self.cache.clone().or(default.cache) },
            threads: self.cores(),
            device: self.device.open()?,
            resume: self.resume,
        })
    }

    /// Windows and pixels a side: as asked, else the preset's.
    fn looks(&self) -> (Option<usize>, Option<usize>) {
        let (windows, size) = self.preset.looks().unzip();
        (self.windows.or(windows).map(|n| n as usize), self.size.or(size).map(|n| n as usize))
    }

    /// Trains on each of `k` divisions of the training clips; says how good the models were on the
    /// rest. The models are not kept.
    fn cross_validate(
        &self,
        k: usize,
        data: &Dataset,
        options: &TrainOptions,
        stop: &AtomicBool,
        progress: &Progress,
    ) -> Result<()> {
        let mut scores = Vec::new();
        let options = &TrainOptions { refit: false, ..options.clone() };
        for (i, fold) in data.folds(k, self.seed)?.iter().enumerate() {
            if i == 0 {
                fold.warnings.iter().for_each(|warning| progress.console.warning(warning));
            }
            progress.console.note(format!("fold {} of {k}", i + 1));
            let checkpoints = self.checkpoints().join(format!("fold-{}-of-{k}", i + 1));
            std::fs::create_dir_all(&checkpoints).map_err(|e| Error::io(&checkpoints, e))?;
            let outcome = train(fold, options, &checkpoints, stop, progress)?;
            progress.console.end_progress();
            if stop.load(Ordering::Relaxed) {
                return Err(Error::Interrupted("in the folds; --resume goes on from there".into()));
            }
            let kept = outcome.kept().and_then(|row| outcome.history[row].validation);
            scores.extend(kept.map(|v| (v.accuracy, v.macro_f1)));
        }
        let (accuracy, f1): (Vec<f64>, Vec<f64>) = scores.into_iter().unzip();
        let shown = |values: &[f64], unit: f64, digits: usize| {
            let (mean, half) = mean_interval(values);
            let half = half.map_or(String::new(), |half| format!(" ± {:.digits$}", unit * half));
            format!("{:.digits$}{half}", unit * mean)
        };
        say(&format!(
            "{k} folds: {} % right, macro-F1 {} (mean and 95 % interval; each fold also chose its epoch, so they are a \
             little too good)",
            shown(&accuracy, 100.0, 1),
            shown(&f1, 1.0, 3)
        ))
    }

    fn cores(&self) -> usize {
        self.threads.map_or_else(bulk::available_threads, |n| n as usize)
    }

    fn finetune(&self) -> Option<Finetune> {
        let mut finetune = Finetune::default();
        finetune.depth = match self.finetune {
            Depth::None => return None,
            Depth::Last => FinetuneDepth::LastBlocks(4),
            Depth::Most => FinetuneDepth::AfterBlocks(3),
            Depth::All => FinetuneDepth::AfterBlocks(0),
        };
        finetune.recipe.epochs = self.finetune_epochs as usize;
        finetune.recipe.learning_rate = self.finetune_rate;
        finetune.recipe.batch = self.batch.map_or(finetune.recipe.batch, |n| n as usize);
        finetune.recipe.patience = self.patience.map_or(finetune.recipe.patience, |n| n as usize);
        finetune.recipe.weight_decay = self.weight_decay;
        finetune.recipe.seed = self.seed;
        finetune.backbone_rate = self.backbone_rate;
        finetune.augmentation.flip = !self.no_flip;
        finetune.augmentation.background = self.swap_backgrounds;
        finetune.shown = self.shown.map(|n| n as usize);
        Some(finetune)
    }
}
