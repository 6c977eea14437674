//! The labelled list: CSV as `classify train` reads it.

use std::path::Path;

use super::item::{Item, name_in};
use super::journal::Listed;
use crate::learning::dataset::{Split, Task, read_list};
use crate::video::Span;
use crate::{Error, Result, files};

/// The rows of the list at `path`, whose clips get names as seen from `folder`, the list's own, without links.
///
/// Validation clips are learned as training clips are: training cuts its own. Rows without a label are none.
///
/// # Errors
/// Where it isn't a list, or one of clips with several labels.
pub(super) fn read(path: &Path, folder: &Path) -> Result<Vec<Listed>> {
    let (rows, task) = read_list(path)?;
    if task == Task::AnyOf {
        let reason =
            "its clips may show several labels, and annotate gives each clip one: name another file with -o";
        return Err(Error::data(path, reason));
    }
    let listed = |row: crate::learning::dataset::Row| {
        let name = name_in(folder, &row.path).map_err(|reason| Error::clip(&row.path, reason))?;
        let span = match row.span {
            Some(Span { start, end: Some(end) }) => Some([start, end]),
            Some(_) => return Err(Error::data(path, format!("{}: a part needs an end here", row.name))),
            None => None,
        };
        let label = row.labels.into_iter().next();
        let held_out = row.split == Some(Split::Test);
        Ok(label.map(|label| Listed { item: Item { name, span }, label, held_out, group: row.group }))
    };
    rows.into_iter().filter_map(|row| listed(row).transpose()).collect()
}

/// The list of these `rows`, as text.
pub(super) fn text(rows: &[Listed]) -> Result<Vec<u8>> {
    let wrong = |e: csv::Error| Error::Usage(format!("the list can't be written: {e}"));
    let spans = rows.iter().any(|row| row.item.span.is_some());
    let mut writer = csv::Writer::from_writer(Vec::new());
    let header: &[&str] = match spans {
        true => &["path", "start", "end", "label", "split", "group"],
        false => &["path", "label", "split", "group"],
    };
    writer.write_record(header).map_err(wrong)?;
    for Listed { item, label, held_out, group } in rows {
        let split = if *held_out { Split::Test } else { Split::Train };
        let times = match (spans, item.span) {
            (false, _) => Vec::new(),
            (true, None) => vec![String::new(); 2],
            (true, Some(span)) => span.iter().map(f64::to_string).collect(),
        };
        let times = times.iter().map(String::as_str);
        let rest = [label, split.name(), group.as_deref().unwrap_or_default()];
        writer.write_record([item.name.as_str()].into_iter().chain(times).chain(rest)).map_err(wrong)?;
    }
    writer.into_inner().map_err(|e| Error::Usage(format!("the list can't be written: {e}")))
}

/// Puts `text` in the place of the list at `path`.
pub(super) fn write(path: &Path, text: &[u8]) -> Result<()> {
    files::write_atomically(path, text)
}

/// What tells one content of a list from another.
pub(super) fn digest(text: &[u8]) -> String {
    blake3::hash(text).to_hex()[..32].to_owned()
}

/// Whether a list can hold `label` and give it back.
pub(super) fn check_label(label: &str) -> Result<()> {
    let reason = match label {
        _ if label.trim().is_empty() => "a label needs a name",
        _ if label != label.trim() => "a label begins and ends with no space",
        _ if label.chars().any(char::is_control) => "a label is one line of plain text",
        _ if label.len() > 200 => "a label is no longer than 200 bytes",
        _ => return Ok(()),
    };
    Err(Error::Usage(reason.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, label: &str, held_out: bool, group: Option<&str>) -> Listed {
        Listed {
            item: Item::whole(name.into()),
            label: label.into(),
            held_out,
            group: group.map(str::to_owned),
        }
    }

    #[test]
    fn rows_come_back_as_they_were_written() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let path = root.join("labels.csv");
        let rows = [
            row("a, \"b\".mp4", "PullUps", false, None),
            row("sub/é.mp4", "say \"hi\", you", true, Some("g 1")),
            row("/far/c.mp4", "_none_", false, Some("g2")),
        ];
        write(&path, &text(&rows).unwrap()).unwrap();
        assert_eq!(read(&path, &root).unwrap(), rows);
        assert_eq!(text(&[]).unwrap(), b"path,label,split,group\n");
    }

    #[test]
    fn parts_of_films_have_times() {
        let part = Item { name: "f.mp4".into(), span: Some([0.5, 12.0]) };
        let rows = [
            Listed { item: part, label: "x".into(), held_out: false, group: None },
            row("a.mp4", "y", true, None),
        ];
        let text = String::from_utf8(text(&rows).unwrap()).unwrap();
        assert_eq!(text, "path,start,end,label,split,group\nf.mp4,0.5,12,x,train,\na.mp4,,,y,test,\n");
    }

    #[test]
    fn lists_of_several_labels_and_odd_labels_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("labels.csv");
        std::fs::write(&path, "path,labels\na.mp4,x|y\n").unwrap();
        assert!(read(&path, folder.path()).unwrap_err().to_string().contains("another file"));
        for label in ["", " ", " x", "x\ny", "\u{7}", &"x".repeat(201)] {
            assert!(check_label(label).is_err(), "{label:?}");
        }
        for label in ["x", "Pull ups, fast", "é|x", "_none_"] {
            check_label(label).unwrap();
        }
    }
}
