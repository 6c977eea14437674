//! What is labelled: a clip, or a part of a film.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Id;
use crate::video::Span;

/// A clip as the list names it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Item {
    /// Its path, seen from the list's folder where it lies in there.
    #[serde(rename = "clip")]
    pub name: String,
    /// Seconds from and to, where it is a part of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span: Option<[f64; 2]>,
}

impl Item {
    /// The whole file that the list calls `name`.
    pub(super) fn whole(name: String) -> Self {
        Self { name, span: None }
    }

    pub(super) fn id(&self) -> Id {
        match self.span {
            None => Id::of(&self.name),
            Some([start, end]) => Id::of(&format!("{}#t={start},{end}", self.name)),
        }
    }

    /// The part of the file that it is, as the decoder takes it.
    pub(super) fn part(&self) -> Option<Span> {
        self.span.map(|[start, end]| Span { start, end: Some(end) })
    }

    /// Where its file is; `folder` is the list's.
    pub(super) fn path(&self, folder: &Path) -> PathBuf {
        folder.join(&self.name)
    }
}

/// The name of the clip at `path` in a list in `folder`, an absolute path without links.
///
/// # Errors
/// Why the list can't name it.
pub(super) fn name_in(folder: &Path, path: &Path) -> Result<String, String> {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    // By its real folder, so that it is the same clip whatever way leads there; but by its own name, which a link may give
    // it on purpose.
    let real = match (absolute.parent().and_then(|parent| parent.canonicalize().ok()), absolute.file_name()) {
        (Some(parent), Some(name)) => parent.join(name),
        _ => absolute,
    };
    let seen = real.strip_prefix(folder).unwrap_or(&real);
    match seen.to_str() {
        None => Err("its name is not UTF-8, which a list can't hold: rename it".into()),
        Some(name) if name != name.trim() || name.contains(['\n', '\r']) => Err(
            "its name begins or ends with a space or has a line break, which a list can't hold: rename it"
                .into(),
        ),
        Some(name) => Ok(name.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clip_has_one_name_whatever_way_leads_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("clips/a")).unwrap();
        for path in ["clips/a/x.mp4", "clips/../clips/a/x.mp4"] {
            assert_eq!(name_in(&root, &root.join(path)).unwrap(), "clips/a/x.mp4");
        }
        let beside = root.join("clips/x.mp4");
        assert_eq!(name_in(&root.join("lists"), &beside).unwrap(), beside.to_str().unwrap());
        assert!(name_in(&root, &root.join("x ")).unwrap_err().contains("rename"));
    }

    #[test]
    fn parts_of_a_film_are_clips_of_their_own() {
        let whole = Item::whole("film.mp4".into());
        let part = Item { span: Some([1.5, 3.0]), ..whole.clone() };
        assert_ne!(whole.id(), part.id());
        let text = whole.id().to_string();
        assert_eq!((text.len(), text.parse()), (12, Ok(whole.id())));
        assert!("0123456789az".parse::<Id>().is_err() && "+12345678901".parse::<Id>().is_err());
        assert_eq!(serde_json::to_string(&part).unwrap(), r#"{"clip":"film.mp4","span":[1.5,3.0]}"#);
    }
}
