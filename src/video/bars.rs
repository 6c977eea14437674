//! Black bars around a picture: of a film in another shape, of an upright video in a wide frame.

use ffmpeg_next::ffi;

use super::coding::{Coding, Transfer};

/// What lies inside the bars, as shares of the stored picture's width and height.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Content {
    pub left: f64,
    pub top: f64,
    pub right: f64,
    pub bottom: f64,
}

/// Bars are at least this share of a side; as much is cut beyond them, where they blur into the picture.
const EDGE: f64 = 0.01;
/// What is smaller than this share of a side is a light in the dark.
const SMALLEST: f64 = 0.25;
/// Above black, of 255: what compression makes of black stays below. By brightness, of which a pure blue has little.
/// As much light by each transfer.
pub(super) fn dark(transfer: Transfer) -> u16 {
    match transfer {
        Transfer::Sdr => 20,
        Transfer::Pq => 29,
        Transfer::Hlg => 18,
    }
}
/// One in so many pixels of a bar may be brighter: noise, or a station's sign.
const BRIGHT: usize = 50;

impl Content {
    pub(super) const WHOLE: Self = Self { left: 0.0, top: 0.0, right: 1.0, bottom: 1.0 };

    /// What has something to show in this picture and in those before, whose content is `before`. A picture that is
    /// black says nothing, nor does one whose brightness can't be told.
    ///
    /// # Safety
    /// `raw` is a decoded picture in the format that `layout` describes.
    pub(super) unsafe fn with_picture(
        before: Option<Self>,
        raw: &ffi::AVFrame,
        layout: &ffi::AVPixFmtDescriptor,
        coding: Coding,
    ) -> Option<Self> {
        let size = [raw.width, raw.height].map(|n| usize::try_from(n).unwrap_or(0));
        // SAFETY: the caller's promise.
        let reader = unsafe { Reader::new(raw, layout, coding) };
        let Some(new) = reader.and_then(|reader| within_bars(size, |x, y| reader.is_bright(x, y))) else {
            return before;
        };
        Some(before.map_or(new, |before| before.and(new)))
    }

    /// Both, unless `other` only just goes beyond this one: bars are not to tremble.
    fn and(self, other: Self) -> Self {
        let less = |a: f64, b: f64| if b < a - EDGE { b } else { a };
        let more = |a: f64, b: f64| if b > a + EDGE { b } else { a };
        Self {
            left: less(self.left, other.left),
            top: less(self.top, other.top),
            right: more(self.right, other.right),
            bottom: more(self.bottom, other.bottom),
        }
    }

    /// Start and length in pixels across and down, starts on the `grid`.
    pub(super) fn pixels(self, size: (usize, usize), grid: (usize, usize)) -> [(usize, usize); 2] {
        let side = |from: f64, to: f64, length: usize, grid: usize| {
            let start = ((from * length as f64).ceil() as usize).next_multiple_of(grid);
            let end = (to * length as f64).floor() as usize;
            if start < end { (start, end - start) } else { (0, length) }
        };
        [side(self.left, self.right, size.0, grid.0), side(self.top, self.bottom, size.1, grid.1)]
    }
}

/// The content of a picture of `width` by `height`; `None` where it is as good as black.
fn within_bars([width, height]: [usize; 2], bright: impl Fn(usize, usize) -> bool) -> Option<Content> {
    let shows = |pixels: &mut dyn Iterator<Item = (usize, usize)>, length: usize| {
        pixels.filter(|&(x, y)| bright(x, y)).take(length / BRIGHT + 1).count() > length / BRIGHT
    };
    let row = |y: usize| shows(&mut (0..width).map(|x| (x, y)), width);
    let (top, last) = ((0..height).find(|&y| row(y))?, (0..height).rfind(|&y| row(y))?);
    let column = |x: usize| shows(&mut (top..=last).map(|y| (x, y)), last + 1 - top);
    let (left, right) = ((0..width).find(|&x| column(x))?, (0..width).rfind(|&x| column(x))?);
    let cut = |bar: usize, side: usize| {
        let share = bar as f64 / side as f64;
        if share < EDGE { 0.0 } else { share + EDGE }
    };
    let content = Content {
        left: cut(left, width),
        top: cut(top, height),
        right: 1.0 - cut(width - 1 - right, width),
        bottom: 1.0 - cut(height - 1 - last, height),
    };
    let large = |from: f64, to: f64| to - from >= SMALLEST;
    (large(content.left, content.right) && large(content.top, content.bottom)).then_some(content)
}

/// Reads how bright the pixels of a picture are.
struct Reader<'a> {
    raw: &'a ffi::AVFrame,
    /// Brightness, or red, green and blue.
    components: &'a [ffi::AVComponentDescriptor],
    big_endian: bool,
    limit: u16,
}

impl<'a> Reader<'a> {
    /// `None` for a format whose pixels are not whole bytes of brightness or colour.
    ///
    /// # Safety
    /// `raw` is a decoded picture in the format that `layout` describes.
    unsafe fn new(
        raw: &'a ffi::AVFrame,
        layout: &'a ffi::AVPixFmtDescriptor,
        coding: Coding,
    ) -> Option<Self> {
        let has = |flag: u32| layout.flags & u64::from(flag) != 0;
        let other = [
            ffi::AV_PIX_FMT_FLAG_PAL,
            ffi::AV_PIX_FMT_FLAG_BITSTREAM,
            ffi::AV_PIX_FMT_FLAG_HWACCEL,
            ffi::AV_PIX_FMT_FLAG_BAYER,
            ffi::AV_PIX_FMT_FLAG_FLOAT,
        ];
        let rgb = has(ffi::AV_PIX_FMT_FLAG_RGB as u32);
        let components = &layout.comp[..if rgb { 3 } else { 1 }];
        let readable = components.iter().all(|c| {
            let (plane, bytes) = (c.plane as usize, if c.depth > 8 { 2 } else { 1 });
            // Some packed formats have more pixels than steps.
            let row = i64::from(c.step) * i64::from(raw.width - 1) + i64::from(c.offset + bytes);
            (8..=16).contains(&c.depth)
                && raw.data.get(plane).is_some_and(|data| !data.is_null())
                && row <= i64::from(raw.linesize[plane]).abs()
        });
        let plain = !other.into_iter().any(|flag| has(flag as u32)) && readable;
        let black = if rgb || coding.full_range { 0 } else { 16 };
        plain.then_some(Self {
            raw,
            components,
            big_endian: has(ffi::AV_PIX_FMT_FLAG_BE as u32),
            limit: black + dark(coding.transfer),
        })
    }

    fn is_bright(&self, x: usize, y: usize) -> bool {
        self.components.iter().any(|component| self.value(component, x, y) > self.limit)
    }

    /// Of 255.
    fn value(&self, component: &ffi::AVComponentDescriptor, x: usize, y: usize) -> u16 {
        let plane = component.plane as usize;
        let row = y as isize * self.raw.linesize[plane] as isize;
        let column = x as isize * component.step as isize + component.offset as isize;
        // SAFETY: the pixel lies within the picture's rows (see `new`), and the first components have every pixel.
        let at = unsafe { self.raw.data[plane].offset(row + column) };
        if component.depth == 8 {
            // SAFETY: as above.
            return u16::from(unsafe { *at });
        }
        // SAFETY: as above; two bytes, of any alignment.
        let bytes = unsafe { [*at, *at.add(1)] };
        let value = if self.big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) };
        // Other components may have the bits above.
        (value >> component.shift >> (component.depth - 8)) & 0xff
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: [usize; 2] = [320, 240];

    fn near(content: Option<Content>, expected: [f64; 4]) {
        let c = content.unwrap();
        let found = [c.left, c.top, c.right, c.bottom];
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9), "{found:?} {expected:?}");
    }

    #[test]
    fn bars_are_what_is_dark_along_a_whole_side() {
        near(within_bars(SIZE, |_, _| true), [0.0, 0.0, 1.0, 1.0]);
        let letterbox = |_, y| (30..210).contains(&y);
        near(within_bars(SIZE, letterbox), [0.0, 0.125 + EDGE, 1.0, 0.875 - EDGE]);
        let upright = |x, _| (109..211).contains(&x);
        near(within_bars(SIZE, upright), [109.0 / 320.0 + EDGE, 0.0, 211.0 / 320.0 - EDGE, 1.0]);
        // A station's sign in the bar, and a line too thin for a bar.
        near(within_bars(SIZE, |x, y| letterbox(x, y) || (y == 10 && x < 6)), [0.0, 0.135, 1.0, 0.865]);
        near(within_bars(SIZE, |_, y| y > 1), [0.0, 0.0, 1.0, 1.0]);
    }

    #[test]
    fn black_pictures_and_lights_in_the_dark_say_nothing() {
        assert_eq!(within_bars(SIZE, |_, _| false), None);
        assert_eq!(within_bars(SIZE, |x, y| (150..170).contains(&x) && (100..120).contains(&y)), None);
        assert_eq!(within_bars([0, 0], |_, _| true), None);
    }

    #[test]
    fn content_grows_where_a_picture_shows_more() {
        let letterbox = Content { top: 0.135, bottom: 0.865, ..Content::WHOLE };
        assert_eq!(letterbox.and(Content { top: 0.13, ..letterbox }), letterbox);
        assert_eq!(letterbox.and(Content { top: 0.05, left: 0.3, ..letterbox }).top, 0.05);
        assert_eq!(letterbox.and(Content::WHOLE), Content::WHOLE);
    }

    #[test]
    fn pixels_start_on_the_grid_and_stay_inside() {
        let letterbox = Content { top: 0.135, bottom: 0.865, ..Content::WHOLE };
        assert_eq!(letterbox.pixels((320, 240), (2, 2)), [(0, 320), (34, 173)]);
        assert_eq!(Content::WHOLE.pixels((7, 5), (2, 2)), [(0, 7), (0, 5)]);
        assert_eq!(letterbox.pixels((1, 1), (2, 2)), [(0, 1), (0, 1)]);
    }
}
