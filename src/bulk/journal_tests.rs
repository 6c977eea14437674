use std::path::{Path, PathBuf};

use serde_json::json;

use super::*;

type TestJournal = Journal<String>;

fn header(digest: &str) -> Header {
    Header::new(digest, json!({"top": 5}))
}

fn stamp(size: u64) -> Option<Stamp> {
    Some(Stamp { size, mtime_ns: 7, checksum: None })
}

fn clip(i: u64) -> PathBuf {
    format!("clips/{i}.mp4").into()
}

/// A journal of `rows` clips of sizes 0, 1, … in a new folder.
fn journal(rows: u64) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("labels.csv.journal");
    let mut journal = TestJournal::open(&path, &header("a"), false).unwrap();
    for i in 0..rows {
        journal.add(&clip(i), stamp(i), &format!("result {i}")).unwrap();
    }
    (folder, path)
}

#[test]
fn results_come_back_and_changed_clips_do_not_count() {
    let (_folder, path) = journal(3);
    let mut again = TestJournal::open(&path, &header("a"), false).unwrap();
    for i in 0..3 {
        assert!(again.knows(&clip(i), stamp(i).as_ref()));
        assert_eq!(again.result(&clip(i)).unwrap(), Some(format!("result {i}")));
    }
    assert!(!again.knows(&clip(1), stamp(9).as_ref()), "its size changed");
    assert!(!again.knows(&clip(1), None), "it is gone");
    assert!(!again.knows(&clip(3), stamp(3).as_ref()), "it is new");
    again.add(&clip(1), stamp(9), &"new".into()).unwrap();
    drop(again);
    let mut last = TestJournal::open(&path, &header("a"), false).unwrap();
    assert_eq!(last.result(&clip(1)).unwrap().unwrap(), "new", "the last row counts");
}

#[test]
fn a_journal_cut_off_at_any_byte_loses_the_torn_row_only() {
    let (_folder, path) = journal(3);
    let whole = std::fs::read(&path).unwrap();
    for cut in 0..whole.len() {
        std::fs::write(&path, &whole[..cut]).unwrap();
        let lines = whole[..cut].iter().filter(|b| **b == b'\n').count() as u64;
        let mut journal = TestJournal::open(&path, &header("a"), false).unwrap();
        for i in 0..3 {
            assert_eq!(journal.knows(&clip(i), stamp(i).as_ref()), i + 1 < lines, "cut at {cut}, clip {i}");
            if i + 1 >= lines {
                journal.add(&clip(i), stamp(i), &format!("result {i}")).unwrap();
            }
        }
        drop(journal);
        assert_eq!(std::fs::read(&path).unwrap(), whole, "cut at {cut}: repaired and filled");
    }
}

#[test]
fn another_model_starts_anew_and_the_first_one_is_not_forgotten() {
    let (_folder, path) = journal(2);
    let other = TestJournal::open(&path, &header("b"), false).unwrap();
    assert!(!other.knows(&clip(0), stamp(0).as_ref()));
    drop(other);
    let mut first = TestJournal::open(&path, &header("a"), false).unwrap();
    assert!(first.knows(&clip(0), stamp(0).as_ref()));
    first.add(&clip(2), stamp(2), &"result 2".into()).unwrap();
    drop(first);
    let again = TestJournal::open(&path, &header("a"), false).unwrap();
    assert!(again.knows(&clip(2), stamp(2).as_ref()), "added under the header that was written again");
}

#[test]
fn damaged_lines_are_counted_and_done_again() {
    let (_folder, path) = journal(3);
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace(r#"{"path":"clips/1.mp4""#, "\0\0\0")).unwrap();
    let journal = TestJournal::open(&path, &header("a"), false).unwrap();
    assert_eq!(journal.damaged(), 1);
    assert!(!journal.knows(&clip(1), stamp(1).as_ref()));
    assert!(journal.knows(&clip(2), stamp(2).as_ref()));
}

#[test]
fn a_file_that_is_no_journal_is_left_alone() {
    for content in ["my notes", "a,b\n1,2\n", "{\"journal\":\"other\"}\n"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        std::fs::write(&path, content).unwrap();
        let error = TestJournal::open(&path, &header("a"), false).err().unwrap().to_string();
        assert!(error.contains("not a journal"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
    }
}

#[test]
fn two_runs_cannot_share_a_journal() {
    let (_folder, path) = journal(0);
    let _held = TestJournal::open(&path, &header("a"), false).unwrap();
    let error = TestJournal::open(&path, &header("a"), false).err().unwrap().to_string();
    assert!(error.contains("another run"), "{error}");
}

#[test]
fn a_checksum_tells_a_copy_from_a_change() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (folder.path().join("a"), folder.path().join("b"));
    std::fs::write(&a, "content").unwrap();
    std::fs::write(&b, "content").unwrap();
    std::fs::File::open(&b).unwrap().set_modified(UNIX_EPOCH).unwrap();
    let of = |path, checksum| Stamp::of(path, checksum).unwrap();
    assert!(!of(&b, false).is_unchanged(&of(&a, false)));
    assert!(of(&b, true).is_unchanged(&of(&a, true)));
    assert!(!of(&b, true).is_unchanged(&of(&a, false)), "a row without checksum is done again");
    std::fs::write(&b, "Content").unwrap();
    assert!(!of(&b, true).is_unchanged(&of(&a, true)));
    assert_eq!(Stamp::of(Path::new("/no/such/clip"), false), None);
}

#[cfg(unix)]
#[test]
fn names_that_are_not_utf8_are_told_apart() {
    use std::os::unix::ffi::OsStrExt;
    let name = |bytes: &[u8]| PathBuf::from(std::ffi::OsStr::from_bytes(bytes));
    let (_folder, path) = journal(0);
    let mut journal = TestJournal::open(&path, &header("a"), false).unwrap();
    for bytes in [b"\xff.mp4", b"\xfe.mp4"] {
        journal.add(&name(bytes), stamp(1), &format!("{bytes:?}")).unwrap();
    }
    drop(journal);
    let mut journal = TestJournal::open(&path, &header("a"), false).unwrap();
    for bytes in [b"\xff.mp4", b"\xfe.mp4"] {
        assert_eq!(journal.result(&name(bytes)).unwrap(), Some(format!("{bytes:?}")));
    }
}
