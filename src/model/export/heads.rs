//! The heads as ONNX nodes, from features `[steps, D]` to logits `[1, classes]`.

use candle_core::{Device, Result, Tensor};

use super::graph::{Graph, Value};
use crate::model::LstmConfig;

/// Input normalisation, stacked LSTM, mean over time, linear layer.
pub(super) fn lstm(graph: &mut Graph, features: &str, steps: usize, config: LstmConfig) -> Result<String> {
    let mean = graph.stored("head.input_norm.mean")?;
    let std = graph.stored("head.input_norm.std")?;
    let x = graph.node("Sub", &[features, &mean], &[]);
    let features = graph.node("Div", &[&x, &std], &[]);
    let dim = graph.weight("head.input_norm.mean")?.elem_count();
    let mut x = features.clone();
    if config.delta {
        let change = change(graph, &x, steps);
        x = graph.node("Concat", &[&x, &change], &[("axis", Value::Int(1))]);
    }
    // Time, batch, features.
    x = graph.reshape(&x, &[steps, 1, config.input_width(dim)]);
    let hidden = config.hidden_size;
    for layer in 0..config.num_layers {
        let part = |graph: &Graph, name: &str| reorder(graph.weight(&format!("head.lstm.{name}_l{layer}"))?);
        let (w, r) = (part(graph, "weight_ih")?.unsqueeze(0)?, part(graph, "weight_hh")?.unsqueeze(0)?);
        let b = Tensor::cat(&[part(graph, "bias_ih")?, part(graph, "bias_hh")?], 0)?.unsqueeze(0)?;
        let (w, r, b) = (graph.constant(&w)?, graph.constant(&r)?, graph.constant(&b)?);
        let y = graph.node("LSTM", &[&x, &w, &r, &b], &[("hidden_size", Value::Int(hidden as i64))]);
        // Time, direction, batch, features.
        x = graph.reshape(&y, &[steps, 1, hidden]);
    }
    x = graph.reshape(&x, &[steps, hidden]);
    x = mean_over_time(graph, &x);
    if config.skip {
        let mean = mean_over_time(graph, &features);
        x = graph.node("Concat", &[&x, &mean], &[("axis", Value::Int(1))]);
    }
    classifier(graph, &x)
}

/// Mean of moving averages over `pool` steps inside each of `windows` windows, linear layer.
pub(super) fn mean(
    graph: &mut Graph,
    features: &str,
    windows: usize,
    steps: usize,
    pool: usize,
) -> Result<String> {
    // A mean of moving averages weighs each step by how many of the averages it is in.
    let pool = pool.min(steps);
    let runs = steps - pool + 1;
    let weight = |step: usize| {
        let averages = (0..runs).filter(|run| (*run..run + pool).contains(&step)).count();
        averages as f32 / (windows * runs * pool) as f32
    };
    let weights: Vec<f32> = (0..windows * steps).map(|i| weight(i % steps)).collect();
    let weights = graph.constant(&Tensor::from_vec(weights, (1, windows * steps), &Device::Cpu)?)?;
    let x = graph.node("MatMul", &[&weights, features], &[]);
    classifier(graph, &x)
}

/// `[steps, D]` → `[1, D]`
fn mean_over_time(graph: &mut Graph, x: &str) -> String {
    let attributes = [("axes", Value::Ints(vec![0])), ("keepdims", Value::Int(1))];
    graph.node("ReduceMean", &[x], &attributes)
}

fn classifier(graph: &mut Graph, x: &str) -> Result<String> {
    let weight = graph.stored("head.classifier.weight")?;
    let bias = graph.stored("head.classifier.bias")?;
    Ok(graph.node("Gemm", &[x, &weight, &bias], &[("transB", Value::Int(1))]))
}

/// Each step less the one before, 0 at the first: `[steps, dim]`.
fn change(graph: &mut Graph, x: &str, steps: usize) -> String {
    let before: Vec<i64> = (0..steps as i64).map(|t| (t - 1).max(0)).collect();
    let before = graph.integers(&before);
    let before = graph.node("Gather", &[x, &before], &[("axis", Value::Int(0))]);
    graph.node("Sub", &[x, &before], &[])
}

/// PyTorch's gates are input, forget, cell, output; ONNX's input, output, forget, cell.
fn reorder(tensor: &Tensor) -> Result<Tensor> {
    let gates = tensor.chunk(4, 0)?;
    Tensor::cat(&[&gates[0], &gates[3], &gates[1], &gates[2]], 0)
}
