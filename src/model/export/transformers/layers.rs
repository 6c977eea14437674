//! What the families share, as ONNX nodes. Tokens lie one below the other, `[batch · count, hidden]`: a layer is then
//! one `Gemm` on weights under their own names, and only attention has to know which belong together.

use candle_core::{Device, Result, Tensor};

use super::super::graph::{Graph, Value};
use crate::networks::backbones::vjepa2::Rotary;
use crate::networks::transformer::{Activation, Names, Qkv, Sizes};

/// `count` blocks whose tensors' names begin with `name` and a number.
pub(super) struct Blocks<'a> {
    pub(super) name: &'a str,
    pub(super) names: &'a Names,
    pub(super) sizes: Sizes,
    pub(super) count: usize,
    pub(super) turn: Option<Turn>,
}

impl Blocks<'_> {
    /// `x`: `[batch · count, hidden]`, of which `shape` is batch and count.
    pub(super) fn draw(&self, graph: &mut Graph, mut x: String, shape: [usize; 2]) -> Result<String> {
        let Self { name, names, sizes, count, turn } = self;
        for i in 0..*count {
            let name = format!("{name}.{i}");
            let at = |part: &str| format!("{name}.{part}");
            let y = graph.norm(&x, &at(names.norm_before), sizes.epsilon)?;
            let y = graph.attention(&y, &name, (names.qkv, names.out), (*sizes, shape), turn.as_ref())?;
            let between = graph.node("Add", &[&x, &y], &[]);
            let [up, down] = names.perceptron.map(at);
            x = graph.perceive(&between, &at(names.norm_after), [&up, &down], *sizes)?;
        }
        Ok(x)
    }
}

/// Rotary positions.
pub(super) struct Turn {
    /// `[tokens, 1, dim]`
    cos: String,
    /// The same of sines; what a pair's first number loses has a minus.
    sin: String,
    /// Where in a head each number's partner stands.
    partners: String,
}

impl Turn {
    pub(super) fn new(graph: &mut Graph, rotary: &Rotary) -> Result<Self> {
        let Rotary { dim, turns } = rotary;
        let shape = (turns.len() / dim, 1, *dim);
        let sign = |i: usize| if i.is_multiple_of(2) { -1.0 } else { 1.0 };
        let cos = turns.iter().map(|(cos, _)| *cos);
        let sin = turns.iter().enumerate().map(|(i, (_, sin))| sign(i) * sin);
        let cos = Tensor::from_iter(cos, &Device::Cpu)?.reshape(shape)?;
        let sin = Tensor::from_iter(sin, &Device::Cpu)?.reshape(shape)?;
        let partners: Vec<i64> = (0..*dim as i64).map(|i| i ^ 1).collect();
        Ok(Self {
            cos: graph.constant(&cos)?,
            sin: graph.constant(&sin)?,
            partners: graph.integers(&partners),
        })
    }

    /// `x`: `[batch, tokens, heads, dim]`
    fn draw(&self, graph: &mut Graph, x: &str) -> String {
        let partners = graph.node("Gather", &[x, &self.partners], &[("axis", Value::Int(3))]);
        let kept = graph.node("Mul", &[x, &self.cos], &[]);
        let turned = graph.node("Mul", &[&partners, &self.sin], &[]);
        graph.node("Add", &[&kept, &turned], &[])
    }
}

impl Graph<'_> {
    /// `x · Wᵀ + b`: `[n, in]` to `[n, out]`.
    pub(super) fn gemm(&mut self, x: &str, weight: &str, bias: Option<&str>) -> String {
        let inputs: Vec<&str> = [x, weight].into_iter().chain(bias).collect();
        self.node("Gemm", &inputs, &[("transB", Value::Int(1))])
    }

    /// The layer whose tensors are `name.weight` and `name.bias`.
    pub(super) fn linear(&mut self, x: &str, name: &str) -> Result<String> {
        let weight = self.stored(&format!("{name}.weight"))?;
        let bias = self.stored(&format!("{name}.bias"))?;
        Ok(self.gemm(x, &weight, Some(&bias)))
    }

    /// Normalisation over the last dimension.
    pub(super) fn norm(&mut self, x: &str, name: &str, epsilon: f64) -> Result<String> {
        let weight = self.stored(&format!("{name}.weight"))?;
        let bias = self.stored(&format!("{name}.bias"))?;
        let attributes = [("axis", Value::Int(-1)), ("epsilon", Value::Float(epsilon as f32))];
        Ok(self.node("LayerNormalization", &[x, &weight, &bias], &attributes))
    }

    /// `x + perceptron(norm(x))`, by the names of the norm and of the perceptron's layers.
    pub(super) fn perceive(
        &mut self,
        x: &str,
        norm: &str,
        [up, down]: [&str; 2],
        sizes: Sizes,
    ) -> Result<String> {
        let y = self.norm(x, norm, sizes.epsilon)?;
        let y = self.linear(&y, up)?;
        let y = self.activation(&y, sizes.activation)?;
        let y = self.linear(&y, down)?;
        Ok(self.node("Add", &[x, &y], &[]))
    }

    /// Opset 17 has none of them; of nodes in this order onnxruntime makes one.
    fn activation(&mut self, x: &str, activation: Activation) -> Result<String> {
        match activation {
            Activation::Gelu => {
                let y = self.with_number("Div", x, std::f32::consts::SQRT_2)?;
                let y = self.node("Erf", &[&y], &[]);
                let y = self.with_number("Add", &y, 1.0)?;
                let y = self.node("Mul", &[x, &y], &[]);
                self.with_number("Mul", &y, 0.5)
            }
            Activation::GeluTanh => {
                let y = self.with_number("Mul", x, 0.044_715)?;
                let y = self.node("Mul", &[&y, x], &[]);
                let y = self.with_number("Add", &y, 1.0)?;
                let scaled = self.with_number("Mul", x, (2.0 / std::f64::consts::PI).sqrt() as f32)?;
                let y = self.node("Mul", &[&scaled, &y], &[]);
                let y = self.node("Tanh", &[&y], &[]);
                let y = self.with_number("Add", &y, 1.0)?;
                let half = self.with_number("Mul", x, 0.5)?;
                Ok(self.node("Mul", &[&half, &y], &[]))
            }
            Activation::QuickGelu => {
                let y = self.with_number("Mul", x, 1.702)?;
                let y = self.node("Sigmoid", &[&y], &[]);
                Ok(self.node("Mul", &[x, &y], &[]))
            }
        }
    }

    /// Tokens `[batch · count, hidden]` to the same, each looking at its `count`. The layers `qkv` and `out` are those
    /// of the block `name`.
    pub(super) fn attention(
        &mut self,
        x: &str,
        name: &str,
        (qkv, out): (Qkv, &str),
        (sizes, [batch, count]): (Sizes, [usize; 2]),
        turn: Option<&Turn>,
    ) -> Result<String> {
        let [q, k, v] = match qkv {
            Qkv::Apart(names) => {
                let beside = ["q_bias", "k_bias", "v_bias"];
                let [q, k, v] = [0, 1, 2].map(|i| self.projection(x, name, names[i], beside[i]));
                [q?, k?, v?]
            }
            Qkv::Fused(layer) => {
                let all = self.linear(x, &format!("{name}.{layer}"))?;
                let part = |i| self.slice(&all, 1, [i * sizes.hidden, (i + 1) * sizes.hidden]);
                [0, 1, 2].map(part)
            }
        };
        let y = self.attend([&q, &k, &v], sizes, batch, [count, count], turn)?;
        self.linear(&y, &format!("{name}.{out}"))
    }

    /// Queries, keys or values, whose bias may stand beside the layer or be missing.
    fn projection(&mut self, x: &str, name: &str, layer: &str, beside: &str) -> Result<String> {
        let weight = self.stored(&format!("{name}.{layer}.weight"))?;
        let parent = layer.rsplit_once('.').map_or("", |(parent, _)| parent);
        let bias = match self.stored_if(&format!("{name}.{parent}.{beside}"))? {
            None => self.stored_if(&format!("{name}.{layer}.bias"))?,
            beside => beside,
        };
        Ok(self.gemm(x, &weight, bias.as_deref()))
    }

    /// `q [batch · asking, hidden]`, `k` and `v` `[batch · seen, hidden]` to answers like `q`.
    pub(super) fn attend(
        &mut self,
        [q, k, v]: [&str; 3],
        Sizes { hidden, heads, .. }: Sizes,
        batch: usize,
        [asking, seen]: [usize; 2],
        turn: Option<&Turn>,
    ) -> Result<String> {
        let dim = hidden / heads;
        let mut q = self.reshape(q, &[batch, asking, heads, dim]);
        let mut k = self.reshape(k, &[batch, seen, heads, dim]);
        let v = self.reshape(v, &[batch, seen, heads, dim]);
        if let Some(turn) = turn {
            (q, k) = (turn.draw(self, &q), turn.draw(self, &k));
        }
        let q = self.with_number("Mul", &q, (dim as f64).sqrt().recip() as f32)?;
        let q = self.transpose(&q, &[0, 2, 1, 3]);
        let k = self.transpose(&k, &[0, 2, 3, 1]);
        let v = self.transpose(&v, &[0, 2, 1, 3]);
        let scores = self.node("MatMul", &[&q, &k], &[]);
        let weights = self.node("Softmax", &[&scores], &[("axis", Value::Int(-1))]);
        let y = self.node("MatMul", &[&weights, &v], &[]);
        let y = self.transpose(&y, &[0, 2, 1, 3]);
        Ok(self.reshape(&y, &[batch * asking, hidden]))
    }
}
