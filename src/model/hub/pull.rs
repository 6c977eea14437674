//! Fetching a model.

use std::path::{Path, PathBuf};

use super::cache::{Index, WEIGHTS, WEIGHTS_INDEX};
use super::client::Client;
use super::download::Download;
use super::listing::{Listing, PICKLE, PICKLE_INDEX, RemoteFile};
use super::{HubName, Settings, pickle};
use crate::{Error, Result, files};

/// What [`pull`] tells while it works.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Told {
    /// What there is to fetch, before the weights are.
    Found {
        /// The commit that the revision is at.
        commit: String,
        /// The licence that the model's card names.
        licence: Option<String>,
        /// Bytes of all files.
        bytes: u64,
        /// How many of them are in the cache already.
        there: u64,
    },
    /// So many bytes of all files are there.
    Bytes(u64),
    /// Something that takes time, or was tried in vain and is tried again.
    Note(String),
}

/// Fetches the model `name`, only the files that are needed, into the cache; what is there already stays. Weights that
/// PyTorch pickled get a safetensors copy beside them. Returns the model's folder.
///
/// # Errors
/// They name the model and say what to do. What has been fetched by then is kept, and the next call goes on from there.
pub fn pull(name: &HubName, settings: &Settings, tell: &dyn Fn(Told)) -> Result<PathBuf> {
    let work = || {
        let client = Client::new(settings, name)?;
        let listing = Listing::fetch(&client, name, tell)?;
        Pull { client: &client, listing: &listing, name, settings, tell }.run()
    };
    work().map_err(|reason: String| Error::model(name.to_string(), reason))
}

struct Pull<'a> {
    client: &'a Client,
    listing: &'a Listing,
    name: &'a HubName,
    settings: &'a Settings,
    tell: &'a dyn Fn(Told),
}

impl Pull<'_> {
    fn run(&self) -> Result<PathBuf, String> {
        let Listing { commit, licence, .. } = self.listing;
        let mut files = self.listing.settings()?;
        let weights = self.listing.weights()?;
        if [WEIGHTS_INDEX, PICKLE_INDEX].contains(&weights.name.as_str()) {
            let path = self.fetch(weights, 0, &|_| {})?;
            let index = Index::read(&path).map_err(|reason| format!("{}: {reason}", weights.name))?;
            for shard in index.files() {
                files.push(self.listing.shard(shard)?);
            }
        }
        files.push(weights.clone());
        let bytes = files.iter().map(|file| file.size).sum();
        let there = files.iter().map(|file| self.there(file)).sum();
        (self.tell)(Told::Found { commit: commit.clone(), licence: licence.clone(), bytes, there });
        let mut before = 0;
        for file in &files {
            self.fetch(file, before, self.tell)?;
            before += file.size;
        }
        let snapshot = self.settings.cache.snapshot(self.name, commit);
        self.convert(&snapshot, weights)?;
        // Last: until all is there, labelling finds what the revision was at before.
        if self.name.revision() != commit {
            let reference = self.settings.cache.reference(self.name, self.name.revision());
            let folder = reference.parent().unwrap_or(&reference);
            std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e).to_string())?;
            files::write_atomically(&reference, commit.as_bytes()).map_err(|e| e.to_string())?;
        }
        Ok(snapshot)
    }

    /// Bytes of `file` that are in the cache.
    fn there(&self, file: &RemoteFile) -> u64 {
        let (cache, digits) = (&self.settings.cache, file.checksum.digits());
        let [whole, part] = [cache.blob(self.name, digits), cache.incomplete(self.name, digits)];
        let len = |path: &Path| std::fs::metadata(path).ok().map(|meta| meta.len());
        len(&whole).or_else(|| len(&part)).unwrap_or(0).min(file.size)
    }

    fn fetch(&self, file: &RemoteFile, before: u64, tell: &dyn Fn(Told)) -> Result<PathBuf, String> {
        let Self { client, listing, name, settings, .. } = self;
        Download { client, cache: &settings.cache, name, commit: &listing.commit, file, before, tell }.run()
    }

    /// Pickled weights as safetensors, plain files in the snapshot folder: there this program and the transformers
    /// library alike look for them first, and the numbers are the same. The pickles stay as the hub has them, for
    /// other programs.
    fn convert(&self, snapshot: &Path, weights: &RemoteFile) -> Result<(), String> {
        let convert = |from: &str, to: &str| {
            (self.tell)(Told::Note(format!("writing {from} as {to}")));
            pickle::convert(&snapshot.join(from), &snapshot.join(to))
                .map_err(|reason| format!("{from} can't be read: {reason}"))
        };
        if weights.name == PICKLE && !snapshot.join(WEIGHTS).exists() {
            convert(PICKLE, WEIGHTS)?;
        }
        if weights.name == PICKLE_INDEX && !snapshot.join(WEIGHTS_INDEX).exists() {
            let index = Index::read(&snapshot.join(PICKLE_INDEX))?;
            let mut map = serde_json::Map::new();
            for from in index.files() {
                let stem = from.strip_suffix(".bin").unwrap_or(from);
                let to = format!("{}.safetensors", stem.replacen("pytorch_model", "model", 1));
                for tensor in convert(from, &to)? {
                    map.insert(tensor, to.clone().into());
                }
            }
            let index = serde_json::json!({ "metadata": {}, "weight_map": map }).to_string();
            files::write_atomically(&snapshot.join(WEIGHTS_INDEX), index.as_bytes())
                .map_err(|e| e.to_string())?;
        }
        Ok(())
    }
}
