//! `classify models`: what models there are, and what one is.

use std::fmt::Write;

use crate::Result;
use crate::model::{DEFAULT_MODEL, ModelConfig, ModelFolder, embedded_models};
use crate::video::Sampling;
use candle_core::Device;

use super::Status;
use super::completions::print;

/// List the models inside the program, or show one
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show what a model is: its facts and its card
    Show {
        /// A model inside the program or a model folder
        #[arg(value_name = "NAME|DIR")]
        model: String,
        /// Show its labels instead, one a line
        #[arg(long)]
        labels: bool,
    },
}

impl Args {
    /// To standard output.
    pub(super) fn run(self) -> Result<Status> {
        let text = match self.command {
            None => list()?,
            Some(Command::Show { model, labels: false }) => show(&ModelFolder::named(&model, &Device::Cpu)?),
            Some(Command::Show { model, labels: true }) => {
                let folder = ModelFolder::named(&model, &Device::Cpu)?;
                folder.config.id2label.iter().map(|label| format!("{label}\n")).collect()
            }
        };
        print(text.as_bytes())
    }
}

fn list() -> Result<String> {
    let folders: Vec<_> =
        embedded_models().map(|name| ModelFolder::named(name, &Device::Cpu)).collect::<Result<_>>()?;
    let width = folders.iter().map(|f| f.name().len()).max().unwrap_or(0);
    let mut text = String::new();
    for folder in &folders {
        let name = folder.name();
        let default = if name == DEFAULT_MODEL { "  (default)" } else { "" };
        let _ = writeln!(
            text,
            "{name:width$}  {:5} labels  {} → {}{default}",
            folder.config.id2label.len(),
            folder.config.backbone.name(),
            folder.config.head.name(),
        );
    }
    Ok(text)
}

fn show(folder: &ModelFolder) -> String {
    let config = &folder.config;
    let crop = folder.preprocess.crop_size;
    let bars = if folder.preprocess.cut_bars { ", black bars cut off" } else { "" };
    let labels = &config.id2label;
    let examples = labels.iter().take(3).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = if labels.len() > 3 { ", …" } else { "" };
    let mut facts = vec![
        ("model", folder.name()),
        ("backbone", config.backbone.name().into()),
        ("head", config.head.name().into()),
        ("labels", format!("{} ({examples}{more})", labels.len())),
        ("frames", frames(config)),
        ("size", format!("{}×{} pixels{bars}", crop.width, crop.height)),
    ];
    if let Some(calibration) = config.calibration {
        facts.push(("not sure", format!("below a score of {:.3}", calibration.threshold)));
    }
    facts.extend(config.licence.iter().map(|licence| ("licence", licence.clone())));
    let mut text = String::new();
    for (name, value) in facts {
        let _ = writeln!(text, "{name:9} {value}");
    }
    let card = body(&folder.card);
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
