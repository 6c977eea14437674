//! The plain truth: obvious loops that the fast convolution is held against.

use crate::call::Run;
use crate::panels::Panels;
use crate::precision::Precision;

/// `output = clamp(bias + Σ taps + residual)`, with inputs and weights rounded to `precision`.
pub(crate) fn conv(panels: &Panels, precision: Precision, run: &mut Run) {
    let [n, d, h, w] = run.to.dims;
    let at = |s: [usize; 4], p: [usize; 4]| -> usize { (0..4).map(|i| s[i] * p[i]).sum() };
    let (lo, hi) = run.activation.clamp();
    let window = run.window;
    let round = |x: f32| precision.round(x);
    for (i, z, y, x) in (0..n)
        .flat_map(|i| (0..d).flat_map(move |z| (0..h).flat_map(move |y| (0..w).map(move |x| (i, z, y, x)))))
    {
        let out = at(run.to.strides, [i, z, y, x]);
        for o in 0..panels.cout() {
            let mut sum = panels.bias()[o];
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
                for c in 0..panels.cin() {
                    sum += round(run.input[from + c]) * round(panels.weight(tap, c, o));
                }
            }
            if let Some((residual, grid)) = &run.residual {
                sum += residual[at(grid.strides, [i, z, y, x]) + o];
            }
            run.output[out + o] = sum.clamp(lo, hi);
        }
    }
}
