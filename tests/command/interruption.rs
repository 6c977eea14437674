//! Ctrl-C and readers that go away.
#![cfg(unix)]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Stdio};
use std::sync::LazyLock;

use crate::builder::{CLIP, classify, quick, sample};

/// A run over so many clips that it doesn't end by itself, after its first row.
fn started(args: &[&str]) -> (Child, BufReader<std::process::ChildStdout>, String) {
    static CLIPS: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
        let dir = tempfile::tempdir().unwrap();
        for i in 0..5000 {
            std::os::unix::fs::symlink(sample(CLIP), dir.path().join(format!("{i}.mp4"))).unwrap();
        }
        dir
    });
    let mut command = quick().args(["--format", "json"]).args(args).arg(CLIPS.path()).command();
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    if args.is_empty() {
        stdout.read_line(&mut first).unwrap();
    }
    (child, stdout, first)
}

fn interrupt(child: &Child) {
    signal(child, libc::SIGINT);
}

fn signal(child: &Child, signal: i32) {
    // SAFETY: sends a signal to a process that we started and have not waited for.
    assert_eq!(unsafe { libc::kill(child.id() as i32, signal) }, 0);
}

#[test]
fn ctrl_c_ends_with_whole_lines() {
    let (mut child, mut stdout, first) = started(&[]);
    interrupt(&child);
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(rest.is_empty() || rest.ends_with('\n'));
    let rows: Vec<&str> = first.lines().chain(rest.lines()).collect();
    for row in &rows {
        serde_json::from_str::<serde_json::Value>(row).unwrap();
    }
    assert!((1..5000).contains(&rows.len()), "{}", rows.len());
}

#[test]
fn ctrl_c_leaves_no_half_of_a_file_and_what_was_done() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.jsonl");
    let (mut child, ..) = started(&["-o", path.to_str().unwrap(), "-v"]);
    // The first line of -v says that the first clip is done.
    let mut line = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
    interrupt(&child);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(!path.exists());
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["a.jsonl.journal"]);
}

#[test]
fn a_closed_pipe_ends_it_quietly() {
    let (mut child, stdout, _) = started(&[]);
    drop(stdout);
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{stderr}");
    assert!(!stderr.contains("error"), "{stderr}");
}

#[test]
fn a_lost_terminal_ends_it_unless_nohup_said_otherwise() {
    use std::os::unix::process::CommandExt;
    for (ignored, clips, code) in [(false, 5000, 130), (true, 20, 0)] {
        let mut command = quick().args(["--format", "json"]).args(vec![sample(CLIP); clips]).command();
        // Set either way: the tests themselves may run under nohup.
        let action = if ignored { libc::SIG_IGN } else { libc::SIG_DFL };
        // SAFETY: signal is allowed between fork and exec; this is what nohup does.
        unsafe {
            command.pre_exec(move || {
                libc::signal(libc::SIGHUP, action);
                Ok(())
            })
        };
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut rows = String::new();
        stdout.read_line(&mut rows).unwrap();
        signal(&child, libc::SIGHUP);
        stdout.read_to_string(&mut rows).unwrap();
        assert_eq!((ignored, child.wait().unwrap().code()), (ignored, Some(code)));
        assert_eq!(rows.lines().count() == clips, ignored);
    }
}

/// Stands for a crash and for a hang inside the decoder library.
#[cfg(target_os = "linux")]
#[test]
fn a_lone_clip_that_crashes_or_hangs_is_an_error_like_any_other() {
    let long = || {
        let run = classify().args(["-m", "imagenet-lite0", "--frames", "400", "--size", "224"]);
        run.args(["--format", "csv"]).arg(sample("bikes.mp4"))
    };
    let mut command = long().command().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // The header says that the model is loaded and the clip begun.
    let mut stdout = BufReader::new(command.stdout.take().unwrap());
    let mut rows = String::new();
    stdout.read_line(&mut rows).unwrap();
    let copy = child_of(command.id()).expect("a copy is at work");
    // SAFETY: the process is a child of our child, which waits for it.
    assert_eq!(unsafe { libc::kill(copy, libc::SIGABRT) }, 0);
    stdout.read_to_string(&mut rows).unwrap();
    let mut stderr = String::new();
    command.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!(command.wait().unwrap().code(), Some(1), "{stderr}");
    assert!(stderr.contains("bikes.mp4: crashed the decoder: abort (signal 6)"), "{stderr}");
    assert_eq!(rows.lines().count(), 2, "{rows}");
    assert!(rows.trim_end().ends_with(",,,,,,crashed the decoder: abort (signal 6)"), "{rows}");

    let late = long().args(["--timeout", "0.3"]).run().code(1).says(&["not done within 0.3 s", "--timeout"]);
    assert_eq!(late.csv().len(), 2);
}

#[cfg(target_os = "linux")]
fn child_of(parent: u32) -> Option<i32> {
    fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        let its_parent = stat.rsplit_once(") ")?.1.split(' ').nth(1)?;
        let pid = entry.file_name().to_str()?.parse().ok()?;
        (its_parent == parent.to_string()).then_some(pid)
    })
}
