//! Lists of clips that are there already, which the examples that draw some of them share.

use std::path::Path;

use classify::learning::dataset::{Dataset, Sample, Split};

/// Writes the list `path,label,split,group` of these clips of `data` to `out`.
///
/// # Errors
/// Where it can't be written, or a path is no text.
pub(crate) fn write<'a>(
    data: &Dataset,
    clips: impl IntoIterator<Item = (&'a Sample, Split)>,
    out: &Path,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut list = csv::Writer::from_path(out)?;
    list.write_record(["path", "label", "split", "group"])?;
    for (sample, split) in clips {
        let path = sample.path.canonicalize()?;
        let path = path.to_str().ok_or("a path that is no text")?;
        list.write_record([path, &data.labels[sample.label()], split.name(), &sample.group])?;
    }
    Ok(list.flush()?)
}
