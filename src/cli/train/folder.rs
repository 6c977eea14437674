//! The folder that a training run writes.

use std::path::{Path, PathBuf};

use crate::learning::training::BESIDE_MODEL;
use crate::{Error, Result};

/// Where the checkpoints of a run to `output` are.
pub(super) fn checkpoints(output: &Path) -> PathBuf {
    output.join("checkpoints")
}

/// Refuses to replace a model, the work of a run that was ended, or what somebody else's folder has.
pub(super) fn check(output: &Path) -> Result<()> {
    if output.join("config.json").exists() {
        let reason = "there is a model already; --force replaces it, --resume goes on with its training";
        return Err(Error::model(output, reason));
    }
    let checkpoints = checkpoints(output);
    if std::fs::read_dir(&checkpoints).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(Error::Usage(format!(
            "{}: an earlier run left its checkpoints; --resume goes on from there, --force starts anew",
            checkpoints.display()
        )));
    }
    let ours = BESIDE_MODEL.map(|name| output.join(name));
    match ours.iter().find(|file| file.exists()) {
        Some(file) => Err(Error::Usage(format!(
            "{}: exists already and would be replaced; name a folder of its own with -o, or --force",
            file.display()
        ))),
        None => Ok(()),
    }
}

/// Makes the folder with its checkpoints, an earlier run's only where this one goes on from them.
pub(super) fn prepare(output: &Path, resume: bool) -> Result<()> {
    let checkpoints = checkpoints(output);
    if checkpoints.exists() && !resume {
        std::fs::remove_dir_all(&checkpoints).map_err(|e| Error::io(&checkpoints, e))?;
    }
    std::fs::create_dir_all(&checkpoints).map_err(|e| Error::io(&checkpoints, e))
}
