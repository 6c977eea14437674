//! First weights of a head, from a seed.

use candle_core::{Device, Result, Tensor};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::model::{HeadConfig, Weights};

/// Fresh `head.*` tensors for `config`, drawn as PyTorch draws them (uniform within ±1/√fan-in),
/// but with the LSTM's forget gates open (Gers et al., 2000): bias 1.
pub(super) fn init_head(
    config: &HeadConfig,
    dim: usize,
    classes: usize,
    seed: u64,
    device: &Device,
) -> Result<Weights> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut uniform = |shape: &[usize], fan_in: usize| {
        let bound = 1.0 / (fan_in as f32).sqrt();
        let values: Vec<f32> = (0..shape.iter().product()).map(|_| rng.random_range(-bound..bound)).collect();
        Tensor::from_vec(values, shape, device)
    };
    let mut tensors = Weights::default();
    let mut put = |name: String, tensor: Tensor| tensors.0.insert(format!("head.{name}"), tensor);
    let width = match *config {
        HeadConfig::Mean { .. } => dim,
        HeadConfig::Lstm(config) => {
            let hidden = config.hidden_size;
            for layer in 0..config.num_layers {
                let width = if layer == 0 { config.input_width(dim) } else { hidden };
                put(format!("lstm.weight_ih_l{layer}"), uniform(&[4 * hidden, width], hidden)?);
                put(format!("lstm.weight_hh_l{layer}"), uniform(&[4 * hidden, hidden], hidden)?);
                let mut bias = uniform(&[4 * hidden], hidden)?.to_vec1::<f32>()?;
                bias[hidden..2 * hidden].fill(1.0);
                put(format!("lstm.bias_ih_l{layer}"), Tensor::new(bias, device)?);
                put(
                    format!("lstm.bias_hh_l{layer}"),
                    Tensor::zeros(4 * hidden, candle_core::DType::F32, device)?,
                );
            }
            config.pooled_width(dim)
        }
    };
    put("classifier.weight".into(), uniform(&[classes, width], width)?);
    put("classifier.bias".into(), uniform(&[classes], width)?);
    Ok(tensors)
}
