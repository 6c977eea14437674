//! What goes wrong on the way.

use std::time::{Duration, Instant};

use crate::proxy::Fault;
use crate::runs::{fill, rows};
use crate::store::{QUICK, SECRET, Store, sample};

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
fn a_store_that_never_answers_comes_to_an_end() {
    let Some(store) = Store::start() else { return };
    store.put("in/a.mp4", &sample("bikes.mp4"));
    store.proxy.plan(|line, _| line.starts_with("GET /clips/in/a.mp4").then_some(Fault::Status(503)));
    let start = Instant::now();
    let ran = store.run(&[&["s3://clips/in/a.mp4"][..], &QUICK].concat()).code(1);
    assert!(ran.stderr().contains("the store can't be read"), "{}", ran.stderr());
    assert!(start.elapsed() < Duration::from_secs(90), "{:?}", start.elapsed());
}
