//! A thousand bodies that are hardly clips: each gets labels or one line, and the server lives.

use std::fs;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::client::{Answer, Ask};
use crate::process::{Server, clip, sample, shared};

/// Bodies in all.
const BODIES: usize = 1000;

#[test]
fn odd_files_and_random_bodies_get_an_answer_each() {
    let mut bodies: Vec<(String, Vec<u8>)> = Vec::new();
    for folder in ["odd", "trouble"] {
        let Some(folder) = shared(folder) else { continue };
        let files = walkdir::WalkDir::new(&folder).sort_by_file_name().into_iter().flatten();
        for file in files.filter(|entry| entry.file_type().is_file()) {
            let name = file.file_name().to_string_lossy().into_owned();
            bodies.push((name, fs::read(file.path()).unwrap()));
        }
    }
    let files = bodies.len();
    let mut random = ChaCha8Rng::seed_from_u64(21);
    let samples = ["jumping_jacks.mp4", "bikes.mp4"].map(|name| fs::read(sample(name)).unwrap());
    while bodies.len() < BODIES {
        let kind = bodies.len() % 4;
        let mut body = match kind {
            // Bare noise.
            0 => (0..random.random_range(0..5000)).map(|_| random.random()).collect(),
            // The beginning of a clip, …
            1 => {
                let sample = &samples[random.random_range(0..samples.len())];
                sample[..random.random_range(0..sample.len())].to_vec()
            }
            // … and clips that are damaged.
            _ => samples[random.random_range(0..samples.len())].clone(),
        };
        if kind > 1 {
            for _ in 0..random.random_range(1..200) {
                let place = random.random_range(0..body.len());
                body[place] = random.random();
            }
        }
        let endings = ["mp4", "mkv", "avi", "ts", "h264", "gif", "mpd", "m4s", "webp", ""];
        bodies.push((format!("a.{}", endings[random.random_range(0..endings.len())]), body));
    }
    let server = Server::quick(&["--timeout", "30"]);
    let mut counts = [0; 4];
    for (place, (name, body)) in bodies.iter().enumerate() {
        let name: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '.').collect();
        let answer = if place % 2 == 0 {
            Ask::form(server.port, "/classify", &[], &name, body).send()
        } else {
            server.post(&format!("/classify?name={name}"), body.as_slice())
        };
        counts[judge(&answer, &name)] += 1;
    }
    let [labelled, refused, crashed, _] = counts;
    println!(
        "{files} files, {} other bodies: {labelled} labelled, {refused} refused, {crashed} crashed",
        BODIES - files
    );
    assert_eq!(server.metric("classify_worker_crashes_total"), f64::from(crashed));
    server.post("/classify", clip()).status(200);
    server.keeps_nothing();
}

/// Whether it has labels, a line that says what is wrong with it, or one that says that it crashed.
fn judge(answer: &Answer, name: &str) -> usize {
    match answer.status {
        200 => {
            assert!(!answer.json()["labels"].as_array().unwrap().is_empty(), "{name}");
            0
        }
        400..500 => {
            answer.error();
            1
        }
        500 => {
            assert!(answer.error().starts_with("crashed the decoder"), "{name}: {}", answer.error());
            2
        }
        other => panic!("{name}: {other} {}", answer.text()),
    }
}

#[test]
fn nonsense_in_requests_gets_an_answer_each() {
    let server = Server::quick(&[]);
    let mut random = ChaCha8Rng::seed_from_u64(22);
    let kinds =
        ["application/json", "multipart/form-data; boundary=b", "text/plain", "video/mp4", "=;\"", ""];
    let paths = [
        "/",
        "/classify",
        "/timeline",
        "/v2/models/quick/infer",
        "/classify?top_k=%ff",
        "/v2/models/%00/infer",
    ];
    for number in 0..300 {
        let length = random.random_range(0..300);
        let mut body: Vec<u8> = (0..length).map(|_| random.random()).collect();
        if number % 3 == 0 {
            body = [b"{\"inputs\":", &body[..], b"}"].concat();
        } else if number % 3 == 1 {
            body = [b"--b\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n", &body[..], b"\r\n--b--"]
                .concat();
        }
        let ask = Ask::post(server.port, paths[random.random_range(0..paths.len())], body);
        let ask = ask.header("Content-Type", kinds[random.random_range(0..kinds.len())]);
        let ask = if number % 7 == 0 { ask.header("Inference-Header-Content-Length", "5") } else { ask };
        let answer = ask.send();
        assert!((400..500).contains(&answer.status), "{number}: {} {}", answer.status, answer.text());
        assert_eq!(answer.text().lines().count(), 1, "{}", answer.text());
    }
    server.post("/classify", clip()).status(200);
}
