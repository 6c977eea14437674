//! What goes wrong on the way.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use walkdir::WalkDir;

use crate::proxy::Fault;
use crate::ran::Ran;
use crate::runs::{fill, rows};
use crate::servers::SECRET;
use crate::store::{QUICK, Store, sample};

/// Small, and knows the actions of these clips.
const MODEL: &str = "ucf14-lite0-lstm";

#[test]
fn cut_refused_and_slow_answers_change_nothing() {
    let Some(store) = Store::start() else { return };
    fill(&store);
    store.run(&[&["in", "-o", "local.csv"][..], &QUICK].concat()).code(1);
    store.proxy.plan(|_, number| match number % 5 {
        1 => Some(Fault::Status(503)),
        2 => Some(Fault::Cut),
        3 => Some(Fault::Slow(Duration::from_millis(300))),
        _ => None,
    });
    store.run(&[&["s3://clips/in/", "-o", "store.csv"][..], &QUICK].concat()).code(1);
    let home = store.home.path();
    assert_eq!(rows(&home.join("store.csv")), rows(&home.join("local.csv")));
}

/// What goes wrong with one in four requests.
fn mixed(number: usize) -> Option<Fault> {
    match number % 23 {
        1 => Some(Fault::Status(503)),
        5 | 13 => Some(Fault::Slow(Duration::from_millis(200))),
        9 => Some(Fault::Cut),
        17 => Some(Fault::Drop),
        21 => Some(Fault::Status(429)),
        _ => None,
    }
}

/// Names and contents of 200 clips, each one another; without those of `shared`, of two clips under 60 names.
fn many() -> Vec<(String, Vec<u8>)> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let folder = std::env::var_os("CLASSIFY_SHARED").map_or_else(beside, PathBuf::from).join("data/ucf14");
    let files = WalkDir::new(&folder).sort_by_file_name().into_iter().flatten();
    let clips: Vec<PathBuf> = files
        .map(|file| file.into_path())
        .filter(|path| path.extension().is_some_and(|e| e == "mp4"))
        .collect();
    if clips.len() < 200 {
        eprintln!("{} isn't there: two clips under 60 names", folder.display());
        let samples = [sample("bikes.mp4"), sample("jumping_jacks.mp4")];
        return (0..60).map(|i| (format!("{i:02}.mp4"), samples[i % 2].clone())).collect();
    }
    let some = clips.iter().step_by(clips.len() / 200).take(200);
    let name = |path: &PathBuf| path.strip_prefix(&folder).unwrap().to_str().unwrap().to_owned();
    some.map(|path| (name(path), std::fs::read(path).unwrap())).collect()
}

/// The clips that stand in the journal, a line each; a torn line is none.
fn journalled(journal: &Path) -> Vec<String> {
    let text = std::fs::read(journal).unwrap_or_default();
    let lines = text.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
    lines.filter_map(|line: serde_json::Value| Some(line.get("path")?.as_str()?.to_owned())).collect()
}

#[test]
fn two_hundred_clips_under_faults_killed_and_resumed_are_as_the_local_run() {
    let Some(store) = Store::start() else { return };
    let (home, clips) = (store.home.path(), many());
    for (name, content) in &clips {
        store.put(&format!("in/{name}"), content);
        let path = home.join("in").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    let start = Instant::now();
    store.run(&["in", "-o", "local.csv", "--model", MODEL]).code(0);
    eprintln!("{} clips of this machine: {:.1?}", clips.len(), start.elapsed());
    let args = ["s3://clips/in/", "-o", "s3://clips/out/labels.csv", "--model", MODEL, "--resume"];
    let journal = home.join("s3-clips-out-labels.csv.journal");
    // Each clip has one line, whenever the run was killed.
    let known = || {
        let lines = journalled(&journal);
        assert_eq!(lines.iter().collect::<HashSet<_>>().len(), lines.len(), "a clip was labelled twice");
        lines.len()
    };
    let start = Instant::now();
    let kill_when = |there: &dyn Fn() -> bool| {
        let mut child = store.command(&args).stderr(Stdio::null()).spawn().unwrap();
        while !there() {
            assert!(child.try_wait().unwrap().is_none(), "it has ended");
            assert!(start.elapsed() < Duration::from_secs(600), "it gets nowhere");
            std::thread::sleep(Duration::from_millis(10));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!store.has("out/labels.csv"), "a part of the results is there");
    };
    for share in [0, 1, 30, 55, 80] {
        store.proxy.plan(|_, number| mixed(number));
        let least = clips.len() * share / 100;
        kill_when(&|| store.proxy.asked().len() > 3 && known() >= least);
        eprintln!("killed with {} clips labelled, after {} requests", known(), store.proxy.asked().len());
    }
    // In the end, while the results are on their way.
    store.proxy.plan(|line, number| match line.starts_with("PUT") {
        true => Some(Fault::Drop),
        false => mixed(number),
    });
    kill_when(&|| store.proxy.asked().iter().any(|line| line.starts_with("PUT")));
    assert_eq!(known(), clips.len());
    store.proxy.plan(|_, number| mixed(number));
    store.run(&args).code(0);
    assert_eq!(known(), clips.len());
    assert!(!store.proxy.asked().iter().any(|line| line.starts_with("GET /clips/in/")), "all were labelled");
    eprintln!("from the bucket, killed six times: {:.1?}", start.elapsed());
    std::fs::write(home.join("store.csv"), store.get("out/labels.csv")).unwrap();
    let (far, near) = (rows(&home.join("store.csv")), rows(&home.join("local.csv")));
    assert_eq!(far.len(), clips.len() + 1);
    assert_eq!(far, near);
}

#[test]
fn a_run_that_is_killed_goes_on_by_etag() {
    let Some(store) = Store::start() else { return };
    let clip = sample("bikes.mp4");
    for i in 0..40 {
        store.put(&format!("in/{i:02}.mp4"), &clip);
    }
    store.proxy.plan(|_, _| Some(Fault::Slow(Duration::from_millis(60))));
    let args = [&["s3://clips/in/", "-o", "labels.csv", "--threads", "2"][..], &QUICK].concat();
    let mut child = store.command(&args).spawn().unwrap();
    let journal = store.home.path().join("labels.csv.journal");
    let start = Instant::now();
    let done = || std::fs::read_to_string(&journal).unwrap_or_default().lines().count().saturating_sub(1);
    while done() < 10 {
        assert!(start.elapsed() < Duration::from_secs(120), "it gets nowhere");
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let known = done();
    assert!((10..40).contains(&known), "{known}");
    assert!(!std::fs::read_to_string(&journal).unwrap().contains(SECRET));
    // One that is known has changed, one is gone.
    store.put("in/00.mp4", &sample("jumping_jacks.mp4"));
    store.delete("in/39.mp4");
    store.proxy.plan(|_, _| None);
    store.run(&[&args[..], &["--resume"]].concat()).code(0);
    let asked = store.proxy.asked();
    let fetched = |key: &str| asked.iter().any(|line| line.starts_with(&format!("GET /clips/in/{key}.mp4")));
    assert!(fetched("00"), "it has changed");
    let again = (1..known).filter(|i| fetched(&format!("{i:02}"))).count();
    // The journal isn't in the order of the clips: the last ones may be others.
    assert!(again <= 2, "{again} of {known} clips were fetched again");
    let rows = rows(&store.home.path().join("labels.csv"));
    assert_eq!(rows.len(), 1 + 39);
}

#[test]
fn what_changes_or_vanishes_on_the_way_is_a_row_with_its_reason() {
    let Some(store) = Store::start() else { return };
    store.put("in/a.mp4", &sample("bikes.mp4"));
    // Vanished between the listing and the reading.
    store.proxy.plan(|line, _| line.starts_with("GET /clips/in/a.mp4").then_some(Fault::Status(404)));
    let ran = store.run(&[&["s3://clips/in/", "--format", "json"][..], &QUICK].concat()).code(1);
    assert!(
        ran.stdout().contains(r#"{"path":"s3://clips/in/a.mp4","error":"the store has no such object"}"#)
    );
    store.proxy.plan(|line, _| line.starts_with("GET /clips/in/a.mp4").then_some(Fault::Status(403)));
    let ran = store.run(&[&["s3://clips/in/", "--format", "json"][..], &QUICK].concat()).code(1);
    assert!(ran.stdout().contains("check the credentials"), "{}", ran.stdout());
    assert!(!ran.stdout().contains(SECRET) && !ran.stderr().contains(SECRET));
    store.run(&[&["s3://nowhere/in/"][..], &QUICK].concat()).code(2).says(&["s3://nowhere/in/"]);
    store
        .run(&["s3://clips/in/a.mp4", "--sort-into", "x"])
        .code(2)
        .says(&["s3://clips/in/a.mp4", "--sort-into"]);
    store
        .run(&["s3://clips/in/a.mp4", "-o", "https://a.b/x.csv"])
        .code(2)
        .says(&["can't be written to an address"]);
}

#[test]
fn an_object_of_the_same_size_that_takes_its_place_while_it_is_read_is_a_row_with_that_reason() {
    let Some(store) = Store::start() else { return };
    // Long enough to be asked for more than once; what follows the video is no part of it.
    let clip = [sample("bikes.mp4"), vec![0; 4 << 20]].concat();
    let other = [&clip[..clip.len() - 1], &[1]].concat();
    store.put("in/a.mp4", &clip);
    store.proxy.plan(|_, _| Some(Fault::Slow(Duration::from_millis(400))));
    let args = [&["s3://clips/in/a.mp4", "--format", "json"][..], &QUICK].concat();
    let child = store.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let start = Instant::now();
    // The first answer has come when the second request has.
    while store.proxy.asked().len() < 2 {
        assert!(start.elapsed() < Duration::from_secs(60), "it is asked for once");
        std::thread::sleep(Duration::from_millis(5));
    }
    store.put("in/a.mp4", &other);
    let ran = Ran(child.wait_with_output().unwrap()).code(1);
    assert!(ran.stdout().contains("it was changed while it was read"), "{}", ran.stdout());
}

#[test]
fn a_key_that_is_no_path_is_named() {
    let Some(store) = Store::start() else { return };
    store.put("in/a.mp4", &sample("bikes.mp4"));
    store.put("in/b//c.mp4", &sample("bikes.mp4"));
    store
        .run(&[&["s3://clips/in/"][..], &QUICK].concat())
        .code(2)
        .says(&["s3://clips/in/: an object below it has a key that can't be read", "in/b//c.mp4"]);
}

#[test]
fn passwords_in_addresses_are_refused_and_not_repeated() {
    let Some(store) = Store::start() else { return };
    let web = "https://me:S3same@127.0.0.1/c.mp4?sig=S3same";
    std::fs::write(store.home.path().join("list.txt"), format!("{web}\n")).unwrap();
    let bucket = "s3://me:S3same@clips/in/";
    for args in [
        &[web][..],
        &[web, "-o", "o.csv", "--resume"],
        &["--list", "list.txt", "-o", "o.csv"],
        &[bucket],
        &["x.mp4", "-o", "s3://me:S3same@clips/o.csv"],
        &["x.mp4", "-o", "s3://me:S3same@clips/o"],
        &["frames", web, "-o", "f.png"],
        &["check", web],
        &["--timeline", web],
    ] {
        let ran = store.run(args).code(2);
        assert!(
            !ran.stdout().contains("S3same") && !ran.stderr().contains("S3same"),
            "{args:?} {}",
            ran.stderr()
        );
    }
    store.run(&[web]).code(2).says(&["https://127.0.0.1/c.mp4: ", "a name or a password"]);
    assert!(!store.home.path().join("o.csv.journal").exists());
}

#[test]
fn a_store_that_never_answers_comes_to_an_end() {
    let Some(store) = Store::start() else { return };
    store.put("in/a.mp4", &sample("bikes.mp4"));
    store.proxy.plan(|line, _| line.starts_with("GET /clips/in/a.mp4").then_some(Fault::Status(503)));
    let start = Instant::now();
    let ran = store.run(&[&["s3://clips/in/a.mp4"][..], &QUICK].concat()).code(1);
    assert!(ran.stderr().contains("the store can't be read"), "{}", ran.stderr());
    assert!(start.elapsed() < Duration::from_secs(90), "{:?}", start.elapsed());
}
