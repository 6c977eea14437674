//! The innermost loops of the depthwise convolution.

// Indices say which registers a loop is about; iterators would hide it.
#![allow(clippy::needless_range_loop)]

use super::lane::{Array8, Lane};
#[cfg(target_arch = "x86_64")]
use super::lane::{Ymm, Zmm};

/// A depthwise convolution over rows whose border is already padded with zeros.
#[derive(Clone, Copy)]
pub(crate) struct Depthwise {
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
pub(crate) unsafe fn depthwise_avx512<const K: usize, const S: usize>(d: &Depthwise) {
    unsafe { depthwise::<Zmm, K, S>(d) }
}

/// # Safety
/// As [`depthwise`]; AVX2 and FMA.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
pub(crate) unsafe fn depthwise_avx2<const K: usize, const S: usize>(d: &Depthwise) {
    unsafe { depthwise::<Ymm, K, S>(d) }
}

/// # Safety
/// As [`depthwise`].
pub(crate) unsafe fn depthwise_portable<const K: usize, const S: usize>(d: &Depthwise) {
    unsafe { depthwise::<Array8, K, S>(d) }
}
