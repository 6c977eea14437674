//! Options of how the head learns, most of which hold for the CNN too.

use crate::learning::dataset::Task;
use crate::learning::training::{self, Recipe};

use super::values::{count, mixup, rate, share};

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Training")]
pub(super) struct LearningArgs {
    /// Epochs of the head at most
    #[arg(long, value_name = "N", default_value_t = 40, value_parser = count(100_000))]
    epochs: u64,
    /// Clips per step [default: 32, with the CNN 8]
    #[arg(long, value_name = "N", value_parser = count(100_000), hide_short_help = true)]
    batch: Option<u64>,
    /// Highest learning rate; it rises to it, then falls to 0 along a cosine
    #[arg(long, value_name = "RATE", default_value_t = 1e-3, value_parser = rate, hide_short_help = true)]
    learning_rate: f64,
    /// Shrinks the weights at each step by this share of the learning rate
    #[arg(long, value_name = "RATE", default_value_t = 0.05, value_parser = share, hide_short_help = true)]
    weight_decay: f64,
    /// Share of values dropped in training
    #[arg(long, value_name = "SHARE", default_value_t = 0.5, value_parser = share, hide_short_help = true)]
    pub dropout: f64,
    /// Share of a label's probability that is spread over all labels
    #[arg(long, value_name = "SHARE", default_value_t = 0.1, value_parser = share, hide_short_help = true)]
    pub label_smoothing: f64,
    /// Mix pairs of clips, with shares drawn from Beta(A, A); 0 for none
    #[arg(long, value_name = "A", default_value_t = 0.2, value_parser = mixup, hide_short_help = true)]
    pub mixup: f64,
    /// How rare classes get their due [default: margins with --finetune on clips of one label each, else weights]
    #[arg(long, value_enum, hide_short_help = true)]
    balance: Option<Balance>,
    /// Stop after so many epochs without a lower validation loss [default: 15, with the CNN 8]
    #[arg(long, value_name = "EPOCHS", value_parser = count(100_000), hide_short_help = true)]
    patience: Option<u64>,
    /// Keep the model that was validated. Otherwise its head is learned once more in the end, on training and
    /// validation clips together, for as many epochs as before; and the CNN with it, where the head that was tuned with
    /// it validated no worse than one learned after
    #[arg(long, hide_short_help = true)]
    pub no_refit: bool,
    /// Train K times first, each time with another K-th of the training clips to validate on, and say how
    /// good and how even the results are: for sets too small for one validation part to tell
    #[arg(long, value_name = "K", value_parser = count(100))]
    pub cross_validate: Option<u64>,
    /// Set the threshold below which an answer is 'not sure' so that this share of the right answers to validation clips
    /// stays; for clips of one label each [default: 0.95]
    #[arg(long, value_name = "SHARE", value_parser = rate)]
    pub keep: Option<f64>,
    /// Every random choice in training comes from it
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
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

impl LearningArgs {
    /// The head's recipe.
    pub(super) fn recipe(&self) -> Recipe {
        let recipe = Recipe {
            epochs: self.epochs as usize,
            learning_rate: self.learning_rate,
            ..training::TrainOptions::default().recipe
        };
        self.shared(recipe)
    }

    /// `recipe` with what head and CNN have in common.
    pub(super) fn shared(&self, recipe: Recipe) -> Recipe {
        Recipe {
            batch: self.batch.map_or(recipe.batch, |n| n as usize),
            patience: self.patience.map_or(recipe.patience, |n| n as usize),
            weight_decay: self.weight_decay,
            seed: self.seed,
            ..recipe
        }
    }

    /// What was asked for, or what does best: on frozen features weights, on a CNN that learns margins. Where a clip may
    /// show several labels, margins would make scores something else than probabilities.
    pub(super) fn balance(&self, finetunes: bool, task: Task) -> training::Balance {
        match self.balance {
            Some(Balance::Weights) => training::Balance::Weights,
            Some(Balance::Margins) => training::Balance::Margins,
            Some(Balance::Sampling) => training::Balance::Sampling,
            Some(Balance::None) => training::Balance::None,
            None if finetunes && task == Task::OneOf => training::Balance::Margins,
            None => training::Balance::Weights,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use training::Balance::{Margins, Sampling, Weights};

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        learning: LearningArgs,
    }

    #[test]
    fn rare_classes_get_their_due_in_the_way_that_does_best() {
        let balance =
            |line: &str, finetunes, task| Line::parse_from(line.split(' ')).learning.balance(finetunes, task);
        assert_eq!(balance("train", true, Task::OneOf), Margins);
        assert_eq!(balance("train", true, Task::AnyOf), Weights);
        assert_eq!(balance("train", false, Task::OneOf), Weights);
        assert_eq!(balance("train --balance sampling", true, Task::OneOf), Sampling);
        assert_eq!(balance("train --balance margins", false, Task::AnyOf), Margins);
    }
}
