//! Frames of a clip side by side, as one small picture.

use std::path::Path;

use base64::{Engine, engine::general_purpose::STANDARD};
use image::{RgbImage, codecs::jpeg::JpegEncoder, imageops};
use maud::{Markup, PreEscaped, html};
use serde::{Deserialize, Serialize};

use crate::video::Frames;

/// A JPEG picture of some of the frames that a model saw, in order of time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Filmstrip {
    pub jpeg: Vec<u8>,
    /// Of the picture, in pixels.
    pub width: u32,
    /// Of one row, in pixels.
    pub height: u32,
    /// When each of the frames is shown, in seconds from the clip's first frame.
    pub times: Vec<f64>,
    /// Whether there is a second row: the frames in natural colours, and below them as the network saw them.
    #[serde(default)]
    pub both: bool,
}

/// Pixels between two frames, and between two rows.
const GAP: u32 = 2;
/// Frames of a strip on a page of many, and their height in pixels.
const SMALL: (usize, u32) = (6, 90);

impl Filmstrip {
    /// Of the size that fits on a page of many; `None` where there is no frame.
    pub(crate) fn small(frames: &Frames) -> Option<Self> {
        Self::new(frames, SMALL.0, SMALL.1)
    }

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
        let rows: Vec<&[u8]> = frames.natural.as_deref().into_iter().chain([&frames.pixels[..]]).collect();
        let size = [shown, rows.len()].map(|n| n as u32);
        let mut strip = RgbImage::from_pixel(
            size[0] * (width + GAP) - GAP,
            size[1] * (height + GAP) - GAP,
            image::Rgb([128; 3]),
        );
        // The middle of each of `shown` equal parts.
        let indices = (0..shown).map(|slot| (2 * slot + 1) * total / (2 * shown));
        for (row, pixels) in rows.iter().enumerate() {
            for (slot, index) in indices.clone().enumerate() {
                let len = frames.width * frames.height * 3;
                let frame = RgbImage::from_raw(w, h, pixels[index * len..][..len].to_vec())?;
                let small = imageops::resize(&frame, width, height, imageops::FilterType::Triangle);
                let [x, y] = [slot as u32 * (width + GAP), row as u32 * (height + GAP)];
                imageops::replace(&mut strip, &small, x.into(), y.into());
            }
        }
        let times = indices.map(|index| frames.times.get(index).copied().unwrap_or_default()).collect();
        let mut jpeg = Vec::new();
        JpegEncoder::new_with_quality(&mut jpeg, 72).encode_image(&strip).ok()?;
        Some(Self { jpeg, width: strip.width(), height, times, both: rows.len() > 1 })
    }

    /// The picture inside the page itself. `alt` says what it shows.
    pub(crate) fn inline(&self, alt: &str) -> Markup {
        let title = match (self.times.first(), self.times.last()) {
            (Some(first), Some(last)) if self.times.len() > 1 => format!("{first:.1} s to {last:.1} s"),
            _ => String::new(),
        };
        let source = data_url(&self.jpeg);
        Picture { source, width: self.width, height: self.height, both: self.both }.html(alt, &title)
    }
}

/// A filmstrip as a page shows it.
pub(crate) struct Picture {
    /// Its address.
    source: String,
    width: u32,
    /// Of one row.
    height: u32,
    both: bool,
}

impl Picture {
    /// The [`Filmstrip::small`] in the file `path`, put into the page or, where `address` is given, left beside it.
    pub(crate) fn of_file(path: &Path, address: Option<String>) -> Option<Self> {
        let (width, height) = image::image_dimensions(path).ok()?;
        let inline = || std::fs::read(path).ok().map(|jpeg| data_url(&jpeg));
        let source = address.or_else(inline)?;
        Some(Self { source, width, height: height.min(SMALL.1), both: height > SMALL.1 })
    }

    /// A picture of two rows shows one, and the other as long as the box is ticked that it is the label of.
    pub(crate) fn html(&self, alt: &str, title: &str) -> Markup {
        let Self { source, width, height, both } = self;
        let shape = both.then(|| format!("aspect-ratio:{width}/{height}"));
        let picture = html! {
            img.strip src=(source) alt=(alt) title=(title) width=(width) height=(height) style=[shape] loading="lazy";
        };
        html! {
            @if *both {
                label.look {
                    input type="checkbox" aria-label={ "What the network saw: " (alt) };
                    (picture)
                    span {}
                }
            } @else {
                (picture)
            }
        }
    }

    /// Whether it has the frames in natural colours, too.
    pub(crate) fn shows_both(&self) -> bool {
        self.both
    }
}

/// How to read filmstrips of two rows, for a page that has some; lets a key turn all of them.
pub(crate) fn how_to_look() -> Markup {
    html! {
        p.note.looks {
            "Frames in natural colours. The network saw the brightness at three moments instead of red, green and blue: \
             click a strip, or press " kbd { "S" } " for all of them, and it shows that."
        }
        script { (PreEscaped(include_str!("filmstrip.js"))) }
    }
}

/// A JPEG file as the source of a picture inside the page.
fn data_url(jpeg: &[u8]) -> String {
    format!("data:image/jpeg;base64,{}", STANDARD.encode(jpeg))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(n: usize) -> Frames {
        Frames {
            pixels: (0..n).flat_map(|i| vec![(i * 20) as u8; 30 * 20 * 3]).collect(),
            natural: None,
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
    fn natural_colours_stand_above_what_the_network_saw() {
        let plain = Filmstrip::small(&frames(12)).unwrap();
        let natural = Some([255, 0, 0].repeat(12 * 30 * 20));
        let strip = Filmstrip::small(&Frames { natural, ..frames(12) }).unwrap();
        assert_eq!((plain.both, strip.both, strip.height), (false, true, 90));
        let dir = tempfile::tempdir().unwrap();
        let page = |strip: &Filmstrip| {
            let path = dir.path().join("strip.jpg");
            std::fs::write(&path, &strip.jpeg).unwrap();
            let picture = Picture::of_file(&path, None).unwrap();
            let text = picture.html("frames", "").into_string();
            assert_eq!(picture.shows_both(), strip.both);
            assert!(strip.inline("frames").into_string().contains(&text[..40]));
            text
        };
        assert!(page(&strip).contains("checkbox") && !page(&plain).contains("checkbox"));
        let picture = image::load_from_memory(&strip.jpeg).unwrap().to_rgb8();
        assert_eq!(picture.dimensions(), (plain.width, 2 * 90 + GAP));
        let [above, below] = [40, 90 + GAP + 40].map(|y| picture.get_pixel(60, y).0);
        assert!(above[0] > 240 && above[1] < 20, "{above:?}");
        assert!(below[0].abs_diff(below[1]) < 6, "{below:?}");
    }

    #[test]
    fn few_or_no_frames() {
        assert_eq!(Filmstrip::new(&frames(2), 8, 40).unwrap().times, [0.0, 1.0]);
        assert_eq!(Filmstrip::new(&frames(0), 8, 40), None);
    }
}
