//! A labelling session over some clips.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use candle_core::Device;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::book::{Book, Said};
use super::finish::{Finished, Making};
use super::groups::Groups;
use super::item::{Item, name_in};
use super::journal::{self, Journal, What};
use super::linear::Rows;
use super::list;
use super::state::State;
use super::watch::{Seen, Watch};
use super::{Clip, Found, Grid, Guess, Id, Offer, Query, Standing, Status, Verdict};
use crate::bulk;
use crate::bulk::worker::Setup;
use crate::error::{guard, words};
use crate::learning::FeatureCache;
use crate::learning::dataset::{Grouping, of_names};
use crate::learning::training::Observer;
use crate::model::{Changes, ModelFiles};
use crate::output::read_rows;
use crate::{Error, Result};

/// Clips of a grid, and how many there must be for one.
const GRID: usize = 24;
const LEAST: usize = 6;

/// How sure the model must be of a clip in a grid.
const SURE: f32 = 0.7;

/// How often the journal is made safe against a power cut, and a waiting teacher looks whether it was asked to stop.
const LOOK: Duration = Duration::from_secs(1);

/// What a session is about.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// In the order in which they were given.
    pub clips: Vec<PathBuf>,
    /// Those of which parts are labelled, each on its own: from and to, in seconds.
    pub parts: HashMap<PathBuf, Vec<[f64; 2]>>,
    /// The labelled list, CSV. The journal stands beside it.
    pub output: PathBuf,
    /// Labels that are offered before the first answer, in this order.
    pub labels: Vec<String>,
    /// Model whose CNN looks at the clips: a name or a folder.
    pub backbone: String,
    /// Windows, frames and size of its look, where not its own.
    pub changes: Changes,
    /// Where features are kept; `None` keeps them in memory only.
    pub cache: Option<PathBuf>,
    /// Who labels, for the journal.
    pub by: Option<String>,
    /// Decides what is held out, and every other draw.
    pub seed: u64,
    /// Regular expression with one capture over a clip's name: its group.
    pub group: Option<String>,
    /// An output of a batch run, whose labels are shown as guesses.
    pub prelabels: Option<PathBuf>,
    /// Folder that [`Session::finish`] writes the model to.
    pub model: PathBuf,
    /// Cores for features and training.
    pub threads: usize,
    /// How long the features of a clip may take.
    pub timeout: Duration,
    /// Ends all that goes on in the background.
    pub stop: Arc<AtomicBool>,
}

/// A labelling session. All methods answer at once but [`Self::finish`].
///
/// A `reader` is one open page: what is offered to one isn't offered to another at the same time, and undo takes back
/// what the page itself did last.
pub(crate) struct Session {
    options: Options,
    state: Mutex<State>,
    /// The model is to learn anew.
    lesson: Condvar,
    /// Held while the list is written, so that an older content never comes after a newer one.
    writing: Mutex<()>,
    finishing: AtomicBool,
}

impl Session {
    /// Takes up the session of `options.output`, or begins one, and starts to look at the clips.
    ///
    /// # Errors
    /// Where the list or the journal can't be read or written, another process holds the journal, or the model can't be
    /// had.
    pub(crate) fn open(options: Options) -> Result<Arc<Self>> {
        let session = Arc::new(Self::take_up(options)?);
        session.watch()?;
        let teacher = session.clone();
        std::thread::Builder::new()
            .spawn(move || teacher.teach())
            .map_err(|e| Error::Usage(format!("can't start a thread: {e}")))?;
        Ok(session)
    }

    /// What the files say, with nothing going on in the background.
    fn take_up(options: Options) -> Result<Self> {
        options.labels.iter().try_for_each(|label| list::check_label(label))?;
        let parent = match options.output.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let folder = parent.canonicalize().map_err(|e| Error::io(parent, e))?;
        let (mut journal, events) = Journal::open(&journal::path_of(&options.output))?;
        let prelabels = prelabels(&options, &folder)?;
        let mut given = options.labels.clone();
        for (_, guess) in &prelabels {
            if !given.contains(&guess.label) {
                given.push(guess.label.clone());
            }
        }
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
        let groups = groups(&items, &book, &options)?;
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
        Ok(Self {
            options,
            state: Mutex::new(state),
            lesson: Condvar::new(),
            writing: Mutex::default(),
            finishing: AtomicBool::new(false),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_stopped(&self) -> bool {
        self.options.stop.load(Ordering::Relaxed)
    }

    /// Starts to compute the clips' features.
    fn watch(self: &Arc<Self>) -> Result<()> {
        let Options { backbone, changes, cache, threads, timeout, stop, seed, .. } = &self.options;
        let mut base = ModelFiles::named(backbone)?.changed(changes).load(&Device::Cpu)?;
        base.config.check().map_err(|e| Error::Usage(words(&e)))?;
        base.keep_backbone();
        let (files, mut order): (Vec<_>, _) = {
            let state = self.state();
            let order: Vec<usize> =
                (0..state.items.len()).filter(|&clip| state.broken[clip].is_none()).collect();
            let parts = state.items.iter().map(Item::part);
            (state.files.iter().cloned().zip(parts).collect(), order)
        };
        order.shuffle(&mut ChaCha8Rng::seed_from_u64(*seed));
        let watch = Watch {
            files,
            order,
            cache: cache.as_ref().map(|root| FeatureCache::new(root, &base)).transpose()?,
            setup: Setup {
                model: Some(backbone.clone()),
                changes: changes.clone(),
                training: true,
                ..Setup::without_model(1)
            },
            timeout: *timeout,
            threads: *threads,
            stop: stop.clone(),
        };
        let session = self.clone();
        watch.start(move |seen| session.see(seen))
    }

    fn see(&self, seen: Seen) {
        let mut state = self.state();
        match seen {
            Seen::Features { clip, mean, fresh } => state.seen(clip, mean, fresh),
            Seen::Broken { clip, reason } => {
                state.broken[clip] = Some(reason);
                state.version += 1;
                state.want_lesson();
            }
            Seen::Trouble(trouble) => drop(state.trouble.get_or_insert(trouble)),
        }
        if state.wanted {
            self.lesson.notify_one();
        }
    }

    /// Learns whenever there is something to learn, until asked to stop.
    fn teach(&self) {
        let pool = bulk::pool(self.options.threads);
        while !self.is_stopped() {
            let state = self.state();
            let idle = |state: &mut State| !state.wanted && !self.is_stopped();
            let waited = self.lesson.wait_timeout_while(state, LOOK, idle);
            let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
            if !state.wanted {
                let file = state.journal.file();
                drop(state);
                // A power cut costs a second's answers at most.
                let _ = file.map(|file| file.sync_data());
                continue;
            }
            drop(state);
            match &pool {
                Ok(pool) => pool.install(|| self.learn()),
                Err(_) => self.learn(),
            }
        }
    }

    /// Learns from what was said so far, chooses the next round and writes the list.
    fn learn(&self) {
        let snapshot = {
            let mut state = self.state();
            state.learning = true;
            state.snapshot()
        };
        let lesson = guard(&self.options.output, || snapshot.learn());
        {
            let mut state = self.state();
            state.learning = false;
            if let Err(error) = lesson.and_then(|lesson| state.adopt(lesson, snapshot.given)) {
                state.trouble = Some(format!("the model can't learn: {error}"));
            }
        }
        if let Err(error) = self.save() {
            self.state().trouble = Some(format!("the list can't be written: {error}"));
        }
    }

    /// The next `count` clips for `reader`, first the next; asked again before an answer, they are the same. None while
    /// no clip is ready, or when all are labelled.
    pub(crate) fn next(&self, count: usize, reader: &str) -> Vec<Offer> {
        let mut state = self.state();
        let offers = state.offer(count, reader);
        if state.wanted {
            self.lesson.notify_one();
        }
        offers
    }

    /// Takes down what was said of a clip, also of one that had an answer before.
    ///
    /// # Errors
    /// [`Error::Usage`] for an unknown clip or an impossible label, [`Error::Io`] where the journal can't be written: then
    /// nothing has changed.
    pub(crate) fn label(&self, id: Id, verdict: Verdict, reader: &str) -> Result<()> {
        let mut state = self.state();
        let clip = number(&state, id)?;
        let item = state.items[clip].clone();
        let what = match verdict {
            Verdict::Label(label) => {
                list::check_label(&label)?;
                nameable(&state, clip)?;
                What::Label { item, label, held_out: state.held_out()[clip] }
            }
            Verdict::Skip => What::Skip { item },
            Verdict::Broken => What::Broken { item },
        };
        state.take_down(what, Some(reader))?;
        state.answered(clip);
        if state.wanted {
            self.lesson.notify_one();
        }
        Ok(())
    }

    /// Takes back what `reader` did last (a verdict, a grid, a renaming). The clips that it was about; none where there is
    /// nothing.
    ///
    /// # Errors
    /// [`Error::Io`] where the journal can't be written.
    pub(crate) fn undo(&self, reader: &str) -> Result<Vec<Id>> {
        let mut state = self.state();
        let Some(event) = state.book.last_of(reader) else { return Ok(Vec::new()) };
        let clips = state.book.clips_of(event);
        state.take_down(What::Undo { event }, Some(reader))?;
        Ok(clips.iter().map(Item::id).collect())
    }

    /// All about one clip.
    pub(crate) fn clip(&self, id: Id) -> Option<Clip> {
        let state = self.state();
        let clip = *state.numbers.get(&id)?;
        let group = state.group_names().swap_remove(clip);
        Some(state.clip(clip, group))
    }

    /// The clips that `query` wants: nearest first with `like`, else in the clips' order.
    pub(crate) fn find(&self, query: &Query) -> Found {
        let near = query.like.map(|id| self.near(id));
        let state = self.state();
        let groups = state.group_names();
        let text = query.text.as_ref().map(|text| text.to_lowercase());
        let wanted = |clip: &Clip| {
            let labelled_so =
                |label: &String| matches!(&clip.standing, Standing::Labelled { label: l, .. } if l == label);
            query.label.as_ref().is_none_or(labelled_so)
                && query.standing.as_ref().is_none_or(|name| clip.standing.name() == name)
                && text.as_ref().is_none_or(|text| clip.name.to_lowercase().contains(text))
        };
        let order = near.unwrap_or_else(|| (0..state.items.len()).collect());
        let clips = order.into_iter().map(|clip| state.clip(clip, groups[clip].clone())).filter(wanted);
        let all: Vec<Clip> = clips.collect();
        let count = if query.count == 0 { 100 } else { query.count };
        Found { total: all.len(), clips: all.into_iter().skip(query.skip).take(count).collect() }
    }

    /// The clips that have features, those first that look most like `id`; none of the open ones that are for the test,
    /// which has to stay random.
    fn near(&self, id: Id) -> Vec<usize> {
        let (clips, means, of) = {
            let state = self.state();
            let Some(&of) = state.numbers.get(&id) else { return Vec::new() };
            let held = state.held_out();
            let shown = |clip: &usize| *clip == of || !held[*clip] || !state.is_open(*clip);
            let clips: Vec<usize> =
                (0..state.items.len()).filter(|&clip| state.means[clip].is_some()).filter(shown).collect();
            let means: Vec<Arc<[f32]>> = clips.iter().filter_map(|&clip| state.means[clip].clone()).collect();
            (clips, means, of)
        };
        let Some(row) = clips.iter().position(|&clip| clip == of) else { return Vec::new() };
        let likeness = || -> candle_core::Result<Vec<f32>> {
            let rows = Rows::standardised(means.iter().map(|mean| &**mean))?.directions()?;
            rows.matmul(&rows.narrow(0, row, 1)?.t()?)?.flatten_all()?.to_vec1()
        };
        let Ok(likeness) = likeness() else { return Vec::new() };
        let mut order: Vec<usize> = (0..clips.len()).filter(|&other| other != row).collect();
        order.sort_by(|&a, &b| likeness[b].total_cmp(&likeness[a]).then(a.cmp(&b)));
        order.into_iter().map(|row| clips[row]).collect()
    }

    /// Clips to be confirmed together: of the class `label`, or of the one that has the fewest labels among those that the
    /// model is sure of some clips of. None where it is sure of few.
    pub(crate) fn grid(&self, label: Option<&str>) -> Option<Grid> {
        let state = self.state();
        let held = state.held_out();
        let mut sure: HashMap<&str, Vec<(usize, f32)>> = HashMap::new();
        for clip in (0..state.items.len()).filter(|&clip| state.is_open(clip) && !held[clip]) {
            let Some(Guess { label, score }) = &state.guesses[clip] else { continue };
            let offered = state.offers.iter().any(|offer| offer.clip == clip);
            if *score >= SURE && !offered && !state.book.refused(&state.items[clip]).contains(label) {
                sure.entry(label).or_default().push((clip, *score));
            }
        }
        let label = match label {
            Some(label) => label.to_owned(),
            None => {
                let counts: HashMap<String, usize> = state.status().labels.into_iter().collect();
                let enough = sure.iter().filter(|(_, clips)| clips.len() >= LEAST);
                enough.map(|(label, _)| *label).min_by_key(|label| (counts.get(*label), *label))?.to_owned()
            }
        };
        let mut clips = sure.remove(label.as_str()).filter(|clips| !clips.is_empty())?;
        clips.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        clips.truncate(GRID);
        let groups = state.group_names();
        let clips = clips.into_iter().map(|(clip, _)| state.clip(clip, groups[clip].clone())).collect();
        Some(Grid { label, clips })
    }

    /// Takes down a grid: `right` show `label`, `wrong` show something else.
    ///
    /// # Errors
    /// As of [`Self::label`].
    pub(crate) fn confirm(&self, label: &str, right: &[Id], wrong: &[Id], reader: &str) -> Result<()> {
        list::check_label(label)?;
        let mut state = self.state();
        let held = state.held_out();
        let items = |ids: &[Id]| -> Result<Vec<Item>> {
            ids.iter()
                .map(|id| {
                    let clip = number(&state, *id)?;
                    nameable(&state, clip)?;
                    Ok((clip, state.items[clip].clone()))
                })
                // Twins may have been found since the grid was shown; the test takes no clips from grids.
                .filter(|found| found.as_ref().map_or(true, |(clip, _)| !held[*clip]))
                .map(|found| found.map(|(_, item)| item))
                .collect()
        };
        let what = What::Grid { label: label.to_owned(), right: items(right)?, wrong: items(wrong)? };
        state.take_down(what, Some(reader))?;
        state.want_lesson();
        self.lesson.notify_one();
        Ok(())
    }

    /// Calls all clips labelled `from` `to`; where `to` is there already, the two become one.
    ///
    /// # Errors
    /// [`Error::Usage`] where there is no `from` or `to` is impossible; [`Error::Io`] where the journal can't be written.
    pub(crate) fn rename(&self, from: &str, to: &str, reader: &str) -> Result<()> {
        list::check_label(to)?;
        let mut state = self.state();
        if !state.book.labels().iter().any(|label| label == from) {
            return Err(Error::Usage(format!("there is no label '{from}'")));
        }
        if from == to {
            return Ok(());
        }
        state.take_down(What::Rename { from: from.into(), to: to.into() }, Some(reader))?;
        for guess in state.guesses.iter_mut().flatten().filter(|guess| guess.label == from) {
            guess.label = to.into();
        }
        state.want_lesson();
        self.lesson.notify_one();
        Ok(())
    }

    /// How far it is.
    pub(crate) fn status(&self) -> Status {
        self.state().status()
    }

    /// The clips of which something was said after the version `since` of [`Status`], as they stand.
    pub(crate) fn changes(&self, since: u64) -> Vec<Clip> {
        let state = self.state();
        let groups = state.group_names();
        state.changed(since).map(|clip| state.clip(clip, groups[clip].clone())).collect()
    }

    /// Writes the list as it stands.
    ///
    /// # Errors
    /// [`Error::Io`] where it can't be written.
    pub(crate) fn save(&self) -> Result<()> {
        let _one = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let text = {
            let mut state = self.state();
            let text = list::text(&state.rows())?;
            let digest = list::digest(&text);
            // Before the list: one of another content was changed by somebody else.
            if !state.book.wrote(&digest) {
                state.take_down(What::Wrote { digest }, None)?;
            }
            text
        };
        list::write(&self.options.output, &text)
    }

    /// Writes the list, and the model of all labels given so far: minutes. `command` is what the card says it was made by.
    ///
    /// # Errors
    /// [`Error::Usage`] where one is being written already or the folder has another model, and those of
    /// [`crate::learning::training::train`]; labelling can go on after any.
    pub(crate) fn finish(
        &self,
        command: &str,
        stop: &AtomicBool,
        observer: &dyn Observer,
    ) -> Result<Finished> {
        if self.finishing.swap(true, Ordering::AcqRel) {
            return Err(Error::Usage("the model is being written already".into()));
        }
        let finished = self.make(command, stop, observer);
        self.finishing.store(false, Ordering::Release);
        finished
    }

    fn make(&self, command: &str, stop: &AtomicBool, observer: &dyn Observer) -> Result<Finished> {
        let Options { output, model, backbone, changes, cache, threads, .. } = &self.options;
        let folder = model.to_string_lossy().into_owned();
        {
            let mut state = self.state();
            let ours = state.book.made(&folder);
            let theirs =
                ["config.json", "README.md", "report.html", "metrics.jsonl"].map(|name| model.join(name));
            if let Some(file) = theirs.iter().find(|file| !ours && file.exists()) {
                let reason =
                    "is there already and wasn't made of these labels: name another folder with --model";
                return Err(Error::Usage(format!("{} {reason}", file.display())));
            }
            if !ours {
                state.take_down(What::Model { folder }, None)?;
            }
        }
        self.save()?;
        Making {
            list: output,
            folder: model,
            backbone,
            changes,
            cache: cache.as_deref(),
            threads: *threads,
            command,
        }
        .make(stop, observer)
    }
}

/// The number of the clip `id`.
fn number(state: &State, id: Id) -> Result<usize> {
    state
        .numbers
        .get(&id)
        .copied()
        .ok_or_else(|| Error::Usage(format!("there is no clip {id}; load the page anew")))
}

/// Refuses a label for a clip that the list can't name.
fn nameable(state: &State, clip: usize) -> Result<()> {
    match state.nameless.get(&clip) {
        None => Ok(()),
        Some(reason) => Err(Error::clip(&state.files[clip], reason)),
    }
}

/// What an earlier run said of the clips.
fn prelabels(options: &Options, folder: &Path) -> Result<Vec<(Id, Guess)>> {
    let mut guesses = Vec::new();
    if let Some(path) = &options.prelabels {
        read_rows(path, |row| {
            let labels = row.outcome.map(|clip| clip.labels).unwrap_or_default();
            if let (Some(best), Ok(name)) = (labels.into_iter().next(), name_in(folder, &row.path)) {
                guesses.push((Item::whole(name).id(), Guess { label: best.label, score: best.score }));
            }
            Ok(())
        })?;
    }
    Ok(guesses)
}

/// Takes up what stands in the list and wasn't written by us: all of it at first, later what was changed by hand.
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

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
