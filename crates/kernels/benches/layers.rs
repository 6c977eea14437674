//! The layers against candle's own convolution: `[N, C, H, W]` in, the same out.
//!
//! `cargo bench -p classify-kernels --bench layers`

use candle_core::{Device, Tensor};
use classify_kernels::{Conv2d, DepthwiseConv2d};
use divan::Bencher;

fn main() {
    divan::main();
}

fn random(shape: &[usize]) -> Tensor {
    Tensor::rand(-1f32, 1.0, shape, &Device::Cpu).expect("numbers")
}

/// The same numbers, with each pixel's channels side by side.
fn channels_last(x: &Tensor) -> Tensor {
    let turned = x.permute((0, 2, 3, 1)).and_then(|x| x.contiguous());
    turned.and_then(|x| x.permute((0, 3, 1, 2))).expect("a copy")
}

/// Channels, side of the image, kernel, stride: layers of EfficientNet-Lite0 at 224 pixels.
const DEPTHWISE: [(usize, usize, usize, usize); 4] =
    [(32, 112, 3, 1), (96, 112, 3, 2), (240, 28, 5, 1), (672, 14, 5, 1)];

#[divan::bench_group]
mod depthwise {
    use super::*;

    fn bench(bencher: Bencher, case: (usize, usize, usize, usize), turn: bool) {
        let (c, side, k, stride) = case;
        let conv = DepthwiseConv2d::new(&random(&[c, 1, k, k]), None, stride, k / 2).expect("a layer");
        let x = random(&[1, c, side, side]);
        let x = if turn { channels_last(&x) } else { x };
        bencher.bench_local(|| conv.forward(&x).expect("images"));
    }

    #[divan::bench(args = DEPTHWISE)]
    fn ours_channels_last(bencher: Bencher, case: (usize, usize, usize, usize)) {
        bench(bencher, case, true);
    }

    #[divan::bench(args = DEPTHWISE)]
    fn ours_planes(bencher: Bencher, case: (usize, usize, usize, usize)) {
        bench(bencher, case, false);
    }

    #[divan::bench(args = DEPTHWISE, sample_count = 20, sample_size = 1)]
    fn candle(bencher: Bencher, (c, side, k, stride): (usize, usize, usize, usize)) {
        let (x, weight) = (random(&[1, c, side, side]), random(&[c, 1, k, k]));
        bencher.bench_local(|| x.conv2d(&weight, k / 2, stride, 1, c).expect("images"));
    }
}

/// Channels in and out, side of the image, kernel, stride.
const DENSE: [(usize, usize, usize, usize, usize); 4] =
    [(3, 32, 224, 3, 2), (96, 24, 56, 1, 1), (64, 64, 56, 3, 1), (192, 1152, 7, 1, 1)];

#[divan::bench_group]
mod dense {
    use super::*;

    fn bench(bencher: Bencher, case: (usize, usize, usize, usize, usize), turn: bool) {
        let (cin, cout, side, k, stride) = case;
        let conv = Conv2d::new(&random(&[cout, cin, k, k]), None, stride, k / 2).expect("a layer");
        let x = random(&[1, cin, side, side]);
        let x = if turn { channels_last(&x) } else { x };
        bencher.bench_local(|| conv.forward(&x).expect("images"));
    }

    #[divan::bench(args = DENSE)]
    fn ours_channels_last(bencher: Bencher, case: (usize, usize, usize, usize, usize)) {
        bench(bencher, case, true);
    }

    #[divan::bench(args = DENSE)]
    fn ours_planes(bencher: Bencher, case: (usize, usize, usize, usize, usize)) {
        bench(bencher, case, false);
    }

    #[divan::bench(args = DENSE)]
    fn candle(bencher: Bencher, (cin, cout, side, k, stride): (usize, usize, usize, usize, usize)) {
        let (x, weight) = (random(&[1, cin, side, side]), random(&[cout, cin, k, k]));
        bencher.bench_local(|| x.conv2d(&weight, k / 2, stride, 1, 1).expect("images"));
    }
}
