//! Results as text: one format a file, all behind [`Exporter`].

mod csv;
pub(crate) mod filmstrip;
mod json;
pub(crate) mod pages;
mod parquet;
mod read;
mod row;
pub(crate) mod tensor;
mod text;

use std::io::{self, Write};
use std::path::Path;

use crate::ClipLabels;
use crate::model::ModelConfig;

pub(crate) use self::csv::Csv;
pub(crate) use self::parquet::Parquet;
pub(crate) use json::{Json, Labelled, Scored};
pub(crate) use read::read_rows;
pub(crate) use row::Row;
pub(crate) use text::{Text, one_line};

/// Writes rows in one format. In formats of lines each call writes whole ones.
pub(crate) trait Exporter: Send {
    /// Whether there are colours in it, which are for terminals only. All else is written as it is: bytes
    /// that look like colours are data there.
    fn is_coloured(&self) -> bool {
        false
    }

    /// What stands before the first row.
    fn header(&mut self, _out: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }

    /// One clip's result.
    fn row(&mut self, row: &Row, out: &mut dyn Write) -> io::Result<()>;

    /// What stands after the last row.
    fn end(&mut self, _out: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }
}

/// The formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// For people: aligned, with a bar for each score.
    Text,
    /// One object a line.
    Json,
    /// A table with a header.
    Csv,
    /// A table in columns, for data frames.
    Parquet,
}

impl Format {
    /// The format that a file's ending asks for.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "txt" => Some(Self::Text),
            "json" | "jsonl" | "ndjson" => Some(Self::Json),
            "csv" => Some(Self::Csv),
            "parquet" => Some(Self::Parquet),
            _ => None,
        }
    }

    /// Whether it has a row of cells for a clip, in which all labels that a clip shows are one.
    pub(crate) fn is_table(self) -> bool {
        matches!(self, Self::Csv | Self::Parquet)
    }

    /// How many labels a clip gets where nobody says.
    pub(crate) fn default_top(self) -> usize {
        match self {
            Self::Text | Self::Json => 5,
            Self::Csv | Self::Parquet => 1,
        }
    }

    /// An exporter of rows with these columns.
    pub(crate) fn exporter(self, columns: Columns) -> Box<dyn Exporter> {
        match self {
            Self::Text => Box::new(Text::new(columns.top)),
            Self::Json => Box::new(Json::new(columns.top)),
            Self::Csv => Box::new(Csv::new(columns)),
            Self::Parquet => Box::new(Parquet::new(columns)),
        }
    }
}

/// The column of a table that says how many labels a clip shows, by a model that names several: what tells `a|b`, two
/// labels, from a label with such a name.
const SHOWN: &str = "shown";

/// What has to be known of all rows before the first is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Columns {
    /// How many labels a clip gets.
    pub top: usize,
    /// Whether the model names several labels a clip, which gives a table its column `shown`.
    pub several: bool,
    /// Whether the model has a threshold, which gives a table its column `confident`.
    pub confident: bool,
}

impl Columns {
    /// Of `top` labels a clip by a model with this `config`.
    pub(crate) fn of(config: &ModelConfig, top: usize) -> Self {
        Self { top, several: config.names_several(), confident: config.can_doubt() }
    }
}

/// Whether a clip was labelled by a model that names several labels: any other names at least one.
pub(crate) fn names_several(clip: &ClipLabels) -> bool {
    clip.labels.is_empty() || clip.shown().is_some()
}

/// The labels of a table's row and their scores: the best `top`; or, where the clip shows several, all of them in one
/// cell, with the lowest of their scores, and nothing where it shows none. They come by their names, so that clips which
/// show the same have the same cell.
pub(crate) fn cells(clip: &ClipLabels, top: usize) -> Vec<(String, f32)> {
    match clip.shown() {
        None => clip.labels.iter().take(top).map(|l| (l.label.clone(), l.score)).collect(),
        Some([]) => Vec::new(),
        Some(shown) => {
            let mut names: Vec<&str> = shown.iter().map(|l| l.label.as_str()).collect();
            names.sort_unstable();
            let lowest = shown.iter().map(|l| l.score).fold(f32::INFINITY, f32::min);
            vec![(names.join("|"), lowest)]
        }
    }
}

/// Six decimals of a score: what f32 probabilities are good for, and no tail of digits.
fn score(score: f32) -> f64 {
    (f64::from(score) * 1e6).round() / 1e6
}

/// Milliseconds are the finest that durations are known to.
fn seconds(seconds: f64) -> f64 {
    (seconds * 1e3).round() / 1e3
}
