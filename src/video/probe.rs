//! What a container says of its video, for people.

use std::path::Path;

use ffmpeg_next::ffi;

use super::Orientation;
use super::input::{Input, codec_name};
use super::picture::{pixel_format, ratio};
use crate::Result;

/// What a container says of its video. Nothing is decoded, so it may be wrong or missing.
#[derive(Debug, Clone, PartialEq)]
pub struct ClipInfo {
    /// FFmpeg's name of the container, as `mov,mp4,m4a,3gp,3g2,mj2`.
    pub format: String,
    /// FFmpeg's name of the codec, as `h264`.
    pub codec: String,
    /// FFmpeg's name of how a picture is stored, as `yuv420p`; empty where the container doesn't tell.
    pub pixels: String,
    /// Stored pixels across, before turning.
    pub width: usize,
    /// Stored pixels down.
    pub height: usize,
    /// Degrees to turn clockwise for showing.
    pub rotation: u32,
    /// Width by height of one pixel.
    pub aspect: f64,
    /// Frames a second, on average.
    pub fps: Option<f64>,
    /// Seconds.
    pub duration: Option<f64>,
    /// Frames in the container's index.
    pub frames: Option<u64>,
}

/// Reads what the container at `path` says of its video.
///
/// # Errors
/// [`crate::Error::Clip`] where there is no video that FFmpeg can read.
pub fn probe(path: &Path) -> Result<ClipInfo> {
    let mut input = Input::open(path, None, None)?;
    input.analyse()?;
    let stream = input.stream();
    // SAFETY: the stream lives as long as `input`.
    unsafe {
        let codec = &*(*stream).codecpar;
        let aspect = ratio(ffi::av_guess_sample_aspect_ratio(input.context(), stream, std::ptr::null_mut()));
        Ok(ClipInfo {
            format: input.format(),
            codec: codec_name(stream),
            pixels: pixel_name(codec.format),
            width: usize::try_from(codec.width).unwrap_or(0),
            height: usize::try_from(codec.height).unwrap_or(0),
            rotation: Orientation::of_stream(stream).unwrap_or_default().degrees().0,
            aspect: if aspect > 0.0 { aspect } else { 1.0 },
            fps: input.frame_rate(),
            duration: input.duration(),
            frames: input.frame_count(),
        })
    }
}

fn pixel_name(format: i32) -> String {
    // SAFETY: any number may be asked about; names are static.
    unsafe {
        let name = pixel_format(format).map_or(std::ptr::null(), |format| ffi::av_get_pix_fmt_name(format));
        if name.is_null() {
            String::new()
        } else {
            std::ffi::CStr::from_ptr(name).to_string_lossy().into_owned()
        }
    }
}

/// The version of the FFmpeg in use and of its libraries.
pub(crate) fn ffmpeg_version() -> String {
    let number = |v: u32| format!("{}.{}.{}", v >> 16, v >> 8 & 255, v & 255);
    // SAFETY: static strings and numbers.
    unsafe {
        let release = std::ffi::CStr::from_ptr(ffi::av_version_info()).to_string_lossy();
        format!(
            "{release} (libavcodec {}, libavformat {}, libswscale {})",
            number(ffi::avcodec_version()),
            number(ffi::avformat_version()),
            number(ffi::swscale_version())
        )
    }
}

/// Whether FFmpeg has the decoder that it calls `name`.
pub(crate) fn has_decoder(name: &str) -> bool {
    ffmpeg_next::decoder::find_by_name(name).is_some()
}

/// Whether FFmpeg has one of the several decoders of AV1.
pub(crate) fn decodes_av1() -> bool {
    ffmpeg_next::decoder::find(ffmpeg_next::codec::Id::AV1).is_some()
}
