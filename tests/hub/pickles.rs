//! Weights that PyTorch pickled: `reference/pickles.py` writes them.

use std::fs;
use std::path::Path;

use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors};

use crate::server::{COMMIT, Hub, Model};
use crate::user::User;

fn pickle(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/pickles").join(name)).unwrap()
}

fn config() -> (&'static str, Vec<u8>) {
    ("config.json", br#"{"model_type": "videomae"}"#.to_vec())
}

/// 0, 1/8, 2/8 and so on, as the script has them.
fn numbers(range: std::ops::Range<u8>) -> Vec<f32> {
    range.map(|i| f32::from(i) / 8.0).collect()
}

fn values(file: &SafeTensors, name: &str) -> (Vec<usize>, Vec<f32>) {
    let tensor = file.tensor(name).unwrap();
    let data = tensor.data();
    let values = match tensor.dtype() {
        Dtype::F32 => data.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect(),
        Dtype::F16 => {
            data.chunks_exact(2).map(|b| f16::from_le_bytes(b.try_into().unwrap()).into()).collect()
        }
        Dtype::BF16 => {
            data.chunks_exact(2).map(|b| bf16::from_le_bytes(b.try_into().unwrap()).into()).collect()
        }
        Dtype::I64 => {
            data.chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().unwrap()) as f32).collect()
        }
        other => panic!("{other:?}"),
    };
    (tensor.shape().to_vec(), values)
}

fn check(safetensors: &Path) {
    let bytes = fs::read(safetensors).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let names = ["first", "parameter", "rest", "single", "small", "steps", "turned", "wide"];
    let mut found = file.names();
    found.sort();
    assert_eq!(found, names);
    assert_eq!(values(&file, "single"), (vec![2, 3], numbers(0..6)));
    assert_eq!(values(&file, "small"), (vec![5], numbers(0..5)));
    assert_eq!(values(&file, "wide"), (vec![4], numbers(0..4)));
    assert_eq!(values(&file, "steps"), (vec![], vec![3.0]));
    assert_eq!(values(&file, "turned"), (vec![3, 2], [0, 3, 1, 4, 2, 5].map(|i| i as f32 / 8.0).to_vec()));
    assert_eq!(values(&file, "first"), (vec![2], numbers(0..2)));
    assert_eq!(values(&file, "rest"), (vec![4], numbers(2..6)));
    assert_eq!(values(&file, "parameter"), (vec![2], numbers(0..2)));
    assert_eq!(file.tensor("small").unwrap().dtype(), Dtype::F16);
    assert_eq!(file.tensor("wide").unwrap().dtype(), Dtype::BF16);
    let (_, head) = SafeTensors::read_metadata(&bytes).unwrap();
    assert_eq!(head.metadata().as_ref().unwrap()["format"], "pt");
}

#[test]
fn pickled_weights_become_safetensors() {
    let hub = Hub::start();
    hub.add("a/b", Model::new([config(), ("pytorch_model.bin", pickle("weights.bin"))]));
    let user = User::of(&hub);
    user.run("pull a/b").code(0).says(&["writing pytorch_model.bin as model.safetensors"]);
    let snapshot = user.model("a/b").join("snapshots").join(COMMIT);
    check(&snapshot.join("model.safetensors"));
    let again = user.run("pull a/b").code(0).says(&["all of it here already"]);
    assert!(!again.stderr().contains("writing"), "{}", again.stderr());
    // It was broken off before.
    fs::remove_file(snapshot.join("model.safetensors")).unwrap();
    user.run("pull a/b").code(0);
    check(&snapshot.join("model.safetensors"));
}

#[test]
fn so_do_those_in_several_files() {
    let hub = Hub::start();
    let [one, two] = ["pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"];
    let index = serde_json::json!({ "weight_map": { "single": one, "wide": one, "x": two } }).to_string();
    hub.add(
        "a/b",
        Model::new([
            config(),
            ("pytorch_model.bin.index.json", index.into_bytes()),
            (one, pickle("weights.bin")),
            (two, pickle("weights.bin")),
        ]),
    );
    let user = User::of(&hub);
    user.run("pull a/b").code(0);
    let snapshot = user.model("a/b").join("snapshots").join(COMMIT);
    check(&snapshot.join("model-00001-of-00002.safetensors"));
    check(&snapshot.join("model-00002-of-00002.safetensors"));
    let list = user.run("models").code(0).stdout();
    assert!(list.contains("a/b"), "{list}");
}

#[test]
fn what_is_more_than_weights_is_refused_with_the_reason() {
    let hub = Hub::start();
    let user = User::of(&hub);
    let mut cut = pickle("weights.bin");
    cut.truncate(2000);
    for (name, bytes, reason) in [
        ("old", pickle("old.bin"), "torch.save(torch.load(FILE, weights_only=True), FILE)"),
        ("checkpoint", pickle("checkpoint.bin"), "it is a checkpoint of a training"),
        ("module", pickle("module.bin"), "no table of tensors"),
        ("attack", pickle("attack.bin"), "y: is made by posix.system"),
        ("complex", pickle("complex.bin"), "ComplexFloatStorage, which isn't read"),
        ("spread", pickle("spread.bin"), "x: its shape goes beyond the numbers that were saved"),
        ("cut", cut, "it is no zip file"),
    ] {
        let model = format!("a/{name}");
        hub.add(&model, Model::new([config(), ("pytorch_model.bin", bytes)]));
        let ran = user.run(&format!("pull {model}"));
        ran.refuses(&[&format!("error: model {model}: pytorch_model.bin can't be read: "), reason]);
        assert!(!user.home.path().join("pickle_ran").exists());
        user.run(&format!("models show {model}")).refuses(&["classify pull"]);
    }
}
