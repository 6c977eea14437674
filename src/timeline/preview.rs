//! A clip as a browser can play it: the file itself, or a small copy.

use std::path::Path;

use image::ImageFormat;
use serde::{Deserialize, Serialize};

use super::overlay::Encoder;
use crate::output::filmstrip;
use crate::video::{
    ClipInfo, CropSize, DecodeOptions, Preprocess, Sampling, Shown, Size, Span, Walk, probe, read_frames,
};
use crate::{Error, Result, files};

/// Most pixels down.
const HEIGHT: f64 = 320.0;

/// Seconds of a clip that a copy shows.
const LONGEST: f64 = 20.0;

/// Seconds between two pictures of a copy, at least: a little more than 30 a second, so that none of those is left out.
const STEP: f64 = 1.0 / 32.0;

/// Pictures a second in the copy of a part.
const RATE: f64 = 10.0;

/// What a browser is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    Mp4,
    Webm,
    /// A picture of frames, where this FFmpeg can't write videos for browsers.
    Jpeg,
}

impl Kind {
    /// As HTTP calls it.
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Mp4 => "video/mp4",
            Self::Webm => "video/webm",
            Self::Jpeg => "image/jpeg",
        }
    }
}

/// What all current browsers take the file at `path` for; none where one or the other doesn't play it.
pub(crate) fn playable(path: &Path, info: &ClipInfo) -> Option<Kind> {
    let usual = ["yuv420p", "yuvj420p"].contains(&info.pixels.as_str());
    let codec = info.codec.as_str();
    match info.format.as_str() {
        // QuickTime's files are built alike, and play as MP4.
        "mov,mp4,m4a,3gp,3g2,mj2" if usual && ["h264", "av1", "vp9"].contains(&codec) => Some(Kind::Mp4),
        // Matroska under its own name is not played everywhere.
        "matroska,webm" if usual && ["vp8", "vp9", "av1"].contains(&codec) => {
            path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("webm")).then_some(Kind::Webm)
        }
        _ => None,
    }
}

/// Writes a copy of the video at `clip` to `to`, small and without sound: of its first seconds, or those of `span`.
///
/// # Errors
/// [`Error::Clip`] where the video can't be read or has no picture there, [`Error::Io`] where `to` can't be written.
pub(crate) fn copy(clip: &Path, span: Option<Span>, to: &Path, threads: usize) -> Result<Kind> {
    let info = probe(clip)?;
    let (width, height) = size(&info);
    if width == 0 || height == 0 {
        return Err(Error::clip(clip, "its pictures are too small to be shown"));
    }
    let preprocess = Preprocess {
        size: Size::Exact { height, width },
        crop_size: CropSize { height, width },
        ..Preprocess::new(224, 127.0, 128.0)
    };
    let options = DecodeOptions { threads, ..DecodeOptions::of(span) };
    // Under another name until it is whole; the ending names the container.
    let folder = to.parent().unwrap_or(Path::new("."));
    let draft = tempfile::Builder::new().prefix(".classify-").tempdir_in(folder);
    let draft = draft.map_err(|e| Error::io(folder, e))?;
    let path = draft.path().join("draft.webm");
    let refuse = |e: ffmpeg_next::Error| Error::clip(clip, format!("can't be copied for the browser: {e}"));
    let mut encoder = match Encoder::open(&path, (width as u32, height as u32), info.fps, threads, None) {
        Err(ffmpeg_next::Error::EncoderNotFound) => return strip(clip, &preprocess, &options, to),
        encoder => encoder.map_err(refuse)?,
    };
    let mut write = |rgb: &[u8], shown| encoder.picture(rgb, shown).map_err(refuse);
    match span {
        None => beginning(clip, &preprocess, &options, &mut write)?,
        Some(Span { start, end }) => {
            let length = end.map_or(LONGEST, |end| (end - start).min(LONGEST));
            let span = Span { start, end: Some(start + length) };
            part(clip, &preprocess, &DecodeOptions { span: Some(span), ..options }, &mut write)?;
        }
    }
    encoder.finish().map_err(refuse)?;
    std::fs::rename(&path, to).map_err(|e| Error::io(to, e))?;
    Ok(Kind::Webm)
}

/// Takes the pictures of the first seconds, as they come.
fn beginning(
    clip: &Path,
    preprocess: &Preprocess,
    options: &DecodeOptions,
    write: &mut impl FnMut(&[u8], Shown) -> Result<()>,
) -> Result<()> {
    let CropSize { height, width } = preprocess.crop_size;
    let mut rgb = vec![0; width * height * 3];
    let mut walk = Walk::open(clip, preprocess, options)?;
    let mut next = 0.0;
    while let Some(shown) = walk.step()? {
        if shown.start >= LONGEST {
            break;
        }
        if shown.start >= next {
            walk.convert(&mut rgb);
            write(&rgb, Shown { end: shown.end.min(LONGEST), ..shown })?;
            next = shown.start + STEP;
        }
    }
    Ok(())
}

/// Takes pictures of a part at even distances: what is before it need not be decoded.
fn part(
    clip: &Path,
    preprocess: &Preprocess,
    options: &DecodeOptions,
    write: &mut impl FnMut(&[u8], Shown) -> Result<()>,
) -> Result<()> {
    let Some(Span { start, end: Some(end) }) = options.span else { return Ok(()) };
    let count = ((end - start) * RATE).ceil().max(2.0) as usize;
    let frames = read_frames(clip, &Sampling::spread(1, count), preprocess, options)?;
    let step = frames.duration / count as f64;
    let pictures = frames.pixels.chunks_exact(frames.width * frames.height * 3).enumerate();
    pictures
        .map(|(i, rgb)| (rgb, i as f64 * step))
        .try_for_each(|(rgb, start)| write(rgb, Shown { start, end: start + step }))
}

/// Width and height of a copy: upright, square pixels, even numbers, as encoders want them.
fn size(info: &ClipInfo) -> (usize, usize) {
    let (mut width, mut height) = (info.width as f64 * info.aspect, info.height as f64);
    if info.rotation % 180 == 90 {
        (width, height) = (height, width);
    }
    let share = (HEIGHT / height).min(1.0);
    let even = |pixels: f64| (pixels * share / 2.0).round() as usize * 2;
    (even(width).min(4 * HEIGHT as usize), even(height))
}

/// Writes a picture of frames instead.
fn strip(clip: &Path, preprocess: &Preprocess, options: &DecodeOptions, to: &Path) -> Result<Kind> {
    let frames = read_frames(clip, &Sampling::spread(1, 8), preprocess, options)?;
    let mut jpeg = std::io::Cursor::new(Vec::new());
    let drawn = filmstrip::grid(&frames).write_to(&mut jpeg, ImageFormat::Jpeg);
    drawn.map_err(|e| Error::clip(clip, format!("can't be drawn: {e}")))?;
    files::write_atomically(to, &jpeg.into_inner())?;
    Ok(Kind::Jpeg)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clip(name: &str) -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clips").join(name)
    }

    fn kind(name: &str) -> Option<Kind> {
        playable(&clip(name), &probe(&clip(name)).unwrap())
    }

    #[test]
    fn what_browsers_play_is_told_by_container_codec_and_pixels() {
        assert_eq!([kind("counter.mp4"), kind("odd_size.webm")], [Some(Kind::Mp4), Some(Kind::Webm)]);
        for name in
            ["counter.avi", "counter.mkv", "counter.h264", "counter.gif", "ten_bits.mp4", "start100.ts"]
        {
            assert_eq!(kind(name), None, "{name}");
        }
    }

    #[test]
    fn copies_are_small_upright_and_last_as_long() {
        let folder = tempfile::tempdir().unwrap();
        for (name, span) in [("counter.avi", None), ("turned90.mp4", None), ("ten_bits.mp4", None)]
            .into_iter()
            .chain([("counter.mp4", Some(Span { start: 0.5, end: Some(1.0) }))])
        {
            let to = folder.path().join("copy");
            let made = copy(&clip(name), span, &to, 1).unwrap();
            assert_eq!(made, Kind::Webm, "{name}");
            let [seen, of] = [&to, &clip(name)].map(|path| {
                let mut walk =
                    Walk::open(path, &Preprocess::new(64, 127.0, 128.0), &DecodeOptions::default()).unwrap();
                while walk.step().unwrap().is_some() {}
                walk.seen()
            });
            let wanted = span.map_or(of.duration, |_| 0.5);
            // How long the last picture stays isn't in the file: that is all of a clip with one.
            let lone = of.pictures == 1;
            assert!(lone || (seen.duration - wanted).abs() < 0.05, "{name}: {} of {wanted}", seen.duration);
            let [info, of] = [&to, &clip(name)].map(|path| probe(path).unwrap());
            assert!(info.height <= 320 && info.rotation == 0 && info.width % 2 == 0, "{name}: {info:?}");
            assert_eq!(info.height > info.width, (of.rotation == 90) ^ (of.height > of.width), "{name}");
            std::fs::rename(&to, folder.path().join("copy.webm")).unwrap();
            let named = folder.path().join("copy.webm");
            assert_eq!(playable(&named, &probe(&named).unwrap()), Some(Kind::Webm), "{name}");
        }
        let none =
            copy(&clip("counter.mp4"), Some(Span { start: 900.0, end: None }), &folder.path().join("x"), 1)
                .unwrap_err();
        assert!(none.to_string().contains("behind the video's end"), "{none}");
        assert!(!folder.path().join("x").exists());
    }

    #[test]
    fn without_an_encoder_there_is_a_picture() {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("strip");
        let preprocess = Preprocess::new(64, 127.0, 128.0);
        let kind = strip(&clip("counter.avi"), &preprocess, &DecodeOptions::default(), &to).unwrap();
        assert_eq!(
            (kind, image::guess_format(&std::fs::read(to).unwrap()).unwrap()),
            (Kind::Jpeg, ImageFormat::Jpeg)
        );
    }
}
