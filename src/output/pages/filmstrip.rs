//! Frames of a clip side by side, as one small picture.

use base64::{Engine, engine::general_purpose::STANDARD};
use image::{RgbImage, codecs::jpeg::JpegEncoder, imageops};
use maud::{Markup, html};
use serde::{Deserialize, Serialize};

use crate::video::Frames;

/// A JPEG picture of some of the frames that a model saw, in order of time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Filmstrip {
    pub jpeg: Vec<u8>,
    /// In pixels.
    pub width: u32,
    pub height: u32,
    /// When each of the frames is shown, in seconds from the clip's first frame.
    pub times: Vec<f64>,
}

/// Pixels between two frames.
const GAP: u32 = 2;

impl Filmstrip {
    /// Up to `count` frames, spread evenly over those of `frames`, each scaled to `height` pixels.
    /// `None` where there is no frame.
    pub(crate) fn new(frames: &Frames, count: usize, height: u32) -> Option<Self> {
        let total = frames.windows * frames.per_window;
        let (w, h) = (frames.width as u32, frames.height as u32);
        let shown = count.min(total);
        if shown == 0 || w == 0 || h == 0 || height == 0 {
            return None;
        }
        let width = (w * height).div_ceil(h);
        let mut strip =
            RgbImage::from_pixel(shown as u32 * (width + GAP) - GAP, height, image::Rgb([128; 3]));
        let mut times = Vec::with_capacity(shown);
        for slot in 0..shown {
            // The middle of each of `shown` equal parts.
            let index = (2 * slot + 1) * total / (2 * shown);
            let pixels = &frames.pixels[index * frames.width * frames.height * 3..];
            let frame = RgbImage::from_raw(w, h, pixels[..frames.width * frames.height * 3].to_vec())?;
            let small = imageops::resize(&frame, width, height, imageops::FilterType::Triangle);
            imageops::replace(&mut strip, &small, i64::from(slot as u32 * (width + GAP)), 0);
            times.push(frames.times.get(index).copied().unwrap_or_default());
        }
        let mut jpeg = Vec::new();
        JpegEncoder::new_with_quality(&mut jpeg, 72).encode_image(&strip).ok()?;
        Some(Self { jpeg, width: strip.width(), height, times })
    }

    /// The picture inside the page itself. `alt` says what it shows.
    pub(crate) fn inline(&self, alt: &str) -> Markup {
        self.image(&data_url(&self.jpeg), alt)
    }

    /// The picture in the file `source` beside the page.
    pub(crate) fn image(&self, source: &str, alt: &str) -> Markup {
        let span = match (self.times.first(), self.times.last()) {
            (Some(first), Some(last)) if self.times.len() > 1 => format!("{first:.1} s to {last:.1} s"),
            _ => String::new(),
        };
        html! {
            img.strip src=(source) alt=(alt) title=(span) width=(self.width) height=(self.height) loading="lazy";
        }
    }
}

/// A JPEG file as the source of a picture inside the page.
pub(crate) fn data_url(jpeg: &[u8]) -> String {
    format!("data:image/jpeg;base64,{}", STANDARD.encode(jpeg))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(n: usize) -> Frames {
        Frames {
            pixels: (0..n).flat_map(|i| vec![(i * 20) as u8; 30 * 20 * 3]).collect(),
            windows: 1,
            per_window: n,
            height: 20,
            width: 30,
            times: (0..n).map(|i| i as f64).collect(),
            duration: n as f64,
            warnings: Vec::new(),
            resizing: Default::default(),
        }
    }

    #[test]
    fn frames_stand_side_by_side_in_order() {
        let strip = Filmstrip::new(&frames(12), 4, 40).unwrap();
        assert_eq!((strip.width, strip.height), (4 * 60 + 3 * 2, 40));
        assert_eq!(strip.times, [1.0, 4.0, 7.0, 10.0]);
        let picture = image::load_from_memory(&strip.jpeg).unwrap().to_rgb8();
        assert_eq!(picture.dimensions(), (strip.width, 40));
        for (slot, grey) in [20, 80, 140, 200].into_iter().enumerate() {
            let pixel = picture.get_pixel(slot as u32 * 62 + 30, 20);
            assert!(pixel.0.iter().all(|c| c.abs_diff(grey) < 6), "{pixel:?} for {grey}");
        }
    }

    #[test]
    fn few_or_no_frames() {
        assert_eq!(Filmstrip::new(&frames(2), 8, 40).unwrap().times, [0.0, 1.0]);
        assert_eq!(Filmstrip::new(&frames(0), 8, 40), None);
    }
}
