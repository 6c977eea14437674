//! The baseline that every report shows: features averaged over time, then a linear layer.

use candle_core::{Result, Tensor};
use candle_nn::{Linear, Module, VarBuilder};

use super::masked_mean;

/// `features → mean over time → linear`; it can't tell one order of events from another.
pub struct MeanHead {
    classifier: Linear,
    pool: usize,
}

impl MeanHead {
    /// Tensors: `classifier.weight [classes, D]`, `classifier.bias [classes]`.
    ///
    /// `pool`: features are averaged over so many neighbouring steps inside a window first, as the
    /// published I3D classifier does (1 for none).
    pub fn load(dim: usize, classes: usize, pool: usize, vb: VarBuilder) -> Result<Self> {
        Ok(Self { classifier: candle_nn::linear(dim, classes, vb.pp("classifier"))?, pool })
    }

    /// `features`: `[windows, T', D]`. Returns the clip's logits `[classes]`.
    pub fn forward(&self, features: &Tensor) -> Result<Tensor> {
        let (_, steps, _) = features.dims3()?;
        // The mean of moving averages: steps near a window's ends stand in fewer of them.
        let pool = self.pool.min(steps);
        let runs = steps - pool + 1;
        let mut sum = features.narrow(1, 0, runs)?;
        for shift in 1..pool {
            sum = (sum + features.narrow(1, shift, runs)?)?;
        }
        let mean = (sum / pool as f64)?.mean((0, 1))?;
        self.classifier.forward(&mean.unsqueeze(0)?)?.squeeze(0)
    }

    /// `features`: `[B, T, D]`, padded behind `lengths`. Returns logits `[B, classes]`.
    ///
    /// Dropout stays off: the baseline is a plain linear layer. Only `pool = 1` can be trained.
    pub fn forward_batch(&self, features: &Tensor, lengths: &[usize]) -> Result<Tensor> {
        self.classifier.forward(&masked_mean(features, lengths)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device};
    use std::collections::HashMap;

    #[test]
    fn pool_weighs_the_ends_of_a_window_less() {
        let device = Device::Cpu;
        let tensors = HashMap::from([
            ("classifier.weight".to_string(), Tensor::ones((1, 1), DType::F32, &device).unwrap()),
            ("classifier.bias".to_string(), Tensor::zeros(1, DType::F32, &device).unwrap()),
        ]);
        let vb = VarBuilder::from_tensors(tensors, DType::F32, &device);
        let features = Tensor::new(&[6f32, 0., 0., 12.], &device).unwrap().reshape((1, 4, 1)).unwrap();
        let logit = |pool| MeanHead::load(1, 1, pool, vb.clone()).unwrap().forward(&features).unwrap();
        assert_eq!(logit(1).to_vec1::<f32>().unwrap(), [4.5]);
        assert_eq!(logit(2).to_vec1::<f32>().unwrap(), [3.0]);
    }
}
