//! `POST /timeline`: lines while a long video is watched.

use std::io::Read;
use std::process::Command;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::client::{Answer, Ask};
use crate::process::{Server, clip, sample};

#[test]
fn the_lines_are_those_of_the_command() {
    let server = Server::start(&["--model", "ucf14-lite0-lstm"], &[]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_classify"));
    command.args(["--model", "ucf14-lite0-lstm", "--timeline", "--window", "1", "--format", "json"]);
    let lines = command.arg("bikes.mp4").current_dir(sample("")).output().unwrap().stdout;
    let film = std::fs::read(sample("bikes.mp4")).unwrap();
    let answer = Ask::form(server.port, "/timeline?window=1", &[], "bikes.mp4", &film).send().status(200);
    assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
    assert!(!lines.is_empty());
    assert_eq!(answer.text(), String::from_utf8(lines).unwrap());
    let refused = server.post("/timeline", "no film").status(422);
    assert!(refused.error().contains("not a video"), "{}", refused.error());
    assert!(server.post("/timeline?window=0", clip()).status(400).error().contains("between 0.1 and 3600"));
    server.until("its worker has ended", |server| server.workers().len() == 1);
    server.keeps_nothing();
}

#[test]
fn lines_come_while_it_is_watched_and_end_with_the_client() {
    let server = Server::quick(&[]);
    // Far more than is watched before the first line comes.
    let film = long_film();
    let mut stream = Ask::post(server.port, "/timeline?window=0.1", film).begin();
    let mut first = [0; 512];
    assert!(stream.read(&mut first).unwrap() > 0);
    assert_eq!(server.metric("classify_running"), 1.0);
    // A clip isn't kept waiting by it.
    server.post("/classify", clip()).status(200);
    drop(stream);
    server.until("it has ended", |server| server.metric("classify_queue_length") == 0.0);
    server.until("its worker has ended", |server| server.workers().len() <= 2);
}

#[test]
fn a_film_has_its_time() {
    let server = Server::quick(&["--timeline-timeout", "1"]);
    // Some lines may have been sent by then.
    let said = server.post("/timeline?window=0.1", long_film()).text();
    let last = said.trim_end().lines().last().unwrap();
    assert!(last.contains("not done within 1 s; --timeline-timeout allows more"), "{last}");
    assert_eq!(server.metric("classify_timeouts_total"), 1.0);
}

/// Half an hour of scenes of 1.6 s, chequered and noisy by turns: watching it takes far longer than sending it.
fn long_film() -> Vec<u8> {
    let mut film = b"YUV4MPEG2 W32 H32 F25:1 Ip A1:1 C420\n".to_vec();
    let mut random = ChaCha8Rng::seed_from_u64(23);
    for scene in 0..25 * 1800 / 40 {
        let luma = |place: usize| if (place / 8 + place / 256).is_multiple_of(2) { 200 } else { 30 };
        let luma: Vec<u8> = match scene % 2 {
            0 => (0..32 * 32).map(luma).collect(),
            _ => (0..32 * 32).map(|_| random.random()).collect(),
        };
        let chroma = [[128, 60, 200][scene % 3]].repeat(2 * 16 * 16);
        for _ in 0..40 {
            film.extend([b"FRAME\n", &luma[..], &chroma].concat());
        }
    }
    film
}

#[test]
fn a_film_that_crashes_its_worker_ends_with_a_line_that_says_so() {
    let server = Server::quick(&[]);
    let before = server.workers();
    let mut stream = Ask::post(server.port, "/timeline?window=0.1", long_film()).begin();
    let mut first = [0; 1];
    stream.read_exact(&mut first).unwrap();
    let worker = server.workers().into_iter().find(|worker| !before.contains(worker)).unwrap();
    // SAFETY: the process is a child of our child, which waits for it.
    assert_eq!(unsafe { libc::kill(worker, libc::SIGABRT) }, 0);
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    let text = String::from_utf8_lossy(&rest);
    assert!(text.contains("{\"error\":\"crashed the decoder: abort (signal 6)\"}\n"), "{text}");
    assert_eq!(server.metric("classify_worker_crashes_total"), 1.0);
    let next = Ask::post(server.port, "/timeline", clip()).begin();
    Answer::read(next).status(200);
}
