//! High dynamic range and wide gamut as SDR screens show them.
//!
//! docs/colours.md tells the choices and what was measured.

use std::array;
use std::sync::LazyLock;

use ffmpeg_next::ffi;

use super::coding::{Coding, Primaries, Transfer};

/// Luminance of SDR's white on an HDR screen, in cd/m² (ITU-R BT.2408).
const WHITE: f32 = 203.0;
/// The brightest that differs from white, in cd/m²: HLG's nominal peak (ITU-R BT.2100), and that of most screens on
/// which PQ is graded. What a clip says of its own peak is not asked: often it is missing or wrong.
const PEAK: f32 = 1000.0;
/// Up to this share of white, HDR is shown as SDR would be.
const KNEE: f32 = 0.75;
/// The exponent of SDR screens (ITU-R BT.1886).
const GAMMA: f32 = 2.4;

/// What [`Tone::apply`] takes: of 12 bits, whose steps of PQ no eye tells apart (ITU-R BT.2100).
pub(super) const FORMAT: ffi::AVPixelFormat = ffi::AV_PIX_FMT_GBRP12;
const STEPS: usize = 1 << 12;
/// Pixels at a time, which rows are padded to, so that arithmetic comes in vectors between the look-ups.
pub(super) const BLOCK: usize = 64;

/// Red, green and blue of a block's pixels.
type Block = [[f32; BLOCK]; 3];

/// Turns RGB of one [`Coding`] into that of SDR screens, BT.709.
///
/// Light is in units of [`WHITE`]. Where the brightest of red, green and blue is beyond [`KNEE`], all three are dimmed
/// by the same factor, so that hues stay; what lies outside of BT.709's gamut is clipped.
pub(super) struct Tone {
    transfer: Transfer,
    primaries: Primaries,
    curves: &'static Curves,
    /// From light of the picture's primaries to light of BT.709's.
    gamut: [[f32; 3]; 3],
}

/// Tables, as powers are slow.
struct Curves {
    /// Light by code; of HLG, that of the scene, whose brightest is 1.
    light: [f32; STEPS],
    /// HLG: by what a screen multiplies the scene's colours, by the [`place`] of its luminance.
    screen: Option<[f32; PLACES]>,
    /// SDR code by the place of light.
    code: [u8; PLACES],
}

impl Tone {
    /// `None` where there is nothing to do.
    pub(super) fn new(coding: Coding) -> Option<Self> {
        static PQ: LazyLock<Curves> = LazyLock::new(|| Curves::new(Transfer::Pq));
        static HLG: LazyLock<Curves> = LazyLock::new(|| Curves::new(Transfer::Hlg));
        static SDR: LazyLock<Curves> = LazyLock::new(|| Curves::new(Transfer::Sdr));
        if coding.is_plain() {
            return None;
        }
        let Coding { transfer, primaries, .. } = coding;
        let curves = match transfer {
            Transfer::Pq => &*PQ,
            Transfer::Hlg => &*HLG,
            Transfer::Sdr => &*SDR,
        };
        Some(Self { transfer, primaries, curves, gamut: gamut(primaries) })
    }

    pub(super) fn suits(&self, coding: Coding) -> bool {
        (self.transfer, self.primaries) == (coding.transfer, coding.primaries)
    }

    /// `codes`: red, green and blue as in [`FORMAT`], in whole [`BLOCK`]s; `shown`: the same of 8 bits, as long.
    pub(super) fn apply(&self, codes: [&[u16]; 3], shown: [&mut [u8]; 3]) {
        let [red, green, blue] = codes.map(|plane| plane.as_chunks().0);
        let [to_red, to_green, to_blue] = shown.map(|plane| plane.as_chunks_mut().0);
        let codes = red.iter().zip(green).zip(blue);
        for (((r, g), b), ((to_r, to_g), to_b)) in codes.zip(to_red.iter_mut().zip(to_green).zip(to_blue)) {
            self.apply_to_block([r, g, b], [to_r, to_g, to_b]);
        }
    }

    fn apply_to_block(&self, codes: [&[u16; BLOCK]; 3], shown: [&mut [u8; BLOCK]; 3]) {
        let Curves { light, screen, code } = self.curves;
        let mut rgb: Block = codes.map(|codes| codes.map(|code| light[usize::from(code) % STEPS]));
        if let Some(screen) = screen {
            // The luminance of BT.2020, whatever the primaries (ITU-R BT.2100).
            let [r, g, b] = &rgb;
            let luminance = array::from_fn(|i| 0.2627 * r[i] + 0.678 * g[i] + 0.0593 * b[i]);
            multiply(&mut rgb, &places(&luminance).map(|place| *look_up(screen, place)));
        }
        let [r, g, b] = &rgb;
        rgb = self
            .gamut
            .map(|row| array::from_fn(|i| (row[0] * r[i] + row[1] * g[i] + row[2] * b[i]).max(0.0)));
        if self.transfer != Transfer::Sdr {
            let [r, g, b] = &rgb;
            let factors = array::from_fn(|i| dimming(greatest(greatest(r[i], g[i]), b[i])));
            multiply(&mut rgb, &factors);
        }
        for (shown, light) in shown.into_iter().zip(&rgb) {
            *shown = places(light).map(|place| *look_up(code, place));
        }
    }
}

fn multiply(rgb: &mut Block, factors: &[f32; BLOCK]) {
    for values in rgb {
        for (value, factor) in values.iter_mut().zip(factors) {
            *value *= factor;
        }
    }
}

/// Places of light in a table: 256 from one value to its double, finer than the steps of SDR.
const PLACES: usize = 1 << 13;
/// The last bits of a floating-point number, which its place leaves out.
const LEFT_OUT: u32 = f32::MANTISSA_DIGITS - 1 - 8;
/// Light at the first place and less is none.
const DARKEST: f32 = 1.0 / (1_u64 << (PLACES >> 8)) as f32;

fn places(light: &[f32; BLOCK]) -> [u32; BLOCK] {
    const BRIGHTEST: f32 = 1.0_f32.next_down();
    array::from_fn(|i| {
        let within = least(greatest(light[i], DARKEST), BRIGHTEST);
        (within.to_bits() - DARKEST.to_bits()) >> LEFT_OUT
    })
}

/// The middle of what has a place.
fn light_at(place: usize) -> f32 {
    let middle = (place << LEFT_OUT) + (1 << (LEFT_OUT - 1));
    if place == 0 { 0.0 } else { f32::from_bits(DARKEST.to_bits() + middle as u32) }
}

fn look_up<T>(table: &[T; PLACES], place: u32) -> &T {
    &table[place as usize % PLACES]
}

/// Of numbers: what may be none costs `f32::max` more.
fn greatest(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

fn least(a: f32, b: f32) -> f32 {
    if a < b { a } else { b }
}

impl Curves {
    fn new(transfer: Transfer) -> Self {
        let light = |code: f32| match transfer {
            Transfer::Pq => pq_luminance(code).min(PEAK) / WHITE,
            Transfer::Hlg => hlg_scene(code),
            Transfer::Sdr => code.powf(GAMMA),
        };
        let screen = |place| hlg_screen(light_at(place)) * PEAK / WHITE;
        Self {
            light: array::from_fn(|step| light(step as f32 / (STEPS - 1) as f32)),
            screen: (transfer == Transfer::Hlg).then(|| array::from_fn(screen)),
            code: array::from_fn(|place| (255.0 * light_at(place).powf(1.0 / GAMMA)).round() as u8),
        }
    }
}

/// cd/m² by code from 0 to 1 (SMPTE ST 2084, ITU-R BT.2100).
fn pq_luminance(code: f32) -> f32 {
    const M1: f32 = 2610.0 / 16_384.0;
    const M2: f32 = 2523.0 / 4096.0 * 128.0;
    const C1: f32 = 3424.0 / 4096.0;
    const C2: f32 = 2413.0 / 4096.0 * 32.0;
    const C3: f32 = 2392.0 / 4096.0 * 32.0;
    let root = code.powf(1.0 / M2);
    10_000.0 * ((root - C1).max(0.0) / (C2 - C3 * root)).powf(1.0 / M1)
}

/// Light of the scene from 0 to 1 by code from 0 to 1: the inverse OETF of ITU-R BT.2100.
fn hlg_scene(code: f32) -> f32 {
    const A: f32 = 0.178_832_77;
    const B: f32 = 0.284_668_92;
    const C: f32 = 0.559_910_7;
    if code <= 0.5 { code * code / 3.0 } else { (((code - C) / A).exp() + B) / 12.0 }
}

/// By what a screen of [`PEAK`] multiplies the scene's colours, by the scene's luminance from 0 to 1: the OOTF of
/// ITU-R BT.2100.
fn hlg_screen(luminance: f32) -> f32 {
    luminance.powf(1.2 - 1.0)
}

/// By what an HDR picture's colours are multiplied on an SDR screen whose white is 1: nothing up to [`KNEE`], then so
/// that [`PEAK`] comes to be white, without a kink (a hyperbola, which players call "Möbius").
fn dimming(brightest: f32) -> f32 {
    const ROOM: f32 = 1.0 - KNEE;
    /// 0 at the knee with slope 1, `ROOM` at the peak.
    const BEND: f32 = 1.0 / ROOM - 1.0 / (PEAK / WHITE - KNEE);
    let beyond = brightest - KNEE;
    if beyond > 0.0 { (KNEE + beyond / (1.0 + beyond * BEND)) / brightest } else { 1.0 }
}

/// From light of `primaries` to light of BT.709's.
fn gamut(primaries: Primaries) -> [[f32; 3]; 3] {
    match primaries {
        Primaries::Bt709 => [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
        // ITU-R BT.2407.
        Primaries::Bt2020 => [
            [1.660_491, -0.587_641_1, -0.072_849_9],
            [-0.124_550_5, 1.132_899_9, -0.008_349_4],
            [-0.018_150_8, -0.100_578_9, 1.118_729_7],
        ],
        // From the chromaticities of SMPTE EG 432-1.
        Primaries::P3 => [
            [1.224_940_2, -0.224_940_2, 0.0],
            [-0.042_056_9, 1.042_056_9, 0.0],
            [-0.019_637_6, -0.078_636_1, 1.098_273_6],
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::video::bars;

    fn near(got: f32, expected: f32, share: f32) {
        assert!((got / expected - 1.0).abs() < share, "{got} instead of {expected}");
    }

    #[test]
    fn curves_are_the_published_ones() {
        // ITU-R BT.2408: reference white is 58 % of PQ and 75 % of HLG, 18 % grey 38 % of both; 1000 cd/m² is 75 % of
        // PQ and 100 % of HLG.
        for (code, luminance) in [(0.58, 203.0), (0.38, 26.0), (0.75, 983.0), (1.0, 10_000.0)] {
            near(pq_luminance(code), luminance, 0.02);
        }
        assert_eq!(pq_luminance(0.0), 0.0);
        for (code, luminance) in [(0.75, 203.0), (0.38, 26.0), (1.0, 1000.0)] {
            let scene = hlg_scene(code);
            near(scene * hlg_screen(scene) * PEAK, luminance, 0.02);
        }
        // ITU-R BT.2100: the two halves of HLG meet at 1/12 of light.
        near(hlg_scene(0.5), 1.0 / 12.0, 1e-6);
        near(hlg_scene(0.500_01), 1.0 / 12.0, 1e-3);
    }

    #[test]
    fn the_tone_curve_bends_but_never_turns() {
        let tone = |light| light * dimming(light);
        assert_eq!([0.0, 0.2, KNEE].map(tone), [0.0, 0.2, KNEE]);
        near(tone(PEAK / WHITE), 1.0, 1e-6);
        let slope = |at: f32| (tone(at + 1e-3) - tone(at)) / 1e-3;
        near(slope(KNEE), 1.0, 0.01);
        let lights = (0..500).map(|i| tone(i as f32 / 100.0)).collect::<Vec<_>>();
        assert!(lights.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn white_of_any_primaries_is_white() {
        for primaries in [Primaries::Bt709, Primaries::Bt2020, Primaries::P3] {
            for row in gamut(primaries) {
                near(row.iter().sum(), 1.0, 1e-5);
            }
        }
    }

    /// A block of one colour, of 12 bits, as shown.
    fn shown(transfer: Transfer, primaries: Primaries, codes: [f32; 3]) -> [u8; 3] {
        let coding = Coding { matrix: 0, full_range: true, transfer, primaries };
        let planes = codes.map(|code| [(code * 4095.0).round() as u16; BLOCK]);
        let mut rgb = [[0; BLOCK]; 3];
        let [red, green, blue] = &mut rgb;
        Tone::new(coding).unwrap().apply(planes.each_ref().map(|plane| &plane[..]), [red, green, blue]);
        assert!(rgb.iter().all(|plane| plane.iter().all(|value| *value == plane[0])));
        rgb.map(|plane| plane[0])
    }

    #[test]
    fn greys_keep_their_brightness() {
        let grey = |transfer, code| {
            let rgb = shown(transfer, Primaries::Bt2020, [code; 3]);
            assert_eq!([rgb[0]; 3], rgb);
            rgb[0]
        };
        let sdr = |light: f32| (255.0 * light.powf(1.0 / GAMMA)).round() as u8;
        for (transfer, black, middle, white) in [
            (Transfer::Pq, 0.0, 0.38, 0.5807),
            (Transfer::Hlg, 0.0, 0.38, 0.75),
            (Transfer::Sdr, 0.0, 0.4247, 1.0),
        ] {
            assert_eq!(grey(transfer, black), 0);
            // 26 cd/m² where white is 203; below the knee, so that SDR and HDR agree.
            assert!(grey(transfer, middle).abs_diff(sdr(26.0 / 203.0)) <= 2, "{transfer:?}");
            let expected = if transfer == Transfer::Sdr { 1.0 } else { dimming(1.0) };
            assert!(grey(transfer, white).abs_diff(sdr(expected)) <= 1, "{transfer:?}");
            assert_eq!(grey(transfer, 1.0), 255);
        }
        // Beyond the peak nothing gets brighter, nor darker.
        assert_eq!([0.76, 0.9].map(|code| grey(Transfer::Pq, code)), [255, 255]);
        // No step of SDR gets lost on the way through light.
        let all = (0..=255).map(|code| grey(Transfer::Sdr, code as f32 / 255.0)).collect::<Vec<_>>();
        assert!(all.iter().enumerate().all(|(code, shown)| shown.abs_diff(code as u8) <= 1), "{all:?}");
    }

    #[test]
    fn colours_keep_their_hue() {
        // Colours of BT.709, that are red 200, green 100, blue 50 there, in other primaries: by their published
        // matrices, worked out apart from this program.
        let expected = [200, 100, 50];
        let codings = [
            (Transfer::Sdr, Primaries::Bt2020, [0.6725, 0.4355, 0.2515]),
            (Transfer::Sdr, Primaries::P3, [0.7351, 0.4145, 0.2487]),
            (Transfer::Pq, Primaries::Bt709, [0.5207, 0.3632, 0.2335]),
            (Transfer::Pq, Primaries::Bt2020, [0.4838, 0.3854, 0.2764]),
            (Transfer::Pq, Primaries::P3, [0.5050, 0.3748, 0.2744]),
            (Transfer::Hlg, Primaries::Bt2020, [0.6102, 0.3766, 0.1948]),
        ];
        for (transfer, primaries, codes) in codings {
            let got = shown(transfer, primaries, codes);
            assert!(
                got.iter().zip(expected).all(|(g, e)| g.abs_diff(e) <= 2),
                "{transfer:?} {primaries:?} {got:?}"
            );
        }
        // Outside of BT.709: clipped, not wrapped.
        assert_eq!(shown(Transfer::Sdr, Primaries::Bt2020, [1.0, 0.0, 0.0]), [255, 0, 0]);
        // Ten times as bright is not another hue.
        let [red, green, blue] = shown(Transfer::Pq, Primaries::Bt709, [0.75, 0.58, 0.0]);
        assert!(red > 250 && green < 150 && blue == 0, "{red} {green} {blue}");
    }

    #[test]
    fn bars_are_as_dark_in_hdr() {
        let code = |transfer| f32::from(bars::dark(transfer)) / 219.0;
        let luminance = WHITE * code(Transfer::Sdr).powf(GAMMA);
        near(pq_luminance(code(Transfer::Pq)), luminance, 0.1);
        let scene = hlg_scene(code(Transfer::Hlg));
        near(scene * hlg_screen(scene) * PEAK, luminance, 0.1);
    }
}
