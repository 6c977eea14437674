//! What `classify train` shows while it works.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Instant;

use crate::learning::report::EventWriter;
use crate::learning::training::{Epoch, Observer, Pace};

use super::super::Console;
use super::super::figures::FiguresFormat;
use super::super::sink::say;

/// A bar while clips are read, then a line an epoch; and the figures for TensorBoard.
pub(super) struct Progress<'a> {
    pub console: &'a Console,
    pub format: FiguresFormat,
    pub events: Mutex<EventWriter>,
    /// When the first step of each stage was done: heads are learned at the same time.
    pub begin: Mutex<HashMap<String, Instant>>,
}

/// Steps after which a stage's time can be told.
const TIMED_STEPS: usize = 10;

impl Progress<'_> {
    /// Says how long a stage will take, where that is long enough to want to know.
    fn estimate(&self, stage: &str, Pace { epochs, step, steps, .. }: Pace) {
        let mut begin = self.begin.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if step == 1 {
            begin.insert(stage.to_owned(), Instant::now());
        }
        if let (Some(begin), true) = (begin.get(stage), step == TIMED_STEPS + 1) {
            let seconds = begin.elapsed().as_secs_f64() / TIMED_STEPS as f64 * (steps * epochs) as f64;
            if seconds > 60.0 {
                let validation =
                    if stage.starts_with("refit ") { "" } else { ", and the validation after each" };
                let minutes = (seconds / 60.0).ceil();
                self.console
                    .note(format!("{stage}: about {minutes} min for all {epochs} epochs{validation}"));
            }
        }
    }
}

impl Observer for Progress<'_> {
    fn features(&self, done: usize, total: usize) {
        if done == 0 {
            self.console.start_progress(total, "clips read");
        } else {
            self.console.step(0);
        }
    }

    fn step(&self, stage: &str, pace: Pace, loss: f64) {
        if pace.epoch == 1 {
            self.estimate(stage, pace);
        }
        if pace.step == 1 {
            let what = format!("steps of epoch {} ({stage}), loss {loss:.3}", pace.epoch);
            self.console.start_progress(pace.steps, &what);
        }
        self.console.step(0);
    }

    fn epoch(&self, row: &Epoch) {
        self.console.end_progress();
        let validated = row.validation.map_or(String::new(), |v| {
            let right = match v.mean_average_precision {
                Some(precision) => format!("mAP {precision:.3}"),
                None => format!("accuracy {:>5.1} %", 100.0 * v.accuracy),
            };
            format!(
                "  validation loss {:.3}  {right}  macro-F1 {:.3}{}",
                v.loss,
                v.macro_f1,
                if row.best { " *" } else { "  " },
            )
        });
        self.console.note(format!(
            "{:8} epoch {:>3}  loss {:.3}{validated}  {:.1} s",
            row.stage, row.epoch, row.train_loss, row.seconds
        ));
        if self.format == FiguresFormat::Json
            && let Ok(line) = serde_json::to_string(row)
            && let Err(error) = say(&line)
        {
            self.console.warning(error);
        }
        let mut figures = vec![
            ("loss/train", row.train_loss),
            ("accuracy/train", row.train_accuracy),
            ("learning rate", row.learning_rate),
        ];
        if let Some(v) = row.validation {
            figures.extend([
                ("loss/validation", v.loss),
                ("accuracy/validation", v.accuracy),
                ("macro-F1/validation", v.macro_f1),
            ]);
            figures.extend(v.mean_average_precision.map(|precision| ("mAP/validation", precision)));
        }
        let figures = figures
            .into_iter()
            .map(|(name, value)| (format!("{}/{name}", row.stage), value))
            .collect::<Vec<_>>();
        let mut events = self.events.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        // The figures are in metrics.jsonl too: a full disk need not end the training here.
        if let Err(error) = events.scalars(row.epoch, &figures) {
            self.console.warning(error);
        }
    }
}
