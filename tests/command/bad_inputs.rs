//! Clips that can't be labelled: one line each, which names the file and the reason.

use std::fs;
use std::path::Path;

use crate::builder::{CLIP, quick, sample};

/// Runs on `name` in `dir`: it fails alone with one line, and beside a good clip costs only itself.
#[track_caller]
fn refused(dir: &Path, name: &str) -> String {
    let ran = quick().arg(name).folder(dir).run().code(1);
    assert_eq!(ran.stdout(), "");
    let stderr = ran.stderr();
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    let reason =
        stderr.trim().strip_prefix(&format!("error: {name}: ")).unwrap_or_else(|| panic!("{stderr}"));
    let both = quick().args(["--format", "json", name]).arg(sample(CLIP)).folder(dir).run().code(1);
    let rows = both.json();
    assert_eq!((rows.len(), rows[0]["error"].as_str()), (2, Some(reason)));
    assert!(rows[1]["labels"].is_array());
    reason.to_owned()
}

#[test]
fn each_kind_of_bad_file_is_named_with_its_reason() {
    let dir = tempfile::tempdir().unwrap();
    let put = |name: &str, bytes: &[u8]| fs::write(dir.path().join(name), bytes).unwrap();
    put("empty.mp4", b"");
    put("text.mp4", b"this is only a text, however long it may be\n".repeat(100).as_slice());
    put("sound.mp4", &wav());
    put(
        "noise.mp4",
        &(0..20_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect::<Vec<_>>(),
    );
    let clip = fs::read(sample(CLIP)).unwrap();
    put("stump.mp4", &clip[..200]);
    assert!(refused(dir.path(), "empty.mp4").contains("empty"));
    refused(dir.path(), "text.mp4");
    assert!(refused(dir.path(), "sound.mp4").contains("no video"));
    refused(dir.path(), "noise.mp4");
    refused(dir.path(), "stump.mp4");
    assert!(refused(dir.path(), "gone.mp4").to_lowercase().contains("no such file"));
    refused(dir.path(), "no*match.mp4");
}

#[test]
fn a_line_stays_a_line_whatever_the_name() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("two\nlines\x1b[31m.mp4"), b"").unwrap();
    let ran = quick().arg(".").folder(dir.path()).run().code(1);
    let stderr = ran.stderr();
    let errors = stderr.lines().filter(|line| line.starts_with("error: ")).count();
    assert!(errors == 1 && stderr.contains("two\\nlines\\u{1b}") && !stderr.contains('\x1b'), "{stderr}");
}

#[test]
fn a_truncated_clip_is_labelled_with_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    let clip = fs::read(sample("bikes.mp4")).unwrap();
    fs::write(dir.path().join("cut.mp4"), &clip[..clip.len() / 2]).unwrap();
    let ran = quick().args(["--format", "json", "cut.mp4"]).folder(dir.path()).run();
    if clip_index_comes_last(&clip) {
        ran.code(1).says(&["error: cut.mp4: "]);
    } else {
        let ran = ran.code(0).says(&["warning: cut.mp4: "]);
        assert!(ran.json()[0]["labels"].is_array());
        let quiet = quick().args(["-q", "cut.mp4"]).folder(dir.path()).run().code(0);
        assert_eq!(quiet.stderr(), "");
    }
}

fn clip_index_comes_last(clip: &[u8]) -> bool {
    let find = |tag: &[u8]| clip.windows(4).position(|w| w == tag);
    find(b"moov") > find(b"mdat")
}

#[cfg(unix)]
#[test]
fn a_file_without_permission_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mine.mp4");
    fs::copy(sample(CLIP), &path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::File::open(&path).is_ok() {
        eprintln!("skipped: this user may read everything (root)");
        return;
    }
    assert!(refused(dir.path(), "mine.mp4").to_lowercase().contains("permission"));
}

/// A tenth of a second of silence.
fn wav() -> Vec<u8> {
    let samples = [0u8; 1600];
    let mut wav = b"RIFF".to_vec();
    wav.extend((36 + samples.len() as u32).to_le_bytes());
    wav.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    wav.extend(8000u32.to_le_bytes());
    wav.extend(16000u32.to_le_bytes());
    wav.extend(b"\x02\0\x10\0data");
    wav.extend((samples.len() as u32).to_le_bytes());
    wav.extend(samples);
    wav
}
