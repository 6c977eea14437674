//! Options of the CNN, and of what it sees of a clip.

use std::time::Duration;

use crate::cli::look::LookArgs;
use crate::learning::dataset::Dataset;
use crate::learning::training::{Choice, choose_backbone};
use crate::{Error, Result};

use super::preset::Preset;
use super::values::{fps, lag, minutes};

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Network")]
pub(super) struct NetworkArgs {
    /// A recipe: which network, and how much time for it; options given beside `best` or `small` override what it sets
    /// [default: balanced]
    #[arg(long, value_enum, value_name = "NAME", help_heading = None::<&str>)]
    preset: Option<Preset>,
    /// Model whose CNN is taken over: a name or a folder [default: kinetics400-i3d where that stays
    /// within the budget, else imagenet-lite0]
    #[arg(long, value_name = "NAME|DIR")]
    pub backbone: Option<String>,
    /// Minutes that looking at the clips may take, where the backbone is chosen by time [default: the preset's]
    #[arg(long, value_name = "MINUTES", value_parser = minutes, hide_short_help = true)]
    budget: Option<f64>,
    #[command(flatten)]
    pub look: LookArgs,
    /// Frames a second inside a window: fewer see more of the clip, and faster motion less well [default: the backbone's]
    #[arg(long, value_name = "RATE", value_parser = fps, hide_short_help = true)]
    pub fps: Option<f64>,
    /// Make each frame of the brightness at three moments so many seconds apart, instead of colours, so
    /// that an image network sees motion; for --finetune [default: the backbone's]
    #[arg(long, value_name = "SECONDS", value_parser = lag, hide_short_help = true)]
    pub luma_lag: Option<f64>,
    /// Cut off black bars around a clip's pictures first [default: as the backbone does]
    #[arg(long, hide_short_help = true)]
    pub cut_bars: bool,
}

impl NetworkArgs {
    /// Refuses what doesn't go together.
    pub(super) fn check(&self, finetunes: bool) -> Result<()> {
        let chosen = match (&self.backbone, finetunes) {
            (Some(_), _) => "--backbone",
            (None, true) => "--finetune",
            (None, false) => return Ok(()),
        };
        if self.preset.is_some() {
            let text = format!("--preset chooses the network, and so does {chosen}: leave one of them out");
            return Err(Error::Usage(text));
        }
        if self.budget.is_some() {
            let text =
                format!("--budget is for choosing the network by time, and {chosen} or the preset names it");
            return Err(Error::Usage(text));
        }
        Ok(())
    }

    /// The backbone: as asked, else the one that can be fine-tuned where that is wanted, else by time.
    pub(super) fn choice(&self, data: &Dataset, finetunes: bool, cores: usize) -> Result<Choice> {
        if let Some(backbone) = &self.backbone {
            return Ok(Choice { backbone: backbone.clone(), reason: "as asked".into() });
        }
        if finetunes {
            let reason = "the CNN that can be fine-tuned".into();
            return Ok(Choice { backbone: "imagenet-lite0".into(), reason });
        }
        let minutes = self.budget.unwrap_or(if self.preset == Some(Preset::Quick) { 0.0 } else { 10.0 });
        let budget = Duration::from_secs_f64(60.0 * minutes);
        let [windows, _, size] = self.look.numbers();
        choose_backbone(data, (windows, size), budget, cores)
    }
}
