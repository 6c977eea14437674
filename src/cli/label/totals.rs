//! What is said of a run as a whole.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::{ClipLabels, Error, Timings};

use super::super::{Console, Status};

/// Counts clips while they come in.
pub(super) struct Totals {
    start: Instant,
    labelled: usize,
    pub failed: usize,
    /// Known from an earlier run; of these, how many had failed.
    known: usize,
    known_failed: usize,
    /// Files that are no videos.
    skipped: usize,
    time: Timings,
}

impl Totals {
    pub(super) fn new(skipped: usize) -> Self {
        Self {
            start: Instant::now(),
            labelled: 0,
            failed: 0,
            known: 0,
            known_failed: 0,
            skipped,
            time: Timings::default(),
        }
    }

    /// Counts a labelled clip and passes its warnings on.
    pub(super) fn labelled(&mut self, path: &Path, clip: &ClipLabels, console: &Console) {
        self.labelled += 1;
        self.time.decode += clip.timings.decode;
        self.time.resize += clip.timings.resize;
        self.time.backbone += clip.timings.backbone;
        self.time.head += clip.timings.head;
        for warning in &clip.warnings {
            console.warning(format!("{}: {warning}", path.display()));
        }
        console.detail(format!("{}: {}", path.display(), parts(&clip.timings)));
    }

    /// Counts a clip that couldn't be labelled and says why.
    pub(super) fn failed(&mut self, error: &Error, console: &Console) {
        self.failed += 1;
        console.error(error);
    }

    /// Counts a clip that an earlier run labelled, or failed on.
    pub(super) fn known(&mut self, failure: Option<&Error>, console: &Console) {
        self.known += 1;
        if let Some(error) = failure {
            self.known_failed += 1;
            console.error(error);
        }
    }

    /// The exit status that the counts ask for.
    pub(super) fn status(&self) -> Status {
        if self.failed + self.known_failed > 0 { Status::SomeFailed } else { Status::Done }
    }

    /// Says the figures of a run of several clips.
    pub(super) fn say(&self, console: &Console) {
        let clips = self.labelled + self.failed;
        let seconds = self.start.elapsed().as_secs_f64();
        if self.known > 0 {
            let failed = match self.known_failed {
                0 => String::new(),
                n => format!(", {n} of them with an error (--retry-failed tries again)"),
            };
            console.note(format!("{} clips known from an earlier run{failed}", self.known));
        }
        if clips > 1 || (clips > 0 && self.skipped > 0) {
            let failed = if self.failed > 0 { format!(", {} failed", self.failed) } else { String::new() };
            let skipped = match self.skipped {
                0 => String::new(),
                1 => ", 1 other file skipped".into(),
                n => format!(", {n} other files skipped"),
            };
            let rate = clips as f64 / seconds;
            console.note(format!(
                "{} of {clips} clips labelled in {seconds:.1} s ({rate:.1} clips/s){failed}{skipped}",
                self.labelled
            ));
        }
        if clips > 1 {
            console.detail(format!("all clips, over all cores: {}", parts(&self.time)));
        }
    }
}

fn parts(time: &Timings) -> String {
    let ms = |d: Duration| format!("{:.1} ms", d.as_secs_f64() * 1e3);
    format!(
        "decode {}, resize {}, network {}, head over time {}",
        ms(time.decode),
        ms(time.resize),
        ms(time.backbone),
        ms(time.head)
    )
}
