//! Files of the server's machine: those below `--root`, whatever a request says.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

use serde_json::{Value, json};

use crate::client::Ask;
use crate::process::{Server, clip, sample};

#[test]
fn no_path_leads_out_of_the_root() {
    let whole = tempfile::tempdir().unwrap();
    let root = whole.path().join("root");
    fs::create_dir_all(root.join("in")).unwrap();
    fs::write(whole.path().join("secret.mp4"), clip()).unwrap();
    fs::write(root.join("in/täglich 1.mp4"), clip()).unwrap();
    symlink("../secret.mp4", root.join("out.mp4")).unwrap();
    symlink(sample(""), root.join("samples")).unwrap();
    symlink("in/täglich 1.mp4", root.join("link.mp4")).unwrap();
    let pipe = std::ffi::CString::new(root.join("pipe").as_os_str().as_bytes()).unwrap();
    // SAFETY: the path is a text that ends in zero.
    assert_eq!(unsafe { libc::mkfifo(pipe.as_ptr(), 0o600) }, 0);
    let server = Server::quick(&["--root", root.to_str().unwrap()]);
    let ask = |path: Value| Ask::json(server.port, "/classify", &json!({ "path": path })).send();
    for path in ["in/täglich 1.mp4", "./in/täglich 1.mp4", "link.mp4"] {
        assert_eq!(ask(path.into()).status(200).json()["path"], path);
    }
    let secret = whole.path().join("secret.mp4");
    for path in [
        "../secret.mp4",
        "in/../../secret.mp4",
        secret.to_str().unwrap(),
        "out.mp4",
        "samples/bikes.mp4",
        "%2e%2e/secret.mp4",
        "..%2fsecret.mp4",
        "..\\secret.mp4",
        "in/täglich%201.mp4",
        "file:../secret.mp4",
        "/proc/self/cwd/secret.mp4",
        "in",
        "pipe",
        "",
        "in/täglich 1.mp4\0",
        "http://localhost/a.mp4",
    ] {
        let answer = ask(path.into());
        assert!(matches!(answer.status, 400 | 404), "{path}: {} {}", answer.status, answer.text());
        answer.error();
    }
    for path in [json!(null), json!(1), json!(["in"]), json!({})] {
        assert_eq!(ask(path).status, 400);
    }
    // A film's path, too.
    let film = Ask::json(server.port, "/timeline", &json!({"path": "out.mp4"})).send();
    film.status(404);
}
