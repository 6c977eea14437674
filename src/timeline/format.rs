//! Segments as text, JSON Lines, CSV and subtitles.

use std::fmt::Write;
use std::path::Path;

use serde_json::json;

use super::Segment;
use crate::files::paths;
use crate::output::one_line;

/// How segments are written. Each but `Text` can be written as the segments come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimelineFormat {
    /// For people: a line a segment, then a bar a label.
    Text,
    /// One object a line.
    Json,
    /// `path,start_s,end_s,label,score`.
    Csv,
    /// Subtitles for browsers.
    Vtt,
    /// Subtitles for players.
    Srt,
}

/// Columns of a bar over the whole time.
const COLUMNS: usize = 60;

impl TimelineFormat {
    /// The format that a file's ending asks for.
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "txt" => Some(Self::Text),
            "json" | "jsonl" | "ndjson" => Some(Self::Json),
            "csv" => Some(Self::Csv),
            "vtt" => Some(Self::Vtt),
            "srt" => Some(Self::Srt),
            _ => None,
        }
    }

    /// What stands before the first segment.
    pub fn header(self) -> &'static str {
        match self {
            Self::Csv => "path,start_s,end_s,label,score\n",
            Self::Vtt => "WEBVTT\n\n",
            Self::Text | Self::Json | Self::Srt => "",
        }
    }

    /// The `number`-th segment (from 1) of the video at `path`.
    pub fn segment(self, path: &Path, number: usize, segment: &Segment) -> String {
        let Segment { start, end, label, score } = segment;
        let (start_s, end_s) = (millis(*start), millis(*end));
        let score_6 = (f64::from(*score) * 1e6).round() / 1e6;
        match self {
            Self::Text => {
                let name = label.as_deref().unwrap_or("not sure");
                format!(
                    "{:>9} – {:<9} {:5.1} %  {}\n",
                    clock(*start),
                    clock(*end),
                    100.0 * score,
                    one_line(name)
                )
            }
            Self::Json => {
                let path = paths::to_json(path);
                let object = json!({
                    "path": path, "start_s": start_s, "end_s": end_s, "label": label, "score": score_6
                });
                format!("{object}\n")
            }
            Self::Csv => {
                let mut writer = csv::Writer::from_writer(Vec::new());
                let path = paths::to_text(path);
                let label = label.as_deref().unwrap_or_default();
                let fields =
                    [path.as_ref(), &start_s.to_string(), &end_s.to_string(), label, &score_6.to_string()];
                // Writing to memory can't fail.
                let _ = writer.write_record(fields);
                String::from_utf8(writer.into_inner().unwrap_or_default()).unwrap_or_default()
            }
            Self::Vtt => match label {
                Some(label) => format!(
                    "{} --> {}\n{}\n\n",
                    stamp(*start, '.'),
                    stamp(*end, '.'),
                    // `-->` inside a text would end it.
                    one_line(label).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
                ),
                None => String::new(),
            },
            Self::Srt => match label {
                Some(label) => {
                    let (from, to) = (stamp(*start, ','), stamp(*end, ','));
                    format!("{number}\n{from} --> {to}\n{}\n\n", one_line(label))
                }
                None => String::new(),
            },
        }
    }

    /// Whether a player shows them.
    pub fn is_subtitles(self) -> bool {
        matches!(self, Self::Vtt | Self::Srt)
    }

    /// What stands after the last segment: for people a bar a label over `duration` seconds.
    pub fn footer(self, segments: &[Segment], duration: f64) -> String {
        if self != Self::Text || segments.is_empty() || duration <= 0.0 {
            return String::new();
        }
        let mut rows: Vec<(&str, Vec<&Segment>)> = Vec::new();
        for segment in segments {
            let name = segment.label.as_deref().unwrap_or("not sure");
            match rows.iter_mut().find(|row| row.0 == name) {
                Some(row) => row.1.push(segment),
                None => rows.push((name, vec![segment])),
            }
        }
        let width = rows.iter().map(|row| row.0.chars().count()).max().unwrap_or(0);
        let mut text = String::from("\n");
        for (name, segments) in rows {
            let seconds: f64 = segments.iter().map(|s| s.end - s.start).sum();
            let space = width - name.chars().count();
            // Writing to a string can't fail.
            let _ = writeln!(
                text,
                "{}{:space$}  {}  {}",
                one_line(name),
                "",
                bar(&segments, duration),
                clock(seconds)
            );
        }
        let end = clock(duration);
        let pad = COLUMNS - "0:00".len();
        let _ = writeln!(text, "{:width$}  0:00{end:>pad$}", "");
        text
    }
}

/// A cell for each part of the time: full where the label holds for most of it, half where for some.
fn bar(segments: &[&Segment], duration: f64) -> String {
    let part = duration / COLUMNS as f64;
    let cell = |column: usize| {
        let (from, to) = (column as f64 * part, (column + 1) as f64 * part);
        let share: f64 = segments.iter().map(|s| (s.end.min(to) - s.start.max(from)).max(0.0)).sum();
        match share / part {
            0.5.. => '█',
            0.02.. => '▒',
            _ => '·',
        }
    };
    (0..COLUMNS).map(cell).collect()
}

/// `1:02.3`, or `1:02:03` from an hour on.
fn clock(seconds: f64) -> String {
    let tenths = (seconds.max(0.0) * 10.0).round() as u64;
    let (minutes, rest) = (tenths / 600, tenths % 600);
    match minutes / 60 {
        0 => format!("{minutes}:{:02}.{}", rest / 10, rest % 10),
        hours => format!("{hours}:{:02}:{:02}", minutes % 60, rest / 10),
    }
}

/// `00:01:02.345`, as subtitles have it.
fn stamp(seconds: f64, point: char) -> String {
    let millis = (seconds.max(0.0) * 1e3).round() as u64;
    let (s, ms) = (millis / 1000, millis % 1000);
    format!("{:02}:{:02}:{:02}{point}{ms:03}", s / 3600, s / 60 % 60, s % 60)
}

fn millis(seconds: f64) -> f64 {
    (seconds * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segments() -> Vec<Segment> {
        let segment = |start, end, label: Option<&str>, score| Segment {
            start,
            end,
            label: label.map(Into::into),
            score,
        };
        vec![
            segment(0.0, 30.0, Some("a <b>, c"), 0.9),
            segment(30.0, 45.0, None, 0.2),
            segment(45.0, 3660.5, Some("run"), 0.75),
        ]
    }

    fn all(format: TimelineFormat) -> String {
        let segments = segments();
        let rows = segments.iter().zip(1..).map(|(s, n)| format.segment(Path::new("f.mp4"), n, s));
        format.header().to_owned() + &rows.collect::<String>() + &format.footer(&segments, 3660.5)
    }

    #[test]
    fn subtitles_leave_out_what_is_not_sure() {
        assert_eq!(
            all(TimelineFormat::Vtt),
            "WEBVTT\n\n00:00:00.000 --> 00:00:30.000\na &lt;b&gt;, c\n\n\
             00:00:45.000 --> 01:01:00.500\nrun\n\n"
        );
        assert_eq!(
            all(TimelineFormat::Srt),
            "1\n00:00:00,000 --> 00:00:30,000\na <b>, c\n\n3\n00:00:45,000 --> 01:01:00,500\nrun\n\n"
        );
    }

    #[test]
    fn tables() {
        assert_eq!(
            all(TimelineFormat::Csv),
            "path,start_s,end_s,label,score\nf.mp4,0,30,\"a <b>, c\",0.9\nf.mp4,30,45,,0.2\nf.mp4,45,3660.5,run,0.75\n"
        );
        let json = all(TimelineFormat::Json);
        assert_eq!(json.lines().count(), 3);
        assert!(json.contains("\"start_s\":30.0,\"end_s\":45.0,\"label\":null,\"score\":0.2}"), "{json}");
    }

    #[test]
    fn bars_show_when() {
        let text = all(TimelineFormat::Text);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "   0:00.0 – 0:30.0     90.0 %  a <b>, c");
        assert_eq!(lines[4], format!("a <b>, c  ▒{}  0:30.0", "·".repeat(59)));
        assert_eq!(lines[6], format!("run       ▒{}  1:00:15", "█".repeat(59)));
        assert_eq!(lines[7], format!("          0:00{}1:01:00", " ".repeat(49)));
    }
}
