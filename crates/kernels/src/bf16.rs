//! 1×1 convolution with inputs and weights rounded to bfloat16 and sums in `f32`: two products in the time of
//! one, on CPUs with AVX-512 BF16 (Zen 4, Cooper Lake, Sapphire Rapids and later).
//!
//! The tensors in between stay `f32`; a block of pixels is rounded on its way into the nearest cache. A
//! bfloat16 has the range of an `f32` and 8 significant bits, so that a product is off by 2⁻⁷ of itself at most.

use super::Kernels;
use super::conv::{PackedConv, Run, panels};
use super::micro::Tap;
use super::place::{Placed, Position};

/// Number format of the 1×1 convolutions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// 24 significant bits, as in training.
    #[default]
    F32,
    /// 8 significant bits for inputs and weights, 24 for the sums.
    Bf16,
}

impl Precision {
    /// The one that `CLASSIFY_PRECISION` names (`f32` or `bf16`), else bfloat16 where `kernels` and this CPU have
    /// instructions for it.
    pub fn detect(kernels: Kernels) -> Result<Self, super::Error> {
        let fast = kernels == Kernels::Avx512 && has_instructions();
        match std::env::var_os("CLASSIFY_PRECISION") {
            None if fast => Ok(Self::Bf16),
            None => Ok(Self::F32),
            Some(name) if name == "f32" => Ok(Self::F32),
            Some(name) if name == "bf16" && fast => Ok(Self::Bf16),
            Some(name) if name == "bf16" => Err(super::Error::new(
                "CLASSIFY_PRECISION",
                &name,
                format!("the {} kernels on this CPU don't have these instructions", kernels.name()),
            )),
            Some(name) => Err(super::Error::new("CLASSIFY_PRECISION", &name, "must be f32 or bf16")),
        }
    }

    /// The name as `CLASSIFY_PRECISION` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        }
    }
}

/// Whether this CPU multiplies bfloat16.
pub(super) fn has_instructions() -> bool {
    #[cfg(target_arch = "x86_64")]
    return is_x86_feature_detected!("avx512bf16") && is_x86_feature_detected!("avx512vl");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// Two neighbouring bfloat16, the first in the lower half.
type Pair = u32;

/// Bytes of rounded input at a time: with the weights of a panel, about a level-1 cache and a half.
const BLOCK: usize = 64 * 1024;

/// Output pixels a tile.
const ROWS: usize = 8;

/// The weights of a 1×1 convolution, `[cin / 2, width]` pairs for each panel of output channels.
#[derive(Clone)]
pub(super) struct Bf16Panels {
    /// A cache line each, so that no load straddles two.
    lines: Vec<Line>,
}

#[derive(Clone, Copy)]
#[repr(align(64))]
#[expect(dead_code, reason = "read through a pointer")]
struct Line([Pair; 16]);

impl Bf16Panels {
    /// Rounds the weights of a 1×1 convolution.
    pub fn new(conv: &PackedConv) -> Self {
        assert_eq!(conv.taps, 1, "a 1×1 convolution");
        let rounded = |x: &f32| Pair::from(half::bf16::from_f32(*x).to_bits());
        let mut lines = Vec::with_capacity(conv.cin.div_ceil(2) * conv.cout.div_ceil(16));
        for (first, width) in panels(conv.cout) {
            let panel = &conv.panels()[first * conv.cin..][..width * conv.cin];
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
        Self { lines }
    }

    /// The output's rows `rows` of a run whose sizes have been checked.
    pub fn run(&self, conv: &PackedConv, run: &Run, output: *mut f32, rows: std::ops::Range<usize>) {
        let pixels = rows.len() * run.to.dims[3];
        let pairs = conv.cin.div_ceil(2);
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
                tiles.push(Placed::point(conv, run, output, &mut at, n, &mut taps));
                done += n;
            }
            // SAFETY: `check` has compared the slices with their grids, from which the pointers come; the
            // instructions are there, or these panels wouldn't be.
            unsafe { self.block(conv, run, &tiles, &taps, &mut inputs) }
        }
    }

    #[cfg(target_arch = "x86_64")]
    unsafe fn block(
        &self,
        conv: &PackedConv,
        run: &Run,
        tiles: &[Placed<ROWS>],
        taps: &[Tap<ROWS>],
        inputs: &mut [Pair],
    ) {
        let pairs = conv.cin.div_ceil(2);
        for ((tile, tap), inputs) in tiles.iter().zip(taps).zip(inputs.chunks_exact_mut(ROWS * pairs)) {
            for (from, to) in tap.input[..tile.rows].iter().zip(inputs.chunks_exact_mut(pairs)) {
                // SAFETY: the caller's; each input pixel has `cin` numbers.
                unsafe { x86::round(*from, conv.cin, to.as_mut_ptr()) }
            }
        }
        let mut panel = self.lines.as_ptr();
        for (first, width) in panels(conv.cout) {
            for (tile, inputs) in tiles.iter().zip(inputs.chunks_exact(ROWS * pairs)) {
                let tile = Tile {
                    inputs: inputs.as_ptr(),
                    pairs,
                    panel: panel.cast(),
                    width,
                    bias: conv.bias_padded()[first..].as_ptr(),
                    out: tile.out.map(|p| p.wrapping_add(first)),
                    residual: tile.residual.map(|r| r.map(|p| p.wrapping_add(first))),
                    rows: tile.rows,
                    cols: (conv.cout - first).min(width),
                    clamp: run.activation.clamp(),
                };
                // SAFETY: as above.
                unsafe { x86::tile(&tile) }
            }
            panel = panel.wrapping_add(pairs * width / 16);
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    unsafe fn block(&self, _: &PackedConv, _: &Run, _: &[Placed<ROWS>], _: &[Tap<ROWS>], _: &mut [Pair]) {
        unreachable!("no instructions, no panels")
    }
}

/// As [`super::micro::Tile`], of rounded pixels that lie one after the other.
#[cfg(target_arch = "x86_64")]
struct Tile {
    /// `[ROWS, pairs]`
    inputs: *const Pair,
    pairs: usize,
    /// `[pairs, width]`
    panel: *const Pair,
    width: usize,
    bias: *const f32,
    out: [*mut f32; ROWS],
    residual: Option<[*const f32; ROWS]>,
    rows: usize,
    cols: usize,
    clamp: (f32, f32),
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{Pair, ROWS, Tile};
    use crate::simd::{Lane, Zmm};
    use std::arch::x86_64::*;

    /// Rounds one pixel's `n` numbers, to the nearest and to even; a missing last one is zero.
    #[target_feature(enable = "avx512f,avx512vl,avx512bf16")]
    pub unsafe fn round(from: *const f32, n: usize, to: *mut Pair) {
        // SAFETY: the caller's: `n` numbers at `from`, room for `n` rounded up to even at `to`.
        unsafe {
            for at in (0..n).step_by(16) {
                let left = (n - at).min(16);
                let x = _mm512_maskz_loadu_ps(((1u32 << left) - 1) as __mmask16, from.add(at));
                let halves = std::mem::transmute::<__m256bh, __m256i>(_mm512_cvtneps_pbh(x));
                let to = to.add(at / 2).cast();
                if left == 16 {
                    _mm256_storeu_si256(to, halves);
                } else {
                    let pairs = (1u32 << left.div_ceil(2)) - 1;
                    _mm256_mask_storeu_epi32(to.cast(), pairs as __mmask8, halves);
                }
            }
        }
    }

    /// As `micro::tile`; the instruction multiplies two neighbouring numbers at once.
    #[target_feature(enable = "avx512f,avx512bf16")]
    pub unsafe fn tile(t: &Tile) {
        // SAFETY: the caller's.
        unsafe {
            match (t.width, t.rows) {
                (16, _) => rows::<8, 1>(t),
                (32, _) => rows::<8, 2>(t),
                // The rest of an image of few pixels.
                (_, ..=2) => rows::<2, 3>(t),
                (_, ..=4) => rows::<4, 3>(t),
                _ => rows::<8, 3>(t),
            }
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bf16")]
    // Indices say which registers a loop is about; iterators would hide it.
    #[allow(clippy::needless_range_loop)]
    unsafe fn rows<const R: usize, const N: usize>(t: &Tile) {
        const { assert!(R <= ROWS) };
        // SAFETY: the caller's.
        unsafe {
            let mut sums = [[_mm512_setzero_ps(); N]; R];
            for j in 0..N {
                let bias = _mm512_loadu_ps(t.bias.add(j * 16));
                for row in &mut sums {
                    row[j] = bias;
                }
            }
            for c in 0..t.pairs {
                let weights = t.panel.add(c * t.width);
                let mut w = [std::mem::transmute::<__m512i, __m512bh>(_mm512_setzero_si512()); N];
                for j in 0..N {
                    w[j] = std::mem::transmute::<__m512i, __m512bh>(_mm512_loadu_si512(
                        weights.add(j * 16).cast(),
                    ));
                }
                for i in 0..R {
                    let pair = _mm512_set1_epi32(*t.inputs.add(i * t.pairs + c) as i32);
                    let pair = std::mem::transmute::<__m512i, __m512bh>(pair);
                    for j in 0..N {
                        sums[i][j] = _mm512_dpbf16_ps(sums[i][j], pair, w[j]);
                    }
                }
            }
            // Both ways in loops so small that the compiler unrolls them: the sums stay in registers till here.
            if t.rows == R && t.cols == N * 16 && t.residual.is_none() {
                for i in 0..R {
                    for j in 0..N {
                        Zmm::from(sums[i][j]).clamp(t.clamp.0, t.clamp.1).store(t.out[i].add(j * 16));
                    }
                }
                return;
            }
            let mut rows = [[Zmm::zero(); N]; R];
            for i in 0..R {
                for j in 0..N {
                    rows[i][j] = Zmm::from(sums[i][j]);
                }
            }
            finish(t, rows.as_flattened());
        }
    }

    /// Residual, activation and output of the pixels and channels that exist.
    #[inline(never)]
    #[target_feature(enable = "avx512f")]
    unsafe fn finish(t: &Tile, sums: &[Zmm]) {
        for (i, row) in sums.chunks_exact(t.width / 16).enumerate().take(t.rows) {
            for (j, sum) in row.iter().enumerate() {
                let at = j * 16;
                let n = t.cols.saturating_sub(at).min(16);
                // SAFETY: the caller's.
                unsafe {
                    let mut x = *sum;
                    if let Some(residual) = t.residual {
                        x = x.add(Zmm::load_n(residual[i].add(at), n));
                    }
                    x = x.clamp(t.clamp.0, t.clamp.1);
                    if n == 16 { x.store(t.out[i].add(at)) } else { x.store_n(t.out[i].add(at), n) }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conv::{Activation, Grid, Window};
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn random(rng: &mut ChaCha8Rng, n: usize) -> Vec<f32> {
        (0..n).map(|_| rng.random_range(-1.0..1.0)).collect()
    }

    /// Odd numbers of channels and pixels, gaps between the output's pixels, several tiles and panels. The plain
    /// path rounds the same numbers, so only the order of the sums differs: 1e-4.
    #[test]
    fn equals_plain_loops() {
        if !has_instructions() {
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
                conv.set_precision(precision);
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
        if !has_instructions() {
            println!("skipped: this CPU has no AVX-512 BF16");
            return;
        }
        for (input, wanted) in [(f32::NAN, f32::NAN), (f32::INFINITY, f32::INFINITY), (1e38, 1e38)] {
            let mut conv = PackedConv::from_torch(Kernels::Avx512, [1, 1, 1], &[1.0], &[0.0]);
            conv.set_precision(Precision::Bf16);
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
