//! What a text tower makes of labels.

use std::path::Path;

use candle_core::{Device, Tensor};

use super::{Description, Words};
use crate::error::words as in_words;
use crate::model::{ModelFiles, Tensors};
use crate::networks::heads::direction;
use crate::networks::text::{TextConfig, TextKind, TextTower};
use crate::{Error, Result};
use classify_kernels::Precision;

/// What texts are made of a label: how the towers met texts in their training.
const CLIP_TEMPLATES: [&str; 3] = ["{}", "a photo of {}.", "a video of {}."];
const SIGLIP_TEMPLATES: [&str; 2] = ["{}", "this is a photo of {}."];

/// A model's text tower, as its folder describes it.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::model) struct Text {
    pub config: TextConfig,
    /// What fills up a text that must be full.
    pub pad: u32,
    /// Clips change texts before they are compared with them.
    pub prompted: bool,
}

impl Words {
    /// What the text tower in `files` makes of `described`: texts by several templates, averaged.
    ///
    /// # Errors
    /// Where the model has no text tower, its tokenizer is missing, or they don't belong together.
    pub fn embed(files: &ModelFiles, described: &[Description]) -> Result<Self> {
        let wrong = |reason: String| Error::model(&files.path, reason);
        let Some(Text { config, pad, prompted }) = files.text()? else {
            let reason = "it has no text tower: --labels needs a folder of CLIP, SigLIP or X-CLIP";
            return Err(wrong(reason.into()));
        };
        let missing = |e: candle_core::Error| wrong(format!("its text tower doesn't fit: {}", in_words(&e)));
        let tower = Tower::load(files, &config, pad, prompted).map_err(missing)?;
        let (scale, bias) = scale_and_bias(files.tensors()).map_err(missing)?;
        let vectors = described.iter().map(|one| tower.describe(one)).collect::<candle_core::Result<_>>();
        Ok(Self {
            labels: described.iter().map(|one| one.label.clone()).collect(),
            vectors: vectors.map_err(missing)?,
            scale,
            bias,
            alone: config.kind == TextKind::Siglip,
        })
    }
}

/// What turns texts into a network's tokens.
pub(in crate::model) struct Tokens {
    tokenizer: tokenizers::Tokenizer,
    most: usize,
    pad: u32,
}

impl Tokens {
    /// Of the `tokenizer.json` in `dir`, for texts of `most` tokens at most. `pad`: what fills up a text where the
    /// tokenizer has nothing of its own for that.
    pub(in crate::model) fn read(dir: &Path, most: usize, pad: Option<u32>) -> candle_core::Result<Self> {
        let wrong = |e: tokenizers::Error| candle_core::Error::Msg(format!("tokenizer.json: {e}"));
        let mut tokenizer = tokenizers::Tokenizer::from_file(dir.join("tokenizer.json")).map_err(wrong)?;
        // The name of the token is in a file of its own.
        let settings = std::fs::read(dir.join("tokenizer_config.json")).unwrap_or_default();
        let settings: serde_json::Value = serde_json::from_slice(&settings).unwrap_or_default();
        let name = match &settings["pad_token"] {
            serde_json::Value::Object(token) => token.get("content").and_then(|name| name.as_str()),
            token => token.as_str(),
        };
        let named = name.and_then(|name| tokenizer.token_to_id(name));
        let own = tokenizer.get_padding().map(|padding| padding.pad_id);
        let pad = named.or(own).or(pad).unwrap_or_default();
        // Texts are cut here, and filled where the network wants that.
        tokenizer.with_padding(None);
        let cut = tokenizers::TruncationParams { max_length: most, ..Default::default() };
        tokenizer.with_truncation(Some(cut)).map_err(wrong)?;
        Ok(Self { tokenizer, most, pad })
    }

    /// The tokens of `text`, with marks at its ends, cut.
    fn of(&self, text: &str) -> candle_core::Result<Vec<u32>> {
        let encoding = self.tokenizer.encode(text, true);
        let encoding =
            encoding.map_err(|e| candle_core::Error::Msg(format!("\"{text}\" can't be read: {e}")))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The same, filled up.
    pub(in crate::model) fn filled(&self, text: &str) -> candle_core::Result<Vec<u32>> {
        let mut ids = self.of(text)?;
        ids.resize(self.most, self.pad);
        Ok(ids)
    }
}

/// What the towers multiply cosines by, and add.
pub(in crate::model) fn scale_and_bias(tensors: &Tensors) -> candle_core::Result<(f64, f64)> {
    let number = |name: &str| -> candle_core::Result<f64> {
        Ok(f64::from(tensors.get(name, &Device::Cpu)?.flatten_all()?.get(0)?.to_scalar::<f32>()?))
    };
    let bias = "text.logit_bias";
    Ok((number("text.logit_scale")?.exp(), if tensors.contains(bias) { number(bias)? } else { 0.0 }))
}

struct Tower {
    tower: TextTower,
    tokens: Tokens,
    kind: TextKind,
    prompted: bool,
}

impl Tower {
    fn load(files: &ModelFiles, config: &TextConfig, pad: u32, prompted: bool) -> candle_core::Result<Self> {
        let vb = files.tensors().var_builder(&Device::Cpu);
        Ok(Self {
            tower: TextTower::load(vb.pp("text"), config, Precision::F32)?,
            tokens: Tokens::read(files.dir().unwrap_or(&files.path), config.max_tokens, Some(pad))?,
            kind: config.kind,
            prompted,
        })
    }

    fn read(&self, text: &str) -> candle_core::Result<Tensor> {
        let ids = match self.kind {
            TextKind::Clip { .. } => self.tokens.of(text)?,
            TextKind::Siglip => self.tokens.filled(text)?,
        };
        self.tower.forward(&ids)
    }

    /// The direction of one label, the mean over its texts and the templates; the mean of the vectors themselves where
    /// clips change them.
    fn describe(&self, described: &Description) -> candle_core::Result<Vec<f32>> {
        let templates: &[&str] = match self.kind {
            _ if self.prompted => &["{}"],
            TextKind::Clip { .. } => &CLIP_TEMPLATES,
            TextKind::Siglip => &SIGLIP_TEMPLATES,
        };
        let texts = match &described.texts[..] {
            [] => std::slice::from_ref(&described.label),
            texts => texts,
        };
        let texts = texts.iter().flat_map(|text| templates.iter().map(|t| t.replace("{}", text)));
        let vectors: Vec<Tensor> = texts.map(|text| self.read(&text)).collect::<candle_core::Result<_>>()?;
        let vectors = Tensor::stack(&vectors, 0)?;
        if self.prompted {
            return vectors.mean(0)?.to_vec1::<f32>();
        }
        direction(&direction(&vectors)?.mean(0)?)?.to_vec1::<f32>()
    }
}
