//! What is made of a run's results beside the output: a page to look at, folders of clips.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::bulk::worker::{Pool, Request};
use crate::bulk::{self, Settings};
use crate::bulk::{How, SortPlan};
use crate::files::write_atomically;
use crate::output::Row;
use crate::output::pages::{BatchReport, Picture, cards};
use crate::{Error, Result, stores};

use super::super::Console;

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "To look at")]
pub(super) struct AfterArgs {
    /// Also write DIR/index.html: for each label its clips with frames and scores, to open in a browser
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Say which clip would go to which folder below DIR: one a label, 'not sure', 'nothing known'; with --yes link them
    /// there
    #[arg(long, value_name = "DIR")]
    sort_into: Option<PathBuf>,
    /// Do what --sort-into says
    #[arg(long, requires = "sort_into", hide_short_help = true)]
    yes: bool,
    /// With --sort-into, copy the clips instead of linking them
    #[arg(long, requires = "sort_into", hide_short_help = true)]
    copy: bool,
    /// With --sort-into, replace other files that stand where clips should go
    #[arg(long, requires = "yes", hide_short_help = true)]
    replace: bool,
}

/// Filmstrips of up to so many bytes together are put into the page itself, so that it can be sent as one file: some
/// hundred clips.
const INLINE: u64 = 6 << 20;

impl AfterArgs {
    /// Whether the results are needed when the run is over.
    pub(super) fn wants_rows(&self) -> bool {
        self.report.is_some() || self.sort_into.is_some()
    }

    /// Refuses to sort what is in no folder.
    pub(super) fn check(&self, clips: &[PathBuf]) -> Result<()> {
        match clips.iter().find(|clip| self.sort_into.is_some() && stores::is_address(clip)) {
            Some(clip) => Err(Error::Usage(format!(
                "{}: --sort-into links or copies files, and this is an object in a store",
                clip.display()
            ))),
            None => Ok(()),
        }
    }

    /// Makes the report's folder, before hours of work.
    pub(super) fn prepare(&self) -> Result<()> {
        match &self.report {
            Some(dir) => {
                let strips = dir.join("strips");
                std::fs::create_dir_all(&strips).map_err(|e| Error::io(&strips, e))
            }
            None => Ok(()),
        }
    }

    /// Labels a clip, with its filmstrip where there is to be a report.
    pub(super) fn request(&self) -> impl Fn(&Path) -> Request + Send + Sync + use<> {
        let report = self.report.clone();
        move |path| match &report {
            Some(dir) => Request::label_with_strip(path, strip(dir, path)),
            None => Request::label(path),
        }
    }

    /// Writes the report, sorts the clips.
    pub(super) fn run(
        &self,
        rows: &[Row],
        model: &str,
        pool: &Arc<Pool>,
        settings: &Settings,
        console: &Console,
    ) -> Result<()> {
        if let Some(dir) = &self.report {
            self.write_report(dir, rows, model, pool, settings)?;
            console.note(format!("report: {}", dir.join("index.html").display()));
        }
        if let Some(dir) = &self.sort_into {
            self.sort(dir, rows, console)?;
        }
        Ok(())
    }

    fn write_report(
        &self,
        dir: &Path,
        rows: &[Row],
        model: &str,
        pool: &Arc<Pool>,
        settings: &Settings,
    ) -> Result<()> {
        // Clips that an earlier run labelled without a report have no filmstrip yet.
        let lacking = |row: &&Row| row.outcome.is_ok() && !strip(dir, &row.path).exists();
        let lacking: Arc<[PathBuf]> = rows.iter().filter(lacking).map(|row| row.path.clone()).collect();
        let (clips, to, workers) = (lacking.clone(), dir.to_owned(), pool.clone());
        let make = move |i: usize| workers.ask::<()>(&Request::strip(&clips[i], strip(&to, &clips[i])));
        // One that can't be had leaves its card without a picture.
        bulk::in_order(lacking.len(), settings, make)?.for_each(drop);

        let inline = fit(dir, rows);
        let source = |path: &Path| {
            let file = strip(dir, path);
            let address = || Some(format!("strips/{}", file.file_name()?.to_string_lossy()));
            Picture::of_file(&file, if inline { None } else { address() })
        };
        let title = format!("Labels of {}", crate::output::pages::count(rows.len(), "clip"));
        let page = BatchReport { title: &title, model, rows, strip: &source }.html();
        write_atomically(&dir.join("index.html"), page.as_bytes())?;
        if inline {
            // All of them are in the page.
            let _ = std::fs::remove_dir_all(dir.join("strips"));
        }
        Ok(())
    }

    fn sort(&self, dir: &Path, rows: &[Row], console: &Console) -> Result<()> {
        let plan = SortPlan::new(dir, rows);
        let how = if self.copy { How::Copy } else { How::Link };
        let word = if self.copy { "copied" } else { "linked" };
        for (from, to) in plan.taken.iter().filter(|_| !self.replace) {
            console.warning(format!(
                "{}: left out, another file stands at {}; --replace replaces it",
                from.display(),
                to.display()
            ));
        }
        let (new, there) = (plan.new.len(), plan.there);
        if self.yes {
            let done = plan.carry_out(how, self.replace)?;
            console.note(format!(
                "{done} clips {word} into folders below {}, {there} were there",
                dir.display()
            ));
            return Ok(());
        }
        for (folder, clips) in plan.folders() {
            console.note(format!("{clips:>7}  {}", dir.join(folder).display()));
        }
        console.note(format!(
            "{new} clips would be {word} into folders below {}, {there} are there; --yes does it",
            dir.display()
        ));
        Ok(())
    }
}

/// Whether the filmstrips fit into the page, where a clip has one under each label that it shows.
fn fit(dir: &Path, rows: &[Row]) -> bool {
    let size = |row: &Row| {
        let file = std::fs::metadata(strip(dir, &row.path)).map_or(0, |file| file.len());
        file * cards(row) as u64
    };
    rows.iter().map(size).sum::<u64>() <= INLINE
}

/// Where the filmstrip of the clip at `path` is kept.
fn strip(dir: &Path, path: &Path) -> PathBuf {
    let hash = blake3::hash(path.as_os_str().as_encoded_bytes()).to_hex();
    dir.join("strips").join(format!("{}.jpg", &hash[..24]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ClipLabels, Label, Timings};

    /// A clip that shows so many labels.
    fn row(shown: usize) -> Row {
        let label = |n| Label { label: format!("label {n}"), score: 0.9, above: Some(true) };
        let clip = ClipLabels {
            path: "a.mp4".into(),
            labels: (0..shown).map(label).collect(),
            confident: None,
            duration_s: 1.0,
            frames: 4,
            model: "m".into(),
            warnings: vec![],
            timings: Timings::default(),
        };
        Row { path: "a.mp4".into(), outcome: Ok(clip) }
    }

    #[test]
    fn a_filmstrip_counts_as_often_as_it_stands_in_the_page() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("strips")).unwrap();
        let file = std::fs::File::create(strip(dir.path(), Path::new("a.mp4"))).unwrap();
        file.set_len(INLINE / 2).unwrap();
        assert!(fit(dir.path(), &[row(1)]) && fit(dir.path(), &[row(2)]));
        assert!(!fit(dir.path(), &[row(3)]));
    }
}
