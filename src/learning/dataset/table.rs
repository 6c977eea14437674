//! The split as a table for people.

use std::collections::HashSet;

use super::{Cut, Dataset, Grouping, NONE, Sample, Split, Task};

impl Dataset {
    /// Clips per class and part, the number of groups in parentheses where groups are known, and
    /// a line on where the split comes from. Ends with a line feed.
    pub fn split_table(&self) -> String {
        let parts: Vec<Split> = [Split::Train, Split::Val, Split::Test]
            .into_iter()
            .filter(|split| self.count(*split) > 0 || self.none.part(*split).next().is_some())
            .collect();
        let mut rows = vec![vec!["class".to_owned()]];
        rows[0].extend(parts.iter().map(|p| p.name().to_owned()));
        for (class, label) in self.labels.iter().enumerate() {
            let cells = parts.iter().map(|split| self.cell(*split, |s| s.labels.contains(&class)));
            rows.push(std::iter::once(label.clone()).chain(cells).collect());
        }
        if self.task == Task::AnyOf {
            let none = parts.iter().map(|split| self.cell(*split, |s| s.labels.is_empty()));
            rows.push(std::iter::once("none of them".to_owned()).chain(none).collect());
        }
        let totals = parts.iter().map(|split| self.cell(*split, |_| true));
        rows.push(std::iter::once("total".to_owned()).chain(totals).collect());
        // Beside the total, as no label is learned from them.
        if !self.none.samples.is_empty() {
            let cells = parts.iter().map(|split| self.counted(self.none.part(*split)));
            rows.push(std::iter::once(NONE.to_owned()).chain(cells).collect());
        }
        let width = |column: usize| {
            let cells = rows.iter().map(|row| row[column].chars().count());
            cells.max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..=parts.len()).map(width).collect();
        let mut text = String::new();
        for row in &rows {
            text += &format!("{:<1$}", row[0], widths[0]);
            for (cell, width) in row.iter().zip(&widths).skip(1) {
                text += &format!("  {cell:>width$}");
            }
            text.push('\n');
        }
        text + &self.split_line() + "\n"
    }

    /// Where split and groups come from, in one line.
    pub fn split_line(&self) -> String {
        let split = match (self.split_given, self.cut) {
            (true, None) => "split as given",
            (true, Some(Cut::ByGroup)) => "split as given, validation cut from training by group",
            (true, Some(Cut::ByClip)) => "split as given, validation cut from training by clip",
            (false, Some(_)) if self.grouping == Grouping::Clip => "validation cut by clip",
            (false, Some(Cut::ByGroup)) => "validation cut by group",
            (false, Some(Cut::ByClip)) => "validation cut by clip",
            (false, None) => "no split",
        };
        format!("{split}; groups: {}", self.grouping.describe())
    }

    fn cell(&self, split: Split, counts: impl Fn(&Sample) -> bool) -> String {
        self.counted(self.part(split).filter(|s| counts(s)))
    }

    /// How many clips, and of how many groups where those are known.
    fn counted<'a>(&self, clips: impl Iterator<Item = &'a Sample>) -> String {
        let groups: Vec<&str> = clips.map(|s| s.group.as_str()).collect();
        match self.grouping {
            Grouping::Clip => groups.len().to_string(),
            _ => format!("{} ({})", groups.len(), groups.iter().collect::<HashSet<_>>().len()),
        }
    }
}
