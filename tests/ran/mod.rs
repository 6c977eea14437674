//! A run of the command that has ended, for all tests that start it.

use std::process::Output;

pub(crate) struct Ran(pub Output);

impl Ran {
    pub(crate) fn stdout(&self) -> String {
        String::from_utf8(self.0.stdout.clone()).expect("results are UTF-8")
    }

    pub(crate) fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.0.stderr).into_owned()
    }

    /// Checks the exit status.
    #[track_caller]
    pub(crate) fn code(self, code: i32) -> Self {
        assert_eq!(self.0.status.code(), Some(code), "stdout: {}\nstderr: {}", self.stdout(), self.stderr());
        self
    }

    /// Checks that standard error holds each of `texts`.
    #[track_caller]
    pub(crate) fn says(self, texts: &[&str]) -> Self {
        let stderr = self.stderr();
        assert!(texts.iter().all(|text| stderr.contains(text)), "{texts:?} not all in: {stderr}");
        self
    }
}
