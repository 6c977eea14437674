//! Who may not, what isn't there, and what must not be taken.

use std::fs;

use serde_json::json;

use crate::server::{Gate, Hub, Model};
use crate::user::User;
use crate::whole::ours;

fn hub() -> Hub {
    let hub = Hub::start();
    hub.add("a/open", ours());
    hub.add("a/gated", Model { gate: Gate::Gated, ..ours() });
    hub.add("a/private", Model { gate: Gate::Private, ..ours() });
    hub
}

#[test]
fn gated_and_private_models_need_a_token_that_the_store_does_not_see() {
    let hub = hub();
    let user = User::of(&hub);
    let page = format!("{}/a/gated", hub.address);
    user.run("pull a/gated").refuses(&[
        "model a/gated: ",
        "accept its terms",
        &page,
        "HF_TOKEN",
        "/settings/tokens",
    ]);
    user.run_with("pull a/gated", "HF_TOKEN", "bad").refuses(&["accept its terms", &page]);
    user.run("pull a/private").refuses(&["no such model for everybody", "HF_TOKEN"]);
    user.run_with("pull a/private", "HF_TOKEN", "bad").refuses(&["no such model"]);
    user.run_with("pull a/private", "HF_TOKEN", "b\u{7}d").refuses(&["HF_TOKEN", "characters"]);

    user.run_with("pull a/gated", "HF_TOKEN", "good").code(0);
    fs::write(user.home.path().join("hf/token"), "good\n").unwrap();
    user.run("pull a/private").code(0);
    let requests = hub.requests();
    let good = Some("Bearer good");
    assert!(
        requests.iter().any(|r| r.path.contains("/a/private/resolve/") && r.authorization.as_deref() == good)
    );
    let of_store: Vec<_> = requests.iter().filter(|r| r.store).collect();
    assert_eq!(of_store.len(), 2);
    assert!(of_store.iter().all(|r| r.authorization.is_none()), "{of_store:?}");
}

#[test]
fn what_is_not_there_is_said() {
    let hub = hub();
    let user = User::of(&hub);
    user.run("pull a/none").refuses(&["model a/none: ", "check the name"]);
    user.run("pull a/open@v9").refuses(&["model a/open@v9: ", "no revision v9", "/a/open/tree/main"]);
    user.run("pull bert").refuses(&["OWNER/NAME"]);
    user.run("pull ../evil").refuses(&["OWNER/NAME"]);
    hub.add("a/empty", Model::new([("README.md", b"hi".to_vec())]));
    user.run("pull a/empty").refuses(&["no config.json"]);
    let config = ("config.json", b"{}".to_vec());
    hub.add("a/flax", Model::new([config, ("flax_model.msgpack", vec![1])]));
    user.run("pull a/flax").refuses(&["no weights that are read (it has flax_model.msgpack)"]);
    assert!(!user.cache().exists(), "nothing was worth a folder");
}

#[test]
fn offline_nothing_is_asked() {
    let hub = hub();
    let user = User::of(&hub);
    user.run_with("pull a/open", "HF_HUB_OFFLINE", "1").refuses(&["HF_HUB_OFFLINE is set"]);
    user.run_with("pull a/open", "HF_HUB_OFFLINE", "yes").refuses(&["HF_HUB_OFFLINE is set"]);
    assert!(hub.requests().is_empty());
    user.run_with("pull a/open", "HF_HUB_OFFLINE", "0").code(0);
}

#[test]
fn addresses_that_lead_nowhere_are_named() {
    let user = User::of(&hub());
    user.run_with("pull a/open", "HF_ENDPOINT", "hub").refuses(&["HF_ENDPOINT=hub is no address"]);
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let closed = format!("http://{closed}");
    user.run_with("pull a/open", "HF_ENDPOINT", &closed).refuses(&[&closed, "can't be reached", "5 times"]);
}

#[test]
fn names_that_lead_out_of_the_folder_are_not_taken() {
    let hub = Hub::start();
    let user = User::of(&hub);
    let config = || ("config.json", b"{}".to_vec());
    for evil in ["../evil.safetensors", "/evil.safetensors", r"..\evil.safetensors", "sub/evil.safetensors"] {
        let index = json!({ "weight_map": { "x": evil } }).to_string().into_bytes();
        let mut model = Model::new([config(), ("model.safetensors.index.json", index)]);
        model.files.insert(evil.into(), b"evil".to_vec());
        // Also what is needed under a name that leads elsewhere.
        model.files.insert("../README.md".into(), b"evil".to_vec());
        hub.add("a/evil", model);
        user.run("pull a/evil").refuses(&["its list of weights names", "evil.safetensors"]);
    }
    let files = walk(user.home.path());
    assert!(files.iter().all(|file| !file.contains("evil.safe") && !file.contains("README")), "{files:?}");
}

fn walk(dir: &std::path::Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap().flatten() {
        match entry.path().is_dir() {
            true => found.extend(walk(&entry.path())),
            false => found.push(entry.path().display().to_string()),
        }
    }
    found
}
