//! A head, as `config.json` describes it.

use candle_core::Result;
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use super::{Head, LstmConfig, LstmHead, MeanHead};

/// What turns features over time into logits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum HeadConfig {
    /// Stacked LSTM, its outputs averaged over time, then a linear layer.
    Lstm(LstmConfig),
    /// Features averaged over time, then a linear layer.
    Mean {
        /// Features are first averaged over this many neighbouring steps of a window.
        #[serde(default = "one")]
        pool: usize,
    },
}

fn one() -> usize {
    1
}

impl HeadConfig {
    /// Builds the head for features of length `dim` and `classes` classes.
    pub fn load(&self, dim: usize, classes: usize, vb: VarBuilder) -> Result<Head> {
        Ok(match *self {
            Self::Lstm(config) => Head::Lstm(LstmHead::load(dim, classes, config, vb)?),
            Self::Mean { pool } => Head::Mean(MeanHead::load(dim, classes, pool, vb)?),
        })
    }

    /// The name in `config.json`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Lstm(_) => "lstm",
            Self::Mean { .. } => "mean",
        }
    }
}
