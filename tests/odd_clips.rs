//! Real odd and broken files: each gives frames or one clear line, quickly.
//!
//! With `CLASSIFY_STRIPS=DIR` in the environment, what was read is left there as PNG files to look at.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use classify::{
    DecodeOptions, Frames,
    internals::video::read_frames,
    model::{Preprocess, Sampling},
};

fn shared() -> PathBuf {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    std::env::var_os("CLASSIFY_SHARED").map_or_else(beside, PathBuf::from)
}

/// All files below `folder`, in order.
fn files(folder: &Path) -> Vec<PathBuf> {
    let walk = walkdir::WalkDir::new(folder).sort_by_file_name();
    walk.into_iter().flatten().filter(|e| e.file_type().is_file()).map(|e| e.into_path()).collect()
}

/// The frames side by side.
fn save_strip(frames: &Frames, path: &Path) {
    let (w, h, n) = (frames.width, frames.height, frames.windows * frames.per_window);
    let mut strip = image::RgbImage::new((w * n) as u32, h as u32);
    for (i, rgb) in frames.pixels.chunks_exact(3).enumerate() {
        let (frame, y, x) = (i / (w * h), i / w % h, i % w);
        strip.put_pixel((frame * w + x) as u32, y as u32, image::Rgb([rgb[0], rgb[1], rgb[2]]));
    }
    strip.save(path).expect("strip");
}

#[test]
fn every_odd_file_gives_frames_or_one_line() {
    let folder = shared().join("data/odd");
    if !folder.is_dir() {
        println!("skipped: {} is not there", folder.display());
        return;
    }
    let strips = std::env::var_os("CLASSIFY_STRIPS").map(PathBuf::from);
    let sampling = Sampling::spread(1, 6);
    let preprocess = Preprocess::new(128, 127.0, 128.0);
    for path in files(&folder) {
        let start = Instant::now();
        let options =
            DecodeOptions { deadline: Some(start + Duration::from_secs(60)), ..DecodeOptions::default() };
        let result = read_frames(&path, &sampling, &preprocess, &options);
        let took = start.elapsed();
        let name = path.strip_prefix(&folder).unwrap();
        let said = match &result {
            Ok(frames) => {
                if let Some(folder) = &strips {
                    let name = name.to_string_lossy().replace('/', "_");
                    save_strip(frames, &folder.join(format!("{name}.png")));
                }
                let times: Vec<_> = frames.times.iter().map(|t| format!("{t:.5}")).collect();
                format!("ok {:.5} s at {} {:?}", frames.duration, times.join(" "), frames.warnings)
            }
            Err(e) => format!("error {e}"),
        };
        println!("{:<55} {:>5} ms  {said}", name.display(), took.as_millis());
        assert!(!said.contains('\n'), "{said}");
        assert!(took < Duration::from_secs(10), "{took:?}");
    }
}
