//! From the command's arguments to the clips to label.

use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use crate::Result;
use crate::files::{natural, paths};
use crate::stores;
use crate::video::has_video_ending;

/// The clips that the arguments mean, in their order; a folder's in natural order of names.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Inputs {
    pub clips: Vec<PathBuf>,
    /// Files in walked folders whose ending is no video's.
    pub skipped: usize,
    /// Folders that were walked.
    pub folders: usize,
}

impl Inputs {
    /// Reads the arguments. What exists on disk is a path before it is a pattern; a file named
    /// explicitly is an input whatever its ending; what doesn't exist and matches nothing stays an
    /// input too, so that opening it says what is wrong and the others go on.
    ///
    /// # Errors
    /// [`crate::Error::Usage`] where a store can't be listed, or one address has two signatures.
    pub(crate) fn find<P: AsRef<Path>>(arguments: impl IntoIterator<Item = P>) -> Result<Self> {
        let mut inputs = Self::default();
        for argument in arguments {
            let path = &stores::unsigned(&paths::from_argument(argument.as_ref()))?;
            if stores::is_address(path) {
                inputs.add_address(path)?;
                continue;
            }
            // symlink_metadata: a broken link is there, and opening it says what is wrong.
            if path.symlink_metadata().is_ok() {
                inputs.add(path);
                continue;
            }
            let before = inputs.clips.len() + inputs.folders;
            for found in matches(path) {
                inputs.add(&found);
            }
            if inputs.clips.len() + inputs.folders == before {
                inputs.clips.push(path.to_owned());
            }
        }
        Ok(inputs)
    }

    /// An address that ends with `/`, or with no video's ending while there is something below it, means all below it.
    fn add_address(&mut self, path: &Path) -> Result<()> {
        let is_folder = path.as_os_str().as_encoded_bytes().ends_with(b"/");
        if !is_folder && (has_video_ending(path) || stores::is_web(path)) {
            self.clips.push(path.to_owned());
            return Ok(());
        }
        let below = stores::list(path)?;
        if below.is_empty() && !is_folder {
            self.clips.push(path.to_owned());
            return Ok(());
        }
        self.folders += 1;
        for object in below {
            match has_video_ending(&object) {
                true => self.clips.push(object),
                false => self.skipped += 1,
            }
        }
        Ok(())
    }

    fn add(&mut self, path: &Path) {
        if path.is_dir() {
            self.folders += 1;
            self.walk(path);
        } else {
            self.clips.push(path.to_owned());
        }
    }

    /// Links are followed, a loop of links once. A folder that can't be read becomes an input, so
    /// that it is reported like a file that can't be read.
    fn walk(&mut self, folder: &Path) {
        let order = |a: &walkdir::DirEntry, b: &walkdir::DirEntry| {
            let names = (a.file_name().to_string_lossy(), b.file_name().to_string_lossy());
            natural::compare(&names.0, &names.1).then_with(|| a.file_name().cmp(b.file_name()))
        };
        for entry in WalkDir::new(folder).follow_links(true).sort_by(order) {
            match entry {
                Ok(entry) if entry.file_type().is_dir() => {}
                Ok(entry) if has_video_ending(entry.path()) => self.clips.push(entry.into_path()),
                Ok(_) => self.skipped += 1,
                Err(error) if error.loop_ancestor().is_some() => {}
                Err(error) => match error.path() {
                    Some(path) if path.is_dir() || has_video_ending(path) => self.clips.push(path.to_owned()),
                    _ => self.skipped += 1,
                },
            }
        }
    }
}

/// What a pattern matches, in natural order; nothing where `pattern` is none.
fn matches(pattern: &Path) -> Vec<PathBuf> {
    let Some(text) = pattern.to_str() else { return Vec::new() };
    if !text.contains(['*', '?', '[']) {
        return Vec::new();
    }
    let Ok(found) = glob::glob(text) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = found.filter_map(Result::ok).collect();
    paths.sort_by(|a, b| natural::compare(&a.to_string_lossy(), &b.to_string_lossy()).then_with(|| a.cmp(b)));
    paths
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, b"").unwrap();
        }
        dir
    }

    fn names(inputs: &Inputs, dir: &Path) -> Vec<String> {
        let name = |p: &PathBuf| p.strip_prefix(dir).unwrap_or(p).to_string_lossy().into_owned();
        inputs.clips.iter().map(name).collect()
    }

    #[test]
    fn folders_are_walked_in_natural_order_and_other_files_counted() {
        let dir = folder(&["b/clip10.mp4", "b/clip2.MP4", "a.mkv", "notes.txt", "b/.thumbs", "z.gif"]);
        let inputs = Inputs::find([dir.path()]).unwrap();
        assert_eq!(names(&inputs, dir.path()), ["a.mkv", "b/clip2.MP4", "b/clip10.mp4", "z.gif"]);
        assert_eq!((inputs.skipped, inputs.folders), (2, 1));
    }

    #[test]
    fn explicit_files_are_taken_whatever_their_name_and_number() {
        let dir = folder(&["clip", "notes.txt"]);
        let path = |name: &str| dir.path().join(name);
        let arguments = [path("notes.txt"), path("gone.mp4"), path("clip"), path("clip")];
        let inputs = Inputs::find(&arguments).unwrap();
        assert_eq!(inputs.clips, arguments);
        assert_eq!(inputs.skipped, 0);
    }

    #[test]
    fn a_pattern_counts_only_where_no_such_file_exists() {
        let dir = folder(&["c[1].mp4", "c1.mp4", "c2.mp4", "c10.mp4"]);
        let find = |pattern: &str| names(&Inputs::find([dir.path().join(pattern)]).unwrap(), dir.path());
        assert_eq!(find("c[1].mp4"), ["c[1].mp4"]);
        assert_eq!(find("c[12].mp4"), ["c1.mp4", "c2.mp4"]);
        assert_eq!(find("c?*.mp4"), ["c1.mp4", "c2.mp4", "c10.mp4", "c[1].mp4"]);
        assert_eq!(find("x*.mp4"), ["x*.mp4"]);
    }

    #[cfg(unix)]
    #[test]
    fn loops_of_links_end_and_broken_links_are_inputs() {
        let dir = folder(&["a/clip.mp4"]);
        std::os::unix::fs::symlink("..", dir.path().join("a/up")).unwrap();
        std::os::unix::fs::symlink("gone.mp4", dir.path().join("a/broken.mp4")).unwrap();
        let inputs = Inputs::find([dir.path()]).unwrap();
        assert_eq!(names(&inputs, dir.path()), ["a/broken.mp4", "a/clip.mp4"]);
    }

    #[cfg(unix)]
    #[test]
    fn names_need_not_be_utf8() {
        use std::os::unix::ffi::OsStrExt;
        let dir = folder(&[]);
        let path = dir.path().join(std::ffi::OsStr::from_bytes(b"caf\xe9.mp4"));
        fs::write(&path, b"").unwrap();
        assert_eq!(Inputs::find([dir.path()]).unwrap().clips, [path]);
    }
}
