//! Options of training the CNN, too.

use crate::learning::training::{Finetune, FinetuneDepth};
use crate::{Error, Result};

use super::learning::LearningArgs;
use super::values::{count, rate, share};

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Fine-tuning")]
pub(super) struct FinetuningArgs {
    /// Train the CNN, too, before the head
    #[arg(long, value_enum, value_name = "DEPTH", default_value_t = Depth::None)]
    finetune: Depth,
    /// Epochs of CNN and head together [default: 14]
    #[arg(long, value_name = "N", value_parser = count(100_000), hide_short_help = true)]
    finetune_epochs: Option<u64>,
    /// Highest learning rate of the head [default: 0.0008]
    #[arg(long, value_name = "RATE", value_parser = rate, hide_short_help = true)]
    finetune_rate: Option<f64>,
    /// The CNN's share of that rate [default: 0.5]
    #[arg(long, value_name = "SHARE", value_parser = rate, hide_short_help = true)]
    backbone_rate: Option<f64>,
    /// Frames see their neighbours inside the CNN, at no extra cost
    #[arg(long, hide_short_help = true)]
    pub temporal_shift: bool,
    /// Frames that a step shows of each clip, a run from a random place: less time, and more ways to
    /// see a clip [default: all]
    #[arg(long, value_name = "N", value_parser = count(10_000), hide_short_help = true)]
    shown: Option<u64>,
    /// Never mirror clips: left and right matter
    #[arg(long)]
    no_flip: bool,
    /// Show this share of the clips with what moves in them before another clip's background, so that places count
    /// for less; for --luma-lag [default: 0]
    #[arg(long, value_name = "SHARE", value_parser = share, hide_short_help = true)]
    swap_backgrounds: Option<f64>,
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
    /// Whether the CNN is trained.
    pub(super) fn is_on(&self) -> bool {
        self.finetune != Depth::None
    }

    /// How the CNN is trained, where it is.
    ///
    /// # Errors
    /// Where it isn't, and an option would have no effect.
    pub(super) fn finetune(&self, learning: &LearningArgs) -> Result<Option<Finetune>> {
        let mut finetune = Finetune::default();
        finetune.depth = match self.finetune {
            Depth::None => return self.check_unused().map(|()| None),
            Depth::Last => FinetuneDepth::LastBlocks(4),
            Depth::Most => FinetuneDepth::AfterBlocks(3),
            Depth::All => FinetuneDepth::AfterBlocks(0),
        };
        finetune.recipe = learning.shared(finetune.recipe);
        finetune.recipe.epochs = self.finetune_epochs.map_or(finetune.recipe.epochs, |n| n as usize);
        finetune.recipe.learning_rate = self.finetune_rate.unwrap_or(finetune.recipe.learning_rate);
        finetune.backbone_rate = self.backbone_rate.unwrap_or(finetune.backbone_rate);
        finetune.augmentation.flip = !self.no_flip;
        finetune.augmentation.background = self.swap_backgrounds.unwrap_or(0.0);
        finetune.shown = self.shown.map(|n| n as usize);
        Ok(Some(finetune))
    }

    /// Refuses options that say how the CNN is trained where it isn't.
    fn check_unused(&self) -> Result<()> {
        let given = [
            ("--finetune-epochs", self.finetune_epochs.is_some()),
            ("--finetune-rate", self.finetune_rate.is_some()),
            ("--backbone-rate", self.backbone_rate.is_some()),
            ("--temporal-shift", self.temporal_shift),
            ("--shown", self.shown.is_some()),
            ("--no-flip", self.no_flip),
            ("--swap-backgrounds", self.swap_backgrounds.is_some()),
        ];
        match given.iter().find(|(_, given)| *given) {
            Some((name, _)) => Err(Error::Usage(format!(
                "{name} is for training the CNN, too: add --finetune most, or --preset small"
            ))),
            None => Ok(()),
        }
    }
}
