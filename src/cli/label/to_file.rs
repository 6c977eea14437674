//! Results in a file: they go to a journal beside it, and in the end from there to the file.

use std::io;
use std::path::{Path, PathBuf};

use crate::bulk::{Header, Run, Step};
use crate::files::AtomicFile;
use crate::output::{Format, Row};
use crate::{Error, Result};

use super::Status;
use super::job::{Job, brief};
use super::totals::Totals;

/// Of each clip at least so many labels are kept, so that asking for them later does nothing again.
const KEPT: usize = 5;

/// What a run that ends early says.
const KEPT_SO_FAR: &str = "what was done is kept; --resume goes on from there";

impl Job<'_> {
    pub(super) fn to_file(&self, output: &Path, format: Format) -> Result<Status> {
        let Job { args, clips, settings, console, .. } = self;
        let top = settings.top.max(KEPT);
        // Better now than in every worker: a model that doesn't load.
        drop(self.load()?);
        let header = Header::new(
            &self.model.digest()?,
            serde_json::json!({ "top": top, "device": format!("{:?}", args.model.device) }),
        );
        let run = Run::open(output, clips.clone(), &header, args.batch.trust())?;
        if run.damaged() > 0 {
            console.warning(format!(
                "{} damaged lines in the journal; their clips are done again",
                run.damaged()
            ));
        }
        let mut totals = Totals::new(self.skipped);
        let pool = self.workers(top)?;
        for (path, step) in clips.iter().zip(run.start(pool.clone(), settings, args.after.request())?) {
            match step {
                Ok(Step::Labelled(clip)) => totals.labelled(path, &clip, console),
                Ok(Step::Failed(reason)) => totals.failed(&Error::clip(path, reason), console),
                Ok(Step::Known) => totals.known(None, console),
                Ok(Step::KnownFailed(reason)) => totals.known(Some(&Error::clip(path, reason)), console),
                Err(error) => {
                    console.note(KEPT_SO_FAR);
                    return Err(error);
                }
            }
            console.step(totals.failed);
        }
        console.end_progress();
        if self.is_stopped() {
            run.sync()?;
            console.note(KEPT_SO_FAR);
            return Ok(Status::Interrupted);
        }
        self.write(&run, output, format)?;
        if args.after.wants_rows() {
            self.finish(&self.rows(&run)?, &pool)?;
        }
        if !args.batch.trust().resume {
            run.remove_journal()?;
        }
        totals.say(console);
        Ok(totals.status())
    }

    fn write(&self, run: &Run, output: &Path, format: Format) -> Result<()> {
        let mut exporter = format.exporter(self.columns());
        let mut file = io::BufWriter::new(AtomicFile::create(output)?);
        run.write(&mut *exporter, &mut file, output)?;
        file.into_inner().map_err(|e| Error::io(output, e.into_error()))?.commit()
    }

    /// The rows of all clips, for pages and folders.
    fn rows(&self, run: &Run) -> Result<Vec<Row>> {
        let row = |path: &PathBuf| -> Result<Row> {
            let outcome = run.result(path)?.unwrap_or_else(|| Err("not labelled".into()));
            Ok(brief(Row { path: path.clone(), outcome }))
        };
        self.clips.iter().map(row).collect()
    }
}
