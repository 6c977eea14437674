//! AdamW (Loshchilov & Hutter, 2019) whose state can be saved, with a rate for each parameter.

use std::collections::BTreeMap;

use candle_core::{Result, Tensor, Var, backprop::GradStore};

/// The numbers of [`AdamW`].
#[derive(Debug, Clone, Copy)]
pub struct AdamWConfig {
    pub beta1: f64,
    pub beta2: f64,
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
    pub(super) first: BTreeMap<String, Tensor>,
    pub(super) second: BTreeMap<String, Tensor>,
    pub(super) step: usize,
}

impl AdamW {
    /// Starts with zero moments.
    pub fn new(
        vars: BTreeMap<String, Var>,
        rates: BTreeMap<String, f64>,
        config: AdamWConfig,
    ) -> Result<Self> {
        let zeros = || vars.iter().map(|(n, v)| Ok((n.clone(), v.zeros_like()?))).collect::<Result<_>>();
        Ok(Self { config, first: zeros()?, second: zeros()?, rates, step: 0, vars })
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
                squares += f64::from(grad.sqr()?.sum_all()?.to_scalar::<f32>()?);
            }
        }
        let norm = squares.sqrt();
        if !norm.is_finite() {
            candle_core::bail!(
                "training diverged: the gradients are not finite; try a lower --learning-rate"
            );
        }
        let scale = if norm > clip_norm { clip_norm / norm } else { 1.0 };
        self.step += 1;
        let correct1 = 1.0 - beta1.powi(self.step as i32);
        let correct2 = 1.0 - beta2.powi(self.step as i32);
        for (name, var) in &self.vars {
            let Some(grad) = grads.get(var.as_tensor()) else { continue };
            let grad = (grad * scale)?;
            let rate = rate * self.rates.get(name).copied().unwrap_or(1.0);
            let first = ((&self.first[name] * beta1)? + (&grad * (1.0 - beta1))?)?;
            let second = ((&self.second[name] * beta2)? + (grad.sqr()? * (1.0 - beta2))?)?;
            let update = ((&first / correct1)? / ((&second / correct2)?.sqrt()? + eps)?)?;
            let decay = if var.rank() > 1 { 1.0 - rate * weight_decay } else { 1.0 };
            // Detached: the moments and parameters must not hold on to this step's graph.
            var.set(&((var.as_tensor() * decay)? - (update * rate)?)?.detach())?;
            self.first.insert(name.clone(), first.detach());
            self.second.insert(name.clone(), second.detach());
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
        let first = optimizer.first["x"].to_vec2::<f32>().unwrap();
        assert!((first[0][0] - 0.06).abs() < 1e-6 && (first[0][1] - 0.08).abs() < 1e-6, "{first:?}");
    }
}
