//! Temporal shift (Lin, Gan and Han 2019, "TSM", arXiv:1811.08383): before a residual block's
//! expansion an eighth of the channels comes from the next frame and an eighth from the one before,
//! so that an image network sees movement at no cost.

use super::block::Images;
use candle_core::{Result, Tensor, bail};
use classify_kernels::AlignedBuf;
use std::ops::Range;

/// The share of channels that come from each neighbour.
const SHARE: usize = 8;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Forward,
    /// The way that gradients go.
    Back,
}

/// The images `range` of `x [images]`, shifted, to `output`. `clip` frames make a clip; beyond its
/// ends there are zeros.
pub(super) fn shift(
    x: &[f32],
    images: Images,
    range: Range<usize>,
    clip: usize,
    direction: Direction,
    output: &mut [f32],
) {
    let image = images.len() / images.n;
    let part = images.channels / SHARE;
    let frame = |n: usize| &x[n * image..(n + 1) * image];
    for (n, output) in range.zip(output.chunks_exact_mut(image)) {
        output.copy_from_slice(frame(n));
        let next = (n % clip + 1 < clip && n + 1 < images.n).then(|| frame(n + 1));
        let before = (n % clip > 0).then(|| frame(n - 1));
        let sources = if direction == Direction::Forward { [next, before] } else { [before, next] };
        for (i, source) in sources.into_iter().enumerate() {
            let channels = i * part..(i + 1) * part;
            for p in (0..image).step_by(images.channels) {
                let output = &mut output[p + channels.start..p + channels.end];
                match source {
                    Some(source) => output.copy_from_slice(&source[p + channels.start..p + channels.end]),
                    None => output.fill(0.0),
                }
            }
        }
    }
}

/// The same by candle's operators: `x [N · clip, C, H, W]`.
pub(super) fn shift_plain(x: &Tensor, clip: usize) -> Result<Tensor> {
    let (n, c, h, w) = x.dims4()?;
    if clip == 0 || n % clip != 0 {
        bail!("{n} frames are no whole number of clips of {clip}");
    }
    let part = c / SHARE;
    let x = x.reshape((n / clip, clip, c, h, w))?;
    let next = x.narrow(2, 0, part)?.narrow(1, 1, clip - 1)?.pad_with_zeros(1, 0, 1)?;
    let before = x.narrow(2, part, part)?.narrow(1, 0, clip - 1)?.pad_with_zeros(1, 1, 0)?;
    let same = x.narrow(2, 2 * part, c - 2 * part)?;
    Tensor::cat(&[next, before, same], 2)?.reshape((n, c, h, w))
}

/// The images `range` of `x` as a block's expansion sees them: shifted where `clip` says how many frames a clip has.
pub(super) fn seen<'a>(
    x: &'a [f32],
    images: Images,
    clip: Option<usize>,
    range: Range<usize>,
    shifted: &'a mut AlignedBuf,
) -> &'a [f32] {
    let image = images.len() / images.n;
    match clip {
        None => &x[range.start * image..range.end * image],
        Some(clip) => {
            let shifted = shifted.at_least(range.len() * image);
            shift(x, images, range, clip, Direction::Forward, shifted);
            shifted
        }
    }
}
