//! The fast path's innermost loops, written once over [`Lane`] and compiled for each instruction
//! set. Everything above them works on slices with their bounds checked; here are bare pointers.

// Indices say which registers a loop is about; iterators would hide it.
#![allow(clippy::needless_range_loop)]

use super::simd::{Array8, Lane};
#[cfg(target_arch = "x86_64")]
use super::simd::{Ymm, Zmm};

/// One kernel tap of a tile: where its weights start and, for each of the tile's `R` output
/// pixels, the input numbers that it multiplies (zeros where the tap hangs over the border).
#[derive(Clone, Copy)]
pub(super) struct Tap<const R: usize> {
    /// First row of the panel, `0..taps * k`.
    pub row: usize,
    pub input: [*const f32; R],
}

/// `R` output pixels × one panel of output channels.
#[derive(Clone, Copy)]
pub(super) struct Tile<'a, const R: usize> {
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
pub(super) unsafe fn tile_avx512(t: &Tile<8>) {
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
pub(super) unsafe fn tile_avx2(t: &Tile<6>) {
    for from in (0..t.width.min(t.cols)).step_by(16) {
        unsafe { tile::<Ymm, 6, 2>(&slice(t, from)) }
    }
}

/// # Safety
/// As [`tile`].
pub(super) unsafe fn tile_portable(t: &Tile<4>) {
    for from in (0..t.width.min(t.cols)).step_by(8) {
        unsafe { tile::<Array8, 4, 1>(&slice(t, from)) }
    }
}

/// A depthwise convolution over rows whose border is already padded with zeros.
#[derive(Clone, Copy)]
pub(super) struct Depthwise {
    /// First tap of the first output pixel.
    pub input: *const f32,
    /// Numbers from one input row to the next.
    pub in_row: usize,
    pub out: *mut f32,
    pub out_row: usize,
    /// Output rows and pixels a row.
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    /// `[K · K, channels]`, `[channels]`
    pub weights: *const f32,
    pub bias: *const f32,
    pub clamp: (f32, f32),
}

/// `X` neighbouring output pixels × one vector of channels.
#[inline(always)]
unsafe fn pixels<L: Lane, const K: usize, const S: usize, const X: usize>(
    d: &Depthwise,
    input: *const f32,
    out: *mut f32,
    channel: usize,
    n: usize,
) {
    unsafe {
        let full = n == L::LEN;
        let get = |p: *const f32| if full { L::load(p) } else { L::load_n(p, n) };
        let bias = get(d.bias.add(channel));
        let mut acc = [bias; X];
        for ky in 0..K {
            let mut w = [L::zero(); K];
            for kx in 0..K {
                w[kx] = get(d.weights.add((ky * K + kx) * d.channels + channel));
            }
            let row = input.add(ky * d.in_row);
            for col in 0..(X - 1) * S + K {
                let v = get(row.add(col * d.channels));
                for x in 0..X {
                    if col >= x * S && col - x * S < K {
                        acc[x] = v.mul_add(w[col - x * S], acc[x]);
                    }
                }
            }
        }
        for x in 0..X {
            let v = acc[x].clamp(d.clamp.0, d.clamp.1);
            let p = out.add(x * d.channels);
            if full { v.store(p) } else { v.store_n(p, n) }
        }
    }
}

/// # Safety
/// The pointers are valid for the sizes given; the CPU has `L`'s instructions.
#[inline(always)]
unsafe fn depthwise<L: Lane, const K: usize, const S: usize>(d: &Depthwise) {
    // Channels outermost: the weights of one vector of channels stay near for the whole image.
    let mut channel = 0;
    while channel < d.channels {
        let n = (d.channels - channel).min(L::LEN);
        for y in 0..d.height {
            // As few groups of at most 8 pixels as possible, of nearly equal size.
            let groups = d.width.div_ceil(8);
            let mut x = 0;
            for g in 0..groups {
                let end = d.width * (g + 1) / groups;
                unsafe {
                    let input = d.input.add(y * S * d.in_row + x * S * d.channels + channel);
                    let out = d.out.add(y * d.out_row + x * d.channels + channel);
                    match end - x {
                        1 => pixels::<L, K, S, 1>(d, input, out, channel, n),
                        2 => pixels::<L, K, S, 2>(d, input, out, channel, n),
                        3 => pixels::<L, K, S, 3>(d, input, out, channel, n),
                        4 => pixels::<L, K, S, 4>(d, input, out, channel, n),
                        5 => pixels::<L, K, S, 5>(d, input, out, channel, n),
                        6 => pixels::<L, K, S, 6>(d, input, out, channel, n),
                        7 => pixels::<L, K, S, 7>(d, input, out, channel, n),
                        _ => pixels::<L, K, S, 8>(d, input, out, channel, n),
                    }
                }
                x = end;
            }
        }
        channel += L::LEN;
    }
}

/// # Safety
/// As [`depthwise`]; AVX-512F.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn depthwise_avx512<const K: usize, const S: usize>(d: &Depthwise) {
    unsafe { depthwise::<Zmm, K, S>(d) }
}

/// # Safety
/// As [`depthwise`]; AVX2 and FMA.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn depthwise_avx2<const K: usize, const S: usize>(d: &Depthwise) {
    unsafe { depthwise::<Ymm, K, S>(d) }
}

/// # Safety
/// As [`depthwise`].
pub(super) unsafe fn depthwise_portable<const K: usize, const S: usize>(d: &Depthwise) {
    unsafe { depthwise::<Array8, K, S>(d) }
}
