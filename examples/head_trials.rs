//! Measures heads that learn from few clips, on the training side of a list alone: of each class's source videos two
//! thirds to learn from, so many of their clips, and all clips of the others to be right about.
//!
//! ```sh
//! cargo run --release --example head_trials -- ../shared/data/ucf14/split1.csv --clips 140 --heads 1,3,5
//! ```
//!
//! A row a draw, each with all numbers of heads on the same clips. The CNN looks at each clip once; its features are kept.

mod listing;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use clap::Parser;
use classify::learning::FeatureCache;
use classify::learning::dataset::{Dataset, Options, Sample, Split};
use classify::learning::evaluation::{Clips, evaluate};
use classify::learning::training::{TrainOptions, train};
use classify::{Classifier, Device};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

/// Measures heads that learn from few clips.
#[derive(Parser)]
struct Args {
    /// Labelled list; its test clips are left alone
    list: PathBuf,
    /// Clips to learn from, validation clips among them
    #[arg(long, default_value_t = 140)]
    clips: usize,
    /// Numbers of heads to average
    #[arg(long, value_delimiter = ',', default_values_t = [1, 3, 5])]
    heads: Vec<usize>,
    #[arg(long, default_value_t = 4)]
    draws: u64,
    /// The first head's seed
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[arg(long, default_value_t = 3)]
    windows: usize,
    #[arg(long, default_value_t = 224)]
    size: usize,
    /// Where features are kept
    #[arg(long)]
    cache: Option<PathBuf>,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let data = Dataset::open(&args.list, &Options { cut: false, ..Options::default() })?;
    let folder = tempfile::tempdir()?;
    let mut sums = vec![0.0; args.heads.len()];
    for draw in 0..args.draws {
        let list = folder.path().join(format!("draw-{draw}.csv"));
        write_draw(&data, args.clips, draw, &list)?;
        let drawn = Dataset::open(&list, &Options::default())?;
        print!("draw {draw}, {} other clips:", drawn.count(Split::Test));
        for (heads, sum) in args.heads.iter().zip(&mut sums) {
            let accuracy = trial(&args, &drawn, *heads, folder.path())?;
            *sum += accuracy;
            print!("  {heads} heads {:.1} %", 100.0 * accuracy);
            std::io::stdout().flush()?;
        }
        println!();
    }
    let means = args.heads.iter().zip(sums).map(|(heads, sum)| (heads, 100.0 * sum / args.draws as f64));
    means.for_each(|(heads, mean)| println!("{heads} heads: {mean:.1} % in the mean"));
    Ok(())
}

/// Writes the list of a draw: `train` for the clips to learn from, `test` for those of other source videos.
fn write_draw(data: &Dataset, clips: usize, draw: u64, list: &Path) -> Result<()> {
    let mut rng = ChaCha8Rng::seed_from_u64(draw);
    let (mut learned, mut others) = (Vec::new(), Vec::new());
    for class in 0..data.labels.len() {
        let of_class = data.samples.iter().filter(|s| s.split != Split::Test && s.label() == class);
        let of_class: Vec<&Sample> = of_class.collect();
        let mut groups: Vec<&str> = of_class.iter().map(|sample| sample.group.as_str()).collect();
        groups.sort_unstable();
        groups.dedup();
        groups.shuffle(&mut rng);
        groups.truncate((2 * groups.len()).div_ceil(3));
        let (own, other): (Vec<&Sample>, Vec<&Sample>) =
            of_class.into_iter().partition(|sample| groups.contains(&sample.group.as_str()));
        learned.extend(own);
        others.extend(other);
    }
    learned.shuffle(&mut rng);
    learned.truncate(clips);
    let learned = learned.into_iter().map(|sample| (sample, Split::Train));
    let others = others.into_iter().map(|sample| (sample, Split::Test));
    listing::write(data, learned.chain(others), list)
}

/// The share of the other clips that a model with so many heads is right about.
fn trial(args: &Args, data: &Dataset, heads: usize, folder: &Path) -> Result<f64> {
    let mut options = TrainOptions {
        backbone: "kinetics400-i3d".into(),
        windows: Some(args.windows),
        size: Some(args.size),
        heads,
        refit: true,
        ..TrainOptions::default()
    };
    options.recipe.seed = args.seed;
    options.cache = args.cache.clone().or(options.cache);
    let root = options.cache.clone().ok_or("--cache says where features are kept")?;
    let stop = AtomicBool::new(false);
    let model = train(data, &options, folder, &stop, &())?.folder;
    let classifier = Classifier::new(&model, &Device::Cpu)?;
    let cache = FeatureCache::new(&root, &model)?;
    let samples: Vec<&Sample> = data.part(Split::Test).collect();
    let clips = Clips { samples: &samples, unreadable: &[], none: &[] };
    Ok(evaluate(&classifier, clips, Some(&cache), options.threads, &stop, &|_| ())?.metrics.accuracy)
}
