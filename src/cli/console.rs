//! Everything that is said beside the results, on standard error.

use std::fmt::Display;
use std::io::{IsTerminal, Write, stderr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::output::one_line;
use anstyle::{AnsiColor, Style};
use indicatif::{DecimalBytes, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();

/// How much is said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::Args)]
pub(super) struct Verbosity {
    /// Say errors only: no progress, no warnings, no summary
    #[arg(short, long, conflicts_with = "verbose", help_heading = None::<&str>)]
    pub quiet: bool,
    /// Say how long decoding, network and head took
    #[arg(short, long, help_heading = None::<&str>)]
    pub verbose: bool,
}

/// Messages, one a line, and a progress bar that they don't tear.
pub(super) struct Console {
    verbosity: Mutex<Verbosity>,
    bar: Mutex<ProgressBar>,
}

impl Console {
    /// Says the usual, without a bar.
    pub(super) fn new() -> Self {
        Self { verbosity: Mutex::default(), bar: Mutex::new(ProgressBar::hidden()) }
    }

    /// Says as much as was asked for from here on.
    pub(super) fn set_verbosity(&self, verbosity: Verbosity) {
        *lock(&self.verbosity) = verbosity;
    }

    /// `error: …`, always.
    pub(super) fn error(&self, text: impl Display) {
        self.say(&format!("{ERROR}error:{ERROR:#} {}", one_line(&text.to_string())));
    }

    /// `warning: …`, unless quiet.
    pub(super) fn warning(&self, text: impl Display) {
        if !lock(&self.verbosity).quiet {
            self.say(&format!("{WARNING}warning:{WARNING:#} {}", one_line(&text.to_string())));
        }
    }

    /// What is good to know, unless quiet.
    pub(super) fn note(&self, text: impl Display) {
        if !lock(&self.verbosity).quiet {
            self.say(&text.to_string());
        }
    }

    /// Details, where asked for.
    pub(super) fn detail(&self, text: impl Display) {
        if lock(&self.verbosity).verbose {
            self.say(&text.to_string());
        }
    }

    /// Shows a bar of `len` steps, named by the plural `unit`, where a person is looking.
    pub(super) fn start_progress(&self, len: usize, unit: &str) {
        if lock(&self.verbosity).quiet || !stderr().is_terminal() {
            return;
        }
        let template = format!("{{bar:30}} {{pos}}/{{len}} {unit}, {{per_sec}}, {{eta}} left{{msg}}");
        *lock(&self.bar) = bar(len as u64, &template);
    }

    /// Shows a bar of `len` bytes, the first `done` of which took no time, where a person is looking.
    pub(super) fn start_bytes(&self, len: u64, done: u64) {
        if lock(&self.verbosity).quiet || !stderr().is_terminal() {
            return;
        }
        let bar = bar(len, "{bar:30} {decimal_bytes} of {decimal_total_bytes}, {rate}, {eta} left");
        bar.set_position(done);
        bar.reset_eta();
        *lock(&self.bar) = bar;
    }

    /// So many bytes are done.
    pub(super) fn bytes(&self, done: u64) {
        lock(&self.bar).set_position(done);
    }

    /// One step is done; `failed` of all steps so far went wrong.
    pub(super) fn step(&self, failed: usize) {
        let bar = lock(&self.bar);
        bar.inc(1);
        if failed > 0 {
            bar.set_message(format!(", {failed} failed"));
        }
    }

    /// Takes the bar away.
    pub(super) fn end_progress(&self) {
        std::mem::replace(&mut *lock(&self.bar), ProgressBar::hidden()).finish_and_clear();
    }

    /// Does `write` while the bar is out of the way.
    pub(super) fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        // A copy of the handle: `write` may have something to say itself.
        let bar = lock(&self.bar).clone();
        bar.suspend(write)
    }

    fn say(&self, line: &str) {
        // Nobody is left to tell when standard error is closed.
        self.aside(|| drop(writeln!(anstream::stderr().lock(), "{line}")));
    }
}

/// A bar of `len` steps on standard error.
fn bar(len: u64, template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let per_second = |state: &ProgressState, out: &mut dyn std::fmt::Write| {
        let _ = write!(out, "{:.1}/s", state.per_sec());
    };
    let rate = |state: &ProgressState, out: &mut dyn std::fmt::Write| {
        let _ = write!(out, "{}/s", DecimalBytes(state.per_sec() as u64));
    };
    let style = style.with_key("per_sec", per_second).with_key("rate", rate);
    let bar = ProgressBar::with_draw_target(Some(len), ProgressDrawTarget::stderr());
    bar.set_style(style.progress_chars("█▉▊▋▌▍▎▏ "));
    bar.enable_steady_tick(std::time::Duration::from_millis(200));
    bar
}

/// A thread that panicked while it held a lock leaves nothing half done here.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
