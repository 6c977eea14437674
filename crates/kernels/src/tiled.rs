//! Convolution of any window with inputs and weights rounded to bfloat16, on tiles of 16 × 32 numbers: the rows of a tile
//! are 16 pixels of one tap as they lie in a rounded copy of the input, so that nothing is gathered.
//!
//! Around each plane of the copy are the border's zeros. Where a window moves by single pixels, those that its outputs see
//! lie evenly apart through a whole plane, for every tap; the sums of the border's own pixels, which come along, are
//! dropped.

use std::cell::RefCell;
use std::ops::Range;

use crate::aligned::AlignedBuf;
use crate::call::{Run, SendPtr};
use crate::gelu::Gelu;
use crate::instructions::{Bf16Unit, Kernels};
use crate::micro::bf16;
use crate::micro::blocks::{self, Block, DEEP, DEPTH, Left, PANEL, SIDE, Session, Tile};
use crate::micro::rows::{self, Finish};
use crate::panels::Panels;
use crate::place::{of_row, offset};
use crate::shape::{Window, covered, product};
use rayon::prelude::*;

/// Sums of a panel that are found at a time: with what they are found from, they stay in the level-2 cache.
const BLOCK: usize = 256;

/// The weights of a convolution, packed to tiles, and its bias.
///
/// The fields are private, as kernels trust them.
#[derive(Clone)]
pub(crate) struct TiledConv {
    unit: Bf16Unit,
    kernel: [usize; 3],
    cin: usize,
    cout: usize,
    /// Numbers from one pixel of the rounded copy to the next: whole tiles, unless pixels are so small that a row of the
    /// kernel is multiplied as one.
    pixel: usize,
    /// What is multiplied one after the other.
    steps: Vec<Step>,
    /// `[cout / 32][steps][2]`, rounded up.
    tiles: Vec<Tile>,
    /// With zeros up to whole panels.
    bias: AlignedBuf,
}

/// Adjacent numbers that are multiplied in one step.
#[derive(Clone)]
struct Step {
    /// Place in the kernel: depth, height, width.
    tap: [usize; 3],
    /// First number, seen from the tap's pixel.
    from: usize,
    /// First row of the weights `[taps · cin, cout]`, and how many there are.
    row: usize,
    rows: usize,
}

/// The rounded copy of an input.
struct Rounded {
    /// Volumes, and depth, height and width with the border.
    dims: [usize; 4],
    pixel: usize,
}

impl Rounded {
    fn new(window: &Window, [n, outputs @ ..]: [usize; 4], pixel: usize) -> Self {
        let [d, h, w] = std::array::from_fn(|i| covered(outputs[i], window.stride[i], window.kernel[i]));
        Self { dims: [n, d, h, w], pixel }
    }

    /// Numbers in it.
    fn len(&self) -> usize {
        product(&self.dims) * self.pixel
    }

    /// Where a pixel begins.
    fn at(&self, [n, z, y, x]: [usize; 4]) -> usize {
        let [_, d, h, w] = self.dims;
        (((n * d + z) * h + y) * w + x) * self.pixel
    }
}

thread_local! {
    static ROUNDED: RefCell<AlignedBuf> = RefCell::default();
    static SUMS: RefCell<AlignedBuf> = RefCell::default();
}

impl TiledConv {
    /// # Panics
    /// A CPU without the instructions, or a `kernel` (depth, height, width) of another size.
    pub(crate) fn new(unit: Bf16Unit, kernel: [usize; 3], panels: &Panels) -> Self {
        assert!(Kernels::Avx512.bf16_unit() >= Some(unit), "this CPU doesn't multiply bfloat16");
        assert_eq!(kernel.iter().product::<usize>(), panels.taps(), "kernel's size");
        let (cin, cout) = (panels.cin(), panels.cout());
        let pixel = if cin < DEPTH { cin } else { cin.next_multiple_of(DEPTH) };
        let mut bias = AlignedBuf::zeros(cout.next_multiple_of(PANEL));
        bias[..cout].copy_from_slice(&panels.bias()[..cout]);
        let steps = steps(kernel, cin);
        let mut tiles = vec![Tile::ZERO; product(&[cout.div_ceil(PANEL), steps.len(), 2])];
        tiles.par_chunks_exact_mut(2 * steps.len()).enumerate().for_each(|(panel, tiles)| {
            for half in 0..2 {
                let first = panel * PANEL + half * SIDE;
                if first >= cout {
                    break;
                }
                let (weights, width) = panels.columns(first);
                for (step, tiles) in steps.iter().zip(tiles.chunks_exact_mut(2)) {
                    let from = weights[step.row * width..].as_ptr();
                    let cols = (cout - first).min(SIDE);
                    // SAFETY: a panel has as many rows and whole vectors of columns; the unit was checked.
                    unsafe { blocks::pack_pairs(from, width, step.rows, cols, &raw mut tiles[half]) }
                }
            }
        });
        Self { unit, kernel, cin, cout, pixel, steps, tiles, bias }
    }

    /// Depth, height, width.
    pub(crate) fn kernel(&self) -> [usize; 3] {
        self.kernel
    }

    /// A run that has been checked for these sizes, to its `output`; on this thread, or split over rayon's current pool.
    ///
    /// # Safety
    /// `output` is the run's, and nobody else uses it.
    pub(crate) unsafe fn run(&self, run: &Run, output: SendPtr, parallel: bool) {
        let rows = run.rows();
        if rows == 0 || run.to.dims[3] == 0 {
            return;
        }
        let copy = Rounded::new(&run.window, run.to.dims, self.pixel);
        // While this thread waits for others, it may begin another run.
        let mut rounded = ROUNDED.take();
        // A tile's last rows may lie behind the last pixel.
        let spare = PANEL * run.window.stride[2] * self.pixel + DEPTH;
        let numbers = rounded.at_least((copy.len() + spare).div_ceil(2));
        // SAFETY: two for one, and any bits are numbers.
        let numbers =
            unsafe { std::slice::from_raw_parts_mut(numbers.as_mut_ptr().cast::<u16>(), copy.len() + spare) };
        let (inside, behind) = numbers.split_at_mut(copy.len());
        behind.fill(0);
        let line = copy.dims[3] * self.pixel;
        let round = |(i, to): (usize, &mut [u16])| self.round_line(run, &copy, i, to);
        if parallel {
            let together = (1 << 14) / line + 1;
            inside.par_chunks_exact_mut(line).enumerate().with_min_len(together).for_each(round);
        } else {
            inside.chunks_exact_mut(line).enumerate().for_each(round);
        }
        let work = Work::new(self, run, output, &copy, numbers);
        if parallel {
            work.tasks().into_par_iter().for_each(|(pixels, panels)| work.task(pixels, panels));
        } else {
            for first in (0..work.len()).step_by(BLOCK) {
                work.task(first..(first + BLOCK).min(work.len()), 0..self.panels());
            }
        }
        ROUNDED.set(rounded);
    }

    fn panels(&self) -> usize {
        self.cout.div_ceil(PANEL)
    }

    /// Line `i` of the copy, counted through volumes and planes.
    fn round_line(&self, run: &Run, copy: &Rounded, i: usize, to: &mut [u16]) {
        let [n, z, y] = of_row(copy.dims, i);
        let w = copy.dims[3];
        let (pad, from) = (run.window.pad, &run.from);
        let inside =
            |at: usize, axis: usize| at.checked_sub(pad[axis - 1]).filter(|at| *at < from.dims[axis]);
        let (Some(z), Some(y)) = (inside(z, 1), inside(y, 2)) else { return to.fill(0) };
        let left = pad[2].min(w);
        let pixels = from.dims[3].min(w - left);
        let (before, rest) = to.split_at_mut(left * self.pixel);
        let (to, after) = rest.split_at_mut(pixels * self.pixel);
        before.fill(0);
        after.fill(0);
        let at = offset(&from.strides, [n, z, y, 0]);
        let (row, len) = (run.input[at..].as_ptr(), run.input.len() - at);
        assert!(pixels == 0 || (pixels - 1) * from.strides[3] + self.cin <= len, "the input's grid");
        if self.pixel == self.cin && from.strides[3] == self.cin {
            // SAFETY: the row was compared with the input; `new` has seen the instructions.
            return unsafe { bf16::round(row, to.len(), to.as_mut_ptr()) };
        }
        for (x, to) in to.chunks_exact_mut(self.pixel).enumerate() {
            to[self.cin..].fill(0);
            // SAFETY: as above.
            unsafe { bf16::round(row.wrapping_add(x * from.strides[3]), self.cin, to.as_mut_ptr()) }
        }
    }
}

/// The steps of a convolution; those of small pixels take a whole row of the kernel, where they lie without gaps.
fn steps([kd, kh, kw]: [usize; 3], cin: usize) -> Vec<Step> {
    let together = if cin < DEPTH { kw } else { 1 };
    let mut steps = Vec::new();
    for (z, y) in (0..kd).flat_map(|z| (0..kh).map(move |y| (z, y))) {
        for x in (0..kw).step_by(together) {
            let row = ((z * kh + y) * kw + x) * cin;
            let numbers = together * cin;
            steps.extend((0..numbers).step_by(DEPTH).map(|from| Step {
                tap: [z, y, x],
                from,
                row: row + from,
                rows: (numbers - from).min(DEPTH),
            }));
        }
    }
    steps
}

/// A run's products, once its input is rounded. Pixels are counted through stretches, in each of which they lie evenly
/// apart, the border's own ones among them.
struct Work<'a> {
    conv: &'a TiledConv,
    run: &'a Run<'a>,
    output: SendPtr,
    copy: &'a Rounded,
    numbers: &'a [u16],
    /// Bytes from a pixel to what each step reads.
    steps: Vec<usize>,
    /// Output rows of a stretch.
    rows: usize,
    /// Pixels from one output row of a stretch to the next.
    row: usize,
    /// Pixels of a stretch, in whole blocks.
    stretch: usize,
}

impl<'a> Work<'a> {
    fn new(
        conv: &'a TiledConv,
        run: &'a Run,
        output: SendPtr,
        copy: &'a Rounded,
        numbers: &'a [u16],
    ) -> Self {
        let [_, _, height, width] = run.to.dims;
        let [_, row_stride, step] = run.window.stride;
        let rows = if run.is_point() {
            run.rows()
        } else if row_stride == 1 && step == 1 {
            height
        } else {
            1
        };
        let row = copy.dims[3];
        let pixels = (rows - 1) * row + width;
        let bytes = |step: &Step| {
            let [z, y, x] = step.tap;
            (copy.at([0, z, y, x]) + step.from) * size_of::<u16>()
        };
        let steps = conv.steps.iter().map(bytes).collect();
        // Whole blocks, so that none has pixels of two stretches.
        Self { conv, run, output, copy, numbers, steps, rows, row, stretch: pixels.next_multiple_of(BLOCK) }
    }

    /// Pixels of all stretches.
    fn len(&self) -> usize {
        self.run.rows() / self.rows * self.stretch
    }

    /// A block of pixels each, and some panels: several tasks a thread so that none waits long.
    fn tasks(&self) -> Vec<(Range<usize>, Range<usize>)> {
        let (blocks, panels) = (self.len() / BLOCK, self.conv.panels());
        let along = (4 * rayon::current_num_threads()).div_ceil(blocks).min(panels);
        let task = |block: usize, i: usize| {
            (block * BLOCK..(block + 1) * BLOCK, panels * i / along..panels * (i + 1) / along)
        };
        (0..blocks).flat_map(|block| (0..along).map(move |i| task(block, i))).collect()
    }

    /// One block of pixels.
    fn task(&self, pixels: Range<usize>, panels: Range<usize>) {
        let (stretch, first) = (pixels.start / self.stretch, pixels.start % self.stretch);
        let width = self.run.to.dims[3];
        let count = ((self.rows - 1) * self.row + width).saturating_sub(first).min(BLOCK);
        if count == 0 {
            return;
        }
        let [step_z, step_y, step] = self.run.window.stride;
        let row = stretch * self.rows;
        let [n, z, y] = of_row(self.run.to.dims, row);
        let start = [n, z * step_z, y * step_y, 0];
        let line = step * self.conv.pixel * size_of::<u16>();
        let from = self.numbers[self.copy.at(start)..].as_ptr().cast::<u8>().wrapping_add(first * line);
        let mut sums = SUMS.take();
        let to = sums.at_least(BLOCK * PANEL);
        // SAFETY: `TiledConv::new` has seen the instructions.
        let session = unsafe { Session::new(self.conv.unit) };
        for panel in panels {
            let tiles = &self.conv.tiles[panel * self.steps.len() * 2..];
            for (i, steps) in self.steps.chunks(DEEP).enumerate() {
                for at in (0..count).step_by(2 * SIDE) {
                    let left = Left { from: from.wrapping_add(at * line), line, below: SIDE * line, steps };
                    let block = Block {
                        left,
                        right: tiles[i * DEEP * 2..].as_ptr(),
                        out: to[at * PANEL..].as_mut_ptr(),
                        out_row: PANEL,
                        rows: (count - at).min(2 * SIDE),
                        add: i > 0,
                    };
                    // SAFETY: the copy holds all that whole tiles read, and `to` all that they write.
                    unsafe { blocks::multiply(&session, &block) }
                }
            }
            self.finish(row, first..first + count, panel * PANEL, to);
        }
        drop(session);
        SUMS.set(sums);
    }

    /// Bias, residual, activation and output of the `sums [pixels, 32]` for channels from `channel` on. The pixels are of
    /// the stretch that begins with output row `row`.
    fn finish(&self, row: usize, pixels: Range<usize>, channel: usize, sums: &[f32]) {
        let (run, width) = (self.run, self.run.to.dims[3]);
        let cols = (self.conv.cout - channel).min(PANEL);
        let mut at = pixels.start;
        while at < pixels.end {
            let (y, x) = (at / self.row, at % self.row);
            let end = pixels.end.min((y + 1) * self.row);
            let count = width.saturating_sub(x).min(end - at);
            if count > 0 {
                let [n, z, y] = of_row(run.to.dims, row + y);
                let first = |strides: &[usize; 4]| offset(strides, [n, z, y, x]) + channel;
                let finish = Finish {
                    from: sums[(at - pixels.start) * PANEL..].as_ptr(),
                    from_row: PANEL,
                    bias: Some(self.conv.bias[channel..].as_ptr()),
                    gelu: Gelu::None,
                    residual: run
                        .residual
                        .map(|(numbers, grid)| (numbers[first(&grid.strides)..].as_ptr(), grid.strides[3])),
                    clamp: Some(run.activation.clamp()),
                    out: self.output.get().wrapping_add(first(&run.to.strides)),
                    out_row: run.to.strides[3],
                    rows: count,
                    cols,
                };
                // SAFETY: `Run::check` has compared the slices with their grids, and each task has pixels or channels of
                // its own.
                unsafe { rows::finish(Kernels::Avx512, &finish) }
            }
            at = end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conv::PackedConv;
    use crate::shape::{Activation, Grid};
    use crate::{Kernels, Precision};
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn random(rng: &mut ChaCha8Rng, n: usize) -> Vec<f32> {
        (0..n).map(|_| rng.random_range(-1.0..1.0)).collect()
    }

    /// Windows, strides and channels of all kinds, gaps in the output, with and without a residual. The plain loops round
    /// the same numbers, so only the order of the sums differs.
    #[test]
    fn equals_plain_loops_on_both_units() {
        let Some(fastest) = Kernels::Avx512.bf16_unit() else {
            println!("skipped: this CPU has no AVX-512 BF16");
            return;
        };
        let mut rng = ChaCha8Rng::seed_from_u64(6);
        for case in 0..120 {
            let mut any = |most: usize| rng.random_range(1..=most);
            let kernel = [[1, 1, 1], [3, 3, 3], [1, 3, 3], [2, 1, 4], [7, 7, 7]][any(5) - 1];
            let stride = [[1; 3], [2; 3], [1, 2, 1], [2, 1, 1]][any(4) - 1];
            let dims = [any(5), any(9), any(20)];
            let (n, cin, cout) = (any(2), if kernel == [7; 3] { any(4) } else { any(70) }, any(70));
            let (window, [d, h, w]) = Window::same(kernel, stride, dims);
            let (input_dims, output_dims) = ([n, dims[0], dims[1], dims[2]], [n, d, h, w]);
            let gap = any(3) - 1;
            let (from, to) = (Grid::dense(input_dims, cin + gap), Grid::dense(output_dims, cout + 2 * gap));
            let (weight, bias) = (random(&mut rng, product(&kernel) * cin * cout), random(&mut rng, cout));
            let (input, residual) =
                (random(&mut rng, from.len(cin)), random(&mut rng, Grid::dense(output_dims, cout).len(cout)));
            let activation = [Activation::None, Activation::Relu][case % 2];
            let residual = (case % 3 == 0).then(|| (&residual[..], Grid::dense(output_dims, cout)));
            let run = |output: &mut [f32], go: &dyn Fn(Run)| {
                go(Run { window, transposed: false, input: &input, from, output, to, residual, activation })
            };
            let sizes = [product(&kernel), cin, cout];
            let mut plain = PackedConv::from_torch(Kernels::Plain, sizes, &weight, &bias);
            plain.set_precision(Precision::Bf16, kernel);
            let mut wanted = vec![7.0; to.len(cout)];
            run(&mut wanted, &|run| plain.run(run));
            for unit in [Bf16Unit::Avx512, fastest] {
                let conv = TiledConv::new(unit, kernel, &Panels::from_torch(sizes, &weight, &bias));
                for parallel in [false, true] {
                    let mut found = vec![7.0; to.len(cout)];
                    let output = SendPtr::new(&mut found);
                    // SAFETY: the output is as long as its grid says.
                    run(&mut [], &|run| unsafe { conv.run(&run, output, parallel) });
                    let off = wanted.iter().zip(&found).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                    let what = format!("case {case}: {kernel:?} by {stride:?}, {cin} to {cout}, {unit:?}");
                    assert!(off <= 2e-4 * (product(&kernel) * cin) as f32 / 100.0 + 1e-5, "{what}: {off}");
                }
            }
        }
    }
}
