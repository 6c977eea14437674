//! Long short-term memory (Hochreiter & Schmidhuber, 1997), as PyTorch's `nn.LSTM` computes it.

mod recurrence;

use candle_core::{Result, Tensor};
use candle_nn::{VarBuilder, ops::sigmoid};

use super::{Dropout, step_mask};
use recurrence::recurrence;

/// A stack of LSTM layers over sequences that may be padded.
///
/// Parameters bear PyTorch's names and gate order (input, forget, cell, output):
/// `weight_ih_l0 [4·H, D]`, `weight_hh_l0 [4·H, H]`, `bias_ih_l0`, `bias_hh_l0 [4·H]`, `…_l1`, ….
pub struct Lstm {
    layers: Vec<Layer>,
    hidden: usize,
}

struct Layer {
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias: Tensor,
}

impl Lstm {
    /// `dim`: length of an input step; `hidden`: length of an output step.
    pub fn load(dim: usize, hidden: usize, layers: usize, vb: VarBuilder) -> Result<Self> {
        let layer = |i: usize| -> Result<Layer> {
            let width = if i == 0 { dim } else { hidden };
            let bias_ih = vb.get(4 * hidden, &format!("bias_ih_l{i}"))?;
            let bias_hh = vb.get(4 * hidden, &format!("bias_hh_l{i}"))?;
            Ok(Layer {
                weight_ih: vb.get((4 * hidden, width), &format!("weight_ih_l{i}"))?,
                weight_hh: vb.get((4 * hidden, hidden), &format!("weight_hh_l{i}"))?,
                bias: (bias_ih + bias_hh)?,
            })
        };
        Ok(Self { layers: (0..layers).map(layer).collect::<Result<_>>()?, hidden })
    }

    /// `x`: `[B, T, D]`, clip `b` ending after `lengths[b]` steps. Returns `[B, T, H]`, zero at
    /// padded steps, which don't touch the state.
    ///
    /// `dropout`: rate and source of the dropout between layers, in training only.
    pub fn forward(
        &self,
        x: &Tensor,
        lengths: &[usize],
        mut dropout: Option<(&mut Dropout, f64)>,
    ) -> Result<Tensor> {
        let (_, steps, _) = x.dims3()?;
        let padded = lengths.iter().any(|&n| n < steps);
        let mask = if padded { Some(step_mask(lengths, steps, x)?) } else { None };
        let mut x = x.clone();
        for (i, layer) in self.layers.iter().enumerate() {
            if let (Some((dropout, rate)), true) = (&mut dropout, i > 0) {
                x = dropout.apply(&x, *rate)?;
            }
            x = layer.forward(&x, self.hidden)?;
            if let Some(mask) = &mask {
                x = x.broadcast_mul(mask)?;
            }
        }
        Ok(x)
    }
}

impl Layer {
    /// `x`: `[B, T, D]` → `[B, T, H]`. Padding stands behind the steps that count, so that it can't
    /// reach them: the state needs no mask, only the output does.
    fn forward(&self, x: &Tensor, hidden: usize) -> Result<Tensor> {
        let (batch, steps, dim) = x.dims3()?;
        // One matrix product for the inputs of all steps; only the recurrent part goes step by step.
        let gates =
            x.reshape((batch * steps, dim))?.matmul(&self.weight_ih.t()?)?.broadcast_add(&self.bias)?;
        let gates = gates.reshape((batch, steps, 4 * hidden))?;
        if x.device().is_cpu() {
            return recurrence(&gates, &self.weight_hh.contiguous()?);
        }
        plain_recurrence(&gates, &self.weight_hh)
    }
}

/// [`recurrence`] on candle's own operators: the plain truth, and the way on other devices.
fn plain_recurrence(inputs: &Tensor, weight: &Tensor) -> Result<Tensor> {
    let (_, steps, width) = inputs.dims3()?;
    let hidden = width / 4;
    let recurrent = weight.t()?;
    let mut state: Option<(Tensor, Tensor)> = None;
    let mut outputs = Vec::with_capacity(steps);
    for t in 0..steps {
        let mut gates = inputs.narrow(1, t, 1)?.squeeze(1)?;
        if let Some((h, _)) = &state {
            gates = (gates + h.matmul(&recurrent)?)?;
        }
        let gate = |i: usize| gates.narrow(1, i * hidden, hidden);
        let new = (sigmoid(&gate(0)?)? * gate(2)?.tanh()?)?;
        let c = match &state {
            Some((_, c)) => ((sigmoid(&gate(1)?)? * c)? + new)?,
            None => new,
        };
        let h = (sigmoid(&gate(3)?)? * c.tanh()?)?;
        outputs.push(h.clone());
        state = Some((h, c));
    }
    Tensor::stack(&outputs, 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device, Var};
    use candle_nn::{VarBuilder, VarMap};
    use std::collections::HashMap;

    /// Outputs and gradients as PyTorch's `nn.LSTM` gives them on packed sequences of unlike length
    /// (`tests/reference/lstm.py`).
    #[test]
    fn answers_as_pytorch_does() {
        let device = Device::Cpu;
        let bytes = include_bytes!("../../../../tests/reference/lstm.safetensors");
        let recorded = candle_core::safetensors::load_buffer(bytes, &device).unwrap();
        let vars: HashMap<String, Var> = recorded
            .iter()
            .filter(|(_, t)| t.dtype() == DType::F32)
            .map(|(n, t)| (n.clone(), Var::from_tensor(t).unwrap()))
            .collect();
        let tensors = vars.iter().map(|(n, v)| (n.clone(), v.as_tensor().clone())).collect();
        let vb = VarBuilder::from_tensors(tensors, DType::F32, &device);
        let lstm = Lstm::load(5, 4, 2, vb).unwrap();
        let output = lstm.forward(&vars["input"], &[7, 4, 1], None).unwrap();
        let difference = |a: &Tensor, b: &Tensor| {
            (a - b).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap().to_scalar::<f32>().unwrap()
        };
        assert!(difference(&output, &recorded["output"]) < 1e-6);
        let grads = (&output * &recorded["probe"]).unwrap().sum_all().unwrap().backward().unwrap();
        let checked: Vec<_> = recorded.keys().filter_map(|name| name.strip_prefix("grad.")).collect();
        assert_eq!(checked.len(), 9);
        for name in checked {
            let grad = grads.get(vars[name].as_tensor()).unwrap();
            assert!(difference(grad, &recorded[&format!("grad.{name}")]) < 1e-5, "{name}");
        }
    }

    #[test]
    fn fast_and_plain_recurrence_agree() {
        let device = Device::Cpu;
        let wave = |shape: &[usize], pitch: f32| {
            let values: Vec<f32> = (0..shape.iter().product()).map(|i| (i as f32 * pitch).sin()).collect();
            Var::from_tensor(&Tensor::from_vec(values, shape, &device).unwrap()).unwrap()
        };
        for (batch, steps, hidden) in [(1, 1, 1), (3, 6, 5), (1, 40, 16)] {
            let gates = wave(&[batch, steps, 4 * hidden], 0.7);
            let weight = wave(&[4 * hidden, hidden], 0.31);
            let run = |f: fn(&Tensor, &Tensor) -> Result<Tensor>| {
                let out = f(&gates, &weight).unwrap();
                let grads = (&out * (&out + 0.3).unwrap()).unwrap().sum_all().unwrap().backward().unwrap();
                let grad =
                    |v: &Var| grads.get(v.as_tensor()).cloned().unwrap_or_else(|| v.zeros_like().unwrap());
                [out, grad(&gates), grad(&weight)]
            };
            for (fast, plain) in std::iter::zip(run(recurrence), run(plain_recurrence)) {
                let difference =
                    (fast - plain).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap();
                assert!(difference.to_scalar::<f32>().unwrap() < 1e-4, "{batch} {steps} {hidden}");
            }
        }
    }

    #[test]
    fn padding_changes_nothing() {
        let device = Device::Cpu;
        let vars = VarMap::new();
        let vb = VarBuilder::from_varmap(&vars, DType::F32, &device);
        let lstm = Lstm::load(3, 5, 2, vb).unwrap();
        let x = Tensor::arange(0f32, 12., &device).unwrap().reshape((1, 4, 3)).unwrap();
        let short = x.narrow(1, 0, 2).unwrap();
        let values = |x: &Tensor| x.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let alone = lstm.forward(&short, &[2], None).unwrap();
        let padded = lstm.forward(&x, &[2], None).unwrap();
        assert_eq!(values(&padded.narrow(1, 0, 2).unwrap()), values(&alone));
        assert!(values(&padded.narrow(1, 2, 2).unwrap()).iter().all(|v| *v == 0.0));
    }
}
