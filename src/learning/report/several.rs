//! The parts of the page that only a model that names several labels has.

use maud::{Markup, html};

use super::mistakes::{Wrong, worst};
use super::page::css_percent;
use crate::learning::metrics::SeveralMetrics;
use crate::output::pages::{Filmstrip, count, percent, section, tile};

/// More labels than this don't fit a page.
const MOST_LABELS: usize = 40;

/// The figures of a model that names several labels.
#[derive(Clone, Copy)]
pub(crate) struct SeveralResults<'a> {
    /// The model's figures first, then those of its baselines, such as the mean head.
    pub results: &'a [(&'a str, &'a SeveralMetrics)],
    /// The worst first.
    pub mistakes: &'a [SeveralMistake],
}

/// A clip of which it named a label too many, or too few; with scores.
#[derive(Debug, Clone, Default)]
pub(crate) struct SeveralMistake {
    /// The clip's path as the data names it.
    pub name: String,
    /// Labels named that it shows.
    pub right: Vec<(String, f64)>,
    /// Labels named that it doesn't show.
    pub wrong: Vec<(String, f64)>,
    /// Labels that it shows and that weren't named.
    pub missed: Vec<(String, f64)>,
    pub filmstrip: Option<Filmstrip>,
}

impl SeveralMistake {
    /// How far the worst of its scores is off; 0 where nothing is wrong.
    pub(crate) fn badness(&self) -> f64 {
        let wrong = self.wrong.iter().map(|(_, score)| *score);
        wrong.chain(self.missed.iter().map(|(_, score)| 1.0 - score)).fold(0.0, f64::max)
    }
}

impl SeveralResults<'_> {
    /// The figures above everything else.
    pub(super) fn figures(&self) -> Markup {
        let Some((_, m)) = self.results.first() else { return html! {} };
        let errors = match m.errors {
            0 => "all could be read".to_owned(),
            n => format!("{n} unreadable, counted as wrong"),
        };
        html! {
            div.tiles {
                (tile("mAP", &format!("{:.3}", m.mean_average_precision), "mean over labels, at no threshold"))
                (tile("Micro-F1", &format!("{:.3}", m.micro_f1), "every answer counts the same"))
                (tile("Macro-F1", &format!("{:.3}", m.macro_f1), "every label counts the same"))
                (tile("Wholly right", &percent(m.exact), "no label too many or too few"))
                (tile("Clips", &m.clips.to_string(), &errors))
                (tile("Calibration error", &percent(m.calibration_error), "how far scores are from truth"))
            }
        }
    }

    /// The model beside its baselines.
    pub(super) fn comparison(&self) -> Markup {
        let Some((_, first)) = self.results.first() else { return html! {} };
        let row = |name: &str, value: f64, f1: Option<[f64; 2]>| {
            html! {
                tr {
                    th { (name) }
                    td.bar { i { b style={ "width:" (css_percent(value)) } {} } }
                    td.number { (format!("{value:.3}")) }
                    td.number.optional { @if let Some([micro, _]) = f1 { (format!("{micro:.3}")) } }
                    td.number { @if let Some([_, macro_f1]) = f1 { (format!("{macro_f1:.3}")) } }
                }
            }
        };
        let table = html! {
            div.wide {
                table.results {
                    thead { tr { th {} th {} th.number { "mAP" } th.number.optional { "Micro-F1" } th.number { "Macro-F1" } } }
                    tbody {
                        @for (name, m) in self.results {
                            (row(name, m.mean_average_precision, Some([m.micro_f1, m.macro_f1])))
                        }
                        (row("by chance", first.chance, None))
                    }
                }
            }
        };
        let note = "A model is worth its trouble where it beats the simple ones.";
        section("Result beside the baselines", note, table)
    }

    /// Each label's figures.
    pub(super) fn labels(&self) -> Markup {
        let Some((_, m)) = self.results.first() else { return html! {} };
        let bar = |share: f64, text: String| {
            html! { td.bar { div { i { b style={ "width:" (css_percent(share)) } {} } span { (text) } } } }
        };
        let table = html! {
            div.wide {
                table.classes.labels {
                    thead { tr { th { "Label" } th { "Average precision" } th.number.optional { "Threshold" } th.number { "Precision" }
                        th.number { "Recall" } th.number { "F1" } th.number { "Clips" } } }
                    tbody {
                        @for label in &m.per_label {
                            tr {
                                th { (label.label) }
                                (bar(label.average_precision, format!("{:.3}", label.average_precision)))
                                td.number.optional { (format!("{:.2}", label.threshold)) }
                                td.number { (percent(label.precision)) }
                                td.number { (percent(label.recall)) }
                                td.number { (format!("{:.3}", label.f1)) }
                                td.number { (label.support) }
                            }
                        }
                    }
                }
            }
        };
        let note = "A clip is said to show a label where its score reaches the label's threshold. Precision: how many of \
                    the clips said to show it do. Recall: how many of the clips that show it are said to.";
        section("Labels", note, table)
    }

    /// Which labels are shown together, and which are named beside others though they aren't there.
    pub(super) fn together(&self) -> Markup {
        let Some((_, m)) = self.results.first() else { return html! {} };
        let labels = &m.per_label;
        if labels.len() > MOST_LABELS {
            let note = html! { p.note { "The table of " (labels.len()) " labels is left out here; it is in the JSON." } };
            return section("Labels together", "", note);
        }
        let most = (0..labels.len()).flat_map(|a| m.together[a][..a].iter().copied()).max().unwrap_or(0);
        let heat = |clips: usize, of: usize| match clips {
            0 => 0,
            _ => 12 + (78.0 * clips as f64 / of.max(1) as f64).round() as u32,
        };
        let cell = |a: usize, b: usize| {
            let (both, wrongly) = (m.together[a][b], m.mistaken[a][b]);
            let title = match a == b {
                true => format!("{} show {}", count(both, "clip"), labels[a].label),
                false => format!(
                    "{} show {} and {b}; {} more, without {b}, are said to show it",
                    count(both, "clip"),
                    labels[a].label,
                    wrongly,
                    b = labels[b].label
                ),
            };
            html! {
                td.self[a == b].right[a != b] title=(title) style={ "--heat:" (if a == b { 0 } else { heat(both, most) }) } {
                    @if both > 0 { (both) } @else if wrongly == 0 { span.none { "·" } }
                    @if wrongly > 0 { sup.extra { "+" (wrongly) } }
                }
            }
        };
        let table = html! {
            div.wide {
                table.confusion.together {
                    thead { tr {
                        th.corner { "shown ↓  with →" }
                        @for label in labels { th.column { span { (label.label) } } }
                    } }
                    tbody {
                        @for (a, label) in labels.iter().enumerate() {
                            tr { th { (label.label) } @for b in 0..labels.len() { (cell(a, b)) } }
                        }
                    }
                }
            }
        };
        let note = "How many clips show both labels; on the diagonal, how many show one. Red: in how many more the second \
                    was named beside the first, though it isn't there.";
        section("Labels together", note, table)
    }

    /// The clips that it was most wrong about.
    pub(super) fn worst(&self) -> Markup {
        let all = self
            .results
            .first()
            .map_or(0, |(_, m)| m.clips - m.errors - (m.exact * m.clips as f64).round() as usize);
        let list = |labels: &[(String, f64)], class: &str| {
            html! {
                @for (i, (label, score)) in labels.iter().enumerate() {
                    @if i > 0 { ", " }
                    span class=(class) { (label) } " " (percent(*score))
                }
            }
        };
        let said = |mistake: &SeveralMistake| {
            html! {
                @if !mistake.wrong.is_empty() { "named " (list(&mistake.wrong, "said")) ", not there" }
                @if !mistake.wrong.is_empty() && !mistake.missed.is_empty() { "; " }
                @if !mistake.missed.is_empty() { "missed " (list(&mistake.missed, "was")) }
                @if !mistake.right.is_empty() { "; rightly named " (list(&mistake.right, "fine")) }
            }
        };
        let wrong = self.mistakes.iter().map(|mistake| Wrong {
            name: &mistake.name,
            said: said(mistake),
            filmstrip: mistake.filmstrip.as_ref(),
        });
        worst(&Vec::from_iter(wrong), &format!("{all} with a label too many or too few"))
    }
}
