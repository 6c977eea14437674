//! `--sort-into DIR`: clips in a folder per label.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use crate::output::Row;
use crate::{ClipLabels, Error, Result};

/// Folders of the clips of which a model isn't sure, and of those that show none of several labels.
const NOT_SURE: &str = "not sure";
const NOTHING: &str = "nothing known";

/// Bytes of a label that make the name of its folder. File systems take 255; some are left for a number.
const LONGEST: usize = 240;

/// What would be done, before anything is.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct SortPlan {
    /// From where to where.
    pub new: Vec<(PathBuf, PathBuf)>,
    /// Clips that are where they belong already.
    pub there: usize,
    /// The same for places at which something else stands.
    pub taken: Vec<(PathBuf, PathBuf)>,
}

/// How a clip gets to its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// A symbolic link: takes no space, and the clip stays where it is.
    Link,
    Copy,
}

impl SortPlan {
    /// Finds a place below `dir` for each labelled clip of `rows`: the folder of its best label, or
    /// `not sure`; of each label that it shows where it may show several, or `nothing known`. Clips of one name in one
    /// folder are numbered in the order of the rows.
    pub(crate) fn new(dir: &Path, rows: &[Row]) -> Self {
        let (mut plan, mut given) = (Self::default(), HashSet::new());
        // What has no label stays where it is.
        let clips = || rows.iter().filter_map(|row| Some((row, row.outcome.as_ref().ok()?)));
        let folders = folder_names(clips().flat_map(|(_, clip)| labels(clip)));
        for (row, clip) in clips() {
            let Some(name) = row.path.file_name() else { continue };
            let mut own: Vec<&str> = labels(clip).iter().map(|label| &*folders[label]).collect();
            if own.is_empty() {
                own.push(if clip.shown().is_some() { NOTHING } else { NOT_SURE });
            }
            for folder in own {
                let first = dir.join(folder).join(name);
                let place = (1..).map(|n| numbered(&first, n)).find(|place| given.insert(place.clone()));
                let Some(place) = place else { continue };
                if place.symlink_metadata().is_err() {
                    plan.new.push((row.path.clone(), place));
                } else if is_same(&row.path, &place) {
                    plan.there += 1;
                } else {
                    plan.taken.push((row.path.clone(), place));
                }
            }
        }
        plan
    }

    /// Clips by folder, of those that get a new place.
    pub(crate) fn folders(&self) -> BTreeMap<String, usize> {
        let mut folders = BTreeMap::new();
        for (_, to) in &self.new {
            let name = to.parent().and_then(Path::file_name).unwrap_or_default();
            *folders.entry(name.to_string_lossy().into_owned()).or_default() += 1;
        }
        folders
    }

    /// Does it. `replace`: also where something else stands.
    pub(crate) fn carry_out(&self, how: How, replace: bool) -> Result<usize> {
        let taken = self.taken.iter().filter(|_| replace);
        let mut done = 0;
        for (from, to) in self.new.iter().chain(taken) {
            if let Some(folder) = to.parent() {
                std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
            }
            place(from, to, how).map_err(|e| Error::io(to, e))?;
            done += 1;
        }
        Ok(done)
    }
}

/// Puts a link or a copy beside its place and renames it, so that there is never half of one.
fn place(from: &Path, to: &Path, how: How) -> std::io::Result<()> {
    let folder = to.parent().unwrap_or(Path::new("."));
    let draft = tempfile::Builder::new().prefix(".classify-").tempdir_in(folder)?;
    let draft = draft.path().join("clip");
    match how {
        How::Copy => drop(std::fs::copy(from, &draft)?),
        #[cfg(unix)]
        How::Link => std::os::unix::fs::symlink(from.canonicalize()?, &draft)?,
        #[cfg(not(unix))]
        How::Link => std::fs::hard_link(from, &draft)?,
    }
    std::fs::rename(draft, to)
}

/// `clip.mp4`, `clip (2).mp4`, …
fn numbered(place: &Path, number: usize) -> PathBuf {
    if number == 1 {
        return place.to_owned();
    }
    let mut name = place.file_stem().unwrap_or_default().to_owned();
    name.push(format!(" ({number})"));
    if let Some(ending) = place.extension() {
        name.push(".");
        name.push(ending);
    }
    place.with_file_name(name)
}

/// The labels that a clip is sorted by; none where the model knows none.
fn labels(clip: &ClipLabels) -> Vec<&str> {
    let labels = match (clip.shown(), clip.confident) {
        (Some(shown), _) => shown,
        (None, Some(false)) => &[],
        (None, _) => &clip.labels[..clip.labels.len().min(1)],
    };
    labels.iter().map(|label| label.label.as_str()).collect()
}

/// A folder of its own for each of `labels`: one whose name is taken gets a number. A label that can be a folder's name as
/// it is comes first, then the alphabet decides, so that the order of the clips has no part in it.
fn folder_names<'a>(labels: impl Iterator<Item = &'a str>) -> BTreeMap<&'a str, String> {
    let mut labels = Vec::from_iter(labels.collect::<BTreeSet<_>>());
    labels.sort_by_key(|label| folder_name(label) != *label);
    let mut taken = HashSet::from([NOT_SURE, NOTHING].map(String::from));
    let mut free = |label: &str| {
        let name = folder_name(label);
        let mut number = 1;
        let mut folder = name.clone();
        while !taken.insert(folder.clone()) {
            number += 1;
            folder = format!("{name} ({number})");
        }
        folder
    };
    labels.into_iter().map(|label| (label, free(label))).collect()
}

/// A label as the name of a folder.
fn folder_name(label: &str) -> String {
    let safe = |c: char| if c == '/' || c == '\\' || c == ':' || c.is_control() { '_' } else { c };
    let name: String = label.chars().map(safe).collect();
    let name = name.trim_start_matches(|c: char| c == '.' || c.is_whitespace());
    let end = (0..=name.len().min(LONGEST)).rev().find(|&end| name.is_char_boundary(end));
    let name = name[..end.unwrap_or(0)].trim_end();
    if name.is_empty() { "_".into() } else { name.into() }
}

/// Whether a link to `clip` or a copy of it stands at `place`.
fn is_same(clip: &Path, place: &Path) -> bool {
    if matches!((clip.canonicalize(), place.canonicalize()), (Ok(a), Ok(b)) if a == b) {
        return true;
    }
    let hash = |path: &Path| {
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(std::fs::File::open(path).ok()?).ok()?;
        Some(hasher.finalize())
    };
    let len = |path: &Path| path.metadata().map(|m| m.len()).ok();
    len(clip).is_some() && len(clip) == len(place) && hash(clip).is_some() && hash(clip) == hash(place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Label, Timings};

    fn row(path: &Path, label: &str, confident: Option<bool>) -> Row {
        let clip = ClipLabels {
            path: path.to_owned(),
            labels: vec![Label { label: label.into(), score: 0.9, above: None }],
            confident,
            duration_s: 1.0,
            frames: 4,
            model: "m".into(),
            warnings: vec![],
            timings: Timings::default(),
        };
        Row { path: path.to_owned(), outcome: Ok(clip) }
    }

    #[test]
    fn a_clip_of_several_labels_belongs_in_each_of_their_folders() {
        let mut both = row(Path::new("a.mp4"), "run", None);
        let mut none = row(Path::new("b.mp4"), "run", None);
        let label = |label: &str, above| Label { label: label.into(), score: 0.5, above: Some(above) };
        if let (Ok(both), Ok(none)) = (&mut both.outcome, &mut none.outcome) {
            both.labels = vec![label("run", true), label("jump", true), label("swim", false)];
            none.labels = vec![label("run", false)];
        }
        let plan = SortPlan::new(Path::new("/none/such"), &[both, none]);
        assert_eq!(plan.folders(), ["jump", "nothing known", "run"].map(|name| (name.to_string(), 1)).into());
    }

    /// The folders of clips of these labels.
    fn folders(labels: &[&str]) -> Vec<String> {
        let rows: Vec<Row> = labels.iter().map(|label| row(Path::new("a.mp4"), label, None)).collect();
        let plan = SortPlan::new(Path::new("/none/such"), &rows);
        let folder = |(_, to): &(PathBuf, PathBuf)| to.parent().unwrap().file_name().unwrap().to_owned();
        plan.new.iter().map(|new| folder(new).into_string().unwrap()).collect()
    }

    #[test]
    fn no_two_labels_share_a_folder_whatever_comes_first() {
        assert_eq!(folders(&["a/b", "a:b", "a_b", "a/b"]), ["a_b (2)", "a_b (3)", "a_b", "a_b (2)"]);
        assert_eq!(folders(&["a_b", "a:b", "a/b"]), ["a_b", "a_b (3)", "a_b (2)"]);
        assert_eq!(folders(&[" .run ", "run", "..", ". "]), ["run (2)", "run", "_ (2)", "_"]);
        // Where clips of no label go.
        assert_eq!(folders(&["not sure", "nothing known"]), ["not sure (2)", "nothing known (2)"]);
    }

    #[test]
    fn long_labels_are_cut_to_what_a_folder_may_be_called() {
        let [one, two] = ["1", "2"].map(|end| "ü".repeat(200) + end);
        let found = folders(&[&one, &two]);
        assert_eq!(found, ["ü".repeat(120), "ü".repeat(120) + " (2)"]);
        let folder = tempfile::tempdir().unwrap();
        let clip = folder.path().join("clip.mp4");
        std::fs::write(&clip, "one").unwrap();
        let rows = [row(&clip, &one, None), row(&clip, &two, None)];
        let plan = SortPlan::new(&folder.path().join("sorted"), &rows);
        assert_eq!(plan.carry_out(How::Copy, false).unwrap(), 2);
    }

    #[test]
    fn clips_get_a_folder_per_label_and_nothing_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("a"), folder.path().join("b"));
        for (dir, text) in [(&a, "one"), (&b, "two")] {
            std::fs::create_dir(dir).unwrap();
            std::fs::write(dir.join("clip.mp4"), text).unwrap();
        }
        let failed = Row { path: "gone.mp4".into(), outcome: Err("no such file".into()) };
        let rows = [
            row(&a.join("clip.mp4"), "push/ups", None),
            row(&b.join("clip.mp4"), "push/ups", Some(true)),
            row(&b.join("clip.mp4"), "run", Some(false)),
            failed,
        ];
        let sorted = folder.path().join("sorted");
        let plan = SortPlan::new(&sorted, &rows);
        assert!(!sorted.exists(), "planning does nothing");
        assert_eq!((plan.new.len(), plan.taken.len()), (3, 0));
        assert_eq!(plan.folders(), [("not sure".to_string(), 1), ("push_ups".into(), 2)].into());
        assert_eq!(plan.carry_out(How::Link, false).unwrap(), 3);
        let read = |name: &str| std::fs::read_to_string(sorted.join(name)).unwrap();
        assert_eq!((read("push_ups/clip.mp4"), read("push_ups/clip (2).mp4")), ("one".into(), "two".into()));

        assert_eq!(SortPlan::new(&sorted, &rows).there, 3, "again there is nothing to do");
        std::fs::remove_file(sorted.join("push_ups/clip.mp4")).unwrap();
        std::fs::write(sorted.join("push_ups/clip.mp4"), "precious").unwrap();
        let plan = SortPlan::new(&sorted, &rows);
        assert_eq!((plan.new.len(), plan.taken.len(), plan.there), (0, 1, 2));
        assert_eq!(plan.carry_out(How::Copy, false).unwrap(), 0);
        assert_eq!(read("push_ups/clip.mp4"), "precious");
        assert_eq!(plan.carry_out(How::Copy, true).unwrap(), 1);
        assert_eq!(read("push_ups/clip.mp4"), "one");
        assert_eq!(std::fs::read_dir(sorted.join("push_ups")).unwrap().count(), 2, "no drafts are left");
    }
}
