//! A tensor's numbers as a slice.

use candle_core::{CpuStorage, DType, Layout, Result, Storage, Tensor, bail};
use std::ops::{Deref, Range};

/// Borrows the numbers of a contiguous `f32` tensor on the CPU; derefs to a slice.
pub struct Numbers<S> {
    storage: S,
    range: Range<usize>,
}

impl Numbers<()> {
    /// The tensor's numbers, row by row.
    ///
    /// # Errors
    /// The tensor is not `f32`, not contiguous or not on the CPU.
    pub fn of(tensor: &Tensor) -> Result<Numbers<impl Deref<Target = Storage> + '_>> {
        let (storage, layout) = tensor.storage_and_layout();
        let Some((start, end)) = layout.contiguous_offsets() else { bail!("tensor is not contiguous") };
        match &*storage {
            Storage::Cpu(CpuStorage::F32(_)) => Ok(Numbers { storage, range: start..end }),
            Storage::Cpu(_) => bail!("tensor holds {:?}, not {:?}", tensor.dtype(), DType::F32),
            _ => bail!("tensor is not on the CPU"),
        }
    }
}

impl<S: Deref<Target = Storage>> Deref for Numbers<S> {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match &*self.storage {
            Storage::Cpu(CpuStorage::F32(numbers)) => &numbers[self.range.clone()],
            _ => unreachable!("`of` has looked"),
        }
    }
}

/// The same inside of an operator's forward pass.
///
/// # Errors
/// The numbers are not `f32` or not contiguous.
pub fn slice<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(numbers), Some((start, end))) => Ok(&numbers[start..end]),
        _ => bail!("operator wants contiguous f32 numbers"),
    }
}
