//! Which CNN to start from, where the user doesn't say.

use std::time::{Duration, Instant};

use candle_core::Device;

use crate::learning::dataset::{Dataset, Sample};
use crate::model::ModelFiles;
use crate::video::DecodeOptions;
use crate::{Classifier, Result};

/// Sees motion: the better start for most actions, at several times the cost.
const THOROUGH: &str = "kinetics400-i3d";
/// Sees pictures.
const QUICK: &str = "imagenet-lite0";

/// A CNN and why it was taken.
#[derive(Debug, Clone)]
pub struct Choice {
    /// Name or folder of a model.
    pub backbone: String,
    /// Why this one, for people.
    pub reason: String,
}

/// The 3D network where it can look at all clips of `data` within `budget`, else the image network.
///
/// The time is judged by that for a few of the clips, on `threads` cores, at so many windows a clip and pixels a side;
/// the network's own where not given.
pub fn choose_backbone(
    data: &Dataset,
    (windows, size): (Option<usize>, Option<usize>),
    budget: Duration,
    threads: usize,
) -> Result<Choice> {
    if budget == Duration::ZERO {
        return Ok(Choice {
            backbone: QUICK.into(),
            reason: "no minutes are to be spent on choosing a larger one".into(),
        });
    }
    let mut files = ModelFiles::named(THOROUGH)?;
    if let Some(windows) = windows {
        files = files.with_windows(windows);
    }
    if let Some(size) = size {
        files = files.with_size(size);
    }
    let classifier = Classifier::new(&files.load(&Device::Cpu)?, &Device::Cpu)?;
    // Clips from all over the set, so that long ones count for what they are. The first warms up.
    let samples: Vec<&Sample> = data.samples.iter().chain(&data.none.samples).collect();
    let tried = (0..5).filter_map(|i| samples.get(i * samples.len() / 5));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
    let time = |sample: &&Sample| -> Option<Duration> {
        let start = Instant::now();
        let look = || {
            let frames = classifier.frames(&sample.path, &DecodeOptions::of(sample.span)).ok()?;
            classifier.features(&frames).ok()
        };
        pool.as_ref().ok()?.install(look).map(|_| start.elapsed())
    };
    let times: Vec<Duration> = tried.filter_map(time).collect();
    let measured = if times.len() > 1 { &times[1..] } else { &times };
    let Some(mean) = measured.iter().sum::<Duration>().checked_div(measured.len() as u32) else {
        return Ok(Choice { backbone: QUICK.into(), reason: "none of the clips tried could be read".into() });
    };
    let estimate = mean.mul_f64(samples.len() as f64 / threads.max(1) as f64);
    let minutes = |d: Duration| format!("{:.1} min", d.as_secs_f64() / 60.0);
    let (backbone, verdict) = if estimate <= budget { (THOROUGH, "within") } else { (QUICK, "over") };
    let reason = format!(
        "{THOROUGH} would look at the {} clips for about {} on {threads} cores, {verdict} the budget of {}",
        samples.len(),
        minutes(estimate),
        minutes(budget),
    );
    Ok(Choice { backbone: backbone.into(), reason })
}
