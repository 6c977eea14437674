//! Max pooling over channels-last volumes.

use crate::instructions::Kernels;
use crate::shape::{Grid, Window};
use rayon::prelude::*;

/// The largest of each window of `from` for each pixel of `to`, channel by channel; padding counts
/// as −∞. Split over rayon's current pool.
///
/// `input` is `[T, H, W, channels]` without gaps, `output` likewise.
///
/// # Panics
/// Grids with gaps or of several volumes, slices shorter than they, or a CPU that lacks the instructions.
pub fn max_pool(kernels: Kernels, window: Window, input: &[f32], from: Grid, output: &mut [f32], to: Grid) {
    let kernels = kernels.expect_supported();
    let channels = from.strides[3];
    assert!(channels > 0, "a pixel without channels");
    assert_eq!(from, Grid::dense(from.dims, channels), "input's layout");
    assert_eq!(to, Grid::dense(to.dims, channels), "output's layout");
    assert!(from.dims[0] == 1 && to.dims[0] == 1, "one volume");
    assert!(input.len() >= from.len(channels), "input's size");
    let row = to.strides[2];
    let height = to.dims[2];
    output[..to.len(channels)].par_chunks_exact_mut(row.max(1)).enumerate().for_each(|(i, output)| {
        let at = [i / height, i % height];
        match kernels {
            // SAFETY: `expect_supported` has seen the instructions.
            #[cfg(target_arch = "x86_64")]
            Kernels::Avx512 => unsafe { row_avx512(window, input, from, output, at) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Kernels::Avx2 => unsafe { row_avx2(window, input, from, output, at) },
            _ => row_portable(window, input, from, output, at),
        }
    });
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn row_avx512(window: Window, input: &[f32], from: Grid, output: &mut [f32], at: [usize; 2]) {
    row_portable(window, input, from, output, at);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn row_avx2(window: Window, input: &[f32], from: Grid, output: &mut [f32], at: [usize; 2]) {
    row_portable(window, input, from, output, at);
}

/// One row of output pixels; `at`: its plane and row.
#[inline(always)]
fn row_portable(window: Window, input: &[f32], from: Grid, output: &mut [f32], at: [usize; 2]) {
    let channels = from.strides[3];
    let [_, depth, height, width] = from.dims;
    // The part of a window that lies inside the volume, along one axis.
    let inside = |axis: usize, at: usize, len: usize| {
        let start = at * window.stride[axis];
        let end = (start + window.kernel[axis]).saturating_sub(window.pad[axis]).min(len);
        start.saturating_sub(window.pad[axis])..end
    };
    output.fill(f32::NEG_INFINITY);
    for z in inside(0, at[0], depth) {
        for y in inside(1, at[1], height) {
            let line = &input[z * from.strides[1] + y * from.strides[2]..][..from.strides[2]];
            for (x, best) in output.chunks_exact_mut(channels).enumerate() {
                for pixel in inside(2, x, width).map(|x| &line[x * channels..][..channels]) {
                    for (best, value) in best.iter_mut().zip(pixel) {
                        *best = if *value > *best { *value } else { *best };
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AlignedBuf, max_pool3d_plain};
    use candle_core::{Device, Tensor};

    /// Below zero everywhere, so that padding with zeros would show.
    #[test]
    fn agrees_with_the_plain_version() {
        let channels = 19;
        for (dims, kernel, stride) in [
            ([5, 6, 7], [3, 3, 3], [1, 1, 1]),
            ([5, 6, 7], [3, 3, 3], [2, 2, 2]),
            ([4, 9, 8], [1, 3, 3], [1, 2, 2]),
            ([3, 5, 2], [2, 2, 2], [2, 2, 2]),
            ([1, 1, 1], [3, 3, 3], [2, 2, 2]),
        ] {
            let [t, h, w] = dims;
            let input: Vec<f32> = (0..t * h * w * channels).map(|i| -1.0 - (i * 37 % 101) as f32).collect();
            let x = Tensor::from_slice(&input, (t, h, w, channels), &Device::Cpu).unwrap();
            let wanted = max_pool3d_plain(&x, kernel, stride).unwrap().flatten_all().unwrap();
            let (window, [t, h, w]) = Window::same(kernel, stride, dims);
            let from = Grid::dense([1, dims[0], dims[1], dims[2]], channels);
            let to = Grid::dense([1, t, h, w], channels);
            for kernels in Kernels::ALL.into_iter().filter(|k| k.supported()) {
                let mut output = AlignedBuf::zeros(to.len(channels));
                max_pool(kernels, window, &input, from, &mut output, to);
                assert_eq!(output[..], wanted.to_vec1::<f32>().unwrap(), "{dims:?} {kernel:?} {kernels:?}");
            }
        }
    }
}
