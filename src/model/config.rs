//! `config.json`.

use std::collections::BTreeMap;

use candle_core::{Result, bail};
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use crate::networks::backbones::{
    Backbone, EfficientNetLite, I3d, LiteVariant, TrainOptions, TrainableEfficientNetLite,
};
use crate::networks::heads::{Head, LstmHead, MeanHead};
use crate::video::Sampling;
use classify_kernels::Precision;

/// What a model is made of, how it looks at a clip, and what its outputs mean.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelConfig {
    /// Always `classify`: tells our folders from those of other programs.
    pub model_type: String,
    pub backbone: BackboneConfig,
    pub head: HeadConfig,
    pub sampling: Sampling,
    /// Class name by output index (`"0": "archery"`).
    #[serde(with = "id2label")]
    pub id2label: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<Calibration>,
    /// SPDX expression of the weights' licence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence: Option<String>,
}

/// The CNN, by its published name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", deny_unknown_fields)]
pub enum BackboneConfig {
    /// Image network, one feature vector a frame.
    #[serde(rename = "efficientnet-lite0")]
    EfficientNetLite0(LiteConfig),
    #[serde(rename = "efficientnet-lite1")]
    EfficientNetLite1(LiteConfig),
    #[serde(rename = "efficientnet-lite2")]
    EfficientNetLite2(LiteConfig),
    /// 3D network, one feature vector for every 8 frames.
    #[serde(rename = "i3d")]
    I3d {},
}

/// How an EfficientNet-Lite looks at a window of frames.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LiteConfig {
    /// Some channels of each frame are exchanged with those of its neighbours before each residual
    /// block (temporal shift, Lin et al. 2019).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub temporal_shift: bool,
}

/// What turns features over time into logits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum HeadConfig {
    /// Stacked LSTM, its outputs averaged over time, then a linear layer.
    Lstm(LstmConfig),
    /// Features averaged over time, then a linear layer.
    Mean {
        /// Features are first averaged over this many neighbouring steps of a window.
        #[serde(default = "one")]
        pool: usize,
    },
}

/// The sizes of an LSTM head.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LstmConfig {
    pub hidden_size: usize,
    pub num_layers: usize,
    /// Share of values dropped in training: of each layer's input and of the classifier's.
    pub dropout: f64,
    /// The LSTM also reads the change of each feature since the step before (its input is `2·D` wide).
    #[serde(default)]
    pub delta: bool,
    /// The classifier also reads the features' mean over time beside the LSTM's, so that the LSTM
    /// has only to learn what the mean can't say.
    #[serde(default)]
    pub skip: bool,
}

impl LstmConfig {
    /// Length of an LSTM input step, for features of length `dim`.
    pub fn input_width(&self, dim: usize) -> usize {
        if self.delta { 2 * dim } else { dim }
    }

    /// Length of the classifier's input.
    pub fn pooled_width(&self, dim: usize) -> usize {
        if self.skip { self.hidden_size + dim } else { self.hidden_size }
    }
}

fn one() -> usize {
    1
}

/// Turns scores into probabilities that can be believed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Logits are divided by this before the softmax.
    pub temperature: f64,
    /// A clip whose top score is below this is answered 'not sure'.
    pub threshold: f64,
}

impl BackboneConfig {
    /// Builds the network on the weights that `vb` holds. Errors name the tensor that is missing
    /// or has the wrong shape.
    pub fn load(&self, vb: VarBuilder) -> Result<Box<dyn Backbone>> {
        self.load_in(vb, Precision::F32)
    }

    /// The same in another precision than `f32`, as far as the network has it.
    pub fn load_in(&self, vb: VarBuilder, precision: Precision) -> Result<Box<dyn Backbone>> {
        match self.lite() {
            Some((variant, LiteConfig { temporal_shift })) => {
                let network = EfficientNetLite::load_in(vb, variant, precision)?;
                Ok(Box::new(network.with_temporal_shift(temporal_shift)))
            }
            None => Ok(Box::new(I3d::load(vb)?)),
        }
    }

    /// Builds the network for training: gradients reach those tensors of `vb` that are variables,
    /// but for the first `frozen_blocks` blocks.
    pub fn load_trainable(&self, vb: VarBuilder, frozen_blocks: usize) -> Result<TrainableEfficientNetLite> {
        let Some((variant, LiteConfig { temporal_shift })) = self.lite() else {
            bail!("the CNN {} can't be fine-tuned here, only heads on it can be trained", self.name());
        };
        TrainableEfficientNetLite::new(vb, variant, TrainOptions { frozen_blocks, temporal_shift })
    }

    /// Whether frames see their neighbours.
    pub fn temporal_shift(&self) -> bool {
        self.lite().is_some_and(|(_, config)| config.temporal_shift)
    }

    /// Whether [`Self::load_trainable`] can build it.
    pub fn is_trainable(&self) -> bool {
        self.lite().is_some()
    }

    /// Lets frames see their neighbours, or not.
    ///
    /// # Errors
    /// Where it is asked of a network that looks at several frames anyway.
    pub fn set_temporal_shift(&mut self, temporal_shift: bool) -> Result<()> {
        match self {
            Self::EfficientNetLite0(config)
            | Self::EfficientNetLite1(config)
            | Self::EfficientNetLite2(config) => {
                config.temporal_shift = temporal_shift;
            }
            Self::I3d {} if temporal_shift => bail!("temporal shift is for image networks, not for i3d"),
            Self::I3d {} => {}
        }
        Ok(())
    }

    fn lite(&self) -> Option<(LiteVariant, LiteConfig)> {
        match *self {
            Self::EfficientNetLite0(config) => Some((LiteVariant::Lite0, config)),
            Self::EfficientNetLite1(config) => Some((LiteVariant::Lite1, config)),
            Self::EfficientNetLite2(config) => Some((LiteVariant::Lite2, config)),
            Self::I3d {} => None,
        }
    }

    /// The name in `config.json`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::EfficientNetLite0(_) => "efficientnet-lite0",
            Self::EfficientNetLite1(_) => "efficientnet-lite1",
            Self::EfficientNetLite2(_) => "efficientnet-lite2",
            Self::I3d {} => "i3d",
        }
    }
}

impl HeadConfig {
    /// Builds the head for features of length `dim` and `classes` classes.
    pub fn load(&self, dim: usize, classes: usize, vb: VarBuilder) -> Result<Head> {
        Ok(match *self {
            Self::Lstm(config) => Head::Lstm(LstmHead::load(dim, classes, config, vb)?),
            Self::Mean { pool } => Head::Mean(MeanHead::load(dim, classes, pool, vb)?),
        })
    }

    /// The name in `config.json`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Lstm(_) => "lstm",
            Self::Mean { .. } => "mean",
        }
    }
}

impl ModelConfig {
    /// Checks what the field types can't: that the numbers are possible ones.
    pub fn check(&self) -> Result<()> {
        if self.model_type != "classify" {
            bail!(
                "config.json has model_type \"{}\", not \"classify\": not a folder of this program",
                self.model_type
            );
        }
        let Sampling { windows, frames, fps, luma_lag } = self.sampling;
        if windows == 0 || frames == 0 || windows.saturating_mul(frames) > 100_000 {
            bail!("config.json: sampling of {windows} windows of {frames} frames is not possible");
        }
        if fps.is_some_and(|fps| !(fps > 0.0 && fps.is_finite())) {
            bail!("config.json: sampling fps must be above 0");
        }
        if luma_lag.is_some_and(|lag| !(lag > 0.0 && lag <= 10.0)) {
            bail!("config.json: sampling luma_lag must be above 0 and at most 10 seconds");
        }
        if let HeadConfig::Lstm(LstmConfig { hidden_size: 0, .. } | LstmConfig { num_layers: 0, .. })
        | HeadConfig::Mean { pool: 0 } = self.head
        {
            bail!("config.json: a head's sizes must be above 0");
        }
        if self.id2label.is_empty() {
            bail!("config.json: id2label is empty");
        }
        if let Some(Calibration { temperature, .. }) = self.calibration
            && !(temperature > 0.0 && temperature.is_finite())
        {
            bail!("config.json: calibration temperature must be above 0");
        }
        Ok(())
    }
}

/// `{"0": "a", "1": "b"}` on disk, `["a", "b"]` here.
mod id2label {
    use super::BTreeMap;
    use serde::{Deserialize, Deserializer, Serializer, de::Error, ser::SerializeMap};

    pub fn serialize<S: Serializer>(labels: &[String], serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(labels.len()))?;
        for (id, label) in labels.iter().enumerate() {
            map.serialize_entry(&id.to_string(), label)?;
        }
        map.end()
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
        let map = BTreeMap::<String, String>::deserialize(deserializer)?;
        let mut labels = vec![None; map.len()];
        for (id, label) in map {
            let slot = id.parse::<usize>().ok().and_then(|id| labels.get_mut(id));
            match slot {
                Some(slot @ None) => *slot = Some(label),
                _ => {
                    return Err(D::Error::custom(format!(
                        "id2label: \"{id}\" is out of order, ids go from 0 up without gaps"
                    )));
                }
            }
        }
        Ok(labels.into_iter().flatten().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(id2label: &str) -> serde_json::Result<ModelConfig> {
        serde_json::from_str(&format!(
            r#"{{"model_type":"classify","backbone":{{"type":"efficientnet-lite0"}},"head":{{"type":"mean"}},
                 "sampling":{{"frames":4}},"id2label":{id2label}}}"#
        ))
    }

    #[test]
    fn labels_keep_their_order_past_ten() {
        let labels: Vec<String> = (0..12).map(|i| format!("class {i}")).collect();
        let map: BTreeMap<String, &String> =
            labels.iter().enumerate().map(|(i, l)| (i.to_string(), l)).collect();
        let config = parse(&serde_json::to_string(&map).unwrap()).unwrap();
        assert_eq!(config.id2label, labels);
        let again: ModelConfig = serde_json::from_str(&serde_json::to_string(&config).unwrap()).unwrap();
        assert_eq!(again, config);
    }

    #[test]
    fn gaps_in_labels_are_refused() {
        let message = parse(r#"{"0":"a","2":"b"}"#).unwrap_err().to_string();
        assert!(message.contains("without gaps"), "{message}");
    }

    #[test]
    fn the_shift_is_off_where_the_file_says_nothing() {
        let read = |json: &str| serde_json::from_str::<BackboneConfig>(json);
        let off = read(r#"{"type":"efficientnet-lite0"}"#).unwrap();
        assert_eq!(off, BackboneConfig::EfficientNetLite0(LiteConfig::default()));
        assert_eq!(serde_json::to_string(&off).unwrap(), r#"{"type":"efficientnet-lite0"}"#);
        let on = r#"{"type":"efficientnet-lite1","temporal_shift":true}"#;
        assert_eq!(read(on).unwrap(), BackboneConfig::EfficientNetLite1(LiteConfig { temporal_shift: true }));
        assert_eq!(serde_json::to_string(&read(on).unwrap()).unwrap(), on);
        assert!(read(r#"{"type":"efficientnet-lite0","temporal_shfit":true}"#).is_err());
    }

    #[test]
    fn unknown_architecture_is_named() {
        let text = r#"{"model_type":"classify","backbone":{"type":"resnet"},"head":{"type":"mean"},"sampling":{"frames":4},"id2label":{"0":"a"}}"#;
        let message = serde_json::from_str::<ModelConfig>(text).unwrap_err().to_string();
        assert!(message.contains("resnet") && message.contains("efficientnet-lite0"), "{message}");
    }
}
