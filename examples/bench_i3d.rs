//! Time that the I3D backbone takes for one window: `bench_i3d [FRAMES] [SIZE] [RUNS]`.

use std::time::Instant;

use candle_core::{Device, Tensor};
use classify::model::ModelFolder;

fn main() -> classify::Result<()> {
    let arg = |i: usize, usual: usize| std::env::args().nth(i).and_then(|a| a.parse().ok()).unwrap_or(usual);
    let (frames, size, runs) = (arg(1, 32), arg(2, 160), arg(3, 9));
    let folder = ModelFolder::read("models/kinetics400-i3d".as_ref(), &Device::Cpu)?;
    let net = folder.config.backbone.load(folder.weights.var_builder(&Device::Cpu).pp("backbone"))?;
    let window = Tensor::rand(-1f32, 1f32, (frames, size, size, 3), &Device::Cpu)?;
    let mut times = Vec::new();
    for _ in 0..=runs {
        let start = Instant::now();
        net.forward(&window)?;
        times.push(start.elapsed().as_secs_f64());
    }
    // The first run only warms up.
    let times = &mut times[1..];
    times.sort_by(f64::total_cmp);
    println!("{frames} × {size}²: {:.3} s median, {:.3} s best of {runs}", times[times.len() / 2], times[0]);
    Ok(())
}
