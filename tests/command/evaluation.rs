//! `classify eval`: which clips it measures, and when there is nothing to measure.

use std::fs;

use crate::builder::{Ran, classify, sample};

/// Evaluates a list with one clip for training, whose row is `clip,0,train`, and the rows `more`.
fn eval(more: &str) -> Ran {
    eval_as("json", more)
}

fn eval_as(format: &str, more: &str) -> Ran {
    let dir = tempfile::tempdir().unwrap();
    let clip = |of: &str, name: &str| fs::copy(sample(of), dir.path().join(name)).unwrap();
    clip("jumping_jacks.mp4", "learned.mp4");
    clip("jumping_jacks.mp4", "new.mp4");
    clip("bikes.mp4", "other.mp4");
    fs::write(dir.path().join("broken.mp4"), "no video").unwrap();
    let list = dir.path().join("clips.csv");
    fs::write(&list, format!("path,label,split\nlearned.mp4,0,train\n{more}")).unwrap();
    let settings = "--model imagenet-lite0 --frames 2 --size 64 --threads 1 --format";
    classify().arg("eval").arg(&list).args(settings.split_whitespace()).arg(format).run()
}

#[test]
fn missing_test_clips_are_answered_wrongly_and_not_replaced_by_training_clips() {
    let ran = eval("new.mp4,0,test\ngone.mp4,0,test\n").code(1).says(&["gone.mp4: no such file"]);
    let figures = &ran.json()[0];
    assert_eq!((&figures["split"], &figures["clips"]), (&"test".into(), &2.into()));

    let ran = eval("gone.mp4,0,test\nbroken.mp4,0,test\n").code(2);
    let ran = ran.says(&["none of the 2 clips to measure can be read", "gone.mp4: no such file"]);
    assert_eq!(ran.stdout(), "");
}

#[test]
fn clips_that_may_have_been_trained_on_are_measured_with_a_warning() {
    let ran = eval("new.mp4,0,val\n").says(&["may have been trained on"]).code(0);
    assert_eq!(ran.json()[0]["split"], "all");
    let ran = eval("new.mp4,0,test\n").code(0);
    assert!(!ran.stderr().contains("may have been trained on"), "{}", ran.stderr());
}

#[test]
fn of_clips_that_show_no_label_is_said_what_can_be_said() {
    let rows = "other.mp4,_none_,test\ngone.mp4,_none_,test\n";
    let ran = eval(rows).code(1).says(&["gone.mp4: no such file"]);
    let figures = &ran.json()[0];
    assert_eq!((&figures["clips"], &figures["doubt"]["none"]), (&0.into(), &2.into()));
    assert!(figures["accuracy"].is_null() && figures["macro_f1"].is_null(), "{figures}");
    assert_eq!(figures["unreadable"].as_array().unwrap().len(), 1);

    let text = eval_as("text", rows).code(1).stdout();
    assert!(text.starts_with("test: 2 clips, none with a label\n1 unreadable, "), "{text}");
    assert!(text.ends_with("of all clips dealt with rightly\n") && !text.contains("macro-F1"), "{text}");
    let text = eval_as("text", &format!("learned.mp4,0,test\n{rows}")).code(1).stdout();
    assert!(text.contains("of 1 clips right") && text.contains(", 1 unreadable, "), "{text}");
}
