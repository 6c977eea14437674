//! A model in the making, until it takes the place of the one before.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use crate::{Error, Result, files};

/// What a model folder consists of, the weights first: without them it doesn't load.
const FILES: [&str; 6] = [
    "model.safetensors",
    "config.json",
    "preprocessor_config.json",
    "metrics.jsonl",
    "report.html",
    "README.md",
];

/// A folder beside that of the model, where it can be, which goes away with this.
pub(super) struct Draft {
    root: PathBuf,
    /// Where the model comes: it has its name already.
    folder: PathBuf,
    name: OsString,
}

impl Draft {
    /// For the model in `folder`. One that was left when the program was killed is made anew.
    pub(super) fn new(folder: &Path) -> Result<Self> {
        let folder = std::path::absolute(folder).map_err(|e| Error::io(folder, e))?;
        // A link stays one.
        let folder = folder.canonicalize().unwrap_or(folder);
        let name = folder.file_name().unwrap_or("model".as_ref()).to_owned();
        let mut hidden = OsString::from(".classify-");
        hidden.push(&name);
        let begin = |root: PathBuf| {
            let _ = fs::remove_dir_all(&root);
            fs::create_dir_all(root.join("checkpoints")).map(|()| root)
        };
        let root = begin(folder.with_file_name(hidden));
        // Only the folder itself may be written to.
        let root = root.or_else(|_| begin(folder.join(".classify-draft")));
        Ok(Self { root: root.map_err(|e| Error::io(&folder, e))?, folder, name })
    }

    /// Where to write the model.
    pub(super) fn model(&self) -> PathBuf {
        self.root.join(&self.name)
    }

    /// Where to write what is of no use later.
    pub(super) fn checkpoints(&self) -> PathBuf {
        self.root.join("checkpoints")
    }

    /// Puts the model in its place. Whatever ends the program, there is the one before or this one, whole; where other
    /// files are in the folder, or the system can't do that, perhaps one that says that its weights are missing.
    pub(super) fn place(self) -> Result<()> {
        let Self { folder, .. } = &self;
        let model = self.model();
        // Where nothing is there yet.
        if fs::rename(&model, folder).is_ok() {
            return Ok(());
        }
        if self.is_all_ours() && files::exchange(&model, folder).is_ok() {
            return Ok(());
        }
        fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
        let [weights, others @ ..] = FILES;
        let old = folder.join(weights);
        match fs::remove_file(&old) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(Error::io(&old, e)),
            _ => {}
        }
        others.into_iter().chain([weights]).map(|name| (model.join(name), folder.join(name))).try_for_each(
            |(from, to)| files::write_atomically(&to, &fs::read(&from).map_err(|e| Error::io(&from, e))?),
        )
    }

    /// Whether nothing would be lost, and nobody would stand in the wrong place, if the folder went away.
    fn is_all_ours(&self) -> bool {
        let ours = |entry: std::io::Result<fs::DirEntry>| {
            entry.is_ok_and(|entry| FILES.iter().any(|name| entry.file_name() == *name))
        };
        let is_left = std::env::current_dir().is_ok_and(|here| !here.starts_with(&self.folder));
        is_left && fs::read_dir(&self.folder).is_ok_and(|mut entries| entries.all(ours))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // The next one tries again.
        let _ = fs::remove_dir_all(&self.root);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(draft: &Draft, content: &str) {
        fs::create_dir(draft.model()).unwrap();
        FILES.iter().for_each(|name| fs::write(draft.model().join(name), content).unwrap());
    }

    fn place(folder: &Path, content: &str) {
        let draft = Draft::new(folder).unwrap();
        write(&draft, content);
        draft.place().unwrap();
    }

    fn content(folder: &Path) -> Vec<String> {
        FILES.iter().map(|name| fs::read_to_string(folder.join(name)).unwrap()).collect()
    }

    #[test]
    fn a_model_comes_in_the_place_of_the_one_before_and_nothing_else_is_touched() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("labels-model");
        place(&folder, "one");
        assert_eq!(content(&folder), ["one"; 6]);
        place(&folder, "two");
        assert_eq!(content(&folder), ["two"; 6]);
        fs::write(folder.join("notes.txt"), "mine").unwrap();
        place(&folder, "three");
        assert_eq!(content(&folder), ["three"; 6]);
        assert_eq!(fs::read_to_string(folder.join("notes.txt")).unwrap(), "mine");
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1, "no draft is left");
    }

    #[test]
    fn one_that_was_begun_and_not_ended_changes_nothing() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("labels-model");
        place(&folder, "one");
        let draft = Draft::new(&folder).unwrap();
        write(&draft, "half");
        // Killed here.
        std::mem::forget(draft);
        assert_eq!(content(&folder), ["one"; 6]);
        place(&folder, "two");
        assert_eq!(content(&folder), ["two"; 6]);
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1, "no draft is left");
    }
}
