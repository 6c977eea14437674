//! Results on standard output: each as soon as it is its turn.

use std::io;

use crate::bulk;
use crate::output::{Format, Row};
use crate::video::{DecodeOptions, ReadAhead};
use crate::{Classifier, ClipLabels, Error, Result};

use super::job::{Job, brief};
use super::totals::Totals;
use super::{Status, Stdout, fork};

impl Job<'_> {
    pub(super) fn to_stdout(&self, format: Format) -> Result<Status> {
        let Job { args, clips, settings, console, .. } = self;
        let mut totals = Totals::new(self.skipped);
        let mut out = Stdout(format.exporter(self.columns()));
        let pool = self.workers(settings.top)?;
        let mut written;
        let results = if clips.len() == 1 && !args.after.wants_rows() {
            // Where the clip crashes this process, the one that it is a copy of adds the row only.
            written = console.aside(|| out.header());
            self.label_lone()?
        } else {
            // Each worker has a model of its own; this tells whether it can be had.
            drop(self.load()?);
            written = console.aside(|| out.header());
            let work = clips.clone();
            let (workers, request) = (pool.clone(), args.after.request());
            let label = move |index: usize| workers.ask::<ClipLabels>(&request(&work[index]));
            bulk::in_order(clips.len(), settings, label)?
        };
        let mut rows = Vec::new();
        for (path, result) in clips.iter().zip(results) {
            if written.is_err() {
                break;
            }
            match &result {
                Ok(clip) => totals.labelled(path, clip, console),
                Err(error) => totals.failed(error, console),
            }
            let row = Row::new(path, result);
            written = console.aside(|| out.row(&row));
            if args.after.wants_rows() {
                rows.push(brief(row));
            }
            console.step(totals.failed);
        }
        console.end_progress();
        if self.is_stopped() {
            return Ok(Status::Interrupted);
        }
        match written.and_then(|()| out.end()) {
            // The reader has seen enough (`| head`).
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            Err(error) => return Err(Error::io("standard output", error)),
            Ok(()) => (),
        }
        self.finish(&rows, &pool)?;
        totals.say(console);
        Ok(totals.status())
    }

    /// The only clip, in this process: it is read while the weights are loaded.
    fn label_lone(&self) -> Result<bulk::Ordered<Result<ClipLabels>>> {
        let Job { args, clips, settings, model, .. } = self;
        let device = args.model.device.open()?;
        fork::set_alarm(args.batch.timeout);
        let options = DecodeOptions { threads: settings.threads, ..DecodeOptions::default() };
        let ahead = ReadAhead::start(&clips[0], model.config.sampling, model.preprocess.clone(), options)?;
        let classifier = Classifier::of_files(model.clone(), &device)?;
        bulk::label_read(classifier, clips[0].clone(), ahead, settings)
    }
}
