//! What the Kinetics-400 model is worth on real clips: chooses its sampling, calibrates its
//! scores and measures both, on UCF-101 clips of actions that Kinetics knows under a like name
//! (`models/kinetics400-i3d/ucf14_map.json`) and on clips that show none of the 400 actions.
//!
//! ```text
//! kinetics_evidence choose    MODEL_DIR UCF_LIST             accuracy against time, training side
//! kinetics_evidence calibrate MODEL_DIR UCF_LIST NONE_LIST   writes "calibration" to config.json, training side
//! kinetics_evidence enough    MODEL_DIR UCF_LIST NONE_LIST   writes when one window is enough, training side
//! kinetics_evidence report    MODEL_DIR UCF_LIST NONE_LIST   the figures of the model card, test side
//! ```
//!
//! `enough` and `report` compute in the precision that clips are labelled in (`CLASSIFY_PRECISION`), the others in `f32`.
//!
//! Lists are CSV: `path,label,split,group`, paths relative to the list.

use std::{
    collections::{BTreeMap, HashSet},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use candle_core::Device;
use classify::{
    Classifier, DecodeOptions, Error, Result,
    internals::learning::calibration::{self, Known},
    learning::metrics::{Answer, Metrics},
    model::{Calibration, ModelFiles, ModelFolder},
};
use classify_kernels::{Kernels, Precision};
use rayon::prelude::*;

/// Share of the training clips that show none of the actions which may pass as confident.
const NONE_SHARE: f64 = 0.05;

/// What `choose` tries: size, windows, frames a window.
const GRID: [(usize, usize, usize); 6] =
    [(160, 1, 32), (160, 2, 32), (160, 4, 32), (192, 2, 32), (224, 1, 32), (224, 2, 32)];

#[derive(serde::Deserialize)]
struct Row {
    path: PathBuf,
    label: String,
    split: String,
    group: String,
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let result = match args[..] {
        ["choose", model, ucf] => choose(model.as_ref(), ucf.as_ref()),
        ["calibrate", model, ucf, none] => calibrate(model.as_ref(), ucf.as_ref(), none.as_ref()),
        ["report", model, ucf, none] => report(model.as_ref(), ucf.as_ref(), none.as_ref()),
        ["enough", model, ucf, none] => enough(model.as_ref(), ucf.as_ref(), none.as_ref()),
        _ => Err(Error::Usage(
            "usage: kinetics_evidence choose MODEL UCF_LIST | calibrate|enough|report MODEL UCF_LIST NONE_LIST"
                .into(),
        )),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

/// Accuracy and time of several samplings on the first clip of each training group.
fn choose(model: &Path, ucf: &Path) -> Result<()> {
    let folder = ModelFolder::read(model, &Device::Cpu)?;
    let mut groups = HashSet::new();
    let map = Map::read(model, &folder.config.id2label)?;
    let mut rows = map.rows(ucf, "train")?;
    rows.retain(|(row, _)| groups.insert((row.label.clone(), row.group.clone())));
    println!("{} clips, one of each training group of {} actions", rows.len(), map.0.len());
    println!("| size | windows × frames | top-1 | top-5 | CPU s a clip |");
    println!("|---|---|---|---|---|");
    for (size, windows, frames) in GRID {
        let files = ModelFiles::read(model)?.with_size(size).with_windows(windows).with_frames(frames);
        let classifier = Classifier::new(&files.load(&Device::Cpu)?, &Device::Cpu)?;
        let start = cpu_time();
        let (known, _) = known(&classifier, &rows)?;
        println!(
            "| {size} | {windows} × {frames} | {} | {:.2} |",
            percents(&metrics(&folder.config.id2label, &known, 1.0)),
            (cpu_time() - start).as_secs_f64() / known.len() as f64,
        );
    }
    Ok(())
}

/// Fits temperature and threshold on the training side.
fn calibrate(model: &Path, ucf: &Path, none: &Path) -> Result<()> {
    let mut folder = ModelFolder::read(model, &Device::Cpu)?;
    let rows = Map::read(model, &folder.config.id2label)?.rows(ucf, "train")?;
    let before = folder.config.calibration.take();
    let classifier = Classifier::new(&folder, &Device::Cpu)?;
    let (known, _) = known(&classifier, &rows)?;
    let (none, _) = logits(&classifier, &read_list(none, "train")?)?;
    let fitted = calibration::calibrate(&known, &none, NONE_SHARE);
    // Four digits are all that so few clips can tell; rounded up, so that no clip slips through.
    let round = |x: f64| (x * 1e4).ceil() / 1e4;
    let fitted = Calibration {
        temperature: round(fitted.temperature),
        threshold: round(fitted.threshold),
        enough: before.and_then(|calibration| calibration.enough),
    };
    println!("training side, {} clips of known actions, {} of none:", known.len(), none.len());
    print_calibration(&folder.config.id2label, &known, &none, fitted);
    folder.config.calibration = Some(fitted);
    folder.save(model)
}

/// Finds from which score on the first window's answer may stand: the lowest with which the training side has as many
/// right answers, and as few clips of none are confident, as with all windows.
fn enough(model: &Path, ucf: &Path, none: &Path) -> Result<()> {
    let mut folder = ModelFolder::read(model, &Device::Cpu)?;
    let rows = Map::read(model, &folder.config.id2label)?.rows(ucf, "train")?;
    let classifier = as_labelled(&folder)?;
    let calibration =
        folder.config.calibration.ok_or_else(|| Error::model(model, "has no calibration yet"))?;
    let looks =
        |rows: &[&Row]| rows.par_iter().map(|row| looks(&classifier, row)).collect::<Result<Vec<_>>>();
    let known = looks(&rows.iter().map(|(row, _)| row).collect::<Vec<_>>())?;
    let none = read_list(none, "train")?;
    let none = looks(&none.iter().collect::<Vec<_>>())?;
    let best = |logits: &[f32]| calibration::best(logits, calibration.temperature).unwrap_or_default();
    // Right answers, confident ones among them and among none, clips that take one window.
    let count = |enough: f64| {
        let answer = |[first, all]: &[Vec<f32>; 2]| {
            let (early, late) = (best(first), best(all));
            if early.1 >= enough { (early, true) } else { (late, false) }
        };
        let sure = |score: f64| score >= calibration.threshold;
        let known: Vec<_> = known.iter().map(answer).collect();
        let none: Vec<_> = none.iter().map(answer).collect();
        let right = std::iter::zip(&known, &rows).filter(|(((class, _), _), (_, truth))| class == truth);
        let sure_right = right.clone().filter(|(((_, score), _), _)| sure(*score)).count();
        let sure_none = none.iter().filter(|((_, score), _)| sure(*score)).count();
        let one = known.iter().chain(&none).filter(|(_, one)| *one).count();
        [right.count(), sure_right, sure_none, one]
    };
    let all = count(f64::INFINITY);
    println!("{} clips of known actions, {} of none", known.len(), none.len());
    println!("| enough | right | confident and right | confident of none | windows a clip |");
    println!("|---|---|---|---|---|");
    let show = |name: &str, [right, sure, none_sure, one]: [usize; 4]| {
        let windows = 2.0 - one as f64 / (known.len() + none.len()) as f64;
        println!("| {name} | {right} | {sure} | {none_sure} | {windows:.2} |");
    };
    show("both always", all);
    let mut found = None;
    for step in (0..50).rev() {
        let enough = 0.5 + 0.01 * f64::from(step);
        let counts = count(enough);
        show(&format!("{enough:.2}"), counts);
        if counts[0] >= all[0] && counts[2] <= all[2] && enough >= calibration.threshold {
            found = Some(enough);
        }
    }
    println!("taken: {found:?}");
    let enough = found.map(|enough| (enough * 100.0).round() / 100.0);
    folder.config.calibration = Some(Calibration { enough, ..calibration });
    folder.save(model)
}

/// A clip's logits by its first window, and by all.
fn looks(model: &Classifier, row: &Row) -> Result<[Vec<f32>; 2]> {
    let features = model.features(&model.frames(&row.path, &DecodeOptions::default())?)?;
    let first = features.narrow(0, 0, 1)?;
    Ok([model.logits(&first)?.to_vec1()?, model.logits(&features)?.to_vec1()?])
}

/// The model in the precision that clips are labelled in.
fn as_labelled(folder: &ModelFolder) -> Result<Classifier> {
    let precision = Precision::detect(Kernels::detect()?)?;
    println!("in {}", precision.name());
    Classifier::with_precision(folder, &Device::Cpu, precision)
}

/// The figures of the model card.
fn report(model: &Path, ucf: &Path, none: &Path) -> Result<()> {
    let folder = ModelFolder::read(model, &Device::Cpu)?;
    let labels = &folder.config.id2label;
    let map = Map::read(model, labels)?;
    let classifier = as_labelled(&folder)?;
    let calibration = folder.config.calibration;
    let calibration = calibration.ok_or_else(|| Error::model(model, "has no calibration yet"))?;

    let rows = map.rows(ucf, "test")?;
    let (known, windows) = known(&classifier, &rows)?;
    println!("| action (UCF-101) | Kinetics | clips | top-1 | top-5 |");
    println!("|---|---|---|---|---|");
    for (name, class) in &map.0 {
        let of_class: Vec<Known> = known.iter().filter(|k| k.class == *class).cloned().collect();
        println!(
            "| {name} | {} | {} | {} |",
            labels[*class],
            of_class.len(),
            percents(&metrics(labels, &of_class, 1.0))
        );
    }
    let all = metrics(labels, &known, 1.0);
    println!("| all | | {} | {} |", known.len(), percents(&all));
    let [low, high] = all.accuracy_interval;
    println!("top-1: 95 % interval {:.1} to {:.1} %", 100.0 * low, 100.0 * high);
    println!();

    let (none, none_windows) = logits(&classifier, &read_list(none, "test")?)?;
    println!("windows a clip: {windows:.2}; of none of the actions: {none_windows:.2}");
    print_calibration(&folder.config.id2label, &known, &none, calibration);
    let unmapped: Vec<Row> =
        read_list(ucf, "test")?.into_iter().filter(|row| !map.0.contains_key(&row.label)).collect();
    let (unmapped, _) = logits(&classifier, &unmapped)?;
    println!(
        "| confident among UCF-101 actions without a like name ({}) | {:.1} % |",
        unmapped.len(),
        100.0 * confident(&unmapped, calibration)
    );
    Ok(())
}

fn print_calibration(labels: &[String], known: &[Known], none: &[Vec<f32>], calibration: Calibration) {
    let Calibration { temperature, threshold, .. } = calibration;
    println!("| temperature {temperature}, threshold {threshold} | |");
    println!("|---|---|");
    let (right, wrong): (Vec<&Known>, Vec<&Known>) = known
        .iter()
        .partition(|k| calibration::best(&k.logits, 1.0).is_some_and(|(class, _)| class == k.class));
    for (name, clips) in [("right", right), ("wrong", wrong)] {
        let logits: Vec<Vec<f32>> = clips.iter().map(|k| k.logits.clone()).collect();
        println!(
            "| confident among {name} answers ({}) | {:.1} % |",
            logits.len(),
            100.0 * confident(&logits, calibration)
        );
    }
    println!(
        "| confident among clips of none of the actions ({}) | {:.1} % |",
        none.len(),
        100.0 * confident(none, calibration)
    );
    for (name, temperature) in [("before", 1.0), ("after", temperature)] {
        let error = metrics(labels, known, temperature).calibration_error;
        println!("| calibration error {name} | {error:.3} |");
    }
}

/// Share of clips whose best score reaches the threshold.
fn confident(logits: &[Vec<f32>], calibration: Calibration) -> f64 {
    let best = |l: &Vec<f32>| calibration::best(l, calibration.temperature);
    let passing = logits.iter().filter_map(best).filter(|(_, score)| *score >= calibration.threshold);
    passing.count() as f64 / logits.len().max(1) as f64
}

fn metrics(labels: &[String], known: &[Known], temperature: f64) -> Metrics {
    let answer =
        |k: &Known| Answer { truth: k.class, scores: Some(calibration::softmax(&k.logits, temperature)) };
    Metrics::new(labels, &known.iter().map(answer).collect::<Vec<_>>())
}

fn percents(metrics: &Metrics) -> String {
    format!("{:.1} % | {:.1} %", 100.0 * metrics.accuracy, 100.0 * metrics.top5)
}

/// Kinetics' class of each UCF-101 action that it knows under a like name.
struct Map(BTreeMap<String, usize>);

impl Map {
    fn read(model: &Path, labels: &[String]) -> Result<Self> {
        let path = model.join("ucf14_map.json");
        let bytes = std::fs::read(&path).map_err(|e| Error::io(&path, e))?;
        let names: BTreeMap<String, String> =
            serde_json::from_slice(&bytes).map_err(|e| Error::data(&path, e))?;
        let class = |name: String| {
            let unknown = || Error::data(&path, format!("the model has no class {name}"));
            labels.iter().position(|label| *label == name).ok_or_else(unknown)
        };
        let map = names.into_iter().map(|(ucf, name)| Ok((ucf, class(name)?)));
        Ok(Self(map.collect::<Result<_>>()?))
    }

    /// The clips of one side that show an action of the map, with its class.
    fn rows(&self, list: &Path, side: &str) -> Result<Vec<(Row, usize)>> {
        let rows = read_list(list, side)?.into_iter();
        Ok(rows.filter_map(|row| self.0.get(&row.label).map(|class| (row, *class))).collect())
    }
}

/// The rows of one side of a list.
fn read_list(list: &Path, side: &str) -> Result<Vec<Row>> {
    let folder = list.parent().unwrap_or(Path::new("."));
    let mut reader = csv::Reader::from_path(list).map_err(|e| Error::data(list, e))?;
    let rows = reader.deserialize::<Row>().collect::<Result<Vec<_>, _>>();
    let mut rows = rows.map_err(|e| Error::data(list, e))?;
    rows.retain(|row| row.split == side);
    rows.iter_mut().for_each(|row| row.path = folder.join(&row.path));
    Ok(rows)
}

/// CPU time that the process has used: unlike the clock on the wall, it tells the same on a machine
/// that has other work.
fn cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid timespec to write to.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn known(model: &Classifier, rows: &[(Row, usize)]) -> Result<(Vec<Known>, f64)> {
    let (logits, windows) = logits(model, rows.iter().map(|(row, _)| row))?;
    let known = std::iter::zip(logits, rows).map(|(logits, (_, class))| Known { logits, class: *class });
    Ok((known.collect(), windows))
}

/// The clips' logits, several clips at a time, and how many windows of a clip were looked at.
fn logits<'a>(model: &Classifier, rows: impl IntoIterator<Item = &'a Row>) -> Result<(Vec<Vec<f32>>, f64)> {
    let rows: Vec<&Row> = rows.into_iter().collect();
    let clip = |row: &&Row| {
        let mut frames = model.frames(&row.path, &DecodeOptions::default())?;
        let features = model.needed_features(&mut frames)?;
        Ok((model.logits(&features)?.to_vec1()?, frames.windows))
    };
    let looked = rows.par_iter().map(clip).collect::<Result<Vec<_>>>()?;
    let (logits, windows): (Vec<_>, Vec<usize>) = looked.into_iter().unzip();
    Ok((logits, windows.iter().sum::<usize>() as f64 / windows.len().max(1) as f64))
}
