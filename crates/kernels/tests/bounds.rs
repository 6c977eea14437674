//! Safe functions panic on sizes that would lead a kernel out of its memory.

use std::panic::{AssertUnwindSafe, catch_unwind};

use classify_kernels::Kernels;
use classify_kernels::conv::{Activation, Grid, PackedConv, Run, Window};
use classify_kernels::depthwise::{DepthwiseConv, DepthwiseRun};
use classify_kernels::grad::{self, ConvGrad, DepthwiseWeights};

/// A product of three that overflows to 1.
const THIRD: usize = usize::MAX / 3 * 2 + 1;
const HALF: usize = 1 << (usize::BITS / 2);

fn assert_panics<T>(what: &str, f: impl FnOnce() -> T) {
    assert!(catch_unwind(AssertUnwindSafe(f)).is_err(), "{what}");
}

#[test]
fn sizes_whose_product_overflows() {
    assert_panics("weights", || {
        PackedConv::from_torch(Kernels::Portable, [HALF, HALF, 1], &[], &[0.0]);
    });
    assert_panics("pixels", || {
        Grid { dims: [1, 1, HALF, HALF], strides: [0, 0, HALF, 1] }.len(1);
    });
    assert_eq!(THIRD.wrapping_mul(3), 1);
    assert_panics("taps", || {
        Window { kernel: [3, THIRD, 1], ..Window::POINT }.taps();
    });
}

#[test]
fn runs_that_leave_their_slices() {
    let conv = PackedConv::from_torch(Kernels::Portable, [3, 1, 1], &[1.0; 3], &[0.0]);
    let row = |n| Grid::dense([1, 1, 1, n], 1);
    let window = Window { kernel: [1, 1, 3], stride: [1; 3], pad: [0, 0, 1] };
    let run = |window: Window, from: Grid, to: Grid| {
        let mut output = [0.0; 4];
        let (input, residual, activation) = (&[1.0; 4][..], None, Activation::None);
        conv.run(Run {
            window,
            transposed: false,
            input,
            from,
            output: &mut output,
            to,
            residual,
            activation,
        });
        output
    };
    assert_eq!(run(window, row(4), row(4)), [2.0, 3.0, 3.0, 2.0]);
    let strided = |stride| Window { stride: [1, 1, stride], ..window };
    assert_panics("input", || run(window, row(5), row(4)));
    assert_panics("output", || run(window, row(4), row(5)));
    assert_panics("stride 0", || run(strided(0), row(4), row(4)));
    // The third window would begin at 2^64, and so at the first pixel again.
    assert_panics("a stride that overflows", || run(strided(usize::MAX / 2 + 1), row(4), row(4)));
    assert_panics("padding", || run(Window { pad: [0, 0, usize::MAX], ..window }, row(4), row(4)));
    let overlapping = Grid { dims: [1, 1, 2, 2], strides: [0, 0, 1, 1] };
    assert_panics("pixels that overlap", || run(window, overlapping, overlapping));
}

#[test]
fn depthwise_strips_that_leave_their_slices() {
    let conv = DepthwiseConv::from_torch(Kernels::Portable, 3, 2, &[1.0; 9], &[0.0]);
    let run = |height, width, in_row| {
        let mut output = [0.0; 2];
        let activation = Activation::None;
        conv.run(DepthwiseRun {
            input: &[1.0; 15],
            in_row,
            output: &mut output,
            out_row: 2,
            height,
            width,
            activation,
        });
        output
    };
    assert_eq!(run(1, 2, 5), [9.0; 2]);
    assert_panics("width", || run(1, 3, 5));
    assert_panics("height", || run(2, 1, 5));
    assert_panics("rows apart", || run(1, 2, 6));
    assert_panics("rows that overflow", || run(1, 2, usize::MAX / 2 + 2));
    assert_panics("width that overflows", || run(1, usize::MAX / 2 + 2, 5));
}

#[test]
fn gradients_that_leave_their_slices() {
    let grid = |n| Grid::dense([1, 1, 1, n], 1);
    let conv = |from, to| {
        let (input, grad) = (&[1.0; 2][..], &[1.0; 2][..]);
        let call = ConvGrad { window: Window::POINT, input, from, cin: 1, grad, to, cout: 1 };
        let mut weights = [0.0];
        grad::conv_weights(Kernels::Portable, &call, 0..1, &mut weights);
        weights
    };
    assert_eq!(conv(grid(2), grid(2)), [2.0]);
    assert_panics("input", || conv(grid(3), grid(2)));
    assert_panics("gradient", || conv(grid(2), grid(3)));
    assert_panics("kernel size", || {
        let (input, grad) = (&[1.0; 49][..], &[1.0][..]);
        let call = DepthwiseWeights {
            kernel: 7,
            stride: 1,
            channels: 1,
            input,
            in_row: 7,
            grad,
            height: 1,
            width: 1,
        };
        grad::depthwise_weights(Kernels::Portable, &call, &mut [0.0; 49]);
    });
    assert_panics("activations", || {
        let mut grad = [1.0; 4];
        grad::unclamp(Kernels::Portable, &mut grad, &[1.0; 3], 2, [2, 2], Activation::Relu, &mut [0.0]);
    });
}
