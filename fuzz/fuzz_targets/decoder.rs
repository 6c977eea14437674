//! The decoder's wrapper on arbitrary files: frames with everything in its place, or an error.
//!
//! Finds in FFmpeg itself end up here too; those are for FFmpeg, and are contained by worker processes.
#![no_main]

use std::io::Write;
use std::time::{Duration, Instant};

use classify::video::{DecodeOptions, Preprocess, Sampling, read_frames};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(data).expect("a temporary file takes bytes");
    let (sampling, preprocess) = (Sampling { windows: 1, frames: 4, fps: None }, Preprocess::new(32, 127.0, 128.0));
    let deadline = Some(Instant::now() + Duration::from_secs(5));
    let options = DecodeOptions { threads: 1, deadline };
    if let Ok(frames) = read_frames(file.path(), &sampling, &preprocess, &options) {
        assert_eq!(frames.pixels.len(), 4 * 32 * 32 * 3);
        assert_eq!(frames.times.len(), 4);
        assert!(frames.duration.is_finite() && frames.times.iter().all(|t| t.is_finite()));
    }
});
