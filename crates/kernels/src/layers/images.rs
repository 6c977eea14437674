//! The images in a tensor's memory, however they lie there.

use candle_core::{CpuStorage, Layout, Result, Tensor, bail};

/// Channels that are copied together where they lie apart: 16 numbers are a cache line of the copy.
const TOGETHER: usize = 16;

/// Images `[N, C, H, W]` of any strides.
pub(super) struct Images<'a> {
    /// From the first pixel of the first image onwards.
    pub(super) numbers: &'a [f32],
    pub(super) dims: [usize; 4],
    pub(super) strides: [usize; 4],
}

impl<'a> Images<'a> {
    /// # Errors
    /// The numbers are not `f32`, or no images of so many channels.
    pub(super) fn of(storage: &'a CpuStorage, layout: &Layout, channels: usize) -> Result<Self> {
        let CpuStorage::F32(numbers) = storage else { bail!("images are not f32") };
        match (layout.dims(), layout.stride()) {
            (&[n, c, h, w], &[sn, sc, sh, sw]) if c == channels => Ok(Self {
                numbers: &numbers[layout.start_offset()..],
                dims: [n, c, h, w],
                strides: [sn, sc, sh, sw],
            }),
            (dims, _) => bail!("images of shape {dims:?}, wanted [N, {channels}, H, W]"),
        }
    }

    /// Whether each pixel's channels are adjacent.
    pub(super) fn channels_last(&self) -> bool {
        self.strides[1] == 1
    }

    /// Copies row `y` of image `n` to `row [W, C]`.
    pub(super) fn copy_row(&self, n: usize, y: usize, row: &mut [f32]) {
        let [_, channels, _, width] = self.dims;
        let [image, plane, line, pixel] = self.strides;
        if channels * width == 0 {
            return;
        }
        let from = &self.numbers[n * image + y * line..];
        if self.channels_last() {
            if pixel == channels {
                return row.copy_from_slice(&from[..row.len()]);
            }
            for (x, to) in row.chunks_exact_mut(channels).enumerate() {
                to.copy_from_slice(&from[x * pixel..][..channels]);
            }
            return;
        }
        for first in (0..channels).step_by(TOGETHER) {
            let end = (first + TOGETHER).min(channels);
            for (x, to) in row.chunks_exact_mut(channels).enumerate() {
                for (i, to) in to[first..end].iter_mut().enumerate() {
                    *to = from[(first + i) * plane + x * pixel];
                }
            }
        }
    }
}

/// Side of the output of a convolution, as candle counts it: what hangs over behind is left out.
///
/// # Errors
/// The kernel is larger than the padded image.
pub(super) fn side(len: usize, kernel: usize, stride: usize, padding: usize) -> Result<usize> {
    match len.checked_add(2 * padding).and_then(|len| len.checked_sub(kernel)) {
        Some(left) if len > 0 => Ok(left / stride + 1),
        _ => bail!("a side of {len} pixels, padded by {padding}, is too short for a kernel of {kernel}"),
    }
}

/// A tensor's bias as numbers, or zeros.
///
/// # Errors
/// It isn't `f32 [channels]`.
pub(super) fn bias_or_zeros(bias: Option<&Tensor>, channels: usize) -> Result<Vec<f32>> {
    let Some(bias) = bias else { return Ok(vec![0.0; channels]) };
    if bias.dims() != [channels] {
        bail!("bias of shape {:?}, wanted [{channels}]", bias.dims());
    }
    bias.to_vec1()
}

/// Largest padding: that of a kernel that would see nothing else.
const MOST_PADDING: usize = 1 << 20;

/// # Errors
/// A stride of 0, or a padding beyond all measure.
pub(super) fn check_steps(stride: usize, padding: usize) -> Result<()> {
    if stride == 0 || padding > MOST_PADDING {
        bail!(
            "stride {stride} and padding {padding}: wanted a stride of 1 or more, padding up to {MOST_PADDING}"
        );
    }
    Ok(())
}
