//! How transformers prepares pictures: `video_preprocessor_config.json`, `preprocessor_config.json`, or a part of
//! `processor_config.json`.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::video::{CropSize, Preprocess, Resample, Size};
use crate::{Error, Result};

/// The files, in the order in which they count, and the part of each that is meant.
const FILES: [(&str, &[&str]); 3] = [
    ("video_preprocessor_config.json", &[]),
    ("preprocessor_config.json", &[]),
    ("processor_config.json", &["video_processor", "image_processor"]),
];

/// The keys that decide about numbers.
#[derive(Deserialize)]
struct Processor {
    #[serde(default = "yes")]
    do_resize: bool,
    #[serde(default = "yes")]
    do_center_crop: bool,
    #[serde(default = "yes")]
    do_rescale: bool,
    #[serde(default = "yes")]
    do_normalize: bool,
    /// ViViT: 1 is subtracted behind the scaling.
    #[serde(default)]
    offset: bool,
    #[serde(default = "byte")]
    rescale_factor: f64,
    size: Sides,
    crop_size: Option<Sides>,
    #[serde(default = "bilinear")]
    resample: Resample,
    image_mean: [f64; 3],
    image_std: [f64; 3],
    #[serde(default)]
    video_processor_type: String,
}

fn yes() -> bool {
    true
}

fn byte() -> f64 {
    1.0 / 255.0
}

fn bilinear() -> Resample {
    Resample::Bilinear
}

/// A number, a short side, or both sides.
#[derive(Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Sides {
    Bare(usize),
    Short { shortest_edge: usize },
    Both { height: usize, width: usize },
}

/// Preprocessing as the folder `dir` says, and the file that says it.
///
/// # Errors
/// They name the folder, the file and the key.
pub(super) fn read(dir: &Path) -> Result<(Preprocess, Vec<u8>)> {
    for (name, parts) in FILES {
        let Ok(bytes) = std::fs::read(dir.join(name)) else { continue };
        let wrong = |reason: String| Error::model(dir, format!("{name}: {reason}"));
        let json: Value = serde_json::from_slice(&bytes).map_err(|e| wrong(e.to_string()))?;
        let part = match parts {
            [] => Some(&json),
            parts => parts.iter().find_map(|part| json.get(part)),
        };
        let Some(part) = part else { continue };
        let processor: Processor = serde_json::from_value(part.clone()).map_err(|e| wrong(e.to_string()))?;
        let preprocess = processor.preprocess().map_err(wrong)?;
        preprocess.check().map_err(wrong)?;
        return Ok((preprocess, bytes));
    }
    let names = FILES.map(|(name, _)| name).join(", ");
    Err(Error::model(dir, format!("it doesn't say how pictures are prepared: none of {names} is in it")))
}

impl Processor {
    fn preprocess(self) -> Result<Preprocess, String> {
        if !self.do_resize || !self.do_rescale {
            return Err("a processor that doesn't resize and rescale isn't supported".into());
        }
        let (mut mean, std) =
            if self.do_normalize { (self.image_mean, self.image_std) } else { ([0.0; 3], [1.0; 3]) };
        if self.offset {
            mean = mean.map(|mean| mean + 1.0);
        }
        let mut size = match self.size {
            Sides::Bare(shortest_edge) | Sides::Short { shortest_edge } => {
                Size::ShortestEdge { shortest_edge }
            }
            Sides::Both { height, width } => Size::Exact { height, width },
        };
        let crop_size = match (self.crop_size.filter(|_| self.do_center_crop), size) {
            (Some(Sides::Both { height, width }), _) | (None, Size::Exact { height, width }) => {
                CropSize { height, width }
            }
            (Some(Sides::Bare(side) | Sides::Short { shortest_edge: side }), _)
            | (None, Size::ShortestEdge { shortest_edge: side }) => CropSize { height: side, width: side },
        };
        // V-JEPA 2's processor doesn't go by its size.
        if self.video_processor_type == "VJEPA2VideoProcessor" {
            size = Size::ShortestEdge { shortest_edge: crop_size.height * 256 / 224 };
        }
        Ok(Preprocess {
            cut_bars: false,
            size,
            resample: Some(self.resample),
            crop_size,
            rescale_factor: self.rescale_factor,
            image_mean: mean,
            image_std: std,
        })
    }
}
