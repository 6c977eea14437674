//! The operators on slices, one thread: to see what a change of the kernels does.
//!
//! `cargo bench -p classify-kernels --bench slices`

use classify_kernels::conv::{Activation, Grid, PackedConv, Run, Window};
use classify_kernels::depthwise::{DepthwiseConv, DepthwiseRun};
use classify_kernels::grad::{self, ConvGrad, DepthwiseWeights};
use classify_kernels::pool::max_pool;
use classify_kernels::winograd::WinogradConv;
use classify_kernels::{Kernels, Precision};
use divan::Bencher;

fn main() {
    divan::main();
}

fn numbers(n: usize) -> Vec<f32> {
    (0..n).map(|i| (i * 7919 % 2003) as f32 / 2003.0 - 0.5).collect()
}

fn kernels() -> Kernels {
    Kernels::detect().expect("kernels")
}

/// Channels in and out; depth, height and width; side of the kernel, along time and in the image.
type Case = (usize, usize, [usize; 3], [usize; 2]);

fn dense(bencher: Bencher, (cin, cout, [d, h, w], [kt, k]): Case, precision: Precision) {
    let (window, _) = Window::same([kt, k, k], [1; 3], [d, h, w]);
    let (weight, bias) = (numbers(window.taps() * cin * cout), numbers(cout));
    let mut conv = PackedConv::from_torch(kernels(), [window.taps(), cin, cout], &weight, &bias);
    conv.set_precision(precision, window.kernel);
    let (from, to) = (Grid::dense([1, d, h, w], cin), Grid::dense([1, d, h, w], cout));
    let (input, mut output) = (numbers(from.len(cin)), vec![0.0; to.len(cout)]);
    bencher.bench_local(|| {
        let (output, activation) = (&mut output[..], Activation::Relu6);
        conv.run(Run {
            window,
            transposed: false,
            input: &input,
            from,
            output,
            to,
            residual: None,
            activation,
        });
    });
}

const DENSE: [Case; 4] = [
    (96, 24, [1, 56, 56], [1, 1]),
    (192, 1152, [1, 7, 7], [1, 1]),
    (64, 64, [1, 28, 28], [1, 3]),
    (32, 64, [4, 14, 14], [3, 3]),
];

#[divan::bench(args = DENSE)]
fn conv(bencher: Bencher, case: Case) {
    dense(bencher, case, Precision::F32);
}

#[divan::bench(args = DENSE)]
fn conv_bf16(bencher: Bencher, case: Case) {
    dense(bencher, case, Precision::Bf16);
}

#[divan::bench(args = [(32, 112, 3, 1), (96, 56, 3, 2), (240, 28, 5, 1), (97, 14, 5, 2)])]
fn depthwise(bencher: Bencher, (c, side, k, stride): (usize, usize, usize, usize)) {
    let conv = DepthwiseConv::from_torch(kernels(), k, stride, &numbers(k * k * c), &numbers(c));
    let (in_row, rows) = ((side + k) * c, side / stride);
    let (input, mut output) = (numbers(in_row * (side + k)), vec![0.0; rows * rows * c]);
    bencher.bench_local(|| {
        let (output, activation) = (&mut output[..], Activation::Relu6);
        let out_row = rows * c;
        conv.run(DepthwiseRun {
            input: &input,
            in_row,
            output,
            out_row,
            height: rows,
            width: rows,
            activation,
        });
    });
}

#[divan::bench]
fn winograd(bencher: Bencher) {
    let (c, dims) = (64, [4, 14, 14]);
    let conv = WinogradConv::from_torch(kernels(), [c, c], &numbers(c * c * 27), &numbers(c));
    let to = Grid::dense([1, dims[0], dims[1], dims[2]], c);
    let (input, mut output) = (numbers(to.len(c)), vec![0.0; to.len(c)]);
    bencher.bench_local(|| conv.run_parallel(&input, dims, &mut output, to, Activation::Relu));
}

#[divan::bench]
fn pool(bencher: Bencher) {
    let (c, dims) = (64, [4, 28, 28]);
    let (window, [d, h, w]) = Window::same([3; 3], [1, 2, 2], dims);
    let (from, to) = (Grid::dense([1, 4, 28, 28], c), Grid::dense([1, d, h, w], c));
    let (input, mut output) = (numbers(from.len(c)), vec![0.0; to.len(c)]);
    bencher.bench_local(|| max_pool(kernels(), window, &input, from, &mut output, to));
}

#[divan::bench]
fn conv_gradient(bencher: Bencher) {
    let (cin, cout, dims) = (96, 24, [1, 1, 28, 28]);
    let (from, to) = (Grid::dense(dims, cin), Grid::dense(dims, cout));
    let (input, grad, mut weights) = (numbers(from.len(cin)), numbers(to.len(cout)), vec![0.0; cin * cout]);
    let call = ConvGrad { window: Window::POINT, input: &input, from, cin, grad: &grad, to, cout };
    bencher.bench_local(|| grad::conv_weights(kernels(), &call, 0..28, &mut weights));
}

#[divan::bench]
fn depthwise_gradient(bencher: Bencher) {
    let (c, side, k) = (144, 28, 3);
    let (input, grad) = (numbers((side + 2) * (side + 2) * c), numbers(side * side * c));
    let mut weights = vec![0.0; k * k * c];
    let in_row = (side + 2) * c;
    let call = DepthwiseWeights {
        kernel: k,
        stride: 1,
        channels: c,
        input: &input,
        in_row,
        grad: &grad,
        height: side,
        width: side,
    };
    bencher.bench_local(|| grad::depthwise_weights(kernels(), &call, &mut weights));
}
