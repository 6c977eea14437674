//! A backbone, as `config.json` describes it.

use candle_core::{Result, bail};
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use super::clip::{Clip, ClipConfig};
use super::siglip::Siglip;
use super::timesformer::TimeSformer;
use super::videomae::{VideoMae, VideoMaeConfig};
use super::vivit::Vivit;
use super::vjepa2::{Vjepa2, Vjepa2Config};
use super::xclip::{Xclip, XclipConfig};
use super::{
    Backbone, EfficientNetLite, Features, I3d, LiteVariant, TrainOptions, TrainableEfficientNetLite,
};
use crate::networks::transformer::VitConfig;
use classify_kernels::Precision;

/// The CNN, by its published name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", deny_unknown_fields)]
pub enum BackboneConfig {
    /// Image network, one feature vector a frame.
    #[serde(rename = "efficientnet-lite0")]
    EfficientNetLite0(LiteConfig),
    /// The next larger one.
    #[serde(rename = "efficientnet-lite1")]
    EfficientNetLite1(LiteConfig),
    /// The one after that.
    #[serde(rename = "efficientnet-lite2")]
    EfficientNetLite2(LiteConfig),
    /// 3D network, one feature vector for every 8 frames.
    #[serde(rename = "i3d")]
    I3d {},
    /// Vision transformer on tubelets.
    #[serde(rename = "videomae")]
    VideoMae(VideoMaeConfig),
    /// Vision transformer on single frames, learned with texts.
    #[serde(rename = "clip")]
    Clip(ClipConfig),
    /// Vision transformer that looks over time and over space in turn.
    #[serde(rename = "timesformer")]
    TimeSformer(VitConfig),
    /// Vision transformer on tubelets with rotary positions.
    #[serde(rename = "vjepa2")]
    Vjepa2(Vjepa2Config),
    /// Vision transformer on single frames, learned with texts.
    #[serde(rename = "siglip")]
    Siglip(VitConfig),
    /// Vision transformer on tubelets with a class token.
    #[serde(rename = "vivit")]
    Vivit(VitConfig),
    /// Vision transformer on frames that exchange messages, learned with texts.
    #[serde(rename = "xclip")]
    Xclip(XclipConfig),
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

impl BackboneConfig {
    /// Builds the network on the weights that `vb` holds. Errors name the tensor that is missing
    /// or has the wrong shape.
    pub fn load(&self, vb: VarBuilder) -> Result<Box<dyn Backbone>> {
        self.load_in(vb, Precision::F32)
    }

    /// The same in another precision than `f32`, as far as the network has it.
    pub fn load_in(&self, vb: VarBuilder, precision: Precision) -> Result<Box<dyn Backbone>> {
        if let Some((variant, LiteConfig { temporal_shift })) = self.lite() {
            let network = EfficientNetLite::load_in(vb, variant, precision)?;
            return Ok(Box::new(network.with_temporal_shift(temporal_shift)));
        }
        Ok(match self {
            Self::VideoMae(config) => Box::new(VideoMae::load(vb, config, precision)?),
            Self::Clip(config) => Box::new(Clip::load(vb, config, precision)?),
            Self::TimeSformer(config) => Box::new(TimeSformer::load(vb, config, precision)?),
            Self::Vjepa2(config) => Box::new(Vjepa2::load(vb, config, precision)?),
            Self::Siglip(config) => Box::new(Siglip::load(vb, config, precision)?),
            Self::Vivit(config) => Box::new(Vivit::load(vb, config, precision)?),
            Self::Xclip(config) => Box::new(Xclip::load(vb, config, precision)?),
            _ => Box::new(I3d::load_in(vb, precision)?),
        })
    }

    /// The settings of a vision transformer.
    pub(crate) fn vit_mut(&mut self) -> Option<&mut VitConfig> {
        match self {
            Self::VideoMae(VideoMaeConfig { vit, .. })
            | Self::Clip(ClipConfig { vit, .. })
            | Self::Vjepa2(Vjepa2Config { vit, .. })
            | Self::Xclip(XclipConfig { vit, .. })
            | Self::TimeSformer(vit)
            | Self::Siglip(vit)
            | Self::Vivit(vit) => Some(vit),
            _ => None,
        }
    }

    /// The same network yielding a vector for each step of time, as heads that are trained here want it.
    pub fn with_steps(mut self) -> Self {
        if let Some(vit) = self.vit_mut() {
            vit.features = Features::Steps;
        }
        self
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
            _ if temporal_shift => bail!("temporal shift is for EfficientNet-Lite, not for {}", self.name()),
            _ => {}
        }
        Ok(())
    }

    fn lite(&self) -> Option<(LiteVariant, LiteConfig)> {
        match *self {
            Self::EfficientNetLite0(config) => Some((LiteVariant::Lite0, config)),
            Self::EfficientNetLite1(config) => Some((LiteVariant::Lite1, config)),
            Self::EfficientNetLite2(config) => Some((LiteVariant::Lite2, config)),
            _ => None,
        }
    }

    /// The name in `config.json`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::EfficientNetLite0(_) => "efficientnet-lite0",
            Self::EfficientNetLite1(_) => "efficientnet-lite1",
            Self::EfficientNetLite2(_) => "efficientnet-lite2",
            Self::I3d {} => "i3d",
            Self::VideoMae(_) => "videomae",
            Self::Clip(_) => "clip",
            Self::TimeSformer(_) => "timesformer",
            Self::Vjepa2(_) => "vjepa2",
            Self::Siglip(_) => "siglip",
            Self::Vivit(_) => "vivit",
            Self::Xclip(_) => "xclip",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
