//! Which clips come from one source and must stay on one side of a split.

use std::{
    collections::{BTreeMap, HashMap},
    fs::{self, File},
    path::Path,
    sync::LazyLock,
};

use rayon::prelude::*;
use regex::Regex;

use super::{Problem, Row, Sample, Warning};
use crate::{Error, Result};

/// Where a data set's groups come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grouping {
    /// The list's group column.
    Column,
    /// The `--group` pattern.
    Pattern,
    /// `_gNN_` in the clips' names, as in UCF-101.
    Name,
    /// Unknown: each clip is a group of its own.
    Clip,
}

impl Grouping {
    /// For people: "by …".
    pub fn describe(self) -> &'static str {
        match self {
            Self::Column => "by the list's group column",
            Self::Pattern => "by the --group pattern",
            Self::Name => "by _gNN_ in the clips' names",
            Self::Clip => "each clip its own",
        }
    }
}

/// Everything up to `_gNN` of `v_PullUps_g01_c02.avi`: group numbers count within a class, so the
/// class in front of them belongs to the group's name.
static UCF_GROUP: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"([^/\\]*?_g\d+)_[^/\\]*$").expect("a valid pattern"));

/// The group of every row.
pub(super) fn of_rows(
    rows: &[Row],
    pattern: Option<&str>,
    warnings: &mut Vec<Warning>,
) -> Result<(Grouping, Vec<String>)> {
    let pattern = pattern.map(compile).transpose()?;
    let captured = |regex: &Regex, row: &Row| captured(regex, &row.name);
    let (grouping, found): (_, Vec<Option<String>>) = if rows.iter().any(|r| r.group.is_some()) {
        if pattern.is_some() {
            warnings.push(Warning::PatternUnused);
        }
        let groups = rows.iter().map(|row| row.group.clone()).collect();
        (Grouping::Column, groups)
    } else if let Some(regex) = &pattern {
        let groups: Vec<_> = rows.iter().map(|row| captured(regex, row)).collect();
        let missed = || groups.iter().zip(rows).filter(|(group, _)| group.is_none());
        if let Some((_, row)) = missed().next() {
            warnings.push(Warning::PatternUnmatched { clips: missed().count(), example: row.name.clone() });
        }
        (Grouping::Pattern, groups)
    } else {
        let groups: Vec<_> = rows.iter().map(|row| captured(&UCF_GROUP, row)).collect();
        match groups.iter().any(Option::is_some) {
            true => (Grouping::Name, groups),
            false => (Grouping::Clip, groups),
        }
    };
    let own = |(group, row): (Option<String>, &Row)| group.unwrap_or_else(|| row.name.clone());
    Ok((grouping, found.into_iter().zip(rows).map(own).collect()))
}

/// The groups that the clips' own names tell, by `pattern` or as UCF-101 names its clips, and where they come from.
///
/// # Errors
/// [`Error::Usage`] for a bad pattern.
pub(crate) fn of_names<'a>(
    names: impl IntoIterator<Item = &'a str>,
    pattern: Option<&str>,
) -> Result<(Grouping, Vec<Option<String>>)> {
    let pattern = pattern.map(compile).transpose()?;
    let regex = pattern.as_ref().unwrap_or(&UCF_GROUP);
    let groups: Vec<_> = names.into_iter().map(|name| captured(regex, name)).collect();
    let grouping = match (&pattern, groups.iter().any(Option::is_some)) {
        (Some(_), _) => Grouping::Pattern,
        (None, true) => Grouping::Name,
        (None, false) => Grouping::Clip,
    };
    Ok((grouping, groups))
}

/// What the capture of `regex` finds in `name`.
fn captured(regex: &Regex, name: &str) -> Option<String> {
    Some(regex.captures(name)?.get(1)?.as_str().to_owned())
}

fn compile(pattern: &str) -> Result<Regex> {
    let regex = Regex::new(pattern).map_err(|e| Error::Usage(format!("--group: {e}")))?;
    if regex.captures_len() < 2 {
        let text = format!(
            "--group '{pattern}' has no capture: put parentheses around the part of the path that names the group"
        );
        return Err(Error::Usage(text));
    }
    Ok(regex)
}

/// Sets of byte-identical samples (indices). Their groups are joined; samples that can't be read
/// move to `problems`.
pub(super) fn same_content(samples: &mut Vec<Sample>, problems: &mut Vec<Problem>) -> Vec<Vec<usize>> {
    // Only files of equal length can be equal: few have to be read.
    let mut by_size: HashMap<u64, Vec<usize>> = HashMap::new();
    for (i, sample) in samples.iter().enumerate() {
        let size = fs::metadata(&sample.path).map_or(0, |m| m.len());
        by_size.entry(size).or_default().push(i);
    }
    let candidates: Vec<usize> = by_size.into_values().filter(|c| c.len() > 1).flatten().collect();
    let hashes: Vec<(usize, std::io::Result<blake3::Hash>)> =
        candidates.into_par_iter().map(|i| (i, hash(&samples[i].path))).collect();
    let mut same: HashMap<blake3::Hash, Vec<usize>> = HashMap::new();
    let mut unreadable = BTreeMap::new();
    for (i, hash) in hashes {
        match hash {
            Ok(hash) => same.entry(hash).or_default().push(i),
            Err(error) => drop(unreadable.insert(i, error.to_string())),
        }
    }
    let mut same: Vec<Vec<usize>> = same.into_values().filter(|s| s.len() > 1).collect();
    same.iter_mut().for_each(|s| s.sort_unstable());
    same.sort_unstable();
    for clips in &same {
        let group = samples[clips[0]].group.clone();
        for &other in &clips[1..] {
            let other = samples[other].group.clone();
            join(samples, &group, &other);
        }
    }
    if !unreadable.is_empty() {
        remove(samples, problems, &unreadable, &mut same);
    }
    same
}

/// Gives all samples of group `other` the group `group`.
fn join(samples: &mut [Sample], group: &str, other: &str) {
    if group != other {
        let members = samples.iter_mut().filter(|s| s.group == other);
        members.for_each(|s| s.group = group.to_owned());
    }
}

/// Moves unreadable samples to `problems` and renumbers `same`.
fn remove(
    samples: &mut Vec<Sample>,
    problems: &mut Vec<Problem>,
    unreadable: &BTreeMap<usize, String>,
    same: &mut [Vec<usize>],
) {
    for index in same.iter_mut().flatten() {
        *index -= unreadable.range(..*index).count();
    }
    let all = std::mem::take(samples);
    for (i, sample) in all.into_iter().enumerate() {
        match unreadable.get(&i) {
            Some(reason) => problems.push(Problem { sample, reason: reason.clone() }),
            None => samples.push(sample),
        }
    }
}

fn hash(path: &Path) -> std::io::Result<blake3::Hash> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(File::open(path)?)?;
    Ok(hasher.finalize())
}
