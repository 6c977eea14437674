//! Several LSTM heads as one.
//!
//! Heads that began with different seeds err on different clips; the mean of their logits errs on fewer (deep ensembles,
//! Lakshminarayanan et al., 2017). LSTMs side by side are a wider LSTM whose parts don't hear one another, so the mean is
//! a head like any other, and no program that runs the model has to know of it.

use candle_core::{Result, Tensor};

use crate::model::{LstmConfig, Weights};

/// The head `head.*` whose logits are the mean of those of `heads`, each of them of `config` and with the same input
/// norm; and its sizes.
pub(super) fn side_by_side(heads: &[Weights], config: LstmConfig) -> Result<(Weights, LstmConfig)> {
    let (count, hidden) = (heads.len(), config.hidden_size);
    let of_all = |name: &str, part: &dyn Fn(usize, &Tensor) -> Result<Tensor>| -> Result<Vec<Tensor>> {
        heads.iter().enumerate().map(|(i, head)| part(i, &head.0[name])).collect()
    };
    // What reads a state reads that of its own head.
    let own = |i: usize, rows: &Tensor| rows.pad_with_zeros(1, i * hidden, (count - 1 - i) * hidden);
    let gates = |name: &str, reads_states: bool| {
        let gate = |gate: usize| {
            let of_head = |i: usize, tensor: &Tensor| {
                let rows = tensor.narrow(0, gate * hidden, hidden)?;
                if reads_states { own(i, &rows) } else { Ok(rows) }
            };
            Tensor::cat(&of_all(name, &of_head)?, 0)
        };
        Tensor::cat(&(0..4).map(gate).collect::<Result<Vec<_>>>()?, 0)
    };
    let mean = |tensors: Vec<Tensor>| Tensor::stack(&tensors, 0)?.mean(0);

    let mut wide = Weights::default();
    let mut put = |name: String, tensor: Tensor| wide.0.insert(name, tensor);
    for name in ["head.input_norm.mean", "head.input_norm.std"] {
        put(name.into(), heads[0].0[name].clone());
    }
    for layer in 0..config.num_layers {
        for (part, reads_states) in
            [("weight_ih", layer > 0), ("weight_hh", true), ("bias_ih", false), ("bias_hh", false)]
        {
            let name = format!("head.lstm.{part}_l{layer}");
            let tensor = gates(&name, reads_states)?;
            put(name, tensor);
        }
    }
    let name = "head.classifier.weight";
    let states = of_all(name, &|_, weight| weight.narrow(1, 0, hidden)? / count as f64)?;
    let skipped = |_: usize, weight: &Tensor| weight.narrow(1, hidden, weight.dim(1)? - hidden);
    let weight = match config.skip {
        false => Tensor::cat(&states, 1)?,
        true => Tensor::cat(&[states, vec![mean(of_all(name, &skipped)?)?]].concat(), 1)?,
    };
    put(name.into(), weight);
    let name = "head.classifier.bias";
    put(name.into(), mean(of_all(name, &|_, bias| Ok(bias.clone()))?)?);
    Ok((wide, LstmConfig { hidden_size: count * hidden, ..config }))
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::learning::training::init_head;
    use crate::model::HeadConfig;

    #[test]
    fn the_wide_head_answers_with_the_mean_of_the_logits() {
        let device = &Device::Cpu;
        let (dim, classes) = (5, 3);
        for (num_layers, delta, skip) in [(1, false, true), (2, true, false)] {
            let config = LstmConfig { hidden_size: 4, num_layers, dropout: 0.5, delta, skip };
            let heads: Vec<Weights> = (0..3)
                .map(|seed| {
                    let mut head = init_head(&HeadConfig::Lstm(config), dim, classes, seed, device).unwrap();
                    for (name, value) in [("head.input_norm.mean", 0.1f32), ("head.input_norm.std", 2.0)] {
                        head.0.insert(name.into(), Tensor::full(value, dim, device).unwrap());
                    }
                    head
                })
                .collect();
            let x = Tensor::randn(0f32, 1.0, (2, 6, dim), device).unwrap();
            let logits = |weights: &Weights, config| {
                let vb = weights.var_builder(device).pp("head");
                let head = HeadConfig::Lstm(config).load(dim, classes, vb).unwrap();
                head.forward_batch(&x, &[6, 4], None).unwrap()
            };
            let each: Vec<Tensor> = heads.iter().map(|head| logits(head, config)).collect();
            let expected = Tensor::stack(&each, 0).unwrap().mean(0).unwrap();
            let (wide, config) = side_by_side(&heads, config).unwrap();
            let off = (logits(&wide, config) - expected).unwrap().abs().unwrap().max_all().unwrap();
            assert_eq!(config.hidden_size, 12);
            assert!(off.to_scalar::<f32>().unwrap() < 1e-6, "{off}");
        }
    }
}
