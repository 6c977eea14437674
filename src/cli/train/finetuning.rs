//! Options of training the CNN, too.

use crate::learning::training::{Finetune, FinetuneDepth};

use super::learning::LearningArgs;
use super::values::{count, rate, share};

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Fine-tuning")]
pub(super) struct FinetuningArgs {
    /// Train the CNN, too, before the head
    #[arg(long, value_enum, default_value_t = Depth::None)]
    finetune: Depth,
    /// Epochs of CNN and head together
    #[arg(
        long,
        value_name = "N",
        default_value_t = 14,
        value_parser = count(100_000),
        requires = "finetune",
        hide_short_help = true
    )]
    finetune_epochs: u64,
    /// Highest learning rate of the head
    #[arg(
        long,
        value_name = "RATE",
        default_value_t = 8e-4,
        value_parser = rate,
        requires = "finetune",
        hide_short_help = true
    )]
    finetune_rate: f64,
    /// The CNN's share of that rate
    #[arg(
        long,
        value_name = "SHARE",
        default_value_t = 0.5,
        value_parser = rate,
        requires = "finetune",
        hide_short_help = true
    )]
    backbone_rate: f64,
    /// Frames see their neighbours inside the CNN, at no extra cost; for --finetune
    #[arg(long, requires = "finetune", hide_short_help = true)]
    pub temporal_shift: bool,
    /// Frames that a step shows of each clip, a run from a random place: less time, and more ways to
    /// see a clip [default: all]
    #[arg(long, value_name = "N", value_parser = count(10_000), requires = "finetune", hide_short_help = true)]
    shown: Option<u64>,
    /// Never mirror clips: left and right matter
    #[arg(long, requires = "finetune")]
    no_flip: bool,
    /// Show this share of the clips with what moves in them before another clip's background, so that places count
    /// for less; for --luma-lag
    #[arg(
        long,
        value_name = "SHARE",
        default_value_t = 0.0,
        value_parser = share,
        requires = "finetune",
        hide_short_help = true
    )]
    swap_backgrounds: f64,
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

impl FinetuningArgs {
    /// How the CNN is trained, where it is.
    pub(super) fn finetune(&self, learning: &LearningArgs) -> Option<Finetune> {
        let mut finetune = Finetune::default();
        finetune.depth = match self.finetune {
            Depth::None => return None,
            Depth::Last => FinetuneDepth::LastBlocks(4),
            Depth::Most => FinetuneDepth::AfterBlocks(3),
            Depth::All => FinetuneDepth::AfterBlocks(0),
        };
        finetune.recipe = learning.shared(finetune.recipe);
        finetune.recipe.epochs = self.finetune_epochs as usize;
        finetune.recipe.learning_rate = self.finetune_rate;
        finetune.backbone_rate = self.backbone_rate;
        finetune.augmentation.flip = !self.no_flip;
        finetune.augmentation.background = self.swap_backgrounds;
        finetune.shown = self.shown.map(|n| n as usize);
        Some(finetune)
    }
}
