//! `-o FILE`.

use std::fs;

use crate::builder::{CLIP, quick, sample};

#[test]
fn the_ending_decides_the_format_unless_told() {
    let dir = tempfile::tempdir().unwrap();
    let write = |args: &[&str]| {
        let ran = quick().args(args).arg(sample(CLIP)).folder(dir.path()).run().code(0);
        assert_eq!(ran.stdout(), "");
        fs::read_to_string(dir.path().join(args[1])).unwrap()
    };
    assert!(write(&["-o", "a.csv"]).starts_with("path,label,"));
    assert!(write(&["-o", "a.jsonl"]).starts_with("{\"path\":"));
    assert!(write(&["-o", "a.json"]).starts_with("{\"path\":"));
    let text = write(&["-o", "a.txt", "--force"]);
    assert!(text.contains(" %") && !text.contains('\x1b'));
    assert!(write(&["-o", "b.csv", "--format", "json"]).starts_with("{\"path\":"));
    quick()
        .args(["-o", "a.xyz"])
        .arg(sample(CLIP))
        .folder(dir.path())
        .run()
        .code(2)
        .says(&["a.xyz", "--format"]);
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 5, "{left:?}");
}

#[test]
fn an_existing_file_is_replaced_only_by_force() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.csv");
    fs::write(&path, "precious").unwrap();
    let run = |args: &[&str]| quick().args(["-o"]).arg(&path).args(args).arg(sample(CLIP)).run();
    run(&[]).code(2).says(&["a.csv", "--force"]);
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    run(&["--force"]).code(0);
    assert!(fs::read_to_string(&path).unwrap().starts_with("path,"));
}

#[test]
fn a_place_that_cannot_be_written_is_refused_before_any_work() {
    let dir = tempfile::tempdir().unwrap();
    let run = |path: &str| quick().args(["-o", path]).arg(sample(CLIP)).folder(dir.path()).run().code(2);
    run("no/such/folder.csv").says(&["no/such/folder.csv"]);
    let said = run("no/such/folder.csv").stderr();
    assert!(said.contains("there is no folder no/such; make it") && !said.contains(".classify-"), "{said}");
    fs::create_dir(dir.path().join("out.csv")).unwrap();
    run("out.csv").says(&["folder"]);
}

#[test]
fn failed_clips_are_in_the_file_too() {
    let dir = tempfile::tempdir().unwrap();
    quick().args(["-o", "a.csv", "gone.mp4"]).arg(sample(CLIP)).folder(dir.path()).run().code(1);
    assert_eq!(fs::read_to_string(dir.path().join("a.csv")).unwrap().lines().count(), 3);
}
