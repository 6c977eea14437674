//! From the hub to a label, and away again.

use std::fs;
use std::path::Path;

use crate::server::{COMMIT, Hub, Model, etag};
use crate::user::User;

const OURS: &str = "ours/sports";

/// A model folder as `classify train` writes it.
pub(crate) fn ours() -> Model {
    Model::of_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("models/ucf14-lite0-lstm"))
}

fn sample() -> String {
    format!("{}/samples/jumping_jacks.mp4", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn a_trained_folder_is_pulled_labels_a_clip_is_listed_shown_and_deleted() {
    let hub = Hub::start();
    hub.add(OURS, ours());
    let user = User::of(&hub);
    let label = format!("--format csv --model {OURS} {}", sample());
    user.run(&label).refuses(&["nor pulled from the hub: `classify pull ours/sports` does that"]);
    assert!(hub.requests().is_empty(), "labelling asked the network");

    let pulled = user.run("pull ours/sports").code(0);
    let snapshot = user.model(OURS).join("snapshots").join(COMMIT);
    assert_eq!(pulled.stdout(), format!("{}\n", snapshot.display()));
    let pulled = pulled.says(&["apache-2.0", "7.94 MB", "classify --model ours/sports"]);
    assert!(!pulled.stderr().contains("warning"), "{}", pulled.stderr());

    let asked = hub.requests().len();
    let csv = user.run(&label).code(0).stdout();
    assert!(csv.contains("JumpingJack"), "{csv}");
    let inside = user.run(&label.replace(OURS, "ucf14-lite0-lstm")).code(0).stdout();
    assert_eq!(csv, inside.replace("ucf14-lite0-lstm", "sports"));

    let list = user.run("models").code(0).stdout();
    let row = list.lines().find(|line| line.starts_with(OURS)).unwrap();
    for fact in ["14 labels", "efficientnet-lite0 → lstm", "16 frames", "Apache-2.0", "7.9 MB"] {
        assert!(row.contains(fact), "{fact}: {row}");
    }
    let json = user.run("models --json").code(0).stdout();
    let rows: Vec<serde_json::Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let row = rows.iter().find(|row| row["origin"] == "pulled").unwrap();
    assert_eq!((row["name"].as_str(), row["labels"].as_u64()), (Some(OURS), Some(14)));
    let shown = user.run("models show ours/sports").code(0).stdout();
    assert!(shown.starts_with("model     sports\n") && shown.contains("## Accuracy"), "{shown}");

    user.run("models rm ours/sports@v1").refuses(&["classify models rm ours/sports"]);
    user.run("models rm ours/sports").code(0).says(&["7.9 MB freed"]);
    assert!(!user.model(OURS).exists());
    user.run("models rm ours/sports").refuses(&["isn't among the pulled ones"]);
    user.run(&label).refuses(&["classify pull"]);
    assert_eq!(hub.requests().len(), asked, "only pull may ask the network");
}

#[test]
fn what_is_not_pulled_is_not_deleted() {
    let user = User::of(&Hub::start());
    fs::create_dir_all(user.home.path().join("my/model")).unwrap();
    user.run("models rm imagenet-lite0").refuses(&["inside the program"]);
    user.run("models rm my/model").refuses(&["a folder of yours"]);
    assert!(user.home.path().join("my/model").is_dir());
}

#[test]
fn a_trained_model_is_listed_while_it_is_there() {
    let user = User::of(&Hub::start());
    for label in ["jump", "balance"] {
        let folder = user.home.path().join("clips").join(label);
        fs::create_dir_all(&folder).unwrap();
        for i in 0..4u8 {
            let mut bytes = fs::read(sample()).unwrap();
            bytes.extend([0, 0, 0, 9, b'f', b'r', b'e', b'e', i + label.len() as u8 * 10]);
            fs::write(folder.join(format!("v_{label}_g{i:02}_c01.mp4")), bytes).unwrap();
        }
    }
    let train = "train clips -o my-model --backbone imagenet-lite0 --frames 2 --size 64 --hidden 4 --epochs 1 \
                 --no-cache --force";
    user.run(train).code(0);
    user.run(train).code(0);
    let path = user.home.path().join("my-model");
    let row = |list: &str| list.matches(&format!("{}  ", path.display())).count();
    let list = user.run("models").code(0).stdout();
    assert!(list.contains("trained here") && list.contains("2 labels"), "{list}");
    assert_eq!(row(&list), 1, "{list}");
    fs::remove_dir_all(&path).unwrap();
    let list = user.run("models").code(0).stdout();
    assert!(!list.contains("trained here"), "{list}");
}

/// A folder of the transformers library: sharded weights, and much that isn't needed.
fn theirs() -> Model {
    let labels = r#""id2label": {"0": "LABEL_0", "1": "LABEL_1"}"#;
    let config = format!(r#"{{"model_type": "videomae", "num_frames": 16, {labels}}}"#);
    let index = r#"{"weight_map": {"a": "model-1-of-2.safetensors", "b": "model-2-of-2.safetensors",
                                    "c": "model-2-of-2.safetensors"}}"#;
    let tensor = |name: &str, n: usize| {
        let head = format!(r#"{{"{name}":{{"dtype":"F32","shape":[{n}],"data_offsets":[0,{}]}}}}"#, 4 * n);
        [&(head.len() as u64).to_le_bytes()[..], head.as_bytes(), &vec![0; 4 * n]].concat()
    };
    Model::new([
        ("config.json", config.into_bytes()),
        ("preprocessor_config.json", b"{}".to_vec()),
        ("model.safetensors.index.json", index.as_bytes().to_vec()),
        ("model-1-of-2.safetensors", tensor("a", 1000)),
        ("model-2-of-2.safetensors", tensor("b", 2000)),
        ("model-3-of-2.safetensors", tensor("z", 3000)),
        ("pytorch_model.bin", vec![1; 100]),
        ("tf_model.h5", vec![2; 100]),
        ("training_args.bin", vec![3; 100]),
        ("LICENSE", b"yours".to_vec()),
        ("README.md", b"---\nlicense: cc-by-nc-4.0\n---\n# Their card\n".to_vec()),
        ("tokenizer.json", b"{ }".to_vec()),
    ])
}

#[test]
fn only_needed_files_are_fetched_and_lie_as_the_python_client_lays_them() {
    let hub = Hub::start();
    let model = theirs();
    hub.add("MCG/videomae", model.clone());
    let user = User::of(&hub);
    user.run("pull MCG/videomae").code(0);
    let folder = user.model("MCG/videomae");
    assert_eq!(User::names(&folder), ["blobs", "refs", "snapshots"]);
    assert_eq!(fs::read_to_string(folder.join("refs/main")).unwrap(), COMMIT);
    let snapshot = folder.join("snapshots").join(COMMIT);
    let names = User::names(&snapshot);
    let needed = [
        "LICENSE",
        "README.md",
        "config.json",
        "model-1-of-2.safetensors",
        "model-2-of-2.safetensors",
        "model.safetensors.index.json",
        "preprocessor_config.json",
        "tokenizer.json",
    ];
    assert_eq!(names, needed);
    for name in names {
        let bytes = &model.files[&name];
        let etag = etag(&name, bytes);
        assert_eq!(fs::read(folder.join("blobs").join(&etag)).unwrap(), *bytes, "{name}");
        #[cfg(unix)]
        assert_eq!(
            fs::read_link(snapshot.join(&name)).unwrap(),
            Path::new("../../blobs").join(etag),
            "{name}"
        );
    }
    assert_eq!(User::names(&folder.join("blobs")).len(), needed.len(), "nothing incomplete is left");
    let list = user.run("models").code(0).stdout();
    let row = list.lines().find(|line| line.starts_with("MCG/videomae")).unwrap();
    for fact in ["2 labels without names", "videomae", "16 frames", "cc-by-nc-4.0"] {
        assert!(row.contains(fact), "{fact}: {row}");
    }
    let shown = user.run("models show MCG/videomae").code(0).stdout();
    assert!(shown.contains("cc-by-nc-4.0") && shown.contains("# Their card"), "{shown}");

    // All of it is there: the second pull asks for the listing only.
    let asked = hub.requests().iter().filter(|r| r.path.contains("/resolve/")).count();
    user.run("pull MCG/videomae").code(0).says(&["all of it here already"]);
    assert_eq!(hub.requests().iter().filter(|r| r.path.contains("/resolve/")).count(), asked);
}

#[test]
fn labels_without_names_are_told() {
    let hub = Hub::start();
    let mut model = ours();
    let config = String::from_utf8(model.files["config.json"].clone()).unwrap();
    let mut config: serde_json::Value = serde_json::from_str(&config).unwrap();
    for i in 0..14 {
        config["id2label"][i.to_string()] = format!("LABEL_{i}").into();
    }
    model.files.insert("config.json".into(), config.to_string().into_bytes());
    hub.add("a/unnamed", model);
    let user = User::of(&hub);
    user.run("pull a/unnamed").code(0).says(&["warning: ", "LABEL_0"]);
    let labelled = user.run(&format!("--model a/unnamed {}", sample())).code(0);
    labelled.says(&["warning: ", "a/unnamed", "LABEL_0"]);
}

#[test]
fn a_folder_of_that_name_wins() {
    let hub = Hub::start();
    hub.add(OURS, ours());
    let user = User::of(&hub);
    user.run("pull ours/sports").code(0);
    let folder = user.home.path().join(OURS);
    fs::create_dir_all(&folder).unwrap();
    user.run("pull ours/sports").code(0).says(&["is the folder ./ours/sports"]);
    user.run("models show ours/sports").refuses(&["there is no config.json in it"]);
    for (name, bytes) in theirs().files {
        fs::write(folder.join(name), bytes).unwrap();
    }
    let ran = user.run("models show ours/sports");
    assert!(!ran.stdout().contains("JumpingJack"), "{}", ran.stdout());
}

#[test]
fn what_the_python_client_pulled_is_found() {
    let user = User::of(&Hub::start());
    let folder = user.model(OURS);
    let snapshot = folder.join("snapshots").join(COMMIT);
    for dir in [&folder.join("blobs"), &folder.join("refs"), &snapshot] {
        fs::create_dir_all(dir).unwrap();
    }
    for (name, bytes) in ours().files {
        let etag = etag(&name, &bytes);
        fs::write(folder.join("blobs").join(&etag), bytes).unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink(Path::new("../../blobs").join(etag), snapshot.join(name)).unwrap();
    }
    fs::write(folder.join("refs/main"), COMMIT).unwrap();
    let offline = user.run_with(&format!("--format csv --model {OURS} {}", sample()), "HF_HUB_OFFLINE", "1");
    assert!(offline.code(0).stdout().contains("JumpingJack"));
    user.run(&format!("models show {OURS}@{COMMIT}")).code(0);
    fs::remove_file(folder.join("blobs").join(etag("config.json", &ours().files["config.json"]))).unwrap();
    user.run(&format!("models show {OURS}")).refuses(&["classify pull ours/sports"]);
}
