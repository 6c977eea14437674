//! Transformers' layers beside the same matrix products by the crate `gemm`: sizes of VideoMAE with 1568 tokens.
//!
//! `cargo bench -p classify-kernels --bench transformer`

use candle_core::{Device, Result, Tensor};
use classify_kernels::{Gelu, LayerNorm, Linear, Precision, attention};
use divan::Bencher;

fn main() {
    divan::main();
}

const TOKENS: usize = 1568;

fn random(shape: &[usize]) -> Tensor {
    Tensor::rand(-1f32, 1.0, shape, &Device::Cpu).expect("numbers")
}

/// `out [rows, columns] = left [rows, inner] · right [inner, columns]`, all row by row, on rayon's pool.
fn product([rows, inner, columns]: [usize; 3], out: &mut [f32], left: &[f32], right: &[f32]) {
    assert!(out.len() >= rows * columns && left.len() >= rows * inner && right.len() >= inner * columns);
    let (columns_apart, inner_apart) = (columns as isize, inner as isize);
    // SAFETY: the slices' sizes were compared.
    unsafe {
        gemm::gemm(
            rows,
            columns,
            inner,
            out.as_mut_ptr(),
            1,
            columns_apart,
            false,
            left.as_ptr(),
            1,
            inner_apart,
            right.as_ptr(),
            1,
            columns_apart,
            0.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::Rayon(0),
        );
    }
}

/// Rows, inner size and columns of products, and room for them.
struct Products {
    sizes: Vec<[usize; 3]>,
    left: Vec<f32>,
    right: Vec<f32>,
    out: Vec<f32>,
}

impl Products {
    fn new(sizes: Vec<[usize; 3]>) -> Self {
        let most = |f: fn(&[usize; 3]) -> usize| sizes.iter().map(f).max().unwrap_or(0);
        let left = vec![0.5; most(|s| s[0] * s[1])];
        let right = vec![0.5; most(|s| s[1] * s[2])];
        let out = vec![0.0; most(|s| s[0] * s[2])];
        Self { sizes, left, right, out }
    }

    fn run(&mut self) {
        for sizes in &self.sizes {
            product(*sizes, &mut self.out, &self.left, &self.right);
        }
    }
}

/// Of all heads.
fn attention_products(heads: usize) -> Vec<[usize; 3]> {
    [[TOKENS, 64, TOKENS], [TOKENS, TOKENS, 64]].repeat(heads)
}

/// Inputs and outputs.
const LINEAR: [(usize, usize); 2] = [(768, 3072), (3072, 768)];

#[divan::bench_group]
mod linear {
    use super::*;

    fn bench(bencher: Bencher, (inputs, outputs): (usize, usize), precision: Precision) {
        let linear = Linear::new(&random(&[outputs, inputs]), Some(&random(&[outputs])), precision);
        let (linear, x) = (linear.expect("a layer"), random(&[TOKENS, inputs]));
        bencher.bench_local(|| linear.forward(&x).expect("rows"));
    }

    #[divan::bench(args = LINEAR)]
    fn f32(bencher: Bencher, case: (usize, usize)) {
        bench(bencher, case, Precision::F32);
    }

    #[divan::bench(args = LINEAR)]
    fn bf16(bencher: Bencher, case: (usize, usize)) {
        bench(bencher, case, Precision::Bf16);
    }

    #[divan::bench(args = LINEAR)]
    fn gemm(bencher: Bencher, (inputs, outputs): (usize, usize)) {
        let mut products = Products::new(vec![[TOKENS, inputs, outputs]]);
        bencher.bench_local(|| products.run());
    }
}

#[divan::bench_group]
mod attention_of_12_heads {
    use super::*;

    fn bench(bencher: Bencher, precision: Precision) {
        let qkv = random(&[1, TOKENS, 3 * 768]);
        let part = |i: usize| qkv.narrow(2, i * 768, 768).expect("a part");
        let (q, k, v) = (part(0), part(1), part(2));
        bencher.bench_local(|| attention(&q, &k, &v, 12, 0.125, false, precision).expect("heads"));
    }

    #[divan::bench]
    fn f32(bencher: Bencher) {
        bench(bencher, Precision::F32);
    }

    #[divan::bench]
    fn bf16(bencher: Bencher) {
        bench(bencher, Precision::Bf16);
    }

    #[divan::bench]
    fn gemm(bencher: Bencher) {
        let mut products = Products::new(attention_products(12));
        bencher.bench_local(|| products.run());
    }
}

/// One block of a vision transformer.
struct Block {
    width: usize,
    norms: [LayerNorm; 2],
    qkv: Linear,
    proj: Linear,
    fc1: Linear,
    fc2: Linear,
    precision: Precision,
}

impl Block {
    fn new(width: usize, precision: Precision) -> Result<Self> {
        let linear = |inputs: usize, outputs: usize| {
            let weight = (random(&[outputs, inputs]) / (inputs as f64).sqrt())?;
            Linear::new(&weight, Some(&random(&[outputs])), precision)
        };
        let norm = || LayerNorm::new(&random(&[width]), Some(&random(&[width])), 1e-6);
        Ok(Self {
            width,
            norms: [norm()?, norm()?],
            qkv: linear(width, 3 * width)?,
            proj: linear(width, width)?,
            fc1: linear(width, 4 * width)?.with_activation(Gelu::Exact),
            fc2: linear(4 * width, width)?,
            precision,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let qkv = self.qkv.forward(&self.norms[0].forward(x)?)?;
        let part = |i: usize| qkv.narrow(2, i * self.width, self.width);
        let seen = attention(&part(0)?, &part(1)?, &part(2)?, self.width / 64, 0.125, false, self.precision)?;
        let x = self.proj.forward_add(&seen, x)?;
        self.fc1.forward_through(&self.norms[1].forward(&x)?, &self.fc2, &x)
    }
}

/// Widths of VideoMAE-S and VideoMAE-B.
const WIDTHS: [usize; 2] = [384, 768];

#[divan::bench_group]
mod block {
    use super::*;

    fn bench(bencher: Bencher, width: usize, precision: Precision) {
        let (block, x) = (Block::new(width, precision).expect("a block"), random(&[1, TOKENS, width]));
        bencher.bench_local(|| block.forward(&x).expect("rows"));
    }

    #[divan::bench(args = WIDTHS)]
    fn f32(bencher: Bencher, width: usize) {
        bench(bencher, width, Precision::F32);
    }

    #[divan::bench(args = WIDTHS)]
    fn bf16(bencher: Bencher, width: usize) {
        bench(bencher, width, Precision::Bf16);
    }

    #[divan::bench(args = WIDTHS)]
    fn gemm(bencher: Bencher, width: usize) {
        let layers = [(width, 3 * width), (width, width), (width, 4 * width), (4 * width, width)];
        let mut sizes = layers.map(|(inputs, outputs)| [TOKENS, inputs, outputs]).to_vec();
        sizes.extend(attention_products(width / 64));
        let mut products = Products::new(sizes);
        bencher.bench_local(|| products.run());
    }
}
