//! The innermost loops of training.

// Indices say which registers a loop is about; iterators would hide it.
#![allow(clippy::needless_range_loop)]

use super::dispatch::dispatch;
use super::lane::{Array8, Lane};
#[cfg(target_arch = "x86_64")]
use super::lane::{Ymm, Zmm};
use crate::instructions::Kernels;

/// A sum of outer products: `out[r, c] += Σ a[r] · b[c]` over pairs of vectors.
pub(crate) struct Outer<'a> {
    /// Vectors of `rows` and of `cols` numbers.
    pub pairs: &'a [(*const f32, *const f32)],
    pub out: *mut f32,
    pub rows: usize,
    pub cols: usize,
}

/// `R` rows × `N` vectors of columns, from row `r` and column `c`; `n` of the last vector exist.
#[inline(always)]
unsafe fn outer_tile<L: Lane, const R: usize, const N: usize>(o: &Outer, r: usize, c: usize, n: usize) {
    unsafe {
        let full = n == L::LEN;
        let mut acc = [[L::zero(); N]; R];
        for &(a, b) in o.pairs {
            let (a, b) = (a.add(r), b.add(c));
            let mut w = [L::zero(); N];
            for j in 0..N {
                let at = b.add(j * L::LEN);
                w[j] = if j + 1 < N || full { L::load(at) } else { L::load_n(at, n) };
            }
            for i in 0..R {
                let x = L::splat(a.add(i));
                for j in 0..N {
                    acc[i][j] = x.mul_add(w[j], acc[i][j]);
                }
            }
        }
        for i in 0..R {
            for j in 0..N {
                let at = o.out.add((r + i) * o.cols + c + j * L::LEN);
                if j + 1 < N || full {
                    acc[i][j].add(L::load(at)).store(at)
                } else {
                    acc[i][j].add(L::load_n(at, n)).store_n(at, n)
                }
            }
        }
    }
}

/// One panel of columns against all rows, so that the panel stays near.
#[inline(always)]
unsafe fn outer_panel<L: Lane, const R: usize, const N: usize>(o: &Outer, c: usize, n: usize) {
    let mut r = 0;
    unsafe {
        while r + R <= o.rows {
            outer_tile::<L, R, N>(o, r, c, n);
            r += R;
        }
        while r + 2 <= o.rows {
            outer_tile::<L, 2, N>(o, r, c, n);
            r += 2;
        }
        if r < o.rows {
            outer_tile::<L, 1, N>(o, r, c, n);
        }
    }
}

#[inline(always)]
unsafe fn outer<L: Lane, const R: usize, const N: usize>(o: &Outer) {
    let mut c = 0;
    while c < o.cols {
        let left = o.cols - c;
        unsafe {
            if left >= N * L::LEN {
                outer_panel::<L, R, N>(o, c, L::LEN);
                c += N * L::LEN;
            } else if N == 3 && left > L::LEN {
                // More than one vector, less than three: the last may be a part of one.
                if left > 2 * L::LEN {
                    outer_panel::<L, R, 3>(o, c, left - 2 * L::LEN);
                } else {
                    outer_panel::<L, R, 2>(o, c, left - L::LEN);
                }
                c = o.cols;
            } else {
                outer_panel::<L, R, 1>(o, c, left.min(L::LEN));
                c += L::LEN;
            }
        }
    }
}

dispatch! {
    /// # Safety
    /// The pairs point to as many numbers as `rows` and `cols` say, `out` to their product.
    outer_product(<>, Outer<'_>), outer::<Zmm, 8, 3>, outer::<Ymm, 6, 2>, outer::<Array8, 4, 1>
}

/// The gradient before an activation from that behind it, and its sum over pixels.
pub(crate) struct Unclamp {
    /// `[pixels, channels]`, made zero wherever the activation was at a limit.
    pub grad: *mut f32,
    /// The activations; a row of `width` pixels every `out_row` numbers.
    pub out: *const f32,
    pub out_row: usize,
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    pub clamp: (f32, f32),
    /// `[channels]`, added to.
    pub sum: *mut f32,
}

#[inline(always)]
unsafe fn unclamp_body<L: Lane>(u: &Unclamp) {
    let mut c = 0;
    while c < u.channels {
        let n = (u.channels - c).min(L::LEN);
        unsafe {
            let mut sum = L::load_n(u.sum.add(c), n);
            for y in 0..u.height {
                for x in 0..u.width {
                    let grad = u.grad.add((y * u.width + x) * u.channels + c);
                    let out = u.out.add(y * u.out_row + x * u.channels + c);
                    let (lo, hi) = u.clamp;
                    if n == L::LEN {
                        let g = L::load(grad).where_between(L::load(out), lo, hi);
                        g.store(grad);
                        sum = sum.add(g);
                    } else {
                        let g = L::load_n(grad, n).where_between(L::load_n(out, n), lo, hi);
                        g.store_n(grad, n);
                        sum = sum.add(g);
                    }
                }
            }
            sum.store_n(u.sum.add(c), n);
        }
        c += L::LEN;
    }
}

dispatch! {
    /// # Safety
    /// The pointers are valid for the sizes given.
    unclamp(<>, Unclamp), unclamp_body::<Zmm>, unclamp_body::<Ymm>, unclamp_body::<Array8>
}

/// A depthwise convolution's gradient for its weights.
pub(crate) struct DepthwiseGrad {
    /// As the forward pass had it, padded.
    pub input: *const f32,
    pub in_row: usize,
    /// `[height, width, channels]`
    pub grad: *const f32,
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    /// `[K · K, channels]`, added to.
    pub weights: *mut f32,
}

#[inline(always)]
unsafe fn depthwise_grad_body<L: Lane, const K: usize, const S: usize>(d: &DepthwiseGrad) {
    let mut c = 0;
    while c < d.channels {
        let n = (d.channels - c).min(L::LEN);
        let full = n == L::LEN;
        unsafe {
            let get = |p: *const f32| if full { L::load(p) } else { L::load_n(p, n) };
            for ky in 0..K {
                let weights = d.weights.add(ky * K * d.channels + c);
                let mut acc = [L::zero(); K];
                for y in 0..d.height {
                    let input = d.input.add((y * S + ky) * d.in_row + c);
                    let grad = d.grad.add(y * d.width * d.channels + c);
                    for x in 0..d.width {
                        let g = get(grad.add(x * d.channels));
                        for kx in 0..K {
                            acc[kx] = g.mul_add(get(input.add((x * S + kx) * d.channels)), acc[kx]);
                        }
                    }
                }
                for kx in 0..K {
                    let at = weights.add(kx * d.channels);
                    acc[kx].add(L::load_n(at, n)).store_n(at, n);
                }
            }
        }
        c += L::LEN;
    }
}

dispatch! {
    /// # Safety
    /// The pointers are valid for the sizes given.
    depthwise_grad(<K, S>, DepthwiseGrad),
    depthwise_grad_body::<Zmm, K, S>, depthwise_grad_body::<Ymm, K, S>, depthwise_grad_body::<Array8, K, S>
}
