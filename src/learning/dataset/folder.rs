//! A folder with one folder a class: `DATA/CLASS/…/clip.mp4`, or `DATA/{train,val,test}/CLASS/…`.

use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::{Row, Split, Warning, warning::some_of};
use crate::video::has_video_ending;
use crate::{Error, Result};

/// Reads a folder. Classes are the folder names; clips may lie at any depth below them.
pub(super) fn read(root: &Path) -> Result<(Vec<Row>, Vec<Warning>)> {
    let mut reader = Reader { root, rows: Vec::new(), warnings: Vec::new(), others: 0 };
    let (folders, loose) = children(root)?;
    reader.others += loose;
    let is_train = |name: &str| Split::parse(name) == Some(Split::Train);
    let has_train = folders.iter().any(|(_, name)| is_train(name));
    // Annotations beside the parts of a split don't make the parts classes.
    let (folders, empty): (Vec<_>, Vec<_>) =
        folders.into_iter().partition(|(folder, _)| videos(folder).next().is_some());
    for (folder, name) in empty {
        reader.class(&folder, &name, None);
    }
    let no_parts: Vec<String> = (folders.iter().filter(|(_, name)| Split::parse(name).is_none()))
        .map(|(_, name)| format!("'{name}'"))
        .collect();
    // Folders called train, val and test hold the classes, they are none.
    if has_train && no_parts.is_empty() {
        for (folder, name) in folders {
            let (classes, loose) = children(&folder)?;
            reader.others += loose;
            for (folder, label) in classes {
                reader.class(&folder, &label, Split::parse(&name));
            }
        }
    } else {
        for (folder, label) in folders {
            // With its clips right inside it, it is a class: there are trains on film, too.
            if is_train(&label) && videos(&folder).any(|path| path.parent() != Some(folder.as_path())) {
                let reason = format!(
                    "'{label}' holds folders of clips like a part of a split, but beside it are videos in {}, which is \
                     called neither train, val nor test: move that elsewhere; or, where '{label}' is a class, put its \
                     clips right into it; or give a list (CSV with path,label,split)",
                    some_of(&no_parts)
                );
                return Err(Error::data(root, reason));
            }
            reader.class(&folder, &label, None);
        }
    }
    if reader.rows.is_empty() {
        let reason = "no video in a class folder; a data set is a folder with one folder of clips a class, or a list (CSV with path,label)";
        return Err(Error::data(root, reason));
    }
    if reader.others > 0 {
        reader.warnings.push(Warning::OtherFiles(reader.others));
    }
    Ok((reader.rows, reader.warnings))
}

struct Reader<'a> {
    root: &'a Path,
    rows: Vec<Row>,
    warnings: Vec<Warning>,
    /// Files that are no videos, or lie outside the class folders.
    others: usize,
}

impl Reader<'_> {
    fn class(&mut self, folder: &Path, label: &str, split: Option<Split>) {
        let before = self.rows.len();
        for path in files(folder) {
            if !has_video_ending(&path) {
                self.others += 1;
                continue;
            }
            let name = path.strip_prefix(self.root).unwrap_or(&path);
            self.rows.push(Row {
                span: None,
                name: name.to_string_lossy().into_owned(),
                path,
                labels: vec![label.to_owned()],
                split,
                group: None,
            });
        }
        if self.rows.len() == before {
            let name = folder.strip_prefix(self.root).unwrap_or(folder);
            self.warnings.push(Warning::EmptyClass(name.to_string_lossy().into_owned()));
        }
    }
}

/// The visible files at any depth below `folder`, sorted.
fn files(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let visible = |e: &walkdir::DirEntry| e.depth() == 0 || !is_hidden(e.file_name());
    let walk = WalkDir::new(folder).follow_links(true).sort_by_file_name();
    walk.into_iter().filter_entry(visible).filter_map(|entry| match entry {
        Ok(entry) if entry.file_type().is_dir() => None,
        Ok(entry) => Some(entry.into_path()),
        // A link that leads nowhere is a missing clip; the check of the files names it.
        Err(error) => error.path().map(Path::to_owned),
    })
}

pub(super) fn videos(folder: &Path) -> impl Iterator<Item = PathBuf> {
    files(folder).filter(|path| has_video_ending(path))
}

/// The visible folders in `root` with their names, sorted, and how many visible files lie there.
fn children(root: &Path) -> Result<(Vec<(PathBuf, String)>, usize)> {
    let (mut folders, mut files) = (Vec::new(), 0);
    for entry in std::fs::read_dir(root).map_err(|e| Error::io(root, e))? {
        let entry = entry.map_err(|e| Error::io(root, e))?;
        if is_hidden(&entry.file_name()) {
            continue;
        }
        if entry.path().is_dir() {
            let name = entry.file_name().to_string_lossy().into_owned();
            folders.push((entry.path(), name));
        } else {
            files += 1;
        }
    }
    folders.sort();
    Ok((folders, files))
}

fn is_hidden(name: &std::ffi::OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}
