//! A linear layer.

use std::sync::Arc;

use crate::gelu::Gelu;
use crate::instructions::Kernels;
use crate::layers::images::bias_or_zeros;
use crate::numbers::slice;
use crate::precision::Precision;
use crate::product::Product;
use candle_core::{
    CpuStorage, CustomOp1, CustomOp2, DType, Layout, Module, Result, Shape, Storage, Tensor, bail,
};

/// `x · weightᵀ + bias` and what follows. For inference on the CPU: it has no gradient.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use classify_kernels::{Gelu, Linear, Precision};
///
/// # fn main() -> candle_core::Result<()> {
/// let weight = Tensor::randn(0f32, 1.0, (64, 32), &Device::Cpu)?;
/// let x = Tensor::randn(0f32, 1.0, (2, 10, 32), &Device::Cpu)?;
/// let linear = Linear::new(&weight, None, Precision::F32)?.with_activation(Gelu::Exact);
/// let wanted = x.broadcast_matmul(&weight.t()?)?.gelu_erf()?;
/// let largest = (linear.forward(&x)? - wanted)?.abs()?.max_all()?.to_scalar::<f32>()?;
/// assert!(largest < 1e-4);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Linear {
    product: Arc<Product>,
    gelu: Gelu,
}

impl Linear {
    /// `weight [O, I]`, `f32`, `f16` or `bf16`; `bias [O]`, any of these. On the fastest kernels there are, see
    /// [`Kernels::detect`].
    ///
    /// # Errors
    /// Tensors of other shapes or types, without numbers, or not on the CPU; [`Precision::Bf16`] where no
    /// instructions multiply it; an environment that asks for kernels that aren't there.
    pub fn new(weight: &Tensor, bias: Option<&Tensor>, precision: Precision) -> Result<Self> {
        let kernels = Kernels::detect().map_err(candle_core::Error::wrap)?;
        Self::with_kernels(kernels, weight, bias, precision)
    }

    /// As [`Self::new`], on given kernels.
    ///
    /// # Errors
    /// As [`Self::new`]; the CPU lacks the instructions.
    pub fn with_kernels(
        kernels: Kernels,
        weight: &Tensor,
        bias: Option<&Tensor>,
        precision: Precision,
    ) -> Result<Self> {
        let (outputs, inputs) = weight.dims2()?;
        if outputs == 0 || inputs == 0 {
            bail!("linear layer with {:?}: wanted [O, I] with both at least 1", weight.dims());
        }
        let bias = bias.map(|bias| bias.to_dtype(DType::F32)).transpose()?;
        let bias = bias_or_zeros(bias.as_ref(), outputs)?;
        let weight = weight.contiguous()?;
        let (storage, layout) = weight.storage_and_layout();
        let Storage::Cpu(storage) = &*storage else { bail!("weights are not on the CPU") };
        let first = layout.start_offset();
        let range = |o: usize| first + o * inputs..first + (o + 1) * inputs;
        let sizes = [inputs, outputs];
        let product = match storage {
            CpuStorage::F32(weights) => {
                Product::new(kernels, precision, sizes, &bias, |o, to| to.copy_from_slice(&weights[range(o)]))
            }
            CpuStorage::F16(weights) => Product::new(kernels, precision, sizes, &bias, |o, to| {
                to.iter_mut().zip(&weights[range(o)]).for_each(|(to, x)| *to = x.to_f32());
            }),
            CpuStorage::BF16(weights) => Product::new(kernels, precision, sizes, &bias, |o, to| {
                to.iter_mut().zip(&weights[range(o)]).for_each(|(to, x)| *to = x.to_f32());
            }),
            _ => bail!("weights are {:?}: wanted f32, f16 or bf16", weight.dtype()),
        };
        Ok(Self { product: Arc::new(product?), gelu: Gelu::None })
    }

    /// The same, followed by `gelu`.
    pub fn with_activation(self, gelu: Gelu) -> Self {
        Self { gelu, ..self }
    }

    /// `x [.., I]` to `[.., O]`. Split over rayon's current pool.
    ///
    /// # Errors
    /// Another number of inputs, or numbers that aren't `f32` on the CPU.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.contiguous()?.apply_op1(self.clone())
    }

    /// As [`Self::forward`], plus `residual [.., O]` after the activation.
    ///
    /// # Errors
    /// As [`Self::forward`]; a residual of another shape.
    pub fn forward_add(&self, x: &Tensor, residual: &Tensor) -> Result<Tensor> {
        x.contiguous()?.apply_op2(&residual.contiguous()?, self.clone())
    }

    /// `next(self(x)) + residual`: some rows at a time go through both layers, so that what is between them, often
    /// the largest tensor of a transformer, never lies in memory as a whole. The same numbers as those of
    /// [`Self::forward`] and [`Self::forward_add`]; an activation of `next` counts too.
    ///
    /// # Errors
    /// As theirs.
    pub fn forward_through(&self, x: &Tensor, next: &Self, residual: &Tensor) -> Result<Tensor> {
        if self.product.outputs() != next.product.inputs() {
            bail!("{} outputs into a linear layer of {}", self.product.outputs(), next.product.inputs());
        }
        let both = Through { first: self.clone(), next: next.clone() };
        x.contiguous()?.apply_op2(&residual.contiguous()?, both)
    }

    fn shape(&self, x: &Layout) -> Result<Shape> {
        let mut dims = x.dims().to_vec();
        match dims.last_mut() {
            Some(last) if *last == self.product.inputs() => *last = self.product.outputs(),
            _ => bail!("linear layer of {:?}: wanted [.., {}]", x.dims(), self.product.inputs()),
        }
        Ok(Shape::from(dims))
    }
}

impl Module for Linear {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.forward(x)
    }
}

impl CustomOp1 for Linear {
    fn name(&self) -> &'static str {
        "packed-linear"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let shape = self.shape(layout)?;
        Ok((CpuStorage::F32(self.product.run(slice(storage, layout)?, None, self.gelu)), shape))
    }
}

impl CustomOp2 for Linear {
    fn name(&self) -> &'static str {
        "packed-linear-add"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        residual: &CpuStorage,
        residual_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let shape = self.shape(x_layout)?;
        if shape.dims() != residual_layout.dims() {
            bail!("residual of {:?}: wanted {:?}", residual_layout.dims(), shape.dims());
        }
        let residual = slice(residual, residual_layout)?;
        Ok((CpuStorage::F32(self.product.run(slice(x, x_layout)?, Some(residual), self.gelu)), shape))
    }
}

/// One layer and then another.
struct Through {
    first: Linear,
    next: Linear,
}

impl CustomOp2 for Through {
    fn name(&self) -> &'static str {
        "packed-linear-through"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        residual: &CpuStorage,
        residual_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let Self { first, next } = self;
        // The first layer's shape differs in the last size only.
        let mut dims = first.shape(x_layout)?.into_dims();
        if let Some(last) = dims.last_mut() {
            *last = next.product.outputs();
        }
        if dims != residual_layout.dims() {
            bail!("residual of {:?}: wanted {dims:?}", residual_layout.dims());
        }
        let (x, residual) = (slice(x, x_layout)?, slice(residual, residual_layout)?);
        let output = first.product.run_through(x, first.gelu, (&next.product, next.gelu), residual);
        Ok((CpuStorage::F32(output), Shape::from(dims)))
    }
}
