//! `classify annotate` while it runs.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

/// What the made-up clips show.
pub(crate) const KINDS: [&str; 3] = ["bars", "fractal", "life"];

/// A small network and a small look at the clips: what most tests are about isn't how good the model is.
pub(crate) const QUICK: [&str; 6] = ["--backbone", "imagenet-lite0", "--frames", "4", "--size", "64"];

pub(crate) struct Program {
    child: Child,
    stdout: BufReader<ChildStdout>,
    /// Of the page, with the token.
    pub address: String,
}

/// How it ended.
pub(crate) struct Ended {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Program {
    /// Labels the clips of `clips` into `list`; features are kept beside that.
    pub(crate) fn start(clips: &Path, list: &Path, arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_classify"))
            .arg("annotate")
            .arg(clips)
            .arg("-o")
            .arg(list)
            .args(["--no-open", "--cache"])
            .arg(list.with_file_name("cache"))
            .args(arguments)
            .env("XDG_STATE_HOME", list.with_file_name("state"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut address = String::new();
        stdout.read_line(&mut address).unwrap();
        if address.is_empty() {
            let mut stderr = String::new();
            child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
            panic!("it didn't start: {stderr}");
        }
        Self { child, stdout, address: address.trim().to_owned() }
    }

    /// The same with little to compute, and a key for each of the made-up [`KINDS`].
    pub(crate) fn of_kinds(clips: &Path, list: &Path) -> Self {
        Self::start(clips, list, &[&QUICK[..], &["--labels", &KINDS.join(",")]].concat())
    }

    pub(crate) fn port(&self) -> String {
        let rest = self.address.split("127.0.0.1:").nth(1).unwrap();
        rest.split('/').next().unwrap().to_owned()
    }

    /// As a power cut ends it.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// As Ctrl-C ends it.
    pub(crate) fn interrupt(mut self) -> Ended {
        // SAFETY: sends a signal to a process that we started and have not waited for.
        assert_eq!(unsafe { libc::kill(self.child.id() as i32, libc::SIGINT) }, 0);
        let (mut stdout, mut stderr) = (String::new(), String::new());
        self.child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        self.stdout.read_to_string(&mut stdout).unwrap();
        Ended { status: self.child.wait().unwrap(), stdout, stderr }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The labels in the list at `path`, by the clips' names; each clip stands there once.
pub(crate) fn labels(path: &Path) -> BTreeMap<String, String> {
    let mut reader = csv::Reader::from_path(path).unwrap();
    assert_eq!(reader.headers().unwrap().iter().take(2).collect::<Vec<_>>(), ["path", "label"]);
    let mut labels = BTreeMap::new();
    for row in reader.records().map(Result::unwrap) {
        let name = PathBuf::from(&row[0]).file_name().unwrap().to_string_lossy().into_owned();
        assert_eq!(labels.insert(name, row[1].to_owned()), None, "{row:?} stands there twice");
    }
    labels
}
