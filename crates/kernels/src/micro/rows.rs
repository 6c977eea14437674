//! What transformers do to rows of numbers between their products.

use super::dispatch::dispatch;
use super::functions::{exp2, gelu_exact, gelu_quick, gelu_tanh};
use super::lane::{Array8, Lane};
#[cfg(target_arch = "x86_64")]
use super::lane::{Ymm, Zmm};
use crate::gelu::Gelu;
use crate::instructions::Kernels;

/// Does `$each` for every vector from 0 to `$end`, a multiple of their length, `$at` its place and `$j` from 0 to 3 in
/// turn, so that four sums can grow side by side in registers. A macro, as a closure isn't always compiled for the
/// instructions of the function that it stands in.
macro_rules! vectors {
    ($lane:ty, $end:expr, |$j:ident, $at:ident| $each:expr) => {
        let mut from = 0;
        while from + 4 * <$lane>::LEN <= $end {
            for $j in 0..4 {
                let $at = from + $j * <$lane>::LEN;
                $each;
            }
            from += 4 * <$lane>::LEN;
        }
        while from < $end {
            let ($j, $at) = (0, from);
            $each;
            from += <$lane>::LEN;
        }
    };
}

/// As [`Softmax`] for the vector at `at`.
#[inline(always)]
unsafe fn weigh<L: Lane>(scores: *mut f32, factor: L, shift: L) -> L {
    unsafe {
        let weight = exp2(L::load(scores).mul_add(factor, shift));
        weight.store(scores);
        weight
    }
}

/// `out = clamp(gelu(from + bias) + residual)` for a block of rows. `from` may be `out`.
pub(crate) struct Finish {
    pub from: *const f32,
    /// Numbers from one row to the next.
    pub from_row: usize,
    /// `[cols]`
    pub bias: Option<*const f32>,
    pub gelu: Gelu,
    /// And the numbers from one row of it to the next.
    pub residual: Option<(*const f32, usize)>,
    /// Limits of an activation.
    pub clamp: Option<(f32, f32)>,
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
                if let Some((residual, row)) = f.residual {
                    x = x.add(load(residual.add(r * row + at)));
                }
                if let Some((low, high)) = f.clamp {
                    x = x.clamp(low, high);
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
            vectors!(L, whole, |j, at| sums[j] = sums[j].add(L::load(from.add(at))));
            let mut sum = sums[0].add(sums[1]).add(sums[2].add(sums[3]));
            if rest > 0 {
                sum = sum.add(L::load_n(from.add(whole), rest));
            }
            let mean = sum.total() / n;
            // The mean is known before its distances are squared: nothing large cancels.
            let centre = L::every(mean);
            let mut squares = [L::zero(); 4];
            vectors!(L, whole, |j, at| {
                let x = L::load(from.add(at)).sub(centre);
                squares[j] = x.mul_add(x, squares[j]);
            });
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

/// Some rows' step through a block of keys: scores become weights, relative to the largest score so far, and what was
/// summed before is scaled to that (Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018).
pub(crate) struct Softmax<'a> {
    /// `[rows, room]`, `room` a multiple of [`LANES`]. In: scores, `seen` of them; out: weights, and zeros behind.
    pub scores: *mut f32,
    /// Numbers from one row of scores to the next.
    pub scores_row: usize,
    pub room: usize,
    /// Of each row.
    pub seen: &'a [usize],
    /// What scores are multiplied by: with that, they are exponents of 2.
    pub factor: f32,
    /// `[rows]`: the largest scaled score so far, and the sum of weights.
    pub largest: *mut f32,
    pub sums: *mut f32,
    /// `[rows, width]`, the weighted sums of values so far; `width` is a multiple of [`LANES`].
    pub values: *mut f32,
    pub width: usize,
}

/// # Safety
/// The pointers are valid for what the fields' descriptions say; the CPU has `L`'s instructions.
#[inline(always)]
unsafe fn softmax_rows<L: Lane>(c: &Softmax) {
    unsafe {
        let factor = L::every(c.factor);
        for (r, &seen) in c.seen.iter().enumerate() {
            let scores = c.scores.add(r * c.scores_row);
            if seen == 0 {
                scores.write_bytes(0, c.room);
                continue;
            }
            let whole = seen / L::LEN * L::LEN;
            let end = seen.next_multiple_of(L::LEN);
            // What doesn't count repeats what does.
            for at in seen..end {
                *scores.add(at) = *scores;
            }
            let mut most = [L::every(f32::NEG_INFINITY); 4];
            vectors!(L, end, |j, at| most[j] = L::load(scores.add(at)).mul(factor).max(most[j]));
            let before = *c.largest.add(r);
            let largest = most[0].max(most[1]).max(most[2].max(most[3])).largest().max(before);
            let shift = L::every(-largest);
            let mut sums = [L::zero(); 4];
            vectors!(L, whole, |j, at| sums[j] = sums[j].add(weigh(scores.add(at), factor, shift)));
            if whole < end {
                weigh(scores.add(whole), factor, shift);
            }
            if seen < c.room {
                scores.add(seen).write_bytes(0, c.room - seen);
            }
            if whole < end {
                sums[0] = sums[0].add(L::load(scores.add(whole)));
            }
            let sum = sums[0].add(sums[1]).add(sums[2].add(sums[3])).total();
            *c.largest.add(r) = largest;
            let total = c.sums.add(r);
            if before == largest {
                *total += sum;
                continue;
            }
            let scale = exp2(L::every(before - largest));
            let mut first = [0.0; LANES];
            scale.store(first.as_mut_ptr());
            *total = *total * first[0] + sum;
            for at in (0..c.width).step_by(L::LEN) {
                let p = c.values.add(r * c.width + at);
                L::load(p).mul(scale).store(p);
            }
        }
    }
}

dispatch!(
    /// Scores to weights.
    ///
    /// # Safety
    /// As [`softmax_rows`] with the instructions of `kernels`.
    softmax(<>, Softmax),
    softmax_rows::<Zmm>, softmax_rows::<Ymm>, softmax_rows::<Array8>
);
