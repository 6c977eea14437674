//! Text, JSON and CSV.

use crate::builder::{CLIP, classify, quick, sample};

#[test]
fn json_has_the_documented_fields() {
    let ran = quick().args(["--format", "json"]).arg(sample(CLIP)).run().code(0);
    let rows = ran.json();
    assert_eq!(rows.len(), 1);
    let keys: Vec<_> = rows[0].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["path", "labels", "duration_s", "frames", "model"]);
    assert_eq!(rows[0]["path"], sample(CLIP).to_str().unwrap());
    assert_eq!(rows[0]["frames"], 2);
    assert_eq!(rows[0]["model"], "imagenet-lite0");
    let duration = rows[0]["duration_s"].as_f64().unwrap();
    assert!((duration - 2.6).abs() < 0.1, "{duration}");
    let labels = rows[0]["labels"].as_array().unwrap();
    assert_eq!(labels.len(), 5);
    let scores: Vec<_> = labels.iter().map(|l| l["score"].as_f64().unwrap()).collect();
    assert!(scores.is_sorted_by(|a, b| a >= b), "{scores:?}");
    assert!(labels.iter().all(|l| l["label"].is_string() && l.as_object().unwrap().len() == 2));
}

#[test]
fn csv_has_the_documented_header() {
    let csv =
        |top: &[&str]| quick().args(["--format", "csv"]).args(top).arg(sample(CLIP)).run().code(0).csv();
    let one = csv(&[]);
    assert_eq!(one[0], ["path", "label", "score", "duration_s", "frames", "model", "error"]);
    assert_eq!(one.len(), 2);
    assert_eq!((one[1][4].as_str(), one[1][5].as_str(), one[1][6].as_str()), ("2", "imagenet-lite0", ""));
    let three = csv(&["--top", "3"]);
    assert_eq!(three[0][7..], ["label2", "score2", "label3", "score3"]);
    assert_eq!(three[1][..4], one[1][..4]);
    let scores: Vec<f64> = [2, 8, 10].map(|i| three[1][i].parse().unwrap()).into();
    assert!(scores.is_sorted_by(|a, b| a >= b), "{scores:?}");
}

#[test]
fn failed_clips_are_rows_in_json_and_csv() {
    let run = |format| quick().args(["--format", format, "no_such.mp4"]).arg(sample(CLIP)).run().code(1);
    let rows = run("json").json();
    let keys: Vec<_> = rows[0].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["path", "error"]);
    assert_eq!(rows[0]["path"], "no_such.mp4");
    assert!(rows[1]["labels"].is_array());
    let rows = run("csv").csv();
    assert_eq!(rows[1][..6], ["no_such.mp4", "", "", "", "", ""]);
    assert!(!rows[1][6].is_empty());
    assert!(rows[2][6].is_empty());
}

#[test]
fn a_threshold_tells_the_sure_from_the_unsure() {
    let run = |x: &str, format| {
        quick().args(["--threshold", x, "--format", format]).arg(sample(CLIP)).run().code(0)
    };
    assert_eq!(run("1", "json").json()[0]["confident"], false);
    assert_eq!(run("0", "json").json()[0]["confident"], true);
    let table = run("1", "csv").csv();
    assert_eq!(
        (table[0].last().unwrap().as_str(), table[1].last().unwrap().as_str()),
        ("confident", "false")
    );
    assert!(run("1", "text").stdout().contains("\n  not sure"));
    assert!(!run("0", "text").stdout().contains("not sure"));
    quick().args(["--threshold", "1.5"]).arg(sample(CLIP)).run().code(2).says(&["between 0 and 1"]);
}

#[test]
fn text_is_plain_in_a_pipe_and_coloured_on_demand() {
    let text = |run: crate::builder::Run| run.arg(sample(CLIP)).run().code(0).stdout();
    let plain = text(quick());
    assert!(!plain.contains('\x1b'));
    assert!(plain.contains(" %") && plain.contains("2 frames, imagenet-lite0"), "{plain}");
    assert_eq!(plain.lines().count(), 6);
    assert!(text(quick().env("CLICOLOR_FORCE", "1")).contains("\x1b["));
    assert!(!text(quick().env("NO_COLOR", "1")).contains('\x1b'));
}

#[test]
fn top_gives_as_many_labels_as_there_are() {
    let run = quick().args(["--top", "5000", "--format", "json"]).arg(sample(CLIP)).run().code(0);
    let labels = run.json()[0]["labels"].as_array().unwrap().clone();
    assert_eq!(labels.len(), 1000);
    let sum: f64 = labels.iter().map(|l| l["score"].as_f64().unwrap()).sum();
    assert!((sum - 1.0).abs() < 1e-3, "{sum}");
}

#[test]
fn the_default_model_answers_without_being_asked_for() {
    let ran = classify().args(["--format", "json"]).arg(sample(CLIP)).run().code(0);
    assert_eq!(ran.json()[0]["labels"].as_array().unwrap().len(), 5);
}

/// What a user sees who asks for nothing: the default model, from any folder. Kinetics-400 has no
/// jumping jacks; a squat is the nearest of its actions.
#[test]
fn the_default_model_knows_actions() {
    let elsewhere = tempfile::tempdir().unwrap();
    let ran = classify().args(["--format", "json"]).arg(sample(CLIP)).folder(elsewhere.path()).run().code(0);
    let rows = ran.json();
    assert_eq!(rows[0]["model"], "kinetics400-i3d");
    assert_eq!(rows[0]["frames"], 64);
    assert!(rows[0]["confident"].is_boolean(), "{}", rows[0]);
    assert_eq!(rows[0]["labels"][0]["label"], "squat");
}
