//! The decoder's wrapper on arbitrary files: frames with everything in its place, or an error.
//!
//! Finds in FFmpeg itself end up here too; those are for FFmpeg, and are contained by worker processes.
#![no_main]

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use classify::DecodeOptions;
use classify::internals::video::{Walk, probe, read_frames};
use classify::model::{Preprocess, Sampling};
use libfuzzer_sys::fuzz_target;

const SIDE: usize = 32;

fuzz_target!(|data: &[u8]| {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(data).expect("a temporary file takes bytes");
    let preprocess = Preprocess::new(SIDE, 127.0, 128.0);
    // Held in memory, and searched where it lies, as a long video is.
    let memory = if data.len().is_multiple_of(3) { 0 } else { DecodeOptions::default().memory };
    frames(file.path(), &preprocess, data.len().is_multiple_of(2).then_some(0.1), memory);
    whole_video(file.path(), &preprocess);
    let _ = probe(file.path());
});

fn options() -> DecodeOptions {
    DecodeOptions { deadline: Some(Instant::now() + Duration::from_secs(5)), ..DecodeOptions::default() }
}

/// `luma_lag`: frames of colours and frames that show motion take different ways.
fn frames(path: &Path, preprocess: &Preprocess, luma_lag: Option<f64>, memory: usize) {
    let sampling = Sampling { luma_lag, ..Sampling::spread(1, 4) };
    if let Ok(frames) = read_frames(path, &sampling, preprocess, &DecodeOptions { memory, ..options() }) {
        assert_eq!(frames.pixels.len(), 4 * SIDE * SIDE * 3);
        assert_eq!(frames.times.len(), 4);
        assert!(frames.duration.is_finite() && frames.times.iter().all(|t| t.is_finite()));
    }
}

/// As a timeline goes through it. Time only grows.
fn whole_video(path: &Path, preprocess: &Preprocess) {
    let Ok(mut walk) = Walk::open(path, preprocess, &options()) else { return };
    let (mut rgb, mut now) = (vec![0; SIDE * SIDE * 3], 0.0);
    for _ in 0..50 {
        let Ok(Some(shown)) = walk.step() else { break };
        assert!(shown.start >= now && shown.end >= shown.start && shown.end.is_finite());
        now = shown.start;
        walk.convert(&mut rgb);
    }
    assert!(walk.seen().duration.is_finite());
}
