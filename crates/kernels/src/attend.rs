//! Attention over slices, a block of queries and a block of keys at a time: no matrix of all scores is ever in memory
//! (Dao et al., "FlashAttention", 2022).

use std::ops::Range;

use crate::aligned::AlignedBuf;
use crate::call::SendPtr;
use crate::instructions::{Bf16Unit, Kernels};
use crate::micro::blocks::{self, Block, DEPTH, Left, PANEL, SIDE, Session, Tile, packed_steps};
use crate::micro::rows::{self, LANES, Softmax};
use crate::panels::cuts;
use crate::precision::Precision;
use crate::shape::{Grid, product};
use crate::strip::Strip;
use rayon::prelude::*;

/// Queries at a time.
const QUERIES: usize = 32;
/// Keys at a time: whole panels of 48 and of 32.
const KEYS: usize = 384;

/// Rows `[batch, len]` of `heads · d` numbers.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    /// From the first row on.
    pub(crate) numbers: &'a [f32],
    pub(crate) len: usize,
    /// Numbers from one batch, and from one row, to the next.
    pub(crate) strides: [usize; 2],
}

impl Rows<'_> {
    /// From row `i` of a batch on, at a head's first number.
    fn at(&self, batch: usize, i: usize, first: usize) -> &[f32] {
        &self.numbers[batch * self.strides[0] + i * self.strides[1] + first..]
    }
}

/// `softmax(scale · q kᵀ) v` for each batch and head.
pub(crate) struct Attention<'a> {
    pub(crate) kernels: Kernels,
    pub(crate) precision: Precision,
    pub(crate) batch: usize,
    pub(crate) heads: usize,
    /// Numbers of a head.
    pub(crate) d: usize,
    pub(crate) q: Rows<'a>,
    pub(crate) k: Rows<'a>,
    pub(crate) v: Rows<'a>,
    pub(crate) scale: f64,
    /// Query `i` sees keys `0..=i` only.
    pub(crate) causal: bool,
}

/// First key and width of each panel of a block of keys.
fn key_panels(keys: Range<usize>) -> impl Iterator<Item = (usize, usize)> {
    cuts(keys.len()).map(move |(first, width)| (keys.start + first, width))
}

/// Keys and values of all heads, as the kernels read them.
enum Packed {
    F32 { keys: AlignedBuf, values: AlignedBuf },
    Bf16 { keys: Vec<Tile>, values: Vec<Tile>, unit: Bf16Unit },
}

/// Memory of a task.
#[derive(Default)]
struct Scratch {
    /// `[QUERIES, KEYS]`
    scores: AlignedBuf,
    /// `[QUERIES, d rounded up to whole panels]`
    values: AlignedBuf,
    /// Rounded queries and weights.
    queries: Vec<Tile>,
    weights: Vec<Tile>,
}

impl Attention<'_> {
    /// To `[batch, queries, heads · d]`. Split over rayon's current pool.
    ///
    /// # Errors
    /// The kernels don't multiply in this precision, or the CPU lacks the instructions.
    ///
    /// # Panics
    /// No keys or no numbers, or slices shorter than their strides say.
    pub(crate) fn run(&self) -> candle_core::Result<Vec<f32>> {
        let kernels = self.kernels.checked()?;
        Ok(self.run_on(self.precision.unit(kernels)?))
    }

    /// As [`Self::run`], on a unit that this CPU has.
    fn run_on(&self, unit: Option<Bf16Unit>) -> Vec<f32> {
        let width = product(&[self.heads, self.d]);
        assert!(width > 0 && self.k.len > 0 && self.k.len == self.v.len, "sizes of an attention");
        for rows in [self.q, self.k, self.v] {
            let [batch, row] = rows.strides;
            let grid = Grid { dims: [1, 1, self.batch, rows.len], strides: [0, 0, batch, row] };
            assert!(rows.numbers.len() >= grid.len(width), "rows outside of their slice");
        }
        let len = product(&[self.batch, self.q.len, width]);
        if self.kernels == Kernels::Plain {
            return self.plain(len);
        }
        let mut output = Vec::with_capacity(len);
        let to = SendPtr::from(output.as_mut_ptr());
        if len > 0 {
            let packed = self.pack(unit);
            let blocks = self.q.len.div_ceil(QUERIES);
            let tasks = (0..self.batch * self.heads * blocks).into_par_iter();
            tasks.for_each_init(Scratch::default, |scratch, i| {
                let (head, first) = (i / blocks, i % blocks * QUERIES);
                let queries = first..(first + QUERIES).min(self.q.len);
                // SAFETY: the sizes were compared above; each task has rows and a head of the output of its own.
                unsafe { self.task(&packed, head, queries, to, scratch) }
            });
        }
        // SAFETY: the tasks have written all of it.
        unsafe { output.set_len(len) };
        output
    }

    /// Batch, and a head's first number.
    fn place(&self, head: usize) -> (usize, usize) {
        (head / self.heads, head % self.heads * self.d)
    }

    fn pack(&self, unit: Option<Bf16Unit>) -> Packed {
        let (d, len) = (self.d, self.k.len);
        let all = self.batch * self.heads;
        match unit {
            None => {
                let (key, value) = (d * len.next_multiple_of(LANES), len * d.next_multiple_of(LANES));
                let mut keys = AlignedBuf::zeros(product(&[all, key]));
                let mut values = AlignedBuf::zeros(product(&[all, value]));
                let pieces = keys.par_chunks_exact_mut(key).zip(values.par_chunks_exact_mut(value));
                pieces.enumerate().for_each(|(head, (keys, values))| {
                    let (batch, at) = self.place(head);
                    let blocks = (0..len).step_by(KEYS).map(|first| first..(first + KEYS).min(len));
                    for (first, width) in blocks.flat_map(key_panels) {
                        let panel = &mut keys[first * d..][..width * d];
                        for j in 0..(len - first).min(width) {
                            let row = &self.k.at(batch, first + j, at)[..d];
                            panel[j..].iter_mut().step_by(width).zip(row).for_each(|(to, x)| *to = *x);
                        }
                    }
                    for (first, width) in cuts(d) {
                        let panel = &mut values[first * len..][..width * len];
                        let n = (d - first).min(width);
                        for (i, to) in panel.chunks_exact_mut(width).enumerate() {
                            to[..n].copy_from_slice(&self.v.at(batch, i, at + first)[..n]);
                        }
                    }
                });
                Packed::F32 { keys, values }
            }
            Some(unit) => {
                let (key, value) = (self.key_tiles(), self.value_tiles());
                let mut keys = vec![Tile::ZERO; product(&[all, key])];
                let mut values = vec![Tile::ZERO; product(&[all, value])];
                let pieces = keys.par_chunks_exact_mut(key).zip(values.par_chunks_exact_mut(value));
                pieces.enumerate().for_each(|(head, (keys, values))| {
                    // SAFETY: `run` has compared the sizes; `Precision::unit` has seen the instructions.
                    unsafe { self.pack_tiles(head, keys, values) }
                });
                Packed::Bf16 { keys, values, unit }
            }
        }
    }

    /// `[keys / 32, d / 32, 2]`, rounded up.
    fn key_tiles(&self) -> usize {
        self.k.len.div_ceil(PANEL) * self.d.div_ceil(DEPTH) * 2
    }

    /// `[d / 32, keys / 32, 2]`, rounded up.
    fn value_tiles(&self) -> usize {
        self.d.div_ceil(PANEL) * self.k.len.div_ceil(DEPTH) * 2
    }

    /// # Safety
    /// The rows lie in their slices; the CPU has the instructions.
    unsafe fn pack_tiles(&self, head: usize, keys: &mut [Tile], values: &mut [Tile]) {
        let (batch, at) = self.place(head);
        let (d, len) = (self.d, self.k.len);
        let steps = d.div_ceil(DEPTH);
        let mut left = vec![Tile::ZERO; steps];
        for (i, first) in (0..len).step_by(SIDE).enumerate() {
            let from = self.k.at(batch, first, at).as_ptr();
            // SAFETY: the caller's.
            unsafe { blocks::pack_rows(from, self.k.strides[1], len - first, d, left.as_mut_ptr()) }
            for (step, tile) in left.iter().enumerate() {
                keys[(i / 2 * steps + step) * 2 + i % 2] = tile.turned();
            }
        }
        let steps = len.div_ceil(DEPTH);
        for (i, first) in (0..d).step_by(SIDE).enumerate() {
            for step in 0..steps {
                let from = self.v.at(batch, step * DEPTH, at + first).as_ptr();
                let to = &mut values[(i / 2 * steps + step) * 2 + i % 2];
                // SAFETY: the caller's.
                unsafe {
                    blocks::pack_pairs(from, self.v.strides[1], len - step * DEPTH, d - first, to);
                }
            }
        }
    }

    /// # Safety
    /// `run` has compared the sizes; nobody else uses these rows of this head in `output`.
    unsafe fn task(
        &self,
        packed: &Packed,
        head: usize,
        queries: Range<usize>,
        output: SendPtr,
        scratch: &mut Scratch,
    ) {
        let d = self.d;
        let width = d.next_multiple_of(PANEL);
        scratch.scores.at_least(QUERIES * KEYS);
        let values = scratch.values.at_least(QUERIES * width);
        values.fill(0.0);
        let mut largest = [f32::NEG_INFINITY; QUERIES];
        let mut sums = [0.0; QUERIES];
        let mut seen = [0; QUERIES];
        let end = if self.causal { queries.end.min(self.k.len) } else { self.k.len };
        // SAFETY: the caller's.
        let session = unsafe { self.start(packed, head, queries.clone(), scratch) };
        for first in (0..end).step_by(KEYS) {
            let keys = first..(first + KEYS).min(self.k.len);
            // SAFETY: the caller's; scratch has room for whole blocks.
            unsafe {
                self.score(packed, head, queries.clone(), keys.clone(), session.as_ref(), scratch);
                for (seen, query) in seen.iter_mut().zip(queries.clone()) {
                    let last = if self.causal { keys.end.min(query + 1) } else { keys.end };
                    *seen = last.saturating_sub(first);
                }
                let call = Softmax {
                    scores: scratch.scores.as_mut_ptr(),
                    scores_row: KEYS,
                    room: keys.len().next_multiple_of(PANEL),
                    seen: &seen[..queries.len()],
                    factor: (self.scale * std::f64::consts::LOG2_E) as f32,
                    largest: largest.as_mut_ptr(),
                    sums: sums.as_mut_ptr(),
                    values: scratch.values.as_mut_ptr(),
                    width,
                };
                rows::softmax(self.kernels, &call);
                self.weigh(packed, head, queries.len(), keys, session.as_ref(), scratch);
            }
        }
        drop(session);
        let (batch, at) = self.place(head);
        for (r, query) in queries.enumerate() {
            let to = (batch * self.q.len + query) * self.heads * d + at;
            // One division a row: the largest weight is 1, so that the sum is no less.
            let factor = 1.0 / sums[r];
            for (i, x) in scratch.values[r * width..][..d].iter().enumerate() {
                // SAFETY: the caller's.
                unsafe { output.get().add(to + i).write(x * factor) }
            }
        }
    }

    /// Rounds the queries, where tiles are multiplied.
    ///
    /// # Safety
    /// As [`Self::task`].
    unsafe fn start(
        &self,
        packed: &Packed,
        head: usize,
        queries: Range<usize>,
        scratch: &mut Scratch,
    ) -> Option<Session> {
        let Packed::Bf16 { unit, .. } = packed else { return None };
        let (batch, at) = self.place(head);
        let steps = self.d.div_ceil(DEPTH);
        scratch.queries.resize(QUERIES / SIDE * steps, Tile::ZERO);
        scratch.weights.resize(QUERIES / SIDE * KEYS / DEPTH, Tile::ZERO);
        for (i, first) in queries.clone().step_by(SIDE).enumerate() {
            let from = self.q.at(batch, first, at).as_ptr();
            let to = scratch.queries[i * steps..].as_mut_ptr();
            // SAFETY: the caller's; there are tiles only where there are instructions.
            unsafe { blocks::pack_rows(from, self.q.strides[1], queries.end - first, self.d, to) }
        }
        // SAFETY: there are tiles only where there are instructions.
        Some(unsafe { Session::new(*unit) })
    }

    /// Scores of queries and keys.
    ///
    /// # Safety
    /// As [`Self::task`].
    unsafe fn score(
        &self,
        packed: &Packed,
        head: usize,
        queries: Range<usize>,
        keys: Range<usize>,
        session: Option<&Session>,
        scratch: &mut Scratch,
    ) {
        let (d, len) = (self.d, self.k.len);
        match (packed, session) {
            (Packed::Bf16 { keys: tiles, .. }, Some(session)) => {
                let steps = d.div_ceil(DEPTH);
                let offsets = packed_steps(steps);
                let tiles = &tiles[head * self.key_tiles()..];
                for first in keys.clone().step_by(PANEL) {
                    for at in (0..queries.len()).step_by(2 * SIDE) {
                        let block = Block {
                            left: Left::packed(&scratch.queries[at / SIDE * steps..], steps, &offsets),
                            right: tiles[first / PANEL * steps * 2..].as_ptr(),
                            out: scratch.scores[at * KEYS + first - keys.start..].as_mut_ptr(),
                            out_row: KEYS,
                            rows: (queries.len() - at).min(2 * SIDE),
                            add: false,
                        };
                        // SAFETY: the caller's.
                        unsafe { blocks::multiply(session, &block) }
                    }
                }
            }
            (Packed::F32 { keys: numbers, .. }, _) => {
                let (batch, at) = self.place(head);
                let numbers = &numbers[head * d * len.next_multiple_of(LANES)..];
                for (first, width) in key_panels(keys.clone()) {
                    let strip = Strip {
                        input: self.q.at(batch, queries.start, at).as_ptr(),
                        input_row: self.q.strides[1],
                        rows: queries.len(),
                        k: d,
                        panel: numbers[first * d..].as_ptr(),
                        width,
                        bias: None,
                        add: false,
                        out: scratch.scores[first - keys.start..].as_mut_ptr(),
                        out_row: KEYS,
                        cols: (len - first).min(width),
                        ahead: None,
                    };
                    // SAFETY: the caller's.
                    unsafe { strip.run(self.kernels) }
                }
            }
            (Packed::Bf16 { .. }, None) => unreachable!("`start` has begun a session"),
        }
    }

    /// Adds the values, weighted.
    ///
    /// # Safety
    /// As [`Self::task`].
    unsafe fn weigh(
        &self,
        packed: &Packed,
        head: usize,
        queries: usize,
        keys: Range<usize>,
        session: Option<&Session>,
        scratch: &mut Scratch,
    ) {
        let (d, len) = (self.d, self.k.len);
        let out_row = d.next_multiple_of(PANEL);
        match (packed, session) {
            (Packed::Bf16 { values: tiles, .. }, Some(session)) => {
                let room = KEYS / DEPTH;
                let n = keys.len().next_multiple_of(DEPTH);
                for at in (0..queries).step_by(SIDE) {
                    let from = scratch.scores[at * KEYS..].as_ptr();
                    let to = scratch.weights[at / SIDE * room..].as_mut_ptr();
                    // SAFETY: the caller's.
                    unsafe { blocks::pack_rows(from, KEYS, queries - at, n, to) }
                }
                let steps = len.div_ceil(DEPTH);
                let offsets = packed_steps(n / DEPTH);
                let tiles = &tiles[head * self.value_tiles()..];
                for first in (0..d).step_by(PANEL) {
                    for at in (0..queries).step_by(2 * SIDE) {
                        let block = Block {
                            left: Left::packed(&scratch.weights[at / SIDE * room..], room, &offsets),
                            right: tiles[(first / PANEL * steps + keys.start / DEPTH) * 2..].as_ptr(),
                            out: scratch.values[at * out_row + first..].as_mut_ptr(),
                            out_row,
                            rows: (queries - at).min(2 * SIDE),
                            add: true,
                        };
                        // SAFETY: the caller's.
                        unsafe { blocks::multiply(session, &block) }
                    }
                }
            }
            (Packed::F32 { values: numbers, .. }, _) => {
                let numbers = &numbers[head * len * d.next_multiple_of(LANES)..];
                for (first, width) in cuts(d) {
                    let strip = Strip {
                        input: scratch.scores.as_ptr(),
                        input_row: KEYS,
                        rows: queries,
                        k: keys.len(),
                        panel: numbers[first * len + keys.start * width..].as_ptr(),
                        width,
                        bias: None,
                        add: true,
                        out: scratch.values[first..].as_mut_ptr(),
                        out_row,
                        cols: width,
                        ahead: None,
                    };
                    // SAFETY: the caller's.
                    unsafe { strip.run(self.kernels) }
                }
            }
            (Packed::Bf16 { .. }, None) => unreachable!("`start` has begun a session"),
        }
    }

    /// The plain truth.
    fn plain(&self, len: usize) -> Vec<f32> {
        let d = self.d;
        let round = |x: &f32| self.precision.round(*x);
        let mut output = vec![0.0; len];
        for head in 0..self.batch * self.heads {
            let (batch, at) = self.place(head);
            for query in 0..self.q.len {
                let end = if self.causal { (query + 1).min(self.k.len) } else { self.k.len };
                let q = &self.q.at(batch, query, at)[..d];
                let score = |i: usize| {
                    let k = &self.k.at(batch, i, at)[..d];
                    let dot: f32 = q.iter().zip(k).map(|(q, k)| round(q) * round(k)).sum();
                    dot * self.scale as f32
                };
                let scores: Vec<f32> = (0..end).map(score).collect();
                let largest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let weights: Vec<f32> = scores.iter().map(|s| (s - largest).exp()).collect();
                let sum: f32 = weights.iter().sum();
                let to = (batch * self.q.len + query) * self.heads * d + at;
                for (i, weight) in weights.iter().enumerate() {
                    let v = &self.v.at(batch, i, at)[..d];
                    output[to..to + d].iter_mut().zip(v).for_each(|(x, v)| *x += round(weight) * round(v));
                }
                output[to..to + d].iter_mut().for_each(|x| *x /= sum);
            }
        }
        output
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// Where tiles are multiplied, AVX-512 must find the same.
    #[test]
    fn units_agree() {
        if Kernels::Avx512.bf16_unit() != Some(Bf16Unit::Amx) {
            println!("skipped: this CPU has no AMX");
            return;
        }
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        for (queries, keys, d) in [(1, 1, 1), (70, 500, 64), (33, 400, 9), (64, 31, 80)] {
            let mut random = |n: usize| (0..n).map(|_| rng.random_range(-1.0..1.0)).collect::<Vec<f32>>();
            let width = 2 * d;
            let (q, k, v) = (random(queries * width), random(keys * width), random(keys * width));
            let rows = |numbers, len| Rows { numbers, len, strides: [0, width] };
            let attention = Attention {
                kernels: Kernels::Avx512,
                precision: Precision::Bf16,
                batch: 1,
                heads: 2,
                d,
                q: rows(&q, queries),
                k: rows(&k, keys),
                v: rows(&v, keys),
                scale: 0.3,
                causal: queries == keys,
            };
            let [one, other] = [Bf16Unit::Avx512, Bf16Unit::Amx].map(|unit| attention.run_on(Some(unit)));
            let largest = one.iter().zip(&other).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            // A weight may be rounded the other way.
            assert!(largest <= 1e-3, "{queries} over {keys} of {d}: {largest}");
        }
    }
}
