//! The few characters that a time needs, as dots.

use image::{Rgb, RgbImage};

/// Pixels a dot.
const SCALE: usize = 2;
/// Dots from one character to the next.
const ADVANCE: usize = 6;
/// Pixels of a line of text.
pub(super) const HEIGHT: usize = 7 * SCALE;

/// Pixels that `text` takes.
pub(super) fn width(text: &str) -> usize {
    text.chars().count() * ADVANCE * SCALE
}

/// Writes `text` with its upper left corner at (`left`, `top`); what lies outside is left out.
pub(super) fn draw(picture: &mut RgbImage, text: &str, left: usize, top: usize, ink: Rgb<u8>) {
    for (place, character) in text.chars().enumerate() {
        for (row, dots) in glyph(character).into_iter().enumerate() {
            for column in (0..5).filter(|column| dots >> (4 - column) & 1 == 1) {
                let (x, y) = (left + (place * ADVANCE + column) * SCALE, top + row * SCALE);
                for (dx, dy) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                    if let Some(pixel) = picture.get_pixel_mut_checked((x + dx) as u32, (y + dy) as u32) {
                        *pixel = ink;
                    }
                }
            }
        }
    }
}

/// Seven rows of five dots, from the top.
#[rustfmt::skip]
fn glyph(character: char) -> [u8; 7] {
    match character {
        '0' => [0b01110, 0b10001, 0b10011, 0b10101, 0b11001, 0b10001, 0b01110],
        '1' => [0b00100, 0b01100, 0b00100, 0b00100, 0b00100, 0b00100, 0b01110],
        '2' => [0b01110, 0b10001, 0b00001, 0b00110, 0b01000, 0b10000, 0b11111],
        '3' => [0b11110, 0b00001, 0b00001, 0b01110, 0b00001, 0b00001, 0b11110],
        '4' => [0b00010, 0b00110, 0b01010, 0b10010, 0b11111, 0b00010, 0b00010],
        '5' => [0b11111, 0b10000, 0b11110, 0b00001, 0b00001, 0b10001, 0b01110],
        '6' => [0b01110, 0b10000, 0b10000, 0b11110, 0b10001, 0b10001, 0b01110],
        '7' => [0b11111, 0b00001, 0b00010, 0b00100, 0b01000, 0b01000, 0b01000],
        '8' => [0b01110, 0b10001, 0b10001, 0b01110, 0b10001, 0b10001, 0b01110],
        '9' => [0b01110, 0b10001, 0b10001, 0b01111, 0b00001, 0b00001, 0b01110],
        '.' => [0b00000, 0b00000, 0b00000, 0b00000, 0b00000, 0b01100, 0b01100],
        ':' => [0b00000, 0b01100, 0b01100, 0b00000, 0b01100, 0b01100, 0b00000],
        's' => [0b00000, 0b00000, 0b01110, 0b10000, 0b01110, 0b00001, 0b11110],
        _ => [0; 7],
    }
}
