//! Labelled clips: a folder with one folder a class, or a list; and how they are split.
//!
//! Everything that could spoil a training is looked for here, before it starts: missing files,
//! empty classes, one clip under two labels, one source video on both sides of the split.

mod columns;
mod folder;
mod groups;
mod list;
mod none;
mod split;
mod table;
mod task;
mod warning;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt, fs,
    path::{Path, PathBuf},
};

use crate::files::{natural, regular};
use crate::video::Span;
use crate::{Error, Result};

pub use groups::Grouping;
pub(crate) use groups::of_names;
pub use none::{NONE, NoneClips};
pub use split::{Cut, Split};
pub use task::Task;
pub(in crate::learning) use warning::NO_BACKGROUND;
pub use warning::Warning;

/// How [`Dataset::open`] reads and splits.
#[derive(Debug, Clone)]
pub struct Options {
    /// Regular expression with one capture over a clip's path as the list or folder names it: the
    /// capture is the clip's group. A list's own group column goes before it.
    pub group: Option<String>,
    /// The label names to use, in order (a model's own, for evaluation). Where none of them is a number
    /// itself, a number in the data counts from 0. Without it they are the data's own, sorted.
    pub labels: Option<Vec<String>>,
    /// Whether a missing validation part is cut from the training rows.
    pub cut: bool,
    /// Share of the training clips that the validation part takes.
    pub share: f64,
    /// Decides which groups the validation part takes.
    pub seed: u64,
    /// A folder of clips that show none of the labels, beside those that the data calls [`NONE`].
    pub background: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self { group: None, labels: None, cut: true, share: 0.2, seed: 0, background: None }
    }
}

/// One labelled clip.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Where the file is.
    pub path: PathBuf,
    /// The path as the list or folder names it, and which stretch of it, for people.
    pub name: String,
    /// The stretch of the video that the clip is; all of it without one.
    pub span: Option<Span>,
    /// Indices into [`Dataset::labels`], rising; one, unless the data says several ([`Dataset::task`]).
    pub labels: Vec<usize>,
    /// The part that it is in.
    pub split: Split,
    /// Clips of one group (one source video, camera or person) belong on one side of a split.
    pub group: String,
}

impl Sample {
    /// Where the file is, and which stretch of it the clip is, for people.
    pub fn address(&self) -> String {
        address(&self.path.to_string_lossy(), self.span)
    }

    /// The only label of a clip of [`Task::OneOf`].
    pub fn label(&self) -> usize {
        self.labels.first().copied().unwrap_or(0)
    }
}

/// A clip that can't be used. Evaluation counts it as an error.
#[derive(Debug, Clone)]
pub struct Problem {
    /// The clip.
    pub sample: Sample,
    /// Why it can't be used, for people.
    pub reason: String,
}

impl Problem {
    /// `sample` can't be used because of `error`.
    pub fn new(sample: &Sample, error: &Error) -> Self {
        // The sample names the file already.
        let reason = match error {
            Error::Clip { reason, .. } => reason.clone(),
            other => other.to_string(),
        };
        Self { sample: sample.clone(), reason }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}: {}", self.sample.address(), self.reason)
    }
}

/// Labelled clips, each in its part of the split.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// The folder or list that was opened.
    pub path: PathBuf,
    /// Class names in natural order (`2` before `10`); a sample's label is an index into it.
    pub labels: Vec<String>,
    /// What the data asks of a clip.
    pub task: Task,
    /// In the list's order, or sorted by path.
    pub samples: Vec<Sample>,
    /// What to tell the user before training.
    pub warnings: Vec<Warning>,
    /// Clips that were left out.
    pub problems: Vec<Problem>,
    /// Clips that show none of the labels; they are in no list above.
    pub none: NoneClips,
    /// Where the groups come from.
    pub grouping: Grouping,
    /// How the validation part was cut; `None` where it was given.
    pub cut: Option<Cut>,
    /// Whether the data said itself which clips are for training and which for testing.
    pub split_given: bool,
    /// Sets of byte-identical samples, as indices.
    twins: Vec<Vec<usize>>,
}

/// A labelled clip as a list or folder states it.
#[derive(Debug, Default)]
pub(crate) struct Row {
    pub path: PathBuf,
    pub name: String,
    pub span: Option<Span>,
    pub labels: Vec<String>,
    pub split: Option<Split>,
    pub group: Option<String>,
}

impl Row {
    /// Whether it says that the clip shows none of the labels.
    fn is_background(&self) -> bool {
        self.labels.iter().any(|label| label == NONE)
    }
}

/// The rows of the list at `path` as they stand there, and what they ask of a clip.
///
/// # Errors
/// As [`Dataset::open`]'s, for a list of no known form.
pub(crate) fn read_list(path: &Path) -> Result<(Vec<Row>, Task)> {
    let (rows, _, task) = list::read(path)?;
    Ok((rows, task))
}

impl Dataset {
    /// Reads a folder with one folder a class, or a list (see the module's files for the forms).
    ///
    /// # Errors
    /// [`Error::Io`] where the path can't be read; [`Error::Data`] where nothing can be trained or evaluated: a
    /// list of no known form, no usable clip, or a label that `options.labels` lacks; [`Error::Usage`] for a bad
    /// pattern.
    pub fn open(path: impl AsRef<Path>, options: &Options) -> Result<Self> {
        let path = path.as_ref();
        let meta = fs::metadata(path).map_err(|e| Error::io(path, e))?;
        let (mut rows, mut warnings, task) = if meta.is_dir() {
            let (rows, warnings) = folder::read(path)?;
            (rows, warnings, Task::OneOf)
        } else {
            list::read(path)?
        };
        if let Some(background) = &options.background {
            rows.extend(none::read(background)?);
        }
        if rows.is_empty() {
            return Err(Error::data(path, "no labelled clip in it"));
        }
        let (labels, indices) = label_indices(path, &rows, options.labels.as_deref())?;
        let (grouping, groups) = groups::of_rows(&rows, options.group.as_deref(), &mut warnings)?;
        let split_given = rows.iter().any(|row| row.split.is_some());

        let (mut samples, mut problems, mut none) = (Vec::new(), Vec::new(), NoneClips::default());
        let mut seen = HashSet::new();
        let mut repeated = 0;
        for ((row, labels), group) in rows.into_iter().zip(indices).zip(groups) {
            let split = row.split.unwrap_or(Split::Train);
            let stretch = row.span.map(|span| span.to_string());
            if !seen.insert((row.path.clone(), stretch, labels.clone(), split)) {
                repeated += 1;
                continue;
            }
            let background = task.is_background(&labels);
            let name = address(&row.name, row.span);
            let sample = Sample { path: row.path, name, span: row.span, labels, split, group };
            let (samples, problems) = match background {
                true => (&mut none.samples, &mut none.problems),
                false => (&mut samples, &mut problems),
            };
            match usable(&sample.path) {
                Ok(()) => samples.push(sample),
                Err(reason) => problems.push(Problem { sample, reason }),
            }
        }
        if repeated > 0 {
            warnings.push(Warning::RepeatedRows(repeated));
        }
        if samples.is_empty() && (none.samples.is_empty() || options.cut) {
            let Some(first) = problems.first().or(none.problems.first()) else {
                let reason = format!("its clips are all `{NONE}`: there is no label to learn");
                return Err(Error::data(path, reason));
            };
            let reason = format!(
                "none of its {} clips can be read; the first, {first} (paths in a list are relative to the list's own folder)",
                problems.len() + none.problems.len(),
            );
            return Err(Error::data(path, reason));
        }
        let mut data = Self {
            path: path.to_owned(),
            labels,
            task,
            samples,
            warnings,
            problems,
            none,
            grouping,
            cut: None,
            split_given,
            twins: Vec::new(),
        };
        let problems = data.none.problems.iter().filter(|problem| problem.sample.split != Split::Test);
        let background = problems.count() + data.none.learned().count();
        data.find_same_content();
        data.look_for_leaks();
        data.look_for_lost_classes();
        if options.cut {
            data.look_at_classes()?;
            data.cut_validation(options);
            data.cut_background(options);
            if background > 0 && data.none.learned().next().is_none() {
                data.warnings.push(Warning::LostBackground(background));
            }
        }
        Ok(data)
    }

    /// The clips of one part of the split.
    pub fn part(&self, split: Split) -> impl Iterator<Item = &Sample> {
        self.samples.iter().filter(move |s| s.split == split)
    }

    /// Whether the data names clips for one part of the split, be it that none of them can be read.
    pub fn has(&self, split: Split) -> bool {
        self.part(split).next().is_some()
            || self.unreadable(split).next().is_some()
            || self.none.part(split).next().is_some()
            || self.none.problems.iter().any(|problem| problem.sample.split == split)
    }

    /// The clips of one part of the split that can't be read.
    fn unreadable(&self, split: Split) -> impl Iterator<Item = &Problem> {
        self.problems.iter().filter(move |p| p.sample.split == split)
    }

    /// How many clips one part of the split has.
    pub fn count(&self, split: Split) -> usize {
        self.part(split).count()
    }

    /// How many clips of each class one part of the split has: `[classes]`.
    pub fn class_counts(&self, split: Split) -> Vec<usize> {
        let mut counts = vec![0; self.labels.len()];
        self.part(split).flat_map(|s| &s.labels).for_each(|&label| counts[label] += 1);
        counts
    }

    /// Puts byte-identical clips into one group and names those under two labels, or on both sides of a given split. A
    /// background clip is taken once in each part, and not where it is labelled as well.
    fn find_same_content(&mut self) {
        let mut all = std::mem::take(&mut self.samples);
        all.append(&mut self.none.samples);
        let mut problems = Vec::new();
        let twins = groups::same_content(&mut all, &mut problems);
        let task = self.task;
        let is_background = |clip: &Sample| task.is_background(&clip.labels);
        let (mut left_out, mut repeated, mut labelled_too) = (HashSet::new(), 0, Vec::new());
        for same in &twins {
            // The labelled ones come first, and keep their numbers.
            let (labelled, background) = same.split_at(same.partition_point(|&i| !is_background(&all[i])));
            if labelled.len() > 1 {
                self.twins.push(labelled.to_vec());
            }
            let mut kept = labelled.to_vec();
            if labelled.is_empty() {
                let mut parts = HashSet::new();
                kept.extend(background.iter().filter(|&&i| parts.insert(all[i].split)));
                repeated += background.len() - kept.len();
            } else if !background.is_empty() {
                labelled_too.extend(labelled.iter().map(|&i| all[i].name.clone()));
            }
            left_out.extend(background.iter().filter(|i| !kept.contains(i)).copied());
            let clips: Vec<&Sample> = kept.iter().map(|&i| &all[i]).collect();
            let names = || clips.iter().map(|s| s.name.clone()).collect();
            if clips.iter().any(|s| s.labels != clips[0].labels) {
                self.warnings.push(Warning::SameClipInClasses(names()));
            }
            let trained = clips.iter().any(|s| s.split != Split::Test);
            if trained && clips.iter().any(|s| s.split == Split::Test) {
                self.warnings.push(Warning::SameClipInTest(names()));
            }
        }
        if repeated > 0 {
            self.warnings.push(Warning::RepeatedBackground(repeated));
        }
        if !labelled_too.is_empty() {
            self.warnings.push(Warning::LabelledAndNone(labelled_too));
        }
        for problem in problems {
            let to =
                if is_background(&problem.sample) { &mut self.none.problems } else { &mut self.problems };
            to.push(problem);
        }
        let kept = all.into_iter().enumerate().filter(|(i, _)| !left_out.contains(i));
        for clip in kept.map(|(_, clip)| clip) {
            let to = if is_background(&clip) { &mut self.none.samples } else { &mut self.samples };
            to.push(clip);
        }
    }

    /// Names the groups that a given split has on both sides.
    fn look_for_leaks(&mut self) {
        // Background clips are learned from and measured as well.
        let all: Vec<&Sample> = self.samples.iter().chain(&self.none.samples).collect();
        for part in [Split::Val, Split::Test] {
            let train: HashSet<&str> =
                all.iter().filter(|s| s.split < part).map(|s| s.group.as_str()).collect();
            let of_part = || all.iter().filter(move |s| s.split == part);
            let leaked: Vec<&&Sample> = of_part().filter(|s| train.contains(s.group.as_str())).collect();
            if leaked.is_empty() {
                continue;
            }
            let mut groups: Vec<String> = leaked.iter().map(|s| s.group.clone()).collect();
            groups.sort_by(|a, b| natural::compare(a, b));
            groups.dedup();
            self.warnings.push(Warning::GroupsOnBothSides {
                groups,
                part: part.name(),
                clips: leaked.len(),
                of: of_part().count(),
            });
        }
    }

    /// Names classes of whose clips none can be read.
    fn look_for_lost_classes(&mut self) {
        let mut lost = BTreeMap::new();
        let labels = self.problems.iter().flat_map(|p| &p.sample.labels);
        labels.for_each(|&label| *lost.entry(label).or_insert(0) += 1);
        lost.retain(|class, _| self.samples.iter().all(|s| !s.labels.contains(class)));
        let warning = |(class, clips): (usize, usize)| Warning::LostClass(self.labels[class].clone(), clips);
        self.warnings.extend(lost.into_iter().map(warning));
    }

    /// Names classes that can't be learnt or tested well.
    fn look_at_classes(&mut self) -> Result<()> {
        let parts = [Split::Train, Split::Val, Split::Test].map(|split| self.class_counts(split));
        let [train, val, test] = &parts;
        let clips = self.count(Split::Train);
        let classes = train.iter().filter(|clips| **clips > 0).count();
        let too_few = match (self.task, classes) {
            (Task::OneOf, 0) => Some("no training clip in it"),
            (Task::OneOf, 1) => Some("training clips of one class only; there must be two or more"),
            (Task::AnyOf, _) if clips == 0 => Some("no training clip in it"),
            (Task::AnyOf, _) if train.iter().all(|n| [0, clips].contains(n)) => {
                Some("no label that some of the training clips show and others don't: nothing can be learned")
            }
            _ => None,
        };
        if let Some(reason) = too_few {
            // The others may be there, under another path.
            let unreadable = match self.unreadable(Split::Train).next() {
                Some(first) => {
                    let clips = self.unreadable(Split::Train).count();
                    format!("; {clips} training clips can't be read, the first, {first}")
                }
                None => String::new(),
            };
            return Err(Error::data(&self.path, format!("{reason}{unreadable}")));
        }
        for (class, label) in self.labels.iter().enumerate() {
            match train[class] {
                0 if val[class] + test[class] > 0 => {
                    self.warnings.push(Warning::NoTrainingClip(label.clone()))
                }
                1 => self.warnings.push(Warning::OneClip(label.clone())),
                n if n == clips && self.task == Task::AnyOf => {
                    self.warnings.push(Warning::AlwaysShown(label.clone()))
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// `name` of a video, and which stretch of it.
fn address(name: &str, span: Option<Span>) -> String {
    span.map_or_else(|| name.to_owned(), |span| format!("{name}{span}"))
}

/// Why a file can't be a clip, by a look at its directory entry.
fn usable(path: &Path) -> Result<(), String> {
    match regular(path)? {
        meta if meta.is_dir() => Err("a folder, not a video (folders of single frames can't be read)".into()),
        meta if meta.len() == 0 => Err("the file is empty".into()),
        _ => Ok(()),
    }
}

/// The label names, and every row's indices into them, rising; none for [`NONE`].
fn label_indices(
    path: &Path,
    rows: &[Row],
    known: Option<&[String]>,
) -> Result<(Vec<String>, Vec<Vec<usize>>)> {
    let labels = match known {
        Some(labels) => labels.to_vec(),
        None => {
            let named = rows.iter().flat_map(|row| row.labels.clone());
            let mut labels: Vec<String> = named.filter(|label| label != NONE).collect();
            labels.sort_by(|a, b| natural::compare(a, b));
            labels.dedup();
            labels
        }
    };
    let index: HashMap<&str, usize> = labels.iter().map(String::as_str).zip(0..).collect();
    // Where a class is called by a number, any number is a name: as an index it could mean another class.
    let numbers_are_names = labels.iter().any(|label| label.parse::<f64>().is_ok());
    let find = |label: &str| {
        let number = || label.parse().ok().filter(|n| !numbers_are_names && *n < labels.len());
        index.get(label).copied().or_else(number)
    };
    let mut unknown = BTreeMap::new();
    let mut indices = Vec::with_capacity(rows.len());
    for row in rows {
        let mut own = Vec::with_capacity(row.labels.len());
        for label in row.labels.iter().filter(|label| *label != NONE) {
            match find(label) {
                Some(i) => own.push(i),
                None => *unknown.entry(label.as_str()).or_insert(0) += 1,
            }
        }
        own.sort_unstable();
        own.dedup();
        indices.push(own);
    }
    if !unknown.is_empty() {
        let clips: usize = unknown.values().sum();
        let names: Vec<String> = unknown.into_keys().map(|l| format!("'{l}'")).collect();
        let reason = format!(
            "{clips} clips have labels that the model doesn't know: {} (it knows: {})",
            warning::some_of(&names),
            warning::some_of(&labels)
        );
        return Err(Error::data(path, reason));
    }
    Ok((labels, indices))
}

#[cfg(test)]
mod tests;
