//! Attention of queries over keys and values.

use crate::attend::{Attention, Rows};
use crate::instructions::Kernels;
use crate::precision::Precision;
use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};

/// `softmax(scale · q kᵀ) v` for each of `heads` heads, whose numbers lie side by side: `q [B, Tq, H · d]`,
/// `k, v [B, Tk, H · d]` to `[B, Tq, H · d]`. With `causal`, query `i` sees keys `0..=i` only.
///
/// Views, such as the three parts of a tensor `[B, T, 3 · H · d]`, are read where they lie, if the numbers of a row are
/// adjacent. Memory for blocks of scores only, and for a copy of keys and values. For inference on the CPU: it has no
/// gradient. On the fastest kernels there are, see [`Kernels::detect`]; split over rayon's current pool.
///
/// # Errors
/// Shapes that don't fit each other, no heads, no keys, numbers that aren't `f32` on the CPU, a scale that isn't
/// finite, [`Precision::Bf16`] where no instructions multiply it, or an environment that asks for kernels that aren't
/// there.
pub fn attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    heads: usize,
    scale: f64,
    causal: bool,
    precision: Precision,
) -> Result<Tensor> {
    let kernels = Kernels::detect().map_err(candle_core::Error::wrap)?;
    attention_with_kernels(kernels, q, k, v, heads, scale, causal, precision)
}

/// As [`attention`], on given kernels.
///
/// # Errors
/// As [`attention`]; the CPU lacks the instructions.
#[allow(clippy::too_many_arguments, reason = "what the function above takes, and the kernels")]
pub fn attention_with_kernels(
    kernels: Kernels,
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    heads: usize,
    scale: f64,
    causal: bool,
    precision: Precision,
) -> Result<Tensor> {
    if !(scale as f32).is_finite() {
        bail!("attention with a scale of {scale}");
    }
    let op = AttentionOp { kernels, heads, scale, causal, precision };
    rows_together(q)?.apply_op3(&rows_together(k)?, &rows_together(v)?, op)
}

/// The same tensor with adjacent numbers in each row.
fn rows_together(x: &Tensor) -> Result<Tensor> {
    if x.stride().last() == Some(&1) { Ok(x.clone()) } else { x.contiguous() }
}

struct AttentionOp {
    kernels: Kernels,
    heads: usize,
    scale: f64,
    causal: bool,
    precision: Precision,
}

/// Rows of a tensor `[B, T, C]`.
fn rows<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<Rows<'a>> {
    let CpuStorage::F32(numbers) = storage else { bail!("attention wants f32 numbers") };
    match (layout.dims(), layout.stride()) {
        (&[_, len, _], &[batch, row, 1]) => {
            Ok(Rows { numbers: &numbers[layout.start_offset()..], len, strides: [batch, row] })
        }
        (dims, _) => bail!("attention of {dims:?}: wanted [B, T, C]"),
    }
}

impl CustomOp3 for AttentionOp {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(
        &self,
        q: &CpuStorage,
        q_layout: &Layout,
        k: &CpuStorage,
        k_layout: &Layout,
        v: &CpuStorage,
        v_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let heads = self.heads;
        let (batch, width) = match (q_layout.dims(), k_layout.dims(), v_layout.dims()) {
            (&[batch, _, width], &[kb, keys, kw], &[vb, values, vw])
                if [kb, kw, vb, vw] == [batch, width, batch, width]
                    && keys == values
                    && keys > 0
                    && width > 0
                    && heads > 0
                    && width % heads == 0 =>
            {
                (batch, width)
            }
            (q, k, v) => bail!("attention of {q:?} over {k:?} and {v:?} with {heads} heads"),
        };
        let attention = Attention {
            kernels: self.kernels,
            precision: self.precision,
            batch,
            heads,
            d: width / heads,
            q: rows(q, q_layout)?,
            k: rows(k, k_layout)?,
            v: rows(v, v_layout)?,
            scale: self.scale,
            causal: self.causal,
        };
        Ok((CpuStorage::F32(attention.run()?), q_layout.shape().clone()))
    }
}
