//! `classify models`: what models there are, and what one is.

use std::fmt::Write;
use std::path::Path;

use crate::model::hub::{Cache, HubName};
use crate::model::{
    DEFAULT_MODEL, KnownModel, ModelConfig, ModelFiles, Origin, embedded_models, known_models,
};
use crate::output::one_line;
use crate::video::Sampling;
use crate::{Error, Result};

use super::completions::print;
use super::{Console, Status};

/// List the models there are: inside the program, pulled from the hub, trained here; or show one
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Args {
    /// Write one JSON object a line
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show what a model is: its facts and its card
    Show {
        /// A model inside the program, a pulled one, or a model folder
        #[arg(value_name = "NAME|DIR")]
        model: String,
        /// Show its labels instead, one a line
        #[arg(long)]
        labels: bool,
    },
    /// Delete a pulled model, all its revisions, from the cache that other programs use too
    Rm {
        /// A model that was pulled
        #[arg(value_name = "OWNER/NAME")]
        model: String,
    },
}

impl Args {
    /// To standard output.
    pub(super) fn run(self, console: &Console) -> Result<Status> {
        let text = match self.command {
            None if self.json => json()?,
            None => list(),
            Some(Command::Show { model, labels: false }) => match ModelFiles::named(&model) {
                Ok(files) => show(&files),
                Err(error) => match pulled(&model) {
                    // Its card may say what it is for.
                    Some(known) => {
                        console.warning(format!("it can't be used: {}", error.reason()));
                        show_card(&known)
                    }
                    None => return Err(error),
                },
            },
            Some(Command::Show { model, labels: true }) => {
                let labels = ModelFiles::named(&model)?.config.id2label;
                labels.iter().map(|label| format!("{label}\n")).collect()
            }
            Some(Command::Rm { model }) => {
                console.note(format!("{model}: {} MB freed", megabytes(remove(&model)?)));
                return Ok(Status::Done);
            }
        };
        print(text.as_bytes())
    }
}

/// A line a model, in columns; those that weren't there from the beginning below a line of their own.
fn list() -> String {
    let models = known_models();
    let mut text = String::new();
    for (origin, title) in [
        (Origin::Embedded, ""),
        (Origin::Pulled, "\npulled from the hub\n"),
        (Origin::Trained, "\ntrained here\n"),
    ] {
        let rows: Vec<_> = models.iter().filter(|model| model.origin == origin).map(columns).collect();
        if !rows.is_empty() {
            text += title;
        }
        let width = |i: usize| rows.iter().map(|row| row[i].chars().count()).max().unwrap_or(0);
        let widths: [usize; 6] = std::array::from_fn(width);
        for row in rows {
            let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
            text += cells.collect::<Vec<_>>().join("  ").trim_end();
            text.push('\n');
        }
    }
    text
}

fn columns(model: &KnownModel) -> [String; 6] {
    let labels = match model.labels {
        Some(n) if model.unnamed => format!("{n:4} labels without names"),
        Some(n) => format!("{n:4} labels"),
        None => "no labels".into(),
    };
    let frames = model.frames.as_ref().map_or_else(String::new, |frames| format!("{frames} frames"));
    let end = match model.origin {
        Origin::Embedded if model.name == DEFAULT_MODEL => "(default)".into(),
        Origin::Embedded => String::new(),
        _ => format!("{} MB", megabytes(model.bytes)),
    };
    let licence = model.licence.clone().unwrap_or_else(|| "no licence named".into());
    [model.name.clone(), labels, model.architecture.clone(), frames, licence, end].map(|cell| one_line(&cell))
}

fn json() -> Result<String> {
    let line = |model: KnownModel| serde_json::to_string(&model).map(|line| line + "\n");
    let lines: serde_json::Result<String> = known_models().into_iter().map(line).collect();
    lines.map_err(|e| Error::Usage(format!("a model can't be written as JSON: {e}")))
}

/// Deletes a pulled model; others are the user's or the program's own.
fn remove(model: &str) -> Result<u64> {
    let refuse = |reason: &str| Err(Error::model(model, reason));
    if embedded_models().any(|name| name == model) {
        return refuse("it is inside the program and stays there");
    }
    let pulled = HubName::parse(model).zip(Cache::of_user());
    match pulled.filter(|(name, cache)| cache.holds(name)) {
        Some((name, _)) if name.revision.is_some() => {
            refuse(&format!("all its revisions go together: classify models rm {}", name.model()))
        }
        Some((name, cache)) => cache.remove(&name),
        None if Path::new(model).exists() => {
            refuse("it is a folder of yours, and only what was pulled is deleted; delete it yourself")
        }
        None => refuse("it isn't among the pulled ones; `classify models` lists them"),
    }
}

fn megabytes(bytes: u64) -> String {
    match bytes {
        ..10_000_000 => format!("{:.1}", bytes as f64 / 1e6),
        _ => format!("{:.0}", bytes as f64 / 1e6),
    }
}

/// The pulled model that `model` names.
fn pulled(model: &str) -> Option<KnownModel> {
    let name = HubName::parse(model).filter(|_| !Path::new(model).is_dir())?.to_string();
    known_models().into_iter().find(|known| known.origin == Origin::Pulled && known.name == name)
}

/// What there is to say of a model that can't be loaded.
fn show_card(known: &KnownModel) -> String {
    let [name, labels, network, frames, licence, size] = columns(known).map(|cell| cell.trim().to_owned());
    let facts = [
        ("model", name),
        ("network", network),
        ("labels", labels),
        ("frames", frames),
        ("size", size),
        ("licence", licence),
    ];
    let card = known.path.as_ref().and_then(|dir| std::fs::read_to_string(dir.join("README.md")).ok());
    page(facts, &card.unwrap_or_default())
}

fn show(files: &ModelFiles) -> String {
    let config = &files.config;
    let crop = files.preprocess.crop_size;
    let bars = if files.preprocess.cut_bars { ", black bars cut off" } else { "" };
    let head = if config.id2label.is_empty() { "none" } else { config.head.name() };
    let mut facts = vec![
        ("model", files.name()),
        ("backbone", config.backbone.name().into()),
        ("head", head.into()),
        ("labels", labels(&config.id2label)),
        ("frames", frames(config)),
        ("size", format!("{}×{} pixels{bars}", crop.width, crop.height)),
    ];
    if config.names_several() {
        let of = |i: usize| format!("{} from {:.2}", config.id2label[i], config.thresholds[i]);
        let examples: Vec<String> = (0..config.id2label.len().min(3)).map(of).collect();
        let more = if config.id2label.len() > 3 { ", …" } else { "" };
        facts.push(("shown", format!("none, one or several labels: {}{more}", examples.join(", "))));
    }
    if let Some(calibration) = config.calibration {
        facts.push(("not sure", format!("below a score of {:.3}", calibration.threshold)));
        if let Some(enough) = calibration.enough {
            facts.push(("enough", format!("one window, where it gives a score of {enough:.2}")));
        }
    }
    if let Some(knowing) = config.knowing {
        let kept = 100.0 * knowing.keep;
        facts.push((
            "not sure",
            format!("of clips unlike those of its labels; keeps {kept:.0} % of right answers"),
        ));
    }
    facts.extend(config.licence.iter().map(|licence| ("licence", licence.clone())));
    page(facts, files.card())
}

fn labels(labels: &[String]) -> String {
    if labels.is_empty() {
        return "none of its own; see --labels, and classify train --backbone".into();
    }
    let examples = labels.iter().take(3).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = if labels.len() > 3 { ", …" } else { "" };
    format!("{} ({examples}{more})", labels.len())
}

/// Facts, a line each, and the card below them.
fn page(facts: impl IntoIterator<Item = (&'static str, String)>, card: &str) -> String {
    let mut text = String::new();
    for (name, value) in facts {
        let _ = writeln!(text, "{name:9} {value}");
    }
    let card = body(card);
    if !card.is_empty() {
        let _ = writeln!(text, "\n{card}");
    }
    text
}

fn frames(config: &ModelConfig) -> String {
    let Sampling { windows, frames, luma_lag, .. } = config.sampling;
    let mut pace = config.sampling.pace();
    if let Some(lag) = luma_lag {
        pace += &format!("; brightness at three moments {lag} s apart, no colours");
    }
    if windows == 1 { format!("{frames}, {pace}") } else { format!("{windows} windows of {frames}, {pace}") }
}

/// A card without the settings between `---` that model hubs read.
fn body(card: &str) -> &str {
    let rest = card.strip_prefix("---\n").and_then(|rest| rest.split_once("\n---\n"));
    rest.map_or(card, |(_, body)| body).trim()
}
