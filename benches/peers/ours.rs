//! Our side.

use super::{Result, median};
use candle_core::{DType, Device, Tensor, Var};
use candle_nn::{VarBuilder, VarMap};
use classify::internals::allocator;
use classify::internals::learning::{AdamW, AdamWConfig};
use classify::internals::networks::Head;
use classify::internals::networks::{
    Backbone, EfficientNetLite, LiteVariant, TrainOptions, TrainableEfficientNetLite,
};
use classify::model::ModelFolder;
use classify_kernels::{Kernels, Precision};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The published weights, `backbone.*`.
const WEIGHTS: &str = "imagenet-lite0";

fn median_of_five(mut run: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut times = Vec::new();
    for _ in 0..5 {
        let start = Instant::now();
        run()?;
        times.push(start.elapsed().as_secs_f64());
    }
    Ok(median(times))
}

fn frames(frames: usize, size: usize) -> Result<Tensor> {
    Ok(Tensor::randn(0f32, 1f32, (frames, size, size, 3), &Device::Cpu)?)
}

/// The network alone.
pub(crate) struct Network {
    network: EfficientNetLite,
    frames: Tensor,
}

impl Network {
    pub(crate) fn new(count: usize, size: usize, precision: Precision) -> Result<Self> {
        let folder = ModelFolder::named(WEIGHTS, &Device::Cpu)?;
        let vb = folder.weights.var_builder(&Device::Cpu).pp("backbone");
        let network = EfficientNetLite::load_in(vb, LiteVariant::Lite0, precision)?;
        Ok(Self { network, frames: frames(count, size)? })
    }

    pub(crate) fn features(&mut self) -> Result<f64> {
        self.network.forward(&self.frames)?;
        median_of_five(|| {
            self.network.forward(&self.frames)?;
            Ok(())
        })
    }
}

/// A network that looks at a window as a whole, one window of frames to logits.
pub(crate) struct Volume {
    folder: ModelFolder,
    network: Box<dyn Backbone>,
    head: Head,
    window: Tensor,
}

impl Volume {
    /// The 3D network on `count` frames.
    pub(crate) fn new(count: usize, size: usize) -> Result<Self> {
        let mut folder = ModelFolder::named("kinetics400-i3d", &Device::Cpu)?;
        folder.config.sampling.frames = count;
        folder.preprocess = folder.preprocess.with_size(size);
        Self::of_folder(folder, Precision::F32)
    }

    /// The network of a folder.
    pub(crate) fn read(dir: &Path, precision: Precision) -> Result<Self> {
        Self::of_folder(ModelFolder::read(dir, &Device::Cpu)?, precision)
    }

    fn of_folder(mut folder: ModelFolder, precision: Precision) -> Result<Self> {
        folder.config.sampling.windows = 1;
        let vb = folder.weights.var_builder(&Device::Cpu);
        let network = folder.config.backbone.load_in(vb.pp("backbone"), precision)?;
        let classes = folder.config.id2label.len();
        let head = folder.config.head.load(network.feature_dim(), classes, vb.pp("head"))?;
        let window = frames(folder.config.sampling.frames, folder.preprocess.crop_size.height)?;
        Ok(Self { folder, network, head, window })
    }

    /// The same network for the peer.
    pub(crate) fn export(&self, path: &Path) -> Result<()> {
        Ok(std::fs::write(path, classify::model::onnx(&self.folder)?)?)
    }

    pub(crate) fn logits(&mut self) -> Result<f64> {
        median_of_five(|| {
            let features = self.network.forward(&self.window)?;
            self.head.forward(&features.unsqueeze(0)?)?;
            Ok(())
        })
    }
}

/// Forward, loss, backward, AdamW on all weights; batch normalisation keeps its statistics.
pub(crate) struct Training {
    network: TrainableEfficientNetLite,
    weight: Tensor,
    optimizer: AdamW,
    frames: Tensor,
}

impl Training {
    pub(crate) fn new(count: usize, size: usize) -> Result<Self> {
        let folder = ModelFolder::named(WEIGHTS, &Device::Cpu)?;
        let variables = VarMap::new();
        let mut trained = BTreeMap::new();
        for (name, tensor) in &folder.weights.0 {
            if !name.starts_with("backbone.") {
                continue;
            }
            let var = Var::from_tensor(&tensor.to_dtype(DType::F32)?)?;
            if !name.contains(".running_") {
                trained.insert(name.clone(), var.clone());
            }
            variables.data().lock().map_err(|e| e.to_string())?.insert(name.clone(), var);
        }
        let weight = Var::from_tensor(&Tensor::randn(0f32, 0.02f32, (1280, 101), &Device::Cpu)?)?;
        trained.insert("classifier.weight".into(), weight.clone());
        let vb = VarBuilder::from_varmap(&variables, DType::F32, &Device::Cpu).pp("backbone");
        let network = TrainableEfficientNetLite::new(vb, LiteVariant::Lite0, TrainOptions::default())?;
        let optimizer = AdamW::new(trained, BTreeMap::new(), AdamWConfig::default())?;
        Ok(Self { network, weight: weight.as_tensor().clone(), optimizer, frames: frames(count, size)? })
    }

    pub(crate) fn step(&mut self) -> Result<f64> {
        // As the program does; after the other rows, whose programs run in processes of their own.
        allocator::keep_for_training();
        let clip = self.frames.dim(0)?;
        let label = Tensor::new(&[3u32], &Device::Cpu)?;
        median_of_five(|| {
            let features = self.network.forward(&self.frames, clip)?;
            let logits = features.mean_keepdim(0)?.matmul(&self.weight)?;
            let gradients = candle_nn::loss::cross_entropy(&logits, &label)?.backward()?;
            self.optimizer.step(&gradients, 1e-4)?;
            Ok(())
        })
    }
}

/// Has the program write `model` as ONNX.
pub(crate) fn export(model: &str, path: &Path) -> Result<()> {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_classify"));
    let output = command.args(["export", model, "--onnx", "-q", "-o"]).arg(path).output()?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into()),
    }
}

/// The program itself, from the shell, with these arguments besides the clips.
pub(crate) struct Command(pub Vec<String>);

impl Command {
    fn build(&self) -> std::process::Command {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_classify"));
        command.args(["--format", "json", "-q"]).args(&self.0);
        command
    }

    /// Seconds for all clips, start-up left out: what the first few take is measured apart and taken off, and the
    /// rest is stretched to the whole number.
    pub(crate) fn label_running(&self, clips: &[PathBuf]) -> Result<f64> {
        let few = clips.len().div_ceil(5);
        let all = self.label(clips)?;
        if few == clips.len() {
            return Ok(all);
        }
        let rest = all - self.label(&clips[..few])?;
        Ok(rest * clips.len() as f64 / (clips.len() - few) as f64)
    }

    /// Seconds for all clips, start-up included.
    pub(crate) fn label(&self, clips: &[PathBuf]) -> Result<f64> {
        let start = Instant::now();
        let output = self.build().args(clips).output()?;
        let seconds = start.elapsed().as_secs_f64();
        let lines = output.stdout.iter().filter(|&&b| b == b'\n').count();
        if !output.status.success() || lines != clips.len() {
            return Err(format!(
                "{lines} of {} clips labelled: {}",
                clips.len(),
                String::from_utf8_lossy(&output.stderr)
            )
            .into());
        }
        Ok(seconds)
    }

    /// Most bytes in memory while one clip is labelled, as Linux counts them: the sum of the peaks
    /// of the program and of its worker processes.
    pub(crate) fn peak_memory(&self, clip: &Path) -> Result<f64> {
        let mut child = self.build().arg(clip).stdout(std::process::Stdio::null()).spawn()?;
        // `wait4` would report this process's own peak where that is higher.
        let mut peaks = BTreeMap::new();
        loop {
            note_peaks(child.id(), &mut peaks);
            if let Some(status) = child.try_wait()? {
                return match status.success() {
                    true => Ok(peaks.values().sum()),
                    false => Err(format!("{} could not be labelled", clip.display()).into()),
                };
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Notes how much memory a running process and those that it started have had at most.
fn note_peaks(process: u32, peaks: &mut BTreeMap<u32, f64>) {
    let read = |file: String| std::fs::read_to_string(file).unwrap_or_default();
    let status = read(format!("/proc/{process}/status"));
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    if let Some(kilobytes) = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok()) {
        peaks.insert(process, kilobytes * 1024.0);
    }
    // Children are listed with the thread that started them.
    for thread in std::fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten() {
        let children = read(format!("{}/children", thread.path().display()));
        for child in children.split_whitespace().filter_map(|id| id.parse().ok()) {
            note_peaks(child, peaks);
        }
    }
}

/// The one in which the program labels clips on this machine.
pub(crate) fn precision() -> Result<Precision> {
    Ok(Precision::detect(Kernels::detect()?)?)
}

/// Processor, cores and kernels in one line.
pub(crate) fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    let kernels = Kernels::detect().map_or("unknown", Kernels::name);
    let precision = precision().map_or("unknown", Precision::name);
    let threads = classify::internals::bulk::available_threads();
    format!("{}, {threads} cores, kernels {kernels}, {precision}", name.unwrap_or("unknown processor"))
}

/// Multiply-adds of Lite0 for one frame.
fn multiply_adds(size: usize) -> usize {
    let mut side = size.div_ceil(2);
    let mut sum = side * side * 27 * 32;
    let mut channels = 32;
    for block in LiteVariant::Lite0.blocks() {
        if block.expands() {
            sum += side * side * block.input * block.hidden;
        }
        side = side.div_ceil(block.stride);
        sum += side * side * block.hidden * (block.kernel * block.kernel + block.output);
        channels = block.output;
    }
    sum + side * side * channels * 1280
}

/// The machine's matrix product, and how much of it the network reaches.
pub(crate) fn print_limits(frames: usize, size: usize) -> Result<()> {
    let n = 1024;
    let a = Tensor::randn(0f32, 1f32, (n, n), &Device::Cpu)?;
    let product = || -> Result<()> {
        a.matmul(&a)?;
        Ok(())
    };
    median_of_five(product)?;
    let peak = 2.0 * (n * n * n) as f64 / median_of_five(product)?;
    let work = 2.0 * (multiply_adds(size) * frames) as f64;
    let seconds = Network::new(frames, size, Precision::F32)?.features()?;
    println!(
        "- matrix product {:.0} GFLOP/s; Lite0 in f32 {:.2} GFLOP, {:.0} GFLOP/s, {:.0} % of it",
        peak / 1e9,
        work / 1e9,
        work / seconds / 1e9,
        100.0 * work / seconds / peak
    );
    Ok(())
}
