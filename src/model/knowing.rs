//! How well a model knows what it is shown.
//!
//! A classifier gives a label to whatever it sees. Two things tell a clip of its labels from others: how near the clip's
//! features are to those that it learned from, and how high the best logit is. Nearness is the cosine between the mean
//! over time and the nearest of a few prototypes a class (nearest neighbours on normalised features: Sun et al.,
//! "Out-of-Distribution Detection with Deep Nearest Neighbors", 2022), the logit that of Hendrycks et al., "Scaling
//! Out-of-Distribution Detection", 2022. Each is measured in deviations from its mean over the validation clips; their
//! sum is the score. A third part, where the network sees motion, is how much nearer a clip is to the labels' clips than to
//! stills of them: what nothing moves in lies near all classes. A fourth is the same of background clips, where such were
//! given.

use candle_core::{D, Result, Tensor, bail};
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

/// The part of `config.json` that says when a model is not sure; its vectors are `knowing.*` in the weights.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnowingConfig {
    /// A clip whose score of knowing is below this is answered 'not sure'.
    pub threshold: f64,
    /// The share of the right answers to validation clips that reach it.
    pub keep: f64,
    /// Rows of `knowing.prototypes`.
    pub prototypes: usize,
    /// Of the cosine to the nearest prototype.
    pub nearness: Scale,
    /// Of the best logit.
    pub logit: Scale,
    /// What stills add to it, where the network tells them from clips.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub still: Option<ContrastConfig>,
    /// What background clips add to it, where such were given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub background: Option<ContrastConfig>,
}

/// What clips that show none of the labels add to it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContrastConfig {
    /// Rows of `knowing.still` or `knowing.background`.
    pub prototypes: usize,
    /// Of how much nearer a clip is to the labels' prototypes than to these.
    pub contrast: Scale,
}

/// Mean and standard deviation of a part of the score over the validation clips.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scale {
    /// The mean.
    pub mean: f64,
    /// The standard deviation, above 0.
    pub std: f64,
}

impl Scale {
    /// Of `values`; of a few that are all but equal, the deviation is `least`, lest rounding tells clips apart.
    pub fn of(values: impl Iterator<Item = f64> + Clone, least: f64) -> Self {
        let count = values.clone().count().max(1) as f64;
        let mean = values.clone().sum::<f64>() / count;
        let variance = values.map(|value| (value - mean).powi(2)).sum::<f64>() / count;
        Self { mean, std: variance.sqrt().max(least) }
    }

    fn of_value(self, value: f64) -> f64 {
        (value - self.mean) / self.std
    }

    fn is_possible(self) -> bool {
        self.mean.is_finite() && self.std > 0.0 && self.std.is_finite()
    }
}

impl KnowingConfig {
    /// Checks that the numbers are possible ones.
    pub(super) fn check(&self) -> Result<()> {
        let others = [self.still, self.background].into_iter().flatten();
        let rows = others.clone().map(|other| other.prototypes).fold(self.prototypes, usize::min);
        let mut scales = [self.nearness, self.logit].into_iter().chain(others.map(|other| other.contrast));
        if rows == 0 || !self.threshold.is_finite() || !scales.all(Scale::is_possible) {
            bail!("config.json: knowing wants prototypes, finite numbers and deviations above 0");
        }
        Ok(())
    }

    /// The score of a clip of these parts.
    pub fn score(&self, parts: &Parts) -> f64 {
        let contrast = |config: Option<ContrastConfig>, part: Option<f64>| {
            config.zip(part).map_or(0.0, |(config, part)| config.contrast.of_value(part))
        };
        self.nearness.of_value(parts.nearness)
            + self.logit.of_value(parts.logit)
            + STILL * contrast(self.still, parts.still)
            + contrast(self.background, parts.background)
    }
}

/// What a score is made of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Parts {
    /// Cosine to the nearest prototype of a label.
    pub nearness: f64,
    /// The best logit.
    pub logit: f64,
    /// The nearness less that to the nearest stills.
    pub still: Option<f64>,
    /// The nearness less that to the nearest background prototypes.
    pub background: Option<f64>,
}

/// Stills or background prototypes whose cosines are averaged: one may be near by chance.
const NEAREST: usize = 5;
/// What the part of stills counts, the others being 1: of 1 and 2 the one that tells stills of validation clips from
/// clips more often.
const STILL: f64 = 2.0;

/// The vectors that a clip is held against.
#[derive(Debug, Clone)]
pub struct Prototypes {
    /// `f32 [P, D]`, each row of length 1.
    pub labels: Tensor,
    /// Stills of the labels' clips, `f32 [S, D]`, each row of length 1.
    pub still: Option<Tensor>,
    /// `f32 [B, D]`, each row of length 1.
    pub background: Option<Tensor>,
}

impl Prototypes {
    /// Tensors `prototypes [P, D]` and, where `config` says so, `still [S, D]` and `background [B, D]`.
    pub fn load(config: &KnowingConfig, dim: usize, vb: &VarBuilder) -> Result<Self> {
        let others = |config: Option<ContrastConfig>, name: &str| {
            config.map(|config| vb.get((config.prototypes, dim), name)).transpose()
        };
        Ok(Self {
            labels: vb.get((config.prototypes, dim), "prototypes")?,
            still: others(config.still, "still")?,
            background: others(config.background, "background")?,
        })
    }

    /// Of a clip's features, whose last dimension is `D`, and its logits `[classes]`.
    pub fn parts(&self, features: &Tensor, logits: &Tensor) -> Result<Parts> {
        let mean = features.flatten_to(features.rank() - 2)?.mean(0)?;
        let length = f64::from(mean.sqr()?.sum_all()?.sqrt()?.to_scalar::<f32>()?).max(1e-12);
        // The mean of the `count` highest cosines.
        let nearest = |rows: &Tensor, count: usize| -> Result<f64> {
            let mut products = rows.matmul(&mean.unsqueeze(1)?)?.squeeze(D::Minus1)?.to_vec1::<f32>()?;
            products.sort_by(|a, b| b.total_cmp(a));
            products.truncate(count);
            Ok(products.iter().map(|x| f64::from(*x)).sum::<f64>() / products.len() as f64 / length)
        };
        let nearness = nearest(&self.labels, 1)?;
        let contrast = |rows: &Option<Tensor>| -> Result<Option<f64>> {
            rows.as_ref().map(|rows| Ok(nearness - nearest(rows, NEAREST)?)).transpose()
        };
        let logit = f64::from(logits.max(0)?.to_scalar::<f32>()?);
        Ok(Parts { nearness, logit, still: contrast(&self.still)?, background: contrast(&self.background)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn the_score_sums_deviations_of_cosine_logit_and_contrast() {
        let rows = |values: &[f32]| Tensor::new(values, &Device::Cpu).unwrap().reshape(((), 2)).unwrap();
        let prototypes = Prototypes {
            labels: rows(&[1.0, 0.0, 0.6, 0.8]),
            still: None,
            background: Some(rows(&[0.0, 1.0])),
        };
        // The mean over steps is (3, 4): cosines 0.6, 1 and 0.8.
        let features = Tensor::new(&[[[2f32, 8.0], [4.0, 0.0]]], &Device::Cpu).unwrap();
        let logits = Tensor::new(&[-1f32, 5.0], &Device::Cpu).unwrap();
        let parts = prototypes.parts(&features, &logits).unwrap();
        assert!((parts.nearness - 1.0).abs() < 1e-6 && parts.logit == 5.0, "{parts:?}");
        assert!((parts.background.unwrap() - 0.2).abs() < 1e-6 && parts.still.is_none(), "{parts:?}");
        let contrast = Scale { mean: 0.1, std: 0.1 };
        let mut config = KnowingConfig {
            threshold: 0.0,
            keep: 0.95,
            prototypes: 2,
            nearness: Scale { mean: 0.8, std: 0.1 },
            logit: Scale { mean: 6.0, std: 2.0 },
            still: None,
            background: Some(ContrastConfig { prototypes: 1, contrast }),
        };
        assert!((config.score(&parts) - (2.0 - 0.5 + 1.0)).abs() < 1e-4);
        config.background = None;
        assert!((config.score(&parts) - 1.5).abs() < 1e-4);
        // Of stills the nearest five count: here cosines of 1 and 0.6.
        let prototypes = Prototypes { still: Some(rows(&[0.6, 0.8, 1.0, 0.0])), ..prototypes };
        let parts = prototypes.parts(&features, &logits).unwrap();
        assert!((parts.still.unwrap() - 0.2).abs() < 1e-6, "{parts:?}");
        config.still = Some(ContrastConfig { prototypes: 2, contrast });
        assert!((config.score(&parts) - (1.5 + STILL)).abs() < 1e-4);
        assert!(config.check().is_ok());
        config.logit.std = 0.0;
        assert!(config.check().is_err());
    }

    #[test]
    fn a_scale_is_mean_and_deviation_and_never_divides_by_nothing() {
        assert_eq!(Scale::of([1.0, 3.0].into_iter(), 0.1), Scale { mean: 2.0, std: 1.0 });
        assert_eq!(Scale::of([2.0, 2.0].into_iter(), 0.1).std, 0.1);
    }
}
