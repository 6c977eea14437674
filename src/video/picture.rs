//! From a decoded picture to upright RGB at the size that the model wants.

use std::ffi::c_int;
use std::ptr;

use ffmpeg_next::{ffi, frame};

use super::bars::Content;
use super::coding::Coding;
use super::resample::Resampler;
use super::tone::{self, BLOCK, Tone};
use super::{Orientation, Preprocess};

/// Converts pictures; keeps FFmpeg's scaler as long as the pictures stay alike.
///
/// Odd and even lines of an interlaced picture are from two moments. Of these only the even ones are taken,
/// the top field: models look at pictures so small that half the lines are enough.
pub(super) struct Converter {
    preprocess: Preprocess,
    /// What the container says; asked first, as players do.
    orientation: Option<Orientation>,
    aspect: f64,
    /// What lies inside black bars in all pictures so far, where they are cut off.
    pub content: Option<Content>,
    /// Whether a picture was cut to something else.
    pub cut_unevenly: bool,
    converted: bool,
    scaler: *mut ffi::SwsContext,
    /// Green, blue and red planes as the scaler writes them, rows padded for its vector instructions.
    scratch: Vec<u8>,
    /// What the scaler writes where `tone` makes `scratch` of it.
    codes: Vec<u16>,
    /// For pictures that aren't SDR BT.709.
    tone: Option<Tone>,
    /// Where the whole picture is resized by itself: it, upright.
    whole: Vec<u8>,
    resampler: Resampler,
}

/// What part of a stored picture is scaled to what size.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Geometry {
    /// The part, in stored pixels.
    x: usize,
    y: usize,
    width: usize,
    height: usize,
    /// Its size before it is turned upright.
    scaled_width: usize,
    scaled_height: usize,
}

impl Converter {
    /// `aspect`: width by height of a pixel as the container says, 0 if it doesn't. `content`: what is known of it
    /// already.
    pub(super) fn new(
        preprocess: &Preprocess,
        orientation: Option<Orientation>,
        aspect: f64,
        content: Option<Content>,
    ) -> Self {
        Self {
            preprocess: preprocess.clone(),
            orientation,
            aspect,
            content,
            cut_unevenly: false,
            converted: false,
            scaler: ptr::null_mut(),
            scratch: Vec::new(),
            codes: Vec::new(),
            tone: None,
            whole: Vec::new(),
            resampler: Resampler::default(),
        }
    }

    /// Bytes of a converted picture: `u8 [height, width, 3]`.
    pub(super) fn size(&self) -> usize {
        let crop = self.preprocess.crop_size;
        crop.height * crop.width * 3
    }

    /// Writes `frame` into `upright`, [`Self::size`] long; the error is FFmpeg's number.
    pub(super) fn convert(&mut self, frame: &frame::Video, upright: &mut [u8]) -> Result<(), c_int> {
        // SAFETY: a decoded frame is valid while borrowed.
        let raw = unsafe { &*frame.as_ptr() };
        // SAFETY: see above.
        let of_frame = || unsafe { Orientation::of_frame(raw) };
        let orientation = self.orientation.or_else(of_frame).unwrap_or_default();
        // SAFETY: the table of formats is static, unknown numbers give null.
        let format = unsafe { pixel_format(raw.format).ok_or(ffi::AVERROR_INVALIDDATA)? };
        let layout = unsafe { ffi::av_pix_fmt_desc_get(format).as_ref() }.ok_or(ffi::AVERROR_INVALIDDATA)?;
        let mut grid = (1 << layout.log2_chroma_w, 1 << layout.log2_chroma_h);
        let packed_bits = layout.flags & u64::from(ffi::AV_PIX_FMT_FLAG_BITSTREAM as u32) != 0;
        if packed_bits {
            grid.0 = 8;
        }
        let (width, height) = (usize_of(raw.width)?, usize_of(raw.height)?);
        let step = if raw.interlaced_frame != 0 { 2 } else { 1 };
        let lines = height.div_ceil(step);
        let line_sizes = raw.linesize.map(|size| size * step as c_int);
        let aspect = if self.aspect > 0.0 { self.aspect } else { ratio(raw.sample_aspect_ratio) };
        let aspect = plausible(aspect) * lines as f64 / height as f64;
        let coding = Coding::of_frame(raw);
        if self.tone.as_ref().is_none_or(|tone| !tone.suits(coding)) {
            self.tone = Tone::new(coding);
        }
        if self.preprocess.cut_bars {
            // SAFETY: `layout` is that of the picture's format.
            let content = unsafe { Content::with_picture(self.content, raw, layout, coding) };
            let or_whole = |content: Option<Content>| content.unwrap_or(Content::WHOLE);
            self.cut_unevenly |= self.converted && or_whole(content) != or_whole(self.content);
            self.content = content;
        }
        self.converted = true;
        let content = self.content.unwrap_or(Content::WHOLE).pixels((width, lines), grid);
        let geometry = match self.preprocess.resample {
            Some(_) => Geometry::whole(content),
            None => Geometry::new(content, aspect, orientation.transposed, &self.preprocess, grid),
        };

        let stride = geometry.scaled_width.next_multiple_of(BLOCK);
        let plane = stride * geometry.scaled_height;
        self.scratch.resize(plane * 3 + 64, 0);
        // SAFETY: `layout` is that of the picture's format, and the part lies within the picture.
        let planes = unsafe { part(raw, layout, &geometry, line_sizes, packed_bits) };
        let (target, bytes) = match self.tone {
            Some(_) => {
                self.codes.resize(plane * 3 + 64, 0);
                (self.codes.as_mut_ptr().cast(), size_of::<u16>())
            }
            None => (self.scratch.as_mut_ptr(), 1),
        };
        // SAFETY: the scaler reads the part of the picture that `geometry` describes, every `step`th line, and writes
        // `scaled_height` rows of `stride` components, of so many bytes, into each of three planes.
        unsafe {
            self.prepare_scaler(coding, format, &geometry)?;
            let [green, blue, red] = [0, 1, 2].map(|i| target.add(plane * bytes * i));
            let target = [green, blue, red, ptr::null_mut()];
            let stride = (stride * bytes) as c_int;
            let strides = [stride, stride, stride, 0];
            let rows = ffi::sws_scale(
                self.scaler,
                planes.as_ptr().cast(),
                line_sizes.as_ptr(),
                0,
                geometry.height as c_int,
                target.as_ptr(),
                strides.as_ptr(),
            );
            if rows != geometry.scaled_height as c_int {
                return Err(ffi::AVERROR_INVALIDDATA);
            }
        }
        let turn = |[x, y]: [usize; 2]| if orientation.transposed { [y, x] } else { [x, y] };
        let size = turn([geometry.scaled_width, geometry.scaled_height]);
        let Some(resample) = self.preprocess.resample else {
            self.turn_upright(orientation, stride, size, upright);
            return Ok(());
        };
        let mut whole = std::mem::take(&mut self.whole);
        whole.resize(size[0] * size[1] * 3, 0);
        self.turn_upright(orientation, stride, size, &mut whole);
        // In square pixels, and all lines again.
        let line = height as f64 / lines as f64;
        let shown = [geometry.width as f64 * aspect * line, geometry.height as f64 * line];
        let shown = turn(shown.map(|pixels| pixels.round().max(1.0) as usize));
        let (preprocess, resampler) = (&self.preprocess, &mut self.resampler);
        resampler.run(preprocess, resample, &whole, size, shown, upright);
        self.whole = whole;
        Ok(())
    }

    /// The scaler's picture, planes with rows of `stride` bytes, as SDR to `upright`,
    /// which is `width` by `height`.
    fn turn_upright(
        &mut self,
        orientation: Orientation,
        stride: usize,
        [width, height]: [usize; 2],
        upright: &mut [u8],
    ) {
        let plane = stride * if orientation.transposed { width } else { height };
        let (green, rest) = self.scratch.split_at_mut(plane);
        let (blue, rest) = rest.split_at_mut(plane);
        let red = &mut rest[..plane];
        if let Some(tone) = &self.tone {
            let [from_green, from_blue, from_red] = [0, 1, 2].map(|i| &self.codes[plane * i..][..plane]);
            tone.apply([from_red, from_green, from_blue], [&mut *red, &mut *green, &mut *blue]);
        }
        orientation.apply([red, green, blue], stride, upright, width, height);
    }

    unsafe fn prepare_scaler(
        &mut self,
        coding: Coding,
        format: ffi::AVPixelFormat,
        geometry: &Geometry,
    ) -> Result<(), c_int> {
        // The filter of a smaller picture reaches over all pixels that fall into one (no aliasing);
        // full chroma and exact rounding. Three planes, as swscale has vector code for them only.
        let flags = ffi::SWS_BILINEAR | ffi::SWS_ACCURATE_RND | ffi::SWS_FULL_CHR_H_INT;
        let target = match self.tone {
            Some(_) => tone::FORMAT,
            None => ffi::AVPixelFormat::AV_PIX_FMT_GBRP,
        };
        // SAFETY: `scaler` is null or the last one made here; the tables are static.
        unsafe {
            self.scaler = ffi::sws_getCachedContext(
                self.scaler,
                geometry.width as c_int,
                geometry.height as c_int,
                format,
                geometry.scaled_width as c_int,
                geometry.scaled_height as c_int,
                target,
                flags,
                ptr::null_mut(),
                ptr::null_mut(),
                ptr::null(),
            );
            if self.scaler.is_null() {
                return Err(ffi::AVERROR_INVALIDDATA);
            }
            // One table both ways: pictures that are RGB already go to YCbCr and back in the scaler.
            let table = ffi::sws_getCoefficients(coding.matrix);
            let full = c_int::from(coding.full_range);
            let (one, none) = (1 << 16, 0);
            ffi::sws_setColorspaceDetails(self.scaler, table, full, table, 1, none, one, one);
        }
        Ok(())
    }
}

/// Where the part of the picture `raw` that `geometry` describes begins in each of its planes.
///
/// # Safety
/// `layout` must be that of the picture's format, and the part must lie within the picture.
unsafe fn part(
    raw: &ffi::AVFrame,
    layout: &ffi::AVPixFmtDescriptor,
    geometry: &Geometry,
    line_sizes: [c_int; 8],
    packed_bits: bool,
) -> [*mut u8; 8] {
    let mut planes = raw.data;
    for (i, plane) in planes.iter_mut().enumerate().take(4) {
        // The palette stays as it is.
        let palette = i > 0 && layout.flags & u64::from(ffi::AV_PIX_FMT_FLAG_PAL as u32) != 0;
        if plane.is_null() || palette {
            continue;
        }
        let chroma = layout.nb_components > 2 && (i == 1 || i == 2);
        let (shift_x, shift_y) = if chroma { (layout.log2_chroma_w, layout.log2_chroma_h) } else { (0, 0) };
        // Of a packed format's components the first, luma, gives the bytes a pixel.
        let step = layout.comp[..usize::from(layout.nb_components)]
            .iter()
            .find(|c| c.plane as usize == i)
            .map_or(1, |c| c.step as usize);
        let bytes = if packed_bits { 1 } else { 8 };
        let right = (geometry.x >> shift_x) * step * bytes / 8;
        let down = (geometry.y >> shift_y) as isize * line_sizes[i] as isize;
        // SAFETY: the part lies within the picture.
        *plane = unsafe { plane.offset(down).add(right) };
    }
    planes
}

impl Drop for Converter {
    fn drop(&mut self) {
        // SAFETY: owned or null.
        unsafe { ffi::sws_freeContext(self.scaler) };
    }
}

impl Geometry {
    /// All of the picture as it is; see [`Self::new`].
    fn whole([(x, width), (y, height)]: [(usize, usize); 2]) -> Self {
        Self { x, y, width, height, scaled_width: width, scaled_height: height }
    }

    /// The middle of the picture that `preprocess` keeps: scaled, then cut.
    ///
    /// The picture's start and length across and down, in stored pixels. `grid`: pixels that share one chroma sample,
    /// across and down; the part starts on it.
    fn new(
        [(left, width), (top, height)]: [(usize, usize); 2],
        aspect: f64,
        transposed: bool,
        preprocess: &Preprocess,
        grid: (usize, usize),
    ) -> Self {
        let crop = preprocess.crop_size;
        let (scaled_width, scaled_height) =
            if transposed { (crop.height, crop.width) } else { (crop.width, crop.height) };
        // Pixels as shown: squares, so the picture is `aspect` times wider.
        let shown_width = width as f64 * aspect;
        let (across, down) = if transposed {
            let (across, down) = preprocess.size.shares(height as f64, shown_width);
            (down, across)
        } else {
            preprocess.size.shares(shown_width, height as f64)
        };
        let keep = |wanted: usize, share: f64, have: f64| (wanted as f64 * share).min(have);
        let part_width = keep(scaled_width, across, shown_width) / aspect;
        let part_height = keep(scaled_height, down, height as f64);
        let (x, width) = place(part_width, width, grid.0);
        let (y, height) = place(part_height, height, grid.1);
        Self { x: left + x, y: top + y, width, height, scaled_width, scaled_height }
    }
}

/// An `aspect` that pixels can have; where it isn't, they are square.
fn plausible(aspect: f64) -> f64 {
    if (1e-2..=1e2).contains(&aspect) { aspect } else { 1.0 }
}

/// Start and length of a part of `wanted` pixels in the middle of `have`.
fn place(wanted: f64, have: usize, grid: usize) -> (usize, usize) {
    let length = (wanted.round() as usize).clamp(1, have);
    let start = (have - length) as f64 / 2.0;
    let start = ((start / grid as f64).round() as usize * grid).min(have - length);
    (start - start % grid, length)
}

fn usize_of(n: c_int) -> Result<usize, c_int> {
    usize::try_from(n).ok().filter(|n| *n > 0).ok_or(ffi::AVERROR_INVALIDDATA)
}

/// The brightness of an RGB pixel (BT.601). The stored picture's own would be cheaper, but differs by up to 26 of 255
/// where a colour lies outside of RGB.
pub(crate) fn luma(rgb: [u8; 3]) -> u8 {
    let [r, g, b] = rgb.map(u16::from);
    ((77 * r + 150 * g + 29 * b) >> 8) as u8
}

pub(super) fn ratio(r: ffi::AVRational) -> f64 {
    if r.num > 0 && r.den > 0 { f64::from(r.num) / f64::from(r.den) } else { 0.0 }
}

/// The number as FFmpeg's enum, if this FFmpeg knows it.
pub(super) unsafe fn pixel_format(number: c_int) -> Option<ffi::AVPixelFormat> {
    let last = ffi::AVPixelFormat::AV_PIX_FMT_NB as c_int;
    // SAFETY: the numbers in between are all taken.
    (0..last).contains(&number).then(|| unsafe { std::mem::transmute(number) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::video::{CropSize, Resample, Size};

    fn parts(size: (usize, usize), aspect: f64, transposed: bool, preprocess: &Preprocess) -> [usize; 4] {
        let whole = [(0, size.0), (0, size.1)];
        let g = Geometry::new(whole, plausible(aspect), transposed, preprocess, (2, 2));
        assert!(g.x + g.width <= size.0 && g.y + g.height <= size.1, "{g:?}");
        [g.x, g.y, g.width, g.height]
    }

    #[test]
    fn cuts_the_middle() {
        let square = Preprocess::new(224, 127.0, 128.0);
        assert_eq!(parts((320, 240), 1.0, false, &square), [40, 0, 240, 240]);
        assert_eq!(parts((240, 320), 1.0, true, &square), [0, 40, 240, 240]);
        // 720×576 shown at 4:3 is 768×576: of 720 stored pixels, 540 make a square.
        assert_eq!(parts((720, 576), 16.0 / 15.0, false, &square), [90, 0, 540, 576]);
        let mut cut = Preprocess::new(224, 127.0, 128.0);
        cut.size = Size::ShortestEdge { shortest_edge: 256 };
        assert_eq!(parts((320, 240), 1.0, false, &cut), [56, 16, 210, 210]);
        // Squashed, nothing is cut off; of 448 by 256, half the width is.
        let mut squashed = Preprocess::new(224, 127.0, 128.0);
        squashed.size = Size::Exact { height: 224, width: 224 };
        assert_eq!(parts((320, 240), 1.0, false, &squashed), [0, 0, 320, 240]);
        squashed.size = Size::Exact { height: 256, width: 448 };
        assert_eq!(parts((320, 240), 1.0, false, &squashed), [80, 16, 160, 210]);
        assert_eq!(parts((240, 320), 1.0, true, &squashed), [16, 80, 210, 160]);
    }

    #[test]
    fn stays_within_any_picture() {
        let mut wide = Preprocess::new(64, 127.0, 128.0);
        wide.crop_size.width = 100;
        for size in [(1, 1), (1, 1000), (1000, 1), (3, 2), (7, 5), (33, 35)] {
            for aspect in [0.0, 0.5, 1.0, 2.0, 300.0, f64::NAN] {
                for transposed in [false, true] {
                    parts(size, aspect, transposed, &wide);
                }
            }
        }
    }

    /// A picture that gets brighter to the right and downwards.
    fn slope(width: u32, height: u32) -> frame::Video {
        let mut frame = frame::Video::new(ffmpeg_next::format::Pixel::GRAY8, width, height);
        let stride = frame.stride(0);
        for (i, luma) in frame.data_mut(0).iter_mut().enumerate() {
            *luma = (16 + i % stride + i / stride).min(235) as u8;
        }
        frame
    }

    #[test]
    fn both_ways_of_scaling_show_the_same_part() {
        let mut frame = slope(120, 80);
        let sizes = [
            Size::ShortestEdge { shortest_edge: 40 },
            Size::ShortestEdge { shortest_edge: 33 },
            Size::Exact { height: 36, width: 60 },
        ];
        for (turn, aspect) in (0..8).flat_map(|turn| [1.0, 1.5, 0.7, 0.4].map(|aspect| (turn, aspect))) {
            let [transposed, flip_x, flip_y] = [1, 2, 4].map(|bit| turn & bit != 0);
            let orientation = Some(Orientation { transposed, flip_x, flip_y });
            for (size, interlaced) in sizes.into_iter().flat_map(|size| [(size, 0), (size, 1)]) {
                // SAFETY: the picture is ours.
                unsafe { (*frame.as_mut_ptr()).interlaced_frame = interlaced };
                let crop_size = CropSize { height: 30, width: 32 };
                let mut preprocess = Preprocess { size, crop_size, ..Preprocess::new(32, 127.0, 128.0) };
                let [own, whole] = [None, Some(Resample::Bilinear)].map(|resample| {
                    preprocess.resample = resample;
                    let mut converter = Converter::new(&preprocess, orientation, aspect, None);
                    let mut upright = vec![0; converter.size()];
                    converter.convert(&frame, &mut upright).unwrap();
                    upright
                });
                // A pixel of the smaller picture is 2 to 9 brighter than its neighbour.
                let far = own.iter().zip(&whole).map(|(a, b)| a.abs_diff(*b)).max();
                assert!(far <= Some(6), "{turn} {aspect} {size:?} {interlaced}: {far:?}");
            }
        }
    }

    #[test]
    fn hdr_of_any_format_is_shown_or_refused() {
        let mut preprocess = Preprocess::new(32, 127.0, 128.0);
        preprocess.cut_bars = true;
        let mut converted = 0;
        for format in 0..ffi::AVPixelFormat::AV_PIX_FMT_NB as c_int {
            let mut frame = frame::Video::empty();
            // SAFETY: the picture gets its own memory, all of which is then written; the enums are C ints.
            let made = unsafe {
                let raw = &mut *frame.as_mut_ptr();
                (raw.format, raw.width, raw.height) = (format, 98, 66);
                let made = ffi::av_frame_get_buffer(raw, 0) >= 0;
                for buffer in raw.buf.into_iter().filter(|buffer| !buffer.is_null()) {
                    ptr::write_bytes((*buffer).data, 0x55, (*buffer).size);
                }
                made
            };
            if !made {
                continue;
            }
            for (transfer, primaries) in [(16, 9), (18, 2), (1, 12), (16, 200)] {
                // SAFETY: as above; any number may come from a file.
                unsafe {
                    let raw = frame.as_mut_ptr();
                    (&raw mut (*raw).color_trc).cast::<c_int>().write(transfer);
                    (&raw mut (*raw).color_primaries).cast::<c_int>().write(primaries);
                }
                for resample in [None, Some(Resample::Bicubic)] {
                    preprocess.resample = resample;
                    let mut converter = Converter::new(&preprocess, None, 0.0, None);
                    let mut upright = vec![0; converter.size()];
                    converted += usize::from(converter.convert(&frame, &mut upright).is_ok());
                }
            }
        }
        assert!(converted > 800, "{converted}");
    }
}
