//! For people: a block a clip, aligned, with a bar for each score.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};

use super::{Exporter, Row};
use crate::Label;
use crate::files::paths;

const NAME: Style = Style::new().bold();
const FACTS: Style = Style::new().dimmed();
const BEST: Style = AnsiColor::Green.on_default().bold();
const OTHER: Style = AnsiColor::Cyan.on_default();
const UNSURE: Style = AnsiColor::Yellow.on_default();

/// Cells of the bar of a score of 1.
const BAR: usize = 24;

/// Blocks with colours; whoever writes them to a file or a pipe strips those.
pub(crate) struct Text {
    top: usize,
    first: bool,
}

impl Text {
    /// Writes the best `top` labels of each clip.
    pub(crate) fn new(top: usize) -> Self {
        Self { top, first: true }
    }
}

impl Exporter for Text {
    fn is_coloured(&self) -> bool {
        true
    }

    /// A clip that failed has no block: its error stands among the messages.
    fn row(&mut self, row: &Row, out: &mut dyn Write) -> io::Result<()> {
        let Ok(clip) = &row.outcome else { return Ok(()) };
        if !std::mem::take(&mut self.first) {
            writeln!(out)?;
        }
        let name = one_line(&paths::to_text(&row.path));
        let frames = if clip.frames == 1 { "frame" } else { "frames" };
        writeln!(
            out,
            "{NAME}{name}{NAME:#}  {FACTS}{:.1} s, {} {frames}, {}{FACTS:#}",
            clip.duration_s, clip.frames, clip.model
        )?;
        let nothing = clip.shown().is_some_and(<[Label]>::is_empty);
        let unsure = clip.confident == Some(false) || nothing;
        if nothing {
            writeln!(out, "  {UNSURE}nothing it knows; the best guesses are{UNSURE:#}")?;
        } else if unsure {
            writeln!(out, "  {UNSURE}not sure; the best guesses are{UNSURE:#}")?;
        }
        let labels = match clip.shown() {
            Some(shown @ [_, ..]) => shown,
            _ => &clip.labels[..self.top.min(clip.labels.len())],
        };
        let best = clip.shown().map_or(1, <[Label]>::len);
        let width = labels.iter().map(|l| l.label.chars().count()).max().unwrap_or(0);
        for (rank, label) in labels.iter().enumerate() {
            let style = match rank {
                0 if unsure => UNSURE,
                rank if rank < best => BEST,
                _ => OTHER,
            };
            let space = width - label.label.chars().count();
            writeln!(
                out,
                "  {style}{}{style:#}{:space$}  {:5.1} %  {style}{}{style:#}",
                label.label,
                "",
                f64::from(label.score) * 100.0,
                bar(label.score)
            )?;
        }
        Ok(())
    }
}

/// A bar of eighths of a cell; a score that would vanish keeps one eighth.
fn bar(score: f32) -> String {
    let eighths = (f64::from(score.clamp(0.0, 1.0)) * (BAR * 8) as f64).round() as usize;
    let eighths = eighths.max(usize::from(score >= 0.0005));
    let part = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8];
    "█".repeat(eighths / 8) + part
}

/// `text` on one line, without control characters: a file's name can't play tricks on a terminal.
pub(crate) fn one_line(text: &str) -> String {
    let visible =
        |c: char| -> String { if c.is_control() { c.escape_default().to_string() } else { c.to_string() } };
    text.chars().map(visible).collect()
}

#[cfg(test)]
mod tests {
    use super::super::row::tests::{failed, labelled, several};
    use super::*;

    fn text(row: &Row) -> String {
        let mut out = Vec::new();
        Text::new(2).row(row, &mut out).unwrap();
        anstream::adapter::strip_str(&String::from_utf8(out).unwrap()).to_string()
    }

    #[test]
    fn columns_line_up() {
        assert_eq!(
            text(&labelled(Some(true))),
            "a, b.mp4  2.6 s, 16 frames, tiny\n  \
               PullUps    75.0 %  ██████████████████\n  \
               say \"hi\"   20.0 %  ████▊\n"
        );
        assert!(text(&labelled(Some(false))).contains("\n  not sure; the best guesses are\n  PullUps"));
        assert_eq!(text(&failed()), "");
    }

    #[test]
    fn all_that_a_clip_shows_is_there_and_no_more() {
        let shown = [("a", 0.9, true), ("b", 0.25, true), ("c", 0.22, true), ("d", 0.5, false)];
        let shown = text(&several(&shown));
        assert!(shown.lines().count() == 4 && !shown.contains("  d "), "{shown}");
        let none = text(&several(&[("a", 0.2, false), ("b", 0.1, false)]));
        assert!(none.contains("\n  nothing it knows; the best guesses are\n  a   20.0 %"), "{none}");
    }

    #[test]
    fn bars_span_the_range() {
        assert_eq!(bar(0.0), "");
        assert_eq!(bar(0.001), "▏");
        assert_eq!(bar(1.0), "█".repeat(BAR));
        assert_eq!(bar(0.5).chars().count(), BAR / 2);
    }

    #[test]
    fn control_characters_are_shown() {
        assert_eq!(one_line("a\x1b[2Jb\n.mp4"), "a\\u{1b}[2Jb\\n.mp4");
    }
}
