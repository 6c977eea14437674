//! Pieces of clips, cut and joined by FFmpeg's tools: what the examples that make clips share.

use std::path::{Path, PathBuf};
use std::process::Command;

use classify::{Error, Result};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// Where a piece lies in its clip, in seconds.
#[derive(Clone)]
pub(crate) struct Piece {
    path: PathBuf,
    start: f64,
    length: f64,
}

impl Piece {
    /// So many seconds somewhere in a clip, or all of a shorter one.
    ///
    /// # Errors
    /// Where `ffprobe` can't be run or finds no duration.
    pub(crate) fn somewhere(path: &Path, length: f64, rng: &mut ChaCha8Rng) -> Result<Self> {
        let args = ["-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0"];
        let shown = tool(Command::new("ffprobe").args(args).arg(path), path)?;
        let duration: f64 =
            shown.trim().parse().map_err(|_| Error::clip(path, format!("no duration: {shown}")))?;
        let length = length.min(duration);
        Ok(Self { path: path.to_owned(), start: rng.random::<f64>() * (duration - length), length })
    }
}

/// Cuts `pieces`, joins them as the filters `graph` say, and encodes the clip `to` in H.264 as `encoding` says.
///
/// # Errors
/// Where `ffmpeg` can't be run or fails.
pub(crate) fn join(pieces: &[Piece], graph: &str, encoding: &[&str], to: &Path) -> Result<()> {
    let mut ffmpeg = Command::new("ffmpeg");
    // One thread a clip: the clips are made side by side.
    ffmpeg.args(["-nostdin", "-v", "error", "-y", "-threads", "1"]);
    for Piece { path, start, length } in pieces {
        ffmpeg.args(["-ss", &start.to_string(), "-t", &length.to_string(), "-i"]).arg(path);
    }
    ffmpeg.args(["-filter_complex", graph, "-an", "-c:v", "libx264"]).args(encoding).args(["-threads", "1"]);
    tool(ffmpeg.arg(to), to).map(drop)
}

/// Runs a tool and returns what it prints.
fn tool(command: &mut Command, about: &Path) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(std::process::Stdio::null())
        .output()
        .map_err(|e| Error::clip(about, format!("{name} can't be run: {e}; install FFmpeg")))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Error::clip(about, format!("{name} failed: {}", said.trim())));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Writes a list of clips: a header and a row for each.
///
/// # Errors
/// Where the file can't be written.
pub(crate) fn write_list(
    path: &Path,
    rows: impl IntoIterator<Item = [String; 4]>,
    labels: &str,
) -> Result<()> {
    let write = || -> csv::Result<()> {
        let mut list = csv::Writer::from_path(path)?;
        list.write_record(["path", labels, "split", "group"])?;
        for row in rows {
            list.write_record(row)?;
        }
        Ok(list.flush()?)
    };
    write().map_err(|e| Error::data(path, e))
}
