//! `config.json`.

use std::collections::BTreeMap;

use candle_core::{Result, bail};
use serde::{Deserialize, Serialize};

use super::{KnowingConfig, Scoring};
use crate::networks::backbones::BackboneConfig;
use crate::networks::heads::{HeadConfig, LstmConfig};
use crate::video::Sampling;

/// What a model is made of, how it looks at a clip, and what its outputs mean.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelConfig {
    /// Always `classify`: tells our folders from those of other programs.
    pub model_type: String,
    /// The CNN.
    pub backbone: BackboneConfig,
    /// What reads its features over time.
    pub head: HeadConfig,
    /// Which frames of a clip are seen.
    pub sampling: Sampling,
    /// Class name by output index (`"0": "archery"`).
    #[serde(with = "id2label")]
    pub id2label: Vec<String>,
    /// What turns logits into scores.
    #[serde(default, skip_serializing_if = "Scoring::is_softmax")]
    pub scores: Scoring,
    /// The score from which on a clip shows a label, one a label, where each score stands for itself; none where that
    /// isn't known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub thresholds: Vec<f64>,
    /// What makes scores probabilities, where that was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<Calibration>,
    /// What a trained model knows its own labels' clips by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub knowing: Option<KnowingConfig>,
    /// SPDX expression of the weights' licence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence: Option<String>,
}

/// Turns scores into probabilities that can be believed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Logits are divided by this before the softmax.
    pub temperature: f64,
    /// A clip whose top score is below this is answered 'not sure'.
    pub threshold: f64,
    /// Where the first window alone gives a label this score or more, its answer stands and no other window is looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enough: Option<f64>,
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
        if let Err(reason) = self.sampling.check() {
            bail!("config.json: {reason}");
        }
        if let HeadConfig::Lstm(LstmConfig { hidden_size: 0, .. } | LstmConfig { num_layers: 0, .. })
        | HeadConfig::Mean { pool: 0 } = self.head
        {
            bail!("config.json: a head's sizes must be above 0");
        }
        if self.id2label.is_empty() {
            bail!("config.json: id2label is empty");
        }
        let thresholds = self.thresholds.len();
        if thresholds > 0 && (self.scores.is_softmax() || thresholds != self.id2label.len()) {
            bail!(
                "config.json: {thresholds} thresholds for {} labels with scores by {}: there is one a label, and only \
                 with scores by sigmoid",
                self.id2label.len(),
                if self.scores.is_softmax() { "softmax" } else { "sigmoid" }
            );
        }
        if self.thresholds.iter().any(|threshold| !(0.0..=1.0).contains(threshold)) {
            bail!("config.json: thresholds lie between 0 and 1");
        }
        if let Some(Calibration { temperature, .. }) = self.calibration
            && !(temperature > 0.0 && temperature.is_finite())
        {
            bail!("config.json: calibration temperature must be above 0");
        }
        self.knowing.map_or(Ok(()), |knowing| knowing.check())
    }

    /// Whether a clip may show several labels: those whose scores reach their thresholds.
    pub fn names_several(&self) -> bool {
        !self.thresholds.is_empty()
    }

    /// Whether an answer may be 'not sure'.
    pub fn can_doubt(&self) -> bool {
        self.calibration.is_some() || self.knowing.is_some()
    }
}

/// `{"0": "a", "1": "b"}` on disk, `["a", "b"]` here.
pub(super) mod id2label {
    use super::BTreeMap;
    use serde::{Deserialize, Deserializer, Serializer, de::Error, ser::SerializeMap};

    pub(in crate::model) fn serialize<S: Serializer>(
        labels: &[String],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(labels.len()))?;
        for (id, label) in labels.iter().enumerate() {
            map.serialize_entry(&id.to_string(), label)?;
        }
        map.end()
    }

    pub(in crate::model) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<String>, D::Error> {
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
    fn unknown_architecture_is_named() {
        let text = r#"{"model_type":"classify","backbone":{"type":"resnet"},"head":{"type":"mean"},"sampling":{"frames":4},"id2label":{"0":"a"}}"#;
        let message = serde_json::from_str::<ModelConfig>(text).unwrap_err().to_string();
        assert!(message.contains("resnet") && message.contains("efficientnet-lite0"), "{message}");
    }
}
