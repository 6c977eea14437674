//! Lists of labelled clips; paths are relative to the list's own folder.
//!
//! - CSV with a header: `path,label[,split][,group][,start,end]`, in any order; start and end are seconds of a longer video, `labels` or a column a label where clips show
//!   several, see [`LabelColumns`].
//! - Without a header, one clip a line: `path label` as in Kinetics, MMAction2 and UCF-101. The
//!   path may contain spaces; without a label (UCF-101's test lists) the clip's folder is its class.

use std::{
    collections::{HashMap, HashSet},
    fs,
    path::Path,
    sync::LazyLock,
};

use csv::StringRecord;
use regex::Regex;

use super::columns::LabelColumns;
use super::{Row, Split, Task, Warning};
use crate::video::{Span, VIDEO_EXTENSIONS};
use crate::{Error, Result};

/// Reads a list of either form.
pub(super) fn read(list: &Path) -> Result<(Vec<Row>, Vec<Warning>, Task)> {
    let bytes = fs::read(list).map_err(|e| Error::io(list, e))?;
    let text = String::from_utf8(bytes).map_err(|_| {
        let reason = "not a text list (UTF-8); a data set is a folder with one folder of clips a class, or a list (CSV with path,label)";
        Error::data(list, reason)
    })?;
    let text = text.trim_start_matches('\u{feff}');
    let header = text.lines().find(|l| !l.trim().is_empty()).unwrap_or("");
    let has_column = |delimiter: char, name: &str| {
        let mut fields = header.split(delimiter);
        fields.any(|field| field.trim().trim_matches('"').eq_ignore_ascii_case(name))
    };
    let delimiters = [',', '\t', ';'];
    if let Some(delimiter) = delimiters.iter().find(|d| has_column(**d, "path")) {
        return read_csv(list, text, *delimiter as u8);
    }
    if delimiters.iter().any(|d| has_column(*d, "label") || has_column(*d, "labels")) {
        let reason = format!(
            "its header has no column `path`: {header}; call the column that names the clips `path` \
             (wanted: path,label[,split][,group])"
        );
        return Err(Error::data(list, reason));
    }
    Ok((read_lines(list, text)?, Vec::new(), Task::OneOf))
}

/// Columns that mean something by their names.
pub(super) const KNOWN: [&str; 7] = ["path", "label", "labels", "split", "group", "start", "end"];

fn read_csv(list: &Path, text: &str, delimiter: u8) -> Result<(Vec<Row>, Vec<Warning>, Task)> {
    let bad = |reason: String| Error::data(list, reason);
    let mut reader =
        csv::ReaderBuilder::new().delimiter(delimiter).trim(csv::Trim::All).from_reader(text.as_bytes());
    let header = reader.headers().map_err(|e| bad(e.to_string()))?.clone();
    let called = |name: &str| header.iter().filter(|h| h.eq_ignore_ascii_case(name)).count();
    if let Some(name) = KNOWN.into_iter().find(|name| called(name) > 1) {
        return Err(bad(format!("its header has the column '{name}' twice")));
    }
    let column = |name: &str| header.iter().position(|h| h.eq_ignore_ascii_case(name));
    let path = column("path").ok_or_else(|| bad("its header lacks `path`".into()))?;
    let (split, group, start, end) = (column("split"), column("group"), column("start"), column("end"));
    let others = [Some(path), split, group, start, end];
    let labels = LabelColumns::of(&header, &others).map_err(bad)?;
    let unread: Vec<String> = (header.iter().enumerate())
        .filter(|(i, _)| !others.contains(&Some(*i)) && !labels.has(*i))
        .map(|(_, name)| name.to_owned())
        .collect();
    let records = reader.records().collect::<Result<Vec<_>, _>>().map_err(|e| bad(e.to_string()))?;
    if matches!(labels, LabelColumns::Each(_)) {
        let times = [("start", start), ("end", end)];
        let mut times = times.into_iter().filter_map(|(name, column)| Some((name, column?)));
        if let Some((name, _)) = times.find(|(_, column)| may_be_a_label(&records, *column)) {
            return Err(bad(format!(
                "`{name}` holds nothing but 0 and 1: where it is a label, call the column something else; where it \
                 is seconds, write 0.0 and 1.0"
            )));
        }
    }
    let mut rows = Vec::new();
    for record in &records {
        let line = record.position().map_or(0, csv::Position::line);
        let field = |i: usize| record.get(i).unwrap_or_default();
        if field(path).is_empty() {
            return Err(bad(format!("line {line}: no path or no label")));
        }
        let split = match split.map(field) {
            Some(text) => Some(Split::parse(text).ok_or_else(|| {
                bad(format!("line {line}: split is '{text}' (wanted: train, val or test)"))
            })?),
            None => None,
        };
        rows.push(Row {
            path: beside(list, field(path)),
            name: field(path).to_owned(),
            span: span([start, end].map(|column| column.map_or("", field)))
                .map_err(|e| bad(format!("line {line}: {e}")))?,
            labels: labels.read(record).map_err(|e| bad(format!("line {line}: {e}")))?,
            split,
            group: group.map(field).filter(|g| !g.is_empty()).map(String::from),
        });
    }
    if rows.is_empty() && labels.named().next().is_some() {
        return Err(bad("its header lacks `label` (wanted: path,label[,split][,group])".into()));
    }
    let mut warnings = match unread.is_empty() {
        true => Vec::new(),
        false => vec![Warning::UnreadColumns(unread)],
    };
    let never = |name: &&String| !rows.iter().any(|row| row.labels.contains(name));
    let never: Vec<String> = labels.named().filter(never).cloned().collect();
    if !never.is_empty() {
        warnings.push(Warning::NeverShown(never));
    }
    Ok((rows, warnings, labels.task()))
}

/// Whether the cells of `column`, those that aren't empty, could say whether clips show a label.
fn may_be_a_label(records: &[StringRecord], column: usize) -> bool {
    let cells =
        || records.iter().filter_map(move |record| record.get(column)).filter(|cell| !cell.is_empty());
    cells().next().is_some() && cells().all(|cell| ["0", "1"].contains(&cell))
}

/// The stretch between the cells `start` and `end`; one that is empty is the video's own.
fn span([start, end]: [&str; 2]) -> Result<Option<Span>, String> {
    let seconds = |name: &str, cell: &str| match cell {
        "" => Ok(None),
        _ => cell.parse().map(Some).map_err(|_| format!("{name} is '{cell}' (wanted: seconds, as 12.5)")),
    };
    match (seconds("start", start)?, seconds("end", end)?) {
        (None, None) => Ok(None),
        (start, end) => Span::new(start.unwrap_or(0.0), end).map(Some),
    }
}

/// A path up to a video's ending, and what follows it.
static CLIP_LABEL: LazyLock<Regex> = LazyLock::new(|| {
    let endings = VIDEO_EXTENSIONS.join("|");
    Regex::new(&format!(r"(?i)^(.*\.(?:{endings}))(?:\s+(.*))?$")).expect("a valid pattern")
});

fn read_lines(list: &Path, text: &str) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (i, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        let bad = |reason: &str| Error::data(list, format!("line {}: {reason}: {line}", i + 1));
        let (name, label) = match CLIP_LABEL.captures(line) {
            Some(found) => {
                let part = |i| found.get(i).map_or("", |m| m.as_str());
                (part(1), part(2))
            }
            None => line
                .rsplit_once(char::is_whitespace)
                .ok_or_else(|| bad("no label (wanted: `path label`, or CSV with the header path,label)"))?,
        };
        let name = name.trim_end();
        let numbers = label.split_whitespace().filter(|l| is_number(l)).count();
        if numbers > 1 || (numbers == 1 && name.rsplit(' ').next().is_some_and(is_number)) {
            return Err(bad(
                "several numbers (lists of frame folders and of several labels a clip can't be read)",
            ));
        }
        let label = match label {
            "" => class_folder(name).ok_or_else(|| bad("neither a label nor a class folder"))?,
            label => label,
        };
        rows.push(Row {
            path: beside(list, name),
            name: name.to_owned(),
            labels: vec![label.to_owned()],
            ..Row::default()
        });
    }
    name_numbers(&mut rows);
    Ok(rows)
}

/// Where every number goes with one class folder and the other way round, the folders are the
/// better names.
fn name_numbers(rows: &mut [Row]) {
    let mut names = HashMap::new();
    for row in rows.iter() {
        let number = row.labels.first().filter(|label| is_number(label));
        let Some((number, folder)) = number.zip(class_folder(&row.name)) else {
            return;
        };
        if *names.entry(number.clone()).or_insert(folder.to_owned()) != folder {
            return;
        }
    }
    if names.values().collect::<HashSet<_>>().len() == names.len() {
        rows.iter_mut().flat_map(|row| &mut row.labels).for_each(|label| *label = names[label].clone());
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit())
}

/// The name of the folder that a clip lies in.
fn class_folder(name: &str) -> Option<&str> {
    Path::new(name).parent()?.file_name()?.to_str()
}

/// `name` as seen from the list's folder.
fn beside(list: &Path, name: &str) -> std::path::PathBuf {
    list.parent().unwrap_or(Path::new("")).join(name)
}
