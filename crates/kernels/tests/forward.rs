//! The fast kernels against the plain ones, on random shapes.

use classify_kernels::conv::{Activation, Grid, PackedConv, Run, Window};
use classify_kernels::depthwise::{DepthwiseConv, DepthwiseRun};
use classify_kernels::{AlignedBuf, Kernels};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn random(rng: &mut ChaCha8Rng, n: usize) -> Vec<f32> {
    (0..n).map(|_| rng.random_range(-1.0..1.0)).collect()
}

fn fast() -> impl Iterator<Item = Kernels> {
    Kernels::ALL.into_iter().filter(|&k| k != Kernels::Plain && k.supported())
}

fn close(fast: &[f32], plain: &[f32], what: &str) {
    assert_eq!(fast.len(), plain.len());
    for (i, (a, b)) in fast.iter().zip(plain).enumerate() {
        assert!((a - b).abs() <= 1e-4, "{what}: {a} is not {b} at {i}");
    }
}

#[test]
fn convolution_equals_plain_loops() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for case in 0..60 {
        let kernel: [usize; 3] =
            if case % 3 == 0 { [1; 3] } else { std::array::from_fn(|_| rng.random_range(1..=3)) };
        let stride = std::array::from_fn(|_| rng.random_range(1..=2));
        let mut dims: [usize; 4] = std::array::from_fn(|_| rng.random_range(1..=6));
        if case % 2 == 0 {
            // Wide enough for tiles that touch no border.
            dims[3] = rng.random_range(7..=40);
        }
        let (cin, cout) = (rng.random_range(1..=20), rng.random_range(1..=100));
        let input_dims = [dims[1], dims[2], dims[3]];
        let (window, out) = Window::same(kernel, stride, input_dims);
        let taps = window.taps();
        let weight = random(&mut rng, taps * cin * cout);
        let bias = random(&mut rng, cout);
        let input = random(&mut rng, dims.iter().product::<usize>() * cin);
        let to = [dims[0], out[0], out[1], out[2]];
        // The output is a slice of the channels of a wider tensor, as in a concatenation.
        let wide = Grid::dense(to, cout + 3);
        let residual = random(&mut rng, Grid::dense(to, cout).len(cout));
        let activation = [Activation::None, Activation::Relu, Activation::Relu6][rng.random_range(0..3)];
        let with_residual = rng.random_bool(0.5);
        let result = |kernels, parallel: bool| {
            let conv = PackedConv::from_torch(kernels, [taps, cin, cout], &weight, &bias);
            let mut output = vec![7.0; wide.len(cout + 3)];
            let run = Run {
                window,
                transposed: false,
                input: &input,
                from: Grid::dense(dims, cin),
                output: &mut output[2..],
                to: wide,
                residual: with_residual.then(|| (&residual[..], Grid::dense(to, cout))),
                activation,
            };
            if parallel {
                conv.run_parallel(run)
            } else {
                conv.run(run)
            }
            output
        };
        let plain = result(Kernels::Plain, false);
        assert!(plain[..2] == [7.0; 2], "channels before the slice");
        for kernels in fast() {
            for parallel in [false, true] {
                let what = format!("case {case}, {} {window:?} {dims:?}", kernels.name());
                close(&result(kernels, parallel), &plain, &what);
            }
        }
    }
}

#[test]
fn depthwise_equals_plain_loops() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    for case in 0..60 {
        let (kernel, stride) = ([3, 5][case % 2], 1 + case / 2 % 2);
        let channels = rng.random_range(1..=70);
        let (height, width) = (rng.random_range(1..=5), rng.random_range(1..=19));
        let in_row = ((width - 1) * stride + kernel) * channels + rng.random_range(0..=5);
        let rows = (height - 1) * stride + kernel;
        let input = random(&mut rng, rows * in_row);
        let weight = random(&mut rng, kernel * kernel * channels);
        let bias = random(&mut rng, channels);
        let result = |kernels| {
            let conv = DepthwiseConv::from_torch(kernels, kernel, stride, &weight, &bias);
            let mut output = vec![0.0; height * width * channels];
            conv.run(DepthwiseRun {
                input: &input,
                in_row,
                output: &mut output,
                out_row: width * channels,
                height,
                width,
                activation: Activation::Relu6,
            });
            output
        };
        let plain = result(Kernels::Plain);
        for kernels in fast() {
            close(&result(kernels), &plain, &format!("case {case}, {}", kernels.name()));
        }
    }
}

#[test]
fn nan_is_not_hidden_by_the_activation() {
    for kernels in Kernels::ALL.into_iter().filter(|k| k.supported()) {
        let conv = PackedConv::from_torch(kernels, [1, 1, 1], &[1.0], &[0.0]);
        let mut output = [0.0];
        conv.run(Run {
            window: Window::POINT,
            transposed: false,
            input: &[f32::NAN],
            from: Grid::dense([1; 4], 1),
            output: &mut output,
            to: Grid::dense([1; 4], 1),
            residual: None,
            activation: Activation::Relu6,
        });
        assert!(output[0].is_nan(), "{}", kernels.name());
    }
}

#[test]
fn aligned_memory_is_aligned() {
    for len in [1, 17, 1000] {
        let mut buf = AlignedBuf::zeros(len);
        assert_eq!(buf.as_ptr() as usize % 64, 0);
        assert_eq!(buf.len(), len);
        assert_eq!(buf.at_least(len + 1).as_ptr() as usize % 64, 0);
    }
}
