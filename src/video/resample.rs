//! Resizing of pictures as the transformers library does it, to the bit where it does it with Pillow.
//!
//! A filter as wide as the pixels that fall into one, first along the rows, then along the columns, in integers, with
//! whole numbers from 0 to 255 in between. Torchvision, the library's other way, differs by 1 of 255 here and there
//! (`tests/reference/resample.py` says so). FFmpeg's scaler and crates that go by columns first differ by more where
//! a filter overshoots.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

use super::Preprocess;

/// The filter of resizing; a number in `preprocessor_config.json`, that of Pillow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "serde_json::Value", into = "u8")]
pub enum Resample {
    /// 0: the nearest pixel.
    Nearest,
    /// 1
    Lanczos,
    /// 2
    Bilinear,
    /// 3
    Bicubic,
    /// 4: the mean of the pixels that fall into one.
    Box,
    /// 5
    Hamming,
}

impl From<Resample> for u8 {
    fn from(resample: Resample) -> Self {
        resample as Self
    }
}

impl TryFrom<serde_json::Value> for Resample {
    type Error = String;

    fn try_from(value: serde_json::Value) -> Result<Self, String> {
        Ok(match value.as_u64() {
            Some(0) => Self::Nearest,
            Some(1) => Self::Lanczos,
            Some(2) => Self::Bilinear,
            Some(3) => Self::Bicubic,
            Some(4) => Self::Box,
            Some(5) => Self::Hamming,
            _ => {
                return Err(format!(
                    "resample must be 0 (nearest), 1 (lanczos), 2 (bilinear), 3 (bicubic), 4 (box) or 5 (hamming), \
                     not {value}"
                ));
            }
        })
    }
}

impl Resample {
    /// How far the filter reaches to either side, in pixels of the smaller picture.
    fn reach(self) -> f64 {
        match self {
            Self::Nearest | Self::Box => 0.5,
            Self::Bilinear | Self::Hamming => 1.0,
            Self::Bicubic => 2.0,
            Self::Lanczos => 3.0,
        }
    }

    /// The filter at `x`, which lies within its reach.
    fn weight(self, x: f64) -> f64 {
        let sinc = |x: f64| if x == 0.0 { 1.0 } else { (PI * x).sin() / (PI * x) };
        let far = x.abs();
        match self {
            Self::Nearest | Self::Box => f64::from(u8::from(-0.5 < x && x <= 0.5)),
            Self::Bilinear => (1.0 - far).max(0.0),
            Self::Hamming if far < 1.0 => sinc(x) * (0.54 + 0.46 * (PI * x).cos()),
            Self::Lanczos if far < 3.0 => sinc(x) * sinc(x / 3.0),
            // Keys's cubic with a = -1/2.
            Self::Bicubic if far < 1.0 => (1.5 * far - 2.5) * far * far + 1.0,
            Self::Bicubic if far < 2.0 => ((2.5 - 0.5 * far) * far - 4.0) * far + 2.0,
            _ => 0.0,
        }
    }
}

/// Weights are whole numbers of so many bits behind the point.
const BITS: u32 = 22;

/// What a pixel of the resized picture is made of, along one side.
struct Taps {
    /// The first pixel.
    first: usize,
    /// One a pixel; they sum up to 1 as far as rounding lets them.
    weights: Vec<i32>,
}

/// For each of the middle `wanted` of the `resized` pixels that `have` pixels become.
fn taps(resample: Resample, wanted: usize, resized: usize, have: usize) -> Vec<Taps> {
    let scale = have as f64 / resized as f64;
    let wide = scale.max(1.0);
    // Rounded down, as the library's centre crop is.
    let start = resized.saturating_sub(wanted) / 2;
    if resample == Resample::Nearest {
        // One step after the other, with what rounding makes of them, as Pillow walks.
        let centres = std::iter::successors(Some(0.5 * scale), |centre| Some(centre + scale));
        let of = |centre| Taps { first: (centre as usize).min(have - 1), weights: vec![1 << BITS] };
        return centres.skip(start).take(wanted).map(of).collect();
    }
    let of = |pixel: usize| {
        let centre = (pixel as f64 + 0.5) * scale;
        let reach = resample.reach() * wide;
        let first = ((centre - reach + 0.5).max(0.0) as usize).min(have);
        let end = ((centre + reach + 0.5) as usize).min(have);
        let weight = |x: usize| resample.weight((x as f64 - centre + 0.5) / wide);
        let weights: Vec<f64> = (first..end).map(weight).collect();
        let sum: f64 = weights.iter().sum();
        let whole = |weight: f64| (weight / sum * f64::from(1 << BITS)).round() as i32;
        Taps { first, weights: weights.into_iter().map(whole).collect() }
    };
    (start..start + wanted).map(of).collect()
}

/// Resizes pictures of `N` channels; keeps its memory from one to the next.
#[derive(Default)]
pub(super) struct Resampler {
    /// As wide as the resized picture's middle, as high as the whole one: the rows that are needed.
    narrow: Vec<u8>,
    sums: Vec<i32>,
}

impl Resampler {
    /// Resizes `picture` to the size of `preprocess` and cuts out the middle.
    ///
    /// `picture`: `u8 [height, width, 3]`; `shown`: its width and height in square pixels; `middle`:
    /// `u8 [crop height, crop width, 3]`.
    pub(super) fn run(
        &mut self,
        preprocess: &Preprocess,
        resample: Resample,
        picture: &[u8],
        [width, height]: [usize; 2],
        shown: [usize; 2],
        middle: &mut [u8],
    ) {
        let crop = preprocess.crop_size;
        let whole = preprocess.size.of(shown[0], shown[1]);
        let across = taps(resample, crop.width, whole.0, width);
        let down = taps(resample, crop.height, whole.1, height);
        let first = down.iter().map(|taps| taps.first).min().unwrap_or(0);
        let end = down.iter().map(|taps| taps.first + taps.weights.len()).max().unwrap_or(0);

        let row = crop.width * 3;
        self.narrow.resize((end - first) * row, 0);
        let rows = picture[first * width * 3..end * width * 3].chunks_exact(width * 3);
        for (row, narrow) in rows.zip(self.narrow.chunks_exact_mut(row)) {
            let pixels = row.as_chunks::<3>().0;
            for (taps, pixel) in across.iter().zip(narrow.as_chunks_mut::<3>().0) {
                let mut sums = [HALF; 3];
                for (rgb, weight) in pixels[taps.first..].iter().zip(&taps.weights) {
                    for (sum, value) in sums.iter_mut().zip(rgb) {
                        *sum += i32::from(*value) * weight;
                    }
                }
                *pixel = sums.map(to_byte);
            }
        }
        for (taps, out) in down.iter().zip(middle.chunks_exact_mut(row)) {
            self.sums.clear();
            self.sums.resize(row, HALF);
            let rows = self.narrow[(taps.first - first) * row..].chunks_exact(row);
            for (narrow, weight) in rows.zip(&taps.weights) {
                for (sum, value) in self.sums.iter_mut().zip(narrow) {
                    *sum += i32::from(*value) * weight;
                }
            }
            for (byte, sum) in out.iter_mut().zip(&self.sums) {
                *byte = to_byte(*sum);
            }
        }
    }
}

/// Half of 1: sums begin with it, so that cutting off their bits rounds them.
const HALF: i32 = 1 << (BITS - 1);

fn to_byte(sum: i32) -> u8 {
    (sum >> BITS).clamp(0, 255) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::video::{CropSize, Size};
    use safetensors::SafeTensors;

    /// `picture`, `u8 [height, width, 3]` of the size `[width, height]`, by `size` and cut to `crop`.
    fn run(resample: Resample, picture: &[u8], [w, h]: [usize; 2], size: Size, crop: [usize; 2]) -> Vec<u8> {
        let crop_size = CropSize { width: crop[0], height: crop[1] };
        let preprocess = Preprocess { size, crop_size, ..Preprocess::new(16, 0.0, 1.0) };
        let mut out = vec![0; crop[0] * crop[1] * 3];
        Resampler::default().run(&preprocess, resample, picture, [w, h], [w, h], &mut out);
        out
    }

    /// `u8 [height, width, 3]`, width and height.
    type Picture = (Vec<u8>, [usize; 2]);

    /// Each recorded answer: its name, the picture and its size, the answer and its size.
    fn recorded() -> Vec<(String, Picture, Picture)> {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reference/resample.safetensors");
        let bytes = std::fs::read(path).unwrap();
        let all = SafeTensors::deserialize(&bytes).unwrap();
        let get = |name: &str| {
            let tensor = all.tensor(name).unwrap();
            (tensor.data().to_vec(), [tensor.shape()[1], tensor.shape()[0]])
        };
        let names = all.names().into_iter().filter(|name| !name.ends_with(".picture"));
        names
            .map(|name| {
                let picture = format!("{}.picture", name.split('.').next().unwrap());
                (name.to_owned(), get(&picture), get(name))
            })
            .collect()
    }

    #[test]
    fn every_filter_equals_pillow() {
        let mut filters = 0;
        for (name, (picture, size), (expected, target)) in recorded() {
            let Ok(number) = name.split('.').next_back().unwrap().parse::<u8>() else { continue };
            let resample = Resample::try_from(serde_json::json!(number)).unwrap();
            let exact = Size::Exact { width: target[0], height: target[1] };
            let got = run(resample, &picture, size, exact, target);
            assert_eq!(got, expected, "{name}");
            filters += 1;
            // The middle alone is the whole one's middle.
            let crop = [target[0] - 5, target[1] - 4];
            let rows = expected.chunks(target[0] * 3).skip(2).take(crop[1]);
            let middle: Vec<u8> = rows.flat_map(|row| &row[2 * 3..][..crop[0] * 3]).copied().collect();
            assert_eq!(run(resample, &picture, size, exact, crop), middle, "{name}");
        }
        assert_eq!(filters, 18);
    }

    #[test]
    fn sizes_and_cuts_equal_those_of_the_transformers_library() {
        let mut processors = 0;
        for (name, (picture, size), (expected, crop)) in recorded() {
            let (resample, target) = match name.split('.').next_back().unwrap() {
                "videomae" => (Resample::Bilinear, Size::ShortestEdge { shortest_edge: 18 }),
                "clip" => (Resample::Bicubic, Size::ShortestEdge { shortest_edge: 16 }),
                "siglip" => (Resample::Bicubic, Size::Exact { height: 16, width: 16 }),
                _ => continue,
            };
            assert_eq!(run(resample, &picture, size, target, crop), expected, "{name}");
            processors += 1;
        }
        assert_eq!(processors, 9);
    }

    #[test]
    fn any_size_comes_out() {
        for size in [[1, 1], [1, 3000], [3000, 1], [2, 3]] {
            let picture = vec![200; size[0] * size[1] * 3];
            for number in 0..6 {
                let resample = Resample::try_from(serde_json::json!(number)).unwrap();
                for target in
                    [Size::ShortestEdge { shortest_edge: 16 }, Size::Exact { height: 40, width: 16 }]
                {
                    let out = run(resample, &picture, size, target, [16, 16]);
                    assert!(out.iter().all(|byte| *byte == 200), "{size:?} {resample:?}");
                }
            }
        }
    }
}
