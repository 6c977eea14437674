//! Ours beside onnxruntime and PyTorch, in pairs, so that a busy moment of the machine hits both.
//!
//! ```text
//! cargo bench --bench peers -- --python peer/bin/python --clips FOLDER
//! ```
//!
//! `peer.py` says how to set up the peers' Python. Prints a table in Markdown; progress goes to
//! stderr. Every figure is the median of `--rounds` rounds, a ratio the median of the rounds'
//! ratios: above 1 we are faster.

mod ours;
mod peer;

use clap::Parser;
use classify_kernels::Precision;
use std::path::{Path, PathBuf};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

#[derive(Parser)]
struct Options {
    /// Python with the peers' packages
    #[arg(long, default_value = "peer/bin/python")]
    python: PathBuf,
    /// Folder of clips; the first --limit of them, by name
    #[arg(long)]
    clips: PathBuf,
    #[arg(long, default_value_t = 100)]
    limit: usize,
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Model of the command
    #[arg(long, default_value = "ucf14-lite0-lstm")]
    model: String,
    #[arg(long, default_value_t = 16)]
    frames: usize,
    #[arg(long, default_value_t = 160)]
    size: usize,
    /// Only rows whose name contains this
    #[arg(long, default_value = "")]
    only: String,
    /// Cargo passes it to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

/// Seconds of ours and of a peer, round by round.
struct Pairs {
    what: String,
    peer: &'static str,
    ours: Vec<f64>,
    theirs: Vec<f64>,
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

impl Pairs {
    /// `count`: how many things one run does, where the row shows a rate.
    fn print(&self, count: Option<usize>) {
        let show = |seconds: f64| match count {
            Some(n) => format!("{:.1} clips/s", n as f64 / seconds),
            None => format!("{:.1} ms", seconds * 1e3),
        };
        let ratios = self.ours.iter().zip(&self.theirs).map(|(ours, theirs)| theirs / ours).collect();
        let (ours, theirs) = (median(self.ours.clone()), median(self.theirs.clone()));
        println!(
            "| {} | {} | {} | {} | {:.2} × |",
            self.what,
            self.peer,
            show(ours),
            show(theirs),
            median(ratios)
        );
    }
}

struct Bench {
    options: Options,
    peer: peer::Peer,
}

impl Bench {
    fn wanted(&self, what: &str) -> bool {
        what.contains(&self.options.only)
    }

    /// Runs ours and the peer's in turn.
    fn pairs(
        &mut self,
        what: &str,
        peer: &'static str,
        count: Option<usize>,
        mut ours: impl FnMut() -> Result<f64>,
        mut theirs: impl FnMut(&mut peer::Peer) -> Result<f64>,
    ) -> Result<()> {
        if !self.wanted(what) {
            return Ok(());
        }
        let mut pairs = Pairs { what: what.into(), peer, ours: Vec::new(), theirs: Vec::new() };
        for round in 0..self.options.rounds {
            eprintln!("{what}, {peer}: round {} of {}", round + 1, self.options.rounds);
            pairs.ours.push(ours()?);
            pairs.theirs.push(theirs(&mut self.peer)?);
        }
        pairs.print(count);
        Ok(())
    }
}

fn main() -> Result<()> {
    let options = Options::parse();
    let clips = clips(&options.clips, options.limit)?;
    let scratch = tempfile::tempdir()?;
    let list = scratch.path().join("clips.txt");
    std::fs::write(&list, clips.iter().map(|c| format!("{}\n", c.display())).collect::<String>())?;
    let (peer, versions) = peer::Peer::start(&options.python)?;
    let (frames, size) = (options.frames, options.size);
    let mut bench = Bench { options, peer };
    let (model, python) = (bench.options.model.clone(), bench.options.python.clone());
    let arguments = ["--model", &model, "--frames", &frames.to_string(), "--size", &size.to_string()];
    let command = ours::Command(arguments.map(String::from).to_vec());

    println!("{}; {versions}; {} rounds\n", ours::machine(), bench.options.rounds);
    println!("| what | peer | ours | peer's | ratio |\n|---|---|---|---|---|");

    // As clips are labelled, and in the peers' own precision where that is another.
    let mut precisions = vec![ours::precision()?, Precision::F32];
    precisions.dedup();
    let sizes = [(frames, size), (32, 224)];
    let rows = sizes.into_iter().flat_map(|size| precisions.iter().map(move |precision| (size, *precision)));
    for ((frames, size), precision) in rows {
        let what = format!("Lite0 features, {frames} frames at {size}², {}", precision.name());
        let mut network = ours::Network::new(frames, size, precision)?;
        for (peer, engine) in [("onnxruntime", "ort"), ("PyTorch", "torch")] {
            let line = format!("features {engine} {frames} {size}");
            bench.pairs(&what, peer, None, || network.features(), |p| p.seconds(&line))?;
        }
    }
    let what = "I3D, one window of 32 frames at 160²";
    if bench.wanted(what) {
        let onnx = scratch.path().join("i3d.onnx");
        let mut network = ours::Volume::new(32, 160)?;
        network.export(&onnx)?;
        let line = format!("run {}", onnx.display());
        bench.pairs(what, "onnxruntime", None, || network.logits(), |p| p.seconds(&line))?;
    }
    for kind in ["s", "b"] {
        let dir = scratch.path().join(format!("videomae-{kind}"));
        let wanted = |precision: &&Precision| {
            let what = format!(
                "VideoMAE-{}, one window of 16 frames at 224², {}",
                kind.to_uppercase(),
                precision.name()
            );
            bench.wanted(&what).then_some((what, **precision))
        };
        let rows: Vec<_> = precisions.iter().filter_map(|precision| wanted(&precision)).collect();
        if !rows.is_empty() {
            bench.peer.seconds(&format!("videomae {kind} {}", dir.display()))?;
        }
        for (what, precision) in rows {
            let mut network = ours::Volume::read(&dir, precision)?;
            for (peer, engine) in [("onnxruntime", "ort"), ("PyTorch", "torch")] {
                let line = format!("video {engine} {}", dir.display());
                bench.pairs(&what, peer, None, || network.logits(), |p| p.seconds(&line))?;
            }
        }
    }
    let mut training = ours::Training::new(frames, size)?;
    let what = format!("training step, {frames} frames at {size}²");
    let line = format!("step {frames} {size}");
    bench.pairs(&what, "PyTorch", None, || training.step(), |p| p.seconds(&line))?;

    let what = format!("folder of {} clips, {frames} frames at {size}²", clips.len());
    for (peer, engine) in [("onnxruntime", "ort"), ("PyTorch", "torch")] {
        let line = format!("folder {engine} {frames} {size} {}", list.display());
        bench.pairs(
            &what,
            peer,
            Some(clips.len()),
            || command.label_running(&clips),
            |p| p.seconds(&line),
        )?;
    }
    let what = format!("folder of {} clips, default model, both windows", clips.len());
    if bench.wanted(&what) {
        let onnx = scratch.path().join("default.onnx");
        ours::export("kinetics400-i3d", &onnx)?;
        let command =
            ours::Command(["--model", "kinetics400-i3d", "--windows", "2"].map(String::from).to_vec());
        let line = format!("model {} {}", onnx.display(), list.display());
        bench.pairs(
            &what,
            "onnxruntime",
            Some(clips.len()),
            || command.label_running(&clips),
            |p| p.seconds(&line),
        )?;
    }
    let what = "one clip, whole process";
    if bench.wanted(what) {
        let onnx = scratch.path().join("clip.onnx");
        bench.peer.seconds(&format!("export {frames} {size} {}", onnx.display()))?;
        let one = &clips[..1];
        bench.pairs(
            what,
            "Python, onnxruntime",
            None,
            || command.label(one),
            |_| peer::one_clip(&python, &onnx, frames, size, &one[0]),
        )?;
    }
    println!();
    if bench.wanted("defaults") {
        for model in [&model, "kinetics400-i3d"] {
            let command = ours::Command(vec!["--model".into(), model.into()]);
            let rate = clips.len() as f64 / command.label_running(&clips)?;
            println!("- folder of {} clips, {model} as it is: {rate:.1} clips/s", clips.len());
        }
        let clip = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/bikes.mp4");
        let (command, clip) = (ours::Command(Vec::new()), &[clip][..]);
        let mut times: Vec<f64> = (0..5).map(|_| command.label(clip)).collect::<Result<_>>()?;
        times.sort_by(f64::total_cmp);
        let memory = command.peak_memory(&clip[0])? / 1e6;
        println!("- a clip of 10 s, whole process, kinetics400-i3d: {:.2} s, {memory:.0} MB", times[2]);
    }
    if bench.wanted("limits") {
        ours::print_limits(frames, size)?;
        let decode = bench.peer.seconds(&format!("decode {}", list.display()))?;
        println!("- FFmpeg decodes {:.1} of these clips/s on all cores", clips.len() as f64 / decode);
    }
    if bench.wanted("memory") {
        println!("- memory, one clip: {:.0} MB", command.peak_memory(&clips[0])? / 1e6);
        let long = scratch.path().join("long.mp4");
        bench.peer.seconds(&format!("long {} {}", clips[0].display(), long.display()))?;
        println!("- memory, one hour of 1080p: {:.0} MB", command.peak_memory(&long)? / 1e6);
    }
    Ok(())
}

/// The first `limit` video files below `folder`, by name.
fn clips(folder: &Path, limit: usize) -> Result<Vec<PathBuf>> {
    let is_video = |path: &Path| {
        path.extension().is_some_and(|e| ["mp4", "avi", "mkv", "webm"].iter().any(|known| e == *known))
    };
    let mut clips: Vec<PathBuf> = walkdir::WalkDir::new(folder)
        .follow_links(true)
        .into_iter()
        .filter_map(|entry| entry.ok())
        .map(|entry| entry.into_path())
        .filter(|path| is_video(path))
        .collect();
    clips.sort();
    clips.truncate(limit);
    if clips.is_empty() {
        return Err(format!("no clips in {}", folder.display()).into());
    }
    Ok(clips)
}
