//! The part of an LSTM layer that goes step by step, as one operator with its own gradient.
//!
//! On the CPU it replaces a graph of a dozen small operators a step, whose gradients cost far more
//! than the arithmetic and whose depth overflows the stack for long sequences.

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};
use gemm::Parallelism;

/// `gates [B, T, 4·H]`: what the inputs, weighted, and the biases add to the gates (input, forget,
/// cell, output); `weight [4·H, H]`: recurrent weights. Returns the outputs `[B, T, H]`.
///
/// `h_t = σ(o)·tanh(c_t)`, `c_t = σ(f)·c_{t−1} + σ(i)·tanh(g)`, from zero state.
pub(super) fn recurrence(gates: &Tensor, weight: &Tensor) -> Result<Tensor> {
    gates.apply_op2(weight, Recurrence)
}

struct Recurrence;

/// Sizes of a call.
#[derive(Clone, Copy)]
struct Size {
    batch: usize,
    steps: usize,
    hidden: usize,
}

impl CustomOp2 for Recurrence {
    fn name(&self) -> &'static str {
        "lstm-recurrence"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let size = Size::of(l1.shape(), l2.shape())?;
        let Size { batch, steps, hidden } = size;
        let (gates, weight) = (slice(s1, l1)?, slice(s2, l2)?);
        let mut out = vec![0.0; batch * steps * hidden];
        let mut now = vec![0.0; batch * 4 * hidden];
        let mut h = vec![0.0; batch * hidden];
        let mut c = vec![0.0; batch * hidden];
        for t in 0..steps {
            for b in 0..batch {
                let row = (b * steps + t) * 4 * hidden;
                now[b * 4 * hidden..][..4 * hidden].copy_from_slice(&gates[row..][..4 * hidden]);
            }
            if t > 0 {
                add_product(&mut now, &h, [batch, hidden], weight, Side::Transposed, 4 * hidden);
            }
            for b in 0..batch {
                let gates = &now[b * 4 * hidden..][..4 * hidden];
                let (h, c) = (&mut h[b * hidden..][..hidden], &mut c[b * hidden..][..hidden]);
                for j in 0..hidden {
                    let [i, f, g, o] = activate(gates, hidden, j);
                    c[j] = f * c[j] + i * g;
                    h[j] = o * c[j].tanh();
                }
                out[(b * steps + t) * hidden..][..hidden].copy_from_slice(h);
            }
        }
        Ok((CpuStorage::F32(out), (batch, steps, hidden).into()))
    }

    fn bwd(
        &self,
        gates: &Tensor,
        weight: &Tensor,
        out: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let size = Size::of(gates.shape(), weight.shape())?;
        let Size { batch, steps, hidden } = size;
        let values = |t: &Tensor| t.contiguous()?.flatten_all()?.to_vec1::<f32>();
        let (weights, outputs, grads) = (values(weight)?, values(out)?, values(grad)?);

        // All outputs are known, so all gates come from one matrix product. `before` holds h_{t−1}.
        let mut before = vec![0.0; outputs.len()];
        for b in 0..batch {
            let clip = b * steps * hidden..(b + 1) * steps * hidden;
            before[clip.clone()][hidden..].copy_from_slice(&outputs[clip][..(steps - 1) * hidden]);
        }
        let mut gates = values(gates)?;
        add_product(&mut gates, &before, [batch * steps, hidden], &weights, Side::Transposed, 4 * hidden);
        let mut cells = vec![0.0; outputs.len()];
        for b in 0..batch {
            for t in 0..steps {
                let row = b * steps + t;
                for j in 0..hidden {
                    let [i, f, g, o] = activate(&gates[row * 4 * hidden..][..4 * hidden], hidden, j);
                    let earlier = if t == 0 { 0.0 } else { cells[(row - 1) * hidden + j] };
                    cells[row * hidden + j] = f * earlier + i * g;
                    [i, f, g, o]
                        .into_iter()
                        .enumerate()
                        .for_each(|(k, x)| gates[(row * 4 + k) * hidden + j] = x);
                }
            }
        }

        // From the last step to the first; `gates` becomes the gradient of what went into them.
        let mut dh = vec![0.0; batch * hidden];
        let mut dc = vec![0.0; batch * hidden];
        let mut now = vec![0.0; batch * 4 * hidden];
        for t in (0..steps).rev() {
            for b in 0..batch {
                let row = b * steps + t;
                for j in 0..hidden {
                    let at = |k: usize| (row * 4 + k) * hidden + j;
                    let [i, f, g, o] = [0, 1, 2, 3].map(|k| gates[at(k)]);
                    let tanh = cells[row * hidden + j].tanh();
                    let earlier = if t == 0 { 0.0 } else { cells[(row - 1) * hidden + j] };
                    let dh = dh[b * hidden + j] + grads[row * hidden + j];
                    let dc_now = dc[b * hidden + j] + dh * o * (1.0 - tanh * tanh);
                    dc[b * hidden + j] = dc_now * f;
                    let d = [
                        dc_now * g * i * (1.0 - i),
                        dc_now * earlier * f * (1.0 - f),
                        dc_now * i * (1.0 - g * g),
                        dh * tanh * o * (1.0 - o),
                    ];
                    for (k, d) in d.into_iter().enumerate() {
                        gates[at(k)] = d;
                        now[(b * 4 + k) * hidden + j] = d;
                    }
                }
            }
            dh.fill(0.0);
            add_product(&mut dh, &now, [batch, 4 * hidden], &weights, Side::AsIs, hidden);
        }
        let device = weight.device();
        let dgates = Tensor::from_vec(gates, (batch * steps, 4 * hidden), device)?;
        let dweight = dgates.t()?.matmul(&Tensor::from_vec(before, (batch * steps, hidden), device)?)?;
        Ok((Some(dgates.reshape((batch, steps, 4 * hidden))?), Some(dweight)))
    }
}

impl Size {
    fn of(gates: &Shape, weight: &Shape) -> Result<Self> {
        let (batch, steps, width) = gates.dims3()?;
        let (rows, hidden) = weight.dims2()?;
        if width != 4 * hidden || rows != width || steps == 0 {
            bail!("lstm: gates {gates:?} don't fit recurrent weights {weight:?}");
        }
        Ok(Self { batch, steps, hidden })
    }
}

/// Input, forget, cell and output gate of unit `j`, each through its own curve.
fn activate(gates: &[f32], hidden: usize, j: usize) -> [f32; 4] {
    let sigmoid = |x: f32| 1.0 / (1.0 + (-x).exp());
    let [i, f, g, o] = [0, 1, 2, 3].map(|k| gates[k * hidden + j]);
    [sigmoid(i), sigmoid(f), g.tanh(), sigmoid(o)]
}

/// How a product takes its right side.
#[derive(Clone, Copy, PartialEq)]
enum Side {
    AsIs,
    Transposed,
}

/// `out [rows, columns] += left [rows, depth] · right`, where `right` is `[depth, columns]` or,
/// transposed, `[columns, depth]`.
fn add_product(
    out: &mut [f32],
    left: &[f32],
    [rows, depth]: [usize; 2],
    right: &[f32],
    side: Side,
    columns: usize,
) {
    assert!(out.len() == rows * columns && left.len() == rows * depth && right.len() == depth * columns);
    let (right_column, right_row) = match side {
        Side::AsIs => (1, columns as isize),
        Side::Transposed => (depth as isize, 1),
    };
    let threads = rayon::current_num_threads();
    let parallelism = if threads > 1 { Parallelism::Rayon(threads) } else { Parallelism::None };
    // SAFETY: the lengths were checked against the sizes and strides that are passed.
    unsafe {
        gemm::gemm(
            rows,
            columns,
            depth,
            out.as_mut_ptr(),
            1,
            columns as isize,
            true,
            left.as_ptr(),
            1,
            depth as isize,
            right.as_ptr(),
            right_column,
            right_row,
            1.0,
            1.0,
            false,
            false,
            false,
            parallelism,
        );
    }
}

/// The values of a contiguous f32 tensor.
fn slice<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage.as_slice::<f32>()?[start..end]),
        None => bail!("lstm: the operands must be contiguous"),
    }
}
