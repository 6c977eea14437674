//! What a training run leaves: model folder, card, metrics and report.

use std::collections::HashSet;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use candle_core::Device;

use super::{Balance, Epoch, Finetune, FinetuneDepth, Recipe, TrainOptions, TrainOutcome};
use crate::learning::dataset::{Dataset, Problem, Sample, Split, Task};
use crate::learning::evaluation::{Clips, Evaluation, Measured, Mistakes, SeveralEvaluation, measure};
use crate::learning::features::FeatureCache;
use crate::learning::report::{EpochPoint, SeveralResults, TrainingReport};
use crate::model::{HeadConfig, LstmConfig, ModelFolder};
use crate::output::pages::seconds;
use crate::{Classifier, Result, files};

/// What [`finish`] writes besides the model itself.
pub(crate) const BESIDE_MODEL: [&str; 3] = ["README.md", "report.html", "metrics.jsonl"];

/// The saved model's figures.
pub struct Figures {
    /// On the validation clips.
    pub validation: Measured,
    /// Where the data has labelled test clips.
    pub test: Option<Measured>,
    /// Of test clips that show none of the labels, where there are no others.
    pub none: Option<Measured>,
}

impl Figures {
    /// The part that the figures to be quoted are of, by name.
    pub fn quoted(&self) -> (&'static str, &Measured) {
        self.test.as_ref().map_or(("validation", &self.validation), |test| ("test", test))
    }

    /// All that is to be told, by the name of the part; what is to be quoted comes last.
    pub fn told(&self) -> impl Iterator<Item = (&'static str, &Measured)> {
        self.none.iter().map(|none| ("test", none)).chain([self.quoted()])
    }
}

/// Saves the model, measures the saved file on the validation and test clips, and writes card,
/// `metrics.jsonl` and `report.html` into `dir`.
pub fn finish(
    outcome: &TrainOutcome,
    data: &Dataset,
    options: &TrainOptions,
    dir: &Path,
    command: &str,
    took: Duration,
    measured: &(dyn Fn() + Sync),
) -> Result<Figures> {
    let mut folder = ModelFolder { card: "Being measured.\n".into(), ..outcome.folder.clone() };
    folder.save(dir)?;
    let saved = ModelFolder::read(dir, &Device::Cpu)?;
    let measured_on = |model: &ModelFolder, split: Split| -> Result<(Classifier, Measured)> {
        let samples: Vec<&Sample> = data.part(split).collect();
        // Where no labelled clip can be read there are no figures for others to be errors in.
        let labelled = data.problems.iter().filter(|_| !samples.is_empty());
        let unreadable: Vec<&Problem> =
            labelled.chain(&data.none.problems).filter(|p| p.sample.split == split).collect();
        let none: Vec<&Sample> = data.none.part(split).collect();
        let classifier = Classifier::new(model, &Device::Cpu)?;
        let cache = options.cache.as_ref().map(|root| FeatureCache::new(root, model)).transpose()?;
        let (cache, never) = (cache.as_ref(), AtomicBool::new(false));
        let clips = Clips { samples: &samples, unreadable: &unreadable, none: &none };
        let evaluation = measure(&classifier, clips, cache, options.threads, &never, &|_| measured())?;
        Ok((classifier, evaluation))
    };
    // A refitted model has learned the validation clips: their figures are of the model before.
    let (mut classifier, validation) =
        measured_on(outcome.before_refit.as_ref().unwrap_or(&saved), Split::Val)?;
    let (mut test, mut none) = (None, None);
    if data.count(Split::Test) > 0 {
        let measured = measured_on(&saved, Split::Test)?;
        (classifier, test) = (measured.0, Some(measured.1));
    } else if data.none.part(Split::Test).next().is_some() {
        none = Some(measured_on(&saved, Split::Test)?.1);
    }
    let figures = Figures { validation, test, none };

    let mut facts = facts(&folder, outcome, data, options, took);
    let (part, quoted) = figures.quoted();
    for (part, measured) in figures.told().filter(|_| folder.config.knowing.is_some()) {
        let doubt = measured.doubt().map(|doubt| format!("{}, of the {part} clips", doubt.summary()));
        facts.extend(doubt.map(|doubt| ("None of the labels", doubt)));
    }
    let mut warnings: Vec<String> = data.warnings.iter().map(ToString::to_string).collect();
    warnings.extend(quoted.warnings());
    let samples: Vec<&Sample> = data.part(if part == "test" { Split::Test } else { Split::Val }).collect();
    let title = dir.file_name().map_or_else(|| "model".into(), |n| n.to_string_lossy().into_owned());
    let report = TrainingReport {
        title: &title,
        part,
        results: &[],
        several: None,
        warnings: &warnings,
        facts: &facts,
        command,
        epochs: &points(&outcome.history),
        best_epoch: outcome
            .kept()
            .map(|kept| outcome.history[..=kept].iter().filter(|row| !row.is_baseline()).count()),
        dataset: data,
        problems: &problems(outcome, data, &figures),
        mistakes: &[],
    };
    let clips = Clips { samples: &samples, unreadable: &[], none: &[] };
    let page = report.of(quoted, &classifier, clips);
    files::write_atomically(&dir.join("report.html"), page.as_bytes())?;
    let rows: Vec<String> =
        outcome.history.iter().filter_map(|row| serde_json::to_string(row).ok()).collect();
    files::write_atomically(&dir.join("metrics.jsonl"), (rows.join("\n") + "\n").as_bytes())?;
    folder.card = card(&title, &folder, &figures, data, &facts, command);
    files::write_atomically(&dir.join("README.md"), folder.card.as_bytes())?;
    Ok(figures)
}

/// All values that were in force for the head.
fn head_settings(options: &TrainOptions) -> String {
    let dropout = match options.head {
        HeadConfig::Lstm(LstmConfig { dropout, .. }) if options.heads > 1 => {
            format!("mean of {} heads, dropout {dropout}, ", options.heads)
        }
        HeadConfig::Lstm(LstmConfig { dropout, .. }) => format!("dropout {dropout}, "),
        HeadConfig::Mean { .. } => String::new(),
    };
    format!(
        "{}, {dropout}label smoothing {}, mixup {}",
        recipe(&options.recipe),
        options.label_smoothing,
        options.mixup
    )
}

/// All values that were in force for the CNN with its head, beside those of the head.
fn cnn_settings(finetune: &Finetune) -> String {
    format!(
        "{}, of which the CNN has {} and each block further from the head {} of that; {} frames shown at a time, {}, \
         backgrounds swapped in {} of the clips",
        recipe(&finetune.recipe),
        finetune.backbone_rate,
        finetune.layer_decay,
        finetune.shown.map_or("all".into(), |n| n.to_string()),
        if finetune.augmentation.flip { "mirrored at random" } else { "never mirrored" },
        finetune.augmentation.background
    )
}

fn recipe(recipe: &Recipe) -> String {
    format!(
        "up to {} epochs (ended after {} without a better one), {} clips a step, weight decay {}, learning rate {}",
        recipe.epochs, recipe.patience, recipe.batch, recipe.weight_decay, recipe.learning_rate
    )
}

/// What the report draws of each epoch of the model itself.
fn points(history: &[Epoch]) -> Vec<EpochPoint> {
    let point = |row: &Epoch| EpochPoint {
        train_loss: Some(row.train_loss),
        val_loss: row.validation.map(|v| v.loss),
        train_accuracy: Some(row.train_accuracy),
        val_accuracy: row.validation.map(|v| v.mean_average_precision.unwrap_or(v.accuracy)),
        stage: row.stage.clone(),
    };
    history.iter().filter(|row| !row.is_baseline()).map(point).collect()
}

/// What a refit was.
fn refitted(outcome: &TrainOutcome) -> String {
    let cnn = outcome.history.iter().any(|row| row.stage == "refit finetune");
    let part = match (&outcome.before_refit, cnn) {
        (None, _) => return "no".into(),
        (Some(_), true) => "CNN and head",
        (Some(_), false) => "the head",
    };
    format!(
        "{part}, on training and validation clips together; the validation figures are of the model before"
    )
}

/// Every clip that could not be used, once: found at opening, in training or in measuring.
fn problems(outcome: &TrainOutcome, data: &Dataset, figures: &Figures) -> Vec<Problem> {
    let measured = std::iter::once(&figures.validation).chain(&figures.test).chain(&figures.none);
    let opened = data.problems.iter().chain(&data.none.problems);
    let all = opened.chain(&outcome.problems).chain(measured.flat_map(|e| e.problems()));
    let mut seen = HashSet::new();
    all.filter(|problem| seen.insert(&problem.sample.name)).cloned().collect()
}

fn facts(
    folder: &ModelFolder,
    outcome: &TrainOutcome,
    data: &Dataset,
    options: &TrainOptions,
    took: Duration,
) -> Vec<(&'static str, String)> {
    let config = &folder.config;
    let sampling = config.sampling;
    let frames = match (sampling.fps, sampling.stride) {
        (None, None) => format!("{} frames spread over the clip", sampling.frames * sampling.windows),
        _ => format!("{} windows of {} frames, {}", sampling.windows, sampling.frames, sampling.pace()),
    };
    let head = match (&config.head, &options.head) {
        (HeadConfig::Lstm(lstm), HeadConfig::Lstm(asked)) => format!(
            // Heads side by side are one that is as much wider.
            "{}, {} layer(s) of {}{}{}",
            match lstm.hidden_size / asked.hidden_size {
                1 => "LSTM".into(),
                heads => format!("mean of {heads} LSTMs"),
            },
            lstm.num_layers,
            asked.hidden_size,
            if lstm.delta { ", on features and their change" } else { "" },
            if lstm.skip { ", features' mean beside its own" } else { "" },
        ),
        _ => "mean over time".into(),
    };
    let colours = match sampling.luma_lag {
        Some(lag) => format!("; brightness at three moments {lag} s apart instead of colours"),
        None => String::new(),
    };
    let bars = if folder.preprocess.cut_bars { "; black bars cut off" } else { "" };
    let tuned = match &options.finetune {
        None => "no, only the head is trained".into(),
        Some(Finetune { depth, augmentation, .. }) => format!(
            "{}{}{}",
            match depth {
                FinetuneDepth::AfterBlocks(0) => "the whole CNN".into(),
                FinetuneDepth::AfterBlocks(n) => format!("the CNN but for the stem and {n} blocks"),
                FinetuneDepth::LastBlocks(n) => format!("the CNN's last {n} blocks"),
            },
            if config.backbone.temporal_shift() { ", with temporal shift" } else { "" },
            if augmentation.background > 0.0 { ", on swapped backgrounds" } else { "" },
        ),
    };
    let rare = match options.balance {
        Balance::Weights => "their clips weigh more",
        Balance::Margins => {
            "drawn as often as others; the fewer source videos, the larger the margin they had to win by"
        }
        Balance::Sampling => "drawn as often as others",
        Balance::None => "as others",
    };
    let parts = |count: &dyn Fn(Split) -> usize| {
        let [train, val, test] = [Split::Train, Split::Val, Split::Test].map(count);
        format!("{train} training, {val} validation, {test} test")
    };
    let left_out = data.problems.len() + data.none.problems.len() + outcome.problems.len();
    let asked = (data.task == Task::AnyOf).then(|| {
        let why = "none, one or several a clip, as the list has a column `labels` or a column a label";
        ("Labels", why.to_owned())
    });
    let facts = vec![
        ("Backbone", format!("{}, weights of `{}`", config.backbone.name(), options.backbone)),
        ("Why this backbone", options.backbone_reason.clone()),
        ("Head", head),
        ("Frames", format!("{frames}, {0} × {0} pixels{colours}{bars}", folder.preprocess.crop_size.height)),
        ("Fine-tuned", tuned),
        ("Head's training", head_settings(options)),
        ("CNN's training", options.finetune.as_ref().map_or("none".into(), cnn_settings)),
        ("Clips", parts(&|split| data.count(split))),
        ("Left out", format!("{left_out} clips that can't be read")),
        ("Rare classes", rare.into()),
        ("Refitted", refitted(outcome)),
        (
            "Scores",
            match outcome.temperature {
                Some(t) if data.task == Task::AnyOf => format!(
                    "a sigmoid a label: logits over {t:.2}, as the validation clips say, done in the weights; a clip is said \
                     to show a label from the score on that gives the highest F1 on them"
                ),
                Some(t) => format!("logits over {t:.2}, as the validation clips say; done in the weights"),
                None => "as they are: training was ended early".into(),
            },
        ),
        ("Epochs", outcome.history.iter().filter(|row| !row.is_baseline()).count().to_string()),
        ("Seed", options.recipe.seed.to_string()),
        ("Training time", format!("{}, {} threads", seconds(took.as_secs_f64()), options.threads)),
    ];
    let background = (!data.none.samples.is_empty())
        .then(|| ("Clips that show none of the labels", parts(&|split| data.none.part(split).count())));
    asked.into_iter().chain(facts).chain(background).collect()
}

/// The model card.
fn card(
    title: &str,
    folder: &ModelFolder,
    figures: &Figures,
    data: &Dataset,
    facts: &[(&str, String)],
    command: &str,
) -> String {
    use std::fmt::Write;
    let licence = folder.config.licence.as_deref().unwrap_or("unknown");
    let mut text = format!(
        "---\nlicense: {}\ntags: [video-classification, {}]\n---\n\n# {title}\n\n\
         Names {} of {} {}: {}.\n\n| | |\n|---|---|\n",
        licence.to_lowercase(),
        folder.config.backbone.name(),
        if data.task == Task::OneOf { "one" } else { "none, one or several" },
        data.labels.len(),
        if data.task == Task::OneOf { "classes" } else { "labels" },
        data.labels.join(", "),
    );
    for (name, value) in facts {
        let _ = writeln!(text, "| {name} | {value} |");
    }
    let _ = writeln!(text, "| Licence | {licence}, the licence of the backbone's weights |\n");
    text += &figures_of_card(folder, figures, data);
    let _ = write!(text, "\n## Made by\n\n```sh\n{command}\n```\n");
    if figures.test.is_some() || figures.none.is_some() {
        let data = data.path.display();
        let _ =
            write!(text, "\nThe test figures again: `classify eval {data} --model {title} --split test`.\n");
    }
    text
}

/// The part of the card on how good the model is.
fn figures_of_card(folder: &ModelFolder, figures: &Figures, data: &Dataset) -> String {
    match (&figures.validation, &figures.test) {
        (Measured::OneOf(validation), None) => accuracy(folder, validation, None, data),
        (Measured::OneOf(validation), Some(Measured::OneOf(test))) => {
            accuracy(folder, validation, Some(test), data)
        }
        (Measured::AnyOf(validation), None) => precision(folder, validation, None),
        (Measured::AnyOf(validation), Some(Measured::AnyOf(test))) => {
            precision(folder, validation, Some(test))
        }
        // Both are of one model.
        _ => String::new(),
    }
}

/// Of a model that names one label.
fn accuracy(
    folder: &ModelFolder,
    validation: &Evaluation,
    test: Option<&Evaluation>,
    data: &Dataset,
) -> String {
    use std::fmt::Write;
    let mut text = String::from("## Accuracy\n\n");
    let parts = [("test", test), ("validation", Some(validation))];
    text += "| clips | head | accuracy | 95 % interval | macro-F1 |\n|---|---|---|---|---|\n";

    for (part, evaluation) in parts.into_iter().filter_map(|(part, e)| Some((part, e?))) {
        let heads =
            [(folder.config.head.name(), Some(&evaluation.metrics)), ("mean", evaluation.baseline.as_ref())];
        for (head, m) in heads.into_iter().filter_map(|(head, m)| Some((head, m?))) {
            let [low, high] = m.accuracy_interval.map(|x| 100.0 * x);
            let (accuracy, f1, clips) = (100.0 * m.accuracy, m.macro_f1, m.clips);
            let _ = writeln!(
                text,
                "| {clips} {part} | {head} | {accuracy:.1} % | {low:.1}–{high:.1} % | {f1:.3} |"
            );
        }
    }
    let (part, quoted) = test.map_or(("validation", validation), |test| ("test", test));
    let majority = &quoted.metrics.majority;
    let _ = writeln!(
        text,
        "\nAlways answering `{}` would be right for {:.1} % of the {part} clips. \
         The validation clips chose the epoch; the test clips chose nothing.\n\n## Confusion ({part})\n",
        majority.label,
        100.0 * majority.accuracy
    );
    let _ = writeln!(
        text,
        "| true \\ answered | {} |",
        (0..data.labels.len()).map(|i| i.to_string()).collect::<Vec<_>>().join(" | ")
    );
    let _ = writeln!(text, "|---|{}", "---|".repeat(data.labels.len()));
    for (i, (label, row)) in std::iter::zip(&data.labels, &quoted.metrics.confusion).enumerate() {
        let cells: Vec<String> =
            row.iter().map(|n| if *n == 0 { String::new() } else { n.to_string() }).collect();
        let _ = writeln!(text, "| {i} {label} | {} |", cells.join(" | "));
    }
    text
}

/// Of a model that names several.
fn precision(
    folder: &ModelFolder,
    validation: &SeveralEvaluation,
    test: Option<&SeveralEvaluation>,
) -> String {
    use std::fmt::Write;
    let mut text = String::from("## How good it is\n\n");
    text += "| clips | head | mAP | micro-F1 | macro-F1 | wholly right |\n|---|---|---|---|---|---|\n";
    let parts = [("test", test), ("validation", Some(validation))];
    for (part, evaluation) in parts.into_iter().filter_map(|(part, e)| Some((part, e?))) {
        let heads =
            [(folder.config.head.name(), Some(&evaluation.metrics)), ("mean", evaluation.baseline.as_ref())];
        for (head, m) in heads.into_iter().filter_map(|(head, m)| Some((head, m?))) {
            let _ = writeln!(
                text,
                "| {} {part} | {head} | {:.3} | {:.3} | {:.3} | {:.1} % |",
                m.clips,
                m.mean_average_precision,
                m.micro_f1,
                m.macro_f1,
                100.0 * m.exact
            );
        }
    }
    let (part, quoted) = test.map_or(("validation", validation), |test| ("test", test));
    let _ = writeln!(
        text,
        "\nmAP: the mean over the labels of the area under precision over recall, which no threshold has a part in; by \
         chance it would be {:.3}. The mean head's threshold is 0.5. The validation clips chose the epoch and the \
         thresholds; the test clips chose nothing.\n\n## Labels ({part})\n",
        quoted.metrics.chance
    );
    text += "| label | clips | average precision | threshold | precision | recall | F1 |\n|---|---|---|---|---|---|---|\n";
    for l in &quoted.metrics.per_label {
        let _ = writeln!(
            text,
            "| {} | {} | {:.3} | {:.2} | {:.2} | {:.2} | {:.2} |",
            l.label, l.support, l.average_precision, l.threshold, l.precision, l.recall, l.f1
        );
    }
    text
}

impl TrainingReport<'_> {
    /// The page with the figures `measured` of the model on `clips`, and the clips that it was most wrong about.
    pub(crate) fn of(self, measured: &Measured, classifier: &Classifier, clips: Clips) -> String {
        match (measured, measured.mistakes(classifier, self.dataset, clips, 24)) {
            (Measured::OneOf(e), Mistakes::OneOf(mistakes)) => {
                TrainingReport { results: &e.results(classifier), mistakes: &mistakes, ..self }.to_html()
            }
            (Measured::AnyOf(e), Mistakes::AnyOf(mistakes)) => {
                let several = SeveralResults { results: &e.results(classifier), mistakes: &mistakes };
                TrainingReport { several: Some(several), ..self }.to_html()
            }
            _ => self.to_html(),
        }
    }
}
