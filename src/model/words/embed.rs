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
}

impl Words {
    /// What the text tower in `files` makes of `described`: texts by several templates, averaged.
    ///
    /// # Errors
    /// Where the model has no text tower, its tokenizer is missing, or they don't belong together.
    pub fn embed(files: &ModelFiles, described: &[Description]) -> Result<Self> {
        let wrong = |reason: String| Error::model(&files.path, reason);
        let Some(Text { config, pad }) = files.text()? else {
            let reason = "it has no text tower: --labels needs a folder of CLIP or SigLIP";
            return Err(wrong(reason.into()));
        };
        let missing = |e: candle_core::Error| wrong(format!("its text tower doesn't fit: {}", in_words(&e)));
        let tower = Tower::load(&files.path, files.tensors(), &config, pad).map_err(missing)?;
        let (scale, bias) = tower.scale_and_bias(files.tensors()).map_err(missing)?;
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

struct Tower {
    tower: TextTower,
    tokenizer: tokenizers::Tokenizer,
    kind: TextKind,
    max_tokens: usize,
    pad: u32,
}

impl Tower {
    fn load(
        dir: &Path,
        tensors: &std::sync::Arc<Tensors>,
        config: &TextConfig,
        pad: u32,
    ) -> candle_core::Result<Self> {
        let file = dir.join("tokenizer.json");
        let mut tokenizer = tokenizers::Tokenizer::from_file(&file)
            .map_err(|e| candle_core::Error::Msg(format!("tokenizer.json: {e}")))?;
        // Texts are cut and filled here, as the model's family wants it.
        let pad = tokenizer.get_padding().map_or(pad, |padding| padding.pad_id);
        tokenizer.with_padding(None);
        let cut = tokenizers::TruncationParams { max_length: config.max_tokens, ..Default::default() };
        tokenizer.with_truncation(Some(cut)).map_err(candle_core::Error::wrap)?;
        let vb = tensors.var_builder(&Device::Cpu);
        let tower = TextTower::load(vb.pp("text"), config, Precision::F32)?;
        Ok(Self { tower, tokenizer, kind: config.kind, max_tokens: config.max_tokens, pad })
    }

    fn scale_and_bias(&self, tensors: &Tensors) -> candle_core::Result<(f64, f64)> {
        let number = |name: &str| -> candle_core::Result<f64> {
            Ok(f64::from(tensors.get(name, &Device::Cpu)?.flatten_all()?.to_vec1::<f32>()?[0]))
        };
        let bias = if self.kind == TextKind::Siglip { number("text.logit_bias")? } else { 0.0 };
        Ok((number("text.logit_scale")?.exp(), bias))
    }

    /// The tokens of `text`, marked and cut, and filled where the network wants that.
    fn tokens(&self, text: &str) -> candle_core::Result<Vec<u32>> {
        let encoding = self.tokenizer.encode(text, true);
        let encoding =
            encoding.map_err(|e| candle_core::Error::Msg(format!("\"{text}\" can't be read: {e}")))?;
        let mut ids = encoding.get_ids().to_vec();
        if self.kind == TextKind::Siglip {
            ids.resize(self.max_tokens, self.pad);
        }
        Ok(ids)
    }

    /// The direction of one label, the mean over its texts and the templates.
    fn describe(&self, described: &Description) -> candle_core::Result<Vec<f32>> {
        let templates: &[&str] = match self.kind {
            TextKind::Clip { .. } => &CLIP_TEMPLATES,
            TextKind::Siglip => &SIGLIP_TEMPLATES,
        };
        let texts = match &described.texts[..] {
            [] => std::slice::from_ref(&described.label),
            texts => texts,
        };
        let texts = texts.iter().flat_map(|text| templates.iter().map(|t| t.replace("{}", text)));
        let directions: Vec<Tensor> = texts
            .map(|text| direction(&self.tower.forward(&self.tokens(&text)?)?))
            .collect::<candle_core::Result<_>>()?;
        direction(&Tensor::stack(&directions, 0)?.mean(0)?)?.to_vec1::<f32>()
    }
}
