//! Text on a picture.

use font8x8::{BASIC_FONTS, LATIN_FONTS, UnicodeFonts};

/// Dots of a character's cell.
const CELL: usize = 8;
/// Dots of a line, and of the band above and below all lines together.
const LINE: usize = CELL + 2;
const EDGES: usize = 4;

/// Writes what is `said` in white on a dark band at the lower edge of `rgb`, `u8 [height, width, 3]`: beside each other,
/// or below each other where that would be too long. It is as large as a subtitle, or smaller where it would not fit.
pub(super) fn write(rgb: &mut [u8], width: usize, said: &[String]) {
    let height = rgb.len() / (width * 3);
    let letters = |text: &String| text.chars().count();
    // With a cell free on both sides.
    let fits = |text: &String| CELL * (letters(text) + 2) <= width;
    let mut lines = vec![said.join("   ")];
    if !fits(&lines[0]) {
        lines = said.to_vec();
    }
    let longest = lines.iter().map(letters).max().unwrap_or(0);
    let dot = (height / 180).clamp(1, (width / (CELL * (longest + 2))).max(1));
    // What has no room is left out.
    lines.truncate((height / dot).saturating_sub(EDGES) / LINE);
    if lines.is_empty() {
        return;
    }
    let top = height - (LINE * lines.len() + EDGES) * dot;
    for byte in &mut rgb[top * width * 3..] {
        *byte /= 4;
    }
    let left = CELL * dot;
    for (line, text) in lines.iter().enumerate() {
        for (place, letter) in text.chars().map(glyph).enumerate() {
            for (row, dots) in letter.iter().enumerate() {
                // The lowest bit is the leftmost dot.
                for column in (0..CELL).filter(|column| dots >> column & 1 == 1) {
                    let x = left + (place * CELL + column) * dot;
                    let y = top + (line * LINE + row + 3) * dot;
                    fill(rgb, width, (x, y), dot);
                }
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
            write(&mut rgb, width, &["PullUps  98 %".into()]);
            let white = rgb.iter().filter(|b| **b == 255).count();
            let dark = rgb.iter().filter(|b| **b == 50).count();
            assert_eq!((white > 0, dark > 0), (height > 14, height > 14), "{width}x{height}");
            assert!(rgb[..width * 3].iter().all(|b| *b == 200), "the upper edge stays");
        }
    }

    #[test]
    fn labels_that_are_too_long_for_one_line_stand_below_each_other() {
        let labels = |count: usize| vec!["BodyWeightSquats  98 %".to_string(); count];
        let (width, height) = (320, 240);
        let band = |said: &[String]| {
            let mut rgb = vec![200u8; width * height * 3];
            write(&mut rgb, width, said);
            let dark = |y: usize| rgb[y * width * 3] == 50;
            (0..height).filter(|y| dark(*y)).count()
        };
        assert_eq!([band(&labels(1)), band(&labels(2)), band(&labels(3))], [14, 24, 34]);
        assert_eq!(band(&["a".to_string(), "b".into()]), 14, "short ones stand beside each other");
        assert_eq!(band(&labels(99)), 234, "no more than the picture holds");
    }
}
