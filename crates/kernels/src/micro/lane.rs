//! The few vector instructions that the microkernels need, behind one trait: AVX-512, AVX2 with
//! FMA, and plain arrays that the compiler vectorises (SSE2, NEON).
//!
//! Every method is `inline(always)` and must end up inside a function that enables the matching
//! `target_feature`; only its neighbours do that.

/// A vector of `LEN` `f32`.
pub(crate) trait Lane: Copy {
    const LEN: usize;
    /// Safety, for all methods: the CPU has the instructions; `p` is valid for `LEN` (or `n`, or
    /// for `splat` one) numbers. `n <= LEN`.
    unsafe fn zero() -> Self;
    unsafe fn splat(p: *const f32) -> Self;
    unsafe fn load(p: *const f32) -> Self;
    /// The first `n` numbers; the rest is zero.
    unsafe fn load_n(p: *const f32, n: usize) -> Self;
    unsafe fn store(self, p: *mut f32);
    unsafe fn store_n(self, p: *mut f32, n: usize);
    /// `self · b + c`
    unsafe fn mul_add(self, b: Self, c: Self) -> Self;
    unsafe fn add(self, b: Self) -> Self;
    /// Limits to `lo..=hi`; NaN stays NaN.
    unsafe fn clamp(self, lo: f32, hi: f32) -> Self;
    /// Zero wherever `x` isn't strictly between `lo` and `hi`.
    unsafe fn where_between(self, x: Self, lo: f32, hi: f32) -> Self;
    /// `x` in every place.
    unsafe fn every(x: f32) -> Self;
    unsafe fn sub(self, b: Self) -> Self;
    unsafe fn mul(self, b: Self) -> Self;
    unsafe fn div(self, b: Self) -> Self;
    /// The larger; `b` where one is NaN.
    unsafe fn max(self, b: Self) -> Self;
    /// `self · 2ⁿ` for whole `n` from -126 to 127 whose results are normal numbers.
    unsafe fn scale2(self, n: Self) -> Self;
    /// Sum of all places.
    unsafe fn total(self) -> f32;
    /// The largest of all places; any of them where one is NaN.
    unsafe fn largest(self) -> f32;
}

#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{Ymm, Zmm};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Lane;
    use std::arch::x86_64::*;

    /// 16 numbers, AVX-512F.
    #[derive(Clone, Copy)]
    pub(crate) struct Zmm(__m512);

    impl From<__m512> for Zmm {
        #[inline(always)]
        fn from(vector: __m512) -> Self {
            Self(vector)
        }
    }

    impl Lane for Zmm {
        const LEN: usize = 16;
        #[inline(always)]
        unsafe fn zero() -> Self {
            unsafe { Self(_mm512_setzero_ps()) }
        }
        #[inline(always)]
        unsafe fn splat(p: *const f32) -> Self {
            unsafe { Self(_mm512_set1_ps(*p)) }
        }
        #[inline(always)]
        unsafe fn load(p: *const f32) -> Self {
            unsafe { Self(_mm512_loadu_ps(p)) }
        }
        #[inline(always)]
        unsafe fn load_n(p: *const f32, n: usize) -> Self {
            unsafe { Self(_mm512_maskz_loadu_ps(((1u32 << n) - 1) as __mmask16, p)) }
        }
        #[inline(always)]
        unsafe fn store(self, p: *mut f32) {
            unsafe { _mm512_storeu_ps(p, self.0) }
        }
        #[inline(always)]
        unsafe fn store_n(self, p: *mut f32, n: usize) {
            unsafe { _mm512_mask_storeu_ps(p, ((1u32 << n) - 1) as __mmask16, self.0) }
        }
        #[inline(always)]
        unsafe fn mul_add(self, b: Self, c: Self) -> Self {
            unsafe { Self(_mm512_fmadd_ps(self.0, b.0, c.0)) }
        }
        #[inline(always)]
        unsafe fn add(self, b: Self) -> Self {
            unsafe { Self(_mm512_add_ps(self.0, b.0)) }
        }
        #[inline(always)]
        unsafe fn clamp(self, lo: f32, hi: f32) -> Self {
            // The second operand is the result where one is NaN.
            unsafe {
                let x = _mm512_max_ps(_mm512_set1_ps(lo), self.0);
                Self(_mm512_min_ps(_mm512_set1_ps(hi), x))
            }
        }
        #[inline(always)]
        unsafe fn where_between(self, x: Self, lo: f32, hi: f32) -> Self {
            unsafe {
                let above = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(x.0, _mm512_set1_ps(lo));
                let inside = _mm512_mask_cmp_ps_mask::<_CMP_LT_OQ>(above, x.0, _mm512_set1_ps(hi));
                Self(_mm512_maskz_mov_ps(inside, self.0))
            }
        }
        #[inline(always)]
        unsafe fn every(x: f32) -> Self {
            unsafe { Self(_mm512_set1_ps(x)) }
        }
        #[inline(always)]
        unsafe fn sub(self, b: Self) -> Self {
            unsafe { Self(_mm512_sub_ps(self.0, b.0)) }
        }
        #[inline(always)]
        unsafe fn mul(self, b: Self) -> Self {
            unsafe { Self(_mm512_mul_ps(self.0, b.0)) }
        }
        #[inline(always)]
        unsafe fn div(self, b: Self) -> Self {
            unsafe { Self(_mm512_div_ps(self.0, b.0)) }
        }
        #[inline(always)]
        unsafe fn max(self, b: Self) -> Self {
            unsafe { Self(_mm512_max_ps(self.0, b.0)) }
        }
        #[inline(always)]
        unsafe fn scale2(self, n: Self) -> Self {
            unsafe { Self(_mm512_scalef_ps(self.0, n.0)) }
        }
        #[inline(always)]
        unsafe fn total(self) -> f32 {
            unsafe { _mm512_reduce_add_ps(self.0) }
        }
        #[inline(always)]
        unsafe fn largest(self) -> f32 {
            unsafe { _mm512_reduce_max_ps(self.0) }
        }
    }

    /// 8 numbers, AVX2 and FMA.
    #[derive(Clone, Copy)]
    pub(crate) struct Ymm(__m256);

    /// A mask whose first `n` of 8 elements are set.
    #[inline(always)]
    unsafe fn first(n: usize) -> __m256i {
        static ONES: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];
        unsafe { _mm256_loadu_si256(ONES.as_ptr().add(8 - n).cast()) }
    }

    impl Lane for Ymm {
        const LEN: usize = 8;
        #[inline(always)]
        unsafe fn zero() -> Self {
            unsafe { Self(_mm256_setzero_ps()) }
        }
        #[inline(always)]
        unsafe fn splat(p: *const f32) -> Self {
            unsafe { Self(_mm256_set1_ps(*p)) }
        }
        #[inline(always)]
        unsafe fn load(p: *const f32) -> Self {
            unsafe { Self(_mm256_loadu_ps(p)) }
        }
        #[inline(always)]
        unsafe fn load_n(p: *const f32, n: usize) -> Self {
            unsafe { Self(_mm256_maskload_ps(p, first(n))) }
        }
        #[inline(always)]
        unsafe fn store(self, p: *mut f32) {
            unsafe { _mm256_storeu_ps(p, self.0) }
        }
        #[inline(always)]
        unsafe fn store_n(self, p: *mut f32, n: usize) {
            unsafe { _mm256_maskstore_ps(p, first(n), self.0) }
        }
        #[inline(always)]
        unsafe fn mul_add(self, b: Self, c: Self) -> Self {
            unsafe { Self(_mm256_fmadd_ps(self.0, b.0, c.0)) }
        }
        #[inline(always)]
        unsafe fn add(self, b: Self) -> Self {
            unsafe { Self(_mm256_add_ps(self.0, b.0)) }
        }
        #[inline(always)]
        unsafe fn clamp(self, lo: f32, hi: f32) -> Self {
            unsafe {
                let x = _mm256_max_ps(_mm256_set1_ps(lo), self.0);
                Self(_mm256_min_ps(_mm256_set1_ps(hi), x))
            }
        }
        #[inline(always)]
        unsafe fn where_between(self, x: Self, lo: f32, hi: f32) -> Self {
            unsafe {
                let above = _mm256_cmp_ps::<_CMP_GT_OQ>(x.0, _mm256_set1_ps(lo));
                let below = _mm256_cmp_ps::<_CMP_LT_OQ>(x.0, _mm256_set1_ps(hi));
                Self(_mm256_and_ps(self.0, _mm256_and_ps(above, below)))
            }
        }
        #[inline(always)]
        unsafe fn every(x: f32) -> Self {
            unsafe { Self(_mm256_set1_ps(x)) }
        }
        #[inline(always)]
        unsafe fn sub(self, b: Self) -> Self {
            unsafe { Self(_mm256_sub_ps(self.0, b.0)) }
        }
        #[inline(always)]
        unsafe fn mul(self, b: Self) -> Self {
            unsafe { Self(_mm256_mul_ps(self.0, b.0)) }
        }
        #[inline(always)]
        unsafe fn div(self, b: Self) -> Self {
            unsafe { Self(_mm256_div_ps(self.0, b.0)) }
        }
        #[inline(always)]
        unsafe fn max(self, b: Self) -> Self {
            unsafe { Self(_mm256_max_ps(self.0, b.0)) }
        }
        #[inline(always)]
        unsafe fn scale2(self, n: Self) -> Self {
            unsafe {
                let exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n.0), _mm256_set1_epi32(127));
                Self(_mm256_mul_ps(self.0, _mm256_castsi256_ps(_mm256_slli_epi32::<23>(exponent))))
            }
        }
        #[inline(always)]
        unsafe fn total(self) -> f32 {
            let places: [f32; 8] = unsafe { std::mem::transmute(self.0) };
            places.into_iter().sum()
        }
        #[inline(always)]
        unsafe fn largest(self) -> f32 {
            let places: [f32; 8] = unsafe { std::mem::transmute(self.0) };
            places.into_iter().fold(f32::NEG_INFINITY, f32::max)
        }
    }
}

/// 8 numbers as an array, for every CPU.
#[derive(Clone, Copy)]
pub(crate) struct Array8([f32; 8]);

impl Lane for Array8 {
    const LEN: usize = 8;
    #[inline(always)]
    unsafe fn zero() -> Self {
        Self([0.0; 8])
    }
    #[inline(always)]
    unsafe fn splat(p: *const f32) -> Self {
        unsafe { Self([*p; 8]) }
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        unsafe { Self(p.cast::<[f32; 8]>().read_unaligned()) }
    }
    #[inline(always)]
    unsafe fn load_n(p: *const f32, n: usize) -> Self {
        let mut v = [0.0; 8];
        unsafe { std::ptr::copy_nonoverlapping(p, v.as_mut_ptr(), n) };
        Self(v)
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        unsafe { p.cast::<[f32; 8]>().write_unaligned(self.0) }
    }
    #[inline(always)]
    unsafe fn store_n(self, p: *mut f32, n: usize) {
        unsafe { std::ptr::copy_nonoverlapping(self.0.as_ptr(), p, n) }
    }
    #[inline(always)]
    unsafe fn mul_add(self, b: Self, c: Self) -> Self {
        // `f32::mul_add` is one instruction on ARM, but a library call on plain x86-64.
        Self(std::array::from_fn(|i| {
            if cfg!(target_arch = "aarch64") {
                self.0[i].mul_add(b.0[i], c.0[i])
            } else {
                self.0[i] * b.0[i] + c.0[i]
            }
        }))
    }
    #[inline(always)]
    unsafe fn add(self, b: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] + b.0[i]))
    }
    #[inline(always)]
    unsafe fn clamp(self, lo: f32, hi: f32) -> Self {
        Self(self.0.map(|x| {
            let x = if x < lo { lo } else { x };
            if x > hi { hi } else { x }
        }))
    }
    #[inline(always)]
    unsafe fn where_between(self, x: Self, lo: f32, hi: f32) -> Self {
        Self(std::array::from_fn(|i| if x.0[i] > lo && x.0[i] < hi { self.0[i] } else { 0.0 }))
    }
    #[inline(always)]
    unsafe fn every(x: f32) -> Self {
        Self([x; 8])
    }
    #[inline(always)]
    unsafe fn sub(self, b: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] - b.0[i]))
    }
    #[inline(always)]
    unsafe fn mul(self, b: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] * b.0[i]))
    }
    #[inline(always)]
    unsafe fn div(self, b: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] / b.0[i]))
    }
    #[inline(always)]
    unsafe fn max(self, b: Self) -> Self {
        Self(std::array::from_fn(|i| if self.0[i] > b.0[i] { self.0[i] } else { b.0[i] }))
    }
    #[inline(always)]
    unsafe fn scale2(self, n: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] * f32::from_bits(((n.0[i] as i32 + 127) << 23) as u32)))
    }
    #[inline(always)]
    unsafe fn total(self) -> f32 {
        self.0.into_iter().sum()
    }
    #[inline(always)]
    unsafe fn largest(self) -> f32 {
        self.0.into_iter().fold(f32::NEG_INFINITY, f32::max)
    }
}
