//! Which classes are taken for which.

use maud::{Markup, html};

use crate::learning::metrics::Metrics;
use crate::output::pages::count;

/// More classes than this don't fit a page; the list of pairs says what matters then.
const MOST_CLASSES: usize = 40;

/// The confusion matrix as a heat-coloured table.
pub(super) fn matrix(metrics: &Metrics) -> Markup {
    let classes = &metrics.per_class;
    if classes.len() > MOST_CLASSES {
        return html! { p.note { "The matrix of " (classes.len()) " classes is left out here; it is in the JSON." } };
    }
    let errors = classes.iter().any(|c| c.errors > 0);
    html! {
        div.wide {
            table.confusion {
                thead {
                    tr {
                        th.corner { "true ↓  answered →" }
                        @for class in classes { th.column { span { (class.label) } } }
                        @if errors { th.column { span { "unreadable" } } }
                    }
                }
                tbody {
                    @for (truth, (class, row)) in classes.iter().zip(&metrics.confusion).enumerate() {
                        tr {
                            th { (class.label) }
                            @for (answer, &clips) in row.iter().enumerate() {
                                @let title = format!("{}, {} as {}", count(clips, "clip"), class.label, classes[answer].label);
                                td.right[truth == answer].wrong[truth != answer] title=(title)
                                    style={ "--heat:" (heat(clips, class.support)) } {
                                    @if clips > 0 { (clips) } @else { span.none { "·" } }
                                }
                            }
                            @if errors { td { @if class.errors > 0 { (class.errors) } } }
                        }
                    }
                }
            }
        }
    }
}

/// The pairs that are mistaken most often, as a table.
pub(super) fn pairs(metrics: &Metrics) -> Markup {
    let mut pairs: Vec<(usize, usize, usize)> = Vec::new();
    for (truth, row) in metrics.confusion.iter().enumerate() {
        let wrong = row.iter().enumerate().filter(|(answer, clips)| *answer != truth && **clips > 0);
        pairs.extend(wrong.map(|(answer, &clips)| (clips, truth, answer)));
    }
    pairs.sort_by_key(|&(clips, truth, answer)| (std::cmp::Reverse(clips), truth, answer));
    let name = |class: usize| &metrics.per_class[class].label;
    html! {
        @if pairs.is_empty() {
            p.note { "No class is taken for another." }
        } @else {
            div.wide {
                table {
                    thead { tr { th { "Most often mistaken" } th { "for" } th.number { "clips" } th.number { "of" } } }
                    tbody {
                        @for (clips, truth, answer) in pairs.into_iter().take(8) {
                            tr {
                                th { (name(truth)) }
                                td { (name(answer)) }
                                td.number { (clips) }
                                td.number { (metrics.per_class[truth].support) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Colour strength in percent: the share of the class's clips; a single clip can be seen too.
fn heat(clips: usize, support: usize) -> u32 {
    match clips {
        0 => 0,
        _ => 12 + (78.0 * clips as f64 / support.max(1) as f64).round() as u32,
    }
}
