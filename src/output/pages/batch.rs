//! What was found in a folder of clips, to look at: for each label its clips, the unsure ones first.

use std::cmp::Reverse;
use std::path::Path;

use maud::{Markup, PreEscaped, html};

use super::{Picture, count, how_to_look, page, percent, seconds, section, tile};
use crate::output::Row;
use crate::{ClipLabels, Label};

/// A page about the clips of one run.
pub(crate) struct BatchReport<'a> {
    /// What was labelled.
    pub title: &'a str,
    /// The model's name.
    pub model: &'a str,
    pub rows: &'a [Row],
    /// A clip's filmstrip; `None` where there is none.
    pub strip: &'a dyn Fn(&Path) -> Option<Picture>,
}

/// A labelled clip.
struct Found<'a> {
    path: &'a Path,
    clip: &'a ClipLabels,
    best: &'a Label,
    strip: Option<Picture>,
}

impl Found<'_> {
    /// Whether the model says so, rather than guesses.
    fn is_sure(&self) -> bool {
        is_sure(self.clip)
    }
}

/// A label and its clips.
struct Group<'a> {
    label: &'a str,
    /// Those that the model isn't sure of first, then by rising score.
    clips: Vec<Found<'a>>,
}

impl<'a> Group<'a> {
    /// The clips that the model is sure of.
    fn sure(&self) -> impl Iterator<Item = &Found<'a>> {
        self.clips.iter().filter(|found| found.is_sure())
    }
}

impl BatchReport<'_> {
    /// The page, which needs nothing but its filmstrips.
    pub(crate) fn html(&self) -> String {
        let groups = self.groups();
        let failed: Vec<(&Path, &str)> = self
            .rows
            .iter()
            .filter_map(|r| Some((r.path.as_path(), r.outcome.as_ref().err()?.as_str())))
            .collect();
        let lead = html! { (count(self.rows.len(), "clip")) ", labelled by " (self.model) };
        let body = html! {
            (self.tiles(&groups, failed.len()))
            (find(&groups))
            @if groups.iter().flat_map(|group| &group.clips).any(shows_both) { (how_to_look()) }
            @if groups.len() > 1 {
                (section("Labels", "How many clips show each, and the mean of their scores.", overview(&groups, self.unsure())))
            }
            @for (n, group) in groups.iter().enumerate() {
                section data-group id={ "label-" (n) } {
                    h2 { (group.label) }
                    @let unsure = group.clips.len() - group.sure().count();
                    p.note {
                        (count(group.clips.len(), "clip"))
                        @if unsure > 0 { ", " (unsure) " of them not sure" }
                        ", the least sure first"
                    }
                    ul.clips { @for found in &group.clips { (card(group.label, found)) } }
                }
            }
            @if !failed.is_empty() {
                section data-group id="failed" {
                    h2 { "Not labelled" }
                    p.note { "What is wrong with each." }
                    div.wide { table.failed {
                        @for (path, reason) in &failed {
                            tr data-name={ (path.to_string_lossy()) " " (reason) } data-label="" {
                                th { (path.to_string_lossy()) } td { (reason) }
                            }
                        }
                    } }
                }
            }
            script { (PreEscaped(include_str!("batch.js"))) }
        };
        page(self.title, lead, include_str!("batch.css"), body)
    }

    fn labelled(&self) -> impl Iterator<Item = &ClipLabels> {
        self.rows.iter().filter_map(|row| row.outcome.as_ref().ok())
    }

    /// How many clips the model isn't sure of.
    fn unsure(&self) -> usize {
        self.labelled().filter(|clip| !is_sure(clip)).count()
    }

    /// Labels by falling number of clips, with each clip under every label that it shows, or is guessed to show.
    fn groups(&self) -> Vec<Group<'_>> {
        let mut groups: std::collections::BTreeMap<&str, Vec<Found>> = Default::default();
        for row in self.rows {
            let Ok(clip) = &row.outcome else { continue };
            for (group, best) in places(clip) {
                let strip = (self.strip)(&row.path);
                groups.entry(group).or_default().push(Found { path: &row.path, clip, best, strip });
            }
        }
        let mut groups: Vec<Group> =
            groups.into_iter().map(|(label, clips)| Group { label, clips }).collect();
        for group in &mut groups {
            let order = |a: &Found, b: &Found| {
                a.is_sure().cmp(&b.is_sure()).then(a.best.score.total_cmp(&b.best.score))
            };
            group.clips.sort_by(order);
        }
        groups.sort_by_key(|group| {
            (group.label == NOTHING, Reverse(group.sure().count()), Reverse(group.clips.len()))
        });
        groups
    }

    fn tiles(&self, groups: &[Group], failed: usize) -> Markup {
        let clips = || groups.iter().flat_map(|group| &group.clips);
        let time: f64 = self.labelled().map(|clip| clip.duration_s).sum();
        let nothing = self.labelled().filter(|clip| clip.shown().is_some_and(<[Label]>::is_empty)).count();
        let several = self.labelled().any(|clip| clip.shown().is_some());
        let (labelled, found) = (self.labelled().count(), clips().count());
        let knows_doubt = self.labelled().any(|clip| clip.confident.is_some());
        let seen = groups.iter().filter(|group| group.label != NOTHING && group.sure().next().is_some());
        html! {
            div.tiles {
                (tile("Labelled", &count(labelled, "clip"), &format!("{} of video", seconds(time))))
                (tile("Labels", &seen.count().to_string(), "seen in at least one clip"))
                @if found > 0 && !several {
                    (tile("Mean score", &percent(clips().map(score).sum::<f64>() / found as f64), "of the best labels"))
                }
                @if several { (tile("Nothing known", &count(nothing, "clip"), "no label reaches its threshold")) }
                @if knows_doubt { (tile("Not sure", &count(self.unsure(), "clip"), "below the model's threshold")) }
                (tile("Not labelled", &count(failed, "clip"), if failed > 0 { "listed at the end" } else { "all could be read" }))
            }
        }
    }
}

fn card(label: &str, found: &Found) -> Markup {
    let path = found.path.to_string_lossy();
    let name = found.path.file_name().unwrap_or_default().to_string_lossy();
    let unsure = !found.is_sure();
    html! {
        li.clip.unsure[unsure] data-name={ (path) " " (label) } data-label=(label) {
            @if let Some(strip) = &found.strip { (strip.html(&format!("frames of {name}"), "")) }
            p.score {
                (percent(score(found)))
                i { b style={ "width:" (format!("{:.0}%", 100.0 * score(found))) } {} }
                @if unsure { em { "not sure" } }
            }
            p {
                a href=(link(found.path)) title=(path) { (name) }
                small {
                    " · " (seconds(found.clip.duration_s))
                    @match found.clip.shown() {
                        None => @if let Some(second) = found.clip.labels.get(1) {
                            " · else " (second.label) " " (percent(f64::from(second.score)))
                        },
                        Some([]) => { " · nearest is " (found.best.label) }
                        Some(shown) => @for other in shown.iter().filter(|other| other.label != label) {
                            " · also " (other.label) " " (percent(f64::from(other.score)))
                        },
                    }
                    @for warning in &found.clip.warnings { " · " (warning) }
                }
            }
        }
    }
}

fn shows_both(found: &Found) -> bool {
    found.strip.as_ref().is_some_and(Picture::shows_both)
}

/// The group of clips that show none of the labels, where they may show several.
const NOTHING: &str = "nothing it knows";

/// The labels that a clip belongs under, and what it scores there.
fn places(clip: &ClipLabels) -> Vec<(&str, &Label)> {
    match (clip.shown(), clip.labels.first()) {
        (_, None) => Vec::new(),
        (None, Some(best)) => vec![(&best.label, best)],
        (Some([]), Some(best)) => vec![(NOTHING, best)],
        (Some(shown), _) => shown.iter().map(|label| (label.label.as_str(), label)).collect(),
    }
}

/// Whether the model says what the clip shows, rather than guesses.
fn is_sure(clip: &ClipLabels) -> bool {
    clip.confident != Some(false)
}

/// How many cards of the page show the clip of a row, each with its filmstrip.
pub(crate) fn cards(row: &Row) -> usize {
    row.outcome.as_ref().map_or(0, |clip| places(clip).len())
}

fn score(found: &Found) -> f64 {
    f64::from(found.best.score)
}

fn find(groups: &[Group]) -> Markup {
    let unsure = groups.iter().flat_map(|g| &g.clips).any(|found| !found.is_sure());
    html! {
        section { form.find {
            input type="search" name="words" placeholder="Search names and labels" aria-label="Search";
            select name="label" aria-label="Label" {
                option value="" { "All labels" }
                @for group in groups { option { (group.label) } }
            }
            @if unsure { label { input type="checkbox" name="unsure"; "not sure only" } }
            output name="shown" {}
        } }
    }
}

/// What a model is not sure of shows no label: those clips have a row of their own.
fn overview(groups: &[Group], unsure: usize) -> Markup {
    let most = groups.iter().map(|group| group.sure().count()).fold(unsure.max(1), usize::max) as f64;
    let number = |clips: usize| {
        html! {
            td.number { (clips) }
            td.bar.optional { i { b style={ "width:" (format!("{:.1}%", 100.0 * clips as f64 / most)) } {} } }
        }
    };
    html! {
        div.overview { table.labels {
            thead { tr { th { "Label" } th.number { "Clips" } th.bar.optional {} th.number { "Mean score" } } }
            tbody {
                @for (n, group) in groups.iter().enumerate() {
                    @let clips = group.sure().count();
                    tr {
                        th { a href={ "#label-" (n) } { (group.label) } }
                        (number(clips))
                        td.number { @if clips > 0 { (percent(group.sure().map(score).sum::<f64>() / clips as f64)) } }
                    }
                }
                @if unsure > 0 { tr { th { "not sure" } (number(unsure)) td {} } }
            }
        } }
    }
}

/// The clip's file, for a browser on the same machine.
fn link(path: &Path) -> String {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut link = String::from("file://");
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'/' | b'-' | b'_' | b'.' | b'~' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => {
                link.push(*byte as char)
            }
            _ => link.push_str(&format!("%{byte:02X}")),
        }
    }
    link
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timings;

    fn row(name: &str, best: &str, score: f32, confident: Option<bool>) -> Row {
        let label = |label: &str, score| Label { label: label.into(), score, above: None };
        let clip = ClipLabels {
            path: name.into(),
            labels: vec![label(best, score), label("other", 0.01)],
            confident,
            duration_s: 2.0,
            frames: 4,
            model: "m".into(),
            warnings: vec![],
            timings: Timings::default(),
        };
        Row { path: name.into(), outcome: Ok(clip) }
    }

    fn html(rows: &[Row]) -> String {
        BatchReport { title: "Clips", model: "m", rows, strip: &|_| None }.html()
    }

    #[test]
    fn the_least_sure_clip_of_the_most_frequent_label_comes_first() {
        let rows = [row("c1", "B", 0.9, None), row("c2", "A", 0.8, None), row("c3", "A", 0.3, None)];
        let page = html(&rows);
        let at = |text: &str| page.find(&format!("data-name=\"{text}")).unwrap();
        assert!(at("c3 A") < at("c2 A") && at("c2 A") < at("c1 B"));
        assert!(!page.contains("Not sure") && !page.contains("<h2>Not labelled"));
    }

    #[test]
    fn what_the_model_is_not_sure_of_comes_first_and_counts_for_no_label() {
        let sure = |name, label, score| row(name, label, score, Some(true));
        let unsure = |name, label, score| row(name, label, score, Some(false));
        let rows = [
            sure("c1", "A", 0.5),
            unsure("c2", "A", 0.95),
            sure("c3", "A", 0.9),
            unsure("c4", "B", 0.8),
            unsure("c5", "B", 0.7),
            unsure("c6", "B", 0.6),
        ];
        let page = html(&rows);
        let at = |text: &str| page.find(&format!("data-name=\"{text}")).unwrap();
        assert!(at("c2 A") < at("c1 A") && at("c1 A") < at("c3 A") && at("c3 A") < at("c6 B"), "{page}");
        for part in [
            "<a href=\"#label-0\">A</a></th><td class=\"number\">2</td>",
            "<a href=\"#label-1\">B</a></th><td class=\"number\">0</td>",
            "<th>not sure</th><td class=\"number\">4</td>",
            "70.0\u{202f}%</td>",
            "Labels</span><strong>1</strong>",
            "Not sure</span><strong>4 clips</strong>",
            "3 clips, 1 of them not sure, the least sure first",
        ] {
            assert!(page.contains(part), "{part} in {page}");
        }
    }

    #[test]
    fn a_clip_stands_under_each_label_that_it_shows() {
        let several = |name: &str, above: [bool; 2]| {
            let mut row = row(name, "A", 0.6, None);
            if let Ok(clip) = &mut row.outcome {
                clip.labels[1].label = "B".into();
                clip.labels.iter_mut().zip(above).for_each(|(label, above)| label.above = Some(above));
            }
            row
        };
        let rows =
            [several("both", [true, true]), several("one", [true, false]), several("none", [false; 2])];
        assert_eq!(rows.each_ref().map(cards), [2, 1, 1]);
        let page = html(&rows);
        for card in ["both A", "both B", "one A", "none nothing it knows"] {
            assert!(page.contains(&format!("data-name=\"{card}\"")), "{card} in {page}");
        }
        assert!(
            !page.contains("one B") && page.contains("· also B 1.0") && page.contains("· nearest is A"),
            "{page}"
        );
        assert!(page.contains("3 clips") && page.contains("Nothing known"), "{page}");
    }

    #[test]
    fn failures_have_their_own_section_and_names_are_escaped() {
        let bad = Row { path: "<b>.mp4".into(), outcome: Err("is <empty>".into()) };
        let page = html(&[row("a \"b\".mp4", "A", 0.9, Some(false)), bad]);
        assert!(page.contains("<h2>Not labelled</h2>") && page.contains("is &lt;empty&gt;"));
        assert!(!page.contains("<b>.mp4") && page.contains("a &quot;b&quot;.mp4 A"));
        assert!(page.contains("not sure only") && page.contains("class=\"clip unsure\""));
        assert!(!page.contains("http"), "nothing is loaded from elsewhere");
    }

    #[test]
    fn links_are_escaped() {
        assert_eq!(link(Path::new("/a b/ü#?.mp4")), "file:///a%20b/%C3%BC%23%3F.mp4");
    }
}
