//! A picture of the frames that a model saw, each with its time below.

mod font;

use image::{Rgb, RgbImage};

use crate::video::Frames;

/// Frames beside each other.
const COLUMNS: usize = 8;
/// Pixels between frames.
const GAP: usize = 4;
/// Pixels of the line of text below each frame.
const CAPTION: usize = font::HEIGHT + 2 * GAP;
const PAPER: Rgb<u8> = Rgb([24, 24, 24]);
const INK: Rgb<u8> = Rgb([235, 235, 235]);

/// All of `frames` in a grid, in order of time from left to right and from top to bottom; each
/// window begins a row of its own.
pub(crate) fn grid(frames: &Frames) -> RgbImage {
    let columns = frames.per_window.clamp(1, COLUMNS);
    let rows = frames.per_window.div_ceil(columns);
    // A time must fit below its frame, however small the frame is.
    let widest = frames.times.iter().map(|&t| font::width(&caption(t))).max().unwrap_or(0);
    let (cell_width, cell_height) = (frames.width.max(widest) + GAP, frames.height + CAPTION);
    let width = columns * cell_width + GAP;
    let height = frames.windows * rows * cell_height + GAP;
    let mut picture = RgbImage::from_pixel(width as u32, height as u32, PAPER);
    for (index, time) in frames.times.iter().enumerate() {
        let (window, place) = (index / frames.per_window, index % frames.per_window);
        let left = GAP + place % columns * cell_width;
        let top = GAP + (window * rows + place / columns) * cell_height;
        let len = frames.height * frames.width * 3;
        let pixels = &frames.pixels[index * len..][..len];
        for (y, line) in pixels.chunks_exact(frames.width * 3).enumerate() {
            for (x, rgb) in line.chunks_exact(3).enumerate() {
                picture.put_pixel((left + x) as u32, (top + y) as u32, Rgb([rgb[0], rgb[1], rgb[2]]));
            }
        }
        font::draw(&mut picture, &caption(*time), left, top + frames.height + GAP, INK);
    }
    picture
}

/// `1.23 s`, or `1:02:03.40` from a minute on.
fn caption(seconds: f64) -> String {
    let hundredths = (seconds.max(0.0) * 100.0).round() as u64;
    let (minutes, rest) = (hundredths / 6000, hundredths % 6000);
    let (whole, part) = (rest / 100, rest % 100);
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{whole}.{part:02} s"),
        (0, m) => format!("{m}:{whole:02}.{part:02}"),
        (h, m) => format!("{h}:{m:02}:{whole:02}.{part:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_well() {
        assert_eq!(caption(1.234), "1.23 s");
        assert_eq!(caption(59.999), "1:00.00");
        assert_eq!(caption(3723.4), "1:02:03.40");
    }

    #[test]
    fn every_frame_stands_in_its_place_with_its_time() {
        let (windows, per_window, height, width) = (2, 9, 30, 40);
        let count = windows * per_window;
        let frames = Frames {
            pixels: (0..count).flat_map(|i| vec![i as u8 * 10 + 30; height * width * 3]).collect(),
            natural: None,
            windows,
            per_window,
            height,
            width,
            times: (0..count).map(|i| i as f64).collect(),
            duration: count as f64,
            warnings: vec![],
            resizing: Default::default(),
        };
        let picture = grid(&frames);
        // Eight columns, so each window of nine takes two rows.
        let (w, h) = picture.dimensions();
        let cell = (w as usize - GAP) / 8;
        assert_eq!(h as usize, 4 * (height + CAPTION) + GAP);
        let shade = |column: usize, row: usize| {
            let (x, y) = (GAP + column * cell + width / 2, GAP + row * (height + CAPTION) + height / 2);
            picture.get_pixel(x as u32, y as u32).0[0]
        };
        assert_eq!([shade(0, 0), shade(7, 0), shade(0, 1), shade(0, 2)], [30, 100, 110, 120]);
        let below = |row: usize| {
            let top = GAP + row * (height + CAPTION) + height;
            let mut lines = (top..top + CAPTION).flat_map(|y| (0..cell).map(move |x| (x, y)));
            lines.any(|(x, y)| *picture.get_pixel(x as u32, y as u32) == INK)
        };
        assert!((0..4).all(below));
    }
}
