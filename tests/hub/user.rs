//! A user of the command, with folders of their own.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub(crate) use crate::ran::Ran;
use crate::server::Hub;

pub(crate) struct User {
    pub home: tempfile::TempDir,
    pub hub: Hub,
}

impl User {
    pub(crate) fn of(hub: &Hub) -> Self {
        Self { home: tempfile::tempdir().unwrap(), hub: hub.clone() }
    }

    /// The cache folder.
    pub(crate) fn cache(&self) -> PathBuf {
        self.home.path().join("hf/hub")
    }

    /// The cache folder of the model `name`.
    pub(crate) fn model(&self, name: &str) -> PathBuf {
        self.cache().join(format!("models--{}", name.replace('/', "--")))
    }

    /// `classify ARGS`, with nothing of the machine's own settings.
    pub(crate) fn command<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_classify"));
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            if name.starts_with("HF_") || name.starts_with("XDG_") || name.to_lowercase().ends_with("_proxy")
            {
                command.env_remove(name);
            }
        }
        command.env("HOME", self.home.path()).env("HF_HOME", self.home.path().join("hf"));
        command.env("HF_ENDPOINT", &self.hub.address).current_dir(self.home.path()).stdin(Stdio::null());
        command.args(args);
        command
    }

    pub(crate) fn run(&self, args: &str) -> Ran {
        Ran(self.command(args.split_whitespace()).output().unwrap())
    }

    pub(crate) fn run_with(&self, args: &str, name: &str, value: &str) -> Ran {
        Ran(self.command(args.split_whitespace()).env(name, value).output().unwrap())
    }

    /// Names in a folder, sorted.
    pub(crate) fn names(dir: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(dir).into_iter().flatten();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Ran {
    /// Checks that it ends with one line of error that holds each of `texts`.
    #[track_caller]
    pub(crate) fn refuses(self, texts: &[&str]) -> Self {
        let ran = self.code(2).says(texts);
        let errors = ran.stderr().lines().filter(|line| line.starts_with("error: ")).count();
        assert_eq!((errors, ran.stdout().as_str()), (1, ""), "{}", ran.stderr());
        ran
    }
}
