//! The server, and what is asked of it from outside.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::{Answer, Ask};
pub(crate) use crate::files::{sample, shared};

/// The bytes of a clip.
pub(crate) fn clip() -> Vec<u8> {
    fs::read(sample("jumping_jacks.mp4")).unwrap()
}

/// A model that looks at two frames of 64²: what most tests are about isn't the answer.
pub(crate) fn quick_model() -> &'static Path {
    static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| quick_with("quick", json!({})));
    &FOLDER
}

/// Models that don't say a label of each clip: `unsure` of all; `two`, which names its first two labels of each, and `nothing`,
/// which names none.
pub(crate) fn cautious_models() -> &'static [PathBuf; 3] {
    static FOLDERS: LazyLock<[PathBuf; 3]> = LazyLock::new(|| {
        let naming = |name: &str, labels: usize| {
            let threshold = |label: usize| if label < labels { 0.0 } else { 1.0 };
            let thresholds: Vec<f64> = (0..14).map(threshold).collect();
            let config = json!({"scores": "sigmoid", "thresholds": thresholds, "knowing": null});
            model_with("ucf14-lite0-lstm", name, config, json!({}))
        };
        let unsure = json!({"calibration": {"temperature": 1.0, "threshold": 1.0}});
        [quick_with("unsure", unsure), naming("two", 2), naming("nothing", 0)]
    });
    &FOLDERS
}

fn quick_with(name: &str, mut config: Value) -> PathBuf {
    config["sampling"] = json!({"frames": 2});
    let size = json!({"size": {"shortest_edge": 64}, "crop_size": {"height": 64, "width": 64}});
    model_with("imagenet-lite0", name, config, size)
}

/// The model `base` with other settings in its `config.json` and its `preprocessor_config.json`.
fn model_with(base: &str, name: &str, config: Value, preprocessing: Value) -> PathBuf {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join(base);
    let to = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("serve-{}/{name}", std::process::id()));
    fs::create_dir_all(&to).unwrap();
    fs::copy(from.join("model.safetensors"), to.join("model.safetensors")).unwrap();
    for (file, settings) in [("config.json", config), ("preprocessor_config.json", preprocessing)] {
        let mut all: Value = serde_json::from_slice(&fs::read(from.join(file)).unwrap()).unwrap();
        for (key, value) in settings.as_object().unwrap() {
            all[key] = value.clone();
        }
        fs::write(to.join(file), all.to_string()).unwrap();
    }
    to
}

/// A running server; killed where a test ends before it.
pub(crate) struct Server {
    child: Child,
    pub port: u16,
    /// What it said so far.
    said: Arc<Mutex<String>>,
    /// Where it keeps uploads.
    pub temp: tempfile::TempDir,
}

impl Server {
    /// With the quick model.
    pub(crate) fn quick(args: &[&str]) -> Self {
        Self::start(&[&["--model", quick_model().to_str().unwrap()], args].concat(), &[])
    }

    pub(crate) fn start(args: &[&str], env: &[(&str, &str)]) -> Self {
        let temp = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_classify"));
        command.args(["serve", "--port", "0"]).args(args).env("TMPDIR", temp.path());
        command.env_remove("CLASSIFY_TOKEN").envs(env.iter().copied());
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let said = Arc::new(Mutex::new(String::new()));
        let port = loop {
            let mut line = String::new();
            assert!(stderr.read_line(&mut line).unwrap() > 0, "it ended: {}", said.lock().unwrap());
            said.lock().unwrap().push_str(&line);
            if let Some((_, rest)) = line.split_once(" at http://") {
                let address = rest.split(';').next().unwrap();
                break address.rsplit_once(':').unwrap().1.parse().unwrap();
            }
        };
        let keep = said.clone();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                keep.lock().unwrap().push_str(&(line + "\n"));
            }
        });
        Self { child, port, said, temp }
    }

    /// Why a server with `args` doesn't start.
    pub(crate) fn refused(args: &[&str], env: &[(&str, &str)]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_classify"));
        command.args(["serve", "--port", "0"]).args(args).env_remove("CLASSIFY_TOKEN");
        let output = command.envs(env.iter().copied()).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        stderr
    }

    pub(crate) fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        Ask::get(self.port, path).send()
    }

    /// Posts a bare file.
    pub(crate) fn post(&self, path: &str, body: impl Into<Vec<u8>>) -> Answer {
        Ask::post(self.port, path, body).send()
    }

    /// The value of the metric that begins so.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").status(200).text();
        assert!(text.ends_with("# EOF\n"), "{text}");
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().unwrap())
    }

    pub(crate) fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    pub(crate) fn signal(&self, signal: i32) {
        // SAFETY: sends a signal to a process that we started and have not waited for.
        assert_eq!(unsafe { libc::kill(self.pid(), signal) }, 0);
    }

    /// How it ended; it was told to.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < Duration::from_secs(60), "it doesn't end: {}", self.said());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Its worker processes.
    pub(crate) fn workers(&self) -> Vec<i32> {
        let parent = self.pid().to_string();
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let child = |entry: fs::DirEntry| -> Option<i32> {
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            let mut fields = stat.rsplit_once(") ")?.1.split(' ');
            let state = fields.next()?;
            (fields.next()? == parent && state != "Z").then(|| entry.file_name().to_str()?.parse().ok())?
        };
        processes.filter_map(child).collect()
    }

    /// Resident memory of the server and its workers, in bytes.
    pub(crate) fn memory(&self) -> u64 {
        let of = |pid: i32| -> Option<u64> {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
            line.trim().split(' ').next()?.parse().ok()
        };
        self.workers().into_iter().chain([self.pid()]).filter_map(of).sum::<u64>() << 10
    }

    /// Waits until `done` is.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, mut done: impl FnMut(&Self) -> bool) {
        let start = Instant::now();
        while !done(self) {
            assert!(start.elapsed() < Duration::from_secs(30), "never: {what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Checks that it keeps no files.
    #[track_caller]
    pub(crate) fn keeps_nothing(&self) {
        let left: Vec<_> = fs::read_dir(self.temp.path()).unwrap().flatten().map(|e| e.file_name()).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
