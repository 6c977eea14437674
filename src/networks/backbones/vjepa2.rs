//! V-JEPA 2's encoder: a vision transformer on tubelets with rotary positions (Assran et al. 2025, arXiv:2506.09985),
//! as transformers keeps it.

use candle_core::{Result, Tensor, bail};
use candle_nn::VarBuilder;
use classify_kernels::Precision;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::Features;
use super::over_time::{OverTime, mean_over_space};
use crate::networks::transformer::{Block, LayerNorm, Names, Patches, Pooler, Sizes, VitConfig};

/// The settings, by transformers' names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Vjepa2Config {
    /// The sizes.
    #[serde(flatten)]
    pub vit: VitConfig,
    /// Blocks before the question that sums up a window for the published classifier.
    pub num_pooler_layers: usize,
}

/// A feature vector for every two frames: the mean of the tokens that stand for them.
pub(crate) struct Vjepa2 {
    vit: VitConfig,
    patches: Patches,
    blocks: Vec<Block>,
    norm: LayerNorm,
    /// What the published classifier reads, where that is asked for.
    pooled: Option<(Vec<Block>, Pooler)>,
}

impl Vjepa2 {
    /// Tensors: `embeddings.patch_embeddings.proj.*`, `layer.N.*`, `layernorm.*` and, where the published classifier's
    /// features are asked for, `pooled.pooler.*`.
    pub(crate) fn load(vb: VarBuilder, config: &Vjepa2Config, precision: Precision) -> Result<Self> {
        let (vit, sizes) = (&config.vit, config.vit.sizes());
        let pooled = match vit.features {
            Features::Steps => None,
            Features::Pooled => {
                let (sizes, vb) = (pooler_sizes(sizes), vb.pp("pooled.pooler"));
                let (layers, count) = (vb.pp("self_attention_layers"), config.num_pooler_layers);
                let blocks = Block::stack(layers, &Names::CLIP, sizes, count, precision)?;
                Some((blocks, Pooler::load_vjepa(vb, sizes, precision)?))
            }
        };
        Ok(Self {
            patches: Patches::load(
                vb.pp("embeddings.patch_embeddings.proj"),
                vit.hidden_size,
                vit.kernel(),
                precision,
            )?,
            blocks: Block::stack(vb.pp("layer"), &Names::VJEPA, sizes, vit.num_hidden_layers, precision)?,
            norm: LayerNorm::load(vb.pp("layernorm"), vit.hidden_size, vit.layer_norm_eps)?,
            pooled,
            vit: vit.clone(),
        })
    }
}

/// Of the pooler's blocks, given the encoder's: always four times as wide inside, whatever those are.
pub(crate) fn pooler_sizes(encoder: Sizes) -> Sizes {
    Sizes { inner: 4 * encoder.hidden, ..encoder }
}

impl OverTime for Vjepa2 {
    const KNOWS_MOMENTS: bool = false;

    fn vit(&self) -> &VitConfig {
        &self.vit
    }

    fn look(&self, window: &Tensor) -> Result<Tensor> {
        let mut x = self.patches.forward(window)?.flatten(0, 1)?.unsqueeze(0)?;
        let rotary = Rotary::new(&self.vit, window.dim(0)?)?;
        for block in &self.blocks {
            x = block.forward_turned(&x, |x| rotary.turn(&x))?;
        }
        let mut x = self.norm.forward(&x)?;
        let Some((blocks, pooler)) = &self.pooled else {
            return mean_over_space(&x, self.vit.steps(window.dim(0)?));
        };
        for block in blocks {
            x = block.forward(&x)?;
        }
        pooler.forward(&x)
    }
}

/// Turns pairs of numbers by an angle that grows with the token's place: a part of each head by its moment, one by its
/// row, one by its column.
///
/// As published, the two numbers of a pair stand side by side, but their angles are taken from a list that is written
/// twice, one copy behind the other, so that they differ: the weights were trained with that.
pub(crate) struct Rotary {
    /// Numbers of a head.
    pub(crate) dim: usize,
    /// `[tokens, dim]`: cosine and sine for each number.
    pub(crate) turns: Vec<(f32, f32)>,
}

impl Rotary {
    pub(crate) fn new(vit: &VitConfig, frames: usize) -> Result<Self> {
        let [times, rows, columns] = vit.grid(frames)?;
        let dim = vit.hidden_size / vit.num_attention_heads.max(1);
        // Numbers of each of the three parts; what is left stays as it is.
        let part = 2 * (dim / 3 / 2);
        if !dim.is_multiple_of(2) || part == 0 {
            bail!("heads of {dim} numbers can't be turned");
        }
        let turn = |place: [usize; 3], i: usize| {
            let Some(place) = place.get(i / part) else { return (1.0, 0.0) };
            let frequency = 10_000f64.powf((i % part % (part / 2)) as f64 / (part / 2) as f64).recip();
            // In f32, as the published code computes it.
            let angle = *place as f32 * frequency as f32;
            (angle.cos(), angle.sin())
        };
        let token = |n: usize| {
            let place = [n / (rows * columns), n / columns % rows, n % columns];
            (0..dim).map(move |i| turn(place, i))
        };
        Ok(Self { dim, turns: (0..times * rows * columns).flat_map(token).collect() })
    }

    /// `x`: `[1, tokens, heads · dim]`
    fn turn(&self, x: &Tensor) -> Result<Tensor> {
        let width = x.dim(2)?;
        let mut numbers = x.flatten_all()?.to_vec1::<f32>()?;
        numbers.par_chunks_mut(width).zip(self.turns.par_chunks(self.dim)).for_each(|(token, turns)| {
            for head in token.chunks_exact_mut(self.dim) {
                for (pair, turn) in std::iter::zip(head.as_chunks_mut().0, turns.as_chunks().0) {
                    let ([a, b], [(cos_a, sin_a), (cos_b, sin_b)]) = (*pair, *turn);
                    *pair = [a * cos_a - b * sin_a, b * cos_b + a * sin_b];
                }
            }
        });
        Tensor::from_vec(numbers, x.shape(), x.device())
    }
}
