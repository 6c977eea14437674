//! A line of text on a picture.

use font8x8::{BASIC_FONTS, LATIN_FONTS, UnicodeFonts};

/// Dots of a character's cell.
const CELL: usize = 8;

/// Writes `text` in white on a dark band at the lower edge of `rgb`, `u8 [height, width, 3]`. It is as
/// large as a subtitle, or smaller where it would not fit.
pub(super) fn write(rgb: &mut [u8], width: usize, text: &str) {
    let height = rgb.len() / (width * 3);
    let letters: Vec<[u8; 8]> = text.chars().map(glyph).collect();
    let fits = width / (CELL * (letters.len() + 2)).max(1);
    let dot = (height / 180).clamp(1, fits.max(1));
    let band = (CELL + 6) * dot;
    let Some(top) = height.checked_sub(band) else { return };
    for byte in &mut rgb[top * width * 3..] {
        *byte /= 4;
    }
    let left = CELL * dot;
    for (place, letter) in letters.iter().enumerate() {
        for (row, dots) in letter.iter().enumerate() {
            // The lowest bit is the leftmost dot.
            for column in (0..CELL).filter(|column| dots >> column & 1 == 1) {
                let (x, y) = (left + (place * CELL + column) * dot, top + (row + 3) * dot);
                fill(rgb, width, (x, y), dot);
            }
        }
    }
}

fn fill(rgb: &mut [u8], width: usize, (x, y): (usize, usize), dot: usize) {
    if x + dot > width {
        return;
    }
    for line in y..y + dot {
        let start = (line * width + x) * 3;
        if let Some(pixels) = rgb.get_mut(start..start + dot * 3) {
            pixels.fill(255);
        }
    }
}

/// A box for what the font doesn't have.
fn glyph(character: char) -> [u8; 8] {
    let found = BASIC_FONTS.get(character).or_else(|| LATIN_FONTS.get(character));
    found.unwrap_or([0, 0x7e, 0x42, 0x42, 0x42, 0x42, 0x7e, 0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_white_on_a_dark_band_inside_the_picture() {
        for (width, height) in [(320, 240), (1920, 1080), (40, 30), (4, 4)] {
            let mut rgb = vec![200u8; width * height * 3];
            write(&mut rgb, width, "PullUps  98 %");
            let white = rgb.iter().filter(|b| **b == 255).count();
            let dark = rgb.iter().filter(|b| **b == 50).count();
            assert_eq!((white > 0, dark > 0), (height > 14, height > 14), "{width}x{height}");
            assert!(rgb[..width * 3].iter().all(|b| *b == 200), "the upper edge stays");
        }
    }
}
