//! How results are written: as asked, else by the output file's ending.

use std::path::Path;

use crate::output::Format;
use crate::timeline::TimelineFormat;
use crate::{Error, Result, stores};

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(super) enum FormatName {
    /// For people
    Text,
    /// One object a line
    Json,
    /// A table
    Csv,
    /// A table in columns
    Parquet,
    /// Subtitles, of a --timeline
    Vtt,
    /// Subtitles, of a --timeline
    Srt,
}

/// Of labels.
pub(super) fn of_labels(asked: Option<FormatName>, output: Option<&Path>) -> Result<Format> {
    let only = |name| Err(Error::Usage(format!("--format {name} is for --timeline")));
    match (asked, output) {
        (Some(FormatName::Text), _) | (None, None) => Ok(Format::Text),
        (Some(FormatName::Json), _) => Ok(Format::Json),
        (Some(FormatName::Csv), _) => Ok(Format::Csv),
        (Some(FormatName::Parquet), _) => Ok(Format::Parquet),
        (Some(FormatName::Vtt), _) => only("vtt"),
        (Some(FormatName::Srt), _) => only("srt"),
        (None, Some(path)) => Format::of(path).ok_or_else(|| unnamed(path, "text, json, csv or parquet")),
    }
}

/// Of a `--timeline`.
pub(super) fn of_timeline(asked: Option<FormatName>, output: Option<&Path>) -> Result<TimelineFormat> {
    match (asked, output) {
        (Some(FormatName::Text), _) | (None, None) => Ok(TimelineFormat::Text),
        (Some(FormatName::Json), _) => Ok(TimelineFormat::Json),
        (Some(FormatName::Csv), _) => Ok(TimelineFormat::Csv),
        (Some(FormatName::Vtt), _) => Ok(TimelineFormat::Vtt),
        (Some(FormatName::Srt), _) => Ok(TimelineFormat::Srt),
        (Some(FormatName::Parquet), _) => Err(Error::Usage("--timeline has no format parquet".into())),
        (None, Some(path)) => {
            TimelineFormat::of(path).ok_or_else(|| unnamed(path, "text, json, csv, vtt or srt"))
        }
    }
}

fn unnamed(path: &Path, formats: &str) -> Error {
    let path = stores::shown(path);
    Error::Usage(format!("{}: the ending names no format; --format {formats} does", path.display()))
}
