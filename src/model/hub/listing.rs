//! What the hub has of a model, and what of it is needed.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value;

use super::cache::{WEIGHTS, WEIGHTS_INDEX};
use super::checksum::Checksum;
use super::client::Client;
use super::failure::persist;
use super::{HubName, Told};

/// The weights of older models, as PyTorch saves them, and the list of the files that they are split into.
pub(super) const PICKLE: &str = "pytorch_model.bin";
pub(super) const PICKLE_INDEX: &str = "pytorch_model.bin.index.json";

/// Files beside the weights: settings, card, and what a text encoder reads words by.
const SETTINGS: [&str; 12] = [
    "config.json",
    "preprocessor_config.json",
    "video_preprocessor_config.json",
    "processor_config.json",
    "README.md",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
    "merges.txt",
    "spiece.model",
    "tokenizer.model",
    "special_tokens_map.json",
];

/// A model at one commit.
pub(super) struct Listing {
    pub commit: String,
    pub licence: Option<String>,
    files: Vec<RemoteFile>,
}

/// A file of the hub.
#[derive(Debug, Clone)]
pub(super) struct RemoteFile {
    pub name: String,
    /// Bytes.
    pub size: u64,
    pub checksum: Checksum,
}

#[derive(Deserialize)]
struct Info {
    sha: String,
    #[serde(rename = "cardData")]
    card: Option<Value>,
}

#[derive(Deserialize)]
struct Entry {
    r#type: String,
    path: String,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    oid: String,
    lfs: Option<Large>,
}

/// What stands for a file that git doesn't hold itself.
#[derive(Deserialize)]
struct Large {
    oid: String,
    size: u64,
}

impl Listing {
    /// Asks for the model `name` at its revision.
    ///
    /// # Errors
    /// What to tell the user.
    pub(super) fn fetch(client: &Client, name: &HubName, tell: &dyn Fn(Told)) -> Result<Self, String> {
        let revision = ["api", "models", &name.owner, &name.name, "revision", name.revision()];
        let address = client.address(revision);
        let (info, _): (Info, _) = persist(tell, || client.json(&address))?;
        if !super::name::is_commit(&info.sha) {
            return Err(format!("{} names a commit that can't be one", client.page()));
        }
        let tree = ["api", "models", &name.owner, &name.name, "tree", &info.sha];
        let mut page = Some(client.address(tree));
        let (mut files, mut seen) = (Vec::new(), BTreeSet::new());
        while let Some(address) = page.filter(|address| seen.insert(address.to_string())) {
            let (entries, next): (Vec<Entry>, _) = persist(tell, || client.json(&address))?;
            files.extend(entries.into_iter().filter_map(RemoteFile::of));
            page = next;
        }
        Ok(Self { commit: info.sha, licence: info.card.as_ref().and_then(licence), files })
    }

    fn file(&self, name: &str) -> Option<&RemoteFile> {
        self.files.iter().find(|file| file.name == name)
    }

    /// The file `name` that an index of weights lists.
    ///
    /// # Errors
    /// Where there is none, as for names that lead out of the folder.
    pub(super) fn shard(&self, name: &str) -> Result<RemoteFile, String> {
        let shard = self.file(name).cloned();
        shard.ok_or_else(|| format!("its list of weights names {name:?}, which isn't a file of the model"))
    }

    /// Settings, card and licence, those that there are.
    ///
    /// # Errors
    /// Where there is no `config.json`.
    pub(super) fn settings(&self) -> Result<Vec<RemoteFile>, String> {
        if self.file("config.json").is_none() {
            return Err("there is no config.json in it, so it is no model that this program could run".into());
        }
        let licence =
            |file: &&RemoteFile| file.name.starts_with("LICENSE") || file.name.starts_with("LICENCE");
        let wanted = SETTINGS.iter().filter_map(|name| self.file(name));
        Ok(wanted.chain(self.files.iter().filter(licence)).cloned().collect())
    }

    /// What holds the weights: the safest and smallest form that there is.
    ///
    /// # Errors
    /// Where there is none that is read.
    pub(super) fn weights(&self) -> Result<&RemoteFile, String> {
        let forms = [WEIGHTS, WEIGHTS_INDEX, PICKLE, PICKLE_INDEX];
        forms.iter().find_map(|name| self.file(name)).ok_or_else(|| {
            let ends = [".h5", ".msgpack", ".onnx", ".pt", ".pth", ".ckpt", ".bin", ".gguf", ".safetensors"];
            let others = self.files.iter().map(|file| file.name.as_str());
            let others: Vec<_> = others.filter(|name| ends.iter().any(|end| name.ends_with(end))).collect();
            let others =
                if others.is_empty() { String::new() } else { format!(" (it has {})", others.join(", ")) };
            format!(
                "there is neither {WEIGHTS} nor {PICKLE} in it, so it has no weights that are read{others}"
            )
        })
    }
}

impl RemoteFile {
    /// None for folders, and for what isn't a plain file right in the model's folder.
    fn of(entry: Entry) -> Option<Self> {
        let plain = |name: &str| {
            let safe = |c: char| !c.is_control() && !r#"/\:"#.contains(c);
            !name.is_empty() && name.chars().all(safe) && !name.starts_with('.')
        };
        if entry.r#type != "file" || !plain(&entry.path) {
            return None;
        }
        let (oid, size) = entry.lfs.map_or((entry.oid, entry.size), |large| (large.oid, large.size));
        Some(Self { name: entry.path, size, checksum: Checksum::parse(&oid)? })
    }
}

/// The licence that a card's head names.
fn licence(card: &Value) -> Option<String> {
    let licence = card.get("license")?;
    let name = match licence {
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
        one => one.as_str()?.to_owned(),
    };
    let own = card.get("license_name").and_then(Value::as_str).filter(|_| name == "other");
    Some(own.map_or(name, Into::into))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_files_are_taken() {
        let entry = |path: &str, kind: &str| Entry {
            r#type: kind.into(),
            path: path.into(),
            size: 1,
            oid: "a".repeat(40),
            lfs: None,
        };
        assert!(RemoteFile::of(entry("config.json", "file")).is_some());
        assert!(RemoteFile::of(entry("config.json", "directory")).is_none());
        for path in ["../config.json", "/etc/passwd", "..", ".git", r"..\x", "C:x", "a/b", "", "a\nb"] {
            assert!(RemoteFile::of(entry(path, "file")).is_none(), "{path}");
        }
    }

    #[test]
    fn licences_are_read_in_all_their_forms() {
        for (card, said) in [
            (r#"{"license": "mit"}"#, Some("mit")),
            (r#"{"license": ["mit", "apache-2.0"]}"#, Some("mit, apache-2.0")),
            (r#"{"license": "other", "license_name": "own-terms"}"#, Some("own-terms")),
            (r#"{"license": "other"}"#, Some("other")),
            (r#"{"tags": []}"#, None),
        ] {
            assert_eq!(licence(&serde_json::from_str(card).unwrap()).as_deref(), said, "{card}");
        }
    }
}
