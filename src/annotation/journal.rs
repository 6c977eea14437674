//! The journal of a list: each answer is on disk before it counts.
//!
//! Lines of JSON, only ever added, each by a single write, so that whatever ends the program can tear the last one only;
//! [`Journal::open`] cuts a torn line off. A header, then what happened:
//!
//! ```text
//! {"annotations":"classify","version":1}
//! {"at":1764120245.1,"by":"ann","what":"label","clip":"clips/a.mp4","label":"PullUps","held_out":false}
//! {"at":1764120246.0,"by":"ann","what":"undo","event":0}
//! ```

use std::fs::File;
use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::Point;
use super::item::Item;
use crate::files::Ledger;
use crate::{Error, Result};

/// How every journal starts: nothing else is ever cut or written to.
const HEADER: &str = r#"{"annotations":"classify","version":1}"#;

/// Something that happened, and when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Event {
    /// Seconds since 1970.
    pub at: f64,
    /// Who did it, where that was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// On which page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reader: Option<String>,
    #[serde(flatten)]
    pub what: What,
}

impl Event {
    /// `what` happened now.
    pub(super) fn now(what: What, by: Option<&str>, reader: Option<&str>) -> Self {
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        let at = (now.as_secs_f64() * 1e3).round() / 1e3;
        Self { at, by: by.map(str::to_owned), reader: reader.map(str::to_owned), what }
    }
}

/// What happens in a session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub(super) enum What {
    /// A person named what a clip shows. `held_out`: it is for the test alone.
    Label {
        #[serde(flatten)]
        item: Item,
        label: String,
        held_out: bool,
    },
    /// A person won't say.
    Skip {
        #[serde(flatten)]
        item: Item,
    },
    /// A person couldn't watch it.
    Broken {
        #[serde(flatten)]
        item: Item,
    },
    /// A person looked at clips that the model took for `label`.
    Grid { label: String, right: Vec<Item>, wrong: Vec<Item> },
    /// Whatever was called `from` until then is called `to`.
    Rename { from: String, to: String },
    /// The event of that number, counted from 0, doesn't count.
    Undo { event: usize },
    /// Rows that stood in the list and weren't written by us.
    List { rows: Vec<Listed> },
    /// The list is written with content of this hash.
    Wrote { digest: String },
    /// A model is written to this folder.
    Model { folder: String },
    /// How good the model was.
    Measured(Point),
}

/// A row of the list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Listed {
    #[serde(flatten)]
    pub item: Item,
    pub label: String,
    pub held_out: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

/// An open journal. Holds a lock on its file, so that two processes can't share one.
pub(super) struct Journal(Ledger);

/// The journal of the list at `list`: beside it, so that it is found again.
pub(super) fn path_of(list: &Path) -> PathBuf {
    let mut name = list.as_os_str().to_owned();
    name.push(".annotations");
    name.into()
}

impl Journal {
    /// Opens the journal at `path` or starts it, and reads what happened so far.
    ///
    /// # Errors
    /// [`Error::Usage`] where another process holds it, it isn't a journal, or one of its lines makes no sense: nothing
    /// that was said is left out in silence. [`Error::Io`] where it can't be read or written.
    pub(super) fn open(path: &Path) -> Result<(Self, Vec<Event>)> {
        let busy = || {
            Error::Usage(format!(
                "{}: these clips are being labelled already; open the page of that program, or end it",
                path.display()
            ))
        };
        let mut ledger = Ledger::open(path)?.ok_or_else(busy)?;
        let (events, len) = read(&ledger)?;
        ledger.keep(len)?;
        if len == 0 {
            ledger.add_line(HEADER.into())?;
        }
        Ok((Self(ledger), events))
    }

    /// Takes down `event`. Where that fails, nothing has changed.
    pub(super) fn add(&mut self, event: &Event) -> Result<()> {
        self.0.add(event).map(drop)
    }

    /// The file, to make sure without a lock on this that it survives a power cut.
    pub(super) fn file(&self) -> Result<File> {
        self.0.file().try_clone().map_err(|e| Error::io(self.0.path(), e))
    }
}

/// The events in `ledger`, and how many of its bytes are whole lines.
fn read(ledger: &Ledger) -> Result<(Vec<Event>, u64)> {
    let (path, mut reader) = (ledger.path(), ledger.read());
    let (mut events, mut len, mut line) = (Vec::new(), 0, Vec::new());
    for number in 1.. {
        line.clear();
        let read = reader.read_until(b'\n', &mut line).map_err(|e| Error::io(path, e))?;
        let whole = line.pop_if(|last| *last == b'\n').is_some();
        if number == 1 && line != HEADER.as_bytes() && (whole || !HEADER.as_bytes().starts_with(&line)) {
            let text = format!("{} is not a journal of this program; move it away", path.display());
            return Err(Error::Usage(text));
        }
        if !whole {
            break;
        }
        if number > 1 {
            let event = serde_json::from_slice(&line).map_err(|e| {
                Error::Usage(format!(
                    "{}: line {number} makes no sense ({e}): take it out, or use the version of classify that wrote it",
                    path.display()
                ))
            })?;
            events.push(event);
        }
        len += read as u64;
    }
    Ok((events, len))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(name: &str, label: &str) -> Event {
        let what = What::Label { item: Item::whole(name.into()), label: label.into(), held_out: false };
        Event::now(what, Some("ann"), None)
    }

    fn events(path: &Path) -> Vec<Event> {
        Journal::open(path).unwrap().1
    }

    #[test]
    fn events_come_back_and_a_torn_line_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = path_of(&folder.path().join("labels.csv"));
        let row = Listed { item: Item::whole("b".into()), label: "y".into(), held_out: true, group: None };
        let all = [
            label("a.mp4", "x, \"y\"\u{e9}"),
            Event::now(
                What::Skip { item: Item { name: "f".into(), span: Some([0.5, 2.0]) } },
                None,
                Some("r"),
            ),
            Event::now(What::Broken { item: Item::whole("c".into()) }, None, None),
            Event::now(
                What::Grid { label: "x".into(), right: vec![Item::whole("d".into())], wrong: vec![] },
                None,
                None,
            ),
            Event::now(What::Rename { from: "x".into(), to: "z".into() }, None, None),
            Event::now(What::Undo { event: 1 }, None, None),
            Event::now(What::List { rows: vec![row] }, None, None),
            Event::now(What::Wrote { digest: "00".into() }, None, None),
        ];
        {
            let (mut journal, none) = Journal::open(&path).unwrap();
            assert!(none.is_empty());
            all.iter().for_each(|event| journal.add(event).unwrap());
        }
        assert_eq!(events(&path), all);
        let whole = std::fs::read(&path).unwrap();
        // Killed at whatever byte: the lines before are there, and it goes on after them.
        for cut in (0..whole.len()).step_by(7) {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let lines = whole[..cut].iter().filter(|b| **b == b'\n').count();
            let kept = lines.saturating_sub(1);
            {
                let (mut journal, before) = Journal::open(&path).unwrap();
                assert_eq!(before, all[..kept], "cut at {cut}");
                journal.add(&label("z.mp4", "z")).unwrap();
            }
            assert_eq!(events(&path).len(), kept + 1, "cut at {cut}");
        }
    }

    #[test]
    fn other_files_and_lines_are_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.annotations");
        for content in ["path,label\na,b\n", "note", &format!("{HEADER}\n{{\"at\":1}}\n"), "\n"] {
            std::fs::write(&path, content).unwrap();
            let error = Journal::open(&path).err().unwrap().to_string();
            assert!(error.contains("x.annotations"), "{error}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
        }
    }

    #[test]
    fn two_processes_cannot_share_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.annotations");
        let open = Journal::open(&path).unwrap();
        let error = Journal::open(&path).err().unwrap().to_string();
        assert!(error.contains("labelled already"), "{error}");
        drop(open);
        Journal::open(&path).unwrap();
    }
}
