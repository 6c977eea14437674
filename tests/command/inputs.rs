//! Files, folders and patterns.

use std::fs;
use std::path::Path;

use crate::builder::{CLIP, classify, quick, sample, shared};

fn folder(names: &[&str]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for name in names {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::copy(sample(CLIP), path).unwrap();
    }
    dir
}

fn paths(dir: &Path, args: &[&str]) -> Vec<String> {
    let ran = quick().args(["--format", "json"]).args(args).folder(dir).run().code(0);
    ran.json().iter().map(|row| row["path"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn rows_come_in_the_order_of_the_inputs() {
    let dir = folder(&["b/10.mp4", "b/9.mp4", "b/a/1.mov", "z.mp4", "a.mp4"]);
    fs::write(dir.path().join("b/notes.txt"), "no clip").unwrap();
    let walked = ["b/9.mp4", "b/10.mp4", "b/a/1.mov"];
    assert_eq!(paths(dir.path(), &["b"]), walked);
    assert_eq!(paths(dir.path(), &["z.mp4", "b", "a.mp4"]), [&["z.mp4"], &walked[..], &["a.mp4"]].concat());
}

#[test]
fn a_long_clip_first_holds_its_place() {
    let dir = folder(&["b.mp4"]);
    fs::copy(sample("bikes.mp4"), dir.path().join("a.mp4")).unwrap();
    let args = ["--threads", "2", "a.mp4", "b.mp4", "b.mp4", "b.mp4"];
    assert_eq!(paths(dir.path(), &args), ["a.mp4", "b.mp4", "b.mp4", "b.mp4"]);
}

#[test]
fn what_exists_is_a_path_before_it_is_a_pattern() {
    let dir = folder(&["c[1].mp4", "c1.mp4", "c2.mp4", "train1.mp4"]);
    assert_eq!(paths(dir.path(), &["train*.mp4"]), ["train1.mp4"], "no command is meant");
    assert_eq!(paths(dir.path(), &["c[1].mp4"]), ["c[1].mp4"]);
    assert_eq!(paths(dir.path(), &["c[12].mp4"]), ["c1.mp4", "c2.mp4"]);
}

#[test]
fn a_file_named_itself_is_tried_whatever_its_ending() {
    let dir = folder(&["clip.dat", "sub/clip.dat"]);
    assert_eq!(paths(dir.path(), &["clip.dat"]), ["clip.dat"]);
    quick().arg("sub").folder(dir.path()).run().code(2).says(&["no input found", "1 file"]);
}

#[test]
fn skipped_files_are_counted() {
    let dir = folder(&["a.mp4"]);
    for name in ["x.txt", "y.jpg"] {
        fs::write(dir.path().join(name), "").unwrap();
    }
    let ran =
        quick().arg(".").folder(dir.path()).run().code(0).says(&["1 of 1 clip", "2 other files skipped"]);
    // No progress bar where no person is looking.
    assert_eq!(ran.stderr().lines().count(), 1);
    assert!(!ran.stderr().contains(['\r', '\x1b']), "{}", ran.stderr());
}

#[test]
fn a_word_that_is_a_command_is_the_command() {
    let dir = folder(&["frames/a.mp4"]);
    quick().arg("./frames").folder(dir.path()).run().code(0);
    let ran = classify().arg("frames").folder(dir.path()).run().code(2);
    ran.says(&["`frames` is a command", "`./frames`"]);
    // Not the first word: a path.
    quick().args(["--", "frames"]).folder(dir.path()).run().code(0);
}

#[cfg(unix)]
#[test]
fn names_need_not_be_utf8() {
    use std::os::unix::ffi::OsStrExt;
    let dir = folder(&[]);
    let name = std::ffi::OsStr::from_bytes(b"caf\xe9.mp4");
    fs::copy(sample(CLIP), dir.path().join(name)).unwrap();
    let ran = quick().args(["--format", "json"]).arg(name).folder(dir.path()).run().code(0);
    assert_eq!(ran.json()[0]["path"], serde_json::json!(b"caf\xe9.mp4"), "the name's bytes");
    quick().arg(".").folder(dir.path()).run().code(0);
}

#[test]
fn a_folder_of_a_hundred_clips_gives_a_hundred_rows() {
    let Some(ucf14) = shared("ucf14") else { return };
    let walk = walkdir::WalkDir::new(ucf14).sort_by_file_name();
    let files = walk.into_iter().map(|entry| entry.unwrap().into_path());
    let clips: Vec<_> = files.filter(|path| path.extension().is_some_and(|e| e == "mp4")).take(100).collect();
    let dir = tempfile::tempdir().unwrap();
    for clip in &clips {
        fs::copy(clip, dir.path().join(clip.file_name().unwrap())).unwrap();
    }
    let ran = quick().args(["--format", "csv"]).arg(dir.path()).run().code(0);
    let rows = ran.csv();
    assert_eq!((clips.len(), rows.len()), (100, 101));
    let names: Vec<_> = rows[1..].iter().map(|row| row[0].rsplit('/').next().unwrap().to_owned()).collect();
    let expected: Vec<_> =
        clips.iter().map(|c| c.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    assert_eq!(names, expected);
}

#[cfg(unix)]
#[test]
fn names_that_are_not_utf8_stay_apart_in_every_output() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let dir = tempfile::tempdir().unwrap();
    let clips = dir.path().join("clips");
    fs::create_dir(&clips).unwrap();
    for name in [&b"bad\xff.mp4"[..], b"bad\xfe.mp4"] {
        fs::copy(sample(CLIP), clips.join(OsStr::from_bytes(name))).unwrap();
    }
    let merge = |part: &str, to: &str| {
        let ran = classify().args(["merge", part, "-o", to, "--expect", "clips"]).folder(dir.path()).run();
        ran.code(0).says(&["2 clips (0 with an error), 0 missing, 0 contradictory, 0 double"]);
    };
    quick().args(["clips", "-o", "a.csv"]).folder(dir.path()).run().code(0);
    merge("a.csv", "b.parquet");
    merge("b.parquet", "c.jsonl");
    merge("c.jsonl", "d.csv");
    let read = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
    assert_eq!(read("d.csv"), read("a.csv"));
    assert!(read("a.csv").contains("\nbytes:clips/bad%FE.mp4,"), "{}", read("a.csv"));
}

#[test]
fn a_file_address_is_read_and_others_say_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    fs::copy(sample(CLIP), dir.path().join("a b.mp4")).unwrap();
    let address = format!("file://{}/a%20b.mp4", dir.path().display());
    let named = format!("{}/a b.mp4", dir.path().display());
    assert_eq!(paths(dir.path(), &[&address]), [named]);
    for (path, says) in [("rtsp://cam/1", "record some of it first"), (r"C:\clips\a.mp4", "path of Windows")]
    {
        quick().arg(path).folder(dir.path()).run().code(1).says(&[&format!("error: {path}: "), says]);
    }
}
