//! A bucket on an S3 server of its own.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use crate::proxy::Proxy;
use crate::ran::Ran;

/// A server, the bucket `clips` on it, and the proxy through which it is asked.
pub(crate) struct Store {
    server: Child,
    port: u16,
    pub proxy: Proxy,
    /// A user's folder.
    pub home: tempfile::TempDir,
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// Python with moto, put into a virtual environment once; `None`, and a word, where it can't be had.
fn python() -> Option<&'static Path> {
    static PYTHON: OnceLock<Option<PathBuf>> = OnceLock::new();
    let make = || {
        let venv = Path::new(env!("CARGO_TARGET_TMPDIR")).join("moto");
        let python = venv.join("bin/python");
        let run = |program: &Path, args: &[&str]| {
            let output = Command::new(program).args(args).stdin(Stdio::null()).output();
            output.is_ok_and(|output| output.status.success())
        };
        if run(&python, &["-c", "import moto.server"]) {
            return Some(python);
        }
        let venv = venv.to_string_lossy();
        let made = run(Path::new("python3"), &["-m", "venv", "--clear", &venv])
            && run(&python, &["-m", "pip", "install", "--quiet", "moto[server,s3]>=5,<6"]);
        if !made {
            eprintln!("skipped: moto's S3 server can't be installed (python3-venv, PyPI)");
        }
        made.then_some(python)
    };
    PYTHON.get_or_init(make).as_deref()
}

impl Store {
    /// A server with an empty bucket, if there can be one.
    pub(crate) fn start() -> Option<Self> {
        let python = python()?;
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut server = Command::new(python);
        server.args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()]);
        let server = server.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let proxy = Proxy::to(port);
        let store = Self { server, port, proxy, home: tempfile::tempdir().unwrap() };
        for _ in 0..600 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                store.send("PUT", "/clips", b"");
                return Some(store);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("moto's server doesn't start");
    }

    /// Asks the server itself; the answer's body.
    pub(crate) fn send(&self, method: &str, path: &str, body: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: {}\r\n{OWNER}\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        assert!(head.starts_with("HTTP/1.1 2"), "{method} {path}: {head}");
        answer.split_off(end + 4)
    }

    pub(crate) fn put(&self, key: &str, content: &[u8]) {
        self.send("PUT", &format!("/clips/{key}"), content);
    }

    pub(crate) fn delete(&self, key: &str) {
        self.send("DELETE", &format!("/clips/{key}"), b"");
    }

    pub(crate) fn get(&self, key: &str) -> Vec<u8> {
        self.send("GET", &format!("/clips/{key}"), b"")
    }

    /// `classify ARGS` in the user's folder, with credentials and an endpoint in the environment and nothing of the
    /// machine's own settings.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_classify"));
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            if name.starts_with("AWS_") || name.to_lowercase().ends_with("_proxy") {
                command.env_remove(name);
            }
        }
        command.env("AWS_ACCESS_KEY_ID", "somebody").env("AWS_SECRET_ACCESS_KEY", SECRET);
        command.env("AWS_ENDPOINT_URL", self.proxy.address()).env("AWS_REGION", "us-east-1");
        command.current_dir(self.home.path()).stdin(Stdio::null()).args(args);
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        Ran(self.command(args).output().unwrap())
    }
}

/// Who puts things there, and that everybody may read them. The server checks no signature.
const OWNER: &str = "Authorization: AWS4-HMAC-SHA256 Credential=somebody/20260101/us-east-1/s3/aws4_request, \
                     SignedHeaders=host, Signature=0\r\nx-amz-acl: public-read\r\n";

/// What may stand in no message.
pub(crate) const SECRET: &str = "s3cr3tOfSomebody";

/// A file of `samples/`.
pub(crate) fn sample(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("samples").join(name)).unwrap()
}

/// A small model and few frames: what these tests are about isn't the answer.
pub(crate) const QUICK: [&str; 6] = ["--model", "imagenet-lite0", "--frames", "2", "--size", "64"];
