//! What stands between a client and a server, and makes faults.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What goes wrong with one answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Fault {
    /// The connection ends in the middle of the answer.
    Cut,
    /// This status instead of the answer.
    Status(u16),
    /// The connection ends before the request is handed on.
    Drop,
    /// The answer comes late.
    Slow(Duration),
}

/// Says what goes wrong with the answer to a request, by the request's line and its number.
type Plan = Box<dyn FnMut(&str, usize) -> Option<Fault> + Send>;

struct State {
    plan: Plan,
    /// The request lines so far, with what range is asked for, and from where it was sent on.
    asked: Vec<String>,
    /// Bytes of answers' bodies so far.
    sent: usize,
}

/// A proxy to one server; one request a connection.
pub(crate) struct Proxy {
    host: String,
    state: Arc<Mutex<State>>,
}

impl Proxy {
    /// To the server on `port` of this machine.
    pub(crate) fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let own = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(State { plan: Box::new(|_, _| None), asked: Vec::new(), sent: 0 }));
        let shared = state.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let state = shared.clone();
                std::thread::spawn(move || {
                    // A client or a server that goes away ends it.
                    let _ = pass(client, port, own, &state);
                });
            }
        });
        Self { host: format!("127.0.0.1:{own}"), state }
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) fn address(&self) -> String {
        format!("http://{}", self.host)
    }

    /// From now on `plan` says what goes wrong; what was asked so far is forgotten.
    pub(crate) fn plan(&self, plan: impl FnMut(&str, usize) -> Option<Fault> + Send + 'static) {
        *self.state.lock().unwrap() = State { plan: Box::new(plan), asked: Vec::new(), sent: 0 };
    }

    /// The lines of all requests since the last plan.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.state.lock().unwrap().asked.clone()
    }

    /// Bytes of content since the last plan.
    pub(crate) fn sent(&self) -> usize {
        self.state.lock().unwrap().sent
    }
}

fn pass(mut client: TcpStream, port: u16, own: u16, state: &Mutex<State>) -> std::io::Result<()> {
    let mut request = Vec::new();
    let end = loop {
        let mut bytes = [0; 4096];
        match client.read(&mut bytes)? {
            0 => return Ok(()),
            n => request.extend_from_slice(&bytes[..n]),
        }
        if let Some(end) = request.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            break end + 4;
        }
    };
    let head = String::from_utf8_lossy(&request[..end]).into_owned();
    let field = |name: &str| {
        head.lines().find_map(|line| {
            let (field, value) = line.split_once(": ")?;
            field.eq_ignore_ascii_case(name).then(|| value.to_owned())
        })
    };
    let length = end + field("content-length").map_or(0, |length| length.parse().unwrap());
    if field("expect").is_some() {
        client.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    while request.len() < length {
        let mut bytes = [0; 1 << 16];
        match client.read(&mut bytes)? {
            0 => return Ok(()),
            n => request.extend_from_slice(&bytes[..n]),
        }
    }
    let line = head.lines().next().unwrap_or_default();
    let told = |name: &str| field(name).unwrap_or_default();
    let line = format!("{line} {} {}", told("range"), told("referer"));
    let fault = {
        let mut state = state.lock().unwrap();
        let number = state.asked.len();
        state.asked.push(line.clone());
        (state.plan)(&line, number)
    };
    if let Some(Fault::Status(status)) = fault {
        return write!(client, "HTTP/1.1 {status} Fault\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }
    if fault == Some(Fault::Drop) {
        return Ok(());
    }
    if let Some(Fault::Slow(time)) = fault {
        std::thread::sleep(time);
    }
    let mut server = TcpStream::connect(("127.0.0.1", port))?;
    let lines =
        head.lines().filter(|line| !line.to_lowercase().starts_with("connection:") && !line.is_empty());
    let head: String = lines.map(|line| format!("{line}\r\n")).collect();
    // The server thinks that it is asked directly: what it answers about itself must lead through here.
    assert!(head.contains(&format!(":{own}")), "{head}");
    server.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes())?;
    server.write_all(&request[end..])?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer)?;
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").map_or(0, |end| end + 4);
    let sent = match fault {
        Some(Fault::Cut) => end + (answer.len() - end) / 2,
        _ => answer.len(),
    };
    state.lock().unwrap().sent += sent - end;
    client.write_all(&answer[..sent])
}
