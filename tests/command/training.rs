//! `classify train`, killed and interrupted.
#![cfg(unix)]

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::builder::{Run, classify, sample};

/// Two classes of six clips. A box that players skip, of another length in each, makes them different
/// files; the pictures are the same, as nothing here is about how much is learned.
fn clips() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (label, clip) in [("jump", "jumping_jacks.mp4"), ("balance", "balance_beam.mp4")] {
        let folder = dir.path().join(label);
        fs::create_dir(&folder).unwrap();
        for group in 1..=6u8 {
            let mut bytes = fs::read(sample(clip)).unwrap();
            bytes.extend([0, 0, 0, 8 + group, b'f', b'r', b'e', b'e']);
            bytes.extend(vec![0; usize::from(group)]);
            fs::write(folder.join(format!("v_{label}_g{group:02}_c01.mp4")), bytes).unwrap();
        }
    }
    dir
}

fn train(clips: &Path, model: &Path) -> Run {
    let settings = "--backbone imagenet-lite0 --frames 4 --size 64 --hidden 8 --epochs 2 --batch 4 --finetune last \
                    --finetune-epochs 8 --shown 3 --temporal-shift --luma-lag 0.1 --cut-bars --swap-backgrounds 0.5 \
                    --no-cache --threads 1";
    classify().arg("train").arg(clips).arg("-o").arg(model).args(settings.split_whitespace())
}

/// A training that is an epoch into `stage`.
fn started(train: Run, model: &Path, stage: &str) -> Child {
    let mut command = train.command();
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let checkpoint = model.join(format!("checkpoints/{stage}.safetensors"));
    let begin = Instant::now();
    while !checkpoint.exists() {
        assert!(child.try_wait().unwrap().is_none(), "it ended before {stage}");
        assert!(begin.elapsed() < Duration::from_secs(120), "no checkpoint");
        std::thread::sleep(Duration::from_millis(1));
    }
    child
}

#[test]
fn killed_while_fine_tuning_it_goes_on_to_the_same_weights() {
    let (clips, models) = (clips(), tempfile::tempdir().unwrap());
    let (undisturbed, killed) = (models.path().join("undisturbed"), models.path().join("killed"));
    train(clips.path(), &undisturbed).run().code(0);

    let mut child = started(train(clips.path(), &killed), &killed, "finetune");
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGKILL));
    assert!(!killed.join("model.safetensors").exists());
    train(clips.path(), &killed).run().code(2).says(&["--resume goes on from there"]);
    train(clips.path(), &killed).arg("--resume").run().code(0);

    let weights = |model: &Path| fs::read(model.join("model.safetensors")).unwrap();
    assert!(weights(&undisturbed) == weights(&killed), "other weights");
    let epochs = |model: &Path| {
        let rows = fs::read_to_string(model.join("metrics.jsonl")).unwrap();
        rows.lines().filter(|row| row.contains("\"finetune\"")).count()
    };
    assert_eq!(epochs(&undisturbed), epochs(&killed));
}

#[test]
fn interrupted_it_leaves_the_best_model_so_far() {
    let (clips, models) = (clips(), tempfile::tempdir().unwrap());
    let model = models.path().join("model");
    let mut child = started(train(clips.path(), &model), &model, "finetune");
    // SAFETY: sends a signal to a process that we started and have not waited for.
    assert_eq!(unsafe { libc::kill(child.id() as i32, libc::SIGINT) }, 0);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let card = fs::read_to_string(model.join("README.md")).unwrap();
    assert!(card.contains("| Scores | as they are: training was ended early |"), "{card}");
    let ran = classify().arg("--model").arg(&model).arg(sample("jumping_jacks.mp4")).run().code(0);
    assert!(ran.stdout().contains("balance"), "{}", ran.stdout());
}

#[test]
fn interrupted_in_the_refit_it_leaves_the_validated_model() {
    let (clips, models) = (clips(), tempfile::tempdir().unwrap());
    let model = models.path().join("model");
    let run = train_head(clips.path(), &model, 300).args(["--patience", "300"]);
    let mut child = started(run, &model, "refit head");
    // SAFETY: sends a signal to a process that we started and have not waited for.
    assert_eq!(unsafe { libc::kill(child.id() as i32, libc::SIGINT) }, 0);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let rows = stages(&model);
    assert!(rows.iter().all(|(stage, _)| !stage.starts_with("refit")), "{rows:?}");
    let card = fs::read_to_string(model.join("README.md")).unwrap();
    assert!(card.contains("| Refitted | no |"), "{card}");
}

/// Only the head, on the frozen CNN.
fn train_head(clips: &Path, model: &Path, epochs: usize) -> Run {
    let settings = format!(
        "--backbone imagenet-lite0 --frames 4 --size 64 --hidden 8 --epochs {epochs} --batch 4 --no-cache --threads 1"
    );
    classify().arg("train").arg(clips).arg("-o").arg(model).args(settings.split_whitespace())
}

fn stages(model: &Path) -> Vec<(String, bool)> {
    let rows = fs::read_to_string(model.join("metrics.jsonl")).unwrap();
    let row = |line: &str| -> serde_json::Value { serde_json::from_str(line).unwrap() };
    let stage = |row: serde_json::Value| (row["stage"].as_str().unwrap().into(), row["validation"].is_null());
    rows.lines().map(row).map(stage).collect()
}

#[test]
fn the_head_is_refitted_on_all_clips_as_long_as_validation_said() {
    let (clips, models) = (clips(), tempfile::tempdir().unwrap());
    let (refitted, plain) = (models.path().join("refitted"), models.path().join("plain"));
    let with = train_head(clips.path(), &refitted, 3).run().code(0);
    let without = train_head(clips.path(), &plain, 3).arg("--no-refit").run().code(0);
    // What is said is how good the validated model was.
    let verdict = |run: &str| run.lines().find(|line| line.starts_with("validation:")).map(str::to_owned);
    assert!(verdict(&with.stdout()).is_some());
    assert_eq!(verdict(&with.stdout()), verdict(&without.stdout()));

    let (with, without) = (stages(&refitted), stages(&plain));
    assert_eq!(with[..without.len()], without[..]);
    assert!(without.iter().all(|(_, unvalidated)| !unvalidated));
    let refit = &with[without.len()..];
    assert!(
        refit.iter().all(|(stage, unvalidated)| stage.starts_with("refit ") && *unvalidated),
        "{refit:?}"
    );
    let epochs = |rows: &[(String, bool)], name: &str| rows.iter().filter(|(stage, _)| stage == name).count();
    assert_eq!(epochs(refit, "refit head"), epochs(&without, "head"));
    assert_eq!(epochs(refit, "refit baseline"), epochs(&without, "baseline"));

    let weights = |model: &Path| fs::read(model.join("model.safetensors")).unwrap();
    assert!(weights(&refitted) != weights(&plain), "the refit changed nothing");
    let card = fs::read_to_string(refitted.join("README.md")).unwrap();
    assert!(card.contains("| Refitted | the head, on training and validation clips together"), "{card}");
}

#[test]
fn a_head_no_better_than_the_tuned_one_leaves_the_refit_to_cnn_and_head() {
    let (clips, models) = (clips(), tempfile::tempdir().unwrap());
    let model = models.path().join("model");
    train(clips.path(), &model).args(["--balance", "margins"]).run().code(0);
    let metrics = fs::read_to_string(model.join("metrics.jsonl")).unwrap();
    let rows: Vec<serde_json::Value> =
        metrics.lines().map(|row| serde_json::from_str(row).unwrap()).collect();
    let kept = |stage: &str| {
        let row = rows.iter().rfind(|row| row["stage"] == stage && row["best"] == true).unwrap();
        row["validation"]["macro_f1"].as_f64().unwrap()
    };
    // The clips of a class show the same: both heads know all of them.
    assert_eq!(kept("head"), kept("finetune"));
    let trained = |stage: &str| rows.iter().any(|row| row["stage"] == stage);
    assert!(trained("refit finetune") && trained("refit baseline") && !trained("refit head"), "{metrics}");
    let card = fs::read_to_string(model.join("README.md")).unwrap();
    for fact in [
        "| Refitted | CNN and head, on training and validation clips together",
        "| Rare classes | drawn as often as others; the fewer source videos, the larger the margin",
        "| Scores | logits over ",
        "instead of colours; black bars cut off |",
    ] {
        assert!(card.contains(fact), "{fact}: {card}");
    }
    let shown = classify().args(["models", "show"]).arg(&model).run().code(0);
    assert!(shown.stdout().contains("64×64 pixels, black bars cut off"), "{}", shown.stdout());
}

#[test]
fn cross_validation_says_how_even_the_results_are() {
    let (clips, models) = (clips(), tempfile::tempdir().unwrap());
    let model = models.path().join("model");
    let ran = train_head(clips.path(), &model, 3).args(["--cross-validate", "3"]).run().code(0);
    assert!(ran.stdout().starts_with("3 folds: "), "{}", ran.stdout());
    assert!(ran.stderr().contains("fold 3 of 3"), "{}", ran.stderr());
    assert!(model.join("model.safetensors").exists());
}

#[test]
fn it_does_not_go_on_with_the_training_of_other_clips_or_settings() {
    let (clips, models) = (clips(), tempfile::tempdir().unwrap());
    let model = models.path().join("model");
    train_head(clips.path(), &model, 3).run().code(0);
    let weights = || fs::read(model.join("model.safetensors")).unwrap();
    let before = weights();
    let resumed = || train_head(clips.path(), &model, 3).arg("--resume");
    resumed().args(["--mixup", "0.5"]).run().code(2).says(&["other settings or other clips"]);
    assert!(weights() == before);
    resumed().run().code(0);
    assert!(weights() == before, "taken up with the same settings it ends the same");
    fs::remove_file(clips.path().join("jump/v_jump_g01_c01.mp4")).unwrap();
    resumed().run().code(2).says(&["other settings or other clips"]);
}

#[test]
fn a_model_looks_at_clips_as_it_was_asked_to_in_training() {
    let (clips, models) = (clips(), tempfile::tempdir().unwrap());
    let model = models.path().join("model");
    train_head(clips.path(), &model, 1).args(["--windows", "2", "--fps", "5", "--cut-bars"]).run().code(0);
    let config: serde_json::Value =
        serde_json::from_slice(&fs::read(model.join("config.json")).unwrap()).unwrap();
    assert_eq!(config["sampling"], serde_json::json!({"windows": 2, "frames": 4, "fps": 5.0}), "{config}");
    let card = fs::read_to_string(model.join("README.md")).unwrap();
    assert!(
        card.contains("2 windows of 4 frames, 5 a second") && card.contains("black bars cut off"),
        "{card}"
    );
}

#[test]
fn it_refuses_what_can_not_be_before_it_looks_at_a_clip() {
    let (clips, models) = (clips(), tempfile::tempdir().unwrap());
    let refused = |settings: &str, says: &str| {
        let run = classify().arg("train").arg(clips.path()).arg("-o").arg(models.path().join("model"));
        let ran = run.args(settings.split_whitespace()).run().code(2).says(&[says]);
        assert!(!ran.stderr().contains("validation loss"), "{}", ran.stderr());
    };
    refused("--backbone kinetics400-i3d --finetune all", "a 3D network stays as it is");
    refused("--finetune all --head mean", "leave out --head mean");
    refused("--finetune all --windows 3", "say --windows 1");
    refused("--finetune all --fps 5", "leave out --fps");
    refused("--finetune all --preset quick", "--preset");
    refused("--backbone imagenet-lite0 --fps 0", "between 0.01 and 1000");
    refused("--backbone imagenet-lite0 --temporal-shift", "--finetune");
    refused("--finetune all --preset best", "a 3D network stays as it is");
    refused("--backbone imagenet-lite0 --luma-lag 20", "at most 10");
    refused("--backbone imagenet-lite0 --finetune last --swap-backgrounds 0.5", "needs --luma-lag");
    refused("--backbone imagenet-lite0 --mixup 1e-15", "0 or at least");
    refused("--backbone imagenet-lite0 --learning-rate nan", "above 0");
}

#[test]
fn it_does_not_replace_what_lies_in_another_ones_folder() {
    let (clips, project) = (clips(), tempfile::tempdir().unwrap());
    let readme = project.path().join("README.md");
    fs::write(&readme, "my project").unwrap();
    train_head(clips.path(), project.path(), 3).run().code(2).says(&["README.md: exists already"]);
    assert_eq!(fs::read_to_string(&readme).unwrap(), "my project");
}

#[test]
fn a_cache_that_can_not_be_written_costs_a_warning() {
    let (clips, models) = (clips(), tempfile::tempdir().unwrap());
    let no_folder = models.path().join("file");
    fs::write(&no_folder, "").unwrap();
    let settings = "--backbone imagenet-lite0 --frames 4 --size 64 --epochs 1 --threads 1 --cache";
    let run = classify().arg("train").arg(clips.path()).arg("-o").arg(models.path().join("model"));
    let ran = run.args(settings.split_whitespace()).arg(&no_folder).run().code(0);
    let warning = "features can't be kept for the next run";
    assert_eq!(ran.stderr().matches(warning).count(), 1, "{}", ran.stderr());
}
