//! The layers against candle's own convolution.

use candle_core::{Device, Result, Tensor, Var};
use classify_kernels::{Activation, Conv2d, DepthwiseConv2d, Kernels};

fn random(shape: &[usize]) -> Tensor {
    Tensor::rand(-1f32, 1.0, shape, &Device::Cpu).unwrap()
}

fn assert_close(found: &Tensor, wanted: &Tensor, what: &str) {
    assert_eq!(found.dims(), wanted.dims(), "{what}");
    let largest = (found - wanted).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
    assert!(largest <= 1e-4, "{what}: {largest}");
}

fn all_kernels() -> impl Iterator<Item = Kernels> {
    Kernels::ALL.into_iter().filter(|k| k.supported())
}

/// The same numbers channels-last, one plane of a wider tensor, and seen from another side.
fn layouts(x: &Tensor) -> Vec<Tensor> {
    let channels_last = x.permute((0, 2, 3, 1)).unwrap().contiguous().unwrap().permute((0, 3, 1, 2)).unwrap();
    let sideways = x.t().unwrap().contiguous().unwrap().t().unwrap();
    let last = x.dim(1).unwrap();
    let wider = Tensor::cat(&[x, x], 1).unwrap().permute((0, 2, 3, 1)).unwrap().contiguous().unwrap();
    let part = wider.narrow(3, last, last).unwrap().permute((0, 3, 1, 2)).unwrap();
    vec![x.clone(), channels_last, sideways, part]
}

#[test]
fn depthwise_agrees_with_candles_groups() {
    for (n, c, h, w, k, stride, padding) in [
        (1, 16, 8, 8, 3, 1, 1),
        (2, 3, 7, 9, 3, 2, 1),
        (1, 17, 13, 5, 5, 1, 2),
        (3, 33, 11, 6, 5, 2, 2),
        (1, 1, 3, 3, 3, 1, 0),
        (1, 40, 5, 5, 5, 2, 0),
        (2, 7, 1, 1, 3, 1, 1),
        (1, 5, 6, 40, 3, 2, 3),
        (1, 130, 29, 31, 3, 1, 1),
    ] {
        let (x, weight, bias) = (random(&[n, c, h, w]), random(&[c, 1, k, k]), random(&[c]));
        let wanted = x.conv2d(&weight, padding, stride, 1, c).unwrap();
        let with_bias = wanted.broadcast_add(&bias.reshape((1, c, 1, 1)).unwrap()).unwrap();
        for kernels in all_kernels() {
            for (i, x) in layouts(&x).iter().enumerate() {
                let what =
                    format!("{n}×{c}×{h}×{w}, {k}/{stride}, {padding}, {}, layout {i}", kernels.name());
                let conv = DepthwiseConv2d::with_kernels(kernels, &weight, None, stride, padding).unwrap();
                assert_close(&conv.forward(x).unwrap(), &wanted, &what);
                let conv =
                    DepthwiseConv2d::with_kernels(kernels, &weight, Some(&bias), stride, padding).unwrap();
                let found = conv.with_activation(Activation::Relu6).forward(x).unwrap();
                assert_close(&found, &with_bias.clamp(0f32, 6f32).unwrap(), &what);
            }
        }
    }
}

#[test]
fn dense_agrees_with_candle() {
    for (n, cin, h, w, cout, kernel, stride, padding) in [
        (1, 16, 8, 8, 32, (3, 3), 1, 1),
        (2, 3, 15, 9, 17, (3, 3), 2, 1),
        (1, 19, 6, 7, 50, (1, 1), 1, 0),
        (2, 5, 7, 7, 9, (1, 1), 2, 0),
        (1, 4, 9, 31, 20, (5, 5), 1, 2),
        (1, 8, 6, 6, 3, (2, 3), 1, 0),
        (1, 2, 4, 4, 2, (3, 3), 1, 4),
    ] {
        let (kh, kw) = kernel;
        let (x, weight, bias) = (random(&[n, cin, h, w]), random(&[cout, cin, kh, kw]), random(&[cout]));
        let wanted = x.conv2d(&weight, padding, stride, 1, 1).unwrap();
        let wanted = wanted.broadcast_add(&bias.reshape((1, cout, 1, 1)).unwrap()).unwrap();
        for kernels in all_kernels() {
            for (i, x) in layouts(&x).iter().enumerate() {
                let what =
                    format!("{cin}×{h}×{w} to {cout}, {kernel:?}/{stride}, {}, layout {i}", kernels.name());
                let conv = Conv2d::with_kernels(kernels, &weight, Some(&bias), stride, padding).unwrap();
                assert_close(&conv.forward(x).unwrap(), &wanted, &what);
            }
        }
    }
}

/// A chain of layers copies nothing into another order, and answers what candle does.
#[test]
fn layers_follow_each_other() {
    let (x, point, depthwise) = (random(&[2, 12, 10, 11]), random(&[30, 12, 1, 1]), random(&[30, 1, 3, 3]));
    let wanted = x.conv2d(&point, 0, 1, 1, 1).unwrap().conv2d(&depthwise, 1, 1, 1, 30).unwrap();
    let found = Conv2d::new(&point, None, 1, 0).unwrap().forward(&x).unwrap();
    assert_eq!(found.stride(), [10 * 11 * 30, 1, 11 * 30, 30]);
    let found = DepthwiseConv2d::new(&depthwise, None, 1, 1).unwrap().forward(&found).unwrap();
    assert_close(&found, &wanted, "chain");
}

#[test]
fn what_does_not_fit_is_an_error() -> Result<()> {
    let weight = random(&[4, 1, 3, 3]);
    let conv = DepthwiseConv2d::new(&weight, None, 1, 0)?;
    assert!(conv.forward(&random(&[1, 5, 8, 8])).is_err(), "other channels");
    assert!(conv.forward(&random(&[4, 8, 8])).is_err(), "no batch");
    assert!(conv.forward(&random(&[1, 4, 2, 8])).is_err(), "smaller than the kernel");
    assert!(conv.forward(&random(&[1, 4, 8, 8]).to_dtype(candle_core::DType::F64)?).is_err(), "f64");
    for (shape, stride, padding) in [
        ([4, 1, 7, 7], 1, 0),
        ([4, 1, 3, 5], 1, 0),
        ([4, 2, 3, 3], 1, 0),
        ([4, 1, 3, 3], 3, 0),
        ([4, 1, 3, 3], 0, 0),
        ([4, 1, 3, 3], 1, usize::MAX),
    ] {
        assert!(DepthwiseConv2d::new(&random(&shape), None, stride, padding).is_err(), "{shape:?} {stride}");
    }
    assert!(DepthwiseConv2d::new(&weight, Some(&random(&[5])), 1, 0).is_err(), "bias");
    assert!(Conv2d::new(&random(&[1, 4097, 1, 1]), None, 1, 0).is_err(), "too many channels");
    assert!(Conv2d::new(&random(&[1, 2, 3, 3]), None, 1, 0)?.forward(&random(&[1, 2, 2, 5])).is_err());
    Ok(())
}

/// Rather an error than a gradient that is silently missing.
#[test]
fn there_is_no_gradient() -> Result<()> {
    let x = Var::from_tensor(&random(&[1, 4, 8, 8]))?;
    let y = DepthwiseConv2d::new(&random(&[4, 1, 3, 3]), None, 1, 1)?.forward(&x)?;
    assert!(y.sum_all()?.backward().is_err());
    Ok(())
}
