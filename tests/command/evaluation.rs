//! `classify eval`: which clips it measures, and when there is nothing to measure.

use std::fs;
use std::path::Path;

use crate::builder::{Ran, classify, sample};

/// Evaluates a list with one clip for training, whose row is `clip,0,train`, and the rows `more`.
fn eval(more: &str) -> Ran {
    let dir = tempfile::tempdir().unwrap();
    let clip = |name: &str| fs::copy(sample("jumping_jacks.mp4"), dir.path().join(name)).unwrap();
    clip("learned.mp4");
    clip("new.mp4");
    fs::write(dir.path().join("broken.mp4"), "no video").unwrap();
    let list = dir.path().join("clips.csv");
    fs::write(&list, format!("path,label,split\nlearned.mp4,0,train\n{more}")).unwrap();
    measure(&list)
}

fn measure(list: &Path) -> Ran {
    let settings = "--model imagenet-lite0 --frames 2 --size 64 --format json --threads 1";
    classify().arg("eval").arg(list).args(settings.split_whitespace()).run()
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
