//! How many clips a second `classify serve` labels, beside a FastAPI server on the same network:
//!
//! ```text
//! cargo build --release
//! cargo run --release --example serve_load -- --program target/release/classify --python peer/bin/python CLIP...
//! cargo run --release --example serve_load -- --program target/release/classify --memory 10000 CLIP...
//! ```
//!
//! `benches/peers/serve.py` says how to set up the peer's Python. Both servers get the same clips over connections that
//! stay open, by 1, 8 and 64 clients, each of which waits for its answer before it asks again; they take turns, so
//! that a busy moment of the machine hits both. Prints a table in Markdown: medians of `--rounds` rounds; a ratio is
//! the median of the rounds' ratios, above 1 where we are faster. On a machine that does other work, too, the ratio of
//! processor time is the one to look at: more threads get more of what is left.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[derive(Parser)]
struct Options {
    /// The program
    #[arg(long, default_value = "target/release/classify")]
    program: PathBuf,
    /// Python with the peer's packages
    #[arg(long)]
    python: Option<PathBuf>,
    #[arg(long, default_value = "ucf14-lite0-lstm")]
    model: String,
    /// Clips a round
    #[arg(long, default_value_t = 200)]
    requests: usize,
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    #[arg(long, value_delimiter = ',', default_values_t = [1, 8, 64])]
    clients: Vec<usize>,
    /// Watch the memory over so many clips instead
    #[arg(long)]
    memory: Option<usize>,
    #[arg(required = true)]
    clips: Vec<PathBuf>,
}

/// A server that is killed at the end.
struct Server {
    child: Child,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        // The peer's processes are its children and end with it.
        // SAFETY: a signal to a process that we started and have not waited for.
        unsafe { libc::kill(self.child.id() as i32, libc::SIGTERM) };
        let _ = self.child.wait();
    }
}

impl Server {
    fn ours(options: &Options) -> Result<Self> {
        let mut command = Command::new(&options.program);
        command.args(["serve", "--port", "0", "--model", &options.model]).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let mut line = String::new();
        BufReader::new(child.stderr.take().ok_or("no stderr")?).read_line(&mut line)?;
        let address = line.split_once(" at http://").and_then(|(_, rest)| rest.split(';').next());
        let port = address.and_then(|address| address.rsplit_once(':')?.1.parse().ok());
        Ok(Self { child, port: port.ok_or_else(|| format!("it doesn't start: {line}"))? })
    }

    fn peer(python: &Path, model: &Path, processes: usize, threads: usize) -> Result<Self> {
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers/serve.py");
        let mut command = Command::new(python);
        command.arg(script).arg(model).args([port.into(), processes, threads].map(|n: usize| n.to_string()));
        let child = command.spawn()?;
        let server = Self { child, port };
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if start.elapsed() > Duration::from_secs(60) {
                return Err("the peer doesn't start".into());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        std::thread::sleep(Duration::from_secs(2));
        Ok(server)
    }

    /// The fields of `stat` of the server and its workers, from the third on.
    fn processes(&self) -> Vec<Vec<u64>> {
        let id = self.child.id().to_string();
        let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let fields = |process: std::fs::DirEntry| {
            let stat = std::fs::read_to_string(process.path().join("stat")).ok()?;
            let (before, fields) = stat.rsplit_once(") ")?;
            let own = before.split(' ').next() == Some(&id) || fields.split(' ').nth(1) == Some(&id);
            own.then(|| fields.split(' ').map(|field| field.trim().parse().unwrap_or(0)).collect())
        };
        all.filter_map(fields).collect()
    }

    /// Resident memory of the server and its workers, in bytes.
    fn memory(&self) -> u64 {
        self.processes().iter().filter_map(|fields| fields.get(21)).sum::<u64>() * 4096
    }

    /// Seconds of processor time so far. However busy the machine is, a clip takes about as much.
    fn processor(&self) -> f64 {
        let own = |fields: &Vec<u64>| fields.get(11..13).map_or(0, |times| times.iter().sum());
        self.processes().iter().map(own).sum::<u64>() as f64 / 100.0
    }
}

/// Seconds in all, and each answer's, in order of length.
struct Round {
    seconds: f64,
    /// Of processor time, in all.
    processor: f64,
    answers: Vec<f64>,
}

impl Round {
    fn quantile(&self, part: f64) -> f64 {
        self.answers[((self.answers.len() - 1) as f64 * part).round() as usize]
    }
}

const BOUNDARY: &str = "a-line-that-no-clip-has";

/// A clip as the body of a form.
fn form(clip: &Path) -> Result<Vec<u8>> {
    let head = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"clip.mp4\"\r\n\
         Content-Type: video/mp4\r\n\r\n"
    );
    Ok([head.as_bytes(), &std::fs::read(clip)?, format!("\r\n--{BOUNDARY}--\r\n").as_bytes()].concat())
}

/// One client, over one connection.
fn client(port: u16, forms: &[Vec<u8>], next: &AtomicUsize, requests: usize) -> Result<Vec<f64>> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(&stream);
    let mut answers = Vec::new();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= requests {
            return Ok(answers);
        }
        let form = &forms[number % forms.len()];
        let start = Instant::now();
        let head = format!(
            "POST /classify HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: {}\r\n\
             Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n\r\n",
            form.len()
        );
        (&stream).write_all(head.as_bytes())?;
        (&stream).write_all(form)?;
        let (mut length, mut first) = (0, String::new());
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
            if first.is_empty() {
                first = line;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        if !first.contains(" 200") {
            return Err(format!("{first}: {}", String::from_utf8_lossy(&body)).into());
        }
        answers.push(start.elapsed().as_secs_f64());
    }
}

fn round(server: &Server, forms: &[Vec<u8>], clients: usize, requests: usize) -> Result<Round> {
    let (port, before) = (server.port, server.processor());
    let (next, start) = (AtomicUsize::new(0), Instant::now());
    let answers: Result<Vec<Vec<f64>>> = std::thread::scope(|scope| {
        let work = || client(port, forms, &next, requests);
        let threads: Vec<_> = (0..clients).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().map_err(|_| "a client panicked")?).collect()
    });
    let mut answers = answers?.concat();
    answers.sort_by(f64::total_cmp);
    let seconds = start.elapsed().as_secs_f64();
    Ok(Round { seconds, processor: server.processor() - before, answers })
}

fn median(numbers: impl IntoIterator<Item = f64>) -> f64 {
    let mut numbers: Vec<f64> = numbers.into_iter().collect();
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

fn main() -> Result<()> {
    let options = Options::parse();
    let forms = options.clips.iter().map(|clip| form(clip)).collect::<Result<Vec<_>>>()?;
    if let Some(requests) = options.memory {
        return memory(&options, &forms, requests);
    }
    let ours = Server::ours(&options)?;
    let scratch = tempfile::tempdir()?;
    let mut servers = vec![("classify serve", ours)];
    if let Some(python) = &options.python {
        let onnx = scratch.path().join("model.onnx");
        let mut export = Command::new(&options.program);
        let exported = export.args(["export", &options.model, "--onnx", "-o"]).arg(&onnx).status()?;
        if !exported.success() {
            return Err("the model can't be exported".into());
        }
        let cores = std::thread::available_parallelism()?.get();
        servers.push(("FastAPI, one process", Server::peer(python, &onnx, 1, cores)?));
        servers.push(("FastAPI, a process a core", Server::peer(python, &onnx, cores, 1)?));
    }
    for (name, server) in &servers {
        let warm = round(server, &forms, 4, 16)?;
        eprintln!("{name}: warm, {:.1} clips/s, {} MB", 16.0 / warm.seconds, server.memory() >> 20);
    }
    println!(
        "| clients | server | clips/s | p50 | p99 | processor time a clip | ours against it: clips/s, time |"
    );
    println!("|---|---|---|---|---|---|---|");
    for &clients in &options.clients {
        let mut rounds: Vec<Vec<Round>> = servers.iter().map(|_| Vec::new()).collect();
        for number in 0..options.rounds {
            for ((name, server), rounds) in servers.iter().zip(&mut rounds) {
                let done = round(server, &forms, clients, options.requests)?;
                let rate = options.requests as f64 / done.seconds;
                eprintln!("{clients} clients, round {}, {name}: {rate:.1} clips/s", number + 1);
                rounds.push(done);
            }
        }
        for ((name, _), its) in servers.iter().zip(&rounds) {
            let pairs = || its.iter().zip(&rounds[0]);
            println!(
                "| {clients} | {name} | {:.1} | {:.0} ms | {:.0} ms | {:.0} ms | {:.2} ×, {:.2} × |",
                options.requests as f64 / median(its.iter().map(|round| round.seconds)),
                1e3 * median(its.iter().map(|round| round.quantile(0.5))),
                1e3 * median(its.iter().map(|round| round.quantile(0.99))),
                1e3 / options.requests as f64 * median(its.iter().map(|round| round.processor)),
                median(pairs().map(|(its, ours)| its.seconds / ours.seconds)),
                median(pairs().map(|(its, ours)| its.processor / ours.processor)),
            );
        }
    }
    for (name, server) in &servers {
        println!("- {name}: {} MB at the end", server.memory() >> 20);
    }
    Ok(())
}

/// The server's memory, ten times on the way.
fn memory(options: &Options, forms: &[Vec<u8>], requests: usize) -> Result<()> {
    let server = Server::ours(options)?;
    println!("| clips | memory |\n|---|---|");
    for part in 0..=10 {
        println!("| {} | {:.1} MB |", part * (requests / 10), server.memory() as f64 / f64::from(1 << 20));
        if part < 10 {
            round(&server, forms, 8, requests / 10)?;
        }
    }
    Ok(())
}
