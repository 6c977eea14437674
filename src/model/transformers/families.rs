//! What is known of each family of networks.

use serde_json::Value;

use crate::networks::backbones::{BackboneConfig, Features, VideoMaeConfig};
use crate::video::Sampling;

/// A family of networks, by its `model_type`.
pub(super) struct Family {
    pub model_type: &'static str,
    /// The network that a `config.json` describes.
    pub backbone: fn(&Value) -> serde_json::Result<BackboneConfig>,
    /// What tensors' names begin with in the file, and here.
    pub names: &'static [(&'static str, &'static str)],
    /// Which frames are looked at: the published protocol.
    pub sampling: fn(&BackboneConfig) -> Sampling,
}

pub(super) static FAMILIES: &[Family] = &[Family {
    model_type: "videomae",
    backbone: |json| {
        let config: VideoMaeConfig = serde_json::from_value(json.clone())?;
        Ok(BackboneConfig::VideoMae(VideoMaeConfig { features: Features::Pooled, ..config }))
    },
    names: &[
        ("videomae.", "backbone."),
        ("fc_norm.", "backbone.pooled.fc_norm."),
        ("classifier.", "head.classifier."),
        // A bare encoder.
        ("embeddings.", "backbone.embeddings."),
        ("encoder.layer.", "backbone.encoder.layer."),
        ("layernorm.", "backbone.layernorm."),
    ],
    // 5 × 3 views of 16 frames, every fourth, on Kinetics-400 (Tong et al. 2022, appendix): here the 5 moments.
    sampling: |backbone| {
        let BackboneConfig::VideoMae(config) = backbone else { unreachable!("its own configuration") };
        Sampling { windows: 5, frames: config.num_frames, fps: Some(7.5), luma_lag: None }
    },
}];

/// Why a folder of the family `model_type` can't be run.
pub(super) fn unknown(model_type: &str) -> String {
    let known: Vec<&str> = FAMILIES.iter().map(|family| family.model_type).collect();
    let what = match model_type {
        "bert" | "roberta" | "gpt2" | "llama" | "t5" | "distilbert" | "qwen2" | "mistral" => "a text model: ",
        "vit" | "resnet" | "convnext" | "swin" | "dinov2" | "beit" | "deit" => "an image model: ",
        "whisper" | "wav2vec2" => "a sound model: ",
        _ => "a model of a family that isn't supported: ",
    };
    format!("{what}{model_type}; supported are {}", known.join(", "))
}
