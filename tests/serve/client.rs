//! A client that says exactly what a test wants to say.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// A request, to be sent on a connection of its own.
pub(crate) struct Ask {
    port: u16,
    head: String,
    body: Vec<u8>,
    length: Option<usize>,
}

/// What a server said.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: u16,
    head: String,
    pub body: Vec<u8>,
}

pub(crate) const BOUNDARY: &str = "a-line-that-no-clip-has";

impl Ask {
    pub(crate) fn get(port: u16, path: &str) -> Self {
        Self::new(port, "GET", path)
    }

    pub(crate) fn post(port: u16, path: &str, body: impl Into<Vec<u8>>) -> Self {
        let ask = Self::new(port, "POST", path);
        Self { body: body.into(), ..ask }
    }

    pub(crate) fn json(port: u16, path: &str, value: &Value) -> Self {
        Self::post(port, path, value.to_string()).header("Content-Type", "application/json")
    }

    /// A form of text fields and one file.
    pub(crate) fn form(port: u16, path: &str, fields: &[(&str, &str)], name: &str, file: &[u8]) -> Self {
        let mut body = Vec::new();
        for (field, value) in fields {
            body.extend(
                format!(
                    "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{field}\"\r\n\r\n{value}\r\n"
                )
                .bytes(),
            );
        }
        body.extend(
            format!(
                "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
                 Content-Type: video/mp4\r\n\r\n"
            )
            .bytes(),
        );
        body.extend(file);
        body.extend(format!("\r\n--{BOUNDARY}--\r\n").bytes());
        Self::post(port, path, body)
            .header("Content-Type", &format!("multipart/form-data; boundary={BOUNDARY}"))
    }

    pub(crate) fn new(port: u16, method: &str, path: &str) -> Self {
        let head = format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n");
        Self { port, head, body: Vec::new(), length: None }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.head += &format!("{name}: {value}\r\n");
        self
    }

    /// Claims another length than the body has.
    pub(crate) fn claims(mut self, length: usize) -> Self {
        self.length = Some(length);
        self
    }

    /// Sends it all, then listens.
    pub(crate) fn send(self) -> Answer {
        let stream = self.begin();
        Answer::read(stream)
    }

    /// Sends it, and leaves the answer to come.
    pub(crate) fn begin(self) -> TcpStream {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
        let length = self.length.unwrap_or(self.body.len());
        stream.write_all(format!("{}Content-Length: {length}\r\n\r\n", self.head).as_bytes()).unwrap();
        // A server that refuses a request may close before it has read all of it.
        let _ = stream.write_all(&self.body);
        stream
    }
}

impl Answer {
    pub(crate) fn read(mut stream: TcpStream) -> Self {
        let mut bytes = Vec::new();
        let read = stream.read_to_end(&mut bytes);
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no answer: {read:?} {}", String::from_utf8_lossy(&bytes)));
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap().to_ascii_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut body = bytes.split_off(end + 4);
        if head.contains("transfer-encoding: chunked") {
            body = unchunked(&body);
        }
        Self { status, head, body }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    /// Checks the status.
    #[track_caller]
    pub(crate) fn status(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }

    /// The one line of a refusal.
    #[track_caller]
    pub(crate) fn error(&self) -> String {
        let value = self.json();
        let error = value["error"].as_str().unwrap_or_else(|| panic!("no error in {value}")).to_owned();
        assert!(!error.is_empty() && !error.contains('\n'), "{error}");
        error
    }
}

fn unchunked(mut bytes: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(end) = bytes.windows(2).position(|window| window == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&bytes[..end]).unwrap().trim(), 16).unwrap();
        if size == 0 {
            break;
        }
        whole.extend(&bytes[end + 2..][..size]);
        bytes = &bytes[end + 2 + size + 2..];
    }
    whole
}
