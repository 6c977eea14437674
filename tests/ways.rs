//! Every way through a video shows the same: from memory, by jumps through the file, picture by picture.

mod barcodes;

use std::fs;
use std::path::{Path, PathBuf};

use barcodes::{frames, watched};
use classify::Frames;

const FRAMES: usize = 8;
/// Their damage doesn't show in what the decoder says, and what comes before it decides how it looks.
const DAMAGED: [&str; 2] = ["Enigma_Principles_of_Lust-part.mp4", "empty_edit_5s.mp4"];

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(self::files(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}

/// What differs between two ways through `path`; nothing where both end with the same error.
fn difference(path: &Path, a: &classify::Result<Frames>, b: &classify::Result<Frames>) -> Option<String> {
    match (a, b) {
        (Ok(a), Ok(b)) => {
            let is_damaged = |frames: &Frames| frames.warnings.iter().any(|said| said.starts_with("damaged"));
            // What comes before a damaged picture decides how it looks.
            let damaged = is_damaged(a) || is_damaged(b) || DAMAGED.iter().any(|name| path.ends_with(name));
            let cut_off =
                |frames: &Frames| frames.warnings.iter().find(|said| said.starts_with("trunc")).cloned();
            let far = |a: f64, b: f64| (a - b).abs() > 2e-3;
            if far(a.duration, b.duration) {
                return Some(format!("{} s, {} s", a.duration, b.duration));
            }
            if a.times.iter().zip(&b.times).any(|(a, b)| far(*a, *b)) && !damaged {
                return Some(format!("{:?}, {:?}", a.times, b.times));
            }
            if cut_off(a) != cut_off(b) {
                return Some(format!("{:?}, {:?}", a.warnings, b.warnings));
            }
            let frame = a.pixels.len() / FRAMES;
            let pairs = a.pixels.chunks(frame).zip(b.pixels.chunks(frame)).enumerate();
            let differing: Vec<usize> = pairs.filter(|(_, (a, b))| a != b).map(|(i, _)| i).collect();
            (!differing.is_empty() && !damaged).then(|| format!("frames {differing:?} differ"))
        }
        (Err(a), Err(b)) => (a.reason() != b.reason()).then(|| format!("{a}; {b}")),
        (Ok(_), Err(error)) | (Err(error), Ok(_)) => Some(format!("{error}, but on one way only")),
    }
}

fn differences(files: &[PathBuf]) -> Vec<String> {
    let mut all = Vec::new();
    for path in files {
        let memory = frames(path, FRAMES, usize::MAX);
        for (way, other) in
            [("jumps", frames(path, FRAMES, 0)), ("picture by picture", watched(path, FRAMES))]
        {
            let difference = difference(path, &memory, &other);
            all.extend(difference.map(|what| format!("{} {way}: {what}", path.display())));
        }
    }
    all
}

#[test]
fn small_clips_of_every_kind() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut clips = files(&root.join("tests/clips"));
    clips.extend(files(&root.join("samples")));
    let all = differences(&clips);
    assert!(all.is_empty(), "{all:#?}");
}

#[test]
fn odd_files() {
    let shared = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let folder = std::env::var_os("CLASSIFY_SHARED").map_or_else(shared, PathBuf::from).join("data/odd");
    if !folder.is_dir() {
        println!("skipped: {} is not there", folder.display());
        return;
    }
    let all = differences(&files(&folder));
    assert!(all.is_empty(), "{all:#?}");
}
