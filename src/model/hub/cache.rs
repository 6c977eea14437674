//! The folder that pulled models lie in, laid out as Python's `huggingface_hub` lays it out, so that either finds what
//! the other has fetched:
//!
//! ```text
//! models--OWNER--NAME/blobs/ETAG                      a file's bytes, named by its checksum
//! models--OWNER--NAME/blobs/ETAG.incomplete           what there is of it yet
//! models--OWNER--NAME/refs/main                       the commit that a branch or tag was at
//! models--OWNER--NAME/snapshots/COMMIT/config.json    a link to the blob
//! .locks/models--OWNER--NAME/ETAG.lock                held while a blob is fetched
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::name::is_commit;
use super::{HubName, variable};
use crate::{Error, Result};

/// The weights in one file, and the list of the files that they are split into where they are large.
pub(super) const WEIGHTS: &str = "model.safetensors";
pub(super) const WEIGHTS_INDEX: &str = "model.safetensors.index.json";

/// The cache folder.
#[derive(Debug, Clone)]
pub struct Cache {
    root: PathBuf,
}

/// A model in the cache, at one commit.
#[derive(Debug, Clone)]
pub struct Pulled {
    /// What `--model` takes.
    pub name: HubName,
    /// Its folder.
    pub path: PathBuf,
}

impl Cache {
    /// `HF_HUB_CACHE`, else `hub` in [`home`]. None where no home folder is set.
    pub fn of_user() -> Option<Self> {
        let root = folder("HF_HUB_CACHE").or_else(|| Some(home()?.join("hub")))?;
        Some(Self { root })
    }

    /// The cache in the folder `root`.
    pub fn at(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    pub(super) fn model(&self, name: &HubName) -> PathBuf {
        self.root.join(name.folder())
    }

    pub(super) fn blob(&self, name: &HubName, etag: &str) -> PathBuf {
        self.model(name).join("blobs").join(etag)
    }

    /// What there is of a blob while it is fetched.
    pub(super) fn incomplete(&self, name: &HubName, etag: &str) -> PathBuf {
        self.blob(name, &format!("{etag}.incomplete"))
    }

    pub(super) fn lock(&self, name: &HubName, etag: &str) -> PathBuf {
        self.locks(name).join(format!("{etag}.lock"))
    }

    fn locks(&self, name: &HubName) -> PathBuf {
        self.root.join(".locks").join(name.folder())
    }

    pub(super) fn snapshot(&self, name: &HubName, commit: &str) -> PathBuf {
        self.model(name).join("snapshots").join(commit)
    }

    pub(super) fn reference(&self, name: &HubName, revision: &str) -> PathBuf {
        self.model(name).join("refs").join(revision)
    }

    /// The folder of the model `name` at its revision, where all that labelling needs is in it.
    pub fn find(&self, name: &HubName) -> Option<PathBuf> {
        let snapshot = self.snapshot(name, &self.commit(name)?);
        is_complete(&snapshot).then_some(snapshot)
    }

    /// Whether there is anything of the model `name`, complete or not.
    pub fn holds(&self, name: &HubName) -> bool {
        self.model(name).is_dir()
    }

    fn commit(&self, name: &HubName) -> Option<String> {
        let revision = name.revision();
        if is_commit(revision) {
            return Some(revision.to_owned());
        }
        let commit = fs::read_to_string(self.reference(name, revision)).ok()?;
        // What a file says becomes part of a path.
        let commit = commit.trim();
        is_commit(commit).then(|| commit.to_owned())
    }

    /// All models that labelling could find, in order of name.
    pub fn pulled(&self) -> Vec<Pulled> {
        let mut pulled = BTreeMap::new();
        for model in names(&self.root).iter().filter_map(|folder| HubName::of_folder(folder)) {
            let folder = self.model(&model);
            let mut named = BTreeSet::new();
            for name in references(&folder.join("refs")).iter().filter_map(|revision| model.at(revision)) {
                if let (Some(path), Some(commit)) = (self.find(&name), self.commit(&name)) {
                    named.insert(commit);
                    pulled.insert(name.to_string(), Pulled { name, path });
                }
            }
            // A branch that went on leaves what it was at before.
            for commit in names(&folder.join("snapshots")).difference(&named) {
                if let Some(name) = model.at(commit)
                    && let Some(path) = self.find(&name)
                {
                    pulled.insert(name.to_string(), Pulled { name, path });
                }
            }
        }
        pulled.into_values().collect()
    }

    /// Deletes the model `name`, all revisions of it. Returns how many bytes that freed.
    ///
    /// # Errors
    /// What can't be deleted.
    pub fn remove(&self, name: &HubName) -> Result<u64> {
        let folder = self.model(name);
        let files = walkdir::WalkDir::new(&folder).into_iter().flatten();
        let bytes = files.filter_map(|entry| entry.metadata().ok().filter(|meta| meta.is_file()));
        let bytes = bytes.map(|meta| meta.len()).sum();
        // What labelling finds goes first, so that what is left of an interrupted removal isn't taken for a model.
        let snapshots = folder.join("snapshots");
        for folder in [&snapshots, &folder, &self.locks(name)] {
            match fs::remove_dir_all(folder) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(Error::io(folder, e)),
                _ => {}
            }
        }
        Ok(bytes)
    }
}

/// Whether settings and weights are in the model folder `dir`.
pub(super) fn is_complete(dir: &Path) -> bool {
    let shards = || Index::read(&dir.join(WEIGHTS_INDEX)).ok();
    dir.join("config.json").is_file()
        && (dir.join(WEIGHTS).is_file()
            || shards().is_some_and(|index| index.files().iter().all(|file| dir.join(file).is_file())))
}

/// `model.safetensors.index.json`, or that of `pytorch_model.bin`: in which file a tensor is.
#[derive(Debug, Deserialize)]
pub(super) struct Index {
    weight_map: BTreeMap<String, String>,
}

impl Index {
    /// Reads the list at `path`.
    ///
    /// # Errors
    /// Why it can't be, without its name.
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let bytes = fs::read(path).map_err(|e| crate::error::plain(&e))?;
        serde_json::from_slice(&bytes).map_err(|e| e.to_string())
    }

    /// The files, each once.
    pub(super) fn files(&self) -> BTreeSet<&str> {
        self.weight_map.values().map(String::as_str).collect()
    }
}

/// `HF_HOME`, else `huggingface` in the user's cache folder: on every system the one below, as the Python client has it.
pub(super) fn home() -> Option<PathBuf> {
    let cache = || folder("XDG_CACHE_HOME").or_else(|| Some(std::env::home_dir()?.join(".cache")));
    folder("HF_HOME").or_else(|| Some(cache()?.join("huggingface")))
}

/// The folder that an environment variable names, `~/` being the home folder.
fn folder(name: &str) -> Option<PathBuf> {
    let value = variable(name)?;
    match value.strip_prefix("~/") {
        Some(below) => Some(std::env::home_dir()?.join(below)),
        None => Some(value.into()),
    }
}

/// Names in the folder `dir`.
fn names(dir: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// Revisions below the folder `refs`; those of requests are paths themselves.
fn references(refs: &Path) -> Vec<String> {
    let files = walkdir::WalkDir::new(refs).into_iter().flatten().filter(|entry| entry.file_type().is_file());
    files.filter_map(|file| file.path().strip_prefix(refs).ok()?.to_str().map(Into::into)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "0123456789012345678901234567890123456789";

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn found(cache: &Cache, name: &str) -> bool {
        cache.find(&HubName::parse(name).unwrap()).is_some()
    }

    #[test]
    fn a_model_is_found_when_settings_and_weights_are_there() {
        let root = tempfile::tempdir().unwrap();
        let cache = Cache::at(root.path());
        let name = HubName::parse("a/b").unwrap();
        let snapshot = cache.snapshot(&name, COMMIT);
        write(&snapshot.join("config.json"), "{}");
        write(&cache.reference(&name, "main"), COMMIT);
        write(&cache.reference(&name, "refs/pr/1"), COMMIT);
        assert!(!found(&cache, "a/b"));
        write(
            &snapshot.join(WEIGHTS_INDEX),
            r#"{"weight_map": {"x": "1.safetensors", "y": "2.safetensors"}}"#,
        );
        write(&snapshot.join("1.safetensors"), "");
        assert!(!found(&cache, "a/b"));
        write(&snapshot.join("2.safetensors"), "");
        for name in ["a/b", "a/b@main", "a/b@refs/pr/1", &format!("a/b@{COMMIT}")] {
            assert!(found(&cache, name), "{name}");
        }
        assert!(!found(&cache, "a/b@v1") && !found(&cache, "a/c"));
        let listed: Vec<String> = cache.pulled().iter().map(|p| p.name.to_string()).collect();
        assert_eq!(listed, ["a/b", "a/b@refs/pr/1"]);

        write(&cache.reference(&name, "main"), &"f".repeat(40));
        fs::remove_dir_all(cache.model(&name).join("refs/refs")).unwrap();
        let listed: Vec<String> = cache.pulled().iter().map(|p| p.name.to_string()).collect();
        assert_eq!(listed, [format!("a/b@{COMMIT}")]);
    }

    #[test]
    fn a_reference_that_leads_elsewhere_is_none() {
        let root = tempfile::tempdir().unwrap();
        let cache = Cache::at(root.path());
        let name = HubName::parse("a/b").unwrap();
        write(&root.path().join("elsewhere/config.json"), "{}");
        write(&root.path().join("elsewhere").join(WEIGHTS), "");
        write(&cache.reference(&name, "main"), "../../elsewhere");
        assert!(!found(&cache, "a/b"));
    }
}
