//! Connections that break, servers that can't, processes that end.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::server::{Fault, Hub, Model, etag};
use crate::user::{Ran, User};

const WEIGHTS: &str = "model.safetensors";

/// A hub with the model `a/b`: weights of 3 MB, no two pieces alike.
fn hub() -> (Hub, Vec<u8>) {
    let weights: Vec<u8> = (0..750_000u32).flat_map(u32::to_le_bytes).collect();
    let hub = Hub::start();
    let config = br#"{"model_type": "other"}"#.to_vec();
    hub.add("a/b", Model::new([("config.json", config), (WEIGHTS, weights.clone())]));
    (hub, weights)
}

fn check(user: &User, weights: &[u8]) {
    let blobs = user.model("a/b").join("blobs");
    assert_eq!(User::names(&blobs).len(), 2);
    assert!(fs::read(blobs.join(etag(WEIGHTS, weights))).unwrap() == weights, "other bytes");
}

fn ranges(hub: &Hub) -> Vec<Option<String>> {
    hub.asked_for(WEIGHTS).into_iter().filter(|r| r.store).map(|r| r.range).collect()
}

#[test]
fn a_cut_connection_is_taken_up_where_it_broke() {
    let (hub, weights) = hub();
    hub.fault(WEIGHTS, Fault::Cut(1_000_000));
    hub.fault(WEIGHTS, Fault::Cut(500_000));
    let user = User::of(&hub);
    user.run("pull a/b").code(0).says(&["in the middle of model.safetensors", "trying again"]);
    check(&user, &weights);
    let ranges = ranges(&hub);
    assert_eq!(ranges.len(), 3, "{ranges:?}");
    assert_eq!(ranges[1].as_deref(), Some("bytes=1000000-"));
    assert_eq!(ranges[2].as_deref(), Some("bytes=1500000-"));
}

#[test]
fn a_server_without_ranges_sends_the_whole_again() {
    let (hub, weights) = hub();
    hub.fault(WEIGHTS, Fault::Cut(1_000_000));
    hub.fault(WEIGHTS, Fault::NoRange);
    let user = User::of(&hub);
    user.run("pull a/b").code(0);
    check(&user, &weights);
}

#[test]
fn busy_servers_are_asked_again_as_they_want_it() {
    let (hub, weights) = hub();
    for what in ["/api/", "/resolve/", WEIGHTS] {
        hub.fault(what, Fault::Status(503, ""));
        hub.fault(what, Fault::Status(503, ""));
    }
    hub.fault("tree", Fault::Status(429, "Retry-After: 2\r\n"));
    let user = User::of(&hub);
    let begin = Instant::now();
    user.run("pull a/b").code(0).says(&["can't answer now (503)", "too many requests (429)", "again in 2 s"]);
    assert!(begin.elapsed() > Duration::from_secs(2));
    check(&user, &weights);
}

#[test]
fn a_server_that_stays_busy_is_left_alone() {
    let (hub, weights) = hub();
    let user = User::of(&hub);
    hub.fault(WEIGHTS, Fault::Cut(1_000_000));
    (0..5).for_each(|_| hub.fault(WEIGHTS, Fault::Status(502, "")));
    user.run("pull a/b").refuses(&["can't answer now (502), 5 times", "goes on from there"]);
    hub.fault("/api/", Fault::Status(429, "Retry-After: 4000\r\n"));
    user.run("pull a/b").refuses(&["asks to wait 4000 s"]);
    user.run("pull a/b").code(0);
    check(&user, &weights);
    assert_eq!(ranges(&hub).last().unwrap().as_deref(), Some("bytes=1000000-"));
}

#[test]
fn a_file_that_came_damaged_is_thrown_away() {
    let (hub, weights) = hub();
    let user = User::of(&hub);
    for (name, size) in [(WEIGHTS, 1), ("config.json", 0)] {
        hub.fault(name, Fault::Wrong);
        user.run("pull a/b").refuses(&[name, "came damaged", "was thrown away"]);
        assert_eq!(User::names(&user.model("a/b").join("blobs")).len(), size, "{name}");
        fs::remove_dir_all(user.model("a/b")).unwrap();
    }
    user.run("models show a/b").refuses(&["classify pull a/b"]);
    user.run("pull a/b").code(0);
    check(&user, &weights);
}

#[test]
fn a_stray_incomplete_file_does_no_harm() {
    let (hub, weights) = hub();
    let user = User::of(&hub);
    let blobs = user.model("a/b").join("blobs");
    fs::create_dir_all(&blobs).unwrap();
    let incomplete = blobs.join(format!("{}.incomplete", etag(WEIGHTS, &weights)));
    fs::write(&incomplete, vec![7; 4_000_000]).unwrap();
    user.run("pull a/b").code(0);
    check(&user, &weights);
    fs::remove_dir_all(user.model("a/b")).unwrap();
    fs::create_dir_all(&blobs).unwrap();
    fs::write(&incomplete, &weights).unwrap();
    user.run("pull a/b").code(0);
    check(&user, &weights);
}

/// A pull that has part of the weights and waits for the rest.
fn stalled(user: &User, weights: &[u8]) -> std::process::Child {
    let part = user.model("a/b").join("blobs").join(format!("{}.incomplete", etag(WEIGHTS, weights)));
    let mut command = user.command(["pull", "a/b"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let begin = Instant::now();
    while fs::metadata(&part).map_or(0, |meta| meta.len()) < 1_000_000 {
        assert!(child.try_wait().unwrap().is_none(), "it ended");
        assert!(begin.elapsed() < Duration::from_secs(60), "nothing came");
        std::thread::sleep(Duration::from_millis(5));
    }
    child
}

#[test]
fn killed_in_the_middle_it_goes_on_from_there() {
    let (hub, weights) = hub();
    hub.fault(WEIGHTS, Fault::Stall(1_000_000, Duration::from_secs(60)));
    let user = User::of(&hub);
    let mut child = stalled(&user, &weights);
    child.kill().unwrap();
    child.wait().unwrap();
    user.run("pull a/b").code(0).says(&["3.00 MB, 1.00 MB of it here already"]);
    check(&user, &weights);
    assert_eq!(ranges(&hub)[1].as_deref(), Some("bytes=1000000-"));
}

#[cfg(unix)]
#[test]
fn interrupted_it_ends_at_once_and_keeps_what_came() {
    let (hub, weights) = hub();
    hub.fault(WEIGHTS, Fault::Stall(1_000_000, Duration::from_secs(60)));
    let user = User::of(&hub);
    let child = stalled(&user, &weights);
    let begin = Instant::now();
    // SAFETY: sends a signal to a process that we started and have not waited for.
    assert_eq!(unsafe { libc::kill(child.id() as i32, libc::SIGINT) }, 0);
    let ran = Ran(child.wait_with_output().unwrap()).code(130).says(&["goes on from here"]);
    assert!(begin.elapsed() < Duration::from_secs(10));
    assert_eq!(ran.stdout(), "");
    user.run("pull a/b").code(0);
    check(&user, &weights);
    assert_eq!(ranges(&hub)[1].as_deref(), Some("bytes=1000000-"));
}

#[test]
fn two_pulls_at_once_share_the_work() {
    let (hub, weights) = hub();
    hub.fault(WEIGHTS, Fault::Stall(1_000_000, Duration::from_secs(3)));
    let user = User::of(&hub);
    let first = stalled(&user, &weights);
    user.run("pull a/b").code(0).says(&["waiting for another pull of model.safetensors"]);
    Ran(first.wait_with_output().unwrap()).code(0);
    check(&user, &weights);
    assert_eq!(ranges(&hub).len(), 1);
}
