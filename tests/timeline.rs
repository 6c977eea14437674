//! What happens when: the command on long videos, made by joining real clips.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn classify() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_classify"));
    command.stdin(Stdio::null());
    command
}

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("samples").join(name)
}

/// Standard output, of a run that must end well.
fn stdout(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout).unwrap()
}

fn json(text: &str) -> Vec<serde_json::Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Few small frames: what the labels are isn't the matter.
fn quick() -> Command {
    let mut command = classify();
    command.args([
        "--timeline",
        "--model",
        "imagenet-lite0",
        "--frames",
        "4",
        "--size",
        "96",
        "--window",
        "1",
    ]);
    command
}

#[test]
fn segments_cover_the_whole_video_without_a_gap() {
    let rows = json(&stdout(quick().arg(sample("bikes.mp4")).args(["--format", "json"])));
    assert!(rows.len() > 1, "{rows:?}");
    assert_eq!(rows[0]["start_s"], 0.0);
    assert_eq!(rows.last().unwrap()["end_s"], 10.0);
    for pair in rows.windows(2) {
        assert_eq!(pair[0]["end_s"], pair[1]["start_s"]);
        assert!(pair[0]["label"] != pair[1]["label"], "neighbours of one label are one: {pair:?}");
    }
}

/// The last units that fit in it end before the film does.
#[test]
fn where_several_labels_may_hold_the_last_ones_hold_until_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/ucf14-lite0-lstm");
    for file in ["README.md", "config.json", "model.safetensors", "preprocessor_config.json"] {
        fs::copy(from.join(file), dir.path().join(file)).unwrap();
    }
    // The same network, by which every label holds always.
    let path = dir.path().join("config.json");
    let mut config: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let labels = config["id2label"].as_object().unwrap().len();
    config["scores"] = "sigmoid".into();
    config["thresholds"] = vec![0.0_f64; labels].into();
    fs::write(&path, config.to_string()).unwrap();
    let mut command = classify();
    command.args(["--timeline", "--format", "json", "--frames", "4", "--size", "96", "--window", "2"]);
    let rows = json(&stdout(command.arg("--model").arg(dir.path()).arg(sample("balance_beam.mp4"))));
    assert_eq!(rows.len(), labels, "{rows:?}");
    assert!(rows.iter().all(|row| row["start_s"] == 0.0 && row["end_s"] == 1.667), "{rows:?}");
}

#[test]
fn every_format_says_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str| {
        let path = dir.path().join(name);
        stdout(quick().arg(sample("bikes.mp4")).arg("-o").arg(&path));
        fs::read_to_string(path).unwrap()
    };
    let rows = json(&write("a.jsonl"));
    let csv = write("a.csv");
    assert_eq!(csv.lines().count(), rows.len() + 1);
    assert!(csv.starts_with("path,start_s,end_s,label,score\n"));
    let (vtt, srt) = (write("a.vtt"), write("a.srt"));
    assert!(vtt.starts_with("WEBVTT\n\n00:00:00.000 --> "));
    assert!(srt.starts_with("1\n00:00:00,000 --> "));
    assert_eq!(vtt.matches(" --> ").count(), rows.len());
    assert_eq!(srt.matches(" --> ").count(), rows.len());
    let text = write("a.txt");
    assert!(rows.iter().all(|row| text.contains(row["label"].as_str().unwrap())), "{text}");
    assert!(text.contains('█') && !text.contains('\x1b'), "{text}");
}

#[test]
fn a_pipe_gives_what_the_file_gives() {
    let file = json(&stdout(quick().arg(sample("jumping_jacks.mp4")).args(["--format", "json"])));
    let mut cat =
        Command::new("cat").arg(sample("jumping_jacks.mp4")).stdout(Stdio::piped()).spawn().unwrap();
    let input = cat.stdout.take().unwrap();
    let pipe = json(&stdout(quick().arg("-").args(["--format", "json"]).stdin(input)));
    cat.wait().unwrap();
    let facts = |rows: &[serde_json::Value]| -> Vec<_> {
        rows.iter().map(|r| (r["start_s"].clone(), r["end_s"].clone(), r["label"].clone())).collect()
    };
    assert_eq!(facts(&pipe), facts(&file));
    assert_eq!(pipe[0]["path"], "standard input");
}

/// Its index is at its end, which a pipe can't go back from but a file can.
#[test]
fn a_file_as_standard_input_is_read_like_a_file() {
    let input = fs::File::open(sample("balance_beam.mp4")).unwrap();
    let rows = json(&stdout(quick().arg("-").args(["--format", "json"]).stdin(input)));
    assert_eq!(rows.last().unwrap()["end_s"], 1.667);
}

#[test]
fn what_cannot_be_is_refused() {
    let refused = |command: &mut Command, text: &str| {
        let output = command.output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert!(errors.contains(text), "{errors}");
    };
    refused(classify().args(["-", "--format", "json"]), "needs --timeline");
    refused(classify().arg(sample("bikes.mp4")).args(["--format", "vtt"]), "--timeline");
    refused(
        quick().args([sample("bikes.mp4"), sample("balance_beam.mp4")]).args(["--format", "srt"]),
        "one video",
    );
    let output = quick().arg("gone.mp4").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("gone.mp4: no such file"));
}

/// Three clips of three actions end to end: three segments, each border within a window of its place.
#[test]
fn three_joined_actions_come_back_as_three() {
    let shared = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let clips = std::env::var_os("CLASSIFY_SHARED").map_or_else(shared, PathBuf::from).join("data/ucf14");
    let model = "ucf14-lite0-lstm";
    let models = stdout(classify().arg("models"));
    let has_ffmpeg = Command::new("ffmpeg").arg("-version").output().is_ok();
    if !clips.is_dir() || !models.contains(model) || !has_ffmpeg {
        println!("skipped: needs {}, the model {model} and the command ffmpeg", clips.display());
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let film = dir.path().join("film.mp4");
    // Of the training side: that the model knows them is not the matter.
    let parts = JOINED.map(|(label, name)| clips.join(label).join(name));
    let mut join = Command::new("ffmpeg");
    join.args(["-v", "error"]).args(parts.iter().flat_map(|part| [Path::new("-i"), part]));
    join.args(["-filter_complex", JOIN, "-an"]).arg(&film);
    stdout(&mut join);
    let duration = |path: &Path| -> f64 {
        let rows = json(&stdout(quick().arg(path).args(["--format", "json"])));
        rows.last().unwrap()["end_s"].as_f64().unwrap()
    };
    let mut ends = Vec::new();
    for part in &parts {
        ends.push(ends.last().unwrap_or(&0.0) + duration(part));
    }
    let mut command = classify();
    command.args(["--timeline", "--model", model, "--threshold", "0", "--format", "json"]).arg(&film);
    let rows = json(&stdout(&mut command));
    let labels: Vec<_> = rows.iter().map(|row| row["label"].as_str().unwrap()).collect();
    assert_eq!(labels, JOINED.map(|(label, _)| label), "{rows:?}");
    for (row, end) in rows.iter().zip(ends) {
        let said = row["end_s"].as_f64().unwrap();
        assert!((said - end).abs() <= classify::timeline::WINDOW, "{said} for {end}");
        println!("{}: ends at {said:.2} s, really {end:.2} s", row["label"]);
    }
}

/// The clips' rates differ by a hair, which alone the filter would not bring together.
const JOIN: &str = "[0:v]fps=25[a];[1:v]fps=25[b];[2:v]fps=25[c];[a][b][c]concat=n=3";

const JOINED: [(&str, &str); 3] = [
    ("BrushingTeeth", "v_BrushingTeeth_g10_c01.mp4"),
    ("PullUps", "v_PullUps_g10_c01.mp4"),
    ("TrampolineJumping", "v_TrampolineJumping_g10_c01.mp4"),
];

/// The sound goes on for longer than the pictures.
#[test]
fn an_overlay_keeps_the_sound_and_its_length() {
    let ffmpeg = |arguments: &str, file: &Path| {
        stdout(Command::new("ffmpeg").args(["-v", "error"]).args(arguments.split(' ')).arg(file))
    };
    if Command::new("ffmpeg").arg("-version").output().is_err() {
        println!("skipped: needs the command ffmpeg");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let film = path("film.mp4");
    ffmpeg("-f lavfi -i testsrc2=d=2:s=160x120:r=25 -f lavfi -i sine=d=3 -c:v mpeg4 -c:a aac", &film);
    for container in ["mp4", "mkv"] {
        let out = path("out").with_extension(container);
        stdout(quick().arg(&film).arg("--overlay").arg(&out));
        // Decoded by FFmpeg itself, to compare sound and lengths.
        let (before, after) = (path("before.wav"), path(&format!("{container}.wav")));
        ffmpeg(&format!("-y -i {} -vn", film.display()), &before);
        ffmpeg(&format!("-y -i {} -vn", out.display()), &after);
        let (before, after) = (fs::read(before).unwrap(), fs::read(after).unwrap());
        let (bytes_a_second, pause) = (44_100 * 2, 4_096);
        assert!(before.len().abs_diff(after.len()) < bytes_a_second / 10, "{} {}", before.len(), after.len());
        assert!(after[pause..].chunks(pause).next().unwrap().iter().any(|byte| *byte != 0), "silence");
        let check = json(&stdout(classify().args(["check", "--json"]).arg(&out))).remove(0);
        assert_eq!((check["frames"].as_u64(), check["duration_s"].as_f64()), (Some(50), Some(2.0)));
    }
}

/// In a copy of the process, so that it costs the film only.
#[test]
fn a_film_that_crashes_the_decoder_is_an_error_and_the_next_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let film = dir.path().join("long.mp4");
    // Long enough to be found at work.
    fs::copy(sample("bikes.mp4"), &film).unwrap();
    let mut command = classify();
    command.args(["--timeline", "--model", "kinetics400-i3d", "--format", "csv"]);
    let child = command.arg(&film).arg(sample("balance_beam.mp4"));
    let child = child.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    let copy = loop {
        assert!(std::time::Instant::now() < deadline, "no copy to be seen");
        let children = format!("/proc/{0}/task/{0}/children", child.id());
        let children = fs::read_to_string(children).unwrap_or_default();
        match children.split_whitespace().next().and_then(|pid| pid.parse().ok()) {
            Some(pid) => break pid,
            None => std::thread::sleep(std::time::Duration::from_millis(2)),
        }
    };
    // SAFETY: a child of the child, which waits for it.
    unsafe { libc::kill(copy, libc::SIGABRT) };
    let output = child.wait_with_output().unwrap();
    let (rows, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("long.mp4: crashed the decoder: abort (signal 6)"), "{errors}");
    assert!(rows.contains("balance_beam.mp4,0,"), "{rows}");
}

#[test]
fn an_overlay_is_the_same_video_with_labels_on_it() {
    let dir = tempfile::tempdir().unwrap();
    let (film, out) = (sample("jumping_jacks.mp4"), dir.path().join("out.mp4"));
    stdout(quick().arg(&film).arg("--overlay").arg(&out));
    let check = |path: &Path| json(&stdout(classify().args(["check", "--json"]).arg(path))).remove(0);
    let (before, after) = (check(&film), check(&out));
    assert_eq!(before["frames"], after["frames"]);
    assert!((before["duration_s"].as_f64().unwrap() - after["duration_s"].as_f64().unwrap()).abs() < 0.05);
    let picture = |path: &Path| {
        let strip = dir.path().join("strip.png");
        let mut frames = classify();
        frames
            .args(["frames", "--model", "imagenet-lite0", "--frames", "2", "--force", "-o"])
            .arg(&strip)
            .arg(path);
        stdout(&mut frames);
        image::open(&strip).unwrap().to_rgb8()
    };
    let (plain, labelled) = (picture(&film), picture(&out));
    assert_eq!(plain.dimensions(), labelled.dimensions());
    // Two frames of 224 pixels: the upper half is the same picture, at the lower edge stands the label.
    let difference = |rows: std::ops::Range<u32>| -> f64 {
        let pixels = rows.flat_map(|y| (10..210).map(move |x| (x, y)));
        let apart = |(x, y)| f64::from(plain.get_pixel(x, y).0[0].abs_diff(labelled.get_pixel(x, y).0[0]));
        let apart: Vec<f64> = pixels.map(apart).collect();
        apart.iter().sum::<f64>() / apart.len() as f64
    };
    assert!(difference(10..120) < 6.0, "{}", difference(10..120));
    assert!(difference(216..226) > 30.0, "{}", difference(216..226));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "no drafts are left");
}
