//! Revisions, and where the cache is.

use std::fs;

use crate::server::{COMMIT, Hub};
use crate::user::User;
use crate::whole::ours;

#[test]
fn branches_tags_requests_and_commits_are_revisions() {
    let hub = Hub::start();
    let mut model = ours();
    let (tag, request) = ("2".repeat(40), "3".repeat(40));
    model.revisions.insert("v1.0".into(), tag.clone());
    model.revisions.insert("refs/pr/3".into(), request.clone());
    hub.add("a/b", model);
    let user = User::of(&hub);
    user.run("pull a/b@v1.0").code(0);
    user.run("models show a/b").refuses(&["classify pull a/b`"]);
    user.run("models show a/b@v1.0").code(0);
    user.run("pull a/b@refs/pr/3").code(0);
    user.run(&format!("pull a/b@{COMMIT}")).code(0);
    let folder = user.model("a/b");
    assert_eq!(fs::read_to_string(folder.join("refs/v1.0")).unwrap(), tag);
    assert_eq!(fs::read_to_string(folder.join("refs/refs/pr/3")).unwrap(), request);
    assert_eq!(User::names(&folder.join("refs")), ["refs", "v1.0"], "a commit needs no reference");
    assert_eq!(User::names(&folder.join("snapshots")), [COMMIT, &tag, &request]);
    assert_eq!(
        hub.asked_for("model.safetensors").iter().filter(|r| r.store).count(),
        1,
        "the blob is the same"
    );
    let shown = user.run("models show a/b@refs/pr/3").code(0).stdout();
    assert!(shown.starts_with("model     b\n"), "{shown}");
    let list = user.run("models").code(0).stdout();
    for name in ["a/b@v1.0 ", "a/b@refs/pr/3 ", &format!("a/b@{COMMIT} ")] {
        assert!(list.contains(name), "{name}: {list}");
    }
}

#[test]
fn a_branch_that_went_on_is_followed_by_the_next_pull_only() {
    let hub = Hub::start();
    let mut model = ours();
    hub.add("a/b", model.clone());
    let user = User::of(&hub);
    user.run("pull a/b").code(0);
    let next = "4".repeat(40);
    model.revisions.insert("main".into(), next.clone());
    let card =
        String::from_utf8(model.files["README.md"].clone()).unwrap().replace("# ucf14", "# Anew: ucf14");
    model.files.insert("README.md".into(), card.into_bytes());
    hub.add("a/b", model);
    let card = || user.run("models show a/b").code(0).stdout();
    assert!(!card().contains("# Anew"));
    user.run("pull a/b").code(0).says(&["444444444444"]);
    assert!(card().contains("# Anew"));
    assert!(!user.run(&format!("models show a/b@{COMMIT}")).code(0).stdout().contains("# Anew"));
}

#[test]
fn the_cache_is_where_the_python_client_has_it() {
    let hub = Hub::start();
    hub.add("a/b", ours());
    let user = User::of(&hub);
    let home = user.home.path();
    let pull = |settings: &[(&str, &str)]| {
        let mut command = user.command(["pull", "a/b"]);
        command.env_remove("HF_HOME").envs(settings.iter().copied());
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    let below =
        |path: &str| home.join(path).join("models--a--b/snapshots").join(COMMIT).display().to_string() + "\n";
    let [xdg, hub_cache] = ["xdg", "caches/hub"].map(|name| home.join(name).display().to_string());
    assert_eq!(pull(&[]), below(".cache/huggingface/hub"));
    assert_eq!(pull(&[("XDG_CACHE_HOME", &xdg)]), below("xdg/huggingface/hub"));
    assert_eq!(pull(&[("XDG_CACHE_HOME", &xdg), ("HF_HOME", "~/mine")]), below("mine/hub"));
    assert_eq!(pull(&[("HF_HOME", "~/mine"), ("HF_HUB_CACHE", &hub_cache)]), below("caches/hub"));
}
