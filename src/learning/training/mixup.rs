//! Mixup (Zhang et al. 2018): a step sees pairs of clips, one showing through the other.

use candle_core::Tensor;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::Result;

/// How a batch's clips are mixed.
pub(super) struct Mixup {
    /// What each clip keeps of itself.
    pub share: f32,
    /// Which clip of the batch has the rest.
    pub other: Vec<usize>,
}

impl Mixup {
    /// With a share drawn from Beta(α, α); `None` where `alpha` is 0.
    pub(super) fn draw(alpha: f64, clips: usize, rng: &mut ChaCha8Rng) -> Option<Self> {
        if alpha <= 0.0 {
            return None;
        }
        let share = beta(alpha, rng) as f32;
        // The batch is shuffled already: mixing it with itself turned by one mixes random pairs.
        let other = (0..clips).map(|i| (i + 1) % clips).collect();
        Some(Self { share, other })
    }

    /// The clips `x [clips, …]`, mixed.
    pub(super) fn tensor(&self, x: &Tensor) -> Result<Tensor> {
        let index: Vec<u32> = self.other.iter().map(|&i| i as u32).collect();
        let other = x.index_select(&Tensor::new(index, x.device())?, 0)?;
        Ok(((x * f64::from(self.share))? + (other * f64::from(1.0 - self.share))?)?)
    }
}

/// A draw from Beta(α, α), by Jöhnk's method (α ≤ 1 is what mixup uses).
fn beta(alpha: f64, rng: &mut ChaCha8Rng) -> f64 {
    loop {
        let x = rng.random::<f64>().powf(1.0 / alpha);
        let y = rng.random::<f64>().powf(1.0 / alpha);
        if x + y > 0.0 && x + y <= 1.0 {
            return x / (x + y);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;
    use rand::SeedableRng;

    #[test]
    fn beta_is_symmetric_and_wide_for_small_alpha() {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let draws: Vec<f64> = (0..4000).map(|_| beta(0.2, &mut rng)).collect();
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        let near_ends = draws.iter().filter(|x| **x < 0.1 || **x > 0.9).count() as f64 / draws.len() as f64;
        assert!((mean - 0.5).abs() < 0.03 && near_ends > 0.6, "{mean} {near_ends}");
    }

    #[test]
    fn each_clip_shows_the_next() {
        let mixup = Mixup { share: 0.75, other: vec![1, 0] };
        let x = Tensor::new(&[[4f32, 0.0], [0.0, 8.0]], &Device::Cpu).unwrap();
        assert_eq!(mixup.tensor(&x).unwrap().to_vec2::<f32>().unwrap(), [[3.0, 2.0], [1.0, 6.0]]);
        assert!(Mixup::draw(0.0, 2, &mut ChaCha8Rng::seed_from_u64(0)).is_none());
    }
}
