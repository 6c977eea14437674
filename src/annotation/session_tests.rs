use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::super::search::{GRID, LEAST};
use super::super::{Found, Guess, Method, Query, Standing, Why, journal, made_up};
use super::*;
use crate::model::Changes;

/// A session over clips whose features are made up, with nothing going on in the background.
struct Made {
    session: Session,
    /// The true label of each clip.
    truth: HashMap<Id, String>,
}

const CLASSES: usize = 5;

fn options(folder: &Path, clips: usize, name: impl Fn(usize) -> String) -> Options {
    Options {
        clips: (0..clips).map(|i| folder.join(name(i))).collect(),
        parts: HashMap::new(),
        output: folder.join("labels.csv"),
        labels: Vec::new(),
        backbone: "imagenet-lite0".into(),
        changes: Changes::default(),
        cache: None,
        by: Some("ann".into()),
        seed: 1,
        group: None,
        prelabels: None,
        model: folder.join("model"),
        command: "classify annotate".into(),
        threads: 1,
        timeout: Duration::from_secs(10),
        stop: Arc::default(),
    }
}

/// Clips of groups of four, named as UCF-101 names them.
fn named(i: usize) -> String {
    format!("v_Clip_g{:03}_c{}.mp4", i / 4, i % 4)
}

impl Made {
    fn new(folder: &Path, clips: usize) -> Self {
        let made = Self::without_features(options(folder, clips, named));
        made.watch_all();
        made.session.learn();
        made
    }

    fn without_features(options: Options) -> Self {
        let session = Session::take_up(options).unwrap();
        let state = session.state();
        // Parts of films are clips, too.
        let clips = state.items.len();
        let (_, classes) = made_up::clips(clips, CLASSES, 32, 5);
        let truth =
            (0..clips).map(|clip| (state.items[clip].id(), format!("class {}", classes[clip]))).collect();
        drop(state);
        Self { session, truth }
    }

    /// Gives all clips their features.
    fn watch_all(&self) {
        let (features, _) = made_up::clips(self.truth.len(), CLASSES, 32, 5);
        for (clip, mean) in features.into_iter().enumerate() {
            self.session.see(Seen::Features { clip, mean: mean.into(), fresh: true });
        }
    }

    /// Answers truly until so many labels are given, learning whenever that is wanted.
    fn answer(&self, labels: usize) -> Vec<Offer> {
        let mut seen = Vec::new();
        while self.session.status().labelled < labels {
            if self.session.status().training {
                self.session.learn();
            }
            let Some(offer) = self.session.next(1, "page").into_iter().next() else { break };
            self.say(offer.id, &self.truth[&offer.id]);
            seen.push(offer);
        }
        seen
    }

    fn say(&self, id: Id, label: &str) {
        self.session.label(id, Verdict::Label(label.into()), "page").unwrap();
    }

    fn list(&self) -> Vec<super::super::journal::Listed> {
        self.session.save().unwrap();
        let output = &self.session.options.output;
        list::read(output, &output.parent().unwrap().canonicalize().unwrap()).unwrap()
    }

    /// The share of clips that the model takes for what they are.
    fn right(&self) -> f64 {
        let clips = self.session.find(&Query { count: 10_000, ..Query::default() }).clips;
        let right =
            |clip: &&Clip| clip.guess.as_ref().is_some_and(|guess| guess.label == self.truth[&clip.id]);
        clips.iter().filter(right).count() as f64 / clips.len() as f64
    }
}

#[test]
fn it_learns_from_few_labels_and_keeps_an_honest_test() {
    let folder = tempfile::tempdir().unwrap();
    let made = Made::new(folder.path(), 400);
    let seen = made.answer(84);
    assert_eq!(seen.len(), 84);
    assert!(made.right() > 0.9, "{}", made.right());
    let ids: HashSet<Id> = seen.iter().map(|offer| offer.id).collect();
    assert_eq!(ids.len(), 84, "no clip twice");
    assert!(seen[..20].iter().all(|offer| matches!(offer.why, Why::Typical | Why::Test)));
    assert!(seen[40..].iter().any(|offer| offer.why == Why::Unsure));
    assert!(seen.iter().all(|offer| offer.why != Why::Test || offer.guess.is_none()));
    let status = made.session.status();
    assert_eq!((status.labelled, status.labels.len(), status.round), (84, CLASSES, 7));
    assert_eq!(status.no_figure, None);
    let tested = seen.iter().filter(|offer| offer.why == Why::Test).count();
    assert!((7..=10).contains(&tested) && status.held_out == tested, "{tested} of 84");
    let figure = status.accuracy.unwrap();
    assert!(
        figure.method == Method::CrossValidated && figure.worth.contains("Cross-validated"),
        "{figure:?}"
    );
    assert!(figure.interval[0] <= figure.value && figure.value <= figure.interval[1] && figure.value > 0.6);
    assert!(status.curve.windows(2).all(|two| two[0].labels < two[1].labels) && status.curve.len() >= 4);

    // A group is on one side, and the list says which.
    let rows = made.list();
    assert_eq!(rows.len(), 84);
    let side: HashMap<_, _> = rows.iter().map(|row| (row.group.clone().unwrap(), row.held_out)).collect();
    assert!(rows.iter().all(|row| side[row.group.as_ref().unwrap()] == row.held_out));
    assert_eq!(rows.iter().filter(|row| row.held_out).count(), tested);
    for row in &rows {
        assert_eq!(row.label, made.truth[&row.item.id()]);
    }
}

#[test]
fn the_same_seed_asks_for_the_same_clips_and_another_for_others() {
    let ask = |seed: u64| {
        let folder = tempfile::tempdir().unwrap();
        let made = Made::without_features(Options { seed, ..options(folder.path(), 200, named) });
        made.watch_all();
        made.session.learn();
        made.answer(42).into_iter().map(|offer| offer.name).collect::<Vec<_>>()
    };
    assert_eq!(ask(1), ask(1));
    assert_ne!(ask(1), ask(2));
}

#[test]
fn enough_held_out_clips_are_the_figure_and_settled_models_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let made = Made::new(folder.path(), 700);
    made.answer(520);
    made.session.learn();
    let status = made.session.status();
    let figure = status.accuracy.unwrap();
    assert!(status.held_out >= 50, "{}", status.held_out);
    assert_eq!((figure.method, figure.clips), (Method::HeldOut, status.held_out));
    assert!(figure.value > 0.9, "{figure:?}");
    assert!(status.advice.is_some_and(|advice| advice.contains("no longer help")));
}

#[test]
fn where_no_clip_is_left_nothing_is_said_of_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let made = Made::new(folder.path(), 120);
    made.answer(70);
    for (id, label) in &made.truth {
        made.say(*id, label);
    }
    made.session.learn();
    let status = made.session.status();
    assert_eq!(status.labelled, 120);
    assert!(status.advice.is_none_or(|advice| !advice.contains("no longer help")));
}

#[test]
fn one_film_gives_whole_rounds_and_no_figure() {
    let folder = tempfile::tempdir().unwrap();
    let film = folder.path().join("film.mp4");
    let parts = (0..120).map(|part| [f64::from(part), f64::from(part + 1)]).collect();
    let made = Made::without_features(Options {
        parts: HashMap::from([(film, parts)]),
        ..options(folder.path(), 1, |_| "film.mp4".into())
    });
    made.watch_all();
    made.session.learn();
    assert_eq!(made.session.next(24, "page").len(), 14, "a whole round of typical parts");
    made.answer(56);
    made.session.learn();
    let round = made.session.next(24, "page");
    assert!(round.len() == 14 && round.iter().all(|offer| offer.why == Why::Unsure), "{round:?}");
    let status = made.session.status();
    assert_eq!((status.total, status.held_out, status.accuracy), (120, 0, None));
    let said = status.no_figure.unwrap();
    assert!(said.contains("too few source videos") && said.contains(": 1 to learn from"), "{said}");
    assert!(status.grouping.contains("parts of a film"), "{}", status.grouping);
}

#[test]
fn slips_come_up_again_when_all_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let made = Made::new(folder.path(), 160);
    let mut slips = HashSet::new();
    let mut checked = Vec::new();
    for turn in 0..400 {
        if made.session.status().training {
            made.session.learn();
        }
        let Some(offer) = made.session.next(1, "page").into_iter().next() else { break };
        if offer.why == Why::Check {
            checked.push(offer.id);
            assert!(offer.label.is_some());
        }
        let truth = &made.truth[&offer.id];
        let slipped = [20, 40, 60].contains(&turn) && offer.why == Why::Unsure;
        let label = if slipped && truth != "class 0" { "class 0" } else { truth };
        if label != truth {
            slips.insert(offer.id);
        }
        made.say(offer.id, label);
    }
    assert!(!slips.is_empty() && slips.iter().all(|slip| checked.contains(slip)), "{slips:?} {checked:?}");
    assert!(made.list().iter().all(|row| row.label == made.truth[&row.item.id()]), "all mended");
    assert_eq!(checked.len(), checked.iter().collect::<HashSet<_>>().len(), "once each");
}

#[test]
fn killed_at_any_moment_no_label_is_lost_or_doubled() {
    let folder = tempfile::tempdir().unwrap();
    let journal = journal::path_of(&folder.path().join("labels.csv"));
    let made = Made::new(folder.path(), 60);
    made.answer(20);
    made.session.undo("page").unwrap();
    made.session.rename("class 1", "one", "page").unwrap();
    let before = made.session.find(&Query { standing: Some("labelled".into()), ..Query::default() });
    drop(made);
    // The last line is torn, and the list is the one of a round before.
    let whole = std::fs::read(&journal).unwrap();
    std::fs::write(&journal, [&whole[..], b"{\"at\":1.0,\"what\":\"lab"].concat()).unwrap();
    let again = Made::without_features(options(folder.path(), 60, named));
    let after = again.session.find(&Query { standing: Some("labelled".into()), ..Query::default() });
    assert_eq!(after.total, 19);
    let said =
        |found: &Found| found.clips.iter().map(|clip| (clip.id, clip.standing.clone())).collect::<Vec<_>>();
    assert_eq!(said(&before), said(&after));
    assert_eq!(again.list().len(), 19);
    assert!(!again.session.status().curve.is_empty(), "the curve is the journal's, too");
    // It goes on with the others.
    again.watch_all();
    again.session.learn();
    let labelled: HashSet<Id> = after.clips.iter().map(|clip| clip.id).collect();
    let seen = again.answer(30);
    assert!(seen.len() == 11 && seen.iter().all(|offer| !labelled.contains(&offer.id)));
}

#[test]
fn two_pages_get_other_clips_and_see_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let made = Made::new(folder.path(), 100);
    let (one, two) = (made.session.next(4, "one"), made.session.next(4, "two"));
    assert_eq!((one.len(), two.len()), (4, 4));
    assert!(one.iter().all(|offer| two.iter().all(|other| other.id != offer.id)));
    assert_eq!(made.session.next(4, "one"), one, "the same until there is an answer");
    let since = made.session.status().version;
    made.session.label(one[0].id, Verdict::Label("x".into()), "one").unwrap();
    made.session.label(two[0].id, Verdict::Skip, "two").unwrap();
    let changed: Vec<(Id, &str)> =
        made.session.changes(since).iter().map(|clip| (clip.id, clip.standing.name())).collect();
    assert_eq!(changed.len(), 2);
    assert!(changed.contains(&(one[0].id, "labelled")) && changed.contains(&(two[0].id, "skipped")));
    assert_eq!(made.session.next(3, "one")[0].id, one[1].id);
    // Each takes back its own.
    assert_eq!(made.session.undo("one").unwrap(), [one[0].id]);
    assert_eq!(made.session.clip(one[0].id).unwrap().standing, Standing::Open);
    assert_eq!(made.session.clip(two[0].id).unwrap().standing, Standing::Skipped);
    assert!(made.session.undo("one").unwrap().is_empty());
    // The same clip from both: one row, the last word.
    made.session.label(one[1].id, Verdict::Label("x".into()), "one").unwrap();
    made.session.label(one[1].id, Verdict::Label("y".into()), "two").unwrap();
    assert_eq!(made.list().iter().map(|row| row.label.as_str()).collect::<Vec<_>>(), ["y"]);
}

#[test]
fn grids_confirm_many_at_once_and_leave_the_test_alone() {
    let folder = tempfile::tempdir().unwrap();
    let made = Made::new(folder.path(), 300);
    assert!(made.session.grid(None).is_none(), "no model, no grid");
    made.answer(56);
    made.session.learn();
    let grid = made.session.grid(None).unwrap();
    assert!((LEAST..=GRID).contains(&grid.clips.len()));
    let (wrong, right): (Vec<Id>, Vec<Id>) =
        grid.clips.iter().map(|clip| clip.id).partition(|id| made.truth[id] != grid.label);
    let (wrong, right) = ([wrong, vec![right[0]]].concat(), right[1..].to_vec());
    made.session.confirm(&grid.label, &right, &wrong, "page").unwrap();
    assert_eq!(made.session.status().labelled, 56 + right.len());
    let held = made.session.state().held_out();
    assert!(right.iter().all(|id| !held[made.session.state().numbers[id]]));
    // What it isn't isn't asked again.
    let again = made.session.grid(Some(&grid.label));
    assert!(again.is_none_or(|again| again.clips.iter().all(|clip| !wrong.contains(&clip.id))));
    assert_eq!(made.session.undo("page").unwrap().len(), right.len() + wrong.len());
    assert_eq!(made.session.status().labelled, 56);
}

#[test]
fn clips_are_found_by_label_name_standing_and_looks() {
    let folder = tempfile::tempdir().unwrap();
    let made = Made::new(folder.path(), 200);
    made.answer(30);
    let find = |query: Query| made.session.find(&query);
    let of_class = find(Query { label: Some("class 2".into()), ..Query::default() });
    assert!(of_class.total > 0 && of_class.clips.iter().all(|clip| made.truth[&clip.id] == "class 2"));
    assert_eq!(find(Query { text: Some("G003_".into()), ..Query::default() }).total, 4);
    let open = find(Query { standing: Some("open".into()), skip: 100, count: 10, ..Query::default() });
    assert_eq!((open.total, open.clips.len()), (170, 10));
    let like = of_class.clips[0].id;
    let near = find(Query { like: Some(like), count: 10, ..Query::default() });
    let same = near.clips.iter().filter(|clip| made.truth[&clip.id] == "class 2").count();
    assert!(near.clips.len() == 10 && same >= 8, "{same} of 10");
    assert!(near.clips.iter().all(|clip| clip.id != like));
}

#[test]
fn a_list_and_an_earlier_run_are_taken_up() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let list_path = root.join("labels.csv");
    std::fs::write(
        &list_path,
        format!(
            "path,label,split,group\n{},x,train,a\n./{},y,test,b\ngone.mp4,x,train,\n",
            named(0),
            named(4)
        ),
    )
    .unwrap();
    let run = root.join("run.csv");
    let columns = "path,label,score,duration_s,frames,model,error";
    let file = root.join(named(9));
    std::fs::write(&run, format!("{columns}\n{},z,0.75,1,16,m,\nbad.mp4,,,,,,broken\n", file.display()))
        .unwrap();
    let prelabels = Some(run);
    let made = Made::without_features(Options { prelabels, ..options(root, 40, named) });
    let status = made.session.status();
    assert_eq!((status.total, status.labelled, status.held_out), (41, 3, 1));
    assert_eq!(status.labels, [("z".into(), 0), ("x".into(), 2), ("y".into(), 1)]);
    let guessed = made.session.find(&Query { text: Some(named(9)), ..Query::default() }).clips.remove(0);
    assert_eq!(guessed.guess, Some(Guess { label: "z".into(), score: 0.75 }));
    assert_eq!(guessed.standing, Standing::Open);
    // Changed by hand later: that counts, and what wasn't touched stays.
    let rows = made.list();
    assert_eq!(rows.len(), 3);
    assert_eq!(
        rows.iter().filter(|row| row.held_out).map(|row| row.label.as_str()).collect::<Vec<_>>(),
        ["y"]
    );
    drop(made);
    let text = std::fs::read_to_string(&list_path).unwrap();
    std::fs::write(&list_path, text.replace("gone.mp4,x", "gone.mp4,w")).unwrap();
    let made = Made::without_features(options(root, 40, named));
    let labels: Vec<String> = made.list().into_iter().map(|row| row.label).collect();
    assert_eq!(labels, ["x", "y", "w"]);
}

#[test]
fn each_label_of_a_run_that_names_several_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let run = root.join("run.csv");
    let columns = "path,label,score,duration_s,frames,model,error,shown";
    let [both, none] = [9, 10].map(|i| root.join(named(i)));
    let rows = format!("{},gym|pull,0.75,1,16,m,,2\n{},,,1,16,m,,0\n", both.display(), none.display());
    std::fs::write(&run, format!("{columns}\n{rows}")).unwrap();
    let made = Made::without_features(Options { prelabels: Some(run), ..options(root, 40, named) });
    assert_eq!(made.session.status().labels, [("gym".into(), 0), ("pull".into(), 0)]);
    let find = |i| made.session.find(&Query { text: Some(named(i)), ..Query::default() }).clips.remove(0);
    assert_eq!(find(9).guess, Some(Guess { label: "gym".into(), score: 0.75 }));
    assert_eq!(find(10).guess, None);
}

#[test]
fn without_names_twins_are_kept_together() {
    let folder = tempfile::tempdir().unwrap();
    let made = Made::without_features(options(folder.path(), 120, |i| format!("{i}.mp4")));
    let (features, _) = made_up::clips(60, CLASSES, 32, 5);
    for clip in 0..120 {
        let mean: Vec<f32> = features[clip / 2].iter().map(|x| x + 0.01 * (clip % 2) as f32).collect();
        made.session.see(Seen::Features { clip, mean: mean.into(), fresh: true });
    }
    made.session.learn();
    let status = made.session.status();
    assert!(status.grouping.contains("Nothing names"), "{}", status.grouping);
    let state = made.session.state();
    let held = state.held_out();
    for clip in (0..120).step_by(2) {
        assert_eq!(state.groups.of(clip), state.groups.of(clip + 1));
        assert_eq!(held[clip], held[clip + 1]);
    }
    assert!(held.iter().any(|held| *held));
}

#[test]
fn impossible_wishes_are_refused_and_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let made = Made::new(folder.path(), 60);
    let offer = made.session.next(1, "page").remove(0);
    for label in ["", " x", "x\n"] {
        assert!(made.session.label(offer.id, Verdict::Label(label.into()), "page").is_err());
    }
    assert!(made.session.label(Id::of("nowhere"), Verdict::Skip, "page").is_err());
    assert!(made.session.rename("nothing", "x", "page").is_err());
    assert!(made.session.confirm("x", &[Id::of("nowhere")], &[], "page").is_err());
    assert_eq!(made.session.status().labelled, 0);
    // Another program may not write the same list.
    let error = Session::take_up(options(folder.path(), 60, named)).err().unwrap().to_string();
    assert!(error.contains("labelled already"), "{error}");
}

#[test]
fn a_clip_that_breaks_is_said_and_a_page_that_went_away_loses_its_clips() {
    let folder = tempfile::tempdir().unwrap();
    let made = Made::new(folder.path(), 60);
    made.session.see(Seen::Broken { clip: 3, reason: "no video stream".into() });
    let broken = made.session.find(&Query { standing: Some("broken".into()), ..Query::default() });
    assert_eq!(broken.clips[0].standing, Standing::Broken { reason: "no video stream".into() });
    let offers = made.session.next(5, "gone");
    for offer in &mut made.session.state().offers {
        let Some(past) = offer.at.checked_sub(Duration::from_secs(1000)) else {
            println!("skipped: this machine hasn't run long enough for a page to have gone away");
            return;
        };
        offer.at = past;
    }
    let others: HashSet<Id> = made.session.next(8, "here").iter().map(|offer| offer.id).collect();
    assert!(offers.iter().all(|offer| others.contains(&offer.id)));
}

#[test]
fn a_page_that_is_gone_gives_up_its_clips_where_there_are_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let made = Made::without_features(options(folder.path(), 4, |i| format!("{i}.mp4")));
    made.watch_all();
    made.session.learn();
    assert_eq!(made.session.next(24, "gone").len(), 4);
    assert!(made.session.next(24, "new").is_empty());
    let long = Duration::from_secs(40);
    made.session.state().offers.iter_mut().for_each(|offer| offer.at -= long);
    assert_eq!(made.session.next(24, "new").len(), 4);
    assert!(made.session.next(24, "gone").is_empty());
}

#[test]
fn a_model_is_wanted_after_a_round_once_all_clips_were_looked_at_and_features_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let options = |name: &str| {
        let root = folder.path().join(name);
        std::fs::create_dir(&root).unwrap();
        options(&root, 100, named)
    };
    let wants = |made: &Made| made.session.state().wants_model;
    let cache = Some(folder.path().join("cache"));
    let made = Made::without_features(Options { cache: cache.clone(), ..options("kept") });
    made.watch_all();
    made.session.learn();
    assert!(!wants(&made), "nothing was said");
    made.answer(14);
    made.session.learn();
    assert!(wants(&made));
    // Clips that can't be read make no model: that is for who finishes to hear.
    made.session.make_along();
    let status = made.session.status();
    assert_eq!((wants(&made), status.trouble, status.model), (false, None, None));
    let error = made.session.finish(&()).unwrap_err().to_string();
    assert!(error.contains("none of its 14 clips can be read"), "{error}");
    made.answer(20);
    made.session.learn();
    assert!(!wants(&made), "in the middle of a round");

    let made = Made::without_features(options("not-kept"));
    made.watch_all();
    made.session.learn();
    made.answer(14);
    made.session.learn();
    assert!(!wants(&made));
    let made = Made::without_features(Options { cache, ..options("unseen") });
    let (features, _) = made_up::clips(100, CLASSES, 32, 5);
    for (clip, mean) in features.into_iter().take(60).enumerate() {
        made.session.see(Seen::Features { clip, mean: mean.into(), fresh: true });
    }
    made.session.learn();
    made.answer(14);
    made.session.learn();
    assert!(!wants(&made));
}
