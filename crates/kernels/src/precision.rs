//! How many bits of a number convolutions, linear layers and attention multiply.

use crate::error::Error;
use crate::instructions::{Bf16Unit, Kernels};

/// Number format of convolutions, linear layers and attention.
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
        match std::env::var_os("CLASSIFY_PRECISION") {
            None if kernels.multiply_bf16() => Ok(Self::Bf16),
            None => Ok(Self::F32),
            Some(name) if name == "f32" => Ok(Self::F32),
            Some(name) if name == "bf16" && kernels.multiply_bf16() => Ok(Self::Bf16),
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

    /// What multiplies bfloat16, if that is the precision and loops aren't plain.
    ///
    /// # Errors
    /// `kernels` or this CPU have no instructions for it.
    pub(crate) fn unit(self, kernels: Kernels) -> candle_core::Result<Option<Bf16Unit>> {
        match (self, kernels) {
            (Self::F32, _) | (_, Kernels::Plain) => Ok(None),
            (Self::Bf16, _) => match kernels.bf16_unit() {
                Some(unit) => Ok(Some(unit)),
                None => {
                    candle_core::bail!(
                        "the {} kernels on this CPU don't multiply bf16: use f32",
                        kernels.name()
                    )
                }
            },
        }
    }

    /// As plain loops round.
    pub(crate) fn round(self, x: f32) -> f32 {
        match self {
            Self::F32 => x,
            Self::Bf16 => half::bf16::from_f32(x).to_f32(),
        }
    }
}
