use super::{BlockSpec, EfficientNetLite, FEATURES, LiteVariant, TrainOptions, TrainableEfficientNetLite};
use crate::networks::backbones::Backbone;
use candle_core::{DType, Device, Result, Shape, Tensor};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{VarBuilder, VarMap};
use classify_kernels::{Kernels, Precision};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Weights drawn by name, sized so that activations neither vanish nor saturate.
struct Random;

impl SimpleBackend for Random {
    fn get(
        &self,
        shape: Shape,
        name: &str,
        _: candle_nn::Init,
        dtype: DType,
        device: &Device,
    ) -> Result<Tensor> {
        let mut rng = ChaCha8Rng::from_seed(*blake3::hash(name.as_bytes()).as_bytes());
        let fan_in: usize = shape.dims().iter().skip(1).product();
        let mut draw = || -> f32 {
            if name.ends_with("running_var") || shape.rank() == 1 && name.ends_with("weight") {
                rng.random_range(0.5..1.5)
            } else if shape.rank() == 1 {
                rng.random_range(-0.3..0.3)
            } else {
                rng.random_range(-1.0..1.0) * (6.0 / fan_in as f32).sqrt()
            }
        };
        let numbers: Vec<f32> = (0..shape.elem_count()).map(|_| draw()).collect();
        Tensor::from_vec(numbers, shape, device)?.to_dtype(dtype)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> Result<Tensor> {
        candle_core::bail!("no shape for {name}")
    }

    fn contains_tensor(&self, _: &str) -> bool {
        true
    }
}

fn random_network(variant: LiteVariant, kernels: Kernels) -> EfficientNetLite {
    random_network_in(variant, kernels, Precision::F32)
}

fn random_network_in(variant: LiteVariant, kernels: Kernels, precision: Precision) -> EfficientNetLite {
    let vb = VarBuilder::from_backend(Box::new(Random), DType::F32, Device::Cpu);
    EfficientNetLite::load_with(vb, variant, kernels, precision).unwrap()
}

fn frames(shape: (usize, usize, usize, usize)) -> Tensor {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let n = shape.0 * shape.1 * shape.2 * shape.3;
    let frame = n / shape.0.max(1);
    let mut numbers = Vec::with_capacity(n);
    for _ in 0..shape.0 {
        // Noise around another colour in each frame.
        let colour: [f32; 3] = std::array::from_fn(|_| rng.random_range(-1.0..1.0));
        numbers.extend((0..frame).map(|i| colour[i % 3] + rng.random_range(-0.5..0.5)));
    }
    Tensor::from_vec(numbers, shape, &Device::Cpu).unwrap()
}

#[test]
fn blocks_are_those_of_the_published_networks() {
    let blocks = LiteVariant::Lite0.blocks();
    assert_eq!(blocks.len(), 16);
    let third = BlockSpec { input: 24, output: 40, hidden: 144, kernel: 5, stride: 2 };
    assert_eq!(blocks[3], third);
    assert_eq!(LiteVariant::Lite1.blocks().len(), 21);
    let lite2 = LiteVariant::Lite2.blocks();
    assert_eq!(lite2.len(), 21);
    assert_eq!((lite2[20].input, lite2[20].output), (208, 352));
}

/// Odd sizes, one frame, more frames than a group holds, images of few pixels.
#[test]
fn features_equal_the_plain_path() {
    let cases = [
        (LiteVariant::Lite0, (5, 64, 64, 3)),
        (LiteVariant::Lite0, (1, 97, 131, 3)),
        (LiteVariant::Lite0, (2, 1, 7, 3)),
        (LiteVariant::Lite2, (3, 33, 50, 3)),
    ];
    for (variant, shape) in cases {
        let window = frames(shape);
        let plain = random_network(variant, Kernels::Plain).forward(&window).unwrap();
        assert_eq!(plain.dims(), [shape.0, FEATURES]);
        let spread = largest(&plain.broadcast_sub(&plain.mean_keepdim(1).unwrap()).unwrap());
        assert!(spread > 0.1, "features must differ: {spread}");
        for kernels in Kernels::ALL.into_iter().filter(|k| k.supported()) {
            let fast = random_network(variant, kernels).forward(&window).unwrap();
            let worst = largest(&(fast - &plain).unwrap());
            assert!(worst <= 1e-3, "{variant:?} {shape:?} {}: {worst}", kernels.name());
        }
    }
}

/// Rounding moves features by a small share of their length, and does move them.
#[test]
fn bfloat16_features_are_near_the_exact_ones() {
    if Precision::detect(Kernels::Avx512).ok() != Some(Precision::Bf16) {
        println!("skipped: this CPU has no AVX-512 BF16, or f32 is asked for");
        return;
    }
    let window = frames((5, 64, 64, 3));
    for shift in [false, true] {
        let run = |precision| {
            let network = random_network_in(LiteVariant::Lite0, Kernels::Avx512, precision);
            network.with_temporal_shift(shift).forward(&window).unwrap()
        };
        let exact = run(Precision::F32);
        let off = (run(Precision::Bf16) - &exact).unwrap();
        let length = |x: &Tensor| x.sqr().unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap().sqrt();
        let share = length(&off) / length(&exact);
        assert!(share > 1e-4 && share < 0.1, "shift {shift}: {share}");
    }
}

#[test]
fn shifted_features_equal_the_plain_path_and_see_the_order() {
    let window = frames((6, 40, 32, 3));
    let run = |kernels, window: &Tensor| {
        let network = random_network(LiteVariant::Lite0, kernels).with_temporal_shift(true);
        network.forward(window).unwrap()
    };
    let plain = run(Kernels::Plain, &window);
    for kernels in Kernels::ALL.into_iter().filter(|k| k.supported()) {
        assert!(largest(&(run(kernels, &window) - &plain).unwrap()) <= 1e-3, "{}", kernels.name());
    }
    // Without the shift the mean over the frames doesn't depend on their order.
    let order = Tensor::new(&[5u32, 4, 3, 2, 1, 0], &Device::Cpu).unwrap();
    let backwards = run(Kernels::Portable, &window.index_select(&order, 0).unwrap()).mean(0).unwrap();
    let change = largest(&(backwards - plain.mean(0).unwrap()).unwrap());
    assert!(change > 1e-4, "{change}");
}

/// Training, on the fast path and on the plain one, sees the network that inference sees.
#[test]
fn training_has_the_features_of_inference() {
    let vb = || VarBuilder::from_backend(Box::new(Random), DType::F32, Device::Cpu);
    let window = frames((4, 24, 32, 3));
    for temporal_shift in [false, true] {
        let network = random_network(LiteVariant::Lite0, Kernels::Portable);
        let wanted = network.with_temporal_shift(temporal_shift).forward(&window).unwrap();
        for kernels in [Kernels::Plain, Kernels::Portable] {
            let options = TrainOptions { frozen_blocks: 3, temporal_shift };
            let network =
                TrainableEfficientNetLite::with_kernels(vb(), LiteVariant::Lite0, options, kernels).unwrap();
            let found = network.forward(&window, 4).unwrap();
            assert!(largest(&(found - &wanted).unwrap()) <= 1e-3, "{}", kernels.name());
            assert!(network.forward(&window, 3).is_err(), "no whole clips");
        }
    }
}

#[test]
fn frozen_blocks_get_no_gradient() {
    let variables = VarMap::new();
    let vb = VarBuilder::from_varmap(&variables, DType::F32, &Device::Cpu);
    let options = TrainOptions { frozen_blocks: 14, temporal_shift: false };
    let network =
        TrainableEfficientNetLite::with_kernels(vb.clone(), LiteVariant::Lite0, options, Kernels::Portable)
            .unwrap();
    let features = network.forward(&frames((2, 32, 32, 3)), 2).unwrap();
    let gradients = features.sum_all().unwrap().backward().unwrap();
    let variables = variables.data().lock().unwrap();
    let gets = |name: &str| gradients.get(&variables[name]).is_some();
    assert!(
        gets("_conv_head.weight") && gets("_blocks.14._expand_conv.weight") && gets("_blocks.15._bn1.bias")
    );
    assert!(!gets("_conv_stem.weight") && !gets("_blocks.13._project_conv.weight"));
    assert!(!gets("_bn1.running_mean"), "a statistic is no parameter");
}

fn largest(difference: &Tensor) -> f32 {
    difference.abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap()
}

#[test]
fn wrong_shapes_are_errors() {
    let network = random_network(LiteVariant::Lite0, Kernels::Portable);
    for shape in [(1, 8, 8, 4), (1, 0, 8, 3)] {
        assert!(network.forward(&Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap()).is_err());
    }
}
