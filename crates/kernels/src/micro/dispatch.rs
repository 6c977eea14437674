//! One loop, compiled for each instruction set.

/// Compiles `$body::<vector, …>` for each instruction set and picks one at run time.
macro_rules! dispatch {
    ($(#[$doc:meta])* $name:ident(<$($c:ident),*>, $call:ty),
     $zmm:expr, $ymm:expr, $array:expr) => {
        $(#[$doc])*
        pub(crate) unsafe fn $name<$(const $c: usize),*>(kernels: Kernels, call: &$call) {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f")]
            unsafe fn avx512<$(const $c: usize),*>(call: &$call) {
                unsafe { $zmm(call) }
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            unsafe fn avx2<$(const $c: usize),*>(call: &$call) {
                unsafe { $ymm(call) }
            }
            // SAFETY: the caller's; `Kernels::checked` has seen the instructions.
            unsafe {
                match kernels {
                    #[cfg(target_arch = "x86_64")]
                    Kernels::Avx512 => avx512::<$($c),*>(call),
                    #[cfg(target_arch = "x86_64")]
                    Kernels::Avx2 => avx2::<$($c),*>(call),
                    _ => $array(call),
                }
            }
        }
    };
}

pub(crate) use dispatch;
