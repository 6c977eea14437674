//! How well a model knows what it is shown.
//!
//! A classifier gives a label to whatever it sees. Two things tell a clip of its labels from others: how near the clip's
//! features are to those that it learned from, and how high the best logit is. Nearness is a cosine to the nearest of a few
//! prototypes a class (nearest neighbours on normalised features: Sun et al., "Out-of-Distribution Detection with Deep
//! Nearest Neighbors", 2022) between the features' roots, lest a few large ones decide alone (Arandjelović and Zisserman,
//! "Three things everyone should know to improve object retrieval", 2012); the logit is that of Hendrycks et al., "Scaling
//! Out-of-Distribution Detection", 2022. Where clips were given that show none of the labels, the same cosine seen from
//! halfway between them and the labels' clips tells more: what both have in common falls out.
//!
//! What nothing moves in may lie near a class and show none of the actions. Where the network sees motion, a clip has to
//! move as well: the score is the lower one of how much a clip is like those of the labels and how unlike a still. Each is
//! measured in deviations from its mean over the validation clips.

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
    /// Of the cosine to the nearest prototype, seen from `knowing.midpoint`, where background clips were given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub background: Option<Scale>,
    /// Of the sum of these.
    pub likeness: Scale,
    /// Of the product with `knowing.motion`, where the network tells stills from clips.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub motion: Option<Scale>,
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

/// What nearness counts, the best logit being 1: of 1, 2 and 3 the one that tells classes apart best that were taken for
/// unknown among the training clips.
const NEARNESS: f64 = 2.0;
/// By how many deviations a clip may move less than it may be less like the labels' clips: stills lie far off, so that few
/// right answers are lost by that.
const LEEWAY: f64 = 0.75;

impl KnowingConfig {
    /// Checks that the numbers are possible ones.
    pub(super) fn check(&self) -> Result<()> {
        let mut scales =
            [self.nearness, self.logit, self.likeness].into_iter().chain(self.background).chain(self.motion);
        if self.prototypes == 0 || !self.threshold.is_finite() || !scales.all(Scale::is_possible) {
            bail!("config.json: knowing wants prototypes, finite numbers and deviations above 0");
        }
        Ok(())
    }

    /// How much a clip of these parts is like those of the labels, before it is measured in deviations.
    pub fn likeness(&self, parts: &Parts) -> f64 {
        let background = self.background.zip(parts.background).map_or(0.0, |(scale, x)| scale.of_value(x));
        NEARNESS * (self.nearness.of_value(parts.nearness) + background) + self.logit.of_value(parts.logit)
    }

    /// The score of a clip of these parts.
    pub fn score(&self, parts: &Parts) -> f64 {
        let likeness = self.likeness.of_value(self.likeness(parts));
        let motion = self.motion.zip(parts.motion).map(|(scale, x)| scale.of_value(x) + LEEWAY);
        motion.map_or(likeness, |motion| likeness.min(motion))
    }
}

/// What a score is made of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Parts {
    /// Cosine to the nearest prototype.
    pub nearness: f64,
    /// The best logit.
    pub logit: f64,
    /// The nearness seen from the midpoint.
    pub background: Option<f64>,
    /// About 1 for a clip, about −1 for a still.
    pub motion: Option<f64>,
}

/// The vectors that a clip is held against.
#[derive(Debug, Clone)]
pub struct Prototypes {
    /// `f32 [P, D]`, each row of length 1.
    pub labels: Tensor,
    /// Halfway between the labels' clips and background clips, `f32 [D]`.
    pub midpoint: Option<Tensor>,
    /// What leads from stills to clips, `f32 [D]`.
    pub motion: Option<Tensor>,
}

impl Prototypes {
    /// Tensors `prototypes [P, D]` and, where `config` says so, `midpoint [D]` and `motion [D]`.
    pub fn load(config: &KnowingConfig, dim: usize, vb: &VarBuilder) -> Result<Self> {
        Ok(Self {
            labels: vb.get((config.prototypes, dim), "prototypes")?,
            midpoint: config.background.map(|_| vb.get(dim, "midpoint")).transpose()?,
            motion: config.motion.map(|_| vb.get(dim, "motion")).transpose()?,
        })
    }

    /// Of a clip's features, whose last dimension is `D`, and its logits `[classes]`.
    pub fn parts(&self, features: &Tensor, logits: &Tensor) -> Result<Parts> {
        let clip = roots(features)?;
        let product = |rows: &Tensor, clip: &Tensor| rows.matmul(&clip.unsqueeze(1)?)?.flatten_all();
        let number = |tensor: Tensor| Ok::<_, candle_core::Error>(f64::from(tensor.to_scalar::<f32>()?));
        let seen_from = |midpoint: &Tensor| -> Result<f64> {
            let rows = self.labels.broadcast_sub(midpoint)?;
            let lengths = (rows.sqr()?.sum(D::Minus1)?.sqrt()? + 1e-12)?;
            let cosines = product(&rows, &direction(&(&clip - midpoint)?)?)?.div(&lengths)?;
            number(cosines.max(0)?)
        };
        Ok(Parts {
            nearness: number(product(&self.labels, &clip)?.max(0)?)?,
            logit: number(logits.max(0)?)?,
            background: self.midpoint.as_ref().map(seen_from).transpose()?,
            motion: self.motion.as_ref().map(|motion| number((motion * &clip)?.sum_all()?)).transpose()?,
        })
    }
}

/// The direction of the roots of a clip's mean features: `f32 [D]` of length 1, of features whose last dimension is `D`.
/// What is below 0 stays below.
pub fn roots(features: &Tensor) -> Result<Tensor> {
    let mean = features.flatten_to(features.rank() - 2)?.mean(0)?;
    direction(&(mean.abs()?.sqrt()? * mean.sign()?)?)
}

fn direction(vector: &Tensor) -> Result<Tensor> {
    vector.broadcast_div(&(vector.sqr()?.sum_all()?.sqrt()? + 1e-12)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    fn tensor(values: &[f32]) -> Tensor {
        Tensor::new(values, &Device::Cpu).unwrap()
    }

    #[test]
    fn the_score_is_the_lower_one_of_likeness_and_motion() {
        let labels = tensor(&[1.0, 0.0, 0.6, 0.8]).reshape(((), 2)).unwrap();
        let midpoint = Some(tensor(&[1.0, 0.5]));
        let prototypes = Prototypes { labels, midpoint, motion: Some(tensor(&[1.0, -0.5])) };
        // The mean over steps is (9, 16), its roots (3, 4): cosines 0.6 and 1, motion 0.6 − 0.4.
        let features = Tensor::new(&[[[4f32, 32.0], [14.0, 0.0]]], &Device::Cpu).unwrap();
        let parts = prototypes.parts(&features, &tensor(&[-1.0, 5.0])).unwrap();
        let near = |a: f64, b: f64| (a - b).abs() < 1e-4;
        assert!(near(parts.nearness, 1.0) && parts.logit == 5.0, "{parts:?}");
        assert!(near(parts.background.unwrap(), 1.0) && near(parts.motion.unwrap(), 0.2), "{parts:?}");
        let scale = |mean: f64, std: f64| Scale { mean, std };
        let mut config = KnowingConfig {
            threshold: 0.0,
            keep: 0.95,
            prototypes: 2,
            nearness: scale(0.8, 0.1),
            logit: scale(6.0, 2.0),
            background: None,
            likeness: scale(0.5, 1.5),
            motion: None,
        };
        assert!(near(config.likeness(&parts), 2.0 * NEARNESS - 0.5));
        assert!(near(config.score(&parts), (2.0 * NEARNESS - 1.0) / 1.5));
        config.background = Some(scale(0.9, 0.1));
        assert!(near(config.likeness(&parts), 3.0 * NEARNESS - 0.5));
        // One that moves as little as a still is known no better than that.
        config.motion = Some(scale(0.8, 0.2));
        assert!(near(config.score(&parts), -3.0 + LEEWAY));
        config.motion = Some(scale(-0.8, 0.05));
        assert!(near(config.score(&parts), (3.0 * NEARNESS - 1.0) / 1.5));
        assert!(config.check().is_ok());
        config.likeness.std = 0.0;
        assert!(config.check().is_err());
    }

    #[test]
    fn from_the_midpoint_what_is_common_falls_out() {
        // Two labels and a clip that have one large feature in common; the clip is on the background's side of it.
        let labels = tensor(&[0.96, 0.28, 0.0]).reshape((1, 3)).unwrap();
        let prototypes = Prototypes { labels, midpoint: Some(tensor(&[0.96, 0.14, 0.14])), motion: None };
        let clip = tensor(&[0.96 * 0.96, 0.0, 0.28 * 0.28]).unsqueeze(0).unwrap();
        let parts = prototypes.parts(&clip, &tensor(&[0.0])).unwrap();
        assert!(parts.nearness > 0.9 && parts.background.unwrap() < -0.99, "{parts:?}");
    }

    #[test]
    fn roots_keep_their_sign_and_have_length_1() {
        let features = Tensor::new(&[[-9f32, 16.0]], &Device::Cpu).unwrap();
        let roots = roots(&features).unwrap().to_vec1::<f32>().unwrap();
        assert!((roots[0] + 0.6).abs() < 1e-6 && (roots[1] - 0.8).abs() < 1e-6, "{roots:?}");
        let nothing = Tensor::new(&[[0f32, 0.0]], &Device::Cpu).unwrap();
        assert_eq!(super::roots(&nothing).unwrap().to_vec1::<f32>().unwrap(), [0.0, 0.0]);
    }

    #[test]
    fn a_scale_is_mean_and_deviation_and_never_divides_by_nothing() {
        assert_eq!(Scale::of([1.0, 3.0].into_iter(), 0.1), Scale { mean: 2.0, std: 1.0 });
        assert_eq!(Scale::of([2.0, 2.0].into_iter(), 0.1).std, 0.1);
    }
}
