//! Convolution and pooling over time, height and width by candle's own operators: slow and plain,
//! the truth that the fast kernels are held against, and what runs on a GPU. Differentiable.
//!
//! Volumes are channels-last, `f32 [T, H, W, C]`, padded by TensorFlow's SAME rule.

use candle_core::{Result, Tensor, bail};

/// How much SAME padding stands before and behind a length, so that it gives `len / stride`
/// outputs, rounded up; where the sum is odd, the larger half is behind.
fn same_padding(len: usize, kernel: usize, stride: usize) -> (usize, usize) {
    let total = (len.div_ceil(stride).saturating_sub(1) * stride + kernel).saturating_sub(len);
    (total / 2, total - total / 2)
}

/// `x [T, H, W, I]`, `weight [O, I, kt, kh, kw]`, `bias [O]` → `[T', H', W', O]` with
/// `T' = T / stride[0]` rounded up, and so on.
///
/// candle has no 3D convolution: this is the sum of one 2D convolution for each of the kernel's
/// time steps. Height and width share one stride, as candle's 2D convolution wants it.
pub fn conv3d_plain(x: &Tensor, weight: &Tensor, bias: &Tensor, stride: [usize; 3]) -> Result<Tensor> {
    let (_, _, kt, kh, kw) = weight.dims5()?;
    let (steps, height, width, _) = x.dims4()?;
    let [time_stride, stride, stride_w] = stride;
    if stride != stride_w {
        bail!("3D convolution with strides {stride} and {stride_w} in height and width");
    }
    let mut x = x.permute((0, 3, 1, 2))?;
    for (dim, len, k, s) in [(0, steps, kt, time_stride), (2, height, kh, stride), (3, width, kw, stride)] {
        let (before, after) = same_padding(len, k, s);
        x = x.pad_with_zeros(dim, before, after)?;
    }
    let mut sum: Option<Tensor> = None;
    for tap in 0..kt {
        let frames = every(&x, 0, tap, steps.div_ceil(time_stride), time_stride)?;
        let kernel = weight.narrow(2, tap, 1)?.squeeze(2)?.contiguous()?;
        let part = frames.contiguous()?.conv2d(&kernel, 0, stride, 1, 1)?;
        sum = Some(match sum {
            Some(sum) => (sum + part)?,
            None => part,
        });
    }
    let Some(sum) = sum else { bail!("3D convolution with an empty kernel") };
    sum.permute((0, 2, 3, 1))?.broadcast_add(bias)?.contiguous()
}

/// The largest of each `kernel` (time, height, width) of `x [T, H, W, C]`; padding counts as −∞.
pub fn max_pool3d_plain(x: &Tensor, kernel: [usize; 3], stride: [usize; 3]) -> Result<Tensor> {
    let mut x = x.clone();
    // The largest of a box is the largest along one axis after the other.
    for dim in 0..3 {
        let (len, k, s) = (x.dim(dim)?, kernel[dim], stride[dim]);
        if (k, s) == (1, 1) {
            continue;
        }
        let (before, after) = same_padding(len, k, s);
        // CUDA fills no tensor without elements.
        let nothing = |n: usize| {
            let mut shape = x.dims().to_vec();
            shape[dim] = n;
            (n > 0).then(|| Tensor::full(f32::NEG_INFINITY, shape, x.device())).transpose()
        };
        let parts: Vec<Tensor> =
            [nothing(before)?, Some(x.clone()), nothing(after)?].into_iter().flatten().collect();
        let padded = Tensor::cat(&parts, dim)?;
        let mut best = every(&padded, dim, 0, len.div_ceil(s), s)?;
        for tap in 1..k {
            best = best.maximum(&every(&padded, dim, tap, len.div_ceil(s), s)?)?;
        }
        x = best;
    }
    Ok(x)
}

/// Each channel of `x [N, C, H, W]`, padded before, by a kernel of its own, `weight [C, 1, k, k]`.
///
/// Tap by tap: candle's convolution in groups runs one small one after the other for each channel.
pub fn depthwise_plain(x: &Tensor, weight: &Tensor, stride: usize) -> Result<Tensor> {
    let (_, _, height, width) = x.dims4()?;
    let (_, _, k, k_w) = weight.dims4()?;
    if k != k_w || height < k || width < k || stride == 0 {
        bail!("depthwise convolution of {height} x {width} by {k} x {k_w}, stride {stride}");
    }
    let [height, width] = [height, width].map(|len| (len - k) / stride + 1);
    let mut sum: Option<Tensor> = None;
    for row in 0..k {
        let rows = every(x, 2, row, height, stride)?;
        for column in 0..k {
            let kernel = weight.narrow(2, row, 1)?.narrow(3, column, 1)?.reshape((1, (), 1, 1))?;
            let part = every(&rows, 3, column, width, stride)?.broadcast_mul(&kernel)?;
            sum = Some(match sum {
                Some(sum) => (sum + part)?,
                None => part,
            });
        }
    }
    let Some(sum) = sum else { bail!("depthwise convolution with an empty kernel") };
    Ok(sum)
}

/// `count` entries of `x` along `dim`, from `start` on, `stride` apart.
fn every(x: &Tensor, dim: usize, start: usize, count: usize, stride: usize) -> Result<Tensor> {
    if stride == 1 {
        return x.narrow(dim, start, count);
    }
    let ids: Vec<u32> = (0..count).map(|i| (start + i * stride) as u32).collect();
    x.contiguous()?.index_select(&Tensor::new(ids, x.device())?, dim)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};

    #[test]
    fn same_padding_puts_the_odd_one_behind() {
        assert_eq!(same_padding(160, 7, 2), (2, 3));
        assert_eq!(same_padding(5, 3, 2), (1, 1));
        assert_eq!(same_padding(4, 2, 2), (0, 0));
        assert_eq!(same_padding(1, 3, 1), (1, 1));
        assert_eq!(same_padding(5, 1, 2), (0, 0));
    }

    #[test]
    fn convolution_sums_what_the_kernel_covers() {
        // All ones: each output counts the input points under a 3×3×3 kernel.
        let x = Tensor::ones((3, 2, 4, 1), candle_core::DType::F32, &Device::Cpu).unwrap();
        let weight = Tensor::ones((1, 1, 3, 3, 3), candle_core::DType::F32, &Device::Cpu).unwrap();
        let bias = Tensor::new(&[100f32], &Device::Cpu).unwrap();
        let y = conv3d_plain(&x, &weight, &bias, [1, 1, 1]).unwrap();
        let y = y.squeeze(3).unwrap().to_vec3::<f32>().unwrap();
        assert_eq!(y[0], [[108., 112., 112., 108.], [108., 112., 112., 108.]]);
        assert_eq!(y[1], [[112., 118., 118., 112.], [112., 118., 118., 112.]]);
        let y = conv3d_plain(&x, &weight, &bias, [2, 2, 2]).unwrap();
        assert_eq!(y.dims(), [2, 1, 2, 1]);
    }

    #[test]
    fn tap_by_tap_is_a_convolution_in_groups() {
        for (k, stride, height, width) in [(3, 1, 6, 7), (5, 2, 9, 8), (3, 2, 3, 4)] {
            let (x, weight) = (numbers(&[2, 4, height, width]), numbers(&[4, 1, k, k]));
            let wanted = x.conv2d(&weight, 0, stride, 1, 4).unwrap();
            let found = depthwise_plain(&x, &weight, stride).unwrap();
            assert_eq!(found.dims(), wanted.dims());
            let apart =
                (found - &wanted).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
            assert!(apart < 1e-4, "{k} {stride}: {apart}");
        }
        assert!(depthwise_plain(&numbers(&[1, 2, 2, 8]), &numbers(&[2, 1, 3, 3]), 1).is_err());
        assert!(depthwise_plain(&numbers(&[1, 2, 2, 8]), &numbers(&[2, 1, 0, 0]), 1).is_err());
    }

    #[test]
    fn pooling_ignores_its_padding() {
        let x =
            Tensor::new(&[-5f32, -3., -4., -1., -2.], &Device::Cpu).unwrap().reshape((5, 1, 1, 1)).unwrap();
        let y = max_pool3d_plain(&x, [3, 3, 3], [2, 2, 2]).unwrap();
        assert_eq!(y.flatten_all().unwrap().to_vec1::<f32>().unwrap(), [-3., -1., -1.]);
    }

    /// Gradients of `Σ probe · f(x)` against central differences, for every number of `x`.
    fn check_gradient(x: &Tensor, f: impl Fn(&Tensor) -> Result<Tensor>) {
        let x = Var::from_tensor(x).unwrap();
        let shape = f(&x).unwrap().dims().to_vec();
        let probe: Vec<f32> = (0..shape.iter().product()).map(|i| (i as f32 * 0.7).cos()).collect();
        let probe = Tensor::from_vec(probe, shape, &Device::Cpu).unwrap();
        let loss = |x: &Tensor| (f(x).unwrap() * &probe).unwrap().sum_all().unwrap();
        let grads = loss(&x).backward().unwrap();
        let found = grads.get(&x).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let start = x.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        for (i, found) in found.into_iter().enumerate() {
            let at = |step: f32| {
                let mut values = start.clone();
                values[i] += step;
                let x = Tensor::from_vec(values, x.shape(), &Device::Cpu).unwrap();
                loss(&x).to_scalar::<f32>().unwrap()
            };
            let wanted = (at(0.01) - at(-0.01)) / 0.02;
            assert!((found - wanted).abs() < 0.02 * (1.0 + wanted.abs()), "{i}: {found}, wanted {wanted}");
        }
    }

    /// Numbers that differ by more than the differences' step, so that no maximum changes hands.
    fn numbers(shape: &[usize]) -> Tensor {
        let len: usize = shape.iter().product();
        let values: Vec<f32> = (0..len).map(|i| (i * 37 % len) as f32 * 0.05 - 1.0).collect();
        Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
    }

    #[test]
    fn gradients_of_the_convolution() {
        let (x, weight, bias) = (numbers(&[3, 4, 5, 2]), numbers(&[3, 2, 3, 3, 3]), numbers(&[3]));
        check_gradient(&x, |x| conv3d_plain(x, &weight, &bias, [1, 1, 1]));
        check_gradient(&x, |x| conv3d_plain(x, &weight, &bias, [2, 1, 1]));
        check_gradient(&weight, |weight| conv3d_plain(&x, weight, &bias, [1, 1, 1]));
        check_gradient(&bias, |bias| conv3d_plain(&x, &weight, bias, [1, 1, 1]));
    }

    #[test]
    fn gradients_of_the_pooling() {
        let x = numbers(&[4, 5, 3, 2]);
        check_gradient(&x, |x| max_pool3d_plain(x, [3, 3, 3], [1, 1, 1]));
        check_gradient(&x, |x| max_pool3d_plain(x, [2, 2, 2], [2, 2, 2]));
    }
}
