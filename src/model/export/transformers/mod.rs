//! The vision transformers as ONNX nodes, a function each: from the graph's input to features `[windows · T', D]`.
//! Their tensors are named in `networks/backbones/`, where each is read for labelling.

mod layers;
#[cfg(test)]
mod tests;

use candle_core::{Device, Result};

use super::graph::{Graph, Value};
use crate::model::{ClipConfig, Features, VideoMaeConfig, VitConfig, Vjepa2Config, XclipConfig};
use crate::networks::backbones::{
    videomae as videomae_network, vjepa2 as vjepa2_network, xclip as xclip_network,
};
use crate::networks::transformer::{Names, Qkv};
use layers::{Blocks, Turn};

/// What the input holds: windows, and frames of each.
pub(super) type Clip = [usize; 2];

pub(super) fn videomae(
    graph: &mut Graph,
    config: &VideoMaeConfig,
    [windows, frames]: Clip,
) -> Result<String> {
    let VideoMaeConfig { vit, use_mean_pooling } = config;
    let (hidden, tokens) = (vit.hidden_size, vit.grid(frames)?.iter().product());
    let x = patches(graph, "backbone.embeddings.patch_embeddings.projection", vit, windows * frames)?;
    let x = graph.reshape(&x, &[windows, tokens, hidden]);
    let positions = graph.constant(&videomae_network::sinusoids(tokens, hidden, &Device::Cpu)?)?;
    let x = graph.node("Add", &[&x, &positions], &[]);
    let x = graph.reshape(&x, &[windows * tokens, hidden]);
    let mut x = stack(vit, "backbone.encoder.layer", &Names::VIT).draw(graph, x, [windows, tokens])?;
    if !use_mean_pooling {
        x = graph.norm(&x, "backbone.layernorm", vit.layer_norm_eps)?;
    }
    match vit.features {
        Features::Steps => Ok(mean(graph, &x, [windows * vit.steps(frames), windows * tokens, hidden])),
        Features::Pooled if *use_mean_pooling => {
            let x = mean(graph, &x, [windows, windows * tokens, hidden]);
            graph.norm(&x, "backbone.pooled.fc_norm", videomae_network::POOLED_EPSILON)
        }
        Features::Pooled => {
            let x = graph.reshape(&x, &[windows, tokens, hidden]);
            Ok(first(graph, &x, [windows, hidden]))
        }
    }
}

pub(super) fn vivit(graph: &mut Graph, vit: &VitConfig, [windows, frames]: Clip) -> Result<String> {
    let (hidden, tokens) = (vit.hidden_size, vit.grid(frames)?.iter().product::<usize>());
    let x = patches(graph, "backbone.embeddings.patch_embeddings.projection", vit, windows * frames)?;
    let x = graph.reshape(&x, &[windows, tokens, hidden]);
    let class = graph.stored("backbone.embeddings.cls_token")?;
    let x = with_class(graph, &class, &x, [windows, hidden]);
    let positions = graph.stored("backbone.embeddings.position_embeddings")?;
    let x = graph.node("Add", &[&x, &positions], &[]);
    let x = graph.reshape(&x, &[windows * (1 + tokens), hidden]);
    let x = stack(vit, "backbone.encoder.layer", &Names::VIT).draw(graph, x, [windows, 1 + tokens])?;
    let x = graph.norm(&x, "backbone.layernorm", vit.layer_norm_eps)?;
    let x = graph.reshape(&x, &[windows, 1 + tokens, hidden]);
    match vit.features {
        Features::Pooled => Ok(first(graph, &x, [windows, hidden])),
        Features::Steps => {
            let x = graph.slice(&x, 1, [1, 1 + tokens]);
            Ok(mean(graph, &x, [windows * vit.steps(frames), windows * tokens, hidden]))
        }
    }
}

pub(super) fn vjepa2(graph: &mut Graph, config: &Vjepa2Config, [windows, frames]: Clip) -> Result<String> {
    let vit = &config.vit;
    let (hidden, tokens) = (vit.hidden_size, vit.grid(frames)?.iter().product());
    let x = patches(graph, "backbone.embeddings.patch_embeddings.proj", vit, windows * frames)?;
    let turn = Some(Turn::new(graph, &vjepa2_network::Rotary::new(vit, frames)?)?);
    let blocks = Blocks { turn, ..stack(vit, "backbone.layer", &Names::VJEPA) };
    let x = blocks.draw(graph, x, [windows, tokens])?;
    let x = graph.norm(&x, "backbone.layernorm", vit.layer_norm_eps)?;
    if vit.features == Features::Steps {
        return Ok(mean(graph, &x, [windows * vit.steps(frames), windows * tokens, hidden]));
    }
    let pooler = "backbone.pooled.pooler";
    let sizes = vjepa2_network::pooler_sizes(vit.sizes());
    let blocks = Blocks {
        name: &format!("{pooler}.self_attention_layers"),
        names: &Names::CLIP,
        sizes,
        count: config.num_pooler_layers,
        turn: None,
    };
    let x = blocks.draw(graph, x, [windows, tokens])?;
    let layer = |name: &str| format!("{pooler}.cross_attention_layer.{name}");
    let x = graph.norm(&x, &layer("layer_norm1"), sizes.epsilon)?;
    let question = graph.stored(&format!("{pooler}.query_tokens"))?;
    let question = graph.reshape(&question, &[1, hidden]);
    let query = graph.linear(&question, &layer("cross_attn.q_proj"))?;
    let query = graph.expand(&query, &[windows, hidden]);
    let key = graph.linear(&x, &layer("cross_attn.k_proj"))?;
    let value = graph.linear(&x, &layer("cross_attn.v_proj"))?;
    let answer = graph.attend([&query, &key, &value], sizes, windows, [1, tokens], None)?;
    let y = graph.node("Add", &[&answer, &question], &[]);
    graph.perceive(&y, &layer("layer_norm2"), [&layer("mlp.fc1"), &layer("mlp.fc2")], sizes)
}

pub(super) fn clip(graph: &mut Graph, config: &ClipConfig, [windows, frames]: Clip) -> Result<String> {
    let (vit, pictures) = (&config.vit, windows * frames);
    let (hidden, epsilon) = (vit.hidden_size, vit.layer_norm_eps);
    let places = vit.grid(1)?.iter().product::<usize>();
    let x = patches(graph, "backbone.embeddings.patch_embedding", vit, pictures)?;
    let x = graph.reshape(&x, &[pictures, places, hidden]);
    let class = graph.stored("backbone.embeddings.class_embedding")?;
    let x = with_class(graph, &class, &x, [pictures, hidden]);
    let positions = graph.stored("backbone.embeddings.position_embedding.weight")?;
    let x = graph.node("Add", &[&x, &positions], &[]);
    let x = graph.reshape(&x, &[pictures * (1 + places), hidden]);
    let x = graph.norm(&x, "backbone.pre_layrnorm", epsilon)?;
    let x = stack(vit, "backbone.encoder.layers", &Names::CLIP).draw(graph, x, [pictures, 1 + places])?;
    let x = graph.reshape(&x, &[pictures, 1 + places, hidden]);
    let class = first(graph, &x, [pictures, hidden]);
    let class = graph.norm(&class, "backbone.post_layernorm", epsilon)?;
    let projection = graph.stored("backbone.visual_projection.weight")?;
    Ok(graph.gemm(&class, &projection, None))
}

/// Of heads that were trained; texts need the program.
pub(super) fn xclip(graph: &mut Graph, config: &XclipConfig, [windows, frames]: Clip) -> Result<String> {
    let (vit, sizes, pictures) = (&config.vit, config.vit.sizes(), windows * frames);
    let (hidden, epsilon) = (vit.hidden_size, vit.layer_norm_eps);
    let tokens = 1 + vit.grid(1)?.iter().product::<usize>();
    let x = patches(graph, "backbone.embeddings.patch_embedding", vit, pictures)?;
    let x = graph.reshape(&x, &[pictures, tokens - 1, hidden]);
    let class = graph.stored("backbone.embeddings.class_embedding")?;
    let x = with_class(graph, &class, &x, [pictures, hidden]);
    let positions = graph.stored("backbone.embeddings.position_embedding.weight")?;
    let x = graph.node("Add", &[&x, &positions], &[]);
    let x = graph.reshape(&x, &[pictures * tokens, hidden]);
    let x = graph.norm(&x, "backbone.pre_layernorm", epsilon)?;
    let mut x = graph.reshape(&x, &[pictures, tokens, hidden]);
    for i in 0..vit.num_hidden_layers {
        let layer = format!("backbone.encoder.layers.{i}");
        let name = |part: &str| format!("{layer}.{part}");
        // Each frame's class token writes a message, and they read one another's.
        let class = first(graph, &x, [pictures, hidden]);
        let message = graph.linear(&class, &name("message_fc"))?;
        let seen = graph.norm(&message, &name("message_ln"), epsilon)?;
        let seen =
            graph.attention(&seen, &layer, xclip_network::MESSAGE, (sizes, [windows, frames]), None)?;
        let message = graph.node("Add", &[&message, &seen], &[]);
        let message = graph.reshape(&message, &[pictures, 1, hidden]);
        let all = graph.node("Concat", &[&x, &message], &[("axis", Value::Int(1))]);
        let all = graph.reshape(&all, &[pictures * (tokens + 1), hidden]);
        let seen = graph.norm(&all, &name(Names::CLIP.norm_before), epsilon)?;
        let layers = (Names::CLIP.qkv, Names::CLIP.out);
        let seen = graph.attention(&seen, &layer, layers, (sizes, [pictures, tokens + 1]), None)?;
        let between = graph.node("Add", &[&all, &seen], &[]);
        let between = graph.reshape(&between, &[pictures, tokens + 1, hidden]);
        let between = graph.slice(&between, 1, [0, tokens]);
        let between = graph.reshape(&between, &[pictures * tokens, hidden]);
        let [up, down] = Names::CLIP.perceptron.map(name);
        x = graph.perceive(&between, &name(Names::CLIP.norm_after), [&up, &down], sizes)?;
        x = graph.reshape(&x, &[pictures, tokens, hidden]);
    }
    let class = first(graph, &x, [pictures, hidden]);
    let class = graph.norm(&class, "backbone.post_layernorm", epsilon)?;
    let projection = graph.stored("backbone.visual_projection.weight")?;
    let of_frames = graph.gemm(&class, &projection, None);
    let moments = graph.stored("backbone.mit.position_embedding")?;
    let y = graph.reshape(&of_frames, &[windows, frames, config.projection_dim]);
    let y = graph.node("Add", &[&y, &moments], &[]);
    let y = graph.reshape(&y, &[pictures, config.projection_dim]);
    let blocks = Blocks {
        name: "backbone.mit.encoder.layers",
        names: &Names::CLIP,
        sizes: config.mit_sizes(),
        count: config.mit_num_hidden_layers,
        turn: None,
    };
    let y = blocks.draw(graph, y, [windows, frames])?;
    Ok(graph.node("Add", &[&y, &of_frames], &[]))
}

pub(super) fn siglip(graph: &mut Graph, vit: &VitConfig, [windows, frames]: Clip) -> Result<String> {
    let (pictures, hidden, sizes) = (windows * frames, vit.hidden_size, vit.sizes());
    let places = vit.grid(1)?.iter().product();
    let x = patches(graph, "backbone.embeddings.patch_embedding", vit, pictures)?;
    let x = graph.reshape(&x, &[pictures, places, hidden]);
    let positions = graph.stored("backbone.embeddings.position_embedding.weight")?;
    let x = graph.node("Add", &[&x, &positions], &[]);
    let x = graph.reshape(&x, &[pictures * places, hidden]);
    let x = stack(vit, "backbone.encoder.layers", &Names::CLIP).draw(graph, x, [pictures, places])?;
    let x = graph.norm(&x, "backbone.post_layernorm", vit.layer_norm_eps)?;
    let question = graph.stored("backbone.head.probe")?;
    let question = graph.reshape(&question, &[1, hidden]);
    let weights = graph.stored("backbone.head.attention.in_proj_weight")?;
    let biases = graph.stored("backbone.head.attention.in_proj_bias")?;
    let mut part = |i: usize, x: &str| {
        let rows = [i * hidden, (i + 1) * hidden];
        let (weight, bias) = (graph.slice(&weights, 0, rows), graph.slice(&biases, 0, rows));
        graph.gemm(x, &weight, Some(&bias))
    };
    let (query, key, value) = (part(0, &question), part(1, &x), part(2, &x));
    let query = graph.expand(&query, &[pictures, hidden]);
    let answer = graph.attend([&query, &key, &value], sizes, pictures, [1, places], None)?;
    let y = graph.linear(&answer, "backbone.head.attention.out_proj")?;
    let perceptron = ["backbone.head.mlp.fc1", "backbone.head.mlp.fc2"];
    graph.perceive(&y, "backbone.head.layernorm", perceptron, sizes)
}

pub(super) fn timesformer(graph: &mut Graph, vit: &VitConfig, [windows, times]: Clip) -> Result<String> {
    let (hidden, sizes, epsilon) = (vit.hidden_size, vit.sizes(), vit.layer_norm_eps);
    let places = vit.grid(1)?.iter().product::<usize>();
    let embedding = |name: &str| format!("backbone.embeddings.{name}");
    let positions = graph.stored(&embedding("position_embeddings"))?;
    let moments = graph.stored(&embedding("time_embeddings"))?;
    let moments = graph.reshape(&moments, &[times, 1, hidden]);
    let of_places = graph.slice(&positions, 1, [1, 1 + places]);
    let of_both = graph.node("Add", &[&of_places, &moments], &[]);
    let x = patches(graph, &embedding("patch_embeddings.projection"), vit, windows * times)?;
    let x = graph.reshape(&x, &[windows, times, places, hidden]);
    // [windows, times, places, hidden], and the class token that a window's frames share, [windows, hidden].
    let mut x = graph.node("Add", &[&x, &of_both], &[]);
    let class = graph.stored(&embedding("cls_token"))?;
    let of_class = graph.slice(&positions, 1, [0, 1]);
    let class = graph.node("Add", &[&class, &of_class], &[]);
    let class = graph.reshape(&class, &[1, hidden]);
    let mut class = graph.expand(&class, &[windows, hidden]);
    for i in 0..vit.num_hidden_layers {
        let name = |part: &str| format!("backbone.encoder.layer.{i}.{part}");
        let attention = |graph: &mut Graph, x: &str, part: &str, shape| {
            let layers = (Qkv::Fused("attention.qkv"), "output.dense");
            graph.attention(x, &name(part), layers, (sizes, shape), None)
        };
        // Each place over time.
        let over_time = graph.transpose(&x, &[0, 2, 1, 3]);
        let over_time = graph.reshape(&over_time, &[windows * places * times, hidden]);
        let seen = graph.norm(&over_time, &name("temporal_layernorm"), epsilon)?;
        let seen = attention(graph, &seen, "temporal_attention", [windows * places, times])?;
        let seen = graph.linear(&seen, &name("temporal_dense"))?;
        x = graph.node("Add", &[&over_time, &seen], &[]);
        x = graph.reshape(&x, &[windows, places, times, hidden]);
        x = graph.transpose(&x, &[0, 2, 1, 3]);
        x = graph.reshape(&x, &[windows * times, places, hidden]);
        // Each frame, with the class token, whose answers are averaged.
        let of_frames = graph.reshape(&class, &[windows, 1, hidden]);
        let of_frames = graph.expand(&of_frames, &[windows, times, hidden]);
        let of_frames = graph.reshape(&of_frames, &[windows * times, 1, hidden]);
        let both = graph.node("Concat", &[&of_frames, &x], &[("axis", Value::Int(1))]);
        let both = graph.reshape(&both, &[windows * times * (1 + places), hidden]);
        let seen = graph.norm(&both, &name("layernorm_before"), epsilon)?;
        let seen = attention(graph, &seen, "attention", [windows * times, 1 + places])?;
        let seen = graph.reshape(&seen, &[windows * times, 1 + places, hidden]);
        let answers = graph.slice(&seen, 1, [0, 1]);
        let answer = mean(graph, &answers, [windows, windows * times, hidden]);
        class = graph.node("Add", &[&class, &answer], &[]);
        let seen = graph.slice(&seen, 1, [1, 1 + places]);
        x = graph.node("Add", &[&x, &seen], &[]);
        x = graph.reshape(&x, &[windows * times * places, hidden]);
        let perceptron = Names::VIT.perceptron.map(&name);
        let perceptron = [&*perceptron[0], &perceptron[1]];
        class = graph.perceive(&class, &name("layernorm_after"), perceptron, sizes)?;
        x = graph.perceive(&x, &name("layernorm_after"), perceptron, sizes)?;
        x = graph.reshape(&x, &[windows, times, places, hidden]);
    }
    match vit.features {
        Features::Pooled => graph.norm(&class, "backbone.layernorm", epsilon),
        Features::Steps => {
            let x = graph.norm(&x, "backbone.layernorm", epsilon)?;
            Ok(mean(graph, &x, [windows * times, windows * times * places, hidden]))
        }
    }
}

/// The encoder's blocks.
fn stack<'a>(vit: &VitConfig, name: &'a str, names: &'a Names) -> Blocks<'a> {
    Blocks { name, names, sizes: vit.sizes(), count: vit.num_hidden_layers, turn: None }
}

/// All `frames` frames cut into patches, each of them a token: `[T'·H'·W', hidden]`.
fn patches(graph: &mut Graph, name: &str, vit: &VitConfig, frames: usize) -> Result<String> {
    let ([kt, kh, kw], [nt, nh, nw]) = (vit.kernel(), vit.grid(frames)?);
    let numbers = 3 * kt * kh * kw;
    let x = graph.reshape("frames", &[nt, kt, 3, nh, kh, nw, kw]);
    // A patch's numbers in the order of the weights: colour, time, row, column.
    let x = graph.transpose(&x, &[0, 3, 5, 2, 1, 4, 6]);
    let x = graph.reshape(&x, &[nt * nh * nw, numbers]);
    let weight = graph.stored(&format!("{name}.weight"))?;
    let weight = graph.reshape(&weight, &[vit.hidden_size, numbers]);
    let bias = graph.stored_if(&format!("{name}.bias"))?;
    Ok(graph.gemm(&x, &weight, bias.as_deref()))
}

/// `x [batch, count, hidden]` behind the class token `[hidden]` or `[1, 1, hidden]`: `[batch, 1 + count, hidden]`.
fn with_class(graph: &mut Graph, class: &str, x: &str, [batch, hidden]: [usize; 2]) -> String {
    let class = graph.expand(class, &[batch, 1, hidden]);
    graph.node("Concat", &[&class, x], &[("axis", Value::Int(1))])
}

/// The first token of each: `[batch, count, hidden]` to `[batch, hidden]`.
fn first(graph: &mut Graph, x: &str, shape: [usize; 2]) -> String {
    let x = graph.slice(x, 1, [0, 1]);
    graph.reshape(&x, &shape)
}

/// Means of as many tokens as there are to each of `steps` steps: `tokens` of them to `[steps, hidden]`.
fn mean(graph: &mut Graph, x: &str, [steps, tokens, hidden]: [usize; 3]) -> String {
    let x = graph.reshape(x, &[steps, tokens / steps, hidden]);
    graph.node("ReduceMean", &[&x], &[("axes", Value::Ints(vec![1])), ("keepdims", Value::Int(0))])
}
