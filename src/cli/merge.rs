//! `classify merge PARTS... -o all.csv`: the outputs of several machines as one.

use std::io::Write;
use std::path::PathBuf;

use crate::bulk::Inputs;
use crate::bulk::{self, read_list};
use crate::files::AtomicFile;
use crate::output::{Columns, Format, names_several};
use crate::{ClipLabels, Error, Result};

use super::sink::refuse_existing;
use super::{Console, Status};

/// Join outputs (of --shard), and say what is missing or there twice
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Outputs of earlier runs: .csv, .jsonl or .parquet
    #[arg(required = true, value_name = "PART")]
    parts: Vec<PathBuf>,
    /// The joined output: .csv, .jsonl or .parquet
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Replace the output file where it exists
    #[arg(long)]
    force: bool,
    /// A clip or folder that was to be labelled: says what is missing of it, and gives the order
    #[arg(long, value_name = "PATH")]
    expect: Vec<PathBuf>,
    /// A file of paths that were to be labelled, one a line; - is standard input
    #[arg(long, value_name = "FILE")]
    list: Option<PathBuf>,
    /// Paths in --list end with a zero byte
    #[arg(short = '0', long, requires = "list")]
    null: bool,
}

/// How many clips of a kind are named.
const NAMED: usize = 20;

impl Args {
    /// Reads all, writes one. Status 1 where something is missing or contradictory.
    pub(super) fn run(self, console: &Console) -> Result<Status> {
        let format = Format::of(&self.output).filter(|f| *f != Format::Text).ok_or_else(|| {
            let name = self.output.display();
            Error::Usage(format!("{name}: the ending must be .csv, .jsonl or .parquet"))
        })?;
        refuse_existing(&self.output, self.force)?;
        let mut expected = self.expect.clone();
        if let Some(list) = &self.list {
            expected.extend(read_list(list, self.null)?);
        }
        let expected =
            (!expected.is_empty()).then(|| Inputs::find(&expected)).transpose()?.map(|inputs| inputs.clips);
        let merged = bulk::merge(&self.parts, expected.as_deref())?;

        let clips = || merged.rows.iter().filter_map(|row| row.outcome.as_ref().ok());
        let cells = |clip: &ClipLabels| match clip.shown() {
            Some(_) if format.is_table() => 1,
            _ => clip.labels.len(),
        };
        let mut exporter = format.exporter(Columns {
            top: clips().map(cells).max().unwrap_or(1),
            several: clips().any(names_several),
            confident: clips().any(|clip| clip.confident.is_some()),
        });
        let mut file = std::io::BufWriter::new(AtomicFile::create(&self.output)?);
        let io = |e| Error::io(&self.output, e);
        exporter.header(&mut file).map_err(io)?;
        for row in &merged.rows {
            exporter.row(row, &mut file).map_err(io)?;
        }
        exporter.end(&mut file).and_then(|()| file.flush()).map_err(io)?;
        file.into_inner().map_err(|e| io(e.into_error()))?.commit()?;

        say(console, "missing: in none of the outputs", &merged.missing);
        say(console, "contradictory: rows differ, the first counts", &merged.contradictory);
        say(console, "double: in more than one row", &merged.double);
        say(console, "not expected", &merged.unexpected);
        let failed = merged.rows.len() - clips().count();
        console.note(format!(
            "{} clips ({failed} with an error), {}{} contradictory, {} double{}",
            merged.rows.len(),
            expected.as_ref().map_or(String::new(), |_| format!("{} missing, ", merged.missing.len())),
            merged.contradictory.len(),
            merged.double.len(),
            if expected.is_none() { "; --expect FOLDER would tell what is missing" } else { "" }
        ));
        let whole = merged.missing.is_empty() && merged.contradictory.is_empty();
        Ok(if whole { Status::Done } else { Status::SomeFailed })
    }
}

fn say(console: &Console, what: &str, clips: &[PathBuf]) {
    for clip in clips.iter().take(NAMED) {
        console.warning(format!("{}: {what}", clip.display()));
    }
    if clips.len() > NAMED {
        console.warning(format!("and {} more: {what}", clips.len() - NAMED));
    }
}
