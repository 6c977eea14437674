//! Options of the head.

use crate::model::{HeadConfig, LstmConfig};

use super::values::count;

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Head")]
pub(super) struct HeadArgs {
    /// What reads the features over time
    #[arg(long, value_enum, default_value_t = HeadName::Lstm, hide_short_help = true)]
    head: HeadName,
    /// Length of the LSTM's state
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = count(65_536), hide_short_help = true)]
    hidden: u64,
    /// LSTM layers
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = count(16), hide_short_help = true)]
    layers: u64,
    /// LSTM heads to learn, of one seed after another; the model's is their mean
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = count(16), hide_short_help = true)]
    heads: u64,
    /// The LSTM reads the features' change from step to step, too
    #[arg(long, hide_short_help = true)]
    delta: bool,
    /// The classifier reads the LSTM alone, without the features' mean beside it
    #[arg(long, hide_short_help = true)]
    no_skip: bool,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum HeadName {
    /// An LSTM: sees what comes before what
    Lstm,
    /// Their mean
    Mean,
}

impl HeadArgs {
    pub(super) fn count(&self) -> usize {
        self.heads as usize
    }

    /// `dropout`: share of values dropped in training.
    pub(super) fn config(&self, dropout: f64) -> HeadConfig {
        match self.head {
            HeadName::Mean => HeadConfig::Mean { pool: 1 },
            HeadName::Lstm => HeadConfig::Lstm(LstmConfig {
                hidden_size: self.hidden as usize,
                num_layers: self.layers as usize,
                dropout,
                delta: self.delta,
                skip: !self.no_skip,
            }),
        }
    }
}
