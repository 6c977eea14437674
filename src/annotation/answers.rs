//! What goes in and out of a session: clips, questions and answers, as pages send and get them.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Names a clip in addresses and messages: 12 hexadecimal digits that depend on the clip's path (and span) alone, so
/// that a page which is still open after a restart means the same clip.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Id(u64);

impl Id {
    /// Of the clip that the list calls `name`.
    pub(crate) fn of(name: &str) -> Self {
        let hash = blake3::hash(name.as_bytes());
        let bytes = hash.as_bytes();
        Self(bytes[..6].iter().fold(0, |id, &byte| id << 8 | u64::from(byte)))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{:012x}", self.0)
    }
}

impl FromStr for Id {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.len() == 12 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let number = u64::from_str_radix(text, 16).ok().filter(|_| digits);
        number.map(Self).ok_or_else(|| format!("'{text}' names no clip"))
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Why a clip is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Why {
    /// Many others look like it.
    Typical,
    /// The model can't tell what it shows.
    Unsure,
    /// Drawn at random, for the test alone: no guess is shown, and the model never learns it.
    Test,
    /// The model is sure of something else than the person said.
    Check,
}

/// What the model, or an earlier run, takes a clip for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Guess {
    pub label: String,
    /// Probability, 0 to 1.
    pub score: f32,
}

/// A clip to be labelled next.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Offer {
    pub id: Id,
    /// As the list calls it.
    pub name: String,
    /// Seconds, where it is a part of a film.
    pub span: Option<[f64; 2]>,
    pub why: Why,
    pub guess: Option<Guess>,
    /// What it was called before, where it is to be looked at again.
    pub label: Option<String>,
}

/// What a person says of a clip.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Verdict {
    /// It shows this.
    Label(String),
    /// Not to be asked for again.
    Skip,
    /// It can't be watched.
    Broken,
}

/// How a clip stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "standing")]
pub(crate) enum Standing {
    /// Nothing was said of it.
    Open,
    Labelled {
        label: String,
        /// Who said so, where that was told.
        by: Option<String>,
        /// For the test alone.
        held_out: bool,
    },
    Skipped,
    Broken {
        reason: String,
    },
}

impl Standing {
    /// As a [`Query`] names it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Labelled { .. } => "labelled",
            Self::Skipped => "skipped",
            Self::Broken { .. } => "broken",
        }
    }
}

/// All that is known of a clip.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Clip {
    pub id: Id,
    /// As the list calls it.
    pub name: String,
    /// Where its file is.
    #[serde(skip)]
    pub path: PathBuf,
    /// Seconds, where it is a part of a film.
    pub span: Option<[f64; 2]>,
    #[serde(flatten)]
    pub standing: Standing,
    pub guess: Option<Guess>,
    /// Clips of one group, a source video, are on one side of the test.
    pub group: Option<String>,
    /// Whether its features are there.
    pub ready: bool,
}

/// Which clips are wanted; what isn't given doesn't matter.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Query {
    /// Those that were given this label.
    pub label: Option<String>,
    /// `open`, `labelled`, `skipped` or `broken`.
    pub standing: Option<String>,
    /// Those with this in their name, in any case.
    pub text: Option<String>,
    /// Those that look like this one, the nearest first.
    pub like: Option<Id>,
    /// The first that come after so many.
    pub skip: usize,
    /// At most; 0 for 100.
    pub count: usize,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Found {
    /// How many there are.
    pub total: usize,
    /// The part of them that was asked for.
    pub clips: Vec<Clip>,
}

/// Clips that the model takes for one class, to be confirmed together.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Grid {
    pub label: String,
    /// The surest first; at most 24.
    pub clips: Vec<Clip>,
}
