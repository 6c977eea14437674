//! The peers: a Python process that answers commands, and one that labels one clip.

use super::Result;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers").join(name)
}

/// A running `peer.py`.
pub(crate) struct Peer {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Peer {
    /// Starts it; returns its versions, too.
    pub(crate) fn start(python: &Path) -> Result<(Self, String)> {
        let mut child = Command::new(python)
            .args(["-W", "ignore"])
            .arg(script("peer.py"))
            .env("THREADS", classify::internals::bulk::available_threads().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| format!("{}: {e}; peer.py says how to set it up", python.display()))?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let output = BufReader::new(output.ok_or("the peer has no output")?);
        let mut peer = Self { child, input, output };
        let versions = peer.line()?;
        Ok((peer, versions))
    }

    /// The next line that isn't a message of a library.
    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        loop {
            line.clear();
            if self.output.read_line(&mut line)? == 0 {
                return Err("the peer ended early; its message is above".into());
            }
            if line.starts_with("onnxruntime") || line.trim().parse::<f64>().is_ok() {
                return Ok(line.trim().to_string());
            }
        }
    }

    /// What it says to a command.
    pub(crate) fn seconds(&mut self, command: &str) -> Result<f64> {
        let input = self.input.as_mut().ok_or("the peer has no input")?;
        writeln!(input, "{command}")?;
        Ok(self.line()?.parse()?)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Without input it ends by itself.
        self.input.take();
        let _ = self.child.wait();
    }
}

/// Seconds of `one_clip.py` from start to end.
pub(crate) fn one_clip(python: &Path, onnx: &Path, frames: usize, size: usize, clip: &Path) -> Result<f64> {
    let start = Instant::now();
    let output = Command::new(python)
        .arg(script("one_clip.py"))
        .arg(onnx)
        .args([frames.to_string(), size.to_string()])
        .arg(clip)
        .output()?;
    let seconds = start.elapsed().as_secs_f64();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    Ok(seconds)
}
