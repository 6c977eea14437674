//! What other servers' clients say: transformers' pipelines and the Open Inference Protocol.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde_json::{Value, json};

use crate::client::Ask;
use crate::process::{Server, cautious_models, clip};

#[test]
fn a_clip_in_json_is_answered_as_a_pipeline_does() {
    let server = Server::quick(&[]);
    let ask = |value: Value| Ask::json(server.port, "/", &value).send();
    let expected = server.post("/classify?top_k=3", clip()).status(200).json()["labels"].clone();
    let plain = STANDARD.encode(clip());
    for inputs in [plain.clone(), STANDARD_NO_PAD.encode(clip()), format!("data:video/mp4;base64,{plain}")] {
        let answer = ask(json!({"inputs": inputs, "parameters": {"top_k": 3}})).status(200);
        assert_eq!(answer.json(), expected);
    }
    assert_eq!(ask(json!({"inputs": plain})).status(200).json().as_array().unwrap().len(), 5);
    for (value, status, reason) in [
        (json!({"inputs": "not base64!"}), 400, "not a clip in base64"),
        (json!({"inputs": "AAAA"}), 422, "not a video"),
        (json!({"inputs": plain, "parameters": {"topk": 1}}), 400, "there is no parameter topk"),
        (json!({"inputs": [plain]}), 400, "JSON must be"),
        (json!({"input": "AAAA"}), 400, "missing field `inputs`"),
        (json!({"inputs": "https://a.example/a.mp4"}), 403, "--allow-url HOST"),
    ] {
        let refused = ask(value).status(status);
        assert!(refused.error().contains(reason), "{}", refused.error());
    }
}

#[test]
fn addresses_are_asked_only_where_they_may_be() {
    let server = Server::quick(&["--allow-url", "localhost", "--allow-url", "127.0.0.1"]);
    let own = server.port;
    for address in [
        "http://localhost/a.mp4".to_owned(),
        "http://127.0.0.1/a.mp4".into(),
        format!("http://127.0.0.1:{own}/metrics"),
        "http://169.254.169.254/latest/meta-data".into(),
        "http://[::1]/a.mp4".into(),
        "https://elsewhere.example/a.mp4".into(),
    ] {
        let refused = Ask::json(own, "/", &json!({ "inputs": address })).send().status(403);
        assert!(refused.error().contains("http"), "{}", refused.error());
    }
}

#[test]
fn the_inference_protocol_is_spoken() {
    let server = Server::quick(&[]);
    let about = server.get("/v2").status(200).json();
    assert_eq!((&about["name"], &about["models"]), (&json!("classify"), &json!(["quick"])));
    let model = server.get("/v2/models/quick").status(200).json();
    assert_eq!(model["inputs"], json!([{"name": "clip", "datatype": "BYTES", "shape": [1]}]));
    server.get("/v2/models/quick/ready").status(200);
    server.get("/v2/models/none").status(404);
    server.get("/v2/models/none/ready").status(404);

    let labels = server.post("/classify?top_k=2", clip()).status(200).json()["labels"].clone();
    let request = json!({
        "id": "7",
        "inputs": [{"name": "clip", "shape": [1], "datatype": "BYTES", "data": [STANDARD.encode(clip())]}],
        "parameters": {"top_k": 2},
    });
    let answer = Ask::json(server.port, "/v2/models/quick/infer", &request).send().status(200).json();
    assert_eq!((&answer["id"], &answer["model_name"]), (&json!("7"), &json!("quick")));
    let outputs = answer["outputs"].as_array().unwrap();
    assert_eq!(outputs[0]["data"], json!([labels[0]["label"], labels[1]["label"]]));
    assert_eq!((&outputs[1]["datatype"], &outputs[1]["shape"]), (&json!("FP32"), &json!([2])));
    let score = |value: &Value| value.as_f64().unwrap();
    assert!((score(&outputs[1]["data"][0]) - score(&labels[0]["score"])).abs() < 1e-5);

    // With the bytes behind the JSON.
    let head = json!({
        "inputs": [{"name": "clip", "shape": [1], "datatype": "BYTES",
                    "parameters": {"binary_data_size": clip().len() + 4}}],
        "parameters": {"top_k": 2, "binary_data_output": true},
    })
    .to_string();
    let binary = |head: &str, length: u32, bytes: &[u8]| {
        let body = [head.as_bytes(), &length.to_le_bytes(), bytes].concat();
        let ask = Ask::post(server.port, "/v2/models/quick/infer", body);
        ask.header("Inference-Header-Content-Length", &head.len().to_string()).send()
    };
    let length = clip().len() as u32;
    let answer = binary(&head, length, &clip()).status(200).json();
    assert_eq!(&answer["outputs"], &json!(outputs));
    for wrong in [binary(&head, length + 1, &clip()), binary(&head, 0, &clip()), binary("{", length, &clip())]
    {
        wrong.status(400).error();
    }
    for (pointer, value) in [
        ("/inputs/0/name", json!("image")),
        ("/inputs/0/datatype", json!("FP32")),
        ("/inputs/0/shape", json!([2])),
        ("/inputs/0/data", json!([])),
        ("/inputs", json!([])),
    ] {
        let mut wrong = request.clone();
        *wrong.pointer_mut(pointer).unwrap() = value;
        Ask::json(server.port, "/v2/models/quick/infer", &wrong).send().status(400).error();
    }
    Ask::json(server.port, "/v2/models/none/infer", &request).send().status(404);
}

#[test]
fn what_a_model_does_not_say_looks_like_no_answer() {
    let models = cautious_models().iter().flat_map(|folder| ["-m", folder.to_str().unwrap()]);
    let server = Server::start(&models.collect::<Vec<_>>(), &[]);
    let data = STANDARD.encode(clip());
    let request = json!({
        "inputs": [{"name": "clip", "shape": [1], "datatype": "BYTES", "data": [data]}],
        "parameters": {"top_k": 3},
    });
    let confident = json!({"name": "confident", "datatype": "BOOL", "shape": [1], "data": [false]});
    let above = |above: [bool; 3]| json!({"name": "above", "datatype": "BOOL", "shape": [3], "data": above});
    for (model, expected) in
        [("unsure", confident), ("two", above([true, true, false])), ("nothing", above([false; 3]))]
    {
        let metadata = server.get(&format!("/v2/models/{model}")).status(200).json();
        let mut tensor = expected.clone();
        tensor.as_object_mut().unwrap().remove("data");
        if tensor["name"] == "above" {
            tensor["shape"] = json!([-1]);
        }
        assert_eq!(metadata["outputs"][2], tensor, "{metadata}");
        let address = format!("/v2/models/{model}/infer");
        let answer = Ask::json(server.port, &address, &request).send().status(200).json();
        assert_eq!(answer["outputs"][2], expected, "{answer}");
        assert_eq!(answer["outputs"].as_array().unwrap().len(), 3, "{answer}");

        let inputs = json!({"inputs": data, "parameters": {"top_k": 3, "model": model}});
        let entries = Ask::json(server.port, "/", &inputs).send().status(200).json();
        let row = server.post(&format!("/classify?top_k=3&model={model}"), clip()).status(200).json();
        let said: Vec<&Value> = match model {
            "unsure" => {
                assert_eq!(row["confident"], false, "{row}");
                entries.as_array().unwrap().iter().map(|entry| &entry["confident"]).collect()
            }
            _ => {
                assert_eq!(entries, row["labels"]);
                entries.as_array().unwrap().iter().map(|entry| &entry["above"]).collect()
            }
        };
        let data = expected["data"].as_array().unwrap();
        assert!(said.len() == 3 && said.iter().enumerate().all(|(i, told)| **told == data[i % data.len()]));
    }
}
