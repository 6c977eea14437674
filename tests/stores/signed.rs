//! Web addresses with a query that lets whoever knows it read the clip.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Stdio;
use std::time::Duration;

use crate::proxy::Fault;
use crate::ran::Ran;
use crate::store::{QUICK, Store, sample};

/// Stands in lists only.
const LISTED: &str = "L1st3d";
/// Stands on command lines, too.
const SIGNATURE: &str = "S1gnatur3";

/// As S3 does: a signature is good for reading only, and without it nothing is.
fn refuse_unsigned(store: &Store, signature: &'static str) {
    store.proxy.plan(move |line, _| match line.starts_with("GET ") && line.contains(signature) {
        true => Some(Fault::Slow(Duration::from_millis(100))),
        false => Some(Fault::Status(403)),
    });
}

/// Whether any process was started with the signature of a list in its arguments.
fn is_in_the_process_list() -> bool {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|process| std::fs::read(process.path().join("cmdline")).ok())
        .any(|arguments| arguments.windows(LISTED.len()).any(|part| part == LISTED.as_bytes()))
}

#[test]
fn signed_addresses_are_read_and_the_signature_stands_nowhere() {
    let Some(store) = Store::start() else { return };
    let keys = ["in/a.mp4", "in/b%20c/%C3%A9%2B1.mp4", "in/empty.mp4", "in/cut.mp4"];
    let clips =
        [sample("bikes.mp4"), sample("jumping_jacks.mp4"), vec![], sample("bikes.mp4")[..20_000].to_vec()];
    let address = |key: &str| format!("{}/clips/{key}", store.proxy.address());
    let list = |query: &str| {
        let lines = keys.map(|key| format!("{}?{query}={LISTED}&x=%2F", address(key)));
        std::fs::write(store.home.path().join("list.txt"), lines.join("\n")).unwrap();
    };
    for (key, clip) in keys.iter().zip(&clips) {
        store.put(key, clip);
    }
    refuse_unsigned(&store, LISTED);
    list("sig");
    let args = [&["--list", "list.txt", "-o", "labels.csv", "--resume"][..], &QUICK].concat();
    let mut child = store.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while child.try_wait().unwrap().is_none() {
        assert!(!is_in_the_process_list());
        std::thread::sleep(Duration::from_millis(10));
    }
    let exactly = format!("GET /clips/in/b%20c/%C3%A9%2B1.mp4?sig={LISTED}&x=%2F HTTP");
    assert!(store.proxy.asked().iter().any(|line| line.starts_with(&exactly)), "{:?}", store.proxy.asked());
    let ran = Ran(child.wait_with_output().unwrap()).code(1);
    let read = |name: &str| std::fs::read_to_string(store.home.path().join(name)).unwrap();
    let (table, journal) = (read("labels.csv"), read("labels.csv.journal"));
    let paths: Vec<&str> = table.lines().skip(1).map(|line| line.split(',').next().unwrap()).collect();
    assert_eq!(paths, keys.map(address));
    assert!(table.contains("is empty") && table.contains("truncated"), "{table}");
    for text in [&table, &journal, &ran.stdout(), &ran.stderr()] {
        assert!(!text.contains(LISTED) && !text.contains('?'), "{text}");
    }
    // Signed anew they are the same clips.
    list("again");
    refuse_unsigned(&store, LISTED);
    store.run(&[&args[..], &["--force"]].concat()).code(1);
    assert_eq!(read("labels.csv"), table);
    assert!(store.proxy.asked().iter().all(|line| !line.contains("bytes=0-2")), "{:?}", store.proxy.asked());
}

#[test]
fn messages_about_signed_addresses_hold_no_signature() {
    let Some(store) = Store::start() else { return };
    store.put("a.mp4", &sample("bikes.mp4"));
    refuse_unsigned(&store, SIGNATURE);
    let plain = format!("{}/clips/a.mp4", store.proxy.address());
    let signed = format!("{plain}?sig={SIGNATURE}");
    let silent = |ran: Ran| {
        assert!(!ran.stdout().contains(SIGNATURE) && !ran.stderr().contains(SIGNATURE), "{}", ran.stderr());
        ran
    };
    // One clip alone is labelled in another way than many.
    let ran = silent(store.run(&[&[signed.as_str(), "--format", "csv"][..], &QUICK].concat()).code(0));
    assert!(ran.stdout().contains(&format!("{plain},")), "{}", ran.stdout());
    silent(store.run(&["frames", &signed, "-o", "frames.png"]).code(0)).says(&[&plain]);
    silent(store.run(&["check", &signed]).code(0));
    let other = format!("{plain}?sig={SIGNATURE}2");
    silent(store.run(&[&signed, &other]).code(2)).says(&[&plain, "twice"]);
    let output = format!("{plain}.csv?sig={SIGNATURE}");
    silent(store.run(&["x.mp4", "-o", &output]).code(2)).says(&["names no format"]);
    silent(store.run(&["x.mp4", "-o", &output, "--format", "csv"]).code(2)).says(&["can't be written"]);
    for fault in [Fault::Status(403), Fault::Status(400), Fault::Status(404)] {
        store.proxy.plan(move |_, _| Some(fault));
        silent(store.run(&[&[signed.as_str()][..], &QUICK].concat()).code(1)).says(&[&plain]);
    }
}

#[test]
fn a_server_that_another_sends_on_to_is_not_told_the_signature() {
    let Some(store) = Store::start() else { return };
    store.put("a.mp4", &sample("bikes.mp4"));
    store.proxy.plan(|_, _| None);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let signed = format!("http://{}/b.mp4?sig={SIGNATURE}", listener.local_addr().unwrap());
    let to = format!("{}/clips/a.mp4", store.proxy.address());
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            // A client that goes away is asked no more of.
            let _ = client.read(&mut [0; 4096]);
            let _ = write!(
                client,
                "HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
        }
    });
    store.run(&[&[signed.as_str()][..], &QUICK].concat()).code(0);
    let asked = store.proxy.asked();
    assert!(!asked.is_empty() && asked.iter().all(|line| !line.contains(SIGNATURE)), "{asked:?}");
}
