//! How a decoded picture becomes network input: `preprocessor_config.json`.

use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::Frames;
use super::resample::Resample;

/// Resize, crop and normalisation, in the field names of the transformers library.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Preprocess {
    /// Black bars around the clip's pictures are cut off first; a field of our own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut_bars: bool,
    /// What the upright picture is scaled to.
    pub size: Size,
    /// How, where that is to be as the transformers library does it: the whole picture is scaled, then cut. Without
    /// it the scaler that converts colours scales in the same step, and only what is kept: our own models' way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resample: Option<Resample>,
    /// Then this is cut from the middle, in pixels: the network's input.
    pub crop_size: CropSize,
    /// `x = (rgb · rescale_factor − mean) / std`, by channel.
    pub rescale_factor: f64,
    /// Subtracted from red, green and blue between 0 and 1, …
    pub image_mean: [f64; 3],
    /// … which are then divided by this.
    pub image_std: [f64; 3],
}

/// What pictures are resized to, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "size must be {\"shortest_edge\": N} or {\"height\": N, \"width\": N}, in whole pixels"
)]
pub enum Size {
    /// The shorter side becomes so long, and the picture keeps its shape.
    ShortestEdge {
        /// Pixels of the shorter side.
        shortest_edge: usize,
    },
    /// The picture is squashed to just this, whatever its shape.
    Exact {
        /// Pixels.
        height: usize,
        /// Pixels.
        width: usize,
    },
}

impl Size {
    /// How many pixels of a picture of `width` and `height` make one of the resized picture, across and down.
    pub(super) fn shares(self, width: f64, height: f64) -> (f64, f64) {
        match self {
            Self::ShortestEdge { shortest_edge } => {
                let share = width.min(height) / shortest_edge as f64;
                (share, share)
            }
            Self::Exact { height: rows, width: columns } => (width / columns as f64, height / rows as f64),
        }
    }

    /// Width and height that a picture of `width` and `height` is resized to. The longer side is rounded down, as in
    /// the transformers library (`get_resize_output_image_size`) and torchvision.
    pub(super) fn of(self, width: usize, height: usize) -> (usize, usize) {
        match self {
            Self::ShortestEdge { shortest_edge: edge } if width <= height => {
                (edge, edge * height / width.max(1))
            }
            Self::ShortestEdge { shortest_edge: edge } => (edge * width / height.max(1), edge),
            Self::Exact { height, width } => (width, height),
        }
    }

    fn map(self, scale: impl Fn(usize) -> usize) -> Self {
        match self {
            Self::ShortestEdge { shortest_edge } => {
                Self::ShortestEdge { shortest_edge: scale(shortest_edge) }
            }
            Self::Exact { height, width } => Self::Exact { height: scale(height), width: scale(width) },
        }
    }

    /// The least height and width that pictures have after resizing.
    fn least(self) -> (usize, usize) {
        match self {
            Self::ShortestEdge { shortest_edge } => (shortest_edge, shortest_edge),
            Self::Exact { height, width } => (height, width),
        }
    }
}

/// What is cut from the middle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CropSize {
    /// Pixels.
    pub height: usize,
    /// Pixels.
    pub width: usize,
}

impl Preprocess {
    /// Short side and square crop of `size` pixels, `(rgb − centre) / scale`.
    pub fn new(size: usize, centre: f64, scale: f64) -> Self {
        Self {
            cut_bars: false,
            size: Size::ShortestEdge { shortest_edge: size },
            resample: None,
            crop_size: CropSize { height: size, width: size },
            rescale_factor: 1.0 / 255.0,
            image_mean: [centre / 255.0; 3],
            image_std: [scale / 255.0; 3],
        }
    }

    /// The same preprocessing at another size, the share that the crop takes kept.
    pub fn with_size(&self, size: usize) -> Self {
        let scale = |n: usize| (n * size).div_ceil(self.crop_size.height.max(1));
        Self {
            size: self.size.map(scale),
            crop_size: CropSize { height: size, width: scale(self.crop_size.width) },
            ..self.clone()
        }
    }

    /// Checks that the numbers are possible ones.
    pub fn check(&self) -> Result<(), String> {
        let ((height, width), crop) = (self.size.least(), self.crop_size);
        let mut sizes = vec![height, width, crop.height, crop.width];
        sizes.dedup();
        if sizes.iter().any(|n| !(16..=4096).contains(n)) {
            return Err(format!("sizes must be between 16 and 4096 pixels, not {sizes:?}"));
        }
        if crop.height > height || crop.width > width {
            let what = match self.size {
                Size::ShortestEdge { shortest_edge } => format!("the short side of {shortest_edge}"),
                Size::Exact { .. } => format!("the size of {width}x{height}"),
            };
            return Err(format!("the crop of {}x{} is larger than {what}", crop.width, crop.height));
        }
        let numbers = self.image_mean.iter().chain(&self.image_std).chain([&self.rescale_factor]);
        if numbers.clone().any(|x| !x.is_finite()) || self.image_std.contains(&0.0) {
            return Err("image_mean, image_std and rescale_factor must be finite, image_std not 0".into());
        }
        Ok(())
    }

    /// Normalisation as `rgb · slope + shift`, by channel, `rgb` from 0 to 255.
    pub fn slope_and_shift(&self) -> ([f32; 3], [f32; 3]) {
        let slope = std::array::from_fn(|c| (self.rescale_factor / self.image_std[c]) as f32);
        (slope, std::array::from_fn(|c| (-self.image_mean[c] / self.image_std[c]) as f32))
    }

    /// One window of `frames` as network input: `f32 [T, H, W, 3]`.
    pub fn normalise(&self, frames: &Frames, window: usize, device: &Device) -> candle_core::Result<Tensor> {
        let (slope, shift) = self.slope_and_shift();
        let pixels = frames.window(window);
        let mut data = Vec::with_capacity(pixels.len());
        for rgb in pixels.chunks_exact(3) {
            data.extend([0, 1, 2].map(|c| f32::from(rgb[c]) * slope[c] + shift[c]));
        }
        Tensor::from_vec(data, (frames.per_window, frames.height, frames.width, 3), device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder's `preprocessor_config.json` with these fields before the usual ones.
    fn parse(fields: &str) -> serde_json::Result<Preprocess> {
        serde_json::from_str(&format!(
            r#"{{{fields},"crop_size":{{"height":224,"width":224}},
                "rescale_factor":1,"image_mean":[0,0,0],"image_std":[1,1,1]}}"#
        ))
    }

    #[test]
    fn sizes_are_the_short_side_or_both() {
        let short = parse(r#""size":{"shortest_edge":256}"#).unwrap();
        assert_eq!(short.size, Size::ShortestEdge { shortest_edge: 256 });
        assert_eq!((short.size.of(1920, 1080), short.size.of(171, 300)), ((455, 256), (256, 449)));
        assert_eq!(short.with_size(112).size, Size::ShortestEdge { shortest_edge: 128 });
        let exact = parse(r#""size":{"height":224,"width":256},"resample":3"#).unwrap();
        assert_eq!(exact.size, Size::Exact { height: 224, width: 256 });
        assert_eq!((exact.size.of(1920, 1080), exact.resample), ((256, 224), Some(Resample::Bicubic)));
        assert_eq!(exact.with_size(112).size, Size::Exact { height: 112, width: 128 });
        for preprocess in [short, exact] {
            assert_eq!(preprocess.check(), Ok(()));
            let text = serde_json::to_string(&preprocess).unwrap();
            assert_eq!(serde_json::from_str::<Preprocess>(&text).unwrap(), preprocess);
        }
    }

    #[test]
    fn what_can_not_be_is_refused() {
        let message = |fields: &str| match parse(fields) {
            Ok(preprocess) => preprocess.check().unwrap_err(),
            Err(error) => error.to_string(),
        };
        for (fields, said) in [
            (r#""size":{"width":224}"#, "shortest_edge"),
            (r#""size":{"shortest_edge":-1}"#, "whole pixels"),
            (r#""size":{"shortest_edge":223}"#, "larger than the short side of 223"),
            (r#""size":{"height":300,"width":223}"#, "larger than the size of 223x300"),
            (r#""size":{"height":300,"width":5000}"#, "between 16 and 4096"),
            (r#""size":{"shortest_edge":224},"resample":6"#, "resample must be"),
            (r#""size":{"shortest_edge":224},"resample":"bicubic""#, "resample"),
        ] {
            let message = message(fields);
            assert!(message.contains(said), "{message}");
        }
    }

    #[test]
    fn our_own_folders_stay_as_they_are() {
        for model in ["kinetics400-i3d", "ucf14-lite0-lstm", "imagenet-lite0"] {
            let path = format!("{}/models/{model}/preprocessor_config.json", env!("CARGO_MANIFEST_DIR"));
            let text = std::fs::read_to_string(path).unwrap();
            let preprocess: Preprocess = serde_json::from_str(&text).unwrap();
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(serde_json::to_value(&preprocess).unwrap(), value);
        }
    }
}
