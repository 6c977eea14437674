//! The OpenAPI document: what it says is there, and a client that is made from it works.

use std::path::Path;
use std::process::Command;

use crate::client::Ask;
use crate::process::{Server, sample};

#[test]
fn each_route_of_the_document_is_served() {
    let server = Server::quick(&[]);
    let document = server.get("/openapi.json").status(200).json();
    let mut routes = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        for method in operations.as_object().unwrap().keys() {
            let ask = Ask::new(server.port, &method.to_uppercase(), &path.replace("{model}", "quick"));
            let status = ask.send().status;
            assert!(!matches!(status, 404 | 405 | 500..), "{method} {path}: {status}");
            routes += 1;
        }
    }
    assert_eq!(routes, 10);
    assert!(document.get("security").is_none());
    let guarded = Server::start(
        &["--model", crate::process::quick_model().to_str().unwrap()],
        &[("CLASSIFY_TOKEN", "s3cret")],
    );
    let ask = Ask::get(guarded.port, "/openapi.json").header("Authorization", "Bearer s3cret");
    let document = ask.send().status(200).json();
    assert_eq!(document["components"]["securitySchemes"]["token"]["scheme"], "bearer");
}

/// The generator comes from PyPI once, into the target folder.
#[test]
fn a_client_made_from_the_document_works() {
    let server = Server::start(&["-m", "ucf14-lite0-lstm"], &[]);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("openapi");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/serve/client.sh");
    let mut command = Command::new("bash");
    command.arg(script).arg(folder).arg(server.port.to_string()).arg(sample("jumping_jacks.mp4"));
    let Ok(output) = command.output() else {
        eprintln!("skipped: there is no bash");
        return;
    };
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    if stderr.contains("skipped: ") {
        eprintln!("{stderr}");
        return;
    }
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), "JumpingJack 5 2 ['ucf14-lite0-lstm'] 422");
}
