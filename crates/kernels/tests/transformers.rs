//! Transformers' layers against obvious loops in `f64`.

use candle_core::{DType, Device, IndexOp, Result, Tensor, Var};
use classify_kernels::{Gelu, Kernels, LayerNorm, Linear, Precision, attention_with_kernels};

fn random(shape: &[usize]) -> Tensor {
    Tensor::rand(-1f32, 1.0, shape, &Device::Cpu).unwrap()
}

fn numbers(x: &Tensor) -> Vec<f64> {
    x.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// Every set of instructions with every precision that it multiplies.
fn all_kernels() -> Vec<(Kernels, Precision)> {
    let weight = random(&[1, 1]);
    let both = |kernels| [(kernels, Precision::F32), (kernels, Precision::Bf16)];
    let kernels = Kernels::ALL.into_iter().filter(|k| k.supported()).flat_map(both);
    let possible = |(k, p): &(Kernels, Precision)| Linear::with_kernels(*k, &weight, None, *p).is_ok();
    let possible: Vec<_> = kernels.filter(possible).collect();
    if !possible.contains(&(Kernels::Avx512, Precision::Bf16)) {
        println!("skipped: this CPU multiplies no bfloat16");
    }
    possible
}

/// As `precision` reads a number.
fn rounded(x: f64, precision: Precision) -> f64 {
    match precision {
        Precision::F32 => x,
        Precision::Bf16 => half::bf16::from_f32(x as f32).to_f64(),
    }
}

fn gelu(x: f64, gelu: Gelu) -> f64 {
    match gelu {
        Gelu::None => x,
        Gelu::Exact => 0.5 * x * candle_core::cpu::erf::erfc_f64(-x / 2f64.sqrt()),
        Gelu::Tanh => {
            0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh())
        }
        Gelu::Quick => x / (1.0 + (-1.702 * x).exp()),
    }
}

const ALL_GELUS: [Gelu; 4] = [Gelu::None, Gelu::Exact, Gelu::Tanh, Gelu::Quick];

fn assert_close(found: &Tensor, wanted: &[f64], tolerance: f64, what: &str) {
    let found = numbers(found);
    assert_eq!(found.len(), wanted.len(), "{what}");
    let largest = found.iter().zip(wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(largest <= tolerance, "{what}: {largest}");
    assert!(found.iter().all(|x| x.is_finite()), "{what}");
}

#[test]
fn linear_equals_plain_loops() -> Result<()> {
    for (i, (rows, inputs, outputs)) in [
        (1, 1, 1),
        (1, 768, 10),
        (7, 33, 50),
        (49, 9, 48),
        (33, 64, 65),
        (200, 100, 97),
        (31, 1700, 40),
        (70, 4100, 3),
        (400, 31, 200),
    ]
    .into_iter()
    .enumerate()
    {
        let (x, weight) = (random(&[rows, inputs]), (random(&[outputs, inputs]) / (inputs as f64).sqrt())?);
        let (bias, residual) = (random(&[outputs]), random(&[rows, outputs]));
        for (kernels, precision) in all_kernels() {
            let activation = ALL_GELUS[i % 4];
            let what = format!("{rows} × {inputs} to {outputs}, {kernels:?}, {precision:?}, {activation:?}");
            let [xs, ws] = [&x, &weight]
                .map(|t| numbers(t).into_iter().map(|x| rounded(x, precision)).collect::<Vec<_>>());
            let product = |with_bias: bool| {
                let mut sums =
                    if with_bias { numbers(&bias).repeat(rows) } else { vec![0.0; rows * outputs] };
                for (r, sums) in sums.chunks_exact_mut(outputs).enumerate() {
                    for (o, sum) in sums.iter_mut().enumerate() {
                        let (x, w) = (&xs[r * inputs..][..inputs], &ws[o * inputs..][..inputs]);
                        *sum += x.iter().zip(w).map(|(x, w)| x * w).sum::<f64>();
                    }
                }
                sums
            };
            let linear = Linear::with_kernels(kernels, &weight, None, precision)?;
            assert_close(&linear.forward(&x)?, &product(false), 1e-5, &what);
            let linear =
                Linear::with_kernels(kernels, &weight, Some(&bias), precision)?.with_activation(activation);
            let wanted: Vec<f64> = product(true).into_iter().map(|x| gelu(x, activation)).collect();
            assert_close(&linear.forward(&x)?, &wanted, 1e-5, &what);
            let wanted: Vec<f64> = wanted.iter().zip(numbers(&residual)).map(|(a, b)| a + b).collect();
            assert_close(&linear.forward_add(&x, &residual)?, &wanted, 1e-5, &what);
            let sideways = x.t()?.contiguous()?.t()?;
            assert_close(&linear.forward_add(&sideways, &residual)?, &wanted, 1e-5, &what);
        }
    }
    Ok(())
}

/// Half-precision weights mean what they hold.
#[test]
fn weights_of_every_type() -> Result<()> {
    let (x, weight) = (random(&[5, 40]), random(&[70, 40]));
    for dtype in [DType::F16, DType::BF16] {
        let weight = weight.to_dtype(dtype)?;
        let wide = weight.to_dtype(DType::F32)?;
        for (kernels, precision) in all_kernels() {
            let bias = random(&[70]).to_dtype(dtype)?;
            let wanted = Linear::with_kernels(kernels, &wide, Some(&bias), precision)?.forward(&x)?;
            // Rows 1.. of a larger tensor.
            let larger = Tensor::cat(&[&random(&[1, 40]).to_dtype(dtype)?, &weight], 0)?;
            let part = larger.narrow(0, 1, 70)?;
            let found = Linear::with_kernels(kernels, &part, Some(&bias), precision)?.forward(&x)?;
            assert_eq!(numbers(&found), numbers(&wanted), "{dtype:?} {kernels:?} {precision:?}");
        }
    }
    Ok(())
}

/// From -30 to 30, the error of each activation is at most 10⁻⁶ of it, or where it vanishes 10⁻⁷ of its argument.
#[test]
fn activations_are_exact() -> Result<()> {
    let n = 60_001;
    let x = Tensor::arange(0f32, n as f32, &Device::Cpu)?.affine(1e-3, -30.0)?.reshape((n, 1))?;
    let one = Tensor::ones((1, 1), DType::F32, &Device::Cpu)?;
    for (kernels, _) in all_kernels() {
        for activation in ALL_GELUS {
            let linear =
                Linear::with_kernels(kernels, &one, None, Precision::F32)?.with_activation(activation);
            for (found, x) in numbers(&linear.forward(&x)?).into_iter().zip(numbers(&x)) {
                let wanted = gelu(x, activation);
                let allowed = (1e-6 * wanted.abs()).max(1e-7 * x.abs());
                assert!(
                    (found - wanted).abs() <= allowed,
                    "{kernels:?} {activation:?} {x}: {found} {wanted}"
                );
            }
        }
    }
    Ok(())
}

#[test]
fn activations_of_what_is_no_number() -> Result<()> {
    let x = Tensor::new(&[[f32::NAN], [f32::INFINITY], [1e38], [-1e38]], &Device::Cpu)?;
    let one = Tensor::ones((1, 1), DType::F32, &Device::Cpu)?;
    for (kernels, precision) in all_kernels() {
        for activation in [Gelu::Exact, Gelu::Tanh, Gelu::Quick] {
            let linear = Linear::with_kernels(kernels, &one, None, precision)?.with_activation(activation);
            let y = numbers(&linear.forward(&x)?);
            let what = format!("{kernels:?} {precision:?} {activation:?}: {y:?}");
            assert!(y[0].is_nan() && y[1] == f64::INFINITY && y[2] > 9e37 && y[3].abs() < 1e-30, "{what}");
        }
    }
    Ok(())
}

#[test]
fn layer_norm_equals_plain_loops() -> Result<()> {
    for (rows, cols) in [(1, 1), (3, 8), (5, 17), (50, 384), (9, 1409)] {
        for offset in [0.0, 1000.0] {
            let x = (random(&[rows, cols]) + offset)?;
            let (weight, bias) = (random(&[cols]), random(&[cols]));
            let (w, b) = (numbers(&weight), numbers(&bias));
            let mut wanted = vec![];
            for x in numbers(&x).chunks_exact(cols) {
                let mean = x.iter().sum::<f64>() / cols as f64;
                let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / cols as f64;
                let factor = 1.0 / (variance + 1e-6).sqrt();
                wanted.extend(x.iter().zip(&w).zip(&b).map(|((x, w), b)| (x - mean) * factor * w + b));
            }
            for (kernels, _) in all_kernels() {
                let norm = LayerNorm::with_kernels(kernels, &weight, Some(&bias), 1e-6)?;
                let what = format!("{rows} × {cols} around {offset}, {kernels:?}");
                // An f32 near 1000 is off by 3e-5, of a spread of about a half.
                let tolerance = if offset == 0.0 { 1e-5 } else { 5e-4 };
                assert_close(&norm.forward(&x)?, &wanted, tolerance, &what);
            }
        }
    }
    Ok(())
}

struct Heads {
    batch: usize,
    tq: usize,
    tk: usize,
    heads: usize,
    d: usize,
}

/// `f64` loops; numbers are rounded to `precision` where they are multiplied, but for the weights.
fn plain_attention(
    [q, k, v]: [&Tensor; 3],
    s: &Heads,
    scale: f64,
    causal: bool,
    precision: Precision,
) -> Vec<f64> {
    let [q, k, v] =
        [q, k, v].map(|t| numbers(t).into_iter().map(|x| rounded(x, precision)).collect::<Vec<_>>());
    let width = s.heads * s.d;
    let mut out = vec![0.0; s.batch * s.tq * width];
    for b in 0..s.batch {
        for h in 0..s.heads {
            for i in 0..s.tq {
                let end = if causal { s.tk.min(i + 1) } else { s.tk };
                let at = |len: usize, i: usize| (b * len + i) * width + h * s.d;
                let query = &q[at(s.tq, i)..][..s.d];
                let score = |j: usize| {
                    scale * query.iter().zip(&k[at(s.tk, j)..][..s.d]).map(|(q, k)| q * k).sum::<f64>()
                };
                let scores: Vec<f64> = (0..end).map(score).collect();
                let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let weights: Vec<f64> = scores.iter().map(|s| (s - largest).exp()).collect();
                let sum: f64 = weights.iter().sum();
                let out = &mut out[at(s.tq, i)..][..s.d];
                for (j, weight) in weights.iter().enumerate() {
                    let v = &v[at(s.tk, j)..][..s.d];
                    out.iter_mut().zip(v).for_each(|(x, v)| *x += weight / sum * v);
                }
            }
        }
    }
    out
}

#[test]
fn attention_equals_plain_loops() -> Result<()> {
    for (batch, tq, tk, heads, d) in [
        (1, 1, 1, 1, 1),
        (2, 5, 1, 3, 4),
        (1, 77, 77, 2, 64),
        (2, 65, 65, 3, 9),
        (1, 33, 400, 2, 8),
        (1, 130, 801, 1, 80),
        (1, 7, 385, 2, 128),
        (1, 400, 50, 1, 33),
        (3, 1, 70, 2, 16),
    ] {
        let sizes = Heads { batch, tq, tk, heads, d };
        let width = heads * d;
        let [q, k, v] = [tq, tk, tk].map(|len| random(&[batch, len, width]));
        for scale in [1.0 / (d as f64).sqrt(), 30.0, -2.0, 0.0] {
            for causal in [false, true] {
                for (kernels, precision) in all_kernels() {
                    let what = format!(
                        "{batch}×{tq} over {tk}, {heads} of {d}, scale {scale}, causal {causal}, {kernels:?}, {precision:?}"
                    );
                    let wanted = plain_attention([&q, &k, &v], &sizes, scale, causal, precision);
                    let found = attention_with_kernels(kernels, &q, &k, &v, heads, scale, causal, precision)?;
                    // Weights of bf16 are off by 2⁻⁹ of themselves, values are at most 1.
                    let tolerance = match precision {
                        Precision::Bf16 => 1.0 / 256.0,
                        // A large score is off by more.
                        Precision::F32 if scale > 1.0 => 2e-4,
                        Precision::F32 => 1e-5,
                    };
                    assert_close(&found, &wanted, tolerance, &what);
                }
            }
        }
    }
    Ok(())
}

/// The parts of one tensor, as a fused layer leaves them.
#[test]
fn attention_reads_views() -> Result<()> {
    let (batch, len, heads, d) = (2, 50, 3, 20);
    let width = heads * d;
    let fused = random(&[batch, len, 3 * width]);
    let part = |i: usize| fused.narrow(2, i * width, width);
    let (q, k, v) = (part(0)?, part(1)?, part(2)?);
    for (kernels, precision) in all_kernels() {
        let run = |q: &Tensor, k: &Tensor, v: &Tensor| {
            attention_with_kernels(kernels, q, k, v, heads, 0.2, false, precision)
        };
        let wanted = numbers(&run(&q.contiguous()?, &k.contiguous()?, &v.contiguous()?)?);
        let what = format!("{kernels:?} {precision:?}");
        assert_eq!(numbers(&run(&q, &k, &v)?), wanted, "{what}");
        let sideways = k.transpose(1, 2)?.contiguous()?.transpose(1, 2)?;
        assert_eq!(numbers(&run(&q, &sideways, &v)?), wanted, "{what}");
        // The same queries for the whole batch.
        let first = q.narrow(0, 0, 1)?;
        let wanted = numbers(&run(&Tensor::cat(&[&first, &first], 0)?, &k, &v)?);
        assert_eq!(numbers(&run(&first.expand((batch, len, width))?, &k, &v)?), wanted, "{what}");
    }
    Ok(())
}

/// Scores far beyond what an exponential holds, and NaN, which stays in its row.
#[test]
fn attention_of_large_scores_and_of_nan() -> Result<()> {
    let (len, d) = (450, 8);
    let shape = (1, len, d);
    let v = random(&[1, len, d]);
    for (kernels, precision) in all_kernels() {
        let what = format!("{kernels:?} {precision:?}");
        let run =
            |q: &Tensor, k: &Tensor| attention_with_kernels(kernels, q, k, &v, 1, 1.0, false, precision);
        let ones = Tensor::ones(shape, DType::F32, &Device::Cpu)?;
        // Scores of ±8e8, all alike: the mean of the values.
        let mean = numbers(&v.mean(1)?);
        for sign in [1e4, -1e4] {
            let found = run(&(&ones * 1e4)?, &(&ones * sign)?)?;
            assert_close(&found, &mean.repeat(len), 5e-3, &what);
        }
        // One key beats all others, in the second block of keys.
        let mut keys = vec![0f32; len * d];
        keys[400 * d..401 * d].fill(1e3);
        let keys = Tensor::from_vec(keys, shape, &Device::Cpu)?;
        let found = run(&(&ones * 1e3)?, &keys)?;
        assert_close(&found, &numbers(&v.i((0, 400))?).repeat(len), 5e-3, &what);
        // One query is NaN.
        let mut queries = vec![1f32; len * d];
        queries[3 * d] = f32::NAN;
        let found = numbers(&run(&Tensor::from_vec(queries, shape, &Device::Cpu)?, &ones)?);
        for (i, row) in found.chunks_exact(d).enumerate() {
            assert!(row.iter().all(|x| x.is_nan() == (i == 3)), "{what}: row {i}");
        }
        // One key is NaN, which all queries see.
        let mut keys = vec![1f32; len * d];
        keys[5 * d] = f32::NAN;
        let found = numbers(&run(&ones, &Tensor::from_vec(keys, shape, &Device::Cpu)?)?);
        assert!(found.iter().all(|x| x.is_nan()), "{what}");
    }
    Ok(())
}

#[test]
fn results_do_not_depend_on_threads() -> Result<()> {
    let (x, weight, qkv) = (random(&[1, 391, 300]), random(&[900, 300]), random(&[1, 391, 900]));
    for (kernels, precision) in all_kernels() {
        if kernels == Kernels::Plain {
            continue;
        }
        let run = |threads: usize| -> Result<Vec<Vec<f64>>> {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let linear = Linear::with_kernels(kernels, &weight, None, precision)?;
                let part = |i: usize| qkv.narrow(2, i * 300, 300);
                let norm = LayerNorm::with_kernels(kernels, &weight.i((0, ..))?, None, 1e-5)?;
                Ok(vec![
                    numbers(&linear.forward(&x)?),
                    numbers(&linear.forward(&x.narrow(1, 0, 3)?)?),
                    numbers(&norm.forward(&x)?),
                    numbers(&attention_with_kernels(
                        kernels,
                        &part(0)?,
                        &part(1)?,
                        &part(2)?,
                        5,
                        0.1,
                        true,
                        precision,
                    )?),
                ])
            })
        };
        let one = run(1)?;
        for threads in [2, 3, 7] {
            assert!(run(threads)? == one, "{threads} threads, {kernels:?} {precision:?}");
        }
    }
    Ok(())
}

/// A few rows at a time through both layers, where there are enough of them, or one layer after the other.
#[test]
fn two_layers_at_once_equal_one_after_the_other() -> Result<()> {
    // More numbers in between than are multiplied at a time.
    let (width, inner) = (40, 1100);
    let (up, down) = (random(&[inner, width]), (random(&[width + 3, inner]) / 30.0)?);
    let (up_bias, down_bias) = (random(&[inner]), random(&[width + 3]));
    for (kernels, precision) in all_kernels() {
        let up = Linear::with_kernels(kernels, &up, Some(&up_bias), precision)?.with_activation(Gelu::Exact);
        let down = Linear::with_kernels(kernels, &down, Some(&down_bias), precision)?;
        for down in [down.clone(), down.with_activation(Gelu::Quick)] {
            for rows in [0, 5, 97, 391, 500] {
                let (x, residual) = (random(&[1, rows, width]), random(&[1, rows, width + 3]));
                let wanted = numbers(&down.forward_add(&up.forward(&x)?, &residual)?);
                for threads in [1, 3] {
                    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                    let found = pool.install(|| up.forward_through(&x, &down, &residual))?;
                    assert_eq!(found.dims(), residual.dims());
                    assert!(
                        numbers(&found) == wanted,
                        "{rows} rows, {threads} threads, {kernels:?} {precision:?}"
                    );
                }
            }
        }
    }
    Ok(())
}

#[test]
fn what_does_not_fit_is_an_error() -> Result<()> {
    let f32 = Precision::F32;
    let linear = Linear::new(&random(&[4, 3]), None, f32)?;
    assert!(linear.forward(&random(&[2, 4])).is_err(), "other inputs");
    assert!(linear.forward(&random(&[2, 3]).to_dtype(DType::F64)?).is_err(), "f64");
    assert!(linear.forward(&Tensor::new(1f32, &Device::Cpu)?).is_err(), "no dimension");
    assert!(linear.forward_add(&random(&[2, 3]), &random(&[2, 3])).is_err(), "residual");
    assert_eq!(linear.forward(&random(&[2, 0, 3]))?.dims(), [2, 0, 4]);
    assert_eq!(linear.forward(&random(&[3]))?.dims(), [4]);
    assert!(Linear::new(&random(&[4, 3, 1]), None, f32).is_err(), "not a matrix");
    assert!(Linear::new(&random(&[0, 3]), None, f32).is_err(), "no outputs");
    assert!(Linear::new(&random(&[4, 3]).to_dtype(DType::F64)?, None, f32).is_err(), "f64 weights");
    assert!(Linear::new(&random(&[4, 3]), Some(&random(&[3])), f32).is_err(), "bias");
    let portable = Linear::with_kernels(Kernels::Portable, &random(&[4, 3]), None, Precision::Bf16);
    assert!(portable.is_err(), "no instructions");

    let next = Linear::new(&random(&[2, 4]), None, f32)?;
    assert_eq!(linear.forward_through(&random(&[5, 3]), &next, &random(&[5, 2]))?.dims(), [5, 2]);
    assert!(linear.forward_through(&random(&[5, 4]), &next, &random(&[5, 2])).is_err(), "other inputs");
    assert!(linear.forward_through(&random(&[5, 3]), &next, &random(&[5, 4])).is_err(), "residual");
    assert!(next.forward_through(&random(&[5, 4]), &next, &random(&[5, 2])).is_err(), "layers");

    let norm = LayerNorm::new(&random(&[4]), None, 1e-5)?;
    assert!(norm.forward(&random(&[2, 3])).is_err(), "other values");
    assert!(LayerNorm::new(&random(&[4]), Some(&random(&[3])), 1e-5).is_err(), "bias");
    assert!(LayerNorm::new(&random(&[0]), None, 1e-5).is_err(), "nothing");
    assert!(LayerNorm::new(&random(&[4]), None, -1.0).is_err(), "eps");

    let attend = |q: &[usize], k: &[usize], v: &[usize], heads, scale| {
        classify_kernels::attention(&random(q), &random(k), &random(v), heads, scale, false, f32)
    };
    assert!(attend(&[1, 2, 6], &[1, 3, 6], &[1, 3, 6], 2, 1.0).is_ok());
    assert_eq!(attend(&[1, 0, 6], &[1, 3, 6], &[1, 3, 6], 2, 1.0)?.dims(), [1, 0, 6]);
    assert_eq!(attend(&[0, 2, 6], &[0, 3, 6], &[0, 3, 6], 2, 1.0)?.dims(), [0, 2, 6]);
    assert!(attend(&[1, 2, 6], &[1, 0, 6], &[1, 0, 6], 2, 1.0).is_err(), "no keys");
    assert!(attend(&[1, 2, 6], &[1, 3, 6], &[1, 4, 6], 2, 1.0).is_err(), "values");
    assert!(attend(&[1, 2, 6], &[1, 3, 5], &[1, 3, 5], 1, 1.0).is_err(), "width");
    assert!(attend(&[1, 2, 6], &[2, 3, 6], &[2, 3, 6], 1, 1.0).is_err(), "batch");
    assert!(attend(&[1, 2, 6], &[1, 3, 6], &[1, 3, 6], 4, 1.0).is_err(), "heads");
    assert!(attend(&[1, 2, 6], &[1, 3, 6], &[1, 3, 6], 0, 1.0).is_err(), "no heads");
    assert!(attend(&[2, 6], &[3, 6], &[3, 6], 2, 1.0).is_err(), "no batch");
    assert!(attend(&[1, 2, 6], &[1, 3, 6], &[1, 3, 6], 2, f64::NAN).is_err(), "scale");
    Ok(())
}

/// Rather an error than a gradient that is silently missing.
#[test]
fn there_is_no_gradient() -> Result<()> {
    let x = Var::from_tensor(&random(&[1, 4, 8]))?;
    let linear = Linear::new(&random(&[8, 8]), None, Precision::F32)?;
    assert!(linear.forward(&x)?.sum_all()?.backward().is_err());
    let y = classify_kernels::attention(&x, &x, &x, 2, 1.0, false, Precision::F32)?;
    assert!(y.sum_all()?.backward().is_err());
    Ok(())
}
