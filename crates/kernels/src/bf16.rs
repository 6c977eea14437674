//! 1×1 convolution with inputs and weights rounded to bfloat16 and sums in `f32`: two products in the time of
//! one, on CPUs with AVX-512 BF16 (Zen 4, Cooper Lake, Sapphire Rapids and later).
//!
//! The tensors in between stay `f32`; a block of pixels is rounded on its way into the nearest cache. A
//! bfloat16 has the range of an `f32` and 8 significant bits, so that a product is off by 2⁻⁷ of itself at most.

use std::ops::Range;

use crate::aligned::AlignedBuf;
use crate::call::Run;
use crate::instructions::has_bf16;
use crate::micro::bf16::{self, Pair, ROWS, Tile};
use crate::micro::tile::Tap;
use crate::panels::{Panels, cuts};
use crate::place::{Placed, Position};

/// Bytes of rounded input at a time: with the weights of a panel, about a level-1 cache and a half.
const BLOCK: usize = 64 * 1024;

/// The weights of a 1×1 convolution, `[cin / 2, width]` pairs for each panel of output channels, and its bias.
///
/// The fields are private, as kernels trust them; there are such panels only where the CPU multiplies bfloat16.
#[derive(Clone)]
pub(crate) struct Bf16Panels {
    cin: usize,
    cout: usize,
    /// A cache line each, so that no load straddles two.
    lines: Vec<Line>,
    /// With zeros up to whole vectors.
    bias: AlignedBuf,
}

#[derive(Clone, Copy)]
#[repr(align(64))]
#[expect(dead_code, reason = "read through a pointer")]
struct Line([Pair; 16]);

impl Bf16Panels {
    /// Rounds the weights of a 1×1 convolution.
    ///
    /// # Panics
    /// A larger window, or a CPU without the instructions.
    pub(crate) fn new(panels: &Panels) -> Self {
        assert_eq!(panels.taps(), 1, "a 1×1 convolution");
        assert!(has_bf16(), "this CPU doesn't multiply bfloat16");
        let (cin, cout) = (panels.cin(), panels.cout());
        let rounded = |x: &f32| Pair::from(half::bf16::from_f32(*x).to_bits());
        let mut lines = Vec::with_capacity(cin.div_ceil(2) * cout.div_ceil(16));
        for (first, width) in cuts(cout) {
            let panel = &panels.panel(first)[..width * cin];
            for rows in panel.chunks(2 * width) {
                let (even, odd) = rows.split_at(width);
                for at in (0..width).step_by(16) {
                    let mut line: [Pair; 16] = std::array::from_fn(|i| rounded(&even[at + i]));
                    // The last of an odd number of rows has no partner.
                    line.iter_mut().zip(odd.iter().skip(at)).for_each(|(pair, x)| *pair |= rounded(x) << 16);
                    lines.push(Line(line));
                }
            }
        }
        let mut bias = AlignedBuf::zeros(panels.bias().len());
        bias.copy_from_slice(panels.bias());
        Self { cin, cout, lines, bias }
    }

    /// The output's rows `rows` of a run over single pixels.
    ///
    /// # Safety
    /// The run has been checked for these sizes, `output` is its output, and nobody else uses these rows of it.
    pub(crate) unsafe fn run(&self, run: &Run, output: *mut f32, rows: Range<usize>) {
        let pixels = rows.len() * run.to.dims[3];
        let pairs = self.cin.div_ceil(2);
        let tiles_a_block =
            (BLOCK / (ROWS * pairs * size_of::<Pair>())).clamp(1, pixels.div_ceil(ROWS).max(1));
        let mut inputs = vec![0; tiles_a_block * ROWS * pairs];
        let mut taps: Vec<Tap<ROWS>> = Vec::with_capacity(tiles_a_block);
        let mut tiles: Vec<Placed<ROWS>> = Vec::with_capacity(tiles_a_block);
        let mut at = Position::new(run, rows.start);
        let mut done = 0;
        while done < pixels {
            taps.clear();
            tiles.clear();
            while done < pixels && tiles.len() < tiles_a_block {
                let n = (pixels - done).min(ROWS);
                tiles.push(Placed::point(self.cin, run, output, &mut at, n, &mut taps));
                done += n;
            }
            // SAFETY: the caller's: the slices were compared with their grids, from which the pointers come.
            unsafe { self.block(run.activation.clamp(), &tiles, &taps, &mut inputs) }
        }
    }

    /// # Safety
    /// The tiles' and taps' pointers are valid for `cout` and `cin` numbers; nobody else uses what `tiles` point to.
    unsafe fn block(
        &self,
        clamp: (f32, f32),
        tiles: &[Placed<ROWS>],
        taps: &[Tap<ROWS>],
        inputs: &mut [Pair],
    ) {
        let pairs = self.cin.div_ceil(2);
        for ((tile, tap), inputs) in tiles.iter().zip(taps).zip(inputs.chunks_exact_mut(ROWS * pairs)) {
            for (from, to) in tap.input[..tile.rows].iter().zip(inputs.chunks_exact_mut(pairs)) {
                // A missing last number stays the zero that it is from the start.
                // SAFETY: the caller's: each input pixel has `cin` numbers. `new` has seen the instructions.
                unsafe { bf16::round(*from, self.cin, to.as_mut_ptr().cast()) }
            }
        }
        let mut panel = self.lines.as_ptr();
        for (first, width) in cuts(self.cout) {
            for (tile, inputs) in tiles.iter().zip(inputs.chunks_exact(ROWS * pairs)) {
                let tile = Tile {
                    inputs: inputs.as_ptr(),
                    pairs,
                    panel: panel.cast(),
                    width,
                    bias: self.bias[first..].as_ptr(),
                    out: tile.out.map(|p| p.wrapping_add(first)),
                    residual: tile.residual.map(|r| r.map(|p| p.wrapping_add(first))),
                    rows: tile.rows,
                    cols: (self.cout - first).min(width),
                    clamp,
                };
                // SAFETY: as above; the panel's lines and the bias were packed for these sizes.
                unsafe { bf16::tile(&tile) }
            }
            panel = panel.wrapping_add(pairs * width / 16);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::has_bf16;
    use crate::conv::{Activation, Grid, PackedConv, Run, Window};
    use crate::{Kernels, Precision};
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn random(rng: &mut ChaCha8Rng, n: usize) -> Vec<f32> {
        (0..n).map(|_| rng.random_range(-1.0..1.0)).collect()
    }

    /// Odd numbers of channels and pixels, gaps between the output's pixels, several tiles and panels. The plain
    /// path rounds the same numbers, so only the order of the sums differs: 1e-4.
    #[test]
    fn equals_plain_loops() {
        if !has_bf16() {
            println!("skipped: this CPU has no AVX-512 BF16");
            return;
        }
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        for case in 0..80 {
            let dims = [rng.random_range(1..=3), 1, rng.random_range(1..=9), rng.random_range(1..=9)];
            let (cin, cout) = (rng.random_range(1..=200), rng.random_range(1..=170));
            let weight = random(&mut rng, cin * cout);
            let bias = random(&mut rng, cout);
            let (from, to) = (Grid::dense(dims, cin + 1), Grid::dense(dims, cout + 3));
            let input = random(&mut rng, from.len(cin));
            let residual = random(&mut rng, Grid::dense(dims, cout).len(cout));
            let activation = [Activation::None, Activation::Relu6][rng.random_range(0..2)];
            let with_residual = rng.random_bool(0.5);
            let result = |kernels, precision| {
                let mut conv = PackedConv::from_torch(kernels, [1, cin, cout], &weight, &bias);
                conv.set_precision(precision, [1; 3]);
                let mut output = vec![7.0; to.len(cout)];
                conv.run(Run {
                    window: Window::POINT,
                    transposed: false,
                    input: &input,
                    from,
                    output: &mut output,
                    to,
                    residual: with_residual.then(|| (&residual[..], Grid::dense(dims, cout))),
                    activation,
                });
                output
            };
            let exact = result(Kernels::Plain, Precision::F32);
            let plain = result(Kernels::Plain, Precision::Bf16);
            let fast = result(Kernels::Avx512, Precision::Bf16);
            let largest = |to: &[f32]| plain.iter().zip(to).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(largest(&fast) <= 1e-4, "case {case}: {}", largest(&fast));
            // Rounding shows, but no more than cin products that are each off by 2⁻⁷ at most.
            assert!(largest(&exact) <= cin as f32 / 128.0, "case {case}: {}", largest(&exact));
            assert!(largest(&exact) > 0.0 || activation == Activation::Relu6, "case {case}");
        }
    }

    #[test]
    fn nan_and_infinity_are_not_hidden() {
        if !has_bf16() {
            println!("skipped: this CPU has no AVX-512 BF16");
            return;
        }
        for (input, wanted) in [(f32::NAN, f32::NAN), (f32::INFINITY, f32::INFINITY), (1e38, 1e38)] {
            let mut conv = PackedConv::from_torch(Kernels::Avx512, [1, 1, 1], &[1.0], &[0.0]);
            conv.set_precision(Precision::Bf16, [1; 3]);
            let mut output = [0.0];
            conv.run(Run {
                window: Window::POINT,
                transposed: false,
                input: &[input],
                from: Grid::dense([1; 4], 1),
                output: &mut output,
                to: Grid::dense([1; 4], 1),
                residual: None,
                activation: Activation::None,
            });
            let same = output[0].is_nan() && wanted.is_nan() || output[0] == wanted;
            assert!(same || (output[0] / wanted - 1.0).abs() < 0.01, "{input}: {}", output[0]);
        }
    }
}
