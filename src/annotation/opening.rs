//! How a session begins: what its files say.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::book::{Book, Said};
use super::groups::Groups;
use super::item::{Item, name_in};
use super::journal::{self, Journal, What};
use super::state::State;
use super::{Guess, Id, Options, list};
use crate::learning::dataset::{Grouping, of_names};
use crate::output::read_rows;
use crate::{Error, Label, Result};

/// How a session over `options.clips` stands by its list and its journal.
///
/// # Errors
/// Where they can't be read or written, or another process holds the journal.
pub(super) fn state(options: &Options) -> Result<State> {
    options.labels.iter().try_for_each(|label| list::check_label(label))?;
    let parent = match options.output.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let folder = parent.canonicalize().map_err(|e| Error::io(parent, e))?;
    let (mut journal, events) = Journal::open(&journal::path_of(&options.output))?;
    let mut given = options.labels.clone();
    let prelabels = prelabels(options, &folder, &mut given)?;
    let mut book = Book::new(events, &given);
    take_up_list(&options.output, &folder, &mut journal, &mut book)?;

    let (mut items, mut files, mut nameless) = (Vec::new(), Vec::new(), HashMap::new());
    let mut numbers = HashMap::new();
    let mut add = |item: Item, file: PathBuf| {
        let next = items.len();
        let number = *numbers.entry(item.id()).or_insert(next);
        if number == next {
            items.push(item);
            files.push(file);
        }
        number
    };
    for clip in &options.clips {
        match name_in(&folder, clip) {
            Ok(name) => match options.parts.get(clip) {
                None => drop(add(Item::whole(name), clip.clone())),
                Some(parts) => parts.iter().for_each(|span| {
                    add(Item { name: name.clone(), span: Some(*span) }, clip.clone());
                }),
            },
            Err(reason) => {
                let number = add(Item::whole(clip.to_string_lossy().into_owned()), clip.clone());
                nameless.insert(number, reason);
            }
        }
    }
    // What has an answer stays in the list, whether it is among the clips of today or not.
    let mut others: Vec<Item> = book.answers().map(|(item, _)| item.clone()).collect();
    others.sort_by(|a, b| a.name.cmp(&b.name).then(a.id().cmp(&b.id())));
    for item in others {
        let file = item.path(&folder);
        add(item, file);
    }
    let groups = groups(&items, &book, options)?;
    let mut state = State::new(items, files, (journal, book), groups, options.seed, options.by.clone());
    for (clip, reason) in nameless {
        state.broken[clip] = Some(reason.clone());
        state.nameless.insert(clip, reason);
    }
    for (id, guess) in prelabels {
        if let Some(&clip) = state.numbers.get(&id) {
            state.guesses[clip] = Some(guess);
        }
    }
    Ok(state)
}

/// What an earlier run said of the clips. Its labels are added to those that are `given`.
fn prelabels(options: &Options, folder: &Path, given: &mut Vec<String>) -> Result<Vec<(Id, Guess)>> {
    let mut guesses = Vec::new();
    if let Some(path) = &options.prelabels {
        read_rows(path, |row| {
            let labels = row.outcome.map(|clip| clip.labels).unwrap_or_default();
            let (Some(best), Ok(name)) = (labels.first(), name_in(folder, &row.path)) else { return Ok(()) };
            guesses.push((Item::whole(name).id(), Guess { label: best.label.clone(), score: best.score }));
            // A clip may have been said to show more than its best label.
            for (rank, Label { label, above, .. }) in labels.iter().enumerate() {
                if (rank == 0 || *above == Some(true)) && !given.contains(label) {
                    given.push(label.clone());
                }
            }
            Ok(())
        })?;
    }
    Ok(guesses)
}

/// Takes up what stands in the list and wasn't written by us: all of it at first, later rows that are new or have another
/// label. Another split or group alone may as well be what we wrote ourselves, as both are found anew each time; and a row
/// that isn't there may be of a label that was given after the list was written.
fn take_up_list(output: &Path, folder: &Path, journal: &mut Journal, book: &mut Book) -> Result<()> {
    let text = match std::fs::read(output) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(Error::io(output, e)),
    };
    if book.wrote(&list::digest(&text)) {
        return Ok(());
    }
    let mut rows = list::read(output, folder)?;
    rows.retain(|row| {
        list::check_label(&row.label).is_ok()
            && !book.answer(&row.item).is_some_and(|answer| match &answer.said {
                Said::Label { label, .. } => *label == row.label,
                Said::Skip | Said::Broken => false,
            })
    });
    if !rows.is_empty() {
        let event = journal::Event::now(What::List { rows }, None, None);
        journal.add(&event)?;
        book.add(event);
    }
    Ok(())
}

/// The groups of `items`: a list's own, else what their names tell.
fn groups(items: &[Item], book: &Book, options: &Options) -> Result<Groups> {
    let (mut grouping, mut names) =
        of_names(items.iter().map(|item| item.name.as_str()), options.group.as_deref())?;
    for (name, item) in names.iter_mut().zip(items) {
        // Parts of one film are of one source.
        if item.span.is_some() && name.is_none() {
            *name = Some(item.name.clone());
        }
        if let Some(group) = book.group(item) {
            *name = Some(group.to_owned());
            if grouping == Grouping::Clip {
                grouping = Grouping::Column;
            }
        }
    }
    let draw = |(item, name): (&Item, &Option<String>)| {
        let what = name.as_deref().unwrap_or(&item.name);
        let hash = blake3::hash(format!("{} {what}", options.seed).as_bytes());
        ChaCha8Rng::from_seed(*hash.as_bytes()).random_range(0.0..1.0)
    };
    let draws = items.iter().zip(&names).map(draw).collect();
    Ok(Groups::new(grouping, names, draws))
}
