//! A hub: a real HTTP/1.1 server with the hub's routes, on two ports as the hub has two hosts. Large files are
//! redirected to the second, the store. Faults happen where a test asks for them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use serde_json::{Value, json};

pub(crate) const COMMIT: &str = "1111111111111111111111111111111111111111";

/// What goes wrong with one answer about a file.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// The connection ends after so many bytes of the file.
    Cut(usize),
    /// A status, and headers with it.
    Status(u16, &'static str),
    /// One bit is another.
    Wrong,
    /// After so many bytes nothing comes for so long.
    Stall(usize, Duration),
    /// The whole is sent where a part was asked for.
    NoRange,
}

/// Who may have a model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Gate {
    Open,
    /// Seen by all, given to the holder of the token `good`.
    Gated,
    /// Seen by the holder of the token `good`.
    Private,
}

/// A model of the hub.
#[derive(Debug, Clone)]
pub(crate) struct Model {
    pub files: BTreeMap<String, Vec<u8>>,
    pub card: Value,
    pub gate: Gate,
    /// Commit by branch, tag or request.
    pub revisions: BTreeMap<String, String>,
}

impl Model {
    /// One at [`COMMIT`].
    pub(crate) fn new<'a>(files: impl IntoIterator<Item = (&'a str, Vec<u8>)>) -> Self {
        Self {
            files: files.into_iter().map(|(name, bytes)| (name.into(), bytes)).collect(),
            card: json!({ "license": "apache-2.0" }),
            gate: Gate::Open,
            revisions: [("main".into(), COMMIT.into())].into(),
        }
    }

    /// What lies in the folder `dir`.
    pub(crate) fn of_folder(dir: &Path) -> Self {
        let files = std::fs::read_dir(dir).unwrap().map(|entry| {
            let path = entry.unwrap().path();
            (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read(path).unwrap())
        });
        let files: Vec<_> = files.collect();
        Self::new(files.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())))
    }
}

/// What was asked.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub store: bool,
    pub path: String,
    pub range: Option<String>,
    pub authorization: Option<String>,
}

#[derive(Default)]
struct State {
    models: BTreeMap<String, Model>,
    faults: Vec<(String, Fault)>,
    requests: Vec<Request>,
}

/// The server; it ends with the test's process.
#[derive(Clone)]
pub(crate) struct Hub {
    pub address: String,
    store: String,
    state: Arc<Mutex<State>>,
}

impl Hub {
    pub(crate) fn start() -> Self {
        let [hub, store] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let address = |listener: &TcpListener| format!("http://{}", listener.local_addr().unwrap());
        let this = Self { address: address(&hub), store: address(&store), state: Arc::default() };
        for (listener, is_store) in [(hub, false), (store, true)] {
            let this = this.clone();
            std::thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    let this = this.clone();
                    // Whoever asked may have gone.
                    std::thread::spawn(move || drop(this.answer(stream, is_store)));
                }
            });
        }
        this
    }

    pub(crate) fn add(&self, name: &str, model: Model) {
        self.state.lock().unwrap().models.insert(name.into(), model);
    }

    /// `fault` with the next answer that has to do with `what`, once.
    pub(crate) fn fault(&self, what: &str, fault: Fault) {
        self.state.lock().unwrap().faults.push((what.into(), fault));
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.state.lock().unwrap().requests.clone()
    }

    /// Requests for the bytes of the file `name`.
    pub(crate) fn asked_for(&self, name: &str) -> Vec<Request> {
        let end = format!("/{name}");
        self.requests().into_iter().filter(|request| request.path.ends_with(&end)).collect()
    }

    /// The next fault for `path`, unless it is one of a file's bytes and those come from elsewhere.
    fn take_fault(&self, path: &str, sends_bytes: bool) -> Option<Fault> {
        let faults = &mut self.state.lock().unwrap().faults;
        let first = faults.iter().position(|(what, _)| path.contains(what.as_str()))?;
        let now = sends_bytes || matches!(faults[first].1, Fault::Status(..));
        now.then(|| faults.remove(first).1)
    }

    fn answer(&self, stream: TcpStream, store: bool) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream);
        let mut first = String::new();
        reader.read_line(&mut first)?;
        let mut words = first.split(' ');
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            headers.insert(name.to_lowercase(), value.to_owned());
        }
        let header = |name: &str| headers.get(name).cloned();
        let (range, authorization) = (header("range"), header("authorization"));
        let request =
            Request { store, path: path.into(), range: range.clone(), authorization: authorization.clone() };
        self.state.lock().unwrap().requests.push(request);
        let mut reply = Reply { stream: reader.into_inner(), head: method == "HEAD" };
        let fault = match method {
            "GET" => self.take_fault(path, store || !is_large(path)),
            _ => None,
        };
        if let Some(Fault::Status(status, more)) = fault {
            return reply.send(status, more, b"");
        }
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        match (store, &parts[..]) {
            (true, [owner, name, file]) => {
                let model = self.state.lock().unwrap().models[&format!("{owner}/{name}")].clone();
                reply.file(&model.files[*file], "", range, fault)
            }
            (false, ["api", "models", owner, name, rest @ ..]) => {
                self.api(&mut reply, &format!("{owner}/{name}"), rest, query, authorization)
            }
            (false, [owner, name, "resolve", revision, file]) => {
                let name = format!("{owner}/{name}");
                match self.model(&name, revision, authorization) {
                    Ok((model, commit)) if model.files.contains_key(*file) => {
                        let bytes = &model.files[*file];
                        let etag = etag(file, bytes);
                        let mut more = format!("X-Repo-Commit: {commit}\r\n");
                        if !is_large(file) {
                            let _ = write!(more, "ETag: \"{etag}\"\r\n");
                            return reply.file(bytes, &more, range, fault);
                        }
                        let size = bytes.len();
                        let _ = write!(more, "X-Linked-Etag: \"{etag}\"\r\nX-Linked-Size: {size}\r\n");
                        let _ = write!(more, "Location: {}/{name}/{file}\r\n", self.store);
                        reply.send(302, &more, b"")
                    }
                    Ok(_) => reply.send(404, "X-Error-Code: EntryNotFound\r\n", b""),
                    Err((status, code)) => reply.send(status, &format!("X-Error-Code: {code}\r\n"), b""),
                }
            }
            _ => reply.send(404, "", b""),
        }
    }

    /// The model at a revision, for who asks.
    fn model(
        &self,
        name: &str,
        revision: &str,
        authorization: Option<String>,
    ) -> Result<(Model, String), (u16, &'static str)> {
        let good = authorization.as_deref() == Some("Bearer good");
        let model = self.state.lock().unwrap().models.get(name).cloned();
        let model = model.filter(|model| model.gate != Gate::Private || good);
        // The hub doesn't tell strangers which names there are.
        let Some(model) = model else {
            return Err(if authorization.is_some() { (404, "RepoNotFound") } else { (401, "RepoNotFound") });
        };
        let revision = revision.replace("%2F", "/");
        let commit = match model.revisions.get(&revision) {
            Some(commit) => commit.clone(),
            None if model.revisions.values().any(|commit| *commit == revision) => revision,
            None => return Err((404, "RevisionNotFound")),
        };
        Ok((model, commit))
    }

    fn api(
        &self,
        reply: &mut Reply,
        name: &str,
        rest: &[&str],
        query: &str,
        authorization: Option<String>,
    ) -> std::io::Result<()> {
        let revision = rest.get(1).copied().unwrap_or("main");
        let good = authorization.as_deref() == Some("Bearer good");
        let (model, commit) = match self.model(name, revision, authorization.clone()) {
            Ok(found) => found,
            Err((status, code)) => return reply.send(status, &format!("X-Error-Code: {code}\r\n"), b""),
        };
        match rest.first() {
            Some(&"tree") if model.gate == Gate::Gated && !good => {
                let status = if authorization.is_some() { 403 } else { 401 };
                reply.send(status, "X-Error-Code: GatedRepo\r\n", b"")
            }
            // Three to a page.
            Some(&"tree") => {
                let start: usize =
                    query.rsplit_once("cursor=").map_or(0, |(_, cursor)| cursor.parse().unwrap());
                let entries: Vec<_> = model.files.iter().map(|(name, bytes)| entry(name, bytes)).collect();
                let page = &entries[start..entries.len().min(start + 3)];
                let next = format!(
                    "Link: <{}/api/models/{name}/tree/{commit}?cursor={}>; rel=\"next\"\r\n",
                    self.address,
                    start + 3
                );
                let next = if start + 3 < entries.len() { next } else { String::new() };
                reply.send(200, &next, json!(page).to_string().as_bytes())
            }
            _ => {
                let siblings: Vec<_> = model.files.keys().map(|name| json!({ "rfilename": name })).collect();
                let info = json!({
                    "id": name, "sha": commit, "private": false, "tags": [], "downloads": 0, "siblings": siblings,
                    "cardData": model.card,
                });
                reply.send(200, "", info.to_string().as_bytes())
            }
        }
    }
}

/// What git doesn't hold itself.
fn is_large(name: &str) -> bool {
    name.ends_with(".safetensors") || name.ends_with(".bin")
}

fn entry(name: &str, bytes: &[u8]) -> Value {
    let size = bytes.len();
    match is_large(name) {
        true => json!({
            "type": "file", "path": name, "size": size, "oid": "0".repeat(40),
            "lfs": { "oid": etag(name, bytes), "size": size, "pointerSize": 134 },
        }),
        false => json!({ "type": "file", "path": name, "size": size, "oid": etag(name, bytes) }),
    }
}

/// The checksum that the hub names a file by.
pub(crate) fn etag(name: &str, bytes: &[u8]) -> String {
    let digest = if is_large(name) {
        digest(&SHA256, bytes)
    } else {
        let head = format!("blob {}\0", bytes.len());
        digest(&SHA1_FOR_LEGACY_USE_ONLY, &[head.as_bytes(), bytes].concat())
    };
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

struct Reply {
    stream: TcpStream,
    head: bool,
}

impl Reply {
    fn send(&mut self, status: u16, headers: &str, body: &[u8]) -> std::io::Result<()> {
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status} Said\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n"
        );
        self.stream.write_all(head.as_bytes())?;
        if self.head { Ok(()) } else { self.stream.write_all(body) }
    }

    /// `bytes` or the part of them that `range` asks for.
    fn file(
        &mut self,
        bytes: &[u8],
        headers: &str,
        range: Option<String>,
        fault: Option<Fault>,
    ) -> std::io::Result<()> {
        let range = range.filter(|_| !matches!(fault, Some(Fault::NoRange)));
        let start = range
            .map(|range| range.trim_start_matches("bytes=").trim_end_matches('-').parse::<usize>().unwrap());
        let mut body = bytes[start.unwrap_or(0)..].to_vec();
        let (status, part) = match start {
            Some(start) => {
                let all = bytes.len();
                (206, format!("Content-Range: bytes {start}-{}/{all}\r\n", all - 1))
            }
            None => (200, String::new()),
        };
        if let Some(Fault::Wrong) = fault {
            body[0] ^= 1;
        }
        let sent = match fault {
            Some(Fault::Cut(sent) | Fault::Stall(sent, _)) => sent,
            _ => body.len(),
        };
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status} Said\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}{part}\r\n"
        );
        self.stream.write_all(head.as_bytes())?;
        if self.head {
            return Ok(());
        }
        self.stream.write_all(&body[..sent])?;
        if let Some(Fault::Stall(_, time)) = fault {
            self.stream.flush()?;
            std::thread::sleep(time);
            self.stream.write_all(&body[sent..])?;
        }
        Ok(())
    }
}
