//! What a user may ask of training, and what is taken where nothing is said.

use std::path::PathBuf;

use crate::model::{HeadConfig, LstmConfig};

/// Everything that `classify train` can be told.
#[derive(Debug, Clone)]
pub struct TrainOptions {
    /// Name or folder of the model whose CNN is taken over.
    pub backbone: String,
    /// Frames a window and pixels a side; the backbone model's own where not given.
    pub frames: Option<usize>,
    pub size: Option<usize>,
    pub windows: Option<usize>,
    pub head: HeadConfig,
    /// Of the first stage, the head on cached features.
    pub recipe: super::Recipe,
    pub label_smoothing: f32,
    pub mixup: f64,
    pub class_weights: bool,
    /// Where features are kept; `None` keeps none.
    pub cache: Option<PathBuf>,
    pub threads: usize,
    /// Go on from the checkpoint of a run that was ended.
    pub resume: bool,
}

impl Default for TrainOptions {
    fn default() -> Self {
        Self {
            backbone: "imagenet-lite0".into(),
            frames: None,
            size: None,
            windows: None,
            head: HeadConfig::Lstm(LstmConfig {
                hidden_size: 256,
                num_layers: 1,
                dropout: 0.5,
                delta: false,
                skip: true,
            }),
            recipe: super::Recipe {
                epochs: 40,
                batch: 32,
                learning_rate: 1e-3,
                warmup: 0.1,
                weight_decay: 0.05,
                clip_norm: 5.0,
                average: 0.98,
                patience: 15,
                balanced: false,
                seed: 0,
            },
            label_smoothing: 0.1,
            mixup: 0.2,
            class_weights: true,
            cache: super::FeatureCache::default_folder(),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            resume: false,
        }
    }
}
