//! Gradients of the operators: against those that candle derives for its own, and by finite
//! differences.

use candle_core::{DType, Device, Tensor, Var};
use classify_kernels::conv::Activation;
use classify_kernels::{Kernels, conv3d_plain, ops};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn random(rng: &mut ChaCha8Rng, shape: &[usize]) -> Var {
    let n = shape.iter().product();
    let numbers: Vec<f32> = (0..n).map(|_| rng.random_range(-1.0..1.0)).collect();
    Var::from_vec(numbers, shape, &Device::Cpu).unwrap()
}

fn fast() -> impl Iterator<Item = Kernels> {
    Kernels::ALL.into_iter().filter(|&k| k != Kernels::Plain && k.supported())
}

fn assert_close(found: &Tensor, wanted: &Tensor, what: &str) {
    assert_eq!(found.dims(), wanted.dims(), "{what}");
    let largest = wanted.abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
    let difference = (found - wanted).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
    assert!(difference <= 1e-4 * largest.max(1.0), "{what}: {difference} of {largest}");
}

/// Sum of the products with fixed numbers, so that every output has another weight.
fn loss(y: &Tensor) -> Tensor {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let direction = random(&mut rng, y.dims()).detach().to_dtype(y.dtype()).unwrap();
    (y * direction).unwrap().sum_all().unwrap()
}

/// Volumes of 1 to 5 along each axis, kernels of 1 to 3, activations of all kinds.
#[test]
fn convolution_has_the_gradients_of_the_plain_one() {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    for case in 0..12 {
        let mut up_to = |n: usize| rng.random_range(1..=n);
        let (d, h, w, i, o) = (up_to(5), up_to(5), up_to(9), up_to(19), up_to(60));
        let kernel = [up_to(3), up_to(3), up_to(3)];
        let x = random(&mut rng, &[1, d, h, w, i]);
        let weight = random(&mut rng, &[o, i, kernel[0], kernel[1], kernel[2]]);
        let (scale, bias) = (random(&mut rng, &[o]), random(&mut rng, &[o]));
        let folded = weight.broadcast_mul(&scale.reshape((o, 1, 1, 1, 1)).unwrap()).unwrap();
        let plain = conv3d_plain(&x.squeeze(0).unwrap(), &folded, &bias, [1; 3]).unwrap();
        let activation = [Activation::None, Activation::Relu, Activation::Relu6][case % 3];
        let (lo, hi) = activation.clamp();
        let plain = plain.clamp(lo, hi).unwrap().unsqueeze(0).unwrap();
        let wanted = loss(&plain).backward().unwrap();
        for kernels in fast() {
            let y = ops::conv(kernels, &x, &weight, (&scale, &bias), [1; 3], activation).unwrap();
            assert_close(&y, &plain, "output");
            let found = loss(&y).backward().unwrap();
            for (name, var) in [("x", &x), ("weight", &weight), ("scale", &scale), ("bias", &bias)] {
                let what = format!("case {case}, {}, {name}", kernels.name());
                assert_close(found.get(var).unwrap(), wanted.get(var).unwrap(), &what);
            }
        }
    }
}

/// The change of `loss` along a random direction from each variable.
fn check_slopes(variables: &[&Var], y: impl Fn() -> Tensor) {
    let step = 1e-3;
    let gradients = loss(&y()).backward().unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    for (i, var) in variables.iter().enumerate() {
        let way = random(&mut rng, var.dims()).detach();
        let slope = (gradients.get(var).unwrap() * &way).unwrap().sum_all().unwrap();
        let slope = slope.to_scalar::<f32>().unwrap() as f64;
        let start = var.as_tensor().copy().unwrap();
        let loss_at = |t: f64| {
            var.set(&(&start + (&way * t).unwrap()).unwrap()).unwrap();
            loss(&y().to_dtype(DType::F64).unwrap()).to_scalar::<f64>().unwrap()
        };
        let difference = (loss_at(step) - loss_at(-step)) / (2.0 * step);
        loss_at(0.0);
        let size = slope.abs().max(difference.abs()).max(1.0);
        assert!((slope - difference).abs() <= 0.02 * size, "variable {i}: {slope}, {difference}");
    }
}

#[test]
fn strided_convolution_has_the_slope_of_finite_differences() {
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    for (dims, kernel, stride) in [
        ([5, 4, 7], [3, 3, 3], [2, 2, 2]),
        ([1, 9, 8], [1, 3, 3], [1, 2, 2]),
        ([6, 3, 5], [1, 1, 1], [2, 1, 2]),
    ] {
        let x = random(&mut rng, &[2, dims[0], dims[1], dims[2], 3]);
        let weight = random(&mut rng, &[5, 3, kernel[0], kernel[1], kernel[2]]);
        let (scale, bias) = (random(&mut rng, &[5]), random(&mut rng, &[5]));
        for kernels in fast() {
            check_slopes(&[&x, &weight, &scale, &bias], || {
                ops::conv(kernels, &x, &weight, (&scale, &bias), stride, Activation::None).unwrap()
            });
        }
    }
}

#[test]
fn inputs_that_are_no_variables_get_no_gradient() {
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    let x = random(&mut rng, &[1, 1, 4, 4, 2]).detach();
    let weight = random(&mut rng, &[3, 2, 1, 1, 1]);
    let (scale, bias) = (random(&mut rng, &[3]), random(&mut rng, &[3]));
    let y = ops::conv(Kernels::Portable, &x, &weight, (&scale, &bias), [1; 3], Activation::None).unwrap();
    let gradients = loss(&y).backward().unwrap();
    assert!(gradients.get(&x).is_none() && gradients.get(&weight).is_some());
    let wrong = random(&mut rng, &[3, 4, 1, 1, 1]);
    assert!(ops::conv(Kernels::Portable, &x, &wrong, (&scale, &bias), [1; 3], Activation::None).is_err());
}
