//! How many bits of a number the 1×1 convolutions multiply.

use crate::error::Error;
use crate::instructions::Kernels;

/// Number format of the 1×1 convolutions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// 24 significant bits, as in training.
    #[default]
    F32,
    /// 8 significant bits for inputs and weights, 24 for the sums.
    Bf16,
}

impl Precision {
    /// The one that the environment variable `CLASSIFY_PRECISION` names (`f32` or `bf16`), else bfloat16 where
    /// `kernels` and this CPU have instructions for it.
    ///
    /// # Errors
    /// The variable names neither, or bfloat16 where there are no instructions for it.
    pub fn detect(kernels: Kernels) -> Result<Self, Error> {
        let fast = kernels.multiply_bf16();
        match std::env::var_os("CLASSIFY_PRECISION") {
            None if fast => Ok(Self::Bf16),
            None => Ok(Self::F32),
            Some(name) if name == "f32" => Ok(Self::F32),
            Some(name) if name == "bf16" && fast => Ok(Self::Bf16),
            Some(name) if name == "bf16" => Err(Error::new(
                "CLASSIFY_PRECISION",
                &name,
                format!("the {} kernels on this CPU don't have these instructions", kernels.name()),
            )),
            Some(name) => Err(Error::new("CLASSIFY_PRECISION", &name, "must be f32 or bf16")),
        }
    }

    /// The name as `CLASSIFY_PRECISION` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        }
    }
}
