//! The innermost loops of the dense convolution.

// Indices say which registers a loop is about; iterators would hide it.
#![allow(clippy::needless_range_loop)]

use super::lane::{Array8, Lane};
#[cfg(target_arch = "x86_64")]
use super::lane::{Ymm, Zmm};

/// One kernel tap of a tile: where its weights start and, for each of the tile's `R` output
/// pixels, the input numbers that it multiplies (zeros where the tap hangs over the border).
#[derive(Clone, Copy)]
pub(crate) struct Tap<const R: usize> {
    /// First row of the panel, `0..taps * k`.
    pub row: usize,
    pub input: [*const f32; R],
}

/// `R` output pixels × one panel of output channels.
#[derive(Clone, Copy)]
pub(crate) struct Tile<'a, const R: usize> {
    pub taps: &'a [Tap<R>],
    /// Input numbers a tap, adjacent in memory.
    pub k: usize,
    /// Weights `[taps · k, width]`.
    pub panel: *const f32,
    pub width: usize,
    /// `[width]`
    pub bias: *const f32,
    /// Where each pixel's channels go; only the first `rows` pixels and `cols` channels exist.
    pub out: [*mut f32; R],
    pub residual: Option<[*const f32; R]>,
    pub rows: usize,
    pub cols: usize,
    /// Limits of the activation.
    pub clamp: (f32, f32),
}

/// `out[r] = clamp(bias + Σ input[r] · panel + residual[r])` for `N` vectors of channels: the
/// sums stay in `R × N` registers from the first tap to the last.
///
/// # Safety
/// The pointers are valid for what the fields' descriptions say; the CPU has `L`'s instructions.
#[inline(always)]
unsafe fn tile<L: Lane, const R: usize, const N: usize>(t: &Tile<R>) {
    unsafe {
        let mut acc = [[L::zero(); N]; R];
        for j in 0..N {
            let bias = L::load(t.bias.add(j * L::LEN));
            for row in &mut acc {
                row[j] = bias;
            }
        }
        for tap in t.taps {
            let mut b = t.panel.add(tap.row * t.width);
            let a = tap.input;
            for c in 0..t.k {
                let mut w = [L::zero(); N];
                for j in 0..N {
                    w[j] = L::load(b.add(j * L::LEN));
                }
                for i in 0..R {
                    let x = L::splat(a[i].add(c));
                    for j in 0..N {
                        acc[i][j] = x.mul_add(w[j], acc[i][j]);
                    }
                }
                b = b.add(t.width);
            }
        }
        for i in 0..R {
            if i >= t.rows {
                break;
            }
            for j in 0..N {
                let at = j * L::LEN;
                let n = t.cols.saturating_sub(at).min(L::LEN);
                let mut x = acc[i][j];
                if let Some(residual) = t.residual {
                    x = x.add(L::load_n(residual[i].add(at), n));
                }
                x = x.clamp(t.clamp.0, t.clamp.1);
                if n == L::LEN {
                    x.store(t.out[i].add(at));
                } else {
                    x.store_n(t.out[i].add(at), n);
                }
            }
        }
    }
}

/// The slice of a tile that starts at output channel `from`.
#[inline(always)]
unsafe fn slice<'a, const R: usize>(t: &Tile<'a, R>, from: usize) -> Tile<'a, R> {
    unsafe {
        Tile {
            panel: t.panel.add(from),
            bias: t.bias.add(from),
            out: t.out.map(|p| p.wrapping_add(from)),
            residual: t.residual.map(|r| r.map(|p| p.wrapping_add(from))),
            cols: t.cols.saturating_sub(from),
            ..*t
        }
    }
}

/// # Safety
/// As [`tile`]; AVX-512F.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
pub(crate) unsafe fn tile_avx512(t: &Tile<8>) {
    unsafe {
        match t.width {
            16 => tile::<Zmm, 8, 1>(t),
            32 => tile::<Zmm, 8, 2>(t),
            _ => tile::<Zmm, 8, 3>(t),
        }
    }
}

/// # Safety
/// As [`tile`]; AVX2 and FMA.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
pub(crate) unsafe fn tile_avx2(t: &Tile<6>) {
    for from in (0..t.width.min(t.cols)).step_by(16) {
        unsafe { tile::<Ymm, 6, 2>(&slice(t, from)) }
    }
}

/// # Safety
/// As [`tile`].
pub(crate) unsafe fn tile_portable(t: &Tile<4>) {
    for from in (0..t.width.min(t.cols)).step_by(8) {
        unsafe { tile::<Array8, 4, 1>(&slice(t, from)) }
    }
}
