//! What is wrong with a data set without keeping it from being used.

use std::fmt;

use super::{NONE, Split, list::KNOWN};

/// A warning whose text says what it means for the result, or what to do.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Warning {
    /// A folder of a class, or beside the classes, without a video.
    EmptyClass(String),
    /// A class with one clip to learn from.
    OneClip(String),
    /// A class with so many clips of which none can be read.
    LostClass(String, usize),
    /// A given validation or test part with so many clips of which none can be read.
    LostPart(Split, usize),
    /// A class that is tested but not trained.
    NoTrainingClip(String),
    /// Files in the folder that aren't clips of a class.
    OtherFiles(usize),
    /// Columns of a list that have no meaning here.
    UnreadColumns(Vec<String>),
    /// Columns of labels that no clip shows.
    NeverShown(Vec<String>),
    /// A label that every training clip shows.
    AlwaysShown(String),
    /// Rows that say the same again.
    RepeatedRows(usize),
    /// Background clips that were given already, by another path or as a copy.
    RepeatedBackground(usize),
    /// So many background clips to learn from, of which none is left.
    LostBackground(usize),
    /// Byte-identical clips under more than one label.
    SameClipInClasses(Vec<String>),
    /// Clips that are labelled, and given as showing none of the labels as well.
    LabelledAndNone(Vec<String>),
    /// Byte-identical clips on both sides of the given split.
    SameClipInTest(Vec<String>),
    /// Groups of a given part that are trained on too.
    GroupsOnBothSides {
        /// Their names.
        groups: Vec<String>,
        /// `validation` or `test`.
        part: &'static str,
        /// How many of its clips they hold, …
        clips: usize,
        /// … of so many.
        of: usize,
    },
    /// A `--group` pattern that a list's group column overrules.
    PatternUnused,
    /// Clips that the `--group` pattern doesn't match.
    PatternUnmatched {
        /// How many.
        clips: usize,
        /// One of them.
        example: String,
    },
    /// Nothing says which clips come from one source.
    NoGroups,
    /// The given test side shares its groups with training, so validation is cut by clip as well.
    GroupsDontSeparate,
    /// Classes whose groups were too few to put whole ones into the validation part.
    CutByClip(Vec<String>),
    /// Classes without a clip in the validation part.
    NotValidated(Vec<String>),
    /// The data has no test part, or one without a labelled clip.
    NoTest,
    /// Classes whose groups are fewer than the folds of a cross-validation.
    FewGroupsForFolds(Vec<String>),
}

/// What it means that no test clip is measured.
const UNTESTED: &str =
    "figures are of the validation part, which also chose the best epoch, so they are a little too good";

/// What it means that there is no background to learn from.
pub(in crate::learning) const NO_BACKGROUND: &str =
    "when to be 'not sure' is learned from the labels' clips alone";

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::EmptyClass(label) => {
                write!(f, "folder '{label}' holds no video: left out")
            }
            Self::OneClip(label) => write!(
                f,
                "class '{label}' has one clip to learn from: it can't be validated; add clips or remove the class"
            ),
            Self::LostClass(label, clips) => write!(
                f,
                "none of the {clips} clips of class '{label}' can be read: mend them or remove the class"
            ),
            Self::LostPart(split, clips) => {
                let instead = match split {
                    Split::Test => UNTESTED,
                    _ => "another validation part is cut from the training clips",
                };
                write!(f, "none of the {clips} {} clips can be read: {instead}", split.name())
            }
            Self::NoTrainingClip(label) => {
                write!(f, "class '{label}' has no training clip: its clips will all be answered wrongly")
            }
            Self::OtherFiles(n) => {
                write!(f, "{n} files are not videos in a class folder: left out")
            }
            Self::UnreadColumns(columns) => {
                write!(f, "columns not read: {} (known: {})", some_of(columns), KNOWN.join(", "))
            }
            Self::NeverShown(labels) => {
                write!(f, "no clip shows: {}; left out", some_of(labels))
            }
            Self::AlwaysShown(label) => {
                write!(f, "every training clip shows '{label}': there is nothing to tell it from")
            }
            Self::RepeatedRows(n) => write!(f, "{n} rows repeat an earlier one: left out"),
            Self::RepeatedBackground(n) => {
                write!(f, "{n} `{NONE}` clips are the same as an earlier one: left out")
            }
            Self::LostBackground(n) => {
                write!(f, "none of the {n} `{NONE}` clips to learn from is left: {NO_BACKGROUND}")
            }
            Self::SameClipInClasses(clips) => {
                write!(f, "the same clip under different labels: {}; remove the wrong ones", some_of(clips))
            }
            Self::LabelledAndNone(clips) => write!(
                f,
                "labelled, and given as showing none of the labels as well: {}; the label counts",
                some_of(clips)
            ),
            Self::SameClipInTest(clips) => write!(
                f,
                "the same clip in training and test: {}; the test figure is too good by it",
                some_of(clips)
            ),
            Self::GroupsOnBothSides { groups, part, clips, of } => write!(
                f,
                "the given split has groups on both sides ({}): {clips} of {of} {part} clips are of a source that is also trained on, so the {part} figure says little about new sources",
                some_of(groups)
            ),
            Self::PatternUnused => {
                write!(f, "--group is not used: the list's own group column goes before it")
            }
            Self::PatternUnmatched { clips, example } => write!(
                f,
                "--group does not match {clips} clips (such as {example}): each of them is a group of its own"
            ),
            Self::NoGroups => write!(
                f,
                "nothing says which clips come from one source video, so the split is by clip; if some do, name their group (--group PATTERN, or a list with a group column), else the figures come out too good"
            ),
            Self::GroupsDontSeparate => write!(
                f,
                "as the given test clips share their groups with the training clips, the validation part is cut by clip too, to resemble them"
            ),
            Self::CutByClip(labels) => write!(
                f,
                "too few groups to keep them whole, so validation is cut by clip for: {}; their validation figures come out too good",
                some_of(labels)
            ),
            Self::NotValidated(labels) => {
                write!(f, "no clip in the validation part for: {}", some_of(labels))
            }
            Self::NoTest => write!(f, "no labelled test clips are given: {UNTESTED}"),
            Self::FewGroupsForFolds(labels) => {
                write!(f, "fewer groups than folds, so some folds lack a class, for: {}", some_of(labels))
            }
        }
    }
}

/// The first five of `names`, and how many more there are.
pub(super) fn some_of(names: &[String]) -> String {
    let shown = names[..names.len().min(5)].join(", ");
    match names.len() {
        n @ 6.. => format!("{shown} and {} more", n - 5),
        _ => shown,
    }
}
