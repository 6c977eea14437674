//! A run of the command and what came of it.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

pub(crate) use crate::files::{sample, shared};
pub(crate) use crate::ran::Ran;

/// The clip that most tests use.
pub(crate) const CLIP: &str = "jumping_jacks.mp4";

/// The command, to be given its arguments.
pub(crate) struct Run {
    command: Command,
}

/// `classify`, without the models that whoever runs the tests has pulled and trained.
pub(crate) fn classify() -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_classify"));
    for name in ["HF_HOME", "XDG_STATE_HOME"] {
        command.env(name, Path::new(env!("CARGO_TARGET_TMPDIR")).join(name));
    }
    command.env_remove("HF_HUB_CACHE");
    command.env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE").stdin(Stdio::null());
    Run { command }
}

/// `classify` with a small model and few frames: what most tests are about isn't the answer.
pub(crate) fn quick() -> Run {
    classify().args(["--model", "imagenet-lite0", "--frames", "2", "--size", "64"])
}

impl Run {
    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    pub(crate) fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.command.args(args);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn folder(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// The command itself, for what this builder doesn't do.
    pub(crate) fn command(self) -> Command {
        self.command
    }

    /// Runs to the end.
    pub(crate) fn run(mut self) -> Ran {
        Ran(self.command.output().unwrap())
    }
}

impl Ran {
    /// Lines of standard output as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Vec<serde_json::Value> {
        self.stdout().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Standard output as a table, header first.
    #[track_caller]
    pub(crate) fn csv(&self) -> Vec<Vec<String>> {
        let stdout = self.stdout();
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(stdout.as_bytes());
        reader.records().map(|row| row.unwrap().iter().map(Into::into).collect()).collect()
    }
}
