//! Exponential functions and what transformers make of them, on vectors.
//!
//! Coefficients are minimax fits of our own (Remez), with the relative error that stands beside them. NaN stays NaN.

use super::lane::Lane;

/// Adding it rounds a number below 2²² to the nearest whole one, in the lowest bits.
const ROUNDER: f32 = 12_582_912.0;

/// `Σ coefficients[i] · xⁱ`
#[inline(always)]
unsafe fn polynomial<L: Lane, const N: usize>(x: L, coefficients: [f32; N]) -> L {
    unsafe {
        let mut sum = L::every(coefficients[N - 1]);
        for c in coefficients[..N - 1].iter().rev() {
            sum = sum.mul_add(x, L::every(*c));
        }
        sum
    }
}

/// 2ˣ for `x` up to 126; of `x` below -125 as of that, so that no result is 0 or denormal, which would slow down what
/// multiplies it.
///
/// # Safety
/// The CPU has `L`'s instructions.
#[inline(always)]
pub(super) unsafe fn exp2<L: Lane>(x: L) -> L {
    unsafe {
        // In this order NaN stays NaN.
        let x = L::every(-125.0).max(x);
        let whole = x.add(L::every(ROUNDER)).sub(L::every(ROUNDER));
        // 2ˣ from -½ to ½: 7.5e-8.
        let fraction = polynomial(
            x.sub(whole),
            [1.000_000_1, 0.693_146_97, 0.240_221_2, 0.055_507_134, 0.009_675_542, 0.001_327_648],
        );
        fraction.scale2(whole)
    }
}

/// eˣ; of `x` below -87 or above 87 as of these.
///
/// # Safety
/// The CPU has `L`'s instructions.
#[inline(always)]
pub(super) unsafe fn exp<L: Lane>(x: L) -> L {
    // ln 2 in two parts (Cody and Waite): the first has so few bits that its multiples are exact.
    const LN2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
    unsafe {
        let x = x.clamp(-87.0, 87.0);
        let whole = x.mul_add(L::every(std::f32::consts::LOG2_E), L::every(ROUNDER)).sub(L::every(ROUNDER));
        let rest = whole.mul_add(L::every(-LN2[0]), x);
        let rest = whole.mul_add(L::every(-LN2[1]), rest);
        // eˣ from -½ ln 2 to ½ ln 2: 7.5e-8.
        let fraction = polynomial(
            rest,
            [1.000_000_1, 0.999_999_7, 0.499_988_9, 0.166_675_78, 0.041_915_88, 0.008_297_59],
        );
        fraction.scale2(whole)
    }
}

/// `x / (1 + e⁻ʷ)`
#[inline(always)]
unsafe fn times_sigmoid<L: Lane>(x: L, w: L) -> L {
    unsafe { x.div(exp(L::zero().sub(w)).add(L::every(1.0))) }
}

/// `x · Φ(x)`, with the normal distribution `Φ(x) = ½ + ½ erf(x / √2)`.
///
/// # Safety
/// The CPU has `L`'s instructions.
#[inline(always)]
pub(super) unsafe fn gelu_exact<L: Lane>(x: L) -> L {
    unsafe {
        // x Φ(x) = max(x, 0) - |x| Φ(-|x|), which cancels nothing on the negative side.
        // Beyond 12 that is less than 10⁻³¹, and soon a denormal, which would be slow.
        let size = x.max(L::zero().sub(x)).clamp(0.0, 12.0);
        // Φ(-s) = e^(-s²/2) t P(t) with t = 1 / (1 + 0.3 s), for s from 0 to 14: 1.5e-7.
        let t = L::every(1.0).div(size.mul_add(L::every(0.3), L::every(1.0)));
        let tail = polynomial(
            t,
            [
                0.119_629_3,
                0.120_753_96,
                0.099_913_48,
                0.128_561_69,
                -0.053_683_77,
                0.206_353_65,
                -0.157_203_17,
                0.035_674_8,
            ],
        );
        let tail = tail.mul(t).mul(exp(size.mul(size).mul(L::every(-0.5))));
        x.clamp(0.0, f32::INFINITY).sub(size.mul(tail))
    }
}

/// `½ x (1 + tanh(√(2/π) (x + 0.044715 x³)))`, by `½ (1 + tanh(u)) = 1 / (1 + e⁻²ᵘ)`.
///
/// # Safety
/// The CPU has `L`'s instructions.
#[inline(always)]
pub(super) unsafe fn gelu_tanh<L: Lane>(x: L) -> L {
    // 2 √(2/π)
    const TWICE: f32 = 1.595_769;
    unsafe {
        // Below, all is 0 but for rounding.
        let x = x.clamp(-64.0, f32::INFINITY);
        let slope = x.mul(x).mul_add(L::every(0.044_715 * TWICE), L::every(TWICE));
        times_sigmoid(x, x.mul(slope))
    }
}

/// `x / (1 + e^(-1.702 x))`
///
/// # Safety
/// The CPU has `L`'s instructions.
#[inline(always)]
pub(super) unsafe fn gelu_quick<L: Lane>(x: L) -> L {
    unsafe {
        let x = x.clamp(-64.0, f32::INFINITY);
        times_sigmoid(x, x.mul(L::every(1.702)))
    }
}
