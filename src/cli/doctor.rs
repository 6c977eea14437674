//! `classify doctor`: what this program stands on, and what is wrong with it.

use std::fmt::Display;
use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

use crate::model::{DEFAULT_MODEL, embedded_models};
use crate::timeline::overlay;
use crate::{Classifier, Result, bulk, video};
use anstyle::{AnsiColor, Style};
use classify_kernels::conv::PackedConv;
use classify_kernels::{Kernels, Precision};
use etcetera::BaseStrategy;

use super::Status;

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();

/// Decoders of the clips that people have, by FFmpeg's names.
const DECODERS: &[&str] = &["h264", "hevc", "vp9", "vp8", "mpeg4", "mpeg2video", "mjpeg", "gif"];

/// Show what the program uses (FFmpeg, processor, models), and what is wrong with it
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

impl Args {
    /// To standard output; the status says whether anything is wrong.
    pub(super) fn run(self) -> Result<Status> {
        let mut report = Report::default();
        report.fact("classify", env!("CARGO_PKG_VERSION"));
        report.fact("FFmpeg", video::ffmpeg_version());
        decoders(&mut report);
        report.fact("encoders", overlay::encoders().join(" "));
        processor(&mut report);
        models(&mut report);
        cache(&mut report);
        report.print();
        Ok(if report.wrong.is_empty() { Status::Done } else { Status::SomeFailed })
    }
}

/// Lines of facts, and what is wrong.
#[derive(Default)]
struct Report {
    facts: Vec<(&'static str, String)>,
    wrong: Vec<String>,
}

impl Report {
    fn fact(&mut self, name: &'static str, value: impl Display) {
        self.facts.push((name, value.to_string()));
    }

    fn print(&self) {
        let mut out = anstream::stdout().lock();
        // A closed pipe leaves nobody to tell.
        let mut say = |line: String| drop(writeln!(out, "{line}"));
        let mut last = "";
        for (name, value) in &self.facts {
            say(format!("{:10} {value}", if *name == last { "" } else { name }));
            last = name;
        }
        if self.wrong.is_empty() {
            say(format!("{GOOD}all is well{GOOD:#}"));
        }
        for wrong in &self.wrong {
            say(format!("{BAD}wrong:{BAD:#} {wrong}"));
        }
    }
}

fn decoders(report: &mut Report) {
    let (have, lack): (Vec<&str>, Vec<&str>) = DECODERS.iter().partition(|name| video::has_decoder(name));
    report.fact("decoders", have.join(" "));
    if !lack.is_empty() {
        report.wrong.push(format!("FFmpeg was built without decoders for {}", lack.join(", ")));
    }
    // av1 has one of several decoders.
    if !video::decodes_av1() {
        report.wrong.push("FFmpeg has no decoder for AV1".into());
    }
}

fn processor(report: &mut Report) {
    #[cfg(target_arch = "x86_64")]
    let features = [
        ("avx2", is_x86_feature_detected!("avx2")),
        ("fma", is_x86_feature_detected!("fma")),
        ("f16c", is_x86_feature_detected!("f16c")),
        ("avx512f", is_x86_feature_detected!("avx512f")),
        ("avx512bf16", is_x86_feature_detected!("avx512bf16")),
    ];
    #[cfg(not(target_arch = "x86_64"))]
    let features: [(&str, bool); 0] = [];
    let names: Vec<_> = features.iter().filter(|(_, there)| *there).map(|(name, _)| *name).collect();
    report.fact("processor", format!("{} {}", std::env::consts::ARCH, names.join(" ")).trim_end());
    match Kernels::detect() {
        Ok(kernels) => {
            report.fact("kernels", kernels.name());
            match Precision::detect(kernels) {
                Ok(precision) => {
                    // Convolutions of every size are lowered on AMX alone.
                    let unit = if PackedConv::lowers(kernels, precision, 27) { ", AMX" } else { "" };
                    report.fact("precision", format!("{}{unit}", precision.name()));
                }
                Err(error) => report.wrong.push(error.to_string()),
            }
        }
        Err(error) => report.wrong.push(error.to_string()),
    }
    report.fact("threads", bulk::available_threads());
    for name in ["RAYON_NUM_THREADS", "CLASSIFY_KERNELS", "CLASSIFY_PRECISION"] {
        if let Some(value) = std::env::var_os(name) {
            report.fact("set", format!("{name}={}", value.display()));
        }
    }
    report.fact("CUDA", if cfg!(feature = "cuda") { "built in" } else { "not built in" });
}

fn models(report: &mut Report) {
    for name in embedded_models() {
        let start = Instant::now();
        match Classifier::named(name, &candle_core::Device::Cpu) {
            Ok(classifier) => {
                let default = if name == DEFAULT_MODEL { ", default" } else { "" };
                let labels = classifier.config().id2label.len();
                let ms = start.elapsed().as_secs_f64() * 1e3;
                report.fact("model", format!("{name}: {labels} labels, loads in {ms:.0} ms{default}"));
            }
            Err(error) => report.wrong.push(error.to_string()),
        }
    }
}

/// Where training keeps the features of clips.
fn cache(report: &mut Report) {
    let Ok(strategy) = etcetera::choose_base_strategy() else {
        report.wrong.push("no home folder is set (HOME), so training has no cache".into());
        return;
    };
    let folder = strategy.cache_dir().join("classify");
    // The folder itself may not be there yet; what counts is where it would be made.
    let mut there: PathBuf = folder.clone();
    while !there.exists() && there.pop() {}
    match tempfile::tempfile_in(&there) {
        Ok(_) => report.fact("cache", folder.display()),
        Err(error) => {
            report.fact("cache", folder.display());
            report.wrong.push(format!("the cache folder can't be written: {}: {error}", there.display()));
        }
    }
}
