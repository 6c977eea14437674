//! Scores as high as answers are right.
//!
//! Mixup and smoothed labels teach a head to be less sure than it may be. One number mends that, see
//! [`calibration`](crate::learning::calibration); it goes into the last layer's weights, so that no program that runs the model
//! has to know of it.

use candle_core::{Device, Tensor};

use super::head_stage::all_logits;
use super::objective::only;
use crate::Result;
use crate::learning::calibration::{Known, fit_temperature};
use crate::learning::dataset::Task;
use crate::learning::features::Examples;
use crate::learning::thresholds::{sigmoid_temperature, thresholds};
use crate::model::{HeadConfig, Weights};

/// What clips that a head was not trained on say of its scores.
pub(super) struct Fitted {
    pub temperature: f64,
    /// Where clips show several labels, the score from which on they show one, for each.
    pub thresholds: Vec<f64>,
}

/// What the logits that `head.*` gives clips which it was not trained on need to be probabilities.
pub(super) fn calibration(
    task: Task,
    head: &HeadConfig,
    weights: &Weights,
    classes: usize,
    clips: &Examples,
) -> Result<Fitted> {
    let head = head.load(clips.features.dim(2)?, classes, weights.var_builder(&Device::Cpu).pp("head"))?;
    let logits = all_logits(task, &head, clips, &Device::Cpu)?.to_vec2::<f32>()?;
    // A few clips that are all right don't say that every clip will be.
    let doubt = 1.0 / (logits.len() + 2) as f64;
    match task {
        Task::OneOf => {
            let known = std::iter::zip(logits, only(&clips.labels));
            let known: Vec<Known> = known.map(|(logits, class)| Known { logits, class }).collect();
            Ok(Fitted { temperature: fit_temperature(&known, doubt), thresholds: Vec::new() })
        }
        Task::AnyOf => {
            let temperature = sigmoid_temperature(&logits, &clips.labels, doubt);
            let logits = Tensor::new(logits, &Device::Cpu)?;
            let scores = task.scoring().scores(&(logits / temperature)?)?.to_vec2::<f32>()?;
            Ok(Fitted { temperature, thresholds: thresholds(&scores, &clips.labels, classes) })
        }
    }
}

/// Divides the logits of `head.*` by `temperature`.
pub(super) fn temper(weights: &mut Weights, temperature: f64) -> Result<()> {
    for name in ["head.classifier.weight", "head.classifier.bias"] {
        let tensor = weights
            .0
            .get_mut(name)
            .ok_or_else(|| candle_core::Error::CannotFindTensor { path: name.into() })?;
        *tensor = (&*tensor / temperature)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tempered_heads_are_as_sure_as_they_are_right() {
        // Right in three of four clips, and by far too modest: a difference of 0.2 between two logits.
        let device = &Device::Cpu;
        let config = HeadConfig::Mean { pool: 1 };
        let weight = Tensor::new(&[[0.1f32], [-0.1]], device).unwrap();
        let bias = Tensor::zeros(2, candle_core::DType::F32, device).unwrap();
        let mut weights = Weights(
            [("head.classifier.weight".to_string(), weight), ("head.classifier.bias".to_string(), bias)]
                .into(),
        );
        let features = Tensor::ones((400, 2, 1), candle_core::DType::F32, device).unwrap();
        let clips = Examples {
            features,
            windows: 1,
            labels: (0..400).map(|i| vec![usize::from(i % 4 == 3)]).collect(),
        };
        let score = |weights: &Weights| {
            let known = calibration(Task::OneOf, &config, weights, 2, &clips).unwrap().temperature;
            let head = config.load(1, 2, weights.var_builder(device).pp("head")).unwrap();
            let logits = head.forward_batch(&clips.features, &[2; 400], None).unwrap();
            (known, crate::learning::calibration::softmax(&logits.to_vec2::<f32>().unwrap()[0], 1.0)[0])
        };
        let (before, modest) = score(&weights);
        temper(&mut weights, before).unwrap();
        let (after, right) = score(&weights);
        assert!(modest < 0.56 && (right - 0.75).abs() < 2e-3, "{modest} {right}");
        assert!((after - 1.0).abs() < 1e-3, "{after}");
    }
}
