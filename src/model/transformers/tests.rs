//! Small random networks of each family answer as transformers does. `tests/reference/transformers/make.py` made them
//! and recorded what they say.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};

use crate::model::{ModelFiles, ModelFolder};
use crate::networks::backbones::Backbone;
use crate::networks::heads::direction;
use crate::networks::transformer::trace;
use crate::{Classifier, timeline};
use classify_kernels::Precision;

fn cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/transformers")
}

fn recorded(case: &Path) -> HashMap<String, Tensor> {
    candle_core::safetensors::load(case.join("expected.safetensors"), &Device::Cpu).unwrap()
}

/// The model of a folder, and its network in `f32`.
fn network(dir: &Path) -> (ModelFolder, Box<dyn Backbone>) {
    let model = ModelFolder::read(dir, &Device::Cpu).unwrap();
    let vb = model.weights.var_builder(&Device::Cpu).pp("backbone");
    let backbone = model.config.backbone.load_in(vb, Precision::F32).unwrap();
    (model, backbone)
}

/// The frames `[t, side, side, 3]` that the recorded answers are of.
fn frames(t: usize, side: usize) -> Tensor {
    let value = |t: usize, y: usize, x: usize, c: usize| (3 * x + 5 * y + 7 * t + 64 * c + x * y / 8) % 256;
    let frame =
        |t| (0..side).flat_map(move |y| (0..side).flat_map(move |x| (0..3).map(move |c| value(t, y, x, c))));
    let numbers: Vec<f32> = (0..t).flat_map(frame).map(|v| v as f32 / 127.5 - 1.0).collect();
    Tensor::from_vec(numbers, (t, side, side, 3), &Device::Cpu).unwrap()
}

/// Largest difference, at most `limit` of the largest of the recorded numbers.
fn compare(what: &str, ours: &Tensor, recorded: &Tensor, limit: f32) {
    let values = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let (ours, recorded) = (values(ours), values(recorded));
    assert_eq!(ours.len(), recorded.len(), "{what}");
    let scale = recorded.iter().fold(1f32, |most, x| most.max(x.abs()));
    let worst = std::iter::zip(&ours, &recorded).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    println!("{what}: {worst:.1e} apart, the largest number is {scale:.1}");
    assert!(worst <= limit * scale, "{what}: {worst} apart, the largest number is {scale}");
}

fn answers(case: &str) {
    let dir = cases().join(case);
    let recorded = recorded(&dir);
    let (model, backbone) = network(&dir);
    let window = frames(model.config.sampling.frames, model.preprocess.crop_size.height);
    trace::take();
    let features = backbone.forward(&window).unwrap();
    let blocks = trace::take();
    if let Some(embeddings) = recorded.get("embeddings") {
        compare(&format!("{case}: embeddings"), &blocks[0][0], embeddings, 1e-4);
    }
    let mut compared = 0;
    for (i, [_, output]) in blocks.iter().enumerate() {
        if let Some(block) = recorded.get(&format!("block.{i}")) {
            compare(&format!("{case}: block {i}"), output, block, 1e-4);
            compared += 1;
        }
    }
    assert_eq!(compared, recorded.keys().filter(|name| name.starts_with("block.")).count(), "{case}");
    if let Some(pooled) = recorded.get("pooled") {
        compare(&format!("{case}: pooled"), &features, pooled, 1e-4);
    }
    let classes = model.config.id2label.len();
    let vb = model.weights.var_builder(&Device::Cpu).pp("head");
    let head = model.config.head.load(backbone.feature_dim(), classes, vb).unwrap();
    let logits = head.forward(&features.unsqueeze(0).unwrap()).unwrap();
    compare(&format!("{case}: logits"), &logits, &recorded["logits"], 1e-4);
}

#[test]
fn videomae_answers_as_transformers_does() {
    for case in ["videomae", "videomae-v5", "videomae-first-token", "videomae-sharded"] {
        answers(case);
    }
    // Weights that were rounded, read as they are.
    for case in ["videomae-bf16", "videomae-f16"] {
        answers(case);
    }
}

#[test]
fn networks_with_classifiers_answer_as_transformers_does() {
    for case in ["timesformer", "vjepa2", "vivit"] {
        answers(case);
    }
}

/// The three pictures that a family of pictures and texts is asked about.
fn pictures(case: &str) {
    let dir = cases().join(case);
    let recorded = recorded(&dir);
    let (model, backbone) = network(&dir);
    trace::take();
    let features = backbone.forward(&frames(3, model.preprocess.crop_size.height)).unwrap();
    let blocks = trace::take();
    let first = recorded.get("vision.pre_norm").unwrap_or(&recorded["vision.embeddings"]);
    compare(&format!("{case}: embeddings"), &blocks[0][0], first, 1e-4);
    for (i, [_, output]) in blocks.iter().enumerate() {
        compare(&format!("{case}: block {i}"), output, &recorded[&format!("vision.block.{i}")], 1e-4);
    }
    // A tower alone gives vectors of any length.
    let features = if case == "clip-vision" { features } else { direction(&features).unwrap() };
    compare(&format!("{case}: pictures"), &features, &recorded["image_embeds"], 1e-4);
}

#[test]
fn networks_of_pictures_and_texts_see_as_transformers_does() {
    for case in ["clip", "clip-v5", "clip-vision", "siglip", "siglip2"] {
        pictures(case);
    }
}

#[test]
fn frames_that_exchange_messages_see_as_transformers_does() {
    let dir = cases().join("xclip");
    let recorded = recorded(&dir);
    let (mut model, backbone) = network(&dir);
    let window = frames(4, 32);
    trace::take();
    let features = backbone.forward(&window).unwrap();
    let blocks = trace::take();
    assert_eq!(features.dims(), [backbone.feature_steps(4), backbone.feature_dim()]);
    compare("xclip: embeddings", &blocks[0][0], &recorded["vision.pre_norm"], 1e-4);
    for (i, name) in ["vision.block.0", "vision.block.1", "mit.block.0"].into_iter().enumerate() {
        compare(&format!("xclip: {name}"), &blocks[i][1], &recorded[name], 1e-4);
    }
    let clip = direction(&features.narrow(0, 0, 1).unwrap()).unwrap();
    compare("xclip: clip", &clip, &recorded["video_embeds"], 1e-4);
    // Texts as a clip of two windows changes them, both alike.
    let vb = model.weights.var_builder(&Device::Cpu).pp("text.prompts_generator");
    let crate::model::BackboneConfig::Xclip(config) = &model.config.backbone else { panic!() };
    let prompts = crate::networks::heads::Prompts::load(vb, config).unwrap();
    let texts = &recorded["text_features"];
    let changed = prompts.forward(texts, &features.narrow(0, 1, 16).unwrap()).unwrap();
    compare("xclip: prompts", &(changed - texts).unwrap(), &recorded["prompts"], 1e-4);
    let scale = model.weights.0["text.logit_scale"].flatten_all().unwrap().to_vec1::<f32>().unwrap()[0].exp();
    let head = crate::networks::heads::WordsHead::with_prompts(texts, scale.into(), prompts).unwrap();
    let logits = head.forward(&Tensor::stack(&[&features, &features], 0).unwrap()).unwrap();
    compare("xclip: logits", &logits, &recorded["logits_per_video"], 1e-4);
    // What heads that are trained see: a vector a frame, whose mean is the clip's.
    model.keep_backbone();
    let vb = model.weights.var_builder(&Device::Cpu).pp("backbone");
    let steps = model.config.backbone.load(vb).unwrap().forward(&window).unwrap();
    assert_eq!(steps.dims(), [4, 16]);
    compare("xclip: steps", &steps.mean_keepdim(0).unwrap(), &features.narrow(0, 0, 1).unwrap(), 1e-6);
}

#[cfg(feature = "words")]
mod text {
    use super::*;
    use crate::model::words::Text;
    use crate::networks::text::TextTower;

    #[test]
    fn texts_are_read_as_transformers_does() {
        for case in ["clip", "clip-v5", "siglip", "siglip2", "xclip"] {
            let dir = cases().join(case);
            let recorded = recorded(&dir);
            let files = ModelFiles::read(&dir).unwrap();
            let Text { config, prompted, .. } = files.text().unwrap().unwrap();
            assert_eq!(prompted, case == "xclip");
            let vb = files.tensors().var_builder(&Device::Cpu);
            let tower = TextTower::load(vb.pp("text"), &config, Precision::F32).unwrap();
            let ids = recorded["text.ids"].to_vec2::<i64>().unwrap();
            for (i, ids) in ids.iter().enumerate() {
                let ids: Vec<u32> = ids.iter().map(|id| *id as u32).collect();
                trace::take();
                let text = tower.forward(&ids).unwrap();
                let blocks = trace::take();
                // Clips change texts before these are vectors of length 1.
                let (text, expected) = match prompted {
                    true => (text, &recorded["text_features"]),
                    false => (direction(&text).unwrap(), &recorded["text_embeds"]),
                };
                let expected = expected.get(i).unwrap();
                compare(&format!("{case}: text {i}"), &text, &expected, 1e-4);
                if i >= 4 || !recorded.contains_key("text.embeddings") {
                    continue;
                }
                // What comes behind the end mark sees other things there, and nothing that counts sees it.
                let ends = |id: &&u32| !case.starts_with("siglip") && **id == *ids.iter().max().unwrap();
                let rows = ids.iter().position(|id| ends(&id)).map_or(ids.len(), |end| end + 1);
                let compare_rows = |name: &str, ours: &Tensor| {
                    let recorded = recorded[name].get(i).unwrap().narrow(0, 0, rows).unwrap();
                    compare(
                        &format!("{case}: {name}, {i}"),
                        &ours.narrow(1, 0, rows).unwrap(),
                        &recorded,
                        1e-4,
                    );
                };
                compare_rows("text.embeddings", &blocks[0][0]);
                for (n, [_, output]) in blocks.iter().enumerate() {
                    let name = format!("text.block.{n}");
                    // X-CLIP's are recorded as what comes of them.
                    if !prompted {
                        compare_rows(&name, output);
                    }
                }
            }
        }
    }

    #[test]
    fn tokens_are_those_of_transformers() {
        for case in ["clip", "siglip", "siglip2"] {
            let dir = cases().join(case);
            let text = std::fs::read(dir.join("tokens.json")).unwrap();
            let json: serde_json::Value = serde_json::from_slice(&text).unwrap();
            let tokenizer =
                crate::model::words::Tokens::read(&dir, json["max_length"].as_u64().unwrap() as usize, None);
            let tokenizer = tokenizer.unwrap();
            let cases = json["texts"].as_array().unwrap();
            assert!(cases.len() > 50, "{case}");
            for told in cases {
                let cut: Vec<u32> = serde_json::from_value(told[2].clone()).unwrap();
                assert_eq!(tokenizer.filled(told[0].as_str().unwrap()).unwrap(), cut, "{case}: {}", told[0]);
            }
        }
    }

    #[test]
    fn clips_are_scored_against_texts_as_transformers_does() {
        for case in ["clip", "siglip"] {
            let dir = cases().join(case);
            let recorded = recorded(&dir);
            let (pictures, texts) = (&recorded["image_embeds"], &recorded["text_embeds"]);
            let files = ModelFiles::read(&dir).unwrap();
            let tower = crate::model::words::scale_and_bias(files.tensors()).unwrap();
            let head = crate::networks::heads::WordsHead::new(texts, tower.0, tower.1).unwrap();
            for i in 0..pictures.dim(0).unwrap() {
                let logits = head.forward(&pictures.narrow(0, i, 1).unwrap().unsqueeze(0).unwrap()).unwrap();
                let expected = recorded["logits_per_image"].get(i).unwrap();
                compare(&format!("{case}: picture {i}"), &logits, &expected, 1e-4);
            }
        }
    }
}

/// Pictures are prepared as Pillow does it (`tests/pictures.rs`); what torchvision makes of them changes no answer.
#[test]
fn either_way_of_preparing_pictures_gives_the_same_logits() {
    for case in ["videomae", "timesformer", "vivit"] {
        let dir = cases().join(case);
        let (model, backbone) = network(&dir);
        let classifier = Classifier::new(&model, &Device::Cpu).unwrap();
        for picture in ["180x120", "53x37"] {
            let [pillow, torchvision] = ["pil.safetensors", "torchvision.safetensors"].map(|file| {
                let pictures = candle_core::safetensors::load(dir.join(file), &Device::Cpu).unwrap();
                let frame = pictures[picture].permute((1, 2, 0)).unwrap().contiguous().unwrap();
                let window = Tensor::stack(&vec![frame; model.config.sampling.frames], 0).unwrap();
                let features = backbone.forward(&window).unwrap();
                classifier.logits(&features.unsqueeze(0).unwrap()).unwrap()
            });
            compare(&format!("{case}: {picture}, logits"), &pillow, &torchvision, 1e-2);
        }
    }
}

#[test]
fn a_model_that_was_trained_on_one_labels_clips_and_films() {
    let clip = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/jumping_jacks.mp4");
    for case in ["videomae", "clip", "timesformer", "vjepa2", "siglip", "vivit", "xclip"] {
        let mut model = ModelFolder::read(&cases().join(case), &Device::Cpu).unwrap();
        model.keep_backbone();
        model.config.id2label = ["this", "that"].map(String::from).into();
        let vb = model.weights.var_builder(&Device::Cpu).pp("backbone");
        let dim = model.config.backbone.load(vb).unwrap().feature_dim();
        let ramp = Tensor::arange(0f32, 2.0 * dim as f32, &Device::Cpu).unwrap().reshape((2, dim)).unwrap();
        let bias = Tensor::new(&[0f32, 1.0], &Device::Cpu).unwrap();
        model.weights.0.insert("head.classifier.weight".into(), (ramp / 100.0).unwrap());
        model.weights.0.insert("head.classifier.bias".into(), bias);
        let folder = tempfile::tempdir().unwrap();
        model.save(folder.path()).unwrap();
        let classifier = Classifier::load(folder.path()).unwrap();
        let labels = classifier.classify(&clip).unwrap();
        assert!(labels.labels.len() == 2 && labels.labels[0].score.is_finite(), "{case}: {labels:?}");
        let mut segments = Vec::new();
        let seen = timeline::watch(&classifier, &clip, &timeline::Options::default(), |told| {
            if let timeline::Told::Segment(segment) = told {
                segments.push(segment);
            }
            Ok(true)
        });
        seen.unwrap();
        let [first, .., last] = &segments[..] else {
            assert_eq!(segments.len(), 1, "{case}");
            continue;
        };
        assert!(first.start == 0.0 && (last.end - labels.duration_s).abs() < 0.2, "{case}: {segments:?}");
    }
}

#[test]
fn what_is_wrong_with_a_folder_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let said = || ModelFiles::read(dir).unwrap_err().to_string();
    let copy = |name: &str| std::fs::copy(cases().join("videomae").join(name), dir.join(name)).unwrap();
    std::fs::write(dir.join("config.json"), r#"{"model_type":"bert"}"#).unwrap();
    assert!(said().contains("a text model: bert; supported are videomae"), "{}", said());
    std::fs::write(dir.join("config.json"), r#"{"model_type":"frobnicator"}"#).unwrap();
    assert!(said().contains("isn't supported: frobnicator"), "{}", said());
    copy("config.json");
    assert!(said().contains("no model.safetensors"), "{}", said());
    std::fs::write(dir.join("pytorch_model.bin"), "").unwrap();
    assert!(said().contains("classify pull"), "{}", said());
    copy("model.safetensors");
    assert!(
        said().contains("none of video_preprocessor_config.json, preprocessor_config.json"),
        "{}",
        said()
    );
    copy("preprocessor_config.json");
    ModelFiles::read(dir).unwrap();
    // A tensor that is missing is named as the file would name it.
    let mut tensors = candle_core::safetensors::load(dir.join("model.safetensors"), &Device::Cpu).unwrap();
    let name = "videomae.encoder.layer.1.output.dense.weight";
    tensors.remove(name);
    candle_core::safetensors::save(&tensors, dir.join("model.safetensors")).unwrap();
    let error = Classifier::load(dir).err().unwrap().to_string();
    assert!(error.contains(name), "{error}");
}
