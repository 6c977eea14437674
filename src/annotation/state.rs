//! How a session stands: what is known of each clip, what is offered to whom, what the model thinks.

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::book::{Answer, Book, Said};
use super::groups::Groups;
use super::item::Item;
use super::journal::{Event, Journal, Listed, What};
use super::lesson::{CROSSED, ENOUGH, Lesson, Snapshot};
use super::{Clip, Figure, Guess, Id, Model, Offer, Point, Standing, Status, Why};
use crate::Result;

/// Answers in a round.
pub(super) const ROUND: usize = 14;

/// Offers under way with which the next round may be prepared already: pages load clips ahead.
const AHEAD: usize = 4;

/// How long a clip stays with a page that doesn't ask for it again.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long a page that doesn't ask keeps its clips from one that has none left.
const IDLE: Duration = Duration::from_secs(30);

/// Clips over whose features the rate is taken.
const PACE: usize = 32;

/// Share of the unlabelled clips that the model must take for the same as it did at two thirds of the labels, for more
/// labels to be of no more use. On UCF-101's clips that is reached at 112 labels, where the accuracy is what it is at 560.
const SETTLED: f64 = 0.99;

/// Labels that must be there before that is asked.
const JUDGED: usize = 5 * ROUND;

/// All that a session knows.
pub(super) struct State {
    pub items: Vec<Item>,
    pub files: Vec<PathBuf>,
    pub numbers: HashMap<Id, usize>,
    pub journal: Journal,
    pub book: Book,
    pub groups: Groups,
    /// Mean features, `[D]`.
    pub means: Vec<Option<Arc<[f32]>>>,
    /// Why a clip can't be used, as the program found.
    pub broken: Vec<Option<String>>,
    /// Of these the ones that the list can't name.
    pub nameless: HashMap<usize, String>,
    pub guesses: Vec<Option<Guess>>,
    /// Clips of the round that weren't offered yet, and those that go on after it until the next is there.
    pub round: VecDeque<(usize, Why)>,
    pub reserve: VecDeque<(usize, Why)>,
    pub offers: Vec<Offered>,
    /// Answers since the start.
    pub answered: usize,
    pub curve: Vec<Point>,
    pub figure: Option<Figure>,
    /// What the model took the clips for, by how many labels there were. The journal has none of it, as each lesson would
    /// add a label for every clip: after a new start there is nothing to compare with until half as many labels again.
    past: Vec<(usize, HashMap<usize, String>)>,
    settled: bool,
    /// Whether the model is to learn anew.
    pub wanted: bool,
    pub learning: bool,
    /// A model of the last round is to be made.
    pub wants_model: bool,
    pub model: Option<Model>,
    /// Events and ready clips when it last learned.
    learned: (usize, usize),
    /// Ready clips when twins were last looked for.
    twins_of: usize,
    /// When features were computed, the last [`PACE`] of them.
    fresh: VecDeque<Instant>,
    pub trouble: Option<String>,
    pub version: u64,
    /// The version at which something was last said of a clip.
    changed: Vec<u64>,
    pub seed: u64,
    pub by: Option<String>,
}

/// A clip that a page has.
#[derive(Debug, Clone)]
pub(super) struct Offered {
    pub clip: usize,
    pub why: Why,
    pub reader: String,
    pub at: Instant,
}

impl State {
    pub(super) fn new(
        items: Vec<Item>,
        files: Vec<PathBuf>,
        (journal, book): (Journal, Book),
        groups: Groups,
        seed: u64,
        by: Option<String>,
    ) -> Self {
        let (clips, curve) = (items.len(), book.curve());
        let numbers = items.iter().enumerate().map(|(clip, item)| (item.id(), clip)).collect();
        Self {
            items,
            files,
            numbers,
            journal,
            book,
            groups,
            means: vec![None; clips],
            broken: vec![None; clips],
            nameless: HashMap::new(),
            guesses: vec![None; clips],
            round: VecDeque::new(),
            reserve: VecDeque::new(),
            offers: Vec::new(),
            answered: 0,
            curve,
            figure: None,
            past: Vec::new(),
            settled: false,
            wanted: false,
            learning: false,
            wants_model: false,
            model: None,
            learned: (0, 0),
            twins_of: 0,
            fresh: VecDeque::new(),
            trouble: None,
            version: 1,
            changed: vec![0; clips],
            seed,
            by,
        }
    }

    pub(super) fn answer(&self, clip: usize) -> Option<&Answer> {
        self.book.answer(&self.items[clip])
    }

    fn label(&self, clip: usize) -> Option<&str> {
        match &self.answer(clip)?.said {
            Said::Label { label, .. } => Some(label),
            Said::Skip | Said::Broken => None,
        }
    }

    /// Whether nothing was said of a clip, and it can be used as far as is known.
    pub(super) fn is_open(&self, clip: usize) -> bool {
        self.broken[clip].is_none() && self.answer(clip).is_none()
    }

    pub(super) fn is_offered(&self, clip: usize) -> bool {
        self.offers.iter().any(|offer| offer.clip == clip)
    }

    /// Whether each clip's group is for the test.
    pub(super) fn held_out(&self) -> Vec<bool> {
        let side = |clip: usize| match &self.answer(clip)?.said {
            Said::Label { held_out, .. } => Some(*held_out),
            Said::Skip | Said::Broken => None,
        };
        self.groups.held_out(&(0..self.items.len()).map(side).collect::<Vec<_>>())
    }

    fn ready(&self) -> usize {
        self.means.iter().flatten().count()
    }

    /// Whether no more features are to come.
    pub(super) fn is_seen(&self) -> bool {
        (0..self.items.len()).all(|clip| self.means[clip].is_some() || self.broken[clip].is_some())
    }

    /// Takes down `what` happened, on disk first.
    pub(super) fn take_down(&mut self, what: What, reader: Option<&str>) -> Result<()> {
        let event = Event::now(what, self.by.as_deref(), reader);
        self.journal.add(&event)?;
        let about = self.book.len();
        let before = match &event.what {
            What::Undo { event } => self.book.clips_of(*event),
            _ => Vec::new(),
        };
        self.book.add(event);
        self.version += 1;
        for item in before.into_iter().chain(self.book.clips_of(about)) {
            if let Some(&clip) = self.numbers.get(&item.id()) {
                self.changed[clip] = self.version;
            }
        }
        Ok(())
    }

    /// The clips of which something was said after the version `since`.
    pub(super) fn changed(&self, since: u64) -> impl Iterator<Item = usize> {
        (0..self.items.len()).filter(move |clip| self.changed[*clip] > since)
    }

    /// At most `count` clips for `reader`, those first that it has already.
    pub(super) fn offer(&mut self, count: usize, reader: &str) -> Vec<Offer> {
        let now = Instant::now();
        // Clips that nobody asks for any more go back to the front.
        let mut kept = Vec::new();
        for mut offer in std::mem::take(&mut self.offers) {
            if offer.reader == reader {
                offer.at = now;
            }
            match now.duration_since(offer.at) < PATIENCE {
                true => kept.push(offer),
                false => self.round.push_front((offer.clip, offer.why)),
            }
        }
        self.offers = kept;
        let mut own = self.offers.iter().filter(|offer| offer.reader == reader).count();
        while own < count {
            let next = match self.round.pop_front() {
                Some(next) => next,
                // The next round is being prepared: whoever has nothing to do gets what would come after this one.
                None if own == 0 => match self.reserve.pop_front() {
                    Some(next) => next,
                    None => break,
                },
                None => break,
            };
            if self.is_offerable(next) {
                let (clip, why) = next;
                self.offers.push(Offered { clip, why, reader: reader.to_owned(), at: now });
                own += 1;
            }
        }
        if own == 0 {
            // Perhaps that page is gone; if not, the clip has two answers, and the last one counts.
            let is_idle = |offer: &&mut Offered| now.duration_since(offer.at) > IDLE;
            for offer in self.offers.iter_mut().filter(is_idle).take(count) {
                (offer.reader, offer.at) = (reader.to_owned(), now);
            }
        }
        if own < count {
            self.want_lesson();
        }
        let own = self.offers.iter().filter(|offer| offer.reader == reader).take(count);
        own.map(|offer| self.as_offer(offer)).collect()
    }

    fn is_offerable(&self, (clip, why): (usize, Why)) -> bool {
        let fits = match why {
            Why::Check => self.label(clip).is_some(),
            Why::Typical | Why::Unsure | Why::Test => self.is_open(clip),
        };
        fits && !self.is_offered(clip)
    }

    fn as_offer(&self, offer: &Offered) -> Offer {
        let clip = offer.clip;
        // Who judges for the test must not be told what the model thinks.
        let guess = self.guesses[clip].clone().filter(|_| offer.why != Why::Test);
        Offer {
            id: self.items[clip].id(),
            name: self.items[clip].name.clone(),
            span: self.items[clip].span,
            why: offer.why,
            guess,
            label: self.label(clip).map(str::to_owned),
        }
    }

    /// A clip got an answer: it is nobody's to label any more.
    pub(super) fn answered(&mut self, clip: usize) {
        self.offers.retain(|offer| offer.clip != clip);
        self.answered += 1;
        if self.round.is_empty() && self.offers.len() <= AHEAD {
            self.want_lesson();
        }
    }

    /// Has the model learn anew, where there is something new.
    pub(super) fn want_lesson(&mut self) {
        let (events, ready) = (self.book.said(), self.ready());
        let (known_events, known_ready) = self.learned;
        let enough = known_ready + (known_ready / 20).max(4);
        self.wanted |= events != known_events || ready >= enough || (ready != known_ready && self.is_seen());
    }

    /// A clip's features are there.
    pub(super) fn seen(&mut self, clip: usize, mean: Arc<[f32]>, fresh: bool) {
        self.means[clip] = Some(mean);
        self.version += 1;
        if fresh {
            self.fresh.push_back(Instant::now());
            if self.fresh.len() > PACE {
                self.fresh.pop_front();
            }
        }
        // The first rounds are chosen from few clips: better ones as soon as there are twice as many.
        if self.round.is_empty() || self.ready() >= 2 * self.learned.1 {
            self.want_lesson();
        }
    }

    /// What the next lesson is of.
    pub(super) fn snapshot(&mut self) -> Snapshot {
        let ready = self.ready();
        self.learned = (self.book.said(), ready);
        self.wanted = false;
        let held = self.held_out();
        let clips: Vec<usize> = (0..self.items.len()).filter(|&clip| self.means[clip].is_some()).collect();
        let open: Vec<bool> =
            clips.iter().map(|&clip| self.is_open(clip) && !self.is_offered(clip)).collect();
        let labelled = |held_out: Option<bool>| {
            let counts = |clip: &usize| held_out.is_none_or(|side| held[*clip] == side);
            (0..self.items.len()).filter(counts).filter(|clip| self.label(*clip).is_some()).count()
        };
        let under_way =
            |held_out: bool| self.offers.iter().filter(|o| !held_out || o.why == Why::Test).count();
        // While few clips are ready, most of them are left to choose from.
        let left = open.iter().filter(|open| **open).count();
        let count = if self.is_seen() { ROUND } else { ROUND.min(left / 3).max(1) };
        let wants_twins = self.groups.wants_twins() && ready > self.twins_of + self.twins_of / 10;
        let snapshot = Snapshot {
            features: clips.iter().filter_map(|&clip| self.means[clip].clone()).collect(),
            labels: clips.iter().map(|&clip| self.label(clip).map(str::to_owned)).collect(),
            held_out: clips.iter().map(|&clip| held[clip]).collect(),
            groups: clips.iter().map(|&clip| self.groups.of(clip)).collect(),
            said_once: clips.iter().map(|&clip| self.answer(clip).is_some_and(|a| a.times == 1)).collect(),
            open,
            given: labelled(None) + under_way(false),
            tested: labelled(Some(true)) + under_way(true),
            count,
            settled: self.settled || left == 0,
            wants_twins,
            seed: self.seed.wrapping_add(self.book.said() as u64),
            clips,
        };
        if wants_twins {
            self.twins_of = ready;
        }
        snapshot
    }

    /// Takes over what a lesson brought.
    pub(super) fn adopt(&mut self, lesson: Lesson, labels: usize) -> Result<()> {
        self.version += 1;
        self.groups.join(&lesson.twins);
        let held = self.held_out();
        // A twin of a learned clip is no test any more.
        let fits = |&(clip, why): &(usize, Why)| why == Why::Check || (why == Why::Test) == held[clip];
        self.round = lesson.round.into_iter().filter(fits).collect();
        self.reserve = lesson.reserve.into_iter().filter(fits).collect();
        if !lesson.guesses.is_empty() {
            let took: HashMap<usize, String> =
                lesson.guesses.iter().map(|(clip, guess)| (*clip, guess.label.clone())).collect();
            self.settled = self.is_settled(labels, &took);
            self.past.push((labels, took));
            lesson.guesses.into_iter().for_each(|(clip, guess)| self.guesses[clip] = Some(guess));
        }
        self.figure = lesson.figure;
        if let Some(Figure { value, interval, method, .. }) = &self.figure
            && self.curve.last().is_none_or(|last| last.labels != labels)
        {
            let point = Point { labels, accuracy: *value, interval: *interval, method: *method };
            self.curve.push(point.clone());
            self.take_down(What::Measured(point), None)?;
        }
        Ok(())
    }

    /// Whether the model takes the clips without a label for the same as it did at two thirds of the labels.
    fn is_settled(&self, labels: usize, took: &HashMap<usize, String>) -> bool {
        let Some((_, then)) = self.past.iter().rfind(|(then, _)| 3 * then <= 2 * labels) else {
            return false;
        };
        let both: Vec<bool> = (took.iter())
            .filter(|(clip, _)| self.is_open(**clip))
            .filter_map(|(clip, label)| Some(then.get(clip)? == label))
            .collect();
        let same = both.iter().filter(|same| **same).count();
        // Of no clips at all it says nothing.
        labels >= JUDGED && !both.is_empty() && same as f64 >= SETTLED * both.len() as f64
    }

    /// All that is known of a clip.
    pub(super) fn clip(&self, clip: usize) -> Clip {
        let item = &self.items[clip];
        let answer = self.answer(clip);
        let standing = match (answer.map(|answer| &answer.said), &self.broken[clip]) {
            (Some(Said::Label { label, held_out }), _) => Standing::Labelled {
                label: label.clone(),
                by: answer.and_then(|answer| answer.by.clone()),
                held_out: *held_out,
            },
            (Some(Said::Skip), _) => Standing::Skipped,
            (Some(Said::Broken), reason) => {
                let said = || "marked as broken".to_owned();
                Standing::Broken { reason: reason.clone().unwrap_or_else(said) }
            }
            (None, Some(reason)) => Standing::Broken { reason: reason.clone() },
            (None, None) => Standing::Open,
        };
        Clip {
            id: item.id(),
            name: item.name.clone(),
            path: self.files[clip].clone(),
            span: item.span,
            standing,
            guess: self.guesses[clip].clone(),
            group: self.group(clip),
            ready: self.means[clip].is_some(),
        }
    }

    /// What a clip's group is called.
    fn group(&self, clip: usize) -> Option<String> {
        self.groups.name(clip, |clip| &self.items[clip].name)
    }

    /// The rows of the list: every clip with a label, in the clips' order.
    pub(super) fn rows(&self) -> Vec<Listed> {
        let held = self.held_out();
        let row = |clip: usize| {
            Some(Listed {
                item: self.items[clip].clone(),
                label: self.label(clip)?.to_owned(),
                held_out: held[clip],
                group: self.group(clip),
            })
        };
        (0..self.items.len()).filter_map(row).collect()
    }

    pub(super) fn status(&self) -> Status {
        let held = self.held_out();
        let mut counts: Vec<(String, usize)> =
            self.book.labels().iter().map(|label| (label.clone(), 0)).collect();
        let places: HashMap<String, usize> = counts.iter().map(|(label, _)| label.clone()).zip(0..).collect();
        let (mut labelled, mut held_out, mut skipped, mut broken) = (0, 0, 0, 0);
        for (clip, held) in held.iter().enumerate() {
            match (self.answer(clip).map(|answer| &answer.said), &self.broken[clip]) {
                (Some(Said::Label { label, .. }), _) => {
                    labelled += 1;
                    held_out += usize::from(*held);
                    if let Some(&place) = places.get(label) {
                        counts[place].1 += 1;
                    }
                }
                (Some(Said::Skip), _) => skipped += 1,
                (Some(Said::Broken), _) | (None, Some(_)) => broken += 1,
                (None, None) => {}
            }
        }
        let rate = match (self.fresh.front(), self.fresh.back()) {
            (Some(first), Some(last)) if self.fresh.len() > 1 && !self.is_seen() => {
                let seconds = last.duration_since(*first).as_secs_f64();
                Some((self.fresh.len() - 1) as f64 / seconds.max(1e-3))
            }
            _ => None,
        };
        Status {
            version: self.version,
            total: self.items.len(),
            ready: self.ready(),
            rate,
            trouble: self.trouble.clone(),
            labelled,
            held_out,
            skipped,
            broken,
            advice: self.advice(&counts),
            labels: counts,
            round: 1 + self.answered / ROUND,
            left_in_round: ROUND - self.answered % ROUND,
            accuracy: self.figure.clone(),
            no_figure: self.no_figure(&held),
            curve: self.curve.clone(),
            model: self.model.clone(),
            grouping: self.groups.describe(),
            training: self.wanted || self.learning,
        }
    }

    /// Why there will be no figure, where the clips are of too few sources for one. `held`: which are for the test.
    fn no_figure(&self, held: &[bool]) -> Option<String> {
        let usable = (0..self.items.len()).filter(|&clip| self.broken[clip].is_none());
        let (tested, learned): (Vec<usize>, Vec<usize>) = usable.partition(|&clip| held[clip]);
        let sources = learned.into_iter().map(|clip| self.groups.of(clip)).collect::<HashSet<_>>().len();
        (tested.len() < ENOUGH && sources < CROSSED).then(|| {
            format!(
                "There are too few source videos to measure honestly how good the model is: {sources} to learn from, and \
                 it takes {CROSSED}."
            )
        })
    }

    /// What a person should do next, where there is something to say.
    fn advice(&self, counts: &[(String, usize)]) -> Option<String> {
        if self.settled {
            return Some(
                "More labels no longer help: with a third of them less the model took 99 of 100 other clips for the \
                 same. Finish, or add clips of other places and people."
                    .into(),
            );
        }
        let labelled: usize = counts.iter().map(|(_, count)| count).sum();
        let (label, count) = counts.iter().filter(|(_, count)| *count > 0).min_by_key(|(_, count)| *count)?;
        (labelled >= 3 * ROUND && *count < 5).then(|| {
            let clips = if *count == 1 { "clip" } else { "clips" };
            format!("'{label}' has {count} {clips} only: look for more that look like them.")
        })
    }
}
