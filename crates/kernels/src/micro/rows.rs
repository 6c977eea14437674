//! What transformers do to rows of numbers between their products.

use super::dispatch::dispatch;
use super::functions::{exp2, gelu_exact, gelu_quick, gelu_tanh};
use super::lane::{Array8, Lane};
#[cfg(target_arch = "x86_64")]
use super::lane::{Ymm, Zmm};
use crate::gelu::Gelu;
use crate::instructions::Kernels;

/// `out = gelu(from + bias) + residual` for a block of rows. `from` may be `out`.
pub(crate) struct Finish {
    pub from: *const f32,
    /// Numbers from one row to the next.
    pub from_row: usize,
    /// `[cols]`
    pub bias: Option<*const f32>,
    pub gelu: Gelu,
    /// As far apart as the rows of `out`.
    pub residual: Option<*const f32>,
    pub out: *mut f32,
    pub out_row: usize,
    pub rows: usize,
    pub cols: usize,
}

/// # Safety
/// The pointers are valid for what the fields' descriptions say; the CPU has `L`'s instructions.
#[inline(always)]
unsafe fn finish_rows<L: Lane, const G: usize>(f: &Finish) {
    unsafe {
        for r in 0..f.rows {
            let (from, out) = (f.from.add(r * f.from_row), f.out.add(r * f.out_row));
            let mut at = 0;
            while at < f.cols {
                let n = (f.cols - at).min(L::LEN);
                let load = |p: *const f32| if n == L::LEN { L::load(p) } else { L::load_n(p, n) };
                let mut x = load(from.add(at));
                if let Some(bias) = f.bias {
                    x = x.add(load(bias.add(at)));
                }
                x = match G {
                    1 => gelu_exact(x),
                    2 => gelu_tanh(x),
                    3 => gelu_quick(x),
                    _ => x,
                };
                if let Some(residual) = f.residual {
                    x = x.add(load(residual.add(r * f.out_row + at)));
                }
                if n == L::LEN {
                    x.store(out.add(at))
                } else {
                    x.store_n(out.add(at), n)
                }
                at += L::LEN;
            }
        }
    }
}

/// # Safety
/// As [`finish_rows`].
#[inline(always)]
unsafe fn finish_any<L: Lane>(f: &Finish) {
    unsafe {
        match f.gelu {
            Gelu::None => finish_rows::<L, 0>(f),
            Gelu::Exact => finish_rows::<L, 1>(f),
            Gelu::Tanh => finish_rows::<L, 2>(f),
            Gelu::Quick => finish_rows::<L, 3>(f),
        }
    }
}

dispatch!(
    /// What follows a product.
    ///
    /// # Safety
    /// As [`finish_rows`] with the instructions of `kernels`.
    finish(<>, Finish),
    finish_any::<Zmm>, finish_any::<Ymm>, finish_any::<Array8>
);

/// Normalises each row: `out = (x - mean) / √(variance + eps) · weight + bias`.
pub(crate) struct Normalise {
    /// `[rows, cols]`
    pub from: *const f32,
    pub out: *mut f32,
    pub rows: usize,
    pub cols: usize,
    /// `[cols]`
    pub weight: *const f32,
    /// `[cols]`
    pub bias: *const f32,
    pub eps: f32,
}

/// # Safety
/// The pointers are valid for what the fields' descriptions say; the CPU has `L`'s instructions.
#[inline(always)]
unsafe fn normalise_rows<L: Lane>(c: &Normalise) {
    unsafe {
        let whole = c.cols / L::LEN * L::LEN;
        let rest = c.cols - whole;
        let n = c.cols as f32;
        for r in 0..c.rows {
            let (from, out) = (c.from.add(r * c.cols), c.out.add(r * c.cols));
            let mut sums = [L::zero(); 4];
            for (i, at) in (0..whole).step_by(L::LEN).enumerate() {
                sums[i % 4] = sums[i % 4].add(L::load(from.add(at)));
            }
            let mut sum = sums[0].add(sums[1]).add(sums[2].add(sums[3]));
            if rest > 0 {
                sum = sum.add(L::load_n(from.add(whole), rest));
            }
            let mean = sum.total() / n;
            // The mean is known before its distances are squared: nothing large cancels.
            let centre = L::every(mean);
            let mut squares = [L::zero(); 4];
            for (i, at) in (0..whole).step_by(L::LEN).enumerate() {
                let x = L::load(from.add(at)).sub(centre);
                squares[i % 4] = x.mul_add(x, squares[i % 4]);
            }
            let mut square = squares[0].add(squares[1]).add(squares[2].add(squares[3])).total();
            for at in whole..c.cols {
                let x = *from.add(at) - mean;
                square += x * x;
            }
            let factor = L::every(1.0 / (square / n + c.eps).sqrt());
            let mut at = 0;
            while at < c.cols {
                let n = (c.cols - at).min(L::LEN);
                let load = |p: *const f32| if n == L::LEN { L::load(p) } else { L::load_n(p, n) };
                let x = load(from.add(at)).sub(centre).mul(factor);
                let x = x.mul_add(load(c.weight.add(at)), load(c.bias.add(at)));
                if n == L::LEN {
                    x.store(out.add(at))
                } else {
                    x.store_n(out.add(at), n)
                }
                at += L::LEN;
            }
        }
    }
}

dispatch!(
    /// Layer normalisation.
    ///
    /// # Safety
    /// As [`normalise_rows`] with the instructions of `kernels`.
    normalise(<>, Normalise),
    normalise_rows::<Zmm>, normalise_rows::<Ymm>, normalise_rows::<Array8>
);

/// Numbers of the longest vector, which rows of scores and of values are padded to.
pub(crate) const LANES: usize = 16;

/// One row's step through a block of keys: scores become weights, relative to the largest score so far, and what was
/// summed before is scaled to that (Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018).
pub(crate) struct Softmax {
    /// `[room]`, a multiple of [`LANES`]. In: scores, `seen` of them; out: weights, and zeros behind.
    pub scores: *mut f32,
    /// At least 1.
    pub seen: usize,
    pub room: usize,
    /// What scores are multiplied by: with that, they are exponents of 2.
    pub factor: f32,
    /// The largest scaled score so far, and the sum of weights.
    pub largest: *mut f32,
    pub sum: *mut f32,
    /// `[width]`, the weighted sum of values so far; `width` is a multiple of [`LANES`].
    pub values: *mut f32,
    pub width: usize,
}

/// # Safety
/// The pointers are valid for what the fields' descriptions say; the CPU has `L`'s instructions.
#[inline(always)]
unsafe fn softmax_row<L: Lane>(c: &Softmax) {
    unsafe {
        let whole = c.seen / L::LEN * L::LEN;
        let end = c.seen.next_multiple_of(L::LEN);
        // What doesn't count repeats what does.
        for at in c.seen..end {
            *c.scores.add(at) = *c.scores;
        }
        let factor = L::every(c.factor);
        let mut most = [L::every(f32::NEG_INFINITY); 4];
        for (i, at) in (0..end).step_by(L::LEN).enumerate() {
            most[i % 4] = L::load(c.scores.add(at)).mul(factor).max(most[i % 4]);
        }
        let before = *c.largest;
        let largest = most[0].max(most[1]).max(most[2].max(most[3])).largest().max(before);
        let shift = L::every(-largest);
        let mut sum = [L::zero(); 4];
        for (i, at) in (0..end).step_by(L::LEN).enumerate() {
            let weight = exp2(L::load(c.scores.add(at)).mul_add(factor, shift));
            weight.store(c.scores.add(at));
            if at < whole {
                sum[i % 4] = sum[i % 4].add(weight);
            }
        }
        for at in c.seen..c.room {
            *c.scores.add(at) = 0.0;
        }
        let mut sum = sum[0].add(sum[1]).add(sum[2].add(sum[3]));
        if whole < end {
            sum = sum.add(L::load(c.scores.add(whole)));
        }
        let sum = sum.total();
        *c.largest = largest;
        if before == largest {
            *c.sum += sum;
            return;
        }
        // Nothing was summed before the first block.
        let scale = if before == f32::NEG_INFINITY { 0.0 } else { (before - largest).exp2() };
        *c.sum = *c.sum * scale + sum;
        let scale = L::every(scale);
        for at in (0..c.width).step_by(L::LEN) {
            let p = c.values.add(at);
            L::load(p).mul(scale).store(p);
        }
    }
}

dispatch!(
    /// Scores to weights.
    ///
    /// # Safety
    /// As [`softmax_row`] with the instructions of `kernels`.
    softmax(<>, Softmax),
    softmax_row::<Zmm>, softmax_row::<Ymm>, softmax_row::<Array8>
);
