//! Where `classify train` has put models: a list in the user's state folder, one folder a line.

use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;

use crate::files::{paths, write_atomically};
use crate::{Error, Result};

/// Model folders that were trained here and are still there, the newest last.
pub fn trained_models() -> Vec<PathBuf> {
    let text = list().and_then(|list| std::fs::read_to_string(list).ok()).unwrap_or_default();
    let folders = text.lines().map(paths::from_text);
    folders.filter(|folder| folder.join("config.json").is_file()).collect()
}

/// Adds the model folder `folder` to the list, and takes off it what is gone.
///
/// # Errors
/// Where the list can't be written.
pub fn remember_trained(folder: &Path) -> Result<()> {
    let folder = std::path::absolute(folder).map_err(|e| Error::io(folder, e))?;
    let Some(list) = list() else { return Ok(()) };
    let mut folders = trained_models();
    folders.retain(|other| *other != folder);
    folders.push(folder);
    // A name with a line's end in it would be read as two.
    let lines = folders.iter().map(|folder| paths::to_text(folder)).filter(|line| !line.contains('\n'));
    let text: String = lines.map(|line| format!("{line}\n")).collect();
    let dir = list.parent().unwrap_or(&list);
    std::fs::create_dir_all(dir).map_err(|e| Error::io(dir, e))?;
    write_atomically(&list, text.as_bytes())
}

/// `classify/models` in the state folder, or where a system has none the data folder.
fn list() -> Option<PathBuf> {
    let strategy = etcetera::choose_base_strategy().ok()?;
    let state = strategy.state_dir().unwrap_or_else(|| strategy.data_dir());
    Some(state.join("classify").join("models"))
}
