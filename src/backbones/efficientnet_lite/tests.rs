use super::{BlockSpec, EfficientNetLite, FEATURES, LiteVariant};
use crate::backbones::Backbone;
use crate::kernels::Kernels;
use candle_core::{DType, Device, Result, Shape, Tensor};
use candle_nn::VarBuilder;
use candle_nn::var_builder::SimpleBackend;
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
            if name.ends_with("running_var") {
                rng.random_range(0.5..1.5)
            } else if shape.rank() == 1 {
                rng.random_range(0.0..1.0)
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
    let vb = VarBuilder::from_backend(Box::new(Random), DType::F32, Device::Cpu);
    EfficientNetLite::load_with(vb, variant, kernels).unwrap()
}

fn frames(shape: (usize, usize, usize, usize)) -> Tensor {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let n = shape.0 * shape.1 * shape.2 * shape.3;
    let numbers: Vec<f32> = (0..n).map(|_| rng.random_range(-1.0..1.0)).collect();
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
        let spread = plain.abs().unwrap().mean_all().unwrap().to_scalar::<f32>().unwrap();
        assert!(spread > 0.01, "features must not vanish: {spread}");
        for kernels in Kernels::ALL.into_iter().filter(|k| k.supported()) {
            let fast = random_network(variant, kernels).forward(&window).unwrap();
            let difference = (fast - &plain).unwrap().abs().unwrap();
            let worst = difference.max_all().unwrap().to_scalar::<f32>().unwrap();
            assert!(worst <= 1e-3, "{variant:?} {shape:?} {}: {worst}", kernels.name());
        }
    }
}

#[test]
fn wrong_shapes_are_errors() {
    let network = random_network(LiteVariant::Lite0, Kernels::Portable);
    for shape in [(1, 8, 8, 4), (1, 0, 8, 3)] {
        assert!(network.forward(&Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap()).is_err());
    }
}
