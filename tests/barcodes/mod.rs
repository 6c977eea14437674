//! Videos whose pictures carry their numbers as bar codes, made by the command ffmpeg, and what reads them back.
#![allow(dead_code)] // Each test uses a part.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use classify::internals::video::{Walk, read_frames};
use classify::model::{Preprocess, Sampling};
use classify::{DecodeOptions, Frames};

/// Pixels along a picture's edge, and of one of the 4 × 4 cells that make up its code.
const SIDE: usize = 64;
const CELL: usize = SIDE / 4;
/// Pixels along the edge of a picture that is read back.
const SMALL: usize = 32;
pub(crate) const RATE: f64 = 25.0;

/// Whether the command ffmpeg is there; says so where it isn't.
pub(crate) fn has_ffmpeg() -> bool {
    let there = Command::new("ffmpeg").arg("-version").output().is_ok();
    if !there {
        println!("skipped: needs the command ffmpeg");
    }
    there
}

/// Runs ffmpeg in `dir`. False where it can't (an encoder that this one doesn't have).
pub(crate) fn ffmpeg(dir: &Path, arguments: &str) -> bool {
    ffmpeg_to(dir, arguments, None)
}

/// As [`ffmpeg`], with what goes to its standard output in the file `name`.
pub(crate) fn ffmpeg_to(dir: &Path, arguments: &str, name: Option<&str>) -> bool {
    let words = arguments.split(' ').filter(|word| !word.is_empty());
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-y"]).args(words).current_dir(dir).stderr(Stdio::null());
    if let Some(name) = name {
        command.stdout(File::create(dir.join(name)).unwrap());
    }
    command.status().unwrap().success()
}

/// Writes the pictures `numbers` without loss to `dir/name` (`.mkv`), at [`RATE`] pictures a second.
pub(crate) fn draw(dir: &Path, name: &str, numbers: std::ops::Range<u16>) -> PathBuf {
    let size = format!("{SIDE}x{SIDE}");
    let mut command = Command::new("ffmpeg");
    command.args([
        "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "gray", "-s", &size, "-r", "25", "-i", "-",
    ]);
    command.args(["-c:v", "ffv1", "-g", "1", name]).current_dir(dir).stdin(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    for number in numbers {
        input.write_all(&picture(number)).unwrap();
    }
    drop(input);
    assert!(child.wait().unwrap().success());
    dir.join(name)
}

/// Twelve cells hold the number's bits, white for 1; the last four are white, black, white, white.
fn picture(number: u16) -> Vec<u8> {
    let is_white = |cell: usize| if cell < 12 { number >> cell & 1 == 1 } else { cell != 13 };
    let luma = |place: usize| {
        let (x, y) = (place % SIDE / CELL, place / SIDE / CELL);
        if is_white(y * 4 + x) { 235 } else { 16 }
    };
    (0..SIDE * SIDE).map(luma).collect()
}

/// The number in a picture of [`SMALL`] pixels; `None` where there is no code in it.
fn number(rgb: &[u8]) -> Option<u16> {
    let cell = SMALL / 4;
    let is_white = |i: usize| {
        let middle = |x: usize, y: usize| {
            let at = ((i / 4 * cell + cell / 2 + y) * SMALL + i % 4 * cell + cell / 2 + x) * 3;
            u32::from(rgb[at])
        };
        middle(0, 0) + middle(1, 0) + middle(0, 1) + middle(1, 1) > 4 * 128
    };
    let framed = is_white(12) && !is_white(13) && is_white(14) && is_white(15);
    framed.then(|| (0..12).map(|i| u16::from(is_white(i)) << i).sum())
}

fn preprocess() -> Preprocess {
    Preprocess::new(SMALL, 127.0, 128.0)
}

/// The frames that a model sees, where clips of up to `memory` bytes are decoded from memory.
pub(crate) fn frames(path: &Path, frames: usize, memory: usize) -> classify::Result<Frames> {
    sampled(path, &Sampling::spread(1, frames), memory)
}

/// As [`frames`], of any sampling.
pub(crate) fn sampled(path: &Path, sampling: &Sampling, memory: usize) -> classify::Result<Frames> {
    let options = DecodeOptions { memory, ..DecodeOptions::default() };
    read_frames(path, sampling, &preprocess(), &options)
}

/// The frames as a timeline sees them: those on screen at the same moments of the whole video.
pub(crate) fn watched(path: &Path, frames: usize) -> classify::Result<Frames> {
    let sampling = Sampling::spread(1, frames);
    let size = SMALL * SMALL * 3;
    let mut walk = Walk::open(path, &preprocess(), &DecodeOptions::default())?;
    let (mut starts, mut pictures) = (Vec::new(), Vec::new());
    while let Some(shown) = walk.step()? {
        starts.push(shown.start);
        let mut rgb = vec![0; size];
        walk.convert(&mut rgb);
        pictures.push(rgb);
    }
    let seen = walk.seen();
    let mut frames = Frames {
        pixels: Vec::new(),
        natural: None,
        windows: 1,
        per_window: frames,
        height: SMALL,
        width: SMALL,
        times: Vec::new(),
        duration: seen.duration,
        warnings: seen.warnings,
        resizing: std::time::Duration::ZERO,
    };
    for moment in sampling.moments(seen.duration, &starts) {
        let place = starts.partition_point(|start| *start <= moment + 5e-7).saturating_sub(1);
        frames.times.push(starts[place]);
        frames.pixels.extend(&pictures[place]);
    }
    Ok(frames)
}

/// What stands in the frames.
pub(crate) fn numbers(frames: &Frames) -> Vec<Option<u16>> {
    frames.pixels.chunks(SMALL * SMALL * 3).map(number).collect()
}
