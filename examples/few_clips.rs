//! Makes a list with few training clips a class, to measure how little training can do with.
//!
//! ```text
//! cargo run --release --example few_clips -- LIST OUT_CSV [--clips 5] [--seed 0]
//! ```
//!
//! LIST is a list `path,label,split,group`. OUT_CSV gets, of each class, so many clips of its training
//! side, each of another source video as far as there are enough, and all test clips; the same
//! ones for the same seed.

mod listing;

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Parser;
use classify::learning::dataset::{Dataset, Options, Sample, Split};
use classify::{Error, Result};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// Draws a few training clips of each class.
#[derive(Parser)]
struct Args {
    /// CSV list of labelled clips: path,label,split,group.
    list: PathBuf,
    /// The list to write.
    out: PathBuf,
    /// Training clips a class.
    #[arg(long, default_value_t = 5)]
    clips: usize,
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

fn main() {
    if let Err(error) = run(&Args::parse()) {
        eprintln!("error: {error}");
        std::process::exit(2);
    }
}

fn run(args: &Args) -> Result<()> {
    let data = Dataset::open(&args.list, &Options { cut: false, ..Options::default() })?;
    let mut rng = ChaCha8Rng::seed_from_u64(args.seed);
    let mut chosen: Vec<&Sample> = Vec::new();
    for class in 0..data.labels.len() {
        let mut groups: BTreeMap<&str, Vec<&Sample>> = BTreeMap::new();
        for sample in data.part(Split::Train).filter(|sample| sample.label() == class) {
            groups.entry(&sample.group).or_default().push(sample);
        }
        let mut groups: Vec<Vec<&Sample>> = groups.into_values().collect();
        groups.iter_mut().for_each(|clips| clips.shuffle(&mut rng));
        groups.shuffle(&mut rng);
        // A clip of each source video, then a second one of each, and so on.
        let rounds = groups.iter().map(Vec::len).max().unwrap_or(0);
        let in_turn = (0..rounds).flat_map(|round| groups.iter().filter_map(move |clips| clips.get(round)));
        chosen.extend(in_turn.take(args.clips));
    }
    chosen.extend(data.part(Split::Test));
    let listed = chosen.iter().map(|sample| (*sample, sample.split));
    listing::write(&data, listed, &args.out).map_err(|e| Error::data(&args.out, e))?;
    println!("{} clips, listed in {}", chosen.len(), args.out.display());
    Ok(())
}
