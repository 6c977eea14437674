//! Trained models that are not sure of clips which show none of their labels.

use std::fs;
use std::path::{Path, PathBuf};

use crate::builder::{Run, classify, sample};

/// `clip`, with a box of `length` bytes that players skip: another file with the same pictures.
fn copy(clip: &str, to: &Path, length: u8) {
    let mut bytes = fs::read(sample(clip)).unwrap();
    bytes.extend([0, 0, 0, 8 + length, b'f', b'r', b'e', b'e']);
    bytes.extend(vec![0; usize::from(length)]);
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::write(to, bytes).unwrap();
}

/// Two classes of six clips in `clips`, and three clips of neither in `none`.
fn clips() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let (clips, none) = (dir.path().join("clips"), dir.path().join("none"));
    for number in 1..=6 {
        for (label, clip) in [("jump", "jumping_jacks.mp4"), ("balance", "balance_beam.mp4")] {
            copy(clip, &clips.join(label).join(format!("v_{label}_g{number:02}_c01.mp4")), number);
        }
    }
    for number in 1..=3 {
        copy("../tests/clips/bars.mp4", &none.join(format!("v_bars_g{number:02}_c01.mp4")), number);
    }
    (dir, clips, none)
}

fn train(clips: &Path, model: &Path) -> Run {
    let settings = "--backbone imagenet-lite0 --frames 4 --size 64 --hidden 8 --epochs 8 --batch 4 --no-cache --threads 1";
    classify().arg("train").arg(clips).arg("-o").arg(model).args(settings.split_whitespace())
}

fn config(model: &Path) -> serde_json::Value {
    serde_json::from_slice(&fs::read(model.join("config.json")).unwrap()).unwrap()
}

#[test]
fn a_trained_model_is_not_sure_of_a_clip_that_shows_none_of_its_labels() {
    let (dir, clips, none) = clips();
    let model = dir.path().join("model");
    train(&clips, &model).run().code(0);
    assert_eq!(config(&model)["knowing"]["keep"], 0.95);
    let card = fs::read_to_string(model.join("README.md")).unwrap();
    assert!(card.contains("| None of the labels | not sure: keeps 100.0 % of"), "{card}");

    let label = |clip: &Path| {
        let run =
            classify().arg("--model").arg(&model).args(["--format", "json", "--threads", "1"]).arg(clip);
        run.run().code(0).json()[0]["confident"].clone()
    };
    assert_eq!(label(&clips.join("jump/v_jump_g01_c01.mp4")), true);
    let strange = none.join("v_bars_g01_c01.mp4");
    assert_eq!(label(&strange), false);
    let timeline = classify().arg("--model").arg(&model).args(["--timeline", "--threads", "1"]).arg(&strange);
    let said = timeline.run().code(0).stdout();
    assert!(!said.contains("jump") && !said.contains("balance"), "{said}");

    // ONNX files say what they can't.
    let onnx = dir.path().join("model.onnx");
    classify().arg("export").arg(&model).args(["--onnx", "-o"]).arg(&onnx).run().code(0);
    let bytes = fs::read(&onnx).unwrap();
    assert!(bytes.windows(8).any(|window| window == b"not_sure"));

    // A threshold that is asked for is one of the score, as for any model.
    let any =
        classify().arg("--model").arg(&model).args(["--threshold", "0", "--format", "json"]).arg(&strange);
    assert_eq!(any.run().code(0).json()[0]["confident"], true);
}

#[test]
fn clips_of_none_are_learned_from_and_never_answered() {
    let (dir, clips, none) = clips();
    let (by_folder, by_class) = (dir.path().join("by_folder"), dir.path().join("by_class"));
    train(&clips, &by_folder).arg("--background").arg(&none).args(["--keep", "0.9"]).run().code(0);
    assert_eq!(config(&by_folder)["knowing"]["keep"], 0.9);
    fs::rename(&none, clips.join("_none_")).unwrap();
    train(&clips, &by_class).run().code(0);
    for model in [&by_folder, &by_class] {
        let config = config(model);
        assert_eq!(config["id2label"], serde_json::json!({ "0": "balance", "1": "jump" }));
        assert!(config["knowing"]["background"].is_object(), "{config}");
    }

    let eval = |format: &str| {
        let run = classify().arg("eval").arg(&clips).arg("--model").arg(&by_class).args(["--split", "all"]);
        run.args(["--threads", "1", "--format", format]).run().code(0)
    };
    let figures = eval("json").json()[0].clone();
    assert_eq!((&figures["clips"], &figures["doubt"]["none"]), (&12.into(), &3.into()));
    assert_eq!((&figures["doubt"]["none_declined"], &figures["doubt"]["area"]), (&3.into(), &1.0.into()));
    let text = eval("text").stdout().to_owned();
    assert!(text.contains("100.0 % of 3 clips that show none of the labels"), "{text}");
}

#[test]
fn a_model_without_threshold_declines_nothing() {
    let (dir, _, none) = clips();
    let list = dir.path().join("none.csv");
    fs::write(&list, format!("path,label\n{},_none_\n", none.join("v_bars_g01_c01.mp4").display())).unwrap();
    let run = classify().arg("eval").arg(&list).args([
        "--model",
        "imagenet-lite0",
        "--frames",
        "2",
        "--size",
        "64",
    ]);
    let figures = run.args(["--format", "json"]).run().code(0).json()[0].clone();
    assert_eq!((&figures["doubt"]["none"], &figures["doubt"]["none_declined"]), (&1.into(), &0.into()));
}

#[test]
fn background_clips_that_can_not_be_read_are_named() {
    let (dir, clips, _) = clips();
    let (model, background) = (dir.path().join("model"), dir.path().join("background"));
    fs::create_dir(&background).unwrap();
    fs::write(background.join("broken.mp4"), "no video").unwrap();
    fs::write(background.join("empty.mp4"), "").unwrap();
    let left_out = |name: &str| format!("left out: {}: ", background.join(name).display());
    train(&clips, &model).arg("--background").arg(&background).run().code(1).says(&[
        &left_out("broken.mp4"),
        &left_out("empty.mp4"),
        "none of the 1 `_none_` clips could be learned from",
    ]);
    let config = config(&model);
    assert!(config["knowing"].is_object() && config["knowing"]["background"].is_null(), "{config}");
}

#[test]
fn test_clips_of_no_label_are_measured_where_there_are_no_others() {
    let (dir, _, _) = clips();
    let mut text = String::from("path,label,split\n");
    for number in 1..=6 {
        for label in ["jump", "balance"] {
            text += &format!("clips/{label}/v_{label}_g{number:02}_c01.mp4,{label},train\n");
        }
    }
    for number in 1..=3 {
        text += &format!("none/v_bars_g{number:02}_c01.mp4,_none_,test\n");
    }
    let (list, model) = (dir.path().join("list.csv"), dir.path().join("model"));
    fs::write(&list, text).unwrap();
    let ran = train(&list, &model).run().code(0).says(&["no labelled test clips are given"]);
    let said = ran.stdout();
    let none = "test: 3 clips, none with a label\nnot sure: declines 100.0 % of 3 clips that show none of the labels";
    assert!(said.starts_with(none) && said.contains("\nvalidation: "), "{said}");
    let card = fs::read_to_string(model.join("README.md")).unwrap();
    assert!(card.contains("dealt with rightly, of the test clips |"), "{card}");
}

#[test]
fn a_model_that_nothing_tells_when_to_be_not_sure_is_said_to_answer_always() {
    let (dir, clips, _) = clips();
    let mut text = String::from("path,label,split\n");
    for number in 1..=6 {
        // Of what is learned, the validation clips say the contrary.
        let (split, [first, second]) = match number {
            5.. => ("val", ["balance", "jump"]),
            _ => ("train", ["jump", "balance"]),
        };
        text += &format!("jump/v_jump_g{number:02}_c01.mp4,{first},{split}\n");
        text += &format!("balance/v_balance_g{number:02}_c01.mp4,{second},{split}\n");
    }
    let (list, model) = (clips.join("list.csv"), dir.path().join("model"));
    fs::write(&list, text).unwrap();
    // All in one epoch: of several, the one that has learned least would be the best.
    let run = train(&list, &model).args("--head mean --epochs 1 --batch 1 --learning-rate 0.02".split(' '));
    run.run().code(0).says(&["the model always answers"]);
    assert!(config(&model)["knowing"].is_null());
}

#[test]
fn a_background_without_videos_is_named() {
    let (dir, clips, _) = clips();
    let empty = dir.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let run = train(&clips, &dir.path().join("model")).arg("--background").arg(&empty).run();
    run.code(2).says(&["empty: no video in it"]);
}
