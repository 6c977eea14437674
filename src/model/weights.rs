//! `model.safetensors`: tensors by name.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device, Result, Tensor};
use candle_nn::VarBuilder;
use safetensors::{Dtype, View};

use super::Tensors;

/// A model's tensors by their PyTorch names, in order of name.
#[derive(Debug, Clone, Default)]
pub struct Weights(pub BTreeMap<String, Tensor>);

impl Weights {
    /// Reads the safetensors format (f16, bf16 or f32) into f32 tensors.
    ///
    /// Errors where the bytes are cut short or hold numbers of another type or values that aren't finite.
    pub fn from_bytes(bytes: &[u8], device: &Device) -> Result<Self> {
        Self::from_tensors(&Tensors::from_bytes(bytes.to_vec().into())?, device)
    }

    /// All of `tensors` in `f32`.
    ///
    /// # Errors
    /// As [`Tensors::get`].
    pub fn from_tensors(tensors: &Tensors, device: &Device) -> Result<Self> {
        let get = |name: &str| Ok((name.to_owned(), tensors.get(name, device)?));
        Ok(Self(tensors.names().map(get).collect::<Result<_>>()?))
    }

    /// The safetensors bytes: weights as f16, everything that belongs to a normalisation as f32,
    /// because running variances overflow or vanish in f16.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        struct Owned(Dtype, Vec<usize>, Vec<u8>);
        impl View for &Owned {
            fn dtype(&self) -> Dtype {
                self.0
            }
            fn shape(&self) -> &[usize] {
                &self.1
            }
            fn data(&self) -> std::borrow::Cow<'_, [u8]> {
                (&self.2).into()
            }
            fn data_len(&self) -> usize {
                self.2.len()
            }
        }
        let mut owned = BTreeMap::new();
        for (name, tensor) in &self.0 {
            let values = tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
            let (dtype, bytes): (_, Vec<u8>) = if self.is_normalisation(name) {
                (Dtype::F32, values.iter().flat_map(|x| x.to_le_bytes()).collect())
            } else {
                (Dtype::F16, values.iter().flat_map(|x| half::f16::from_f32(*x).to_le_bytes()).collect())
            };
            owned.insert(name.clone(), Owned(dtype, tensor.dims().to_vec(), bytes));
        }
        let metadata = Some([("format".to_string(), "pt".to_string())].into());
        safetensors::serialize(owned.iter(), metadata).map_err(candle_core::Error::wrap)
    }

    /// The values as a reader of the saved file will see them: what is measured is what is shipped.
    pub fn rounded(&self, device: &Device) -> Result<Self> {
        Self::from_tensors(&Tensors::from_bytes(self.to_bytes()?.into())?, device)
    }

    /// The same on `device`.
    pub fn to_device(&self, device: &Device) -> Result<Self> {
        let moved = |(name, tensor): (&String, &Tensor)| Ok((name.clone(), tensor.to_device(device)?));
        Ok(Self(self.0.iter().map(moved).collect::<Result<_>>()?))
    }

    /// Saves to `path`, by a temporary file beside it.
    pub fn save(&self, path: &Path) -> crate::Result<()> {
        crate::files::write_atomically(path, &self.to_bytes()?)
    }

    /// The tensors as candle's modules take them.
    pub fn var_builder(&self, device: &Device) -> VarBuilder<'static> {
        VarBuilder::from_tensors(self.0.clone().into_iter().collect(), DType::F32, device)
    }

    /// BatchNorm's four tensors stand together with a `running_mean`; the head's input
    /// normalisation is named so.
    fn is_normalisation(&self, name: &str) -> bool {
        let Some((module, _)) = name.rsplit_once('.') else {
            return false;
        };
        module.ends_with("input_norm") || self.0.contains_key(&format!("{module}.running_mean"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights() -> Weights {
        let tensor = |v: f32| Tensor::full(v, (2, 3), &Device::Cpu).unwrap();
        Weights(
            [("bn.running_mean", 1e-6), ("bn.weight", 1e5), ("conv.weight", 0.1)]
                .map(|(n, v)| (n.to_string(), tensor(v)))
                .into(),
        )
    }

    fn first(w: &Weights, name: &str) -> f32 {
        w.0[name].flatten_all().unwrap().to_vec1::<f32>().unwrap()[0]
    }

    #[test]
    fn normalisations_stay_f32_and_weights_become_f16() {
        let rounded = weights().rounded(&Device::Cpu).unwrap();
        assert_eq!(first(&rounded, "bn.weight"), 1e5);
        assert_eq!(first(&rounded, "bn.running_mean"), 1e-6);
        assert_eq!(first(&rounded, "conv.weight"), half::f16::from_f32(0.1).to_f32());
    }

    #[test]
    fn a_file_cut_short_or_with_nan_is_refused() {
        let bytes = weights().to_bytes().unwrap();
        let message = Weights::from_bytes(&bytes[..bytes.len() - 1], &Device::Cpu).unwrap_err().to_string();
        assert!(message.contains("cut short"), "{message}");
        let mut bad = weights();
        bad.0.insert("x".into(), Tensor::new(&[f32::NAN], &Device::Cpu).unwrap());
        let message = Weights::from_bytes(&bad.to_bytes().unwrap(), &Device::Cpu).unwrap_err().to_string();
        assert!(message.contains("not finite"), "{message}");
    }

    #[test]
    fn every_type_and_length_is_read() {
        let numbers: Vec<f32> = (0..3000).map(|i| i as f32 / 8.0 - 100.0).collect();
        let expected = Tensor::new(&numbers[..], &Device::Cpu).unwrap();
        for (dtype, len) in [(DType::F16, 2049), (DType::F16, 3000), (DType::BF16, 17), (DType::F32, 3000)] {
            let expected = expected.narrow(0, 0, len).unwrap().to_dtype(dtype).unwrap();
            let bytes = safetensors::serialize([("x", &expected)], None).unwrap();
            let shifted = [&[0], &bytes[..]].concat();
            for bytes in [&bytes[..], &shifted[1..]] {
                let read = Weights::from_bytes(bytes, &Device::Cpu).unwrap();
                let expected = expected.to_dtype(DType::F32).unwrap().to_vec1::<f32>().unwrap();
                assert_eq!(read.0["x"].to_vec1::<f32>().unwrap(), expected, "{dtype:?}");
            }
        }
    }

    #[test]
    fn the_same_weights_give_the_same_bytes() {
        assert_eq!(weights().to_bytes().unwrap(), weights().to_bytes().unwrap());
    }
}
