//! A video with its labels written onto it.

mod encoder;
mod sound;
mod text;

use std::path::Path;

use crate::timeline::Segment;
use crate::video::{CropSize, DecodeOptions, Preprocess, Shown, Size, Walk, probe};
use crate::{Error, Result};

pub(super) use encoder::Encoder;
pub(crate) use encoder::encoders;
use sound::Sound;

/// Renders the video at `film` anew into `output`, whose ending names the container, with the label of
/// the segment that each picture is in at its lower edge. Sound is passed on as it is where the
/// container takes it. Ends early, without an output, once `go_on` gives false. Returns what was lost, and
/// whether a lesser codec had to do.
///
/// # Errors
/// [`Error::Clip`] where the video can't be read, [`Error::Io`] and [`Error::Usage`] where `output` can't
/// be written.
pub(crate) fn render(
    film: &Path,
    segments: &[Segment],
    output: &Path,
    threads: usize,
    mut go_on: impl FnMut(Shown) -> bool,
) -> Result<Vec<String>> {
    let info = probe(film)?;
    let (mut width, mut height) = ((info.width as f64 * info.aspect).round() as usize, info.height);
    if info.rotation % 180 == 90 {
        (width, height) = (height, width);
    }
    // Encoders want even sizes.
    let (width, height) = (width / 2 * 2, height / 2 * 2);
    if width == 0 || height == 0 {
        return Err(Error::clip(film, "its pictures are too small to write on"));
    }
    let preprocess = Preprocess {
        size: Size::ShortestEdge { shortest_edge: width.min(height) },
        crop_size: CropSize { height, width },
        ..Preprocess::new(224, 127.0, 128.0)
    };
    let mut walk = Walk::open(film, &preprocess, &DecodeOptions { threads, ..DecodeOptions::default() })?;
    // Under another name until it is whole; the ending stays, as it names the container.
    let folder = output.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let draft = tempfile::Builder::new().prefix(".classify-").tempdir_in(folder);
    let draft = draft.map_err(|e| Error::io(output, e))?;
    let path = draft.path().join("draft").with_extension(output.extension().unwrap_or_default());
    let mut lost = Vec::new();
    let mut sound = Sound::open(film);
    let size = (width as u32, height as u32);
    let mut encoder = match Encoder::open(&path, size, info.fps, threads, sound.as_ref()) {
        Ok(encoder) => encoder,
        Err(error) if sound.is_some() => {
            sound = None;
            lost.push(format!("{}: left its sound out ({error})", film.display()));
            Encoder::open(&path, size, info.fps, threads, None).map_err(|e| refuse(output, &e))?
        }
        Err(error) => return Err(refuse(output, &error)),
    };
    if encoder.is_makeshift() {
        lost.push(format!(
            "{}: written as MPEG-4, as the FFmpeg in this program has no H.264 encoder; name a .webm to get VP9",
            output.display()
        ));
    }
    let mut rgb = vec![0; width * height * 3];
    let mut begun = 0;
    while let Some(shown) = walk.step()? {
        if !go_on(shown) {
            return Ok(lost);
        }
        walk.convert(&mut rgb);
        while segments.get(begun).is_some_and(|s| s.end <= shown.start) {
            begun += 1;
        }
        let mut picture = rgb.clone();
        let now = segments[begun..].iter().filter(|s| s.start <= shown.start && shown.start < s.end);
        let said = |s: &Segment| Some(format!("{}  {:.0} %", s.label.as_ref()?, 100.0 * s.score));
        let said: Vec<String> = now.filter_map(said).collect();
        if !said.is_empty() {
            text::write(&mut picture, width, &said);
        }
        encoder.picture(&picture, shown).map_err(|e| refuse(output, &e))?;
        if let Some(sound) = &mut sound {
            encoder.sound(sound, shown.end, walk.first_stamp()).map_err(|e| refuse(output, &e))?;
        }
    }
    if let Some(sound) = &mut sound {
        // It may go on after the last picture.
        encoder.sound(sound, f64::INFINITY, walk.first_stamp()).map_err(|e| refuse(output, &e))?;
    }
    encoder.finish().map_err(|e| refuse(output, &e))?;
    lost.extend(walk.seen().warnings.into_iter().map(|w| format!("{}: {w}", film.display())));
    std::fs::rename(&path, output).map_err(|e| Error::io(output, e))?;
    Ok(lost)
}

fn refuse(output: &Path, error: &ffmpeg_next::Error) -> Error {
    Error::Usage(format!("{}: can't be written as a video: {error}", output.display()))
}
