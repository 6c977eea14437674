//! Models that name none, one or several labels a clip: from the list to every kind of result.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::builder::{Run, classify, sample};

/// The samples, six files of each, and a list of what they show: bikes none of the labels.
fn list(dir: &Path) -> PathBuf {
    let mut text = String::from("path,labels,group\n");
    let shown = [("jumping_jacks", "jump|person"), ("balance_beam", "balance|person"), ("bikes", "")];
    for (clip, labels) in shown {
        for group in 1..=6u8 {
            // A box that players skip, of another length in each, makes them different files.
            let mut bytes = fs::read(sample(&format!("{clip}.mp4"))).unwrap();
            bytes.extend([0, 0, 0, 8 + group, b'f', b'r', b'e', b'e']);
            bytes.extend(vec![0; usize::from(group)]);
            let name = format!("{clip}_{group}.mp4");
            fs::write(dir.join(&name), bytes).unwrap();
            text += &format!("{name},{labels},{clip}{group}\n");
        }
    }
    let path = dir.join("clips.csv");
    fs::write(&path, text).unwrap();
    path
}

fn train(list: &Path, model: &Path, more: &str) -> Run {
    let settings =
        "--backbone imagenet-lite0 --frames 4 --size 64 --hidden 8 --batch 4 --no-cache --threads 1";
    let run = classify().arg("train").arg(list).arg("-o").arg(model);
    run.args(settings.split_whitespace()).args(more.split_whitespace())
}

fn label(model: &Path) -> Run {
    classify().arg("--model").arg(model)
}

fn set(cell: &str) -> BTreeSet<String> {
    cell.split('|').filter(|name| !name.is_empty()).map(String::from).collect()
}

#[test]
fn they_are_learned_and_every_kind_of_result_has_them() {
    let (clips, models) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (list, model) = (list(clips.path()), models.path().join("model"));
    let ran = train(&list, &model, "--learning-rate 0.01 --epochs 60 --mixup 0").run().code(0);
    let ran = ran.says(&["clips may show several labels", "none of them", "mAP"]);
    assert!(ran.stdout().starts_with("validation: mAP 1.000 on "), "{}", ran.stdout());
    let config: serde_json::Value =
        serde_json::from_slice(&fs::read(model.join("config.json")).unwrap()).unwrap();
    assert_eq!(config["scores"], "sigmoid");
    assert_eq!(config["thresholds"].as_array().unwrap().len(), 3);
    let card = fs::read_to_string(model.join("README.md")).unwrap();
    assert!(card.contains("Names none, one or several of 3 labels") && card.contains("| mAP |"), "{card}");
    let page = fs::read_to_string(model.join("report.html")).unwrap();
    assert!(page.contains("Labels together") && !page.contains("Confusion"), "{page}");

    let samples = ["jumping_jacks.mp4", "balance_beam.mp4", "bikes.mp4"].map(sample);
    let shown = [set("jump|person"), set("balance|person"), set("")];
    let rows = label(&model).args(["-f", "csv"]).args(&samples).run().code(0).csv();
    assert_eq!(rows[0][..3], ["path", "label", "score"]);
    assert_eq!(rows[0].last().map(String::as_str), Some("shown"));
    let found: Vec<BTreeSet<String>> = rows[1..].iter().map(|row| set(&row[1])).collect();
    assert_eq!(found, shown, "{rows:?}");
    assert!(rows[3][2].is_empty() && rows[1][2].parse::<f64>().is_ok(), "{rows:?}");

    // What a table holds stays what it is in JSON and in another table.
    let merge = |part: &str, to: &str| {
        classify().args(["merge", part, "-o", to]).folder(models.path()).run().code(0);
        fs::read_to_string(models.path().join(to)).unwrap()
    };
    for part in ["a.csv", "a.parquet"] {
        label(&model).args(&samples).args(["-o", part]).folder(models.path()).run().code(0);
    }
    // Merged rows come by the clips' names.
    let lines = |table: &str| table.lines().map(str::to_owned).collect::<BTreeSet<_>>();
    let table = lines(&fs::read_to_string(models.path().join("a.csv")).unwrap());
    for (part, to) in [("a.csv", "b.csv"), ("a.parquet", "c.csv")] {
        assert_eq!(lines(&merge(part, to)), table, "{part}");
    }
    for line in merge("a.csv", "d.jsonl").lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let labels = row["labels"].as_array().unwrap();
        let name = |label: &serde_json::Value| label["label"].as_str().unwrap().to_owned();
        let names: BTreeSet<String> = labels.iter().map(name).collect();
        let place = samples.iter().position(|clip| row["path"] == clip.to_str().unwrap()).unwrap();
        assert!(names == shown[place] && labels.iter().all(|one| one["above"] == true), "{row}");
    }

    let objects = label(&model).args(["-f", "json", "-k", "1"]).args(&samples).run().code(0).json();
    for (object, shown) in objects.iter().zip(&shown) {
        let labels = object["labels"].as_array().unwrap();
        let above = labels.iter().filter(|label| label["above"] == true);
        let above: BTreeSet<String> = above.map(|label| label["label"].as_str().unwrap().into()).collect();
        assert_eq!(above, *shown, "{object}");
        assert_eq!(labels.len(), shown.len().max(1), "{object}");
    }

    let text = label(&model).args(&samples).run().code(0).stdout();
    let blocks: Vec<&str> = text.split("\n\n").collect();
    assert!(
        blocks[0].contains("jump ") && blocks[0].contains("person ") && !blocks[0].contains("balance "),
        "{text}"
    );
    assert!(blocks[2].contains("nothing it knows; the best guesses are"), "{text}");
    let every = label(&model).args(["--threshold", "0"]).arg(&samples[2]).run().code(0).stdout();
    assert!(every.contains("balance") && !every.contains("nothing"), "{every}");

    let ran = label(&model).args(["--timeline", "-f", "csv"]).arg(&samples[0]).run().code(0);
    let segments: BTreeSet<String> = ran.csv()[1..].iter().map(|row| row[3].clone()).collect();
    assert_eq!(segments, shown[0], "{}", ran.stdout());
    // All of it at once, as in training: its pieces look like nothing that the model has seen.
    let none = label(&model).args(["--timeline", "--window", "10"]).arg(&samples[2]).run().code(0).stdout();
    assert!(none.contains("nothing it knows"), "{none}");

    let (report, sorted) = (models.path().join("report"), models.path().join("sorted"));
    let run = label(&model).args(&samples).arg("--report").arg(&report).arg("--sort-into").arg(&sorted);
    run.arg("--yes").run().code(0);
    let page = fs::read_to_string(report.join("index.html")).unwrap();
    for heading in ["<h2>person</h2>", "<h2>jump</h2>", "<h2>nothing it knows</h2>"] {
        assert!(page.contains(heading), "{heading}");
    }
    for place in ["jump/jumping_jacks.mp4", "person/jumping_jacks.mp4", "person/balance_beam.mp4"] {
        assert!(sorted.join(place).exists(), "{place}");
    }
    assert!(sorted.join("nothing known/bikes.mp4").exists() && !sorted.join("balance/bikes.mp4").exists());

    let eval = || classify().arg("eval").arg(&list).arg("--model").arg(&model);
    let figures = &eval().args(["-f", "json"]).run().code(0).json()[0];
    assert_eq!(figures["mean_average_precision"], 1.0, "{figures}");
    assert_eq!(figures["together"][2][1], 6, "{figures}");
    let text = eval().run().code(0).stdout();
    assert!(text.contains("mAP 1.000") && text.contains("there is no accuracy of the best one"), "{text}");

    // Measured on clips that show one label or none, of which one is wrongly called none: it is in the report.
    let single = clips.path().join("single.csv");
    fs::write(&single, "path,label\nbalance_beam_1.mp4,balance\njumping_jacks_1.mp4,_none_\n").unwrap();
    let report = models.path().join("single");
    let run = classify().arg("eval").arg(&single).arg("--model").arg(&model).arg("--report").arg(&report);
    run.run().code(0).says(&["names one label a clip"]);
    let page = fs::read_to_string(report.join("report.html")).unwrap();
    assert!(page.contains("jumping_jacks_1.mp4"), "{page}");

    let onnx = models.path().join("model.onnx");
    classify().args(["export", "--onnx"]).arg(&model).arg("-o").arg(&onnx).run().code(0);
    let bytes = fs::read(&onnx).unwrap();
    for key in ["scores", "sigmoid", "thresholds"] {
        assert!(bytes.windows(key.len()).any(|part| part == key.as_bytes()), "{key}");
    }
}

#[test]
fn the_network_is_tuned_for_several_labels_too() {
    let (clips, models) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (list, model) = (list(clips.path()), models.path().join("model"));
    let settings = "--finetune last --finetune-epochs 1 --epochs 1 --shown 2 --temporal-shift --luma-lag 0.1 \
                    --balance margins --mixup 0.8 --swap-backgrounds 0.5 --cross-validate 2";
    let ran = train(&list, &model, settings).run().code(0);
    let ran = ran.says(&["finetune", "clips are shown whole"]);
    assert!(ran.stdout().starts_with("2 folds: mAP "), "{}", ran.stdout());
    let metrics = fs::read_to_string(model.join("metrics.jsonl")).unwrap();
    assert!(metrics.contains("mean_average_precision"), "{metrics}");
    label(&model).arg(sample("bikes.mp4")).run().code(0);
}

#[test]
fn a_share_of_right_answers_to_keep_is_refused() {
    let (clips, models) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let run = train(&list(clips.path()), &models.path().join("model"), "--keep 0.9").run();
    run.code(2).says(&["--keep is for clips of one label each"]);
}

#[test]
fn a_model_of_one_label_is_not_measured_on_several() {
    let dir = tempfile::tempdir().unwrap();
    fs::copy(sample("bikes.mp4"), dir.path().join("a.mp4")).unwrap();
    let list = dir.path().join("clips.csv");
    fs::write(&list, "path,labels\na.mp4,PullUps|PushUps\n").unwrap();
    let run = classify().arg("eval").arg(&list).args(["--model", "ucf14-lite0-lstm"]);
    run.run().code(2).says(&["may show several labels, and ucf14-lite0-lstm names one"]);
}
