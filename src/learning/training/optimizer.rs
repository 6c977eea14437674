//! AdamW (Loshchilov & Hutter, 2019) whose state can be saved, with a rate for each parameter.

use std::collections::BTreeMap;

use candle_core::{Device, Result, Tensor, Var, backprop::GradStore};
use classify_kernels::Numbers;
use rayon::prelude::*;

/// What to say of a run that is beyond hope.
pub(super) const DIVERGED: &str =
    "training diverged: its numbers are not finite any more; try a lower --learning-rate (--finetune-rate)";

/// Values that one thread updates at a time.
const CHUNK: usize = 1 << 14;

/// The numbers of [`AdamW`].
#[derive(Debug, Clone, Copy)]
pub struct AdamWConfig {
    /// Decay of the gradients' mean.
    pub beta1: f64,
    /// Decay of their squares' mean.
    pub beta2: f64,
    /// Added to the root that is divided by.
    pub eps: f64,
    /// Not applied to biases and other vectors.
    pub weight_decay: f64,
    /// Gradients are scaled down to this norm over all parameters.
    pub clip_norm: f64,
}

impl Default for AdamWConfig {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.01, clip_norm: 5.0 }
    }
}

/// Parameters by name, with the running moments of their gradients.
pub struct AdamW {
    config: AdamWConfig,
    pub(super) vars: BTreeMap<String, Var>,
    /// Share of the learning rate by parameter (layer-wise rates); 1 where none is given.
    rates: BTreeMap<String, f64>,
    pub(super) first: BTreeMap<String, Vec<f32>>,
    pub(super) second: BTreeMap<String, Vec<f32>>,
    pub(super) step: usize,
}

impl AdamW {
    /// Starts with zero moments.
    pub fn new(
        vars: BTreeMap<String, Var>,
        rates: BTreeMap<String, f64>,
        config: AdamWConfig,
    ) -> Result<Self> {
        let zeros = || vars.iter().map(|(n, v)| (n.clone(), vec![0.0; v.elem_count()])).collect();
        Ok(Self { config, first: zeros(), second: zeros(), rates, step: 0, vars })
    }

    /// Moves every parameter that has a gradient. Returns the gradients' norm before clipping.
    ///
    /// # Errors
    /// Where the gradients are not finite; the parameters are untouched then.
    pub fn step(&mut self, grads: &GradStore, rate: f64) -> Result<f64> {
        let AdamWConfig { beta1, beta2, eps, weight_decay, clip_norm } = self.config;
        let mut squares = 0.0;
        for var in self.vars.values() {
            if let Some(grad) = grads.get(var.as_tensor()) {
                let grad = grad.contiguous()?.to_device(&Device::Cpu)?;
                // Collected first: added up in whatever order threads end, the sum would differ from run to run.
                let parts: Vec<f32> =
                    Numbers::of(&grad)?.par_chunks(CHUNK).map(|g| g.iter().map(|g| g * g).sum()).collect();
                squares += parts.into_iter().map(f64::from).sum::<f64>();
            }
        }
        let norm = squares.sqrt();
        if !norm.is_finite() {
            candle_core::bail!("{DIVERGED}");
        }
        let scale = if norm > clip_norm { clip_norm / norm } else { 1.0 };
        self.step += 1;
        let correct1 = 1.0 - beta1.powi(self.step as i32);
        let correct2 = 1.0 - beta2.powi(self.step as i32);
        for (name, var) in &self.vars {
            let Some(grad) = grads.get(var.as_tensor()) else { continue };
            let rate = rate * self.rates.get(name).copied().unwrap_or(1.0);
            let decay = if var.rank() > 1 { 1.0 - rate * weight_decay } else { 1.0 };
            let [scale, beta1, beta2] = [scale, beta1, beta2].map(|x| x as f32);
            let [step, correct2, eps, decay] = [rate / correct1, correct2, eps, decay].map(|x| x as f32);
            let (Some(first), Some(second)) = (self.first.get_mut(name), self.second.get_mut(name)) else {
                continue;
            };
            let (grad, old) = (grad.contiguous()?.to_device(&Device::Cpu)?, var.to_device(&Device::Cpu)?);
            let mut values = vec![0.0; grad.elem_count()];
            {
                let (grad, old) = (Numbers::of(&grad)?, Numbers::of(&old)?);
                // One pass over memory: with tensor operators it would be a dozen.
                let moments = first.par_chunks_mut(CHUNK).zip(second.par_chunks_mut(CHUNK));
                let old = grad.par_chunks(CHUNK).zip(old.par_chunks(CHUNK));
                values.par_chunks_mut(CHUNK).zip(moments).zip(old).for_each(
                    |((values, (first, second)), (grad, old))| {
                        let moments = first.iter_mut().zip(second);
                        let old = grad.iter().zip(old);
                        for ((new, (m, v)), (g, x)) in values.iter_mut().zip(moments).zip(old) {
                            let g = g * scale;
                            *m = beta1 * *m + (1.0 - beta1) * g;
                            *v = beta2 * *v + (1.0 - beta2) * g * g;
                            *new = x * decay - step * *m / ((*v / correct2).sqrt() + eps);
                        }
                    },
                );
            }
            var.set(&Tensor::from_vec(values, var.shape(), var.device())?)?;
        }
        Ok(norm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    /// First steps as PyTorch 2's `torch.optim.AdamW(lr=0.1, weight_decay=0.1)` takes them on
    /// `loss = sum(x²)` from `[[1, -2]]`.
    #[test]
    fn steps_as_pytorch_does() {
        let x = Var::new(&[[1f32, -2.0]], &Device::Cpu).unwrap();
        let config = AdamWConfig { weight_decay: 0.1, clip_norm: 1e9, ..Default::default() };
        let vars = BTreeMap::from([("x".to_string(), x.clone())]);
        let mut optimizer = AdamW::new(vars, BTreeMap::new(), config).unwrap();
        for _ in 0..3 {
            let grads = x.sqr().unwrap().sum_all().unwrap().backward().unwrap();
            optimizer.step(&grads, 0.1).unwrap();
        }
        let got = x.to_vec2::<f32>().unwrap();
        let expected = ADAMW_REFERENCE;
        assert!(std::iter::zip(&got[0], expected).all(|(a, b)| (a - b).abs() < 1e-5), "{got:?}");
    }

    const ADAMW_REFERENCE: [f32; 2] = [0.675_101_3, -1.644_368_6];

    #[test]
    fn clips_by_the_norm_over_all() {
        let x = Var::new(&[[3f32, 4.0]], &Device::Cpu).unwrap();
        let vars = BTreeMap::from([("x".to_string(), x.clone())]);
        let mut optimizer =
            AdamW::new(vars, BTreeMap::new(), AdamWConfig { clip_norm: 1.0, ..Default::default() }).unwrap();
        let grads = (x.sqr().unwrap().sum_all().unwrap() * 0.5).unwrap().backward().unwrap();
        assert!((optimizer.step(&grads, 0.0).unwrap() - 5.0).abs() < 1e-5);
        let first = &optimizer.first["x"];
        assert!((first[0] - 0.06).abs() < 1e-6 && (first[1] - 0.08).abs() < 1e-6, "{first:?}");
    }
}
