//! What is known of each family of networks.

use serde::de::{DeserializeOwned, Error};
use serde_json::{Result, Value};

#[cfg(feature = "words")]
use crate::model::words::Text;
use crate::networks::backbones::{
    BackboneConfig, ClipConfig, Features, VideoMaeConfig, Vjepa2Config, XclipConfig,
};
#[cfg(feature = "words")]
use crate::networks::text::{TextConfig, TextKind};
#[cfg(feature = "words")]
use crate::networks::transformer::Sizes;
use crate::networks::transformer::{Activation, VitConfig};
use crate::video::Sampling;

/// A family of networks, by its `model_type`.
pub(super) struct Family {
    pub model_type: &'static str,
    /// The network that a `config.json` describes.
    pub backbone: fn(Keys) -> Result<BackboneConfig>,
    /// What tensors' names begin with in the file, and here; empty for those that are not needed.
    pub names: &'static [(&'static str, &'static str)],
    /// Which frames are looked at, given how many the network was trained with: the published protocol, of whose
    /// crops only the middle one is seen.
    pub sampling: fn(usize) -> Sampling,
}

/// Frames of a clip that a network of single frames looks at.
const SINGLE_FRAMES: usize = 8;

/// `windows` windows of `frames` frames, each the `stride`th picture after the one before.
fn strided(windows: usize, frames: usize, stride: usize) -> Sampling {
    Sampling { stride: Some(stride), ..Sampling::spread(windows, frames) }
}

pub(super) static FAMILIES: &[Family] = &[
    Family {
        model_type: "videomae",
        backbone: |keys| {
            let vit = VitConfig {
                tubelet_size: keys.or("tubelet_size", 2)?,
                ..keys.vit(Vit { frames: 16, epsilon: 1e-12, ..Vit::BASE })?
            };
            let use_mean_pooling = keys.or("use_mean_pooling", true)?;
            Ok(BackboneConfig::VideoMae(VideoMaeConfig { vit, use_mean_pooling }))
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
        // Kinetics-400: 5 × 3 views of 16 frames, every fourth.
        sampling: |frames| strided(5, frames, 4),
    },
    Family {
        model_type: "clip",
        backbone: |keys| clip(keys.part("vision_config")?, keys.or("projection_dim", 512)?),
        names: TOWERS,
        sampling: |_| Sampling::spread(1, SINGLE_FRAMES),
    },
    Family {
        model_type: "clip_vision_model",
        backbone: |keys| clip(keys, keys.or("projection_dim", 512)?),
        names: TOWERS,
        sampling: |_| Sampling::spread(1, SINGLE_FRAMES),
    },
    Family {
        model_type: "timesformer",
        backbone: |keys| {
            let attention: String = keys.or("attention_type", "divided_space_time".into())?;
            if attention != "divided_space_time" {
                let reason = format!("attention_type {attention} isn't supported, divided_space_time is");
                return Err(Error::custom(reason));
            }
            Ok(BackboneConfig::TimeSformer(keys.vit(Vit { frames: 8, epsilon: 1e-6, ..Vit::BASE })?))
        },
        names: &[
            ("timesformer.", "backbone."),
            ("classifier.", "head.classifier."),
            ("embeddings.", "backbone.embeddings."),
            ("encoder.layer.", "backbone.encoder.layer."),
            ("layernorm.", "backbone.layernorm."),
        ],
        // Kinetics: 1 × 3 views; 8 frames, every 32nd, or 16 of the larger network, every 16th, or 96, every fourth.
        sampling: |frames| strided(1, frames, if frames > 16 { 4 } else { 256 / frames.max(1) }),
    },
    Family {
        model_type: "vjepa2",
        backbone: |keys| {
            let ratio: f64 = keys.or("mlp_ratio", 4.0)?;
            let hidden_size: usize = keys.or("hidden_size", 1024)?;
            let vit = VitConfig {
                image_size: keys.or("crop_size", 256)?,
                num_frames: keys.or("frames_per_clip", 64)?,
                tubelet_size: keys.or("tubelet_size", 2)?,
                num_hidden_layers: keys.or("num_hidden_layers", 24)?,
                num_attention_heads: keys.or("num_attention_heads", 16)?,
                hidden_size,
                intermediate_size: (hidden_size as f64 * ratio) as usize,
                ..keys.vit(Vit { frames: 64, epsilon: 1e-6, ..Vit::BASE })?
            };
            let num_pooler_layers = keys.or("num_pooler_layers", 3)?;
            Ok(BackboneConfig::Vjepa2(Vjepa2Config { vit, num_pooler_layers }))
        },
        names: &[
            ("vjepa2.predictor.", ""),
            ("vjepa2.encoder.", "backbone."),
            ("pooler.", "backbone.pooled.pooler."),
            ("classifier.", "head.classifier."),
            ("encoder.", "backbone."),
        ],
        // Something-Something: 2 × 3 views, frames spread over the clip.
        sampling: |frames| Sampling::spread(2, frames),
    },
    Family {
        model_type: "siglip",
        backbone: |keys| {
            let vision = keys.part("vision_config")?;
            Ok(BackboneConfig::Siglip(vision.vit(Vit {
                frames: 1,
                epsilon: 1e-6,
                activation: Activation::GeluTanh,
                ..Vit::BASE
            })?))
        },
        names: TOWERS,
        sampling: |_| Sampling::spread(1, SINGLE_FRAMES),
    },
    Family {
        model_type: "vivit",
        backbone: |keys| {
            let [tubelet_size, patch_size, _]: [usize; 3] = keys.or("tubelet_size", [2, 16, 16])?;
            let vit =
                keys.vit(Vit { frames: 32, epsilon: 1e-6, activation: Activation::GeluTanh, ..Vit::BASE })?;
            Ok(BackboneConfig::Vivit(VitConfig { tubelet_size, patch_size, ..vit }))
        },
        names: &[
            ("vivit.pooler.", ""),
            ("vivit.", "backbone."),
            ("classifier.", "head.classifier."),
            ("embeddings.", "backbone.embeddings."),
            ("encoder.layer.", "backbone.encoder.layer."),
            ("layernorm.", "backbone.layernorm."),
        ],
        // Kinetics: 4 × 3 views of 32 frames, every second.
        sampling: |frames| strided(4, frames, 2),
    },
    Family {
        model_type: "xclip",
        backbone: |keys| {
            let (vision, activation) = (keys.part("vision_config")?, Activation::QuickGelu);
            let projection_dim = keys.or("projection_dim", 512)?;
            let width: usize = vision.or("mit_hidden_size", 512)?;
            if width != projection_dim {
                let reason = format!(
                    "mit_hidden_size is {width}, projection_dim {projection_dim}: they must be equal"
                );
                return Err(Error::custom(reason));
            }
            Ok(BackboneConfig::Xclip(XclipConfig {
                vit: vision.vit(Vit { frames: 8, epsilon: 1e-5, activation, patch: 32 })?,
                projection_dim,
                mit_intermediate_size: vision.or("mit_intermediate_size", 2048)?,
                mit_num_hidden_layers: vision.or("mit_num_hidden_layers", 1)?,
                mit_num_attention_heads: vision.or("mit_num_attention_heads", 8)?,
                prompt_layers: keys.or("prompt_layers", 2)?,
                prompt_num_attention_heads: keys.or("prompt_num_attention_heads", 8)?,
                prompt_hidden_act: keys.or("prompt_hidden_act", activation)?,
                text_layer_norm_eps: keys.part("text_config")?.or("layer_norm_eps", 1e-5)?,
            }))
        },
        names: &[
            // Whole numbers that count up.
            ("vision_model.embeddings.position_ids", ""),
            ("text_model.embeddings.position_ids", ""),
            ("vision_model.", "backbone."),
            ("visual_projection.", "backbone.visual_projection."),
            ("mit.", "backbone.mit."),
            ("prompts_visual_", "backbone.pooled.prompts_visual_"),
            ("prompts_generator.", "text.prompts_generator."),
            ("text_model.", "text."),
            ("text_projection.", "text.projection."),
            ("logit_", "text.logit_"),
        ],
        // Kinetics: frames all over the clip (4 × 3 views where all were counted).
        sampling: |frames| Sampling::spread(1, frames),
    },
];

/// Of networks of pictures and texts.
const TOWERS: &[(&str, &str)] = &[
    // Whole numbers that count up.
    ("vision_model.embeddings.position_ids", ""),
    ("text_model.embeddings.position_ids", ""),
    ("vision_model.", "backbone."),
    ("visual_projection.", "backbone.visual_projection."),
    ("text_model.", "text."),
    ("text_projection.", "text.projection."),
    ("logit_", "text.logit_"),
];

fn clip(vision: Keys, projection_dim: usize) -> Result<BackboneConfig> {
    let activation = Activation::QuickGelu;
    let vit = vision.vit(Vit { frames: 1, epsilon: 1e-5, activation, patch: 32 })?;
    Ok(BackboneConfig::Clip(ClipConfig { vit, projection_dim }))
}

/// What a family's networks are where `config.json` doesn't say.
#[derive(Clone, Copy)]
struct Vit {
    frames: usize,
    epsilon: f64,
    activation: Activation,
    patch: usize,
}

impl Vit {
    const BASE: Self = Self { frames: 1, epsilon: 1e-6, activation: Activation::Gelu, patch: 16 };
}

/// A `config.json`, or a part of it.
#[derive(Clone, Copy)]
pub(super) struct Keys<'a>(pub &'a Value);

impl<'a> Keys<'a> {
    /// What stands under `key`, or else what transformers takes where it is missing.
    fn or<T: DeserializeOwned>(self, key: &str, otherwise: T) -> Result<T> {
        match self.0.get(key) {
            None | Some(Value::Null) => Ok(otherwise),
            Some(value) => T::deserialize(value).map_err(|e| Error::custom(format!("{key}: {e}"))),
        }
    }

    fn part(self, key: &str) -> Result<Self> {
        let part = self.0.get(key).filter(|part| part.is_object());
        part.map(Keys).ok_or_else(|| Error::custom(format!("{key} is missing")))
    }

    fn vit(self, otherwise: Vit) -> Result<VitConfig> {
        Ok(VitConfig {
            features: Features::Pooled,
            image_size: self.or("image_size", 224)?,
            patch_size: self.or("patch_size", otherwise.patch)?,
            tubelet_size: 1,
            num_frames: self.or("num_frames", otherwise.frames)?,
            hidden_size: self.or("hidden_size", 768)?,
            num_hidden_layers: self.or("num_hidden_layers", 12)?,
            num_attention_heads: self.or("num_attention_heads", 12)?,
            intermediate_size: self.or("intermediate_size", 3072)?,
            hidden_act: self.or("hidden_act", otherwise.activation)?,
            layer_norm_eps: self.or("layer_norm_eps", otherwise.epsilon)?,
        })
    }
}

/// Why a folder of the family `model_type` can't be run.
pub(super) fn unknown(model_type: &str) -> String {
    let known: Vec<&str> = FAMILIES.iter().map(|family| family.model_type).collect();
    let what = match model_type {
        "bert" | "roberta" | "gpt2" | "llama" | "t5" | "distilbert" | "qwen2" | "mistral" => "a text model: ",
        "vit" | "resnet" | "convnext" | "swin" | "dinov2" | "beit" | "deit" => "an image model: ",
        "whisper" | "wav2vec2" => "a sound model: ",
        "siglip2" => "a SigLIP 2 of the NaFlex kind, whose frames have no fixed size: ",
        _ => "a model of a family that isn't supported: ",
    };
    format!("{what}{model_type}; supported are {}", known.join(", "))
}

/// The text tower of the network that a `config.json` of `model_type` describes.
#[cfg(feature = "words")]
pub(super) fn text(model_type: &str, keys: Keys) -> Result<Option<Text>> {
    let clip = matches!(model_type, "clip" | "xclip");
    if !clip && model_type != "siglip" {
        return Ok(None);
    }
    let text = keys.part("text_config")?;
    let number = |key, clip_otherwise, otherwise| text.or(key, if clip { clip_otherwise } else { otherwise });
    let hidden = number("hidden_size", 512, 768)?;
    let sizes = Sizes {
        hidden,
        heads: number("num_attention_heads", 8, 12)?,
        inner: number("intermediate_size", 2048, 3072)?,
        activation: text.or("hidden_act", if clip { Activation::QuickGelu } else { Activation::GeluTanh })?,
        epsilon: text.or("layer_norm_eps", if clip { 1e-5 } else { 1e-6 })?,
    };
    // OpenAI's folders say 2, which is no end mark.
    let end: u32 = text.or("eos_token_id", 2)?;
    let config = TextConfig {
        kind: if clip { TextKind::Clip { end: (end != 2).then_some(end) } } else { TextKind::Siglip },
        vocab_size: number("vocab_size", 49_408, 32_000)?,
        max_tokens: number("max_position_embeddings", 77, 64)?,
        layers: number("num_hidden_layers", 12, 12)?,
        sizes,
        projection_dim: if clip {
            keys.or("projection_dim", 512)?
        } else {
            text.or("projection_size", hidden)?
        },
    };
    Ok(Some(Text { config, pad: text.or("pad_token_id", 1)?, prompted: model_type == "xclip" }))
}
