//! Names of models on the hub.

use std::fmt;

/// A model on the hub: `OWNER/NAME`, with `@REVISION` where it isn't the branch `main`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubName {
    /// The user or organisation.
    pub owner: String,
    /// The model among the owner's.
    pub name: String,
    /// A branch, a tag, a commit or `refs/pr/N`.
    pub revision: Option<String>,
}

impl HubName {
    /// Reads `OWNER/NAME[@REVISION]`; none where `text` can't be one, as for most paths.
    pub fn parse(text: &str) -> Option<Self> {
        let (model, revision) = match text.split_once('@') {
            Some((model, revision)) => (model, Some(revision)),
            None => (text, None),
        };
        let (owner, name) = model.split_once('/')?;
        let good = is_part(owner) && is_part(name) && revision.is_none_or(is_revision);
        good.then(|| Self {
            owner: owner.into(),
            name: name.into(),
            revision: revision.filter(|r| *r != "main").map(Into::into),
        })
    }

    /// `OWNER/NAME`.
    pub fn model(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }

    /// The revision that is meant, `main` where none is named.
    pub fn revision(&self) -> &str {
        self.revision.as_deref().unwrap_or("main")
    }

    /// The model's folder in the cache.
    pub(super) fn folder(&self) -> String {
        format!("models--{}--{}", self.owner, self.name)
    }

    /// The model, at no revision, that [`Self::folder`] named `folder` after.
    pub(super) fn of_folder(folder: &str) -> Option<Self> {
        let (owner, name) = folder.strip_prefix("models--")?.split_once("--")?;
        Self::parse(&format!("{owner}/{name}"))
    }

    /// The same model at `revision`.
    pub(super) fn at(&self, revision: &str) -> Option<Self> {
        Self::parse(&format!("{}@{revision}", self.model()))
    }
}

impl fmt::Display for HubName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.name)?;
        self.revision.iter().try_for_each(|revision| write!(f, "@{revision}"))
    }
}

/// The hub's own rule; two hyphens part owner and name in the cache, so they can't be in either.
fn is_part(part: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let edge = |c: char| "-.".contains(c);
    (1..=96).contains(&part.len())
        && part.chars().all(plain)
        && !part.starts_with(edge)
        && !part.ends_with(edge)
        && !part.contains("--")
        && !part.contains("..")
}

/// It becomes a path below `refs`, which it must not lead out of.
fn is_revision(revision: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.+".contains(c);
    let part = |part: &str| !part.is_empty() && !part.starts_with('.') && part.chars().all(plain);
    revision.len() <= 200 && revision.split('/').all(part)
}

/// Whether `revision` is a whole commit, which never changes.
pub(super) fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_from_paths() {
        for text in ["MCG-NJU/videomae-base", "a/b@v1.0", "a/b@refs/pr/3", "openai/clip_vit.b32"] {
            assert_eq!(HubName::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(HubName::parse("a/b@main").unwrap().to_string(), "a/b");
        let wrong = [
            "model", "./model", "../model", "a/b/c", "/a/b", "a/", "/b", "a/..", "a--b/c", "a/b@",
            "a/b@../x", "a/b@/x", "a/b@x//y", "a b/c", r"a\b/c", "C:/x", "a/b@x@y", "a/-b", "a/b.",
        ];
        for text in wrong {
            assert_eq!(HubName::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_folder_of_the_cache_names_its_model() {
        let name = HubName::parse("a-b/c.d").unwrap();
        assert_eq!(HubName::of_folder(&name.folder()), Some(name));
        for other in ["datasets--a--b", "models--gpt2", "models--a--b--c", ".locks"] {
            assert_eq!(HubName::of_folder(other), None, "{other}");
        }
    }
}
