//! Builds clips whose label is the order of events: a piece of one action, then a piece of another.
//!
//! ```text
//! cargo run --release --example make_order_clips -- SPLIT_CSV OUT_DIR [--pairs A:B,C:D] [--combinations N]
//! ```
//!
//! SPLIT_CSV is a list `path,label,split,group` of clips of single actions (UCF-101's names are
//! the defaults of `--pairs`). OUT_DIR gets the clips and `split.csv`. The same two pieces are
//! joined in both orders, so that features averaged over time say nothing of the label. The k-th
//! source video of A is only ever joined with the k-th of B of the same side of the split:
//! training and test share no source, and neither do the groups that validation is cut by.
//! Needs the tools `ffmpeg` and `ffprobe`.

mod pieces;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Parser;
use classify::learning::dataset::{Dataset, Options, Sample, Split};
use classify::{Error, Result};
use rand::{Rng, SeedableRng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use pieces::{Piece, write_list};

/// Joins pieces of two actions in both orders.
#[derive(Parser)]
struct Args {
    /// CSV list of the clips to take pieces from: path,label,split,group.
    list: PathBuf,
    /// Folder for the joined clips and their list.
    out: PathBuf,
    /// Pairs of labels.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "PullUps:JumpRope,PushUps:Lunges,JumpingJack:BodyWeightSquats,BrushingTeeth:CuttingInKitchen,HandstandWalking:TrampolineJumping"
    )]
    pairs: Vec<String>,
    /// How many pairs of pieces are taken from each pair of source videos.
    #[arg(long, default_value_t = 2)]
    combinations: usize,
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

/// A clip to make.
struct Job {
    pieces: [Piece; 2],
    name: String,
    label: String,
    split: Split,
    group: String,
}

fn main() {
    if let Err(error) = run(&Args::parse()) {
        eprintln!("error: {error}");
        std::process::exit(2);
    }
}

fn run(args: &Args) -> Result<()> {
    // Validation clips, where the list names some, belong to the training side here.
    let data = Dataset::open(&args.list, &Options { cut: false, ..Options::default() })?;
    let mut rng = ChaCha8Rng::seed_from_u64(args.seed);
    let mut jobs = Vec::new();
    for pair in &args.pairs {
        jobs.extend(plan(&data, pair, args.combinations, &mut rng)?);
    }
    std::fs::create_dir_all(&args.out).map_err(|e| Error::io(&args.out, e))?;
    jobs.par_iter().try_for_each(|job| join(job, &args.out))?;
    let list = args.out.join("split.csv");
    let row = |job: &Job| [&job.name, &job.label, job.split.name(), &job.group].map(String::from);
    write_list(&list, jobs.iter().map(row), "label")?;
    println!("{} clips, listed in {}", jobs.len(), list.display());
    Ok(())
}

/// The clips of one pair `A:B`.
fn plan(data: &Dataset, pair: &str, combinations: usize, rng: &mut ChaCha8Rng) -> Result<Vec<Job>> {
    let wanted = |text: &str| Error::Usage(format!("--pairs {pair}: {text}"));
    let (a, b) = pair.split_once(':').ok_or_else(|| wanted("wanted A:B"))?;
    let mut jobs = Vec::new();
    for split in [Split::Train, Split::Test] {
        let [of_a, of_b] = [groups(data, a, split), groups(data, b, split)];
        if of_a.is_empty() || of_b.is_empty() {
            return Err(wanted("the list has no training or no test clips of one of them"));
        }
        for (k, (of_a, of_b)) in of_a.into_iter().zip(of_b).enumerate() {
            for c in 0..combinations {
                let first = piece(of_a.choose(rng).map(|s| s.path.as_path()), rng)?;
                let second = piece(of_b.choose(rng).map(|s| s.path.as_path()), rng)?;
                let mut job = |pieces, x: &str, y: &str| {
                    jobs.push(Job {
                        pieces,
                        name: format!("{x}-{y}_{}{k:02}_{c:02}.mp4", split.name()),
                        label: format!("{x}→{y}"),
                        split,
                        group: format!("{a}+{b}_{}{k:02}", split.name()),
                    });
                };
                job([first.clone(), second.clone()], a, b);
                job([second, first], b, a);
            }
        }
    }
    Ok(jobs)
}

/// The clips of `label` by source video, in order of its name.
fn groups<'a>(data: &'a Dataset, label: &str, side: Split) -> Vec<Vec<&'a Sample>> {
    let mut groups: BTreeMap<&str, Vec<&Sample>> = BTreeMap::new();
    let on_side = |s: &&Sample| (s.split == Split::Test) == (side == Split::Test);
    for sample in data.samples.iter().filter(on_side).filter(|s| data.labels[s.label()] == label) {
        groups.entry(&sample.group).or_default().push(sample);
    }
    groups.into_values().collect()
}

/// One and a half to two and a half seconds somewhere in a clip, or all of a shorter one.
fn piece(path: Option<&Path>, rng: &mut ChaCha8Rng) -> Result<Piece> {
    let path = path.ok_or_else(|| Error::Usage("a group without a clip".into()))?;
    let length = rng.random_range(1.5..2.5f64);
    Piece::somewhere(path, length, rng)
}

/// Cuts, joins and encodes.
fn join(job: &Job, out: &Path) -> Result<()> {
    let same = "scale=320:240,setsar=1,fps=25,format=yuv420p";
    let graph = format!("[0:v]{same}[a];[1:v]{same}[b];[a][b]concat=n=2:v=1:a=0");
    pieces::join(&job.pieces, &graph, &["-crf", "26"], &out.join(&job.name))
}
