//! Everything that is said beside the results, on standard error.

use std::fmt::Display;
use std::io::{IsTerminal, Write, stderr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::output::one_line;
use anstyle::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

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
        let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let style =
            style.with_key("per_sec", |state: &indicatif::ProgressState, out: &mut dyn std::fmt::Write| {
                let _ = write!(out, "{:.1}/s", state.per_sec());
            });
        let bar = ProgressBar::with_draw_target(Some(len as u64), ProgressDrawTarget::stderr());
        bar.set_style(style.progress_chars("█▉▊▋▌▍▎▏ "));
        bar.enable_steady_tick(std::time::Duration::from_millis(200));
        *lock(&self.bar) = bar;
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

/// A thread that panicked while it held a lock leaves nothing half done here.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
