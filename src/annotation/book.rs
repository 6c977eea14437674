//! What was said so far, as the journal's events add up to it.

use std::collections::{BTreeSet, HashMap};

use super::Point;
use super::item::Item;
use super::journal::{Event, Listed, What};

/// What counts for a clip.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Said {
    Label { label: String, held_out: bool },
    Skip,
    Broken,
}

/// The last answer on a clip.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answer {
    pub said: Said,
    pub by: Option<String>,
    /// How often a label was given to the clip.
    pub times: usize,
}

/// All answers.
#[derive(Debug, Default)]
pub(super) struct Book {
    events: Vec<Event>,
    /// Labels that are there before any answer.
    given: Vec<String>,
    answers: HashMap<String, (Item, Answer)>,
    /// What a clip is not, by a grid.
    refused: HashMap<String, Vec<String>>,
    /// In the order in which they came up.
    labels: Vec<String>,
    /// Groups that a list named.
    groups: HashMap<String, String>,
}

/// What tells an item from all others.
fn key(item: &Item) -> String {
    match item.span {
        None => item.name.clone(),
        Some([start, end]) => format!("{}#t={start},{end}", item.name),
    }
}

impl Book {
    pub(super) fn new(events: Vec<Event>, given: &[String]) -> Self {
        let mut book = Self { events, given: given.to_vec(), ..Self::default() };
        book.add_up();
        book
    }

    /// Adds what happened. The journal has it already.
    pub(super) fn add(&mut self, event: Event) {
        self.events.push(event);
        let last = self.events.len() - 1;
        match self.events[last].what {
            What::Undo { .. } => self.add_up(),
            _ => self.apply(last),
        }
    }

    /// How many events there are: the number of the next.
    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    /// How many of them say something of clips.
    pub(super) fn said(&self) -> usize {
        let says = |event: &&Event| {
            !matches!(event.what, What::Wrote { .. } | What::Model { .. } | What::Measured(_))
        };
        self.events.iter().filter(says).count()
    }

    pub(super) fn answer(&self, item: &Item) -> Option<&Answer> {
        self.answers.get(&key(item)).map(|(_, answer)| answer)
    }

    /// Every clip with an answer.
    pub(super) fn answers(&self) -> impl Iterator<Item = (&Item, &Answer)> {
        self.answers.values().map(|(item, answer)| (item, answer))
    }

    /// What the clip is known not to be.
    pub(super) fn refused(&self, item: &Item) -> &[String] {
        self.refused.get(&key(item)).map_or(&[], Vec::as_slice)
    }

    pub(super) fn labels(&self) -> &[String] {
        &self.labels
    }

    /// The group that a list named for the clip.
    pub(super) fn group(&self, item: &Item) -> Option<&str> {
        self.groups.get(&key(item)).map(String::as_str)
    }

    /// The last event of the page `reader` that counts and can be taken back.
    pub(super) fn last_of(&self, reader: &str) -> Option<usize> {
        let undone = self.undone();
        let own = |event: &Event| event.reader.as_deref() == Some(reader) && event.what.can_be_undone();
        (0..self.events.len()).rev().find(|i| own(&self.events[*i]) && !undone.contains(i))
    }

    /// The clips that the event of number `event` is about; all with an answer where it is about labels.
    pub(super) fn clips_of(&self, event: usize) -> Vec<Item> {
        match self.events.get(event).map(|event| &event.what) {
            Some(What::Label { item, .. } | What::Skip { item } | What::Broken { item }) => {
                vec![item.clone()]
            }
            Some(What::Grid { right, wrong, .. }) => right.iter().chain(wrong).cloned().collect(),
            Some(What::Rename { .. }) => self.answers().map(|(item, _)| item.clone()).collect(),
            _ => Vec::new(),
        }
    }

    /// Hashes of all that was ever written as the list.
    pub(super) fn wrote(&self, digest: &str) -> bool {
        self.events.iter().any(|event| matches!(&event.what, What::Wrote { digest: d } if d == digest))
    }

    /// How good the model was by the number of labels, in former sessions too.
    pub(super) fn curve(&self) -> Vec<Point> {
        let point = |event: &Event| match &event.what {
            What::Measured(point) => Some(point.clone()),
            _ => None,
        };
        self.events.iter().filter_map(point).collect()
    }

    /// Whether a model in `folder` was made of these labels.
    pub(super) fn made(&self, folder: &str) -> bool {
        self.events.iter().any(|event| matches!(&event.what, What::Model { folder: f } if f == folder))
    }

    fn undone(&self) -> BTreeSet<usize> {
        let undo = |event: &Event| match event.what {
            What::Undo { event } => Some(event),
            _ => None,
        };
        self.events.iter().filter_map(undo).collect()
    }

    fn add_up(&mut self) {
        self.answers.clear();
        self.refused.clear();
        self.groups.clear();
        self.labels.clone_from(&self.given);
        let undone = self.undone();
        (0..self.events.len()).filter(|i| !undone.contains(i)).for_each(|i| self.apply(i));
    }

    fn apply(&mut self, event: usize) {
        let Event { by, what, .. } = self.events[event].clone();
        let mut say = |item: Item, said: Said| {
            let before = self.answers.get(&key(&item)).map_or(0, |(_, answer)| answer.times);
            let times = before + usize::from(matches!(said, Said::Label { .. }));
            self.answers.insert(key(&item), (item, Answer { said, by: by.clone(), times }));
        };
        match what {
            What::Label { item, label, held_out } => {
                say(item, Said::Label { label: label.clone(), held_out });
                self.come_up(label);
            }
            What::Skip { item } => say(item, Said::Skip),
            What::Broken { item } => say(item, Said::Broken),
            What::Grid { label, right, wrong } => {
                for item in right {
                    say(item, Said::Label { label: label.clone(), held_out: false });
                }
                for item in wrong {
                    self.refused.entry(key(&item)).or_default().push(label.clone());
                }
                self.come_up(label);
            }
            What::Rename { from, to } => self.rename(&from, to),
            What::List { rows } => {
                for Listed { item, label, held_out, .. } in &rows {
                    say(item.clone(), Said::Label { label: label.clone(), held_out: *held_out });
                }
                for Listed { item, label, group, .. } in rows {
                    if let Some(group) = group {
                        self.groups.insert(key(&item), group);
                    }
                    self.come_up(label);
                }
            }
            What::Undo { .. } | What::Wrote { .. } | What::Model { .. } | What::Measured(_) => {}
        }
    }

    fn come_up(&mut self, label: String) {
        if !self.labels.contains(&label) {
            self.labels.push(label);
        }
    }

    fn rename(&mut self, from: &str, to: String) {
        for (_, answer) in self.answers.values_mut() {
            if let Said::Label { label, .. } = &mut answer.said
                && label == from
            {
                label.clone_from(&to);
            }
        }
        // What is none of the one need not be none of the other.
        self.refused.values_mut().for_each(|labels| labels.retain(|label| label != from));
        match (self.labels.iter().position(|label| label == from), self.labels.contains(&to)) {
            (Some(place), false) => self.labels[place] = to,
            (Some(place), true) => drop(self.labels.remove(place)),
            (None, _) => {}
        }
    }
}

impl What {
    /// Whether a person did it.
    fn can_be_undone(&self) -> bool {
        match self {
            Self::Label { .. }
            | Self::Skip { .. }
            | Self::Broken { .. }
            | Self::Grid { .. }
            | Self::Rename { .. } => true,
            Self::Undo { .. }
            | Self::List { .. }
            | Self::Wrote { .. }
            | Self::Model { .. }
            | Self::Measured(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(what: What, reader: &str) -> Event {
        Event::now(what, None, Some(reader))
    }

    fn label(name: &str, label: &str) -> What {
        What::Label { item: Item::whole(name.into()), label: label.into(), held_out: false }
    }

    fn called<'a>(book: &'a Book, name: &str) -> Option<&'a str> {
        match &book.answer(&Item::whole(name.into()))?.said {
            Said::Label { label, .. } => Some(label),
            _ => None,
        }
    }

    #[test]
    fn the_last_answer_counts_and_undo_brings_back_the_one_before() {
        let mut book = Book::new(Vec::new(), &["z".into()]);
        for (what, reader) in [
            (label("a", "x"), "1"),
            (label("a", "y"), "2"),
            (What::Skip { item: Item::whole("b".into()) }, "1"),
        ] {
            book.add(event(what, reader));
        }
        assert_eq!(
            (called(&book, "a"), book.labels()),
            (Some("y"), &["z".into(), "x".into(), "y".into()][..])
        );
        assert_eq!(book.last_of("2"), Some(1));
        book.add(event(What::Undo { event: 1 }, "2"));
        assert_eq!((called(&book, "a"), book.last_of("2")), (Some("x"), None));
        // Each page takes back its own, one after the other.
        assert_eq!(book.last_of("1"), Some(2));
        book.add(event(What::Undo { event: 2 }, "1"));
        assert_eq!(book.last_of("1"), Some(0));
        book.add(event(What::Undo { event: 0 }, "1"));
        assert_eq!((book.answers().count(), book.labels()), (0, &["z".into()][..]));
        // As it adds up when it is read again.
        let again = Book::new(book.events.clone(), &["z".into()]);
        assert_eq!(again.answers().count(), 0);
    }

    #[test]
    fn labels_are_renamed_and_merged_and_that_is_undone_too() {
        let mut book = Book::new(Vec::new(), &[]);
        for what in [label("a", "x"), label("b", "y"), What::Rename { from: "x".into(), to: "y".into() }] {
            book.add(event(what, "1"));
        }
        assert_eq!((called(&book, "a"), book.labels()), (Some("y"), &["y".into()][..]));
        book.add(event(label("c", "x"), "1"));
        assert_eq!(called(&book, "c"), Some("x"), "a label that is typed anew is a new one");
        book.add(event(What::Undo { event: 2 }, "1"));
        assert_eq!((called(&book, "a"), called(&book, "b")), (Some("x"), Some("y")));
    }

    #[test]
    fn a_grid_is_one_event() {
        let mut book = Book::new(Vec::new(), &[]);
        let items = |names: &[&str]| names.iter().map(|n| Item::whole((*n).into())).collect::<Vec<_>>();
        book.add(event(
            What::Grid { label: "x".into(), right: items(&["a", "b"]), wrong: items(&["c"]) },
            "1",
        ));
        assert_eq!((called(&book, "a"), called(&book, "c")), (Some("x"), None));
        assert_eq!(book.refused(&Item::whole("c".into())), ["x"]);
        assert_eq!(book.clips_of(0).len(), 3);
        book.add(event(What::Undo { event: 0 }, "1"));
        assert_eq!((book.answers().count(), book.refused(&Item::whole("c".into())).len()), (0, 0));
    }
}
