//! What the terminal says while the page is open.

use crate::annotation::{Method, Status};
use crate::cli::Console;
use crate::web::annotate::Finishing;

/// What the terminal was told.
pub(super) struct Terminal<'a> {
    console: &'a Console,
    ready: usize,
    round: usize,
    trouble: Option<String>,
    doing: String,
}

impl<'a> Terminal<'a> {
    pub(super) fn new(console: &'a Console, status: &Status) -> Self {
        let before = match status.labelled {
            0 => String::new(),
            n => format!(", {n} labelled before"),
        };
        console.note(format!("{} clips{before}; Ctrl-C finishes", status.total));
        console.start_progress(status.total, "clips looked at");
        Self { console, ready: 0, round: status.round, trouble: None, doing: String::new() }
    }

    /// Says what is new.
    pub(super) fn tell(&mut self, status: &Status, finishing: &Finishing) {
        let looking = self.ready < status.total;
        while self.ready < status.ready {
            self.ready += 1;
            self.console.step(0);
        }
        if looking && self.ready == status.total {
            self.console.end_progress();
            self.console.note("all clips looked at");
        }
        if self.round < status.round {
            self.round = status.round;
            let figure = status.accuracy.as_ref().map_or(String::new(), |figure| {
                let [low, high] = figure.interval.map(|share| 100.0 * share);
                let of = match figure.method {
                    Method::HeldOut => "held out",
                    Method::CrossValidated => "cross-validated",
                };
                let right = 100.0 * figure.value;
                format!("; right in {right:.1} % ({low:.1} to {high:.1}) of {} clips, {of}", figure.clips)
            });
            self.console.note(format!("round {}: {} labels{figure}", status.round, status.labelled));
        }
        if status.trouble.is_some() && status.trouble != self.trouble {
            self.trouble.clone_from(&status.trouble);
            self.console.warning(status.trouble.as_deref().unwrap_or_default());
        }
        let doing = match finishing {
            Finishing::Running { .. } => "the page asked for the model",
            Finishing::Done(_) => "the model is made; the page has its figures",
            Finishing::Failed { .. } => "no model was made; the page says why",
            Finishing::Idle => "",
        };
        if self.doing != doing {
            self.doing = doing.to_owned();
            self.console.note(doing);
        }
    }
}
