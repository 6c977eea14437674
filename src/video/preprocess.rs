//! How a decoded picture becomes network input: `preprocessor_config.json`.

use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::Frames;

/// Resize, crop and normalisation, in the field names of the transformers library.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Preprocess {
    /// Black bars around the clip's pictures are cut off first; a field of our own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut_bars: bool,
    /// The upright picture's short side is scaled to this length, in pixels.
    pub size: ShortestEdge,
    /// Then this square is cut from the middle, in pixels.
    pub crop_size: CropSize,
    /// `x = (rgb · rescale_factor − mean) / std`, by channel.
    pub rescale_factor: f64,
    /// Subtracted from red, green and blue between 0 and 1, …
    pub image_mean: [f64; 3],
    /// … which are then divided by this.
    pub image_std: [f64; 3],
}

/// What pictures are resized to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShortestEdge {
    /// Pixels of the shorter side.
    pub shortest_edge: usize,
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
            size: ShortestEdge { shortest_edge: size },
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
            size: ShortestEdge { shortest_edge: scale(self.size.shortest_edge) },
            crop_size: CropSize { height: size, width: scale(self.crop_size.width) },
            ..self.clone()
        }
    }

    /// Checks that the numbers are possible ones.
    pub fn check(&self) -> Result<(), String> {
        let (edge, crop) = (self.size.shortest_edge, self.crop_size);
        let sizes = [edge, crop.height, crop.width];
        if sizes.iter().any(|n| !(16..=4096).contains(n)) {
            return Err(format!("sizes must be between 16 and 4096 pixels, not {sizes:?}"));
        }
        if crop.height > edge || crop.width > edge {
            return Err(format!(
                "the crop of {}x{} is larger than the short side of {edge}",
                crop.width, crop.height
            ));
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
