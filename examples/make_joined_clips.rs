//! Builds clips that show two actions, one after the other or side by side, and a list of both labels.
//!
//! ```text
//! cargo run --release --example make_joined_clips -- LIST_CSV OUT_DIR --kind time|side [--train N] [--test N]
//! ```
//!
//! LIST_CSV is a list `path,label,split,group` of clips of single actions, such as UCF-101's. OUT_DIR gets the clips and
//! `list.csv` with `path,labels,split,group`. Every label is as often the first one drawn; a share of the clips shows one
//! action alone. Of the source videos of each side of the split, every action has at most one in each pool, and a clip's
//! pieces are of one pool, which is its group: no source is on two sides of any split that keeps groups whole. Needs the
//! tools `ffmpeg` and `ffprobe`.

mod pieces;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Parser, ValueEnum};
use classify::learning::dataset::{Dataset, Options, Sample, Split};
use classify::{Error, Result};
use rand::{Rng, SeedableRng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use pieces::{Piece, write_list};

/// Joins pieces of two actions.
#[derive(Parser)]
struct Args {
    /// CSV list of the clips to take pieces from: path,label,split,group.
    list: PathBuf,
    /// Folder for the joined clips and their list.
    out: PathBuf,
    /// How the two are joined.
    #[arg(long, value_enum)]
    kind: Kind,
    /// Clips for training.
    #[arg(long, default_value_t = 600)]
    train: usize,
    /// Clips for testing.
    #[arg(long, default_value_t = 200)]
    test: usize,
    /// Share of the clips that show one action alone.
    #[arg(long, default_value_t = 0.2)]
    singles: f64,
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    /// One after the other.
    Time,
    /// At once, the middle square of each, in a square frame with black above and below.
    Side,
}

/// A clip to make.
struct Job {
    pieces: Vec<Piece>,
    name: String,
    labels: String,
    split: Split,
    group: String,
}

/// The source videos of one pool by action, each with its clips.
type Pool<'a> = BTreeMap<usize, Vec<&'a Sample>>;

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
    for (split, clips) in [(Split::Train, args.train), (Split::Test, args.test)] {
        let pools = pools(&data, split);
        for number in 0..clips {
            jobs.push(draw(args, &data, (split, number), &pools, &mut rng)?);
        }
    }
    std::fs::create_dir_all(&args.out).map_err(|e| Error::io(&args.out, e))?;
    jobs.par_iter().try_for_each(|job| join(job, args.kind, &args.out))?;
    let list = args.out.join("list.csv");
    let row = |job: &Job| [&job.name, &job.labels, job.split.name(), &job.group].map(String::from);
    write_list(&list, jobs.iter().map(row), "labels")?;
    println!("{} clips, listed in {}", jobs.len(), list.display());
    Ok(())
}

/// The source videos of one side: as many pools as the action with the most has videos, those of the others spread
/// evenly over them.
fn pools(data: &Dataset, side: Split) -> Vec<Pool<'_>> {
    let mut sources: BTreeMap<usize, BTreeMap<&str, Vec<&Sample>>> = BTreeMap::new();
    for sample in data.samples.iter().filter(|s| (s.split == Split::Test) == (side == Split::Test)) {
        sources.entry(sample.label()).or_default().entry(&sample.group).or_default().push(sample);
    }
    let most = sources.values().map(BTreeMap::len).max().unwrap_or(0);
    let mut pools = vec![Pool::new(); most];
    for (label, videos) in sources {
        let of = videos.len();
        for (k, clips) in videos.into_values().enumerate() {
            pools[k * most / of].insert(label, clips);
        }
    }
    pools
}

/// What the next clip shows.
fn draw(
    args: &Args,
    data: &Dataset,
    (split, number): (Split, usize),
    pools: &[Pool],
    rng: &mut ChaCha8Rng,
) -> Result<Job> {
    let lacks = || Error::data(&args.list, format!("no two actions with {} clips to join", split.name()));
    let first = rng.random_range(0..data.labels.len());
    let with_it: Vec<usize> =
        (0..pools.len()).filter(|&i| pools[i].contains_key(&first) && pools[i].len() > 1).collect();
    let pool = *with_it.choose(rng).ok_or_else(lacks)?;
    let mut shown = vec![first];
    if rng.random::<f64>() >= args.singles {
        let others: Vec<usize> = pools[pool].keys().copied().filter(|label| *label != first).collect();
        shown.push(*others.choose(rng).ok_or_else(lacks)?);
    }
    // The first one drawn is no more often the first one shown.
    if rng.random() {
        shown.reverse();
    }
    let seconds = match (args.kind, shown.len()) {
        (Kind::Time, 2) => 1.5..2.5f64,
        _ => 3.0..5.0f64,
    };
    let length = rng.random_range(seconds);
    let pieces = shown.iter().map(|label| {
        let clip = pools[pool][label].choose(rng).ok_or_else(lacks)?;
        Piece::somewhere(&clip.path, length, rng)
    });
    let pieces = pieces.collect::<Result<Vec<_>>>()?;
    shown.sort_unstable();
    let labels: Vec<&str> = shown.iter().map(|label| data.labels[*label].as_str()).collect();
    Ok(Job {
        pieces,
        name: format!("{}_{number:04}.mp4", split.name()),
        labels: labels.join("|"),
        split,
        group: format!("{}-pool{pool:02}", split.name()),
    })
}

/// Cuts, joins and encodes.
fn join(job: &Job, kind: Kind, out: &Path) -> Result<()> {
    let whole = "scale=320:240,setsar=1,fps=25,format=yuv420p";
    let half = format!("{whole},crop=240:240,scale=160:160");
    let graph = match (kind, job.pieces.len()) {
        (Kind::Time, 2) => format!("[0:v]{whole}[a];[1:v]{whole}[b];[a][b]concat=n=2:v=1:a=0"),
        (Kind::Side, 2) => {
            format!("[0:v]{half}[a];[1:v]{half}[b];[a][b]hstack=shortest=1,pad=320:320:0:80")
        }
        (Kind::Side, _) => format!("[0:v]{whole},crop=240:240,scale=320:320"),
        (Kind::Time, _) => format!("[0:v]{whole}"),
    };
    pieces::join(&job.pieces, &graph, &["-preset", "veryfast", "-crf", "24"], &out.join(&job.name))
}
