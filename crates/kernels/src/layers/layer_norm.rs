//! Layer normalisation.

use std::sync::Arc;

use crate::call::SendPtr;
use crate::instructions::Kernels;
use crate::layers::images::bias_or_zeros;
use crate::micro::rows::{self, Normalise};
use crate::numbers::slice;
use candle_core::{CpuStorage, CustomOp1, DType, Layout, Module, Result, Shape, Tensor, bail};
use rayon::prelude::*;

/// `(x - mean) / √(variance + eps) · weight + bias` over the last dimension, with the variance that divides by the
/// number of values: PyTorch's `LayerNorm`. For inference on the CPU: it has no gradient.
#[derive(Clone)]
pub struct LayerNorm {
    kernels: Kernels,
    weight: Arc<[f32]>,
    bias: Arc<[f32]>,
    eps: f64,
}

impl LayerNorm {
    /// `weight [C]`, `bias [C]`, `f32`, `f16` or `bf16`. On the fastest kernels there are, see [`Kernels::detect`].
    ///
    /// # Errors
    /// Tensors of other shapes, without numbers, or not on the CPU, an `eps` that is negative or no number, or an
    /// environment that asks for kernels that aren't there.
    pub fn new(weight: &Tensor, bias: Option<&Tensor>, eps: f64) -> Result<Self> {
        Self::with_kernels(Kernels::detect().map_err(candle_core::Error::wrap)?, weight, bias, eps)
    }

    /// As [`Self::new`], on given kernels.
    ///
    /// # Errors
    /// As [`Self::new`]; the CPU lacks the instructions.
    pub fn with_kernels(kernels: Kernels, weight: &Tensor, bias: Option<&Tensor>, eps: f64) -> Result<Self> {
        let cols = weight.dims1()?;
        if cols == 0 || !(0.0..f64::INFINITY).contains(&eps) {
            bail!("layer normalisation of {cols} values with eps {eps}: wanted 1 or more, and eps from 0 on");
        }
        let bias = bias.map(|bias| bias.to_dtype(DType::F32)).transpose()?;
        let bias = bias_or_zeros(bias.as_ref(), cols)?.into();
        let weight = weight.to_dtype(DType::F32)?.to_vec1()?.into();
        Ok(Self { kernels: kernels.checked()?, weight, bias, eps })
    }

    /// `x [.., C]` to the same shape. Split over rayon's current pool.
    ///
    /// # Errors
    /// Another number of values, or numbers that aren't `f32` on the CPU.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.contiguous()?.apply_op1(self.clone())
    }

    /// The plain truth, of one row.
    fn plain(&self, x: &[f32]) -> impl Iterator<Item = f32> {
        let n = x.len() as f64;
        let mean = x.iter().map(|x| f64::from(*x)).sum::<f64>() / n;
        let variance = x.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / n;
        let factor = 1.0 / (variance + self.eps).sqrt();
        let affine = self.weight.iter().zip(self.bias.iter());
        x.iter().zip(affine).map(move |(x, (weight, bias))| {
            ((f64::from(*x) - mean) * factor * f64::from(*weight) + f64::from(*bias)) as f32
        })
    }
}

impl Module for LayerNorm {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.forward(x)
    }
}

impl CustomOp1 for LayerNorm {
    fn name(&self) -> &'static str {
        "layer-norm"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let cols = self.weight.len();
        if layout.dims().last() != Some(&cols) {
            bail!("layer normalisation of {:?}: wanted [.., {cols}]", layout.dims());
        }
        let x = slice(storage, layout)?;
        if self.kernels == Kernels::Plain {
            let y = x.chunks_exact(cols).flat_map(|x| self.plain(x)).collect();
            return Ok((CpuStorage::F32(y), layout.shape().clone()));
        }
        let mut y = Vec::with_capacity(x.len());
        let to = SendPtr::from(y.as_mut_ptr());
        // Some 16 000 numbers at a time: less isn't worth a task.
        let piece = (16_384 / cols).max(1) * cols;
        x.par_chunks(piece).enumerate().for_each(|(i, x)| {
            let call = Normalise {
                from: x.as_ptr(),
                out: to.get().wrapping_add(i * piece),
                rows: x.len() / cols,
                cols,
                weight: self.weight.as_ptr(),
                bias: self.bias.as_ptr(),
                eps: self.eps as f32,
            };
            // SAFETY: `y` has room for as many numbers as `x`, each task writes its own; `with_kernels` has seen the
            // instructions.
            unsafe { rows::normalise(self.kernels, &call) }
        });
        // SAFETY: the tasks have written all of it.
        unsafe { y.set_len(x.len()) };
        Ok((CpuStorage::F32(y), layout.shape().clone()))
    }
}
