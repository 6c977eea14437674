//! The page of a trained or evaluated model.

use maud::{Markup, html};

use super::mistakes::{Wrong, worst};
use super::{SeveralResults, confusion};
use crate::learning::dataset::{Dataset, NONE, Problem, Split, Task};
use crate::learning::metrics::Metrics;
use crate::output::pages::chart::{Chart, Line};
use crate::output::pages::{Filmstrip, count, page, percent, section, tile};

/// What the page shows; parts that are empty are left out of it.
#[derive(Clone, Copy)]
pub(crate) struct TrainingReport<'a> {
    /// The model's name.
    pub title: &'a str,
    /// Which clips the figures are of: `test` or `validation`.
    pub part: &'a str,
    /// The model's figures first, then those of its baselines, such as the mean head; none for a model that names
    /// several labels.
    pub results: &'a [(&'a str, &'a Metrics)],
    /// The figures of a model that names several labels.
    pub several: Option<SeveralResults<'a>>,
    /// Of the data and of the figures.
    pub warnings: &'a [String],
    /// Name and value: backbone, head, training time, seed, …
    pub facts: &'a [(&'a str, String)],
    /// The command that made the model or the figures.
    pub command: &'a str,
    /// One a training epoch; none for an evaluation.
    pub epochs: &'a [EpochPoint],
    /// The epoch (from 1) whose weights are the model's.
    pub best_epoch: Option<usize>,
    pub dataset: &'a Dataset,
    /// Clips of all parts that could not be used.
    pub problems: &'a [Problem],
    /// The worst first.
    pub mistakes: &'a [Mistake],
}

/// One epoch's figures. Accuracies are shares, or mAP where clips show several labels; missing ones leave a gap.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct EpochPoint {
    pub train_loss: Option<f64>,
    pub val_loss: Option<f64>,
    pub train_accuracy: Option<f64>,
    pub val_accuracy: Option<f64>,
    /// What was trained: a line marks where it changes.
    pub stage: String,
}

/// A clip that was answered wrongly.
#[derive(Debug, Clone)]
pub(crate) struct Mistake {
    /// The clip's path as the data names it.
    pub name: String,
    /// The true label and the score it got.
    pub truth: (String, f64),
    /// The label answered and its score.
    pub answer: (String, f64),
    pub filmstrip: Option<Filmstrip>,
}

impl TrainingReport<'_> {
    /// The whole page.
    pub(crate) fn to_html(self) -> String {
        let lead = html! { "Video classifier · " (self.dataset.labels.len()) (if self.several.is_some() { " labels, several a clip" } else { " classes" }) " · figures of the " (self.part) " clips" };
        let body = html! {
            (self.figures())
            @if let Some(several) = self.several { (several.figures()) }
            @for warning in self.warnings { p.warning { (warning) } }
            (self.comparison())
            @if let Some(several) = self.several { (several.comparison()) }
            @if !self.epochs.is_empty() { (self.curves()) }
            @if let Some((_, metrics)) = self.results.first() {
                (section("Classes", "Precision: how many of the clips answered so are of the class. Recall: how many of the class's clips are answered so.", classes(metrics)))
                (section("Confusion", "", html! { div.mixed { (confusion::matrix(metrics)) (confusion::pairs(metrics)) } }))
            }
            @if let Some(several) = self.several {
                (several.labels())
                (several.together())
                @if !several.mistakes.is_empty() { (several.worst()) }
            }
            @if !self.mistakes.is_empty() { (self.worst()) }
            @if !self.problems.is_empty() { (self.unreadable()) }
            (section("Data", &self.dataset.split_line(), self.split()))
            (section("How it was made", "", html! {
                dl { @for (name, value) in self.facts { dt { (name) } dd { (value) } } }
                pre { (self.command) }
            }))
        };
        page(self.title, lead, include_str!("training.css"), body)
    }

    fn figures(&self) -> Markup {
        let Some((_, m)) = self.results.first() else { return html! {} };
        let [low, high] = m.accuracy_interval;
        let errors = match m.errors {
            0 => "all could be read".to_owned(),
            n => format!("{n} unreadable, counted as wrong"),
        };
        html! {
            div.tiles {
                (tile("Accuracy", &percent(m.accuracy), &format!("95\u{202f}%: {:.1} to {:.1}", 100.0 * low, 100.0 * high)))
                (tile("Macro-F1", &format!("{:.3}", m.macro_f1), "every class counts the same"))
                @if m.per_class.len() > 5 { (tile("Top 5", &percent(m.top5), "truth among the best five")) }
                (tile("Clips", &m.clips.to_string(), &errors))
                (tile("Calibration error", &percent(m.calibration_error), "how far scores are from truth"))
            }
        }
    }

    fn comparison(&self) -> Markup {
        let Some((_, first)) = self.results.first() else { return html! {} };
        let row = |name: &str, accuracy: f64, interval: Option<[f64; 2]>, macro_f1: Option<f64>| {
            html! {
                tr {
                    th { (name) }
                    td.bar {
                        i {
                            b style={ "width:" (css_percent(accuracy)) } {}
                            @if let Some([low, high]) = interval {
                                u style={ "left:" (css_percent(low)) ";width:" (css_percent(high - low)) } {}
                            }
                        }
                    }
                    td.number { (percent(accuracy)) }
                    td.number.optional { @if let Some([low, high]) = interval { (format!("{:.1} to {:.1}", 100.0 * low, 100.0 * high)) } }
                    td.number { @if let Some(f1) = macro_f1 { (format!("{f1:.3}")) } }
                }
            }
        };
        let table = html! {
            div.wide {
                table.results {
                    thead { tr { th {} th {} th.number { "Accuracy" } th.number.optional { "95 % interval" } th.number { "Macro-F1" } } }
                    tbody {
                        @for (name, m) in self.results {
                            (row(name, m.accuracy, Some(m.accuracy_interval), Some(m.macro_f1)))
                        }
                        (row(&format!("always “{}”", first.majority.label), first.majority.accuracy, None, None))
                    }
                }
            }
        };
        section(
            "Result beside the baselines",
            "A model is worth its trouble where it beats the simple ones.",
            table,
        )
    }

    fn curves(&self) -> Markup {
        let line = |name, colour, value: fn(&EpochPoint) -> Option<f64>| Line {
            name,
            colour,
            values: self.epochs.iter().map(value).collect(),
        };
        let changes = self.epochs.windows(2).zip(2..).filter(|(pair, _)| pair[0].stage != pair[1].stage);
        let borders: Vec<_> = changes.map(|(pair, step)| (step, pair[1].stage.as_str())).collect();
        let mark = self.best_epoch.map(|epoch| (epoch, "kept"));
        let chart = |title, range| Chart { title, step: "epoch", range, mark, borders: borders.clone() };
        let loss = [
            line("training", "var(--two)", |e| e.train_loss),
            line("validation", "var(--one)", |e| e.val_loss),
        ];
        let validated = line("validation", "var(--one)", |e| e.val_accuracy);
        let accuracy = match self.several {
            Some(_) => vec![validated],
            None => vec![line("training", "var(--two)", |e| e.train_accuracy), validated],
        };
        let charts = html! {
            div.charts {
                (chart("Loss", None).draw(&loss))
                (chart(if self.several.is_some() { "mAP" } else { "Accuracy" }, Some([0.0, 1.0])).draw(&accuracy))
            }
        };
        section("Training", "Lines far apart: the model has learnt its training clips by heart.", charts)
    }

    fn worst(&self) -> Markup {
        let all = self.results.first().map_or(0, |(_, m)| {
            m.clips - m.errors - m.per_class.iter().enumerate().map(|(c, _)| m.confusion[c][c]).sum::<usize>()
        });
        let said = |mistake: &Mistake| {
            html! {
                "answered " span.said { (mistake.answer.0) } " " (percent(mistake.answer.1))
                ", is " span.was { (mistake.truth.0) } " " (percent(mistake.truth.1))
            }
        };
        let wrong = self.mistakes.iter().map(|mistake| Wrong {
            name: &mistake.name,
            said: said(mistake),
            filmstrip: mistake.filmstrip.as_ref(),
        });
        worst(&Vec::from_iter(wrong), &all.to_string())
    }

    fn unreadable(&self) -> Markup {
        let problems = self.problems;
        let body = html! {
            div.wide {
                table {
                    tbody {
                        @for problem in problems.iter().take(100) {
                            tr { th { (problem.sample.name) } td { (problem.reason) } }
                        }
                    }
                }
            }
            @if problems.len() > 100 { p.note { "and " (count(problems.len() - 100, "more clip")) } }
        };
        section("Clips that could not be read", "", body)
    }

    fn split(&self) -> Markup {
        let data = self.dataset;
        let none = |split| data.none.part(split).count();
        let bare = |split| data.part(split).filter(|sample| sample.labels.is_empty()).count();
        let parts: Vec<(Split, Vec<usize>)> = [Split::Train, Split::Val, Split::Test]
            .into_iter()
            .filter(|split| data.count(*split) + none(*split) > 0)
            .map(|split| (split, data.class_counts(split)))
            .collect();
        let cells = |clips: &dyn Fn(Split) -> usize| {
            html! { @for (split, _) in &parts { td.number { (clips(*split)) } } }
        };
        html! {
            div.wide {
                table.split {
                    thead { tr { th { "Clips" } @for (split, _) in &parts { th.number { (split.name()) } } } }
                    tbody {
                        @for (class, label) in data.labels.iter().enumerate() {
                            tr { th { (label) } @for (_, counts) in &parts { td.number { (counts[class]) } } }
                        }
                        @if data.task == Task::AnyOf { tr { th { "none of them" } (cells(&bare)) } }
                        tr { th { strong { "all" } } @for (split, _) in &parts { td.number { strong { (data.count(*split)) } } } }
                        // They are counted beside the others everywhere: no label is learned from them.
                        @if !data.none.samples.is_empty() { tr { th { (NONE) } (cells(&none)) } }
                    }
                }
            }
        }
    }
}

fn classes(metrics: &Metrics) -> Markup {
    let bar = |share: f64| {
        html! { td.bar { div { i { b style={ "width:" (css_percent(share)) } {} } span { (percent(share)) } } } }
    };
    html! {
        div.wide {
            table.classes {
                thead { tr { th { "Class" } th { "Precision" } th { "Recall" } th.number { "F1" } th.number { "Clips" } } }
                tbody {
                    @for class in &metrics.per_class {
                        tr {
                            th { (class.label) }
                            (bar(class.precision))
                            (bar(class.recall))
                            td.number { (format!("{:.3}", class.f1)) }
                            td.number { (class.support) }
                        }
                    }
                }
            }
        }
    }
}

pub(super) fn css_percent(share: f64) -> String {
    format!("{:.1}%", 100.0 * share.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::learning::dataset::Options;
    use crate::learning::metrics::Answer;
    use crate::learning::report::SeveralMistake;

    #[test]
    fn the_page_holds_every_part_and_escapes_names() {
        let folder = tempfile::tempdir().unwrap();
        for class in ["a & b", "<i>c"] {
            fs::create_dir(folder.path().join(class)).unwrap();
            for clip in 0..10 {
                fs::write(folder.path().join(class).join(format!("{clip}.mp4")), format!("{class}{clip}"))
                    .unwrap();
            }
        }
        fs::write(folder.path().join("<i>c/bad.mp4"), "").unwrap();
        let data = Dataset::open(folder.path(), &Options::default()).unwrap();
        let answer = |truth, right: f32| Answer { truth, scores: Some(vec![right, 1.0 - right]) };
        let answers = [answer(1, 0.1), answer(1, 0.8), answer(0, 0.7), Answer { truth: 0, scores: None }];
        let metrics = Metrics::new(&data.labels, &answers);
        let mistake = Mistake {
            name: "a & b/1.mp4".into(),
            truth: ("a & b".into(), 0.2),
            answer: ("<i>c".into(), 0.8),
            filmstrip: None,
        };
        let mut warnings: Vec<String> = data.warnings.iter().map(ToString::to_string).collect();
        warnings.extend(metrics.warnings());
        let report = TrainingReport {
            title: "my <model>",
            part: "validation",
            results: &[("LSTM head", &metrics), ("mean head", &metrics)],
            several: None,
            warnings: &warnings,
            facts: &[("Seed", "7".into())],
            command: "classify train 'a & b' -o m",
            epochs: &[
                EpochPoint { train_loss: Some(1.0), stage: "head".into(), ..EpochPoint::default() },
                EpochPoint { train_loss: Some(0.5), stage: "all".into(), ..EpochPoint::default() },
            ],
            best_epoch: Some(2),
            dataset: &data,
            problems: &data.problems,
            mistakes: &[mistake],
        };
        let page = report.to_html();
        let wanted = [
            "<title>my &lt;model&gt;</title>",
            "50.0\u{202f}%",
            "1 unreadable, counted as wrong",
            "always “",
            "<polyline",
            "kept",
            "Worst mistakes",
            "the file is empty",
            "classify train 'a &amp; b' -o m",
            "nothing says which clips come from one source",
        ];
        for part in wanted {
            assert!(page.contains(part), "{part} is missing in {page}");
        }
        for part in ["<i>c", "<model>", "http", "<script"] {
            assert!(!page.contains(part), "{part} in {page}");
        }
        let evaluation = TrainingReport { epochs: &[], mistakes: &[], ..report }.to_html();
        assert!(!evaluation.contains("<svg") && !evaluation.contains("Worst mistakes"));
    }

    /// The data of a list, whose clips are made.
    fn listed(folder: &Path, list: &str) -> Dataset {
        for name in list.lines().skip(1).filter_map(|line| line.split(',').next()) {
            fs::write(folder.join(name), name).unwrap();
        }
        let path = folder.join("clips.csv");
        fs::write(&path, list).unwrap();
        Dataset::open(&path, &Options { cut: false, ..Options::default() }).unwrap()
    }

    /// A report of its data alone.
    fn bare(data: &Dataset) -> TrainingReport<'_> {
        TrainingReport {
            title: "m",
            part: "test",
            results: &[],
            several: None,
            warnings: &[],
            facts: &[],
            command: "",
            epochs: &[],
            best_epoch: None,
            dataset: data,
            problems: &[],
            mistakes: &[],
        }
    }

    #[test]
    fn the_table_of_the_data_has_the_clips_of_no_label() {
        let folder = tempfile::tempdir().unwrap();
        let page = |list: &str| bare(&listed(folder.path(), list)).to_html();
        let row = |name: &str, clips: &[usize]| {
            let cells: String = clips.iter().map(|n| format!("<td class=\"number\">{n}</td>")).collect();
            format!("<tr><th>{name}</th>{cells}</tr>")
        };
        let one = page(
            "path,label,split\na.mp4,run,train\nb.mp4,walk,train\nc.mp4,_none_,train\nd.mp4,_none_,test\n",
        );
        assert!(one.contains(&row("run", &[1, 0])) && one.contains(&row("_none_", &[1, 1])), "{one}");
        let several = page("path,labels,split\na.mp4,run|walk,train\nb.mp4,,train\nc.mp4,,train\n");
        assert!(several.contains(&row("none of them", &[2])) && !several.contains("_none_"), "{several}");
    }

    #[test]
    fn strips_of_two_rows_are_explained_whatever_the_model_names() {
        let folder = tempfile::tempdir().unwrap();
        let data = listed(folder.path(), "path,label\na.mp4,run\nb.mp4,walk\n");
        let strip =
            |both| Some(Filmstrip { jpeg: vec![], width: 100, height: 20, times: vec![0.0, 1.0], both });
        let [two, one] = [true, false].map(|both| {
            let mistake = Mistake {
                name: "a.mp4".into(),
                truth: ("run".into(), 0.2),
                answer: ("walk".into(), 0.8),
                filmstrip: strip(both),
            };
            let missed = SeveralMistake {
                name: "a.mp4".into(),
                missed: vec![("run".into(), 0.2)],
                filmstrip: strip(both),
                ..SeveralMistake::default()
            };
            let several = SeveralResults { results: &[], mistakes: &[missed] };
            [
                TrainingReport { mistakes: &[mistake], ..bare(&data) }.to_html(),
                TrainingReport { several: Some(several), ..bare(&data) }.to_html(),
            ]
        });
        for page in two {
            assert!(page.contains("<kbd>S</kbd>") && page.contains("<script"), "{page}");
            assert!(page.contains("with frames of each."), "{page}");
        }
        for page in one {
            assert!(!page.contains("<kbd>") && !page.contains("<script"), "{page}");
            assert!(page.contains("with frames that it saw."), "{page}");
        }
    }
}
