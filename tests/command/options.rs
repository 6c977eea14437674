//! Flags, and what is refused.

use std::fs;

use crate::builder::{CLIP, classify, quick, sample};

#[test]
fn frames_size_and_threads_reach_the_model() {
    let answer = |args: &[&str]| {
        let run = classify().args(["-m", "imagenet-lite0", "--format", "json"]).args(args);
        run.arg(sample(CLIP)).run().code(0).json().remove(0)
    };
    let base = answer(&["--frames", "3", "--size", "64"]);
    assert_eq!(base["frames"], 3);
    assert_ne!(answer(&["--frames", "3", "--size", "96"])["labels"], base["labels"]);
    assert_eq!(answer(&["--frames", "3", "--size", "64", "--threads", "1"])["labels"], base["labels"]);
    assert_eq!(answer(&["--frames", "3", "--size", "64", "--device", "cpu"]), base);
    let windows = answer(&["--windows", "2", "--frames", "3", "--size", "64"]);
    assert_eq!(windows["frames"], 6);
    assert_ne!(windows["labels"], base["labels"]);
    // In worker processes too.
    let many = quick().args(["--windows", "3", "--format", "json"]).args([sample(CLIP), sample("bikes.mp4")]);
    assert!(many.run().code(0).json().iter().all(|row| row["frames"] == 6));
}

#[test]
fn many_clips_are_answered_as_one_is() {
    let one = quick().args(["--format", "json"]).arg(sample(CLIP)).run().code(0).json().remove(0);
    let clips = [sample(CLIP), sample("bikes.mp4"), sample(CLIP)];
    let many = quick().args(["--format", "json"]).args(clips).run().code(0).json();
    for row in [&many[0], &many[2]] {
        let scores = |row: &serde_json::Value| -> Vec<f64> {
            row["labels"].as_array().unwrap().iter().map(|l| l["score"].as_f64().unwrap()).collect()
        };
        for (a, b) in scores(row).iter().zip(scores(&one)) {
            assert!((a - b).abs() < 1e-5, "{row} {one}");
        }
    }
}

#[test]
fn verbose_says_where_the_time_goes_and_quiet_says_nothing() {
    let run = |flag| quick().arg(flag).args([sample(CLIP), sample(CLIP)]).run().code(0);
    run("-v").says(&["decode", "network", "head", "ms", "all clips"]);
    assert_eq!(run("-q").stderr(), "");
    quick().args(["-q", "-v"]).arg(sample(CLIP)).run().code(2);
}

#[test]
fn a_model_that_cannot_be_loaded_stops_everything() {
    let dir = tempfile::tempdir().unwrap();
    for (model, reason) in [("no-such-model", "no-such-model"), ("broken", "config.json")] {
        fs::create_dir_all(dir.path().join("broken")).unwrap();
        let ran = classify().args(["--model", model]).arg(sample(CLIP)).folder(dir.path()).run().code(2);
        assert_eq!((ran.stdout().as_str(), ran.stderr().lines().count()), ("", 1));
        ran.says(&["error: model ", reason]);
    }
}

#[test]
fn wrong_usage_is_status_2() {
    classify().run().code(2).says(&["Usage"]);
    let clip = sample(CLIP);
    let clip = clip.to_str().unwrap();
    let wrong: [&[&str]; 10] = [
        &["--no-such-flag", clip],
        &["--top", "0", clip],
        &["--windows", "0", clip],
        &["--windows", "1000", "--frames", "10000", clip],
        &["--frames", "0", clip],
        &["--frames", "many", clip],
        &["--size", "4", clip],
        &["--threads", "0", clip],
        &["--format", "xml", clip],
        &["--device", "abacus", clip],
    ];
    for args in wrong {
        let ran = classify().args(args).run().code(2);
        assert!(ran.stdout().is_empty() && ran.stderr().starts_with("error: "), "{args:?} {}", ran.stderr());
    }
    if cfg!(not(feature = "cuda")) {
        classify().args(["--device", "cuda", clip]).run().code(2).says(&["--device cuda", "--features cuda"]);
    }
}

#[test]
fn version_names_ffmpeg() {
    let version = classify().arg("--version").run().code(0).stdout();
    assert!(version.starts_with(&format!("classify {}\nFFmpeg ", env!("CARGO_PKG_VERSION"))), "{version}");
    assert!(version.contains("libavcodec"), "{version}");
}

#[test]
fn help_lists_the_video_endings_and_the_commands() {
    for flag in ["-h", "--help"] {
        let help = classify().arg(flag).run().code(0).stdout();
        for text in ["mp4", "webm", "--model", "--force", "doctor", "completions", "Exit status"] {
            assert!(help.contains(text), "{text} not in {help}");
        }
        assert!(help.lines().all(|line| line.chars().count() <= 100), "{help}");
    }
}
