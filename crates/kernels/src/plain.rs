//! The plain truth: obvious loops that the fast kernels are held against.

use super::Precision;
use super::conv::{PackedConv, Run};
use super::depthwise::{DepthwiseConv, DepthwiseRun};

/// `output = clamp(bias + Σ taps + residual)`.
pub(super) fn conv(conv: &PackedConv, run: &mut Run) {
    let [n, d, h, w] = run.to.dims;
    let at = |s: [usize; 4], p: [usize; 4]| -> usize { (0..4).map(|i| s[i] * p[i]).sum() };
    let (lo, hi) = run.activation.clamp();
    let window = run.window;
    let round = |x: f32| match conv.precision() {
        Precision::F32 => x,
        Precision::Bf16 => half::bf16::from_f32(x).to_f32(),
    };
    for (i, z, y, x) in (0..n)
        .flat_map(|i| (0..d).flat_map(move |z| (0..h).flat_map(move |y| (0..w).map(move |x| (i, z, y, x)))))
    {
        let out = at(run.to.strides, [i, z, y, x]);
        for o in 0..conv.cout {
            let mut sum = conv.bias()[o];
            for tap in 0..window.taps() {
                let [_, kh, kw] = window.kernel;
                let k = [tap / kw / kh, tap / kw % kh, tap % kw];
                let p = [z, y, x];
                // Coordinates in the input, or None over the border.
                let inside: Option<Vec<usize>> = (0..3)
                    .map(|a| {
                        let (stride, pad) = (window.stride[a], window.pad[a]);
                        let q = if run.transposed {
                            let q = (p[a] + pad).checked_sub(k[a])?;
                            (q % stride == 0).then_some(q / stride)?
                        } else {
                            (p[a] * stride + k[a]).checked_sub(pad)?
                        };
                        Some(q).filter(|&q| q < run.from.dims[a + 1])
                    })
                    .collect();
                let Some(q) = inside else { continue };
                let from = at(run.from.strides, [i, q[0], q[1], q[2]]);
                for c in 0..conv.cin {
                    sum += round(run.input[from + c]) * round(conv.weight(tap, c, o));
                }
            }
            if let Some((residual, grid)) = &run.residual {
                sum += residual[at(grid.strides, [i, z, y, x]) + o];
            }
            run.output[out + o] = sum.clamp(lo, hi);
        }
    }
}

/// `output[y, x, c] = clamp(bias[c] + Σ input[y·s + ky, x·s + kx, c] · weights[ky, kx, c])`.
pub(super) fn depthwise(conv: &DepthwiseConv, run: DepthwiseRun) {
    let (k, s, channels) = (conv.kernel, conv.stride, conv.channels);
    let (lo, hi) = run.activation.clamp();
    for y in 0..run.height {
        for x in 0..run.width {
            for c in 0..channels {
                let mut sum = conv.bias[c];
                for ky in 0..k {
                    for kx in 0..k {
                        let at = (y * s + ky) * run.in_row + (x * s + kx) * channels + c;
                        sum += run.input[at] * conv.weights[(ky * k + kx) * channels + c];
                    }
                }
                run.output[y * run.out_row + x * channels + c] = sum.clamp(lo, hi);
            }
        }
    }
}
