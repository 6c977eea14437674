//! Gradients of the block operator: against those of the plain path, which candle derives, and by
//! finite differences.

use super::block_op::BlockOp;
use super::{BlockSpec, FoldedBlock, Normed, NormedBlock};
use candle_core::{DType, Device, Result, Tensor, Var};
use classify_kernels::Kernels;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn random(rng: &mut ChaCha8Rng, shape: &[usize], low: f32, high: f32) -> Tensor {
    let n = shape.iter().product();
    let numbers: Vec<f32> = (0..n).map(|_| rng.random_range(low..high)).collect();
    Tensor::from_vec(numbers, shape, &Device::Cpu).unwrap()
}

/// A block with random variables, and an input that is one, too.
struct Case {
    block: NormedBlock,
    x: Var,
    variables: Vec<Var>,
    /// The loss is the output's product with this.
    direction: Tensor,
    shift: Option<usize>,
}

impl Case {
    fn new(spec: BlockSpec, [n, h, w]: [usize; 3], shift: Option<usize>) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64((n * h * w * spec.hidden) as u64);
        let mut variables = Vec::new();
        let mut normed = |shape: [usize; 4]| {
            let spread = 2.0 / (shape[1] * shape[2] * shape[3]) as f32;
            let mut var = |shape: &[usize], low, high| {
                let var = Var::from_tensor(&random(&mut rng, shape, low, high)).unwrap();
                variables.push(var.clone());
                var.as_tensor().clone()
            };
            Normed {
                weight: var(&shape, -spread.sqrt(), spread.sqrt()),
                gamma: var(&[shape[0]], 0.5, 1.5),
                beta: var(&[shape[0]], 0.0, 1.0),
                mean: random(&mut ChaCha8Rng::seed_from_u64(8), &[shape[0]], -0.3, 0.3),
                var: random(&mut ChaCha8Rng::seed_from_u64(9), &[shape[0]], 0.5, 1.5),
            }
        };
        let BlockSpec { input, output, hidden, kernel, stride } = spec;
        let block = NormedBlock {
            spec,
            expand: spec.expands().then(|| normed([hidden, input, 1, 1])),
            depthwise: normed([hidden, 1, kernel, kernel]),
            project: normed([output, hidden, 1, 1]),
        };
        let x = Var::from_tensor(&random(&mut rng, &[n, h, w, input], -2.0, 4.0)).unwrap();
        let to = [n, h.div_ceil(stride), w.div_ceil(stride), output];
        let direction = random(&mut rng, &to, -1.0, 1.0);
        Self { block, x, variables, direction, shift }
    }

    fn fast(&self, kernels: Kernels) -> Result<Tensor> {
        let mut parameters = Vec::new();
        for conv in self.block.expand.iter().chain([&self.block.depthwise, &self.block.project]) {
            parameters.extend([conv.weight.clone(), conv.scale()?, conv.bias()?]);
        }
        let shift = self.shift.filter(|_| self.block.spec.residual());
        let op = BlockOp { kernels, spec: self.block.spec, shift };
        op.apply(&self.x, &parameters.iter().collect::<Vec<_>>())
    }

    fn plain(&self) -> Result<Tensor> {
        let x = self.x.permute((0, 3, 1, 2))?.contiguous()?;
        FoldedBlock::of(&self.block)?.forward(&x, self.shift)?.permute((0, 2, 3, 1))?.contiguous()
    }

    fn loss(&self, y: &Tensor) -> Tensor {
        (y * self.direction.to_dtype(y.dtype()).unwrap()).unwrap().sum_all().unwrap()
    }

    /// Input and all parameters.
    fn all(&self) -> impl Iterator<Item = &Var> {
        std::iter::once(&self.x).chain(&self.variables)
    }
}

fn spec(input: usize, output: usize, hidden: usize, kernel: usize, stride: usize) -> BlockSpec {
    BlockSpec { input, output, hidden, kernel, stride }
}

#[test]
fn gradients_equal_those_of_the_plain_path() {
    // candle's own gradient of a convolution with stride 2 fails on odd sizes.
    let cases = [
        Case::new(spec(8, 8, 24, 3, 1), [3, 5, 7], None),
        Case::new(spec(7, 5, 21, 5, 1), [1, 9, 4], None),
        Case::new(spec(6, 9, 18, 3, 2), [5, 8, 8], None),
        Case::new(spec(4, 4, 33, 5, 2), [2, 6, 6], None),
        Case::new(spec(10, 6, 10, 3, 1), [2, 6, 3], None),
        Case::new(spec(17, 17, 40, 3, 1), [6, 4, 5], Some(3)),
        Case::new(spec(16, 16, 48, 5, 1), [9, 2, 3], Some(9)),
    ];
    for case in cases {
        let plain = case.plain().unwrap();
        let wanted = case.loss(&plain).backward().unwrap();
        for kernels in Kernels::ALL.into_iter().filter(|&k| k != Kernels::Plain && k.supported()) {
            let fast = case.fast(kernels).unwrap();
            assert_close(&fast, &plain, "output");
            let found = case.loss(&fast).backward().unwrap();
            for (i, var) in case.all().enumerate() {
                let what =
                    format!("{:?}, {}, variable {i} {:?}", case.block.spec, kernels.name(), var.shape());
                assert_close(found.get(var).unwrap(), wanted.get(var).unwrap(), &what);
            }
        }
    }
}

fn assert_close(found: &Tensor, wanted: &Tensor, what: &str) {
    assert_eq!(found.dims(), wanted.dims(), "{what}");
    let largest = wanted.abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
    let difference = (found - wanted).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
    assert!(difference <= 1e-4 * largest.max(1.0), "{what}: {difference} of {largest}");
}

#[test]
fn gradients_equal_finite_differences() {
    let cases = [
        Case::new(spec(6, 9, 18, 3, 2), [2, 7, 8], None),
        Case::new(spec(4, 5, 20, 5, 2), [1, 5, 9], None),
        Case::new(spec(8, 8, 24, 5, 1), [4, 3, 5], Some(2)),
    ];
    let step = 3e-4;
    for case in cases {
        let gradients = case.loss(&case.fast(Kernels::detect().unwrap()).unwrap()).backward().unwrap();
        for (i, var) in case.all().enumerate() {
            let mut rng = ChaCha8Rng::seed_from_u64(i as u64);
            let way = random(&mut rng, var.dims(), -1.0, 1.0);
            let slope = (gradients.get(var).unwrap() * &way).unwrap().sum_all().unwrap();
            let slope = slope.to_scalar::<f32>().unwrap();
            let start = var.as_tensor().copy().unwrap();
            let loss_at = |t: f64| {
                var.set(&(&start + (&way * t).unwrap()).unwrap()).unwrap();
                let y = case.fast(Kernels::detect().unwrap()).unwrap();
                case.loss(&y.to_dtype(DType::F64).unwrap()).to_scalar::<f64>().unwrap()
            };
            let difference = ((loss_at(step) - loss_at(-step)) / (2.0 * step)) as f32;
            loss_at(0.0);
            let size = slope.abs().max(difference.abs()).max(1.0);
            assert!((slope - difference).abs() <= 0.03 * size, "variable {i}: {slope}, {difference}");
        }
    }
}

#[test]
fn frames_that_are_no_whole_clips_are_an_error() {
    let case = Case::new(spec(8, 8, 24, 3, 1), [5, 4, 4], Some(3));
    assert!(case.fast(Kernels::Portable).is_err());
    assert!(case.plain().is_err());
}
