//! Writes a model folder's files.

use std::{borrow::Cow, collections::HashMap, fs, io::Write, path::Path};

use classify::{Error, Result};
use half::f16;
use safetensors::{View, tensor::Dtype as TensorType};

/// How a weight is kept in the file.
#[derive(Clone, Copy)]
pub enum Dtype {
    F16,
    F32,
}

/// One tensor, row-major.
pub struct Weight {
    pub name: String,
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    pub values: Vec<f32>,
}

impl View for &Weight {
    fn dtype(&self) -> TensorType {
        match self.dtype {
            Dtype::F16 => TensorType::F16,
            Dtype::F32 => TensorType::F32,
        }
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let values = self.values.iter();
        match self.dtype {
            Dtype::F16 => values.flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect(),
            Dtype::F32 => values.flat_map(|v| v.to_le_bytes()).collect(),
        }
    }

    fn data_len(&self) -> usize {
        self.values.len() * self.dtype().bitsize() / 8
    }
}

/// Writes `model.safetensors`; the same weights give the same bytes.
pub(crate) fn write_weights(folder: &Path, weights: &[Weight]) -> Result<()> {
    let path = folder.join("model.safetensors");
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let named = weights.iter().map(|weight| (weight.name.as_str(), weight));
    let bytes = safetensors::serialize(named, Some(metadata)).map_err(|error| Error::model(&path, error))?;
    write(&path, &bytes)
}

/// Writes `value` as indented JSON.
pub(crate) fn write_json(path: &Path, value: &impl serde::Serialize) -> Result<()> {
    let mut text = serde_json::to_string_pretty(value).map_err(|e| Error::model(path, e))?;
    text.push('\n');
    write(path, text.as_bytes())
}

/// Puts a whole file in place or none.
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let io = |source| Error::io(path, source);
    fs::create_dir_all(folder).map_err(io)?;
    let mut file = tempfile::Builder::new()
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .tempfile_in(folder)
        .map_err(io)?;
    file.write_all(bytes).map_err(io)?;
    file.persist(path).map_err(|error| io(error.error))?;
    Ok(())
}
