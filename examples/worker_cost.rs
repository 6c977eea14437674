//! What it costs to label clips in processes of their own instead of threads:
//!
//! ```text
//! cargo build --release && cargo run --release --example worker_cost -- target/release/classify CLIP...
//! ```
//!
//! Takes turns, so that other work on the machine weighs on both alike, and counts processor time too.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use classify::internals::bulk::worker::{Pool, Request, Setup};
use classify::internals::bulk::{self, Settings};
use classify::model::Changes;
use classify::{Classifier, ClipLabels};

const MODEL: &str = "imagenet-lite0";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let program = arguments.next().ok_or("the program, then clips")?;
    let clips: Arc<[PathBuf]> = arguments.collect();
    let settings = Settings::default();
    for round in 1..=3 {
        let (start, before) = (Instant::now(), processor_time());
        let classifier = Arc::new(Classifier::named(MODEL, &candle_core::Device::Cpu)?);
        let good = bulk::label(classifier, clips.clone(), &settings)?.filter(Result::is_ok).count();
        say("threads", round, good, start.elapsed(), processor_time() - before);
        let (start, before) = (Instant::now(), processor_time());
        let good = in_processes(&program, &clips, &settings)?;
        let wall = start.elapsed();
        // Workers that ended are counted once they have been collected.
        std::thread::sleep(Duration::from_millis(500));
        say("processes", round, good, wall, processor_time() - before);
    }
    Ok(())
}

fn in_processes(program: &Path, clips: &Arc<[PathBuf]>, settings: &Settings) -> classify::Result<usize> {
    let setup = Setup {
        model: Some(MODEL.into()),
        changes: Changes::default(),
        device: "cpu".into(),
        threads: settings.threads_each(clips.len()),
        top: 5,
        training: false,
    };
    let pool = Pool::new(program, setup, Duration::from_secs(60));
    let work = clips.clone();
    let label = move |i: usize| pool.ask::<ClipLabels>(&Request::label(&work[i]));
    Ok(bulk::in_order(clips.len(), settings, label)?.filter(Result::is_ok).count())
}

fn say(how: &str, round: usize, good: usize, wall: Duration, processor: Duration) {
    println!(
        "round {round} {how:<10} {good} clips  {:6.2} s  {:6.2} s processor time",
        wall.as_secs_f64(),
        processor.as_secs_f64()
    );
}

/// Of this process and of its children that have ended.
fn processor_time() -> Duration {
    let of = |who| {
        // SAFETY: getrusage fills the structure that it is given.
        let usage = unsafe {
            let mut usage: libc::rusage = std::mem::zeroed();
            libc::getrusage(who, &mut usage);
            usage
        };
        [usage.ru_utime, usage.ru_stime]
            .map(|t| Duration::from_secs(t.tv_sec as u64) + Duration::from_micros(t.tv_usec as u64))
            .iter()
            .sum::<Duration>()
    };
    of(libc::RUSAGE_SELF) + of(libc::RUSAGE_CHILDREN)
}
