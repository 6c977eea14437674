//! Clips of three kinds that any network tells apart.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// What a clip's name begins with, and what FFmpeg draws of it; `N` is the clip's number.
const KINDS: [(&str, &str); 3] = [
    ("bars", "smptehdbars=s=160x120:r=10:d=1,hue=h=20*N,rotate=0.02*N*t"),
    ("fractal", "mandelbrot=s=160x120:r=10:start_scale=2.5/(1+0.2*N):end_pts=60,trim=duration=1,hue=h=15*N"),
    (
        "life",
        "life=s=160x120:r=10:ratio=0.3:seed=N:mold=10:life_color=#c83232:death_color=#3232c8,trim=duration=1",
    ),
];

/// Clips of each kind.
pub(crate) const EACH: usize = 24;

/// A folder with [`EACH`] clips of each kind, each of a group of its own; `None`, with a word, without the command ffmpeg.
pub(crate) fn folder() -> Option<&'static Path> {
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("annotate-clips-2");
        if folder.is_dir() {
            return Some(folder);
        }
        let draft = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        for (kind, graph) in KINDS {
            for n in 0..EACH {
                let to = draft.path().join(format!("{kind}_g{n:02}_c01.mp4"));
                if !ffmpeg(&["-f", "lavfi", "-i", &graph.replace('N', &n.to_string())], &to) {
                    return None;
                }
            }
        }
        std::fs::rename(draft.keep(), &folder).unwrap();
        Some(folder)
    });
    if folder.is_none() {
        println!("skipped: clips that the command ffmpeg makes");
    }
    folder.as_deref()
}

/// Has the command ffmpeg write `to`; whether it could.
pub(crate) fn ffmpeg(arguments: &[&str], to: &Path) -> bool {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-y"]).args(arguments);
    if to.extension().is_some_and(|ending| ending == "mp4") && !arguments.contains(&"-pix_fmt") {
        command.args(["-pix_fmt", "yuv420p"]);
    }
    command.arg(to).status().is_ok_and(|status| status.success())
}
