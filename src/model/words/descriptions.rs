//! The labels that somebody typed.

use std::collections::HashSet;
use std::path::Path;

use crate::{Error, Result};

/// A label, and the words that describe it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// What results say.
    pub label: String,
    /// What the network reads; the label itself where there are none.
    pub texts: Vec<String>,
}

/// Reads labels: the name of a file with one on each line (`label`, or `label: description, another one`), or
/// `label, another one`.
///
/// # Errors
/// Where there are no labels, one is named twice, or the file can't be read.
pub fn descriptions(argument: &str) -> Result<Vec<Description>> {
    let path = Path::new(argument);
    let described = if path.is_file() {
        let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, e))?;
        let text = text.trim_start_matches('\u{feff}');
        text.lines().map(str::trim).filter(|line| !line.is_empty()).map(line).collect()
    } else {
        parts(argument).map(|label| Description { label, texts: Vec::new() }).collect::<Vec<_>>()
    };
    let wrong = |reason: String| Err(Error::Usage(format!("--labels {argument}: {reason}")));
    if described.is_empty() {
        return wrong("there are no labels in it".into());
    }
    let mut seen = HashSet::new();
    if let Some(twice) = described.iter().find(|one| !seen.insert(&one.label)) {
        return wrong(format!("\"{}\" is there twice", twice.label));
    }
    Ok(described)
}

fn line(line: &str) -> Description {
    let (label, texts) = line.split_once(':').unwrap_or((line, ""));
    Description { label: label.trim().to_owned(), texts: parts(texts).collect() }
}

fn parts(list: &str) -> impl Iterator<Item = String> {
    list.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(argument: &str) -> Vec<(String, Vec<String>)> {
        descriptions(argument).unwrap().into_iter().map(|one| (one.label, one.texts)).collect()
    }

    #[test]
    fn labels_stand_on_the_command_line_or_in_a_file() {
        let plain = |label: &str| (label.to_owned(), Vec::new());
        assert_eq!(
            labels("a person falls, an empty room,"),
            [plain("a person falls"), plain("an empty room")]
        );
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, "\u{feff}fall: a person falls, a person lies on the floor\r\n\r\nempty\n")
            .unwrap();
        let texts = vec!["a person falls".to_owned(), "a person lies on the floor".to_owned()];
        assert_eq!(labels(file.path().to_str().unwrap()), [("fall".to_owned(), texts), plain("empty")]);
    }

    #[test]
    fn no_labels_and_labels_twice_are_refused() {
        for (argument, reason) in [(" , ", "no labels"), ("a, b, a", "\"a\" is there twice")] {
            let error = descriptions(argument).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
