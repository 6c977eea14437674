//! The innermost loops in bfloat16, as `tile` has those in `f32`.

#[cfg(not(target_arch = "x86_64"))]
pub(crate) use absent::{round, tile};
#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{round, tile};

/// Two neighbouring bfloat16, the first in the lower half.
pub(crate) type Pair = u32;

/// Output pixels a tile.
pub(crate) const ROWS: usize = 8;

/// As [`super::tile::Tile`], of rounded pixels that lie one after the other.
pub(crate) struct Tile {
    /// `[ROWS, pairs]`
    pub(crate) inputs: *const Pair,
    pub(crate) pairs: usize,
    /// `[pairs, width]`
    pub(crate) panel: *const Pair,
    pub(crate) width: usize,
    pub(crate) bias: *const f32,
    pub(crate) out: [*mut f32; ROWS],
    pub(crate) residual: Option<[*const f32; ROWS]>,
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) clamp: (f32, f32),
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{ROWS, Tile};
    use crate::micro::lane::{Lane, Zmm};
    use std::arch::x86_64::*;

    /// Rounds `n` numbers, to the nearest and to even.
    ///
    /// # Safety
    /// `n` numbers at `from`, room for as many at `to`; the CPU has the instructions.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
    pub(crate) unsafe fn round(from: *const f32, n: usize, to: *mut u16) {
        // SAFETY: the caller's.
        unsafe {
            for at in (0..n).step_by(16) {
                let left = (n - at).min(16);
                let x = _mm512_maskz_loadu_ps(((1u32 << left) - 1) as __mmask16, from.add(at));
                let halves = std::mem::transmute::<__m256bh, __m256i>(_mm512_cvtneps_pbh(x));
                let to = to.add(at);
                if left == 16 {
                    _mm256_storeu_si256(to.cast(), halves);
                } else {
                    _mm256_mask_storeu_epi16(to.cast(), ((1u32 << left) - 1) as __mmask16, halves);
                }
            }
        }
    }

    /// As `tile::tile_avx512`; the instruction multiplies two neighbouring numbers at once.
    ///
    /// # Safety
    /// The pointers are valid for what the fields' descriptions say; the CPU has the instructions.
    #[target_feature(enable = "avx512f,avx512bf16")]
    pub(crate) unsafe fn tile(t: &Tile) {
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

#[cfg(not(target_arch = "x86_64"))]
mod absent {
    use super::Tile;

    pub(crate) unsafe fn round(_: *const f32, _: usize, _: *mut u16) {
        unreachable!("no instructions, no panels")
    }

    pub(crate) unsafe fn tile(_: &Tile) {
        unreachable!("no instructions, no panels")
    }
}
