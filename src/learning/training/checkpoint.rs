//! The state of a training run on disk: all that is needed to go on as if nothing had happened.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use candle_core::{Device, Tensor};
use safetensors::SafeTensors;
use serde::{Deserialize, Serialize};

use super::{AdamW, Epoch, Recipe};
use crate::model::Weights;
use crate::{Error, Result, files};

/// One safetensors file in f32: the parameters, the optimiser's moments, the averaged and the best
/// weights; recipe and history stand in its header.
#[derive(Debug, Clone)]
pub(super) struct Checkpoint {
    header: Header,
    pub(super) history: Vec<Epoch>,
    pub(super) average: BTreeMap<String, Tensor>,
    pub(super) best: BTreeMap<String, Tensor>,
    vars: BTreeMap<String, Tensor>,
    first: BTreeMap<String, Tensor>,
    second: BTreeMap<String, Tensor>,
    step: usize,
}

/// What must be the same for a run to be taken up again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Header {
    stage: String,
    /// Of all that the run was asked for, and of its clips.
    digest: String,
    recipe: Recipe,
    shapes: BTreeMap<String, Vec<usize>>,
}

#[derive(Serialize, Deserialize)]
struct Progress {
    header: Header,
    history: Vec<Epoch>,
    step: usize,
}

impl Checkpoint {
    /// The state before the first step.
    pub(super) fn new(start: &Weights, recipe: &Recipe, stage: &str, digest: &str) -> Self {
        let shapes = start.0.iter().map(|(n, t)| (n.clone(), t.dims().to_vec())).collect();
        Self {
            header: Header { stage: stage.into(), digest: digest.into(), recipe: recipe.clone(), shapes },
            history: Vec::new(),
            average: start.0.clone(),
            best: start.0.clone(),
            vars: start.0.clone(),
            first: BTreeMap::new(),
            second: BTreeMap::new(),
            step: 0,
        }
    }

    /// Takes the optimiser's state in.
    pub(super) fn keep(&mut self, optimizer: &AdamW) -> Result<()> {
        self.vars = optimizer.vars.iter().map(|(n, v)| (n.clone(), v.as_tensor().clone())).collect();
        let tensors = |moments: &BTreeMap<String, Vec<f32>>| -> Result<BTreeMap<String, Tensor>> {
            let tensor = |(n, v): (&String, &Vec<f32>)| {
                Ok((n.clone(), Tensor::from_slice(v, self.header.shapes[n].as_slice(), &Device::Cpu)?))
            };
            moments.iter().map(tensor).collect()
        };
        self.first = tensors(&optimizer.first)?;
        self.second = tensors(&optimizer.second)?;
        self.step = optimizer.step;
        Ok(())
    }

    /// Puts the optimiser where this checkpoint was taken.
    pub(super) fn restore(&self, optimizer: &mut AdamW) -> Result<()> {
        for (name, var) in &optimizer.vars {
            var.set(&self.vars[name])?;
        }
        let values = |tensors: &BTreeMap<String, Tensor>| -> Result<BTreeMap<String, Vec<f32>>> {
            tensors.iter().map(|(n, t)| Ok((n.clone(), t.flatten_all()?.to_vec1::<f32>()?))).collect()
        };
        optimizer.first = values(&self.first)?;
        optimizer.second = values(&self.second)?;
        optimizer.step = self.step;
        Ok(())
    }

    fn parts(&self) -> [(&'static str, &BTreeMap<String, Tensor>); 5] {
        [
            ("vars", &self.vars),
            ("first", &self.first),
            ("second", &self.second),
            ("average", &self.average),
            ("best", &self.best),
        ]
    }

    /// Saves by a temporary file beside `path`.
    pub(super) fn save(&self, path: &Path) -> Result<()> {
        let mut tensors = Vec::new();
        for (part, map) in self.parts() {
            for (name, tensor) in map {
                tensors.push((format!("{part}/{name}"), tensor.to_device(&Device::Cpu)?.contiguous()?));
            }
        }
        let progress =
            Progress { header: self.header.clone(), history: self.history.clone(), step: self.step };
        let progress = serde_json::to_string(&progress).map_err(|e| Error::data(path, e))?;
        let metadata = HashMap::from([("classify".to_string(), progress)]);
        let bytes = safetensors::serialize(tensors, Some(metadata)).map_err(|e| Error::data(path, e))?;
        files::write_atomically(path, &bytes)
    }

    /// Loads a checkpoint that `fresh`, the state of a run about to start, can be replaced by.
    ///
    /// # Errors
    /// Where the file is damaged, or was made by other settings or another data set.
    pub(super) fn load(path: &Path, fresh: &Self) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
        let damaged =
            |e: String| Error::data(path, format!("not a usable checkpoint ({e}); delete it to start anew"));
        let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(|e| damaged(e.to_string()))?;
        let text = metadata.metadata().as_ref().and_then(|m| m.get("classify"));
        let text = text.ok_or_else(|| damaged("no header".into()))?;
        let progress: Progress = serde_json::from_str(text).map_err(|e| damaged(e.to_string()))?;
        if progress.header != fresh.header {
            return Err(Error::data(
                path,
                "the checkpoint was made with other settings or other clips; \
                 resume with the same ones, or start anew with --force instead of --resume",
            ));
        }
        let mut parts = BTreeMap::<String, BTreeMap<String, Tensor>>::new();
        let tensors = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu)?;
        for (name, tensor) in tensors {
            let (part, name) = name.split_once('/').ok_or_else(|| damaged(format!("tensor {name}")))?;
            parts.entry(part.into()).or_default().insert(name.into(), tensor.to_device(device_of(fresh))?);
        }
        let mut part = |name: &str| {
            let map = parts.remove(name).unwrap_or_default();
            let fits = map.len() == fresh.header.shapes.len()
                && map.iter().all(|(n, t)| fresh.header.shapes.get(n).is_some_and(|s| s == t.dims()));
            if fits { Ok(map) } else { Err(damaged(format!("{name} doesn't fit"))) }
        };
        Ok(Self {
            header: progress.header,
            history: progress.history,
            vars: part("vars")?,
            first: part("first")?,
            second: part("second")?,
            average: part("average")?,
            best: part("best")?,
            step: progress.step,
        })
    }
}

fn device_of(checkpoint: &Checkpoint) -> &Device {
    checkpoint.vars.values().next().map_or(&Device::Cpu, |t| t.device())
}
