//! Outputs of several machines, joined into one.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::Result;
use crate::files::natural;
use crate::output::{Row, cells, read_rows};

/// All rows of several outputs, and what is wrong with them.
#[derive(Debug, Default)]
pub(crate) struct Merged {
    /// In the order of the expected clips, the unexpected ones after them; without expectation in
    /// the order in which a folder is walked.
    pub rows: Vec<Row>,
    /// Clips that were expected and are in no output.
    pub missing: Vec<PathBuf>,
    /// Clips that were not expected.
    pub unexpected: Vec<PathBuf>,
    /// Clips that are in more than one row, all of them alike. The first row counts.
    pub double: Vec<PathBuf>,
    /// Clips of which two rows say different things. The first row counts.
    pub contradictory: Vec<PathBuf>,
}

/// Reads the outputs `parts` and joins them. `expected`: the clips that there should be, in order.
///
/// # Errors
/// See [`read_rows`].
pub(crate) fn merge(parts: &[PathBuf], expected: Option<&[PathBuf]>) -> Result<Merged> {
    let mut merged = Merged::default();
    let mut places: HashMap<PathBuf, usize> = HashMap::new();
    for part in parts {
        read_rows(part, |row| {
            match places.entry(row.path.clone()) {
                Entry::Vacant(place) => {
                    place.insert(merged.rows.len());
                    merged.rows.push(row);
                }
                Entry::Occupied(place) => {
                    let first = &merged.rows[*place.get()];
                    let list = if says_the_same(first, &row) {
                        &mut merged.double
                    } else {
                        &mut merged.contradictory
                    };
                    list.push(row.path);
                }
            }
            Ok(())
        })?;
    }
    match expected {
        Some(expected) => {
            let numbered = expected.iter().enumerate();
            let order: HashMap<&Path, usize> = numbered.rev().map(|(i, clip)| (clip.as_path(), i)).collect();
            let is_missing = |clip: &&PathBuf| !places.contains_key(*clip);
            merged.missing = expected.iter().filter(is_missing).cloned().collect();
            let place = |row: &Row| order.get(row.path.as_path()).copied();
            merged.unexpected =
                merged.rows.iter().filter(|row| place(row).is_none()).map(|row| row.path.clone()).collect();
            merged.rows.sort_by_key(|row| place(row).unwrap_or(usize::MAX));
        }
        None => merged.rows.sort_by(|a, b| as_walked(&a.path, &b.path)),
    }
    Ok(merged)
}

/// As far as outputs tell: how long it took is in none of them.
fn says_the_same(a: &Row, b: &Row) -> bool {
    match (&a.outcome, &b.outcome) {
        (Ok(a), Ok(b)) => {
            // Of several labels a table knows less than JSON: what both know counts.
            a.model == b.model
                && cells(a, 1) == cells(b, 1)
                && a.confident == b.confident
                && a.frames == b.frames
        }
        (Err(a), Err(b)) => a == b,
        _ => false,
    }
}

/// The order in which a folder is walked: natural order of names, folder by folder.
fn as_walked(a: &Path, b: &Path) -> Ordering {
    let name = |name: &OsStr| name.to_string_lossy().into_owned();
    for (a, b) in a.iter().zip(b.iter()) {
        let order = natural::compare(&name(a), &name(b)).then_with(|| a.cmp(b));
        if order != Ordering::Equal {
            return order;
        }
    }
    a.iter().count().cmp(&b.iter().count())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "path,label,score,duration_s,frames,model,error\n";

    fn merged(parts: &[&str], expected: Option<&[&str]>) -> Merged {
        let folder = tempfile::tempdir().unwrap();
        let write = |(i, rows): (usize, &&str)| {
            let path = folder.path().join(format!("{i}.csv"));
            std::fs::write(&path, format!("{HEADER}{rows}")).unwrap();
            path
        };
        let paths: Vec<PathBuf> = parts.iter().enumerate().map(write).collect();
        let expected: Option<Vec<PathBuf>> = expected.map(|e| e.iter().map(PathBuf::from).collect());
        merge(&paths, expected.as_deref()).unwrap()
    }

    fn names(merged: &Merged) -> Vec<&str> {
        merged.rows.iter().map(|row| row.path.to_str().unwrap()).collect()
    }

    #[test]
    fn rows_come_in_walking_order() {
        let m = merged(&["d/clip10,A,0.5,1,2,m,\n", "d/clip2,,,,,,broken\nd/b/z,A,0.5,1,2,m,\n"], None);
        assert_eq!(names(&m), ["d/b/z", "d/clip2", "d/clip10"]);
        assert!(m.double.is_empty() && m.contradictory.is_empty() && m.missing.is_empty());
    }

    #[test]
    fn missing_double_and_contradictory_clips_are_named() {
        let parts = ["a,A,0.5,1,2,m,\nb,A,0.5,1,2,m,\nx,A,0.5,1,2,m,\n", "a,A,0.5,1,2,m,\nb,B,0.5,1,2,m,\n"];
        let m = merged(&parts, Some(&["c", "b", "a"]));
        assert_eq!(names(&m), ["b", "a", "x"]);
        assert_eq!(m.missing, [Path::new("c")]);
        assert_eq!(m.unexpected, [Path::new("x")]);
        assert_eq!(m.double, [Path::new("a")]);
        assert_eq!(m.contradictory, [Path::new("b")]);
        assert_eq!(m.rows[0].outcome.as_ref().unwrap().labels[0].label, "A", "the first row counts");
    }

    #[test]
    fn a_table_and_json_of_one_run_agree_on_several_labels() {
        let folder = tempfile::tempdir().unwrap();
        let [table, json] = ["a.csv", "a.jsonl"].map(|name| folder.path().join(name));
        let rows = "a,gym|pull,0.5,1,2,m,,2\nb,,,1,2,m,,0\nc,gym,0.5,1,2,m,,1\n";
        std::fs::write(&table, HEADER.replace("error", "error,shown") + rows).unwrap();
        let (pull, gym) = (r#""label":"pull","score":0.75"#, r#""label":"gym","score":0.5"#);
        let rows = [
            ("a", format!(r#"{{{pull},"above":true}},{{{gym},"above":true}}"#)),
            ("b", format!(r#"{{{pull},"above":false}}"#)),
            ("c", format!(r#"{{{pull},"above":true}},{{{gym},"above":false}}"#)),
        ]
        .map(|(path, labels)| {
            format!(r#"{{"path":"{path}","labels":[{labels}],"duration_s":1,"frames":2,"model":"m"}}"#) + "\n"
        });
        std::fs::write(&json, rows.concat()).unwrap();
        let m = merge(&[table, json], None).unwrap();
        assert_eq!(m.double, [Path::new("a"), Path::new("b")]);
        assert_eq!(m.contradictory, [Path::new("c")]);
    }
}
