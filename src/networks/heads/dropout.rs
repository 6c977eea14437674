//! Dropout from a seeded generator: candle's own can't be seeded on the CPU.

use candle_core::{Result, Tensor};
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Zeroes values at random in training, and scales up the rest.
pub struct Dropout {
    rng: ChaCha8Rng,
}

impl Dropout {
    /// The same seed drops the same values.
    pub fn new(seed: u64) -> Self {
        Self { rng: ChaCha8Rng::seed_from_u64(seed) }
    }

    /// Drops a share `rate` of `x`, of any shape.
    pub fn apply(&mut self, x: &Tensor, rate: f64) -> Result<Tensor> {
        if rate <= 0.0 {
            return Ok(x.clone());
        }
        let keep = (1.0 / (1.0 - rate)) as f32;
        let threshold = (rate * f64::from(u32::MAX)) as u32;
        let mask: Vec<f32> =
            (0..x.elem_count()).map(|_| if self.rng.next_u32() < threshold { 0.0 } else { keep }).collect();
        x.mul(&Tensor::from_vec(mask, x.shape(), x.device())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device};

    #[test]
    fn drops_the_share_and_keeps_the_mean() {
        let x = Tensor::ones((100, 100), DType::F32, &Device::Cpu).unwrap();
        let y = Dropout::new(1).apply(&x, 0.3).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let zeros = y.iter().filter(|v| **v == 0.0).count() as f32 / y.len() as f32;
        assert!((zeros - 0.3).abs() < 0.02, "{zeros}");
        assert!((y.iter().sum::<f32>() / y.len() as f32 - 1.0).abs() < 0.03);
    }
}
