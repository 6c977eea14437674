//! A bucket on a server of its own.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::proxy::Proxy;
use crate::ran::Ran;
use crate::servers::Kind;

/// A server, the bucket `clips` on it, and the proxy through which it is asked.
pub(crate) struct Store {
    pub kind: Kind,
    other: Kind,
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

impl Store {
    /// Amazon's with an empty bucket, if there can be one.
    pub(crate) fn start() -> Option<Self> {
        Self::of(Kind::Amazon)
    }

    pub(crate) fn of(kind: Kind) -> Option<Self> {
        Self::between(kind, kind)
    }

    /// One that is asked as `kind` is, on the server of `other`.
    pub(crate) fn between(kind: Kind, other: Kind) -> Option<Self> {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let proxy = Proxy::to(port);
        let mut server = other.server(port, proxy.host())?;
        let server = server.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let store = Self { kind, other, server, port, proxy, home: tempfile::tempdir().unwrap() };
        for _ in 0..600 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                let (method, path, content) = other.bucket();
                store.send(method, &path, content);
                return Some(store);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("the server of {other:?} doesn't start");
    }

    /// Asks the server itself; the answer's status and body.
    fn ask(&self, method: &str, path: &str, body: &[u8]) -> (u16, Vec<u8>) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {}\r\n{}\r\n",
            self.proxy.host(),
            body.len(),
            self.other.head()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        (status.unwrap_or_else(|| panic!("{method} {path}: {head}")), answer.split_off(end + 4))
    }

    /// The same where it goes well; the answer's body.
    pub(crate) fn send(&self, method: &str, path: &str, body: &[u8]) -> Vec<u8> {
        let (status, answer) = self.ask(method, path, body);
        let said = || String::from_utf8_lossy(&answer).into_owned();
        assert!((200..300).contains(&status), "{method} {path}: {status} {}", said());
        answer
    }

    pub(crate) fn put(&self, key: &str, content: &[u8]) {
        self.send("PUT", &self.other.path(key), content);
    }

    pub(crate) fn delete(&self, key: &str) {
        self.send("DELETE", &self.other.path(key), b"");
    }

    pub(crate) fn get(&self, key: &str) -> Vec<u8> {
        self.send("GET", &self.other.path(key), b"")
    }

    /// Whether there is such an object.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.ask("GET", &self.other.path(key), b"").0 != 404
    }

    /// `classify ARGS` in the user's folder, with credentials and an endpoint in the environment and nothing of the
    /// machine's own settings.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_classify"));
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            let is_of_a_store =
                ["AWS_", "AZURE_", "GOOGLE_", "STORAGE_"].iter().any(|of| name.starts_with(of));
            if is_of_a_store || name.to_lowercase().ends_with("_proxy") {
                command.env_remove(name);
            }
        }
        command.envs(self.kind.environment(self.proxy.address()));
        command.current_dir(self.home.path()).stdin(Stdio::null()).args(args);
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        Ran(self.command(args).output().unwrap())
    }
}

/// A file of `samples/`.
pub(crate) fn sample(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("samples").join(name)).unwrap()
}

/// A small model and few frames: what most of these tests are about isn't the answer.
pub(crate) const QUICK: [&str; 6] = ["--model", "imagenet-lite0", "--frames", "2", "--size", "64"];
