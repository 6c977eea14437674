//! The models that `--model` could take, and what there is to say of each without loading it.

use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

use super::embedded::{embedded, embedded_models};
use super::hub::Cache;
use super::trained::trained_models;

/// Where a model comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// Inside the program.
    Embedded,
    /// Fetched from the hub.
    Pulled,
    /// Written by `classify train`.
    Trained,
}

/// A model that `--model` could take.
#[derive(Debug, Clone, Serialize)]
pub struct KnownModel {
    /// What `--model` takes.
    pub name: String,
    /// Where it comes from.
    pub origin: Origin,
    /// Its folder; an embedded model has none.
    pub path: Option<PathBuf>,
    /// How many labels it has; none where its config lists none.
    pub labels: Option<usize>,
    /// Whether those are `LABEL_0`, `LABEL_1` and so on.
    pub unnamed: bool,
    /// CNN and head, or the name that transformers has for the network.
    pub architecture: String,
    /// How many frames it looks at, as windows × frames where there are several windows.
    pub frames: Option<String>,
    /// As its config or its card says.
    pub licence: Option<String>,
    /// Bytes of its files.
    pub bytes: u64,
}

/// All models that are inside the program, pulled or trained, in this order.
pub fn known_models() -> Vec<KnownModel> {
    let inside = embedded_models().filter_map(embedded).map(|model| {
        let parts = [model.config, model.preprocess, model.weights, model.card.as_bytes()];
        let bytes = parts.iter().map(|part| part.len() as u64).sum();
        KnownModel::of(model.name.into(), Origin::Embedded, None, model.config, model.card, bytes)
    });
    let pulled = Cache::of_user().map(|cache| cache.pulled()).unwrap_or_default();
    let pulled = pulled.into_iter().map(|p| KnownModel::at(p.name.to_string(), Origin::Pulled, p.path));
    let trained = trained_models().into_iter();
    let trained = trained.map(|dir| KnownModel::at(dir.display().to_string(), Origin::Trained, dir));
    inside.chain(pulled).chain(trained).collect()
}

/// Whether labels are the names that transformers makes up where nobody gave any.
pub fn is_unnamed<S: AsRef<str>>(labels: &[S]) -> bool {
    let made_up = |(i, label): (usize, &S)| label.as_ref() == format!("LABEL_{i}");
    !labels.is_empty() && labels.iter().enumerate().all(made_up)
}

impl KnownModel {
    fn at(name: String, origin: Origin, dir: PathBuf) -> Self {
        let config = fs::read(dir.join("config.json")).unwrap_or_default();
        let card = fs::read(dir.join("README.md")).unwrap_or_default();
        let bytes = size(&dir);
        Self::of(name, origin, Some(dir), &config, &String::from_utf8_lossy(&card), bytes)
    }

    fn of(
        name: String,
        origin: Origin,
        path: Option<PathBuf>,
        config: &[u8],
        card: &str,
        bytes: u64,
    ) -> Self {
        let config: Value = serde_json::from_slice(config).unwrap_or_default();
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let labels: Option<Vec<Cow<str>>> = config["id2label"].as_object().map(|map| {
            let label = |i: usize| map.get(&i.to_string()).and_then(Value::as_str).unwrap_or_default();
            (0..map.len()).map(|i| label(i).into()).collect()
        });
        let architecture = match (text(&config["backbone"]["type"]), text(&config["head"]["type"])) {
            (Some(backbone), Some(head)) => format!("{backbone} → {head}"),
            _ => text(&config["model_type"]).unwrap_or_else(|| "unknown".into()),
        };
        let sampling = &config["sampling"];
        let frames = match (sampling["windows"].as_u64(), sampling["frames"].as_u64()) {
            (Some(windows), Some(frames)) if windows > 1 => Some(format!("{windows} × {frames}")),
            (_, Some(frames)) => Some(frames.to_string()),
            _ => config["num_frames"].as_u64().map(|frames| frames.to_string()),
        };
        Self {
            name,
            origin,
            path,
            unnamed: labels.as_deref().is_some_and(is_unnamed),
            labels: labels.map(|labels| labels.len()),
            architecture,
            frames,
            licence: text(&config["licence"]).or_else(|| licence(card)),
            bytes,
        }
    }
}

/// Bytes of the files right in the folder `dir`, and of what links in it lead to.
fn size(dir: &Path) -> u64 {
    let files = fs::read_dir(dir).into_iter().flatten().flatten();
    let files = files.filter_map(|entry| fs::metadata(entry.path()).ok()).filter(fs::Metadata::is_file);
    files.map(|meta| meta.len()).sum()
}

/// `license: mit` in the settings between `---` that a card begins with; `license_name` where it is no common one.
pub(super) fn licence(card: &str) -> Option<String> {
    let head = card.trim_start().strip_prefix("---")?.split_once("\n---")?.0;
    let value = |key: &str| {
        let line = head.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
        let value = line.trim().trim_matches(['"', '\'', '[', ']']);
        let value = match value {
            // A list begins on the next line.
            "" => head.split_once(&format!("{key}:"))?.1.trim_start().lines().next()?.strip_prefix("- ")?,
            value => value,
        };
        Some(value.trim().to_owned())
    };
    value("license").filter(|licence| licence != "other").or_else(|| value("license_name"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cards_head_names_the_licence() {
        for (card, said) in [
            ("---\nlicense: mit\ntags: [x]\n---\ntext", Some("mit")),
            ("---\ntags: [x]\nlicense: \"cc-by-nc-4.0\"\n---\n", Some("cc-by-nc-4.0")),
            ("---\nlicense:\n- apache-2.0\n---\n", Some("apache-2.0")),
            ("---\nlicense: other\nlicense_name: own\n---\n", Some("own")),
            ("---\ntags: [x]\n---\nlicense: mit\n", None),
            ("license: mit", None),
        ] {
            assert_eq!(licence(card).as_deref(), said, "{card}");
        }
    }

    #[test]
    fn made_up_labels_are_known() {
        assert!(is_unnamed(&["LABEL_0", "LABEL_1"]));
        assert!(!is_unnamed(&["LABEL_0", "jump"]) && !is_unnamed::<&str>(&[]));
    }

    #[test]
    fn configs_of_both_kinds_are_read() {
        let of = |config: &str| KnownModel::of("x".into(), Origin::Pulled, None, config.as_bytes(), "", 0);
        let theirs = of(r#"{"model_type": "videomae", "num_frames": 16, "id2label": {"0": "LABEL_0"}}"#);
        assert_eq!((theirs.architecture.as_str(), theirs.frames.as_deref()), ("videomae", Some("16")));
        assert!(theirs.unnamed);
        let nothing = of("{");
        assert_eq!((nothing.architecture.as_str(), nothing.labels), ("unknown", None));
    }
}
