//! 3×3×3 convolution by Winograd's minimal filtering in height and width: F(4×4, 3×3) of Lavin and
//! Gray, "Fast Algorithms for Convolutional Neural Networks" (2015, arXiv:1509.09308).
//!
//! A tile of 4×4 outputs needs 36 products a channel pair and time step of the kernel instead of
//! 144. Each of the 36 transformed points is a convolution over time alone, which [`PackedConv`]
//! runs. The transformed weights are four times larger: worth it where a map is large and the
//! weights are few.

use std::cell::RefCell;

use crate::aligned::AlignedBuf;
use crate::call::{Run, SendPtr};
use crate::conv::PackedConv;
use crate::instructions::Kernels;
use crate::shape::{Activation, Grid, Window, product};

/// Side of a tile of outputs, and of the inputs that it sees.
const OUT: usize = 4;
const SEEN: usize = OUT + 2;
const POINTS: usize = SEEN * SEEN;
/// Channels that are transformed together.
const LANES: usize = 16;
/// Output planes of one piece of work; it also transforms a plane before and one behind.
const PLANES: usize = 8;

type Lane = [f32; LANES];

/// Weights of a 3×3×3 convolution with stride 1 and SAME padding, transformed.
///
/// The fields are private, as kernels trust them.
pub struct WinogradConv {
    kernels: Kernels,
    cin: usize,
    cout: usize,
    /// One convolution over time for each transformed point.
    points: Vec<PackedConv>,
    bias: Vec<f32>,
}

/// Memory of one thread, reused.
#[derive(Default)]
struct Scratch {
    /// `[POINTS, planes, tiles, cin]`
    inputs: AlignedBuf,
    /// `[POINTS, planes, tiles, cout]`
    sums: AlignedBuf,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

impl WinogradConv {
    /// Weights in PyTorch's order `[cout, cin, 3, 3, 3]`; both numbers of channels are multiples of 16.
    ///
    /// # Panics
    /// They aren't, `weight` or `bias [cout]` has another size, or this CPU lacks the instructions.
    pub fn from_torch(kernels: Kernels, [cin, cout]: [usize; 2], weight: &[f32], bias: &[f32]) -> Self {
        assert!(cin.is_multiple_of(LANES) && cout.is_multiple_of(LANES), "channels in multiples of {LANES}");
        assert!(cin > 0 && cout > 0, "a convolution without channels");
        assert_eq!(weight.len(), product(&[cout, cin, 27]), "weight's size");
        assert_eq!(bias.len(), cout, "one bias for each output channel");
        // [points, 3, cin, cout]
        let mut points = vec![0.0; POINTS * 3 * cin * cout];
        for (t, i) in (0..3).flat_map(|t| (0..cin).map(move |i| (t, i))) {
            for o in 0..cout {
                let kernel = &weight[((o * cin + i) * 3 + t) * 9..][..9];
                for (point, value) in transform_kernel(kernel).into_iter().enumerate() {
                    points[((point * 3 + t) * cin + i) * cout + o] = value;
                }
            }
        }
        let zeros = vec![0.0; cout];
        let pack = |point: &[f32]| PackedConv::from_rows(kernels, [3, cin, cout], point, &zeros);
        let points = points.chunks_exact(3 * cin * cout).map(pack).collect();
        Self { kernels, cin, cout, points, bias: bias.to_vec() }
    }

    /// `input [T, H, W, cin]` without gaps to the pixels of `to`. Split over rayon's current pool.
    ///
    /// # Panics
    /// `to` isn't one volume of `dims`, its pixels overlap, or a slice is shorter than its volume.
    pub fn run_parallel(
        &self,
        input: &[f32],
        dims: [usize; 3],
        output: &mut [f32],
        to: Grid,
        activation: Activation,
    ) {
        let [planes, height, width] = dims;
        assert_eq!(to.dims, [1, planes, height, width], "output's shape");
        assert!(input.len() >= product(&[planes, height, width, self.cin]), "input's size");
        assert!(output.len() >= to.len(self.cout), "output's size");
        to.check_apart(self.cout);
        let output = SendPtr::new(output);
        rayon::scope(|scope| {
            for first in (0..planes).step_by(PLANES) {
                for y in (0..height).step_by(OUT) {
                    let strip = Strip { conv: self, input, dims, to, first, y, clamp: activation.clamp() };
                    scope.spawn(move |_| SCRATCH.with_borrow_mut(|scratch| strip.run(output.get(), scratch)));
                }
            }
        });
    }
}

/// Output rows `y..y + 4` of planes `first..first + 8`.
#[derive(Clone, Copy)]
struct Strip<'a> {
    conv: &'a WinogradConv,
    input: &'a [f32],
    dims: [usize; 3],
    to: Grid,
    first: usize,
    y: usize,
    clamp: (f32, f32),
}

impl Strip<'_> {
    fn run(self, output: *mut f32, scratch: &mut Scratch) {
        let (cin, cout) = (self.conv.cin, self.conv.cout);
        let [planes, _, width] = self.dims;
        let tiles = width.div_ceil(OUT);
        let last = (self.first + PLANES).min(planes);
        // The planes that the kernel sees; those over the border count as zeros.
        let begin = self.first.saturating_sub(1);
        let end = (last + 1).min(planes);
        let (seen, made) = ((end - begin) * tiles * cin, (last - self.first) * tiles * cout);
        let inputs = scratch.inputs.at_least(POINTS * seen);
        let sums = scratch.sums.at_least(POINTS * made);
        match self.conv.kernels {
            // SAFETY: `from_torch` has seen the instructions.
            #[cfg(target_arch = "x86_64")]
            Kernels::Avx512 => unsafe { inputs_avx512(&self, begin..end, inputs) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Kernels::Avx2 => unsafe { inputs_avx2(&self, begin..end, inputs) },
            _ => transform_inputs(&self, begin..end, inputs),
        }
        let window = Window { kernel: [3, 1, 1], stride: [1; 3], pad: [1 - (self.first - begin), 0, 0] };
        for ((conv, input), output) in
            self.conv.points.iter().zip(inputs.chunks_exact(seen)).zip(sums.chunks_exact_mut(made))
        {
            conv.run(Run {
                window,
                transposed: false,
                input,
                from: Grid::dense([1, end - begin, 1, tiles], cin),
                output,
                to: Grid::dense([1, last - self.first, 1, tiles], cout),
                residual: None,
                activation: Activation::None,
            });
        }
        match self.conv.kernels {
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Kernels::Avx512 => unsafe { outputs_avx512(&self, last, sums, output) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Kernels::Avx2 => unsafe { outputs_avx2(&self, last, sums, output) },
            _ => transform_outputs(&self, last, sums, output),
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn inputs_avx512(strip: &Strip, planes: std::ops::Range<usize>, inputs: &mut [f32]) {
    transform_inputs(strip, planes, inputs);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn inputs_avx2(strip: &Strip, planes: std::ops::Range<usize>, inputs: &mut [f32]) {
    transform_inputs(strip, planes, inputs);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn outputs_avx512(strip: &Strip, last: usize, sums: &[f32], output: *mut f32) {
    transform_outputs(strip, last, sums, output);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn outputs_avx2(strip: &Strip, last: usize, sums: &[f32], output: *mut f32) {
    transform_outputs(strip, last, sums, output);
}

/// `BᵀdB` of every 6×6 patch that the strip's tiles see, channel by channel.
#[inline(always)]
fn transform_inputs(strip: &Strip, planes: std::ops::Range<usize>, inputs: &mut [f32]) {
    let [_, height, width] = strip.dims;
    let cin = strip.conv.cin;
    let tiles = width.div_ceil(OUT);
    let point = planes.len() * tiles * cin;
    for (p, plane) in planes.enumerate() {
        let plane = &strip.input[plane * height * width * cin..][..height * width * cin];
        for tile in 0..tiles {
            for channel in (0..cin).step_by(LANES) {
                let mut patch = [[[0.0; LANES]; SEEN]; SEEN];
                for (i, row) in patch.iter_mut().enumerate() {
                    // One row and pixel of padding stand before the first.
                    let Some(y) = (strip.y + i).checked_sub(1).filter(|y| *y < height) else { continue };
                    for (j, lane) in row.iter_mut().enumerate() {
                        let Some(x) = (tile * OUT + j).checked_sub(1).filter(|x| *x < width) else {
                            continue;
                        };
                        lane.copy_from_slice(&plane[(y * width + x) * cin + channel..][..LANES]);
                    }
                }
                let mut half = [[[0.0; LANES]; SEEN]; SEEN];
                for j in 0..SEEN {
                    let column = input_side(std::array::from_fn(|i| patch[i][j]));
                    (0..SEEN).for_each(|i| half[i][j] = column[i]);
                }
                let at = (p * tiles + tile) * cin + channel;
                for (i, row) in half.into_iter().enumerate() {
                    for (j, lane) in input_side(row).into_iter().enumerate() {
                        inputs[(i * SEEN + j) * point + at..][..LANES].copy_from_slice(&lane);
                    }
                }
            }
        }
    }
}

/// `clamp(AᵀmA + bias)` of every tile of the strip, as far as it lies inside the map.
#[inline(always)]
fn transform_outputs(strip: &Strip, last: usize, sums: &[f32], output: *mut f32) {
    let [_, height, width] = strip.dims;
    let cout = strip.conv.cout;
    let tiles = width.div_ceil(OUT);
    let point = (last - strip.first) * tiles * cout;
    let (lo, hi) = strip.clamp;
    let [_, plane_step, row_step, pixel_step] = strip.to.strides;
    for plane in strip.first..last {
        for tile in 0..tiles {
            for channel in (0..cout).step_by(LANES) {
                let at = ((plane - strip.first) * tiles + tile) * cout + channel;
                let mut half = [[[0.0; LANES]; SEEN]; OUT];
                for j in 0..SEEN {
                    let column = output_side(std::array::from_fn(|i| {
                        let mut lane = [0.0; LANES];
                        lane.copy_from_slice(&sums[(i * SEEN + j) * point + at..][..LANES]);
                        lane
                    }));
                    (0..OUT).for_each(|i| half[i][j] = column[i]);
                }
                let mut bias = [0.0; LANES];
                bias.copy_from_slice(&strip.conv.bias[channel..][..LANES]);
                for (i, row) in half.into_iter().enumerate().take(height - strip.y) {
                    let start = plane * plane_step + (strip.y + i) * row_step + channel;
                    for (j, lane) in output_side(row).into_iter().enumerate().take(width - tile * OUT) {
                        let lane = each(|c| {
                            let x = lane[c] + bias[c];
                            let x = if x < lo { lo } else { x };
                            if x > hi { hi } else { x }
                        });
                        let at = start + (tile * OUT + j) * pixel_step;
                        // SAFETY: `run_parallel` has compared the output's size with its grid, in
                        // which this pixel lies; no other strip writes it.
                        unsafe { output.add(at).cast::<Lane>().write_unaligned(lane) };
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn each(f: impl Fn(usize) -> f32) -> Lane {
    std::array::from_fn(f)
}

/// `Bᵀx`.
#[inline(always)]
fn input_side(x: [Lane; SEEN]) -> [Lane; SEEN] {
    let even4 = each(|c| x[4][c] - 4.0 * x[2][c]);
    let odd4 = each(|c| x[3][c] - 4.0 * x[1][c]);
    let even = each(|c| x[4][c] - x[2][c]);
    let odd = each(|c| 2.0 * (x[3][c] - x[1][c]));
    [
        each(|c| 4.0 * x[0][c] - 5.0 * x[2][c] + x[4][c]),
        each(|c| even4[c] + odd4[c]),
        each(|c| even4[c] - odd4[c]),
        each(|c| even[c] + odd[c]),
        each(|c| even[c] - odd[c]),
        each(|c| 4.0 * x[1][c] - 5.0 * x[3][c] + x[5][c]),
    ]
}

/// `Aᵀx`.
#[inline(always)]
fn output_side(x: [Lane; SEEN]) -> [Lane; OUT] {
    let (sum1, diff1) = (each(|c| x[1][c] + x[2][c]), each(|c| x[1][c] - x[2][c]));
    let (sum2, diff2) = (each(|c| x[3][c] + x[4][c]), each(|c| x[3][c] - x[4][c]));
    [
        each(|c| x[0][c] + sum1[c] + sum2[c]),
        each(|c| diff1[c] + 2.0 * diff2[c]),
        each(|c| sum1[c] + 4.0 * sum2[c]),
        each(|c| diff1[c] + 8.0 * diff2[c] + x[5][c]),
    ]
}

/// `GgGᵀ` of a 3×3 kernel, row by row.
fn transform_kernel(kernel: &[f32]) -> [f32; POINTS] {
    let side = |g: [f64; 3]| {
        let (even, odd) = (g[0] + g[2], g[1]);
        let (even2, odd2) = (g[0] / 24.0 + g[2] / 6.0, g[1] / 12.0);
        [g[0] / 4.0, -(even + odd) / 6.0, (odd - even) / 6.0, even2 + odd2, even2 - odd2, g[2]]
    };
    let columns: [[f64; SEEN]; 3] =
        std::array::from_fn(|x| side(std::array::from_fn(|y| f64::from(kernel[y * 3 + x]))));
    let mut points = [0.0; POINTS];
    for (i, row) in points.chunks_exact_mut(SEEN).enumerate() {
        for (point, value) in row.iter_mut().zip(side(columns.map(|column| column[i]))) {
            *point = value as f32;
        }
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Odd sizes, a map smaller than a tile, and an output that lies among other channels.
    #[test]
    fn equals_the_direct_convolution() {
        let number = |i: usize| ((i * 7919 % 2003) as f32 / 2003.0) - 0.5;
        let (cin, cout, all) = (32, 48, 64);
        let weight: Vec<f32> = (0..cout * cin * 27).map(|i| number(i) / 10.0).collect();
        let bias: Vec<f32> = (0..cout).map(number).collect();
        for dims in [[1, 1, 1], [2, 3, 5], [9, 8, 11], [17, 4, 4]] {
            let [t, h, w] = dims;
            let input: Vec<f32> = (0..t * h * w * cin).map(|i| number(i + 5)).collect();
            let to = Grid::dense([1, t, h, w], all);
            for kernels in Kernels::ALL.into_iter().filter(|k| k.supported()) {
                let mut wanted = vec![9.0; t * h * w * all];
                let mut found = wanted.clone();
                let (window, _) = Window::same([3; 3], [1; 3], dims);
                PackedConv::from_torch(kernels, [27, cin, cout], &weight, &bias).run_parallel(Run {
                    window,
                    transposed: false,
                    input: &input,
                    from: Grid::dense([1, t, h, w], cin),
                    output: &mut wanted[16..],
                    to,
                    residual: None,
                    activation: Activation::Relu,
                });
                let conv = WinogradConv::from_torch(kernels, [cin, cout], &weight, &bias);
                conv.run_parallel(&input, dims, &mut found[16..], to, Activation::Relu);
                for (i, (found, wanted)) in found.iter().zip(&wanted).enumerate() {
                    assert!(
                        (found - wanted).abs() < 1e-4,
                        "{dims:?} {kernels:?} {i}: {found}, wanted {wanted}"
                    );
                }
            }
        }
    }
}
