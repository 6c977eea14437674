//! Which instructions the kernels are compiled for, and which of these this CPU has.

use crate::error::Error;

/// Which implementation runs, slowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernels {
    /// Obvious loops; whole networks run on candle's own operators.
    Plain,
    /// Arrays that the compiler vectorises.
    Portable,
    /// AVX2 and FMA.
    Avx2,
    /// AVX-512F.
    Avx512,
}

impl Kernels {
    /// All of them, whether this CPU has them or not.
    pub const ALL: [Self; 4] = [Self::Plain, Self::Portable, Self::Avx2, Self::Avx512];

    /// The fastest that this CPU has, or the one that the environment variable `CLASSIFY_KERNELS` names.
    ///
    /// # Errors
    /// The variable names none, or one that this CPU lacks.
    pub fn detect() -> Result<Self, Error> {
        let Some(name) = std::env::var_os("CLASSIFY_KERNELS") else {
            let best = Self::ALL.into_iter().rfind(|k| k.supported());
            return Ok(best.unwrap_or(Self::Portable));
        };
        let known = Self::ALL.into_iter().find(|k| name == k.name());
        match known {
            Some(kernels) if kernels.supported() => Ok(kernels),
            Some(_) => Err(Error::new("CLASSIFY_KERNELS", &name, "this CPU doesn't have these instructions")),
            None => Err(Error::new("CLASSIFY_KERNELS", &name, "must be plain, portable, avx2 or avx512")),
        }
    }

    /// The name as `CLASSIFY_KERNELS` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }

    /// These, if this CPU has their instructions.
    ///
    /// # Errors
    /// It doesn't. What is given such kernels anyway panics.
    pub fn checked(self) -> candle_core::Result<Self> {
        if self.supported() { Ok(self) } else { candle_core::bail!("this CPU has no {}", self.name()) }
    }

    /// Whether this CPU has the instructions.
    pub fn supported(self) -> bool {
        match self {
            Self::Plain | Self::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => is_x86_feature_detected!("avx512f"),
            #[cfg(not(target_arch = "x86_64"))]
            _ => false,
        }
    }

    /// [`Self::checked`] for safe functions that run instructions and have no error to return: all of them call
    /// it, or are given what was made by one that did.
    ///
    /// # Panics
    /// This CPU has no such instructions.
    pub(crate) fn expect_supported(self) -> Self {
        assert!(self.supported(), "this CPU has no {}", self.name());
        self
    }

    /// Whether these kernels multiply bfloat16 on this CPU.
    pub(crate) fn multiply_bf16(self) -> bool {
        self == Self::Avx512 && self.supported() && has_bf16()
    }

    /// What multiplies blocks of bfloat16 where these kernels run on this CPU.
    pub(crate) fn bf16_unit(self) -> Option<Bf16Unit> {
        let fastest = if has_amx() { Bf16Unit::Amx } else { Bf16Unit::Avx512 };
        self.multiply_bf16().then_some(fastest)
    }
}

/// Which part of a CPU multiplies blocks of bfloat16, slowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Bf16Unit {
    /// AVX-512 BF16.
    Avx512,
    /// AMX, besides AVX-512 BF16 that rounds for it.
    Amx,
}

/// Whether this CPU multiplies bfloat16.
pub(crate) fn has_bf16() -> bool {
    #[cfg(target_arch = "x86_64")]
    return is_x86_feature_detected!("avx512bf16")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// Whether this CPU multiplies tiles of bfloat16, and the operating system keeps their registers for this process.
pub(crate) fn has_amx() -> bool {
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    return {
        static FOUND: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
        *FOUND.get_or_init(amx::found)
    };
    #[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
    false
}

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod amx {
    use std::arch::asm;
    use std::arch::x86_64::{__cpuid, __cpuid_count};

    /// `arch_prctl` of Linux, what it is to do, and for which part of the registers: the kernel's
    /// `Documentation/arch/x86/xstate.rst`.
    const SYS_ARCH_PRCTL: i64 = 158;
    const ARCH_REQ_XCOMP_PERM: i64 = 0x1023;
    const XFEATURE_XTILEDATA: i64 = 18;

    /// Bits 22 (`AMX-BF16`) and 24 (`AMX-TILE`) of EDX of CPUID leaf 7.
    const BITS: u32 = 1 << 22 | 1 << 24;

    /// Looks for the instructions, and asks for their registers.
    #[allow(unused_unsafe, reason = "CPUID is a safe function from Rust 1.94 on")]
    pub(super) fn found() -> bool {
        // SAFETY: every x86-64 CPU has CPUID.
        let has = unsafe { __cpuid(0).eax >= 7 && __cpuid_count(7, 0).edx & BITS == BITS };
        has && granted()
    }

    fn granted() -> bool {
        let mut status = SYS_ARCH_PRCTL;
        // SAFETY: the call changes nothing but which registers this process may use; the kernel overwrites RCX
        // and R11.
        unsafe {
            asm!(
                "syscall",
                inout("rax") status,
                in("rdi") ARCH_REQ_XCOMP_PERM,
                in("rsi") XFEATURE_XTILEDATA,
                out("rcx") _,
                out("r11") _,
                options(nostack),
            );
        }
        status == 0
    }
}
