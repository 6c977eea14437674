//! Measures how many labels `classify annotate` needs for a good model, against labels in random order.
//!
//! Answers a session truly, over its real HTTP interface, from a list whose labels the session doesn't see: its clips are
//! those of the list's training and validation groups. Every few labels the session makes its model, as its button does,
//! and that is measured on the list's test groups. Held-out labels count.
//!
//! ```sh
//! cargo run --release --example annotate_simulation -- ../shared/data/ucf14/split1.csv -o /tmp/simulation \
//!     -- --backbone kinetics400-i3d --windows 3 --size 224
//! ```
//!
//! `simulation.csv` in that folder has a row a model; a run that was ended goes on after the last whole session.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use clap::Parser;
use classify::learning::FeatureCache;
use classify::learning::dataset::{self, Dataset, Sample, Split};
use classify::learning::evaluation::{Clips, evaluate};
use classify::model::ModelFolder;
use classify::{Classifier, Device};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

#[derive(Parser)]
struct Args {
    /// Labelled list with training and test clips
    list: PathBuf,
    /// Folder for the sessions and `simulation.csv`
    #[arg(short, long)]
    output: PathBuf,
    /// This program's command [default: the one beside this example]
    #[arg(long)]
    program: Option<PathBuf>,
    /// Where features are kept
    #[arg(long)]
    cache: Option<PathBuf>,
    /// Seeds, from 0
    #[arg(long, default_value_t = 3)]
    seeds: u64,
    /// Labels after which a model is made and measured
    #[arg(long, default_value_t = 14)]
    every: usize,
    /// Up to so many labels
    #[arg(long, default_value_t = 210)]
    until: usize,
    /// And after so many: the curve is flat there
    #[arg(long, value_delimiter = ',', default_values_t = [280, 560])]
    also: Vec<usize>,
    /// Further options of `classify annotate`
    #[arg(last = true)]
    options: Vec<String>,
}

impl Args {
    /// Labels after which a model is made and measured.
    fn points(&self) -> BTreeSet<usize> {
        (self.every..=self.until).step_by(self.every).chain(self.also.iter().copied()).collect()
    }
}

const HEADER: &str = "order,seed,labels,held_out,right,clips,accuracy,seconds";

fn main() -> Result<()> {
    let args = Args::parse();
    let data = Dataset::open(&args.list, &dataset::Options { cut: false, ..Default::default() })?;
    fs::create_dir_all(&args.output)?;
    let csv = args.output.join("simulation.csv");
    let done = whole_sessions(&csv, args.points().len())?;
    for seed in 0..args.seeds {
        for order in ["chosen", "random"] {
            if !done.contains_key(&(order.to_owned(), seed)) {
                let mut rows = File::options().append(true).open(&csv)?;
                session(&args, &data, order, seed, &mut rows)?;
            }
        }
    }
    summary(&csv)
}

/// A folder of links to the clips that may be labelled, and what each shows, by its name there.
fn link_clips(data: &Dataset, folder: &Path) -> Result<HashMap<String, String>> {
    fs::create_dir_all(folder)?;
    let mut truth = HashMap::new();
    for sample in data.samples.iter().filter(|sample| sample.split != Split::Test) {
        let name = sample.path.file_name().ok_or("a clip without a name")?;
        let link = folder.join(name);
        if link.symlink_metadata().is_err() {
            std::os::unix::fs::symlink(sample.path.canonicalize()?, &link)?;
        }
        truth.insert(name.to_string_lossy().into_owned(), data.labels[sample.label()].clone());
    }
    Ok(truth)
}

/// The sessions that have `models` rows in the table at `csv`, which then has no others; it is begun where it isn't there.
fn whole_sessions(csv: &Path, models: usize) -> Result<BTreeMap<(String, u64), Vec<String>>> {
    let text = fs::read_to_string(csv).unwrap_or_default();
    let mut sessions: BTreeMap<(String, u64), Vec<String>> = BTreeMap::new();
    for line in text.lines().skip(1) {
        let mut fields = line.split(',');
        if let (Some(order), Some(Ok(seed))) = (fields.next(), fields.next().map(str::parse)) {
            sessions.entry((order.to_owned(), seed)).or_default().push(line.to_owned());
        }
    }
    sessions.retain(|_, rows| rows.len() >= models);
    let rows: Vec<String> = sessions.values().flatten().cloned().collect();
    fs::write(csv, [vec![HEADER.to_owned()], rows].concat().join("\n") + "\n")?;
    Ok(sessions)
}

/// Labels until enough is labelled, and measures on the way.
fn session(args: &Args, data: &Dataset, order: &str, seed: u64, rows: &mut File) -> Result<()> {
    let folder = args.output.join(format!("{order}-{seed}"));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder)?;
    // Beside the list, so that it names them alike wherever this folder is: draws go by names.
    let clips = folder.join("clips");
    let truth = link_clips(data, &clips)?;
    let desk = Desk::open(args, &clips, &folder, seed)?;
    // As a person would who lets the bar run to its end: what is chosen then doesn't depend on this machine.
    while !desk.is_seen()? {
        std::thread::sleep(Duration::from_millis(500));
    }
    let mut shuffled = desk.all()?;
    shuffled.sort();
    shuffled.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    let start = Instant::now();
    let points = args.points();
    for labels in 1..=points.last().copied().unwrap_or(0) {
        let (id, name) = match order {
            "random" => shuffled.pop().ok_or("no clip is left")?,
            _ => desk.next()?,
        };
        let name =
            Path::new(&name).file_name().map_or(String::new(), |name| name.to_string_lossy().into_owned());
        let label = truth.get(&name).ok_or_else(|| format!("{name} is not in the list"))?;
        desk.post("/api/label", &json!({ "id": id, "verdict": { "label": label }, "reader": "simulation" }))?;
        if points.contains(&labels) {
            let model = desk.finish()?;
            let (right, clips) = measure(&model, data, args.cache.as_deref())?;
            let status = desk.status()?;
            let row = format!(
                "{order},{seed},{labels},{},{right},{clips},{:.4},{:.0}",
                status["held_out"],
                right as f64 / clips as f64,
                start.elapsed().as_secs_f64()
            );
            println!("{row}");
            writeln!(rows, "{row}")?;
        }
    }
    Ok(())
}

/// How many of the test clips the model in `folder` names rightly, and how many there are. Of a class that it has not
/// met it knows none.
fn measure(folder: &Path, data: &Dataset, cache: Option<&Path>) -> Result<(usize, usize)> {
    let model = ModelFolder::read(folder, &Device::Cpu)?;
    let classifier = Classifier::new(&model, &Device::Cpu)?;
    let root = cache.map(Path::to_owned).or_else(FeatureCache::default_folder);
    let cache = root.map(|root| FeatureCache::new(&root, &model)).transpose()?;
    let test: Vec<&Sample> = data.part(Split::Test).collect();
    let known = |sample: &&Sample| {
        let label = &data.labels[sample.label()];
        let class = model.config.id2label.iter().position(|name| name == label)?;
        Some(Sample { labels: vec![class], ..(*sample).clone() })
    };
    let known: Vec<Sample> = test.iter().filter_map(known).collect();
    let samples: Vec<&Sample> = known.iter().collect();
    let clips = Clips { samples: &samples, unreadable: &[], none: &[] };
    let threads = std::thread::available_parallelism()?.get();
    let found = evaluate(&classifier, clips, cache.as_ref(), threads, &AtomicBool::new(false), &|_| ())?;
    Ok(((found.metrics.accuracy * found.metrics.clips as f64).round() as usize, test.len()))
}

/// A running `classify annotate`, as its page talks with it.
struct Desk {
    program: Child,
    /// Host and port.
    address: String,
    token: String,
    model: PathBuf,
}

impl Desk {
    fn open(args: &Args, clips: &Path, folder: &Path, seed: u64) -> Result<Self> {
        let beside = || Some(std::env::current_exe().ok()?.parent()?.parent()?.join("classify"));
        let program = args.program.clone().or_else(beside).ok_or("where is classify? --program says it")?;
        let model = folder.join("model");
        let mut command = Command::new(&program);
        command.arg("annotate").arg(clips).arg("-o").arg(folder.join("labels.csv"));
        command.arg("--model").arg(&model).args(["--no-open", "--port", "0", "--seed", &seed.to_string()]);
        if let Some(cache) = &args.cache {
            command.arg("--cache").arg(cache);
        }
        let log = OpenOptions::new().create(true).append(true).open(folder.join("annotate.log"))?;
        let mut program = command.args(&args.options).stdout(Stdio::piped()).stderr(log).spawn()?;
        let output = program.stdout.take().ok_or("no output")?;
        let log = folder.join("annotate.log");
        let (address, token) = address(output, &log)?;
        Ok(Self { program, address, token, model })
    }

    /// What the page is told at `path`, or what it says there.
    fn ask(&self, method: &str, path: &str, body: &str) -> Result<Value> {
        let Self { address, token, .. } = self;
        let mut stream = TcpStream::connect(address)?;
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let answer = String::from_utf8_lossy(&answer);
        let (head, body) = answer.split_once("\r\n\r\n").ok_or("no answer")?;
        if !head.starts_with("HTTP/1.1 200") {
            return Err(format!("{method} {path}: {head}\n{body}").into());
        }
        // Where the length isn't known ahead, it comes in pieces, each after its length.
        let body = match head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
            true => body.split("\r\n").skip(1).step_by(2).collect(),
            false => body.to_owned(),
        };
        Ok(serde_json::from_str(&body)?)
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.ask("POST", path, &body.to_string())
    }

    fn status(&self) -> Result<Value> {
        Ok(self.ask("GET", "/api/status", "")?["status"].take())
    }

    /// Whether every clip was looked at.
    fn is_seen(&self) -> Result<bool> {
        let status = self.status()?;
        if let Some(trouble) = status["trouble"].as_str() {
            return Err(trouble.into());
        }
        let count = |field: &str| status[field].as_u64().unwrap_or(0);
        Ok(count("ready") + count("broken") >= count("total"))
    }

    /// Id and name of every clip.
    fn all(&self) -> Result<Vec<(String, String)>> {
        let found = self.ask("GET", "/api/clips?count=1000000", "")?;
        found["clips"].as_array().ok_or("no clips")?.iter().map(named).collect()
    }

    /// The clip to label next. A person takes longer for a label than the model for learning: that is waited for.
    fn next(&self) -> Result<(String, String)> {
        loop {
            let learning = self.status()?["training"] == true;
            let offers = match learning {
                true => Value::Null,
                false => self.ask("GET", "/api/next?reader=simulation&count=1", "")?,
            };
            match offers.get(0) {
                Some(offer) => return named(offer),
                None => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    /// Has the model made, as the button does; its folder.
    fn finish(&self) -> Result<PathBuf> {
        self.post("/api/finish", &json!({}))?;
        loop {
            std::thread::sleep(Duration::from_millis(100));
            let finish = self.ask("GET", "/api/status", "")?["finish"].take();
            match finish["state"].as_str() {
                Some("done") => return Ok(self.model.clone()),
                Some("failed") => return Err(format!("no model: {}", finish["reason"]).into()),
                _ => {}
            }
        }
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

fn named(clip: &Value) -> Result<(String, String)> {
    let text = |field: &str| clip[field].as_str().map(str::to_owned).ok_or("a clip without id or name");
    Ok((text("id")?, text("name")?))
}

/// Host and port, and the token, of the address that the command tells on its output or in the log of its messages.
fn address(output: impl Read + Send + 'static, log: &Path) -> Result<(String, String)> {
    let (sender, lines) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        BufReader::new(output).lines().map_while(|line| line.ok()).try_for_each(|line| sender.send(line))
    });
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(120) {
        let said = lines.recv_timeout(Duration::from_millis(100)).unwrap_or_default();
        for line in [said, fs::read_to_string(log)?] {
            let found = line.split("http://").nth(1).and_then(|rest| rest.split_once("?token="));
            if let Some((host, token)) = found {
                let end = |c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_';
                let token = token.split(end).next().unwrap_or_default();
                return Ok((host.trim_end_matches('/').to_owned(), token.to_owned()));
            }
        }
    }
    Err(format!("classify annotate doesn't say where it is; see {}", log.display()).into())
}

/// The mean over the seeds, by labels and order.
fn summary(csv: &Path) -> Result<()> {
    let mut means: BTreeMap<usize, HashMap<String, Vec<f64>>> = BTreeMap::new();
    for line in fs::read_to_string(csv)?.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let of_labels = means.entry(fields[2].parse()?).or_default();
        of_labels.entry(fields[0].to_owned()).or_default().push(fields[6].parse()?);
    }
    println!("labels  chosen  random");
    let mut first = HashMap::new();
    for (labels, orders) in means {
        let mean = |order: &str| {
            let values = orders.get(order)?;
            Some(values.iter().sum::<f64>() / values.len() as f64)
        };
        let text =
            |order: &str| mean(order).map_or("     –".into(), |value| format!("{:5.1} %", 100.0 * value));
        println!("{labels:>6} {} {}", text("chosen"), text("random"));
        for order in ["chosen", "random"] {
            if mean(order).is_some_and(|value| value >= 0.9) {
                first.entry(order).or_insert(labels);
            }
        }
    }
    for order in ["chosen", "random"] {
        let labels = first.get(order).map_or("never".into(), |labels| format!("after {labels} labels"));
        println!("{order}: at or above 90 % {labels}");
    }
    Ok(())
}
