//! What a server doesn't take, and what it costs then.

use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::client::{Answer, Ask};
use crate::process::{Server, clip};

/// Has the only worker stand still, so that the next clip takes until it goes on.
fn hold(server: &Server) -> i32 {
    let [worker] = server.workers()[..] else { panic!("{:?}", server.workers()) };
    signal(worker, libc::SIGSTOP);
    worker
}

fn signal(process: i32, signal: i32) {
    // SAFETY: the process is a child of our child, which waits for it.
    assert_eq!(unsafe { libc::kill(process, signal) }, 0);
}

#[test]
fn what_is_too_large_is_refused_early_and_kept_nowhere() {
    let server = Server::quick(&["--max-size", "300K"]);
    let limit = 300 << 10;
    let fits = vec![0; limit];
    // No clip, but not too large.
    server.post("/classify", fits.clone()).status(422);
    let large = vec![0; 3 << 20];
    for answer in [
        server.post("/classify", large.clone()),
        Ask::form(server.port, "/classify", &[], "a.mp4", &large).send(),
        // One that doesn't say how much comes.
        chunked(&server, &large),
    ] {
        let answer = answer.status(413);
        assert!(answer.error().contains("larger than the 307200 bytes"), "{}", answer.error());
    }
    let json = Ask::json(server.port, "/", &json!({"inputs": "A".repeat(3 << 20)})).send().status(413);
    assert!(json.error().contains("send the bare file"), "{}", json.error());
    // Before anything of it comes.
    let stream = Ask::post(server.port, "/classify", "").claims(1 << 40).begin();
    Answer::read(stream).status(413);
    server.keeps_nothing();
    assert!(server.metric("classify_uploaded_bytes_total") <= 1.1 * limit as f64);
}

fn chunked(server: &Server, body: &[u8]) -> Answer {
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    let head = "POST /classify HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    for chunk in body.chunks(10_000) {
        let framed = [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat();
        stream.write_all(&framed).unwrap();
    }
    stream.write_all(b"0\r\n\r\n").unwrap();
    Answer::read(stream)
}

#[test]
fn a_large_upload_takes_no_memory() {
    let server = Server::quick(&[]);
    server.post("/classify", clip()).status(200);
    let before = server.memory();
    let mut stream = Ask::post(server.port, "/classify", "").claims(400 << 20).begin();
    let block = vec![0; 1 << 20];
    let mut most = 0;
    for _ in 0..400 {
        stream.write_all(&block).unwrap();
        most = most.max(server.memory());
    }
    Answer::read(stream).status(422);
    assert!(most < before + (64 << 20), "{before} before, {most} during");
    server.keeps_nothing();
}

#[test]
fn who_comes_when_too_many_wait_is_told_when_to_come_back() {
    let server = Server::quick(&["--threads", "1", "--queue", "1"]);
    let worker = hold(&server);
    let running = [(); 2].map(|()| Ask::post(server.port, "/classify", clip()).begin());
    server.until("both are in", |server| server.metric("classify_queue_length") == 2.0);
    let refused = Ask::form(server.port, "/classify", &[], "a.mp4", &clip()).send().status(429);
    assert!(refused.error().contains("try again in 1 s"), "{}", refused.error());
    assert_eq!(refused.header("retry-after"), Some("1"));
    // The others go on, and so does the server's own state.
    server.get("/v2/health/ready").status(200);
    signal(worker, libc::SIGCONT);
    for stream in running {
        Answer::read(stream).status(200);
    }
    server.post("/classify", clip()).status(200);
}

#[test]
fn a_clip_has_its_time() {
    let server = Server::quick(&["--timeout", "1"]);
    hold(&server);
    let start = Instant::now();
    let late = server.post("/classify", clip()).status(422);
    assert_eq!(late.error(), "not done within 1 s; --timeout allows more");
    assert!(start.elapsed() < Duration::from_secs(20));
    assert_eq!(server.metric("classify_timeouts_total"), 1.0);
    server.post("/classify", clip()).status(200);
}

#[test]
fn a_clip_that_crashes_its_worker_costs_one_answer() {
    let server = Server::quick(&[]);
    let worker = hold(&server);
    let asked = Ask::post(server.port, "/classify", clip()).begin();
    server.until("it runs", |server| server.metric("classify_running") == 1.0);
    signal(worker, libc::SIGABRT);
    signal(worker, libc::SIGCONT);
    let crashed = Answer::read(asked).status(500);
    assert_eq!(crashed.error(), "crashed the decoder: abort (signal 6)");
    assert_eq!(server.metric("classify_worker_crashes_total"), 1.0);
    server.post("/classify", clip()).status(200);
    // One that dies while it waits costs nothing.
    let waiting = server.workers()[0];
    signal(waiting, libc::SIGKILL);
    // All of it: its pipes close with its last thread.
    let threads = || std::fs::read_dir(format!("/proc/{waiting}/task")).map_or(0, Iterator::count);
    server.until("it is dead", |server| !server.workers().contains(&waiting) && threads() < 2);
    server.post("/classify", clip()).status(200);
    assert_eq!(server.metric("classify_worker_crashes_total"), 1.0);
}

#[test]
fn a_client_that_goes_away_frees_its_place() {
    let server = Server::quick(&["--threads", "1", "--queue", "0"]);
    hold(&server);
    let asked = Ask::post(server.port, "/classify", clip()).begin();
    server.until("it runs", |server| server.metric("classify_running") == 1.0);
    server.post("/classify", clip()).status(429);
    drop(asked);
    server.until("it has ended", |server| server.metric("classify_queue_length") == 0.0);
    server.post("/classify", clip()).status(200);
    // In the middle of an upload, too.
    let half = Ask::post(server.port, "/classify", clip()).claims(clip().len() + 1).begin();
    server.until("it is in", |server| server.metric("classify_queue_length") == 1.0);
    drop(half);
    server.until("it has ended", |server| server.metric("classify_queue_length") == 0.0);
    server.keeps_nothing();
}

#[test]
fn a_token_keeps_others_out() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "s3cret\n").unwrap();
    let by_file = Server::quick(&["--token-file", file.path().to_str().unwrap()]);
    let model = crate::process::quick_model().to_str().unwrap();
    let by_variable = Server::start(&["--model", model], &[("CLASSIFY_TOKEN", "s3cret")]);
    for server in [by_file, by_variable] {
        for path in ["/", "/metrics", "/openapi.json", "/v2", "/nowhere"] {
            assert!(server.get(path).status(401).error().contains("Bearer TOKEN"));
        }
        server.post("/classify", clip()).status(401);
        let wrong =
            Ask::post(server.port, "/classify", clip()).header("Authorization", "Bearer secret").send();
        wrong.status(401);
        let right =
            Ask::post(server.port, "/classify", clip()).header("Authorization", "Bearer s3cret").send();
        right.status(200);
        server.get("/v2/health/live").status(200);
        server.get("/v2/health/ready").status(200);
    }
    let missing = Server::refused(&["--token-file", "/no/such/file"], &[]);
    assert!(missing.contains("/no/such/file: no such file"), "{missing}");
    assert!(Server::refused(&[], &[("CLASSIFY_TOKEN", "a b")]).contains("CLASSIFY_TOKEN"));
}

#[test]
fn pages_of_other_sites_ask_where_they_may() {
    let server = Server::quick(&["--cors", "https://shop.example"]);
    let from = |origin: &str| {
        let ask = Ask::post(server.port, "/classify", clip()).header("Origin", origin);
        ask.header("Sec-Fetch-Site", "cross-site").send()
    };
    let allowed = from("https://shop.example").status(200);
    assert_eq!(allowed.header("access-control-allow-origin"), Some("https://shop.example"));
    assert!(from("https://evil.example").status(403).error().contains("--cors"));
    let preflight = |origin: &str| {
        let ask = Ask::new(server.port, "OPTIONS", "/classify").header("Origin", origin);
        ask.header("Access-Control-Request-Method", "POST").send()
    };
    assert!(preflight("https://shop.example").header("access-control-allow-methods").is_some());
    assert_eq!(preflight("https://evil.example").header("access-control-allow-origin"), None);
    // A name that was made to lead here.
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n").unwrap();
    Answer::read(stream).status(421);
    let closed = Server::quick(&[]);
    let plain = Ask::post(closed.port, "/classify", clip()).header("Origin", "https://shop.example").send();
    plain.status(403);
}

#[test]
fn wrong_arguments_are_refused_with_advice() {
    for (args, reason) in [
        (&["--model", "none"][..], "neither a folder nor one of the models"),
        (&["--root", "/no/such"], "/no/such: no such file or folder"),
        (&["--max-size", "5T"], "as 500M or 2G"),
        (&["--cors", "shop.example"], "https://shop.example"),
        (&["--allow-url", "https://a.example/"], "without https://"),
        (&["--host", "203.0.113.1"], "no address of this machine"),
        (&["-m", "imagenet-lite0", "-m", "imagenet-lite0"], "another model called imagenet-lite0"),
    ] {
        let said = Server::refused(args, &[]);
        assert!(said.contains(reason), "{args:?}: {said}");
    }
}
