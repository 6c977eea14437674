//! `--sort-into DIR`: clips in a folder per label.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use crate::output::Row;
use crate::{ClipLabels, Error, Result};

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
    pub(crate) fn new<'a>(dir: &Path, rows: impl IntoIterator<Item = &'a Row>) -> Self {
        let (mut plan, mut given) = (Self::default(), HashSet::new());
        for row in rows {
            // Without a label it stays where it is.
            let Ok(clip) = &row.outcome else { continue };
            let Some(name) = row.path.file_name() else { continue };
            for folder in folders(clip) {
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

/// The folders that a clip belongs in: one for each label that it shows.
fn folders(clip: &ClipLabels) -> Vec<String> {
    match (clip.shown(), clip.confident, clip.labels.first()) {
        (Some([]), ..) => vec!["nothing known".into()],
        (Some(shown), ..) => shown.iter().map(|label| folder_name(&label.label)).collect(),
        (None, Some(false), Some(_)) => vec!["not sure".into()],
        (None, _, best) => best.map(|best| folder_name(&best.label)).into_iter().collect(),
    }
}

/// A label as the name of a folder.
fn folder_name(label: &str) -> String {
    let safe = |c: char| if c == '/' || c == '\\' || c == ':' || c.is_control() { '_' } else { c };
    let name: String = label.chars().map(safe).collect();
    let name = name.trim().trim_start_matches('.');
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
