//! `POST /classify`: the same labels as the command's, however the clip comes.

use std::process::Command;

use serde_json::{Value, json};

use crate::client::Ask;
use crate::process::{Server, clip, sample};

/// What the command says of a sample.
fn by_command(model: &str, name: &str) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_classify"));
    command.args(["--model", model, "--format", "json"]).arg(sample(name));
    let mut row: Value = serde_json::from_slice(&command.output().unwrap().stdout).unwrap();
    row["path"] = name.into();
    row
}

#[test]
fn every_way_gives_the_row_of_the_command() {
    let samples = sample("");
    let args = ["-m", "ucf14-lite0-lstm", "-m", "imagenet-lite0", "--root", samples.to_str().unwrap()];
    let server = Server::start(&args, &[]);
    let port = server.port;
    let expected = by_command("ucf14-lite0-lstm", "jumping_jacks.mp4");
    let form = Ask::form(port, "/classify", &[], "jumping_jacks.mp4", &clip()).send().status(200);
    assert_eq!(form.json(), expected);
    assert_eq!(form.header("content-type"), Some("application/json"));
    // The fields' order, too.
    assert_eq!(form.text(), expected.to_string());
    let folder = Ask::form(port, "/classify", &[], "C:\\\\a\\\\jumping_jacks.mp4", &clip()).send();
    assert_eq!(folder.status(200).json(), expected);
    let bare = server.post("/classify?name=jumping_jacks.mp4", clip());
    assert_eq!(bare.status(200).json(), expected);
    let disposition = "attachment; filename=\"jumping_jacks.mp4\"";
    let bare = Ask::post(port, "/classify", clip()).header("Content-Disposition", disposition).send();
    assert_eq!(bare.status(200).json(), expected);
    let below = Ask::json(port, "/classify", &json!({"path": "jumping_jacks.mp4"})).send();
    assert_eq!(below.status(200).json(), expected);

    let other = by_command("imagenet-lite0", "bikes.mp4");
    let bikes = std::fs::read(sample("bikes.mp4")).unwrap();
    let by_field = Ask::form(port, "/classify", &[("model", "imagenet-lite0")], "bikes.mp4", &bikes).send();
    assert_eq!(by_field.status(200).json(), other);
    let by_query = Ask::form(port, "/classify?model=imagenet-lite0", &[], "bikes.mp4", &bikes).send();
    assert_eq!(by_query.status(200).json(), other);
    let by_json = json!({"path": "bikes.mp4", "model": "imagenet-lite0"});
    assert_eq!(Ask::json(port, "/classify", &by_json).send().status(200).json(), other);
    let none = server.post("/classify?model=none", clip()).status(404);
    assert!(none.error().contains("there are ucf14-lite0-lstm, imagenet-lite0"), "{}", none.error());
    server.keeps_nothing();
}

#[test]
fn labels_are_as_many_as_wished_for() {
    let server = Server::start(&["--model", "imagenet-lite0"], &[]);
    let labels = |parameters: &str| {
        let answer = server.post(&format!("/classify?{parameters}"), clip()).status(200).json();
        answer["labels"].as_array().unwrap().clone()
    };
    let all = labels("top_k=2000");
    assert_eq!((labels("").len(), labels("top_k=1").len(), all.len()), (5, 1, 1000));
    let score = |label: &Value| label["score"].as_f64().unwrap();
    let third = score(&all[2]);
    assert_eq!(labels(&format!("threshold={}&top_k=9", third - 1e-6)).len(), 3);
    assert_eq!(labels("threshold=1").len(), 0);
    for (parameters, reason) in [
        ("top_k=0", "top_k=0: must be a whole number from 1"),
        ("threshold=2", "must be a number from 0 to 1"),
        ("topk=3", "there is no parameter topk"),
    ] {
        let refused = server.post(&format!("/classify?{parameters}"), clip()).status(400);
        assert!(refused.error().contains(reason), "{}", refused.error());
    }
}

#[test]
fn a_filmstrip_comes_where_it_is_wished_for() {
    let server = Server::start(&["--model", "ucf14-lite0-lstm"], &[]);
    assert!(server.post("/classify", clip()).status(200).json().get("filmstrip").is_none());
    let strip = server.post("/classify?filmstrip=true", clip()).status(200).json()["filmstrip"].clone();
    assert_eq!((strip["both"].clone(), strip["times"].as_array().unwrap().len()), (json!(true), 6));
    let source = strip["source"].as_str().unwrap().strip_prefix("data:image/jpeg;base64,").unwrap();
    let jpeg = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, source).unwrap();
    let picture = image::load_from_memory(&jpeg).unwrap();
    assert_eq!(u64::from(picture.width()), strip["width"].as_u64().unwrap());
}

#[test]
fn what_is_no_clip_says_why() {
    let server = Server::quick(&[]);
    let refused = |body: &[u8]| server.post("/classify", body).status(422).error();
    assert!(refused(b"").contains("is empty"), "{}", refused(b""));
    assert!(refused(b"not a video").contains("not a video that FFmpeg can read"));
    let cut = &clip()[..2000];
    assert!(refused(cut).contains("none of its pictures can be decoded"), "{}", refused(cut));
    // The ending counts, as it does for files.
    let playlist = server.post("/classify?name=a.mpd", "<MPD/>").status(422);
    assert!(playlist.error().contains("playlist"), "{}", playlist.error());
    for (ask, reason) in [
        (Ask::json(server.port, "/classify", &json!({"path": "a.mp4"})), "start it with --root"),
        (Ask::json(server.port, "/classify", &json!(["a"])), "not a JSON object"),
        (Ask::json(server.port, "/classify", &json!({"top_k": 3})), "JSON must be"),
        (Ask::form(server.port, "/classify", &[("topk", "3")], "a", &clip()), "there is no parameter topk"),
        (Ask::post(server.port, "/classify", "x").header("Content-Type", "multipart/form-data"), "boundary"),
        (
            Ask::post(server.port, "/classify", "--x\r\nbroken")
                .header("Content-Type", "multipart/form-data; boundary=x"),
            "not a form",
        ),
    ] {
        let answer = ask.send();
        assert!((400..500).contains(&answer.status), "{}", answer.status);
        assert!(answer.error().contains(reason), "{}", answer.error());
    }
    let nowhere = server.get("/nowhere").status(404);
    assert!(nowhere.error().contains("/openapi.json"));
    server.get("/classify").status(405);
    server.get("/v2/health/live").status(200);
    assert_eq!(server.metric("classify_worker_crashes_total"), 0.0);
}

#[test]
fn counters_count() {
    let server = Server::quick(&["-v"]);
    server.post("/classify", clip()).status(200);
    server.post("/classify", "no clip").status(422);
    server.get("/nowhere").status(404);
    let count = |route: &str, status: u16| {
        server.metric(&format!("classify_requests_total{{route=\"{route}\",status=\"{status}\"}}"))
    };
    assert_eq!((count("/classify", 200), count("/classify", 422), count("other", 404)), (1.0, 1.0, 1.0));
    for stage in ["upload", "wait", "decode", "network"] {
        assert!(
            server.metric(&format!("classify_stage_seconds_count{{stage=\"{stage}\"}}")) >= 1.0,
            "{stage}"
        );
    }
    assert_eq!(server.metric("classify_queue_length"), 0.0);
    assert_eq!(server.metric("classify_uploaded_bytes_total"), (clip().len() + 7) as f64);
    assert!(server.said().contains("POST /classify: 422 in "), "{}", server.said());
}
