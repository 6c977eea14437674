//! Results that are too large for one piece.

use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::proxy::Fault;
use crate::servers::Kind;
use crate::store::{QUICK, Store, sample};

/// So often one clip stands in a list: its table has 22 MB, and is labelled once.
const ROWS: usize = 25_000;
/// Where that clip is: long names make a large table.
fn key() -> String {
    ["in", &"a".repeat(200), &"b".repeat(200), &"c".repeat(200), &"d".repeat(200)].join("/") + ".mp4"
}

/// Puts the clip into the bucket and into a folder, and lists of it; the table that a local run makes.
fn fill(store: &Store) -> String {
    let (home, clip, key) = (store.home.path(), sample("bikes.mp4"), key());
    store.put(&key, &clip);
    std::fs::create_dir_all(home.join(&key).parent().unwrap()).unwrap();
    std::fs::write(home.join(&key), clip).unwrap();
    std::fs::write(home.join("local.txt"), format!("{key}\n").repeat(ROWS)).unwrap();
    let address = format!("{}://clips/{key}\n", store.kind.scheme());
    std::fs::write(home.join("store.txt"), address.repeat(ROWS)).unwrap();
    store.run(&[&["--list", "local.txt", "-o", "local.csv"][..], &QUICK].concat()).code(0);
    let table = std::fs::read_to_string(home.join("local.csv")).unwrap();
    assert!(table.len() > 20 << 20, "{}", table.len());
    table
}

/// A plan in which these go wrong.
fn parts_after_the_first(fault: Fault) -> impl FnMut(&str, usize) -> Option<Fault> {
    let mut parts = 0;
    move |line, _| {
        parts += usize::from(is_part(line));
        (is_part(line) && parts > 1).then_some(fault)
    }
}

fn is_part(line: &str) -> bool {
    line.starts_with("PUT ") && (line.contains("partNumber=") || line.contains("comp=block&"))
}

/// With part after part refused, cut off and lost, it is the local run's table; and nobody ever sees half of it.
fn parts_survive_faults(store: &Store) {
    let local = fill(store);
    let root = format!("{}://clips/", store.kind.scheme());
    let to = format!("{root}out/labels.csv");
    let args = [&["--list", "store.txt", "-o", &to, "--resume"][..], &QUICK].concat();
    // Killed after the first part.
    store.proxy.plan(parts_after_the_first(Fault::Drop));
    let mut child = store.command(&args).stderr(Stdio::null()).spawn().unwrap();
    let start = Instant::now();
    while store.proxy.asked().iter().filter(|line| is_part(line)).count() < 3 {
        assert!(start.elapsed() < Duration::from_secs(120), "no parts: {:?}", store.proxy.asked());
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!store.has("out/labels.csv"), "half of it is there");
    // Of four requests to write three go wrong.
    let mut writes = 0;
    store.proxy.plan(move |line, _| {
        writes += usize::from(line.starts_with('P'));
        match writes % 4 {
            _ if !line.starts_with('P') => None,
            1 => Some(Fault::Status(503)),
            2 => Some(Fault::Drop),
            3 => Some(Fault::Slow(Duration::from_millis(200))),
            _ => None,
        }
    });
    store.run(&args).code(0);
    let table = String::from_utf8(store.get("out/labels.csv")).unwrap();
    assert!(table.replace(&root, "") == local, "{} and {} bytes", table.len(), local.len());
    let parts = store.proxy.asked().iter().filter(|line| is_part(line)).count();
    assert!(parts > 2, "{parts} parts");
}

#[test]
fn a_large_table_is_put_together_from_parts() {
    let Some(store) = Store::start() else { return };
    parts_survive_faults(&store);
    // The answer to the last request is lost: the object is there all the same.
    let mut lost = false;
    store.proxy.plan(move |line, _| {
        let is_end = line.starts_with("POST") && line.contains("uploadId=");
        (is_end && !std::mem::replace(&mut lost, true)).then_some(Fault::Cut)
    });
    let args = ["--list", "store.txt", "-o", "s3://clips/out/again.csv"];
    store.run(&[&args[..], &QUICK].concat()).code(0);
    assert!(store.get("out/again.csv").len() > 20 << 20);
    // What is given up leaves no parts behind, for which a store would charge.
    store.proxy.plan(parts_after_the_first(Fault::Status(403)));
    let args = ["--list", "store.txt", "-o", "s3://clips/out/never.csv"];
    store.run(&[&args[..], &QUICK].concat()).code(2).says(&["s3://clips/out/never.csv", "refuses"]);
    assert!(!store.has("out/never.csv"));
    let uploads = String::from_utf8(store.send("GET", "/clips?uploads", b"")).unwrap();
    assert!(!uploads.contains("never.csv"), "{uploads}");
}

#[test]
fn a_large_table_is_put_together_from_google_s_parts() {
    let Some(store) = Store::between(Kind::Google, Kind::Amazon) else { return };
    parts_survive_faults(&store);
}

#[test]
fn a_large_table_is_put_together_from_azure_s_blocks() {
    let Some(store) = Store::of(Kind::Azure) else { return };
    parts_survive_faults(&store);
}
