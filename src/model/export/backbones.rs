//! The CNNs as ONNX nodes. Batch normalisation stays a node of its own: runtimes fold it at load.

use candle_core::{DType, Device, Result, Tensor};

use super::graph::{Graph, Value};
use crate::model::LiteConfig;
use crate::networks::backbones::{LiteVariant, efficientnet_lite, i3d as i3d_network};

/// EfficientNet-Lite on `windows` windows of `frames` frames of `size` (height and width). Returns
/// the features `[windows · frames, 1280]`.
pub(super) fn lite(
    graph: &mut Graph,
    (variant, config): (LiteVariant, LiteConfig),
    windows: usize,
    frames: usize,
    size: [usize; 2],
) -> Result<String> {
    let mut size = size.to_vec();
    let unit = |graph: &mut Graph, x: &str, names: [&str; 2], spec: Conv, size: &mut Vec<usize>| {
        let [conv, norm] = names.map(|name| format!("backbone.{name}"));
        let x = spec.draw(graph, x, &format!("{conv}.weight"), size)?;
        let gamma = graph.stored(&format!("{norm}.weight"))?;
        normalise(graph, &x, &gamma, &norm, efficientnet_lite::EPSILON)
    };
    let x = graph.reshape("frames", &[windows * frames, 3, size[0], size[1]]);
    let stem = Conv { kernel: 3, stride: 2, groups: 1 };
    let x = unit(graph, &x, ["_conv_stem", "_bn0"], stem, &mut size)?;
    let mut x = relu6(graph, &x)?;
    for (i, spec) in variant.blocks().into_iter().enumerate() {
        let name = |part: &str| format!("_blocks.{i}.{part}");
        let input = x.clone();
        if config.temporal_shift && spec.residual() {
            x = shift(graph, &x, [windows, frames, spec.input, size[0], size[1]])?;
        }
        if spec.expands() {
            let names = [&*name("_expand_conv"), &*name("_bn0")];
            x = unit(graph, &x, names, Conv::POINT, &mut size)?;
            x = relu6(graph, &x)?;
        }
        let depthwise = Conv { kernel: spec.kernel, stride: spec.stride, groups: spec.hidden };
        x = unit(graph, &x, [&*name("_depthwise_conv"), &*name("_bn1")], depthwise, &mut size)?;
        x = relu6(graph, &x)?;
        x = unit(graph, &x, [&*name("_project_conv"), &*name("_bn2")], Conv::POINT, &mut size)?;
        if spec.residual() {
            x = graph.node("Add", &[&x, &input], &[]);
        }
    }
    x = unit(graph, &x, ["_conv_head", "_bn1"], Conv::POINT, &mut size)?;
    x = relu6(graph, &x)?;
    Ok(mean_over_space(graph, &x, &[2, 3]))
}

/// Temporal shift inside each window: an eighth of the channels comes from the next frame, an
/// eighth from the one before, zeros at the ends. `shape`: windows, frames, channels, height, width.
fn shift(graph: &mut Graph, x: &str, shape: [usize; 5]) -> Result<String> {
    let [windows, frames, channels, height, width] = shape;
    let part = channels / 8;
    let x = graph.reshape(x, &shape);
    let empty = Tensor::zeros((windows, 1, part, height, width), DType::F32, &Device::Cpu)?;
    let empty = graph.constant(&empty)?;
    let mut slice = |time: [usize; 2], channels: [usize; 2]| {
        let starts = graph.integers(&[time[0] as i64, channels[0] as i64]);
        let ends = graph.integers(&[time[1] as i64, channels[1] as i64]);
        let axes = graph.integers(&[1, 2]);
        graph.node("Slice", &[&x, &starts, &ends, &axes], &[])
    };
    let same = slice([0, frames], [2 * part, channels]);
    let (mut next, mut before) = (empty.clone(), empty.clone());
    // A window of one frame has no neighbours.
    if frames > 1 {
        (next, before) = (slice([1, frames], [0, part]), slice([0, frames - 1], [part, 2 * part]));
        next = graph.node("Concat", &[&next, &empty], &[("axis", Value::Int(1))]);
        before = graph.node("Concat", &[&empty, &before], &[("axis", Value::Int(1))]);
    }
    let x = graph.node("Concat", &[&next, &before, &same], &[("axis", Value::Int(2))]);
    Ok(graph.reshape(&x, &[windows * frames, channels, height, width]))
}

/// I3D on `windows` windows of `frames` frames. Returns the features `[windows · T', 1024]`.
pub(super) fn i3d(graph: &mut Graph, windows: usize, frames: usize, size: [usize; 2]) -> Result<String> {
    let mut size = vec![frames, size[0], size[1]];
    let x = graph.reshape("frames", &[windows, frames, 3, size[1], size[2]]);
    let mut x = graph.transpose(&x, &[0, 2, 1, 3, 4]);
    x = unit3d(graph, &x, "Conv3d_1a_7x7", 2, &mut size)?;
    x = max_pool(graph, &x, [1, 3, 3], [1, 2, 2], &mut size);
    x = unit3d(graph, &x, "Conv3d_2b_1x1", 1, &mut size)?;
    x = unit3d(graph, &x, "Conv3d_2c_3x3", 1, &mut size)?;
    x = max_pool(graph, &x, [1, 3, 3], [1, 2, 2], &mut size);
    for (name, _) in i3d_network::MIXED {
        match name {
            "Mixed_4b" => x = max_pool(graph, &x, [3, 3, 3], [2, 2, 2], &mut size),
            "Mixed_5b" => x = max_pool(graph, &x, [2, 2, 2], [2, 2, 2], &mut size),
            _ => {}
        }
        let mut branch = |graph: &mut Graph, x: &str, units: &[&str]| {
            units
                .iter()
                .try_fold(x.to_owned(), |x, unit| unit3d(graph, &x, &format!("{name}.{unit}"), 1, &mut size))
        };
        let point = branch(graph, &x, &["Branch_0.Conv3d_0a_1x1"])?;
        let wide = branch(graph, &x, &["Branch_1.Conv3d_0a_1x1", "Branch_1.Conv3d_0b_3x3"])?;
        let narrow = branch(graph, &x, &["Branch_2.Conv3d_0a_1x1", "Branch_2.Conv3d_0b_3x3"])?;
        let pooled = max_pool(graph, &x, [3, 3, 3], [1, 1, 1], &mut size);
        let pooled = unit3d(graph, &pooled, &format!("{name}.Branch_3.Conv3d_0b_1x1"), 1, &mut size)?;
        x = graph.node("Concat", &[&point, &wide, &narrow, &pooled], &[("axis", Value::Int(1))]);
    }
    // [windows, 1024, T'] → [windows, T', 1024]
    let x = mean_over_space(graph, &x, &[3, 4]);
    let x = graph.transpose(&x, &[0, 2, 1]);
    Ok(graph.reshape(&x, &[windows * size[0], 1024]))
}

/// A SAME convolution: edge of the kernel and stride, alike in all dimensions.
#[derive(Clone, Copy)]
struct Conv {
    kernel: usize,
    stride: usize,
    groups: usize,
}

impl Conv {
    const POINT: Self = Self { kernel: 1, stride: 1, groups: 1 };

    /// `size`: that of the input, then of the output.
    fn draw(self, graph: &mut Graph, x: &str, weight: &str, size: &mut Vec<usize>) -> Result<String> {
        let weight = graph.stored(weight)?;
        let mut attributes = window(&vec![self.kernel; size.len()], &vec![self.stride; size.len()], size);
        attributes.push(("group", Value::Int(self.groups as i64)));
        Ok(graph.node("Conv", &[x, &weight], &attributes))
    }
}

/// Convolution, batch normalisation without a scale, ReLU.
fn unit3d(graph: &mut Graph, x: &str, name: &str, stride: usize, size: &mut Vec<usize>) -> Result<String> {
    let name = format!("backbone.{name}");
    let weight = format!("{name}.conv.weight");
    let (out, kernel) = (graph.weight(&weight)?.dim(0)?, graph.weight(&weight)?.dim(2)?);
    let x = Conv { kernel, stride, groups: 1 }.draw(graph, x, &weight, size)?;
    let ones = graph.constant(&Tensor::ones(out, DType::F32, &Device::Cpu)?)?;
    let x = normalise(graph, &x, &ones, &format!("{name}.bn"), i3d_network::EPSILON)?;
    Ok(graph.node("Relu", &[&x], &[]))
}

fn normalise(graph: &mut Graph, x: &str, gamma: &str, norm: &str, epsilon: f64) -> Result<String> {
    let beta = graph.stored(&format!("{norm}.bias"))?;
    let mean = graph.stored(&format!("{norm}.running_mean"))?;
    let var = graph.stored(&format!("{norm}.running_var"))?;
    let epsilon = [("epsilon", Value::Float(epsilon as f32))];
    Ok(graph.node("BatchNormalization", &[x, gamma, &beta, &mean, &var], &epsilon))
}

/// SAME max-pooling; ONNX pads it with −∞.
fn max_pool(
    graph: &mut Graph,
    x: &str,
    kernel: [usize; 3],
    stride: [usize; 3],
    size: &mut Vec<usize>,
) -> String {
    let attributes = window(&kernel, &stride, size);
    graph.node("MaxPool", &[x], &attributes)
}

/// Attributes of a SAME window in TensorFlow's way: what doesn't divide evenly is padded at the
/// end. `size` becomes that of the output.
fn window(kernel: &[usize], stride: &[usize], size: &mut Vec<usize>) -> Vec<(&'static str, Value)> {
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for ((k, s), n) in kernel.iter().zip(stride).zip(size) {
        let output = n.div_ceil(*s);
        let pad = ((output - 1) * s + k).saturating_sub(*n);
        before.push((pad / 2) as i64);
        after.push((pad - pad / 2) as i64);
        *n = output;
    }
    let ints = |values: &[usize]| Value::Ints(values.iter().map(|v| *v as i64).collect());
    before.extend(after);
    vec![("kernel_shape", ints(kernel)), ("strides", ints(stride)), ("pads", Value::Ints(before))]
}

fn relu6(graph: &mut Graph, x: &str) -> Result<String> {
    let low = graph.constant(&Tensor::new(0f32, &Device::Cpu)?)?;
    let high = graph.constant(&Tensor::new(6f32, &Device::Cpu)?)?;
    Ok(graph.node("Clip", &[x, &low, &high], &[]))
}

fn mean_over_space(graph: &mut Graph, x: &str, axes: &[i64]) -> String {
    let attributes = [("axes", Value::Ints(axes.to_vec())), ("keepdims", Value::Int(0))];
    graph.node("ReduceMean", &[x], &attributes)
}
