//! The product of a linear layer: many rows times weights that were packed once.
//!
//! A task is some rows and some columns of the result. It takes as many rows at a time as stay in the level-2 cache,
//! and for each panel of weights goes through all of them.

use std::ops::Range;

use crate::aligned::AlignedBuf;
use crate::call::SendPtr;
use crate::gelu::Gelu;
use crate::instructions::{Bf16Unit, Kernels};
use crate::micro::ahead::Ahead;
use crate::micro::blocks::{self, Block, DEPTH, Left, PANEL, SIDE, Session, Tile, packed_steps};
use crate::micro::rows::{self, Finish};
use crate::panels::{Panels, cuts};
use crate::precision::Precision;
use crate::shape::product;
use crate::strip::Strip;
use rayon::prelude::*;

/// Bytes of rows that are multiplied at a time.
const BLOCK: usize = 1024 * 1024;
/// Rows whose products stay in registers together, for all kernels: tasks begin at multiples of it.
const TOGETHER: usize = 96;
/// Inputs at a time in `f32`: a panel's part for them stays near while all rows pass.
const DEEP: usize = 1024;
/// Groups of so many rows that go through two layers together. Fewer would read the weights more often, more would push
/// what is between the layers out of the level-2 cache.
const THROUGH: usize = 2;
/// Numbers of a cache line.
const LINE: usize = 16;

/// Weights `[outputs, inputs]` and a bias, in the order in which the kernels read them.
pub(crate) struct Product {
    kernels: Kernels,
    inputs: usize,
    outputs: usize,
    weights: Weights,
    /// With zeros up to whole panels.
    bias: AlignedBuf,
}

enum Weights {
    /// `[outputs, inputs]`, rounded to the precision.
    Plain(Vec<f32>, Precision),
    F32(Panels),
    /// `[outputs / 32, inputs / 32, 2]`, rounded up.
    Bf16(Vec<Tile>, Bf16Unit),
}

impl Product {
    /// `row(o, to)` writes the `inputs` weights of output `o`.
    ///
    /// # Errors
    /// These kernels don't multiply in this precision, or the CPU lacks the instructions.
    ///
    /// # Panics
    /// No inputs or outputs, or other than `outputs` numbers of bias.
    pub(crate) fn new(
        kernels: Kernels,
        precision: Precision,
        [inputs, outputs]: [usize; 2],
        bias: &[f32],
        row: impl Fn(usize, &mut [f32]) + Sync,
    ) -> candle_core::Result<Self> {
        assert!(inputs > 0 && outputs > 0 && bias.len() == outputs, "sizes of a product");
        let kernels = kernels.checked()?;
        let weights = match (kernels, precision.unit(kernels)?) {
            (Kernels::Plain, _) => {
                let mut weights = vec![0.0; product(&[outputs, inputs])];
                weights.par_chunks_exact_mut(inputs).enumerate().for_each(|(o, to)| {
                    row(o, to);
                    to.iter_mut().for_each(|x| *x = precision.round(*x));
                });
                Weights::Plain(weights, precision)
            }
            (_, None) => Weights::F32(Panels::from_outputs([inputs, outputs], row)),
            (_, Some(unit)) => Weights::Bf16(tiles([inputs, outputs], row), unit),
        };
        let mut padded = AlignedBuf::zeros(outputs.next_multiple_of(PANEL));
        padded[..outputs].copy_from_slice(bias);
        Ok(Self { kernels, inputs, outputs, weights, bias: padded })
    }

    pub(crate) fn inputs(&self) -> usize {
        self.inputs
    }

    pub(crate) fn outputs(&self) -> usize {
        self.outputs
    }

    /// `input [rows, inputs]` to `gelu(input · weightsᵀ + bias) + residual`, `[rows, outputs]`. Split over rayon's
    /// current pool.
    ///
    /// # Panics
    /// Slices of other sizes.
    pub(crate) fn run(&self, input: &[f32], residual: Option<&[f32]>, gelu: Gelu) -> Vec<f32> {
        assert_eq!(input.len() % self.inputs, 0, "input's size");
        let rows = input.len() / self.inputs;
        let len = product(&[rows, self.outputs]);
        assert!(residual.is_none_or(|r| r.len() == len), "residual's size");
        if let Weights::Plain(weights, precision) = &self.weights {
            return self.plain(weights, *precision, input, residual, gelu);
        }
        let mut output = Vec::with_capacity(len);
        let output_row = self.outputs;
        let to = SendPtr::from(output.as_mut_ptr());
        let call = Call { input, input_row: self.inputs, residual, gelu, output: to, output_row };
        let tasks = self.tasks(rows);
        tasks.into_par_iter().for_each_init(Scratch::default, |scratch, (rows, panels)| {
            // SAFETY: the slices' sizes were compared; each task has a part of the output of its own.
            unsafe { self.task(&call, rows, panels, scratch) }
        });
        // SAFETY: the tasks have written all of it.
        unsafe { output.set_len(len) };
        output
    }

    /// `next(gelu(self(input))) + residual`, `next` with its own `gelu` too, exactly as two runs find it, but without
    /// memory for all that is between: some rows at a time go through both layers.
    ///
    /// # Panics
    /// Slices of other sizes, or layers that don't fit each other.
    pub(crate) fn run_through(
        &self,
        input: &[f32],
        gelu: Gelu,
        (next, next_gelu): (&Self, Gelu),
        residual: &[f32],
    ) -> Vec<f32> {
        assert!(
            self.outputs == next.inputs && input.len().is_multiple_of(self.inputs),
            "sizes of two layers"
        );
        let rows = input.len() / self.inputs;
        let groups = rows.div_ceil(TOGETHER);
        let plain = |product: &Self| matches!(product.weights, Weights::Plain(..));
        // Few rows are no work for all threads by themselves: cut by columns, too, they are.
        let most = 4 * rayon::current_num_threads();
        if groups < most || plain(self) || plain(next) {
            return next.run(&self.run(input, None, gelu), Some(residual), next_gelu);
        }
        let len = product(&[rows, next.outputs]);
        assert_eq!(residual.len(), len, "residual's size");
        let mut output = Vec::with_capacity(len);
        let to = SendPtr::from(output.as_mut_ptr());
        // Rows at the same place of all pages would meet in the same few lines of the nearest cache.
        let between_row = self.outputs + LINE;
        let pieces = groups.div_ceil(THROUGH).max(most);
        let pieces = (0..pieces).into_par_iter().map(|i| part(groups, i, pieces));
        pieces.for_each_init(Default::default, |(scratch, between): &mut (Scratch, AlignedBuf), groups| {
            let first = groups.start * TOGETHER;
            let here = (groups.end * TOGETHER).min(rows) - first;
            let between = between.at_least(here * between_row);
            let up = Call {
                input: &input[first * self.inputs..],
                input_row: self.inputs,
                residual: None,
                gelu,
                output: SendPtr::from(between.as_mut_ptr()),
                output_row: between_row,
            };
            // SAFETY: there is room for so many rows of each layer; each piece has rows of the output of its own.
            unsafe { self.task(&up, 0..here, 0..self.panels().len(), scratch) }
            let down = Call {
                input: between,
                input_row: between_row,
                residual: Some(&residual[first * next.outputs..]),
                gelu: next_gelu,
                output: SendPtr::from(to.get().wrapping_add(first * next.outputs)),
                output_row: next.outputs,
            };
            // SAFETY: as above; all numbers between the layers were written.
            unsafe { next.task(&down, 0..here, 0..next.panels().len(), scratch) }
        });
        // SAFETY: the pieces have written all of it.
        unsafe { output.set_len(len) };
        output
    }

    /// First output and width of each panel.
    fn panels(&self) -> Vec<(usize, usize)> {
        match &self.weights {
            Weights::Bf16(..) => (0..self.outputs).step_by(PANEL).map(|first| (first, PANEL)).collect(),
            _ => cuts(self.outputs).collect(),
        }
    }

    /// Rows and panels of each task: nearly equal pieces, several a thread so that none waits long.
    fn tasks(&self, rows: usize) -> Vec<(Range<usize>, Range<usize>)> {
        let panels = self.panels().len();
        let groups = rows.div_ceil(TOGETHER);
        // No more pieces than some 100 000 multiply-adds each.
        let cost = rows.saturating_mul(self.inputs).saturating_mul(self.outputs);
        let most = (cost / 100_000).clamp(1, 4 * rayon::current_num_threads());
        let across = groups.min(most);
        let along = (most / across.max(1)).clamp(1, panels);
        let mut tasks = Vec::with_capacity(across * along);
        for i in 0..across {
            let rows = groups * i / across * TOGETHER..(groups * (i + 1) / across * TOGETHER).min(rows);
            for j in 0..along {
                tasks.push((rows.clone(), part(panels, j, along)));
            }
        }
        tasks
    }

    /// # Safety
    /// The call's slices fit the layer and the rows, and nobody else uses this part of its output.
    unsafe fn task(&self, call: &Call, rows: Range<usize>, panels: Range<usize>, scratch: &mut Scratch) {
        let row = match self.weights {
            Weights::Bf16(..) => self.inputs * size_of::<u16>(),
            _ => self.inputs.min(DEEP) * size_of::<f32>(),
        };
        let groups = rows.len().div_ceil(TOGETHER);
        let blocks = groups.div_ceil((BLOCK / row / TOGETHER).max(1));
        let panels = &self.panels()[panels];
        for block in 0..blocks {
            let groups = part(groups, block, blocks);
            let end = rows.start + groups.end * TOGETHER;
            let rows = rows.start + groups.start * TOGETHER..end.min(rows.end);
            // SAFETY: the caller's.
            unsafe {
                match &self.weights {
                    Weights::Bf16(tiles, unit) => self.rows_bf16(call, tiles, *unit, rows, panels, scratch),
                    Weights::F32(weights) => self.rows_f32(call, weights, rows, panels),
                    Weights::Plain(..) => unreachable!("`run` has looked"),
                }
            }
        }
    }

    /// # Safety
    /// As [`Self::task`].
    unsafe fn rows_f32(&self, call: &Call, weights: &Panels, rows: Range<usize>, panels: &[(usize, usize)]) {
        let pieces = self.inputs.div_ceil(DEEP);
        for piece in 0..pieces {
            let inputs = part(self.inputs, piece, pieces);
            let panel = |(first, width): (usize, usize)| {
                &weights.panel(first)[inputs.start * width..inputs.end * width]
            };
            for (i, &(first, width)) in panels.iter().enumerate() {
                let cols = (self.outputs - first).min(width);
                let out = call.output.get().wrapping_add(rows.start * call.output_row + first);
                let strip = Strip {
                    input: call.input[rows.start * call.input_row + inputs.start..].as_ptr(),
                    input_row: call.input_row,
                    rows: rows.len(),
                    k: inputs.len(),
                    panel: panel((first, width)).as_ptr(),
                    width,
                    bias: (piece == 0).then(|| self.bias[first..].as_ptr()),
                    add: piece > 0,
                    out,
                    out_row: call.output_row,
                    cols,
                    ahead: panels.get(i + 1).map(|next| Ahead::of(panel(*next))),
                };
                // SAFETY: the caller's; the panel and the bias were packed for these sizes, with whole vectors.
                unsafe { strip.run(self.kernels) }
                if piece + 1 == pieces && (call.gelu != Gelu::None || call.residual.is_some()) {
                    // SAFETY: as above.
                    unsafe { self.finish(call, (out, call.output_row), None, rows.clone(), first, cols) }
                }
            }
        }
    }

    /// # Safety
    /// As [`Self::task`].
    unsafe fn rows_bf16(
        &self,
        call: &Call,
        tiles: &[Tile],
        unit: Bf16Unit,
        rows: Range<usize>,
        panels: &[(usize, usize)],
        scratch: &mut Scratch,
    ) {
        let steps = self.inputs.div_ceil(DEPTH);
        let pieces = steps.div_ceil(blocks::DEEP);
        let row_tiles = rows.len().div_ceil(SIDE);
        let left = &mut scratch.left;
        left.resize(row_tiles * steps, Tile::ZERO);
        let sums = scratch.sums.at_least(row_tiles * SIDE * PANEL);
        for (i, to) in left.chunks_exact_mut(steps).enumerate() {
            let first = rows.start + i * SIDE;
            let input = call.input[first * call.input_row..].as_ptr();
            // SAFETY: the caller's; `new` has seen the instructions.
            unsafe {
                blocks::pack_rows(input, call.input_row, rows.end - first, self.inputs, to.as_mut_ptr());
            }
        }
        let offsets = packed_steps(steps.min(blocks::DEEP));
        // SAFETY: `new` has seen the instructions.
        let session = unsafe { Session::new(unit) };
        for (i, &(first, _)) in panels.iter().enumerate() {
            let right = &tiles[first / PANEL * steps * 2..][..steps * 2];
            let next = panels.get(i + 1).map(|&(next, _)| &tiles[next / PANEL * steps * 2..][..steps * 2]);
            for piece in 0..pieces {
                let steps_here = part(steps, piece, pieces);
                let ahead = next.map(|next| Ahead::of(&next[2 * steps_here.start..2 * steps_here.end]));
                for at in (0..rows.len()).step_by(2 * SIDE) {
                    if let Some(ahead) = ahead {
                        ahead.fetch(at / (2 * SIDE), rows.len().div_ceil(2 * SIDE));
                    }
                    let block = Block {
                        left: Left::packed(
                            &left[at / SIDE * steps + steps_here.start..],
                            steps,
                            &offsets[..steps_here.len()],
                        ),
                        right: right[steps_here.start * 2..].as_ptr(),
                        out: sums[at * PANEL..].as_mut_ptr(),
                        out_row: PANEL,
                        rows: (rows.len() - at).min(2 * SIDE),
                        add: piece > 0,
                    };
                    // SAFETY: all tiles are there, and sums for whole ones.
                    unsafe { blocks::multiply(&session, &block) }
                }
            }
            let cols = (self.outputs - first).min(PANEL);
            let bias = Some(self.bias[first..].as_ptr());
            // SAFETY: the caller's.
            unsafe { self.finish(call, (sums.as_ptr(), PANEL), bias, rows.clone(), first, cols) }
        }
    }

    /// # Safety
    /// As [`Self::task`]; `from` holds the sums, its second number apart from row to row.
    unsafe fn finish(
        &self,
        call: &Call,
        from: (*const f32, usize),
        bias: Option<*const f32>,
        rows: Range<usize>,
        first: usize,
        cols: usize,
    ) {
        let at = rows.start * call.output_row + first;
        let finish = Finish {
            from: from.0,
            from_row: from.1,
            bias,
            gelu: call.gelu,
            residual: call.residual.map(|r| (r[at..].as_ptr(), call.output_row)),
            clamp: None,
            out: call.output.get().wrapping_add(at),
            out_row: call.output_row,
            rows: rows.len(),
            cols,
        };
        // SAFETY: the caller's.
        unsafe { rows::finish(self.kernels, &finish) }
    }

    /// The plain truth.
    fn plain(
        &self,
        weights: &[f32],
        precision: Precision,
        input: &[f32],
        residual: Option<&[f32]>,
        gelu: Gelu,
    ) -> Vec<f32> {
        let mut output = Vec::with_capacity(input.len() / self.inputs * self.outputs);
        for x in input.chunks_exact(self.inputs) {
            let x: Vec<f32> = x.iter().map(|x| precision.round(*x)).collect();
            for (weights, bias) in weights.chunks_exact(self.inputs).zip(&self.bias[..]) {
                let sum = weights.iter().zip(&x).fold(*bias, |sum, (w, x)| sum + w * x);
                output.push(gelu.of(sum));
            }
        }
        if let Some(residual) = residual {
            output.iter_mut().zip(residual).for_each(|(x, r)| *x += r);
        }
        output
    }
}

/// The `i`-th of `n` nearly equal parts of `0..len`.
fn part(len: usize, i: usize, n: usize) -> Range<usize> {
    len * i / n..len * (i + 1) / n
}

/// One run.
struct Call<'a> {
    input: &'a [f32],
    /// Numbers from one row to the next.
    input_row: usize,
    /// As far apart as the rows of the output.
    residual: Option<&'a [f32]>,
    gelu: Gelu,
    output: SendPtr,
    output_row: usize,
}

/// Memory of a task.
#[derive(Default)]
struct Scratch {
    /// Rounded rows.
    left: Vec<Tile>,
    /// A panel's sums.
    sums: AlignedBuf,
}

/// Rounds and packs weights.
fn tiles([inputs, outputs]: [usize; 2], row: impl Fn(usize, &mut [f32]) + Sync) -> Vec<Tile> {
    let steps = inputs.div_ceil(DEPTH);
    let mut tiles = vec![Tile::ZERO; product(&[outputs.div_ceil(PANEL), steps, 2])];
    tiles.par_chunks_exact_mut(2 * steps).enumerate().for_each(|(panel, to)| {
        let mut numbers = vec![0.0; SIDE * inputs];
        let mut left = vec![Tile::ZERO; steps];
        for half in 0..2 {
            let first = panel * PANEL + half * SIDE;
            let rows = outputs.saturating_sub(first).min(SIDE);
            if rows == 0 {
                break;
            }
            numbers.chunks_exact_mut(inputs).take(rows).enumerate().for_each(|(i, to)| row(first + i, to));
            // SAFETY: the rows were written; `Precision::unit` has seen the instructions.
            unsafe { blocks::pack_rows(numbers.as_ptr(), inputs, rows, inputs, left.as_mut_ptr()) }
            for (step, tile) in left.iter().enumerate() {
                to[2 * step + half] = tile.turned();
            }
        }
    });
    tiles
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
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        for (rows, inputs, outputs) in [(1, 1, 1), (70, 100, 97), (200, 1500, 33), (17, 31, 64)] {
            let mut random = |n: usize| (0..n).map(|_| rng.random_range(-1.0..1.0)).collect::<Vec<f32>>();
            let (x, weights, bias) = (random(rows * inputs), random(inputs * outputs), random(outputs));
            let sizes = [inputs, outputs];
            let row = |o: usize, to: &mut [f32]| to.copy_from_slice(&weights[o * inputs..][..inputs]);
            let mut product = Product::new(Kernels::Avx512, Precision::Bf16, sizes, &bias, row).unwrap();
            let amx = product.run(&x, None, Gelu::None);
            let Weights::Bf16(_, unit) = &mut product.weights else { panic!("not packed for bf16") };
            assert_eq!(*unit, Bf16Unit::Amx);
            *unit = Bf16Unit::Avx512;
            let avx512 = product.run(&x, None, Gelu::None);
            let largest = amx.iter().zip(&avx512).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(largest <= 1e-4, "{rows} × {inputs} to {outputs}: {largest}");
        }
    }
}
