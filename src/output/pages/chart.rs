//! Line charts as SVG inside the page.

use maud::{Markup, html};

/// A line: its name, its colour (a CSS variable of the page) and its value at each step from 1 on.
pub(crate) struct Line<'a> {
    pub name: &'a str,
    pub colour: &'a str,
    pub values: Vec<Option<f64>>,
}

/// What a chart shows beside its lines.
pub(crate) struct Chart<'a> {
    pub title: &'a str,
    /// What one step is.
    pub step: &'a str,
    /// Lowest and highest value of the axis; taken from the lines where missing.
    pub range: Option<[f64; 2]>,
    /// A step to point out, and why.
    pub mark: Option<(usize, &'a str)>,
    /// Steps before which something new begins, and what.
    pub borders: Vec<(usize, &'a str)>,
}

/// Size of the drawing, and the room that the axes take on the left, right, top and bottom.
const SIZE: [f64; 2] = [520.0, 280.0];
const ROOM: [f64; 4] = [48.0, 14.0, 22.0, 40.0];
/// Width of a letter, about.
const LETTER: f64 = 7.0;

impl Chart<'_> {
    /// Draws the lines; values that are missing or no numbers leave a gap.
    pub(crate) fn draw(&self, lines: &[Line]) -> Markup {
        let steps = lines.iter().map(|l| l.values.len()).max().unwrap_or(0).max(1);
        let finite = || lines.iter().flat_map(|l| &l.values).flatten().copied().filter(|v| v.is_finite());
        let [low, high] = self.range.unwrap_or_else(|| {
            let (low, high) = finite().fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(v), high.max(v)));
            if low > high { [0.0, 1.0] } else { [low.min(0.0), high] }
        });
        let ticks = ticks(low, high);
        let (low, high) = (ticks[0], *ticks.last().unwrap_or(&1.0));
        let [left, right, top, bottom] = ROOM;
        let (width, height) = (SIZE[0] - left - right, SIZE[1] - top - bottom);
        // One step alone stands in the middle.
        let x = |step: usize| match steps {
            1 => left + width / 2.0,
            _ => left + width * (step as f64 - 1.0) / (steps as f64 - 1.0),
        };
        let y = |value: f64| top + height * (high - value) / (high - low);
        let floor = top + height;
        let border = |step: usize| (x(step) + x(step.saturating_sub(1).max(1))) / 2.0;
        html! {
            figure.chart {
                figcaption {
                    strong { (self.title) }
                    @for line in lines {
                        span { i style={ "background:" (line.colour) } {} (line.name) }
                    }
                }
                svg viewBox={ "0 0 " (SIZE[0]) " " (SIZE[1]) } role="img" aria-label=(self.title) {
                    @for tick in &ticks {
                        line.grid x1=(left) x2=(left + width) y1=(px(y(*tick))) y2=(px(y(*tick))) {}
                        text x=(left - 8.0) y=(px(y(*tick) + 4.5)) text-anchor="end" { (label(*tick, high - low)) }
                    }
                    @for step in step_labels(steps) {
                        text x=(px(x(step))) y=(floor + 19.0) text-anchor="middle" { (step) }
                    }
                    text x=(left + width / 2.0) y=(SIZE[1] - 4.0) text-anchor="middle" { (self.step) }
                    @for (i, (step, name)) in self.borders.iter().enumerate() {
                        @let at = border(*step);
                        line.border x1=(px(at)) x2=(px(at)) y1=(top) y2=(floor) {}
                        // A part too short for its name goes without.
                        @let room = self.borders.get(i + 1).map_or(f64::INFINITY, |(next, _)| border(*next) - at);
                        @if room > LETTER * name.len() as f64 {
                            text x=(px(at)) y=(top - 7.0) { (name) }
                        }
                    }
                    @if let Some((step, why)) = self.mark {
                        line.mark x1=(px(x(step))) x2=(px(x(step))) y1=(top) y2=(floor) {}
                        // At the foot: the borders have their names at the top.
                        @let (side, away) = if 2 * step < steps { ("start", 5.0) } else { ("end", -5.0) };
                        text x=(px(x(step) + away)) y=(floor - 6.0) text-anchor=(side) { (why) }
                    }
                    @for line in lines {
                        @for run in runs(&line.values) {
                            @let at = |i: &usize| (px(x(i + 1)), px(y(line.values[*i].unwrap_or(low))));
                            polyline style={ "stroke:" (line.colour) } points=(points(run.iter().map(at))) {}
                            @if run.len() == 1 || steps <= 40 {
                                @for i in &run {
                                    @let (cx, cy) = at(i);
                                    circle style={ "fill:" (line.colour) } cx=(cx) cy=(cy) r="3" {
                                        title { (line.name) ", " (self.step) " " (i + 1) ": " (format!("{:.4}", line.values[*i].unwrap_or(low))) }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Runs of neighbouring steps that have a value, as indices.
fn runs(values: &[Option<f64>]) -> Vec<Vec<usize>> {
    let mut runs: Vec<Vec<usize>> = Vec::new();
    for i in (0..values.len()).filter(|i| values[*i].is_some_and(f64::is_finite)) {
        match runs.last_mut() {
            Some(run) if run.last() == Some(&i.wrapping_sub(1)) => run.push(i),
            _ => runs.push(vec![i]),
        }
    }
    runs
}

/// Round values from `low` or below to `high` or above, four to seven of them.
fn ticks(low: f64, high: f64) -> Vec<f64> {
    let span = if high > low { high - low } else { 1.0 };
    let power = 10f64.powf((span / 5.0).log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0].map(|m| m * power).into_iter().find(|s| span / s <= 5.5);
    let step = step.unwrap_or(10.0 * power);
    let (first, last) = ((low / step).floor() as i64, ((low + span) / step - 1e-9).ceil() as i64);
    (first..=last.max(first + 1)).map(|i| i as f64 * step).collect()
}

fn label(tick: f64, span: f64) -> String {
    let digits = (1.0 - span.log10()).ceil().clamp(0.0, 6.0) as usize;
    format!("{tick:.digits$}")
}

/// About ten of the steps: round ones.
fn step_labels(steps: usize) -> Vec<usize> {
    let gap =
        [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000].into_iter().find(|g| steps / g <= 10).unwrap_or(steps);
    (1..=steps).filter(|step| step % gap == 0 || (gap > 1 && *step == 1)).collect()
}

fn points(points: impl Iterator<Item = (f64, f64)>) -> String {
    points.map(|(x, y)| format!("{x},{y}")).collect::<Vec<_>>().join(" ")
}

/// Tenths of a pixel are enough.
fn px(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_enclose_the_values() {
        assert_eq!(ticks(0.0, 1.0), [0.0, 0.2, 0.4, 0.6, 0.8, 1.0].map(|t: f64| (t / 0.2).round() * 0.2));
        for (low, high) in [(0.0, 2.71), (0.0, 0.003), (-1.5, 40.0), (0.0, 0.0)] {
            let ticks = ticks(low, high);
            assert!((2..=8).contains(&ticks.len()), "{ticks:?}");
            assert!(ticks[0] <= low && *ticks.last().unwrap() >= high, "{low} {high} {ticks:?}");
        }
    }

    #[test]
    fn gaps_and_odd_values_are_left_out() {
        assert_eq!(runs(&[Some(1.0), None, Some(f64::NAN), Some(2.0), Some(3.0)]), [vec![0], vec![3, 4]]);
        let chart = Chart { title: "Loss", step: "epoch", range: None, mark: None, borders: Vec::new() };
        for values in [vec![], vec![None], vec![Some(f64::NAN)], vec![Some(2.0)], vec![Some(0.0), Some(0.0)]]
        {
            let svg = chart.draw(&[Line { name: "train", colour: "var(--one)", values }]).into_string();
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }

    #[test]
    fn a_part_too_short_for_its_name_goes_without() {
        let borders = vec![(5, "long"), (40, "short"), (42, "last")];
        let chart = Chart { title: "Loss", step: "epoch", range: None, mark: None, borders };
        let values = (0..60).map(|i| Some(f64::from(i))).collect();
        let svg = chart.draw(&[Line { name: "train", colour: "var(--one)", values }]).into_string();
        assert!(svg.contains(">long<") && svg.contains(">last<") && !svg.contains(">short<"), "{svg}");
        assert_eq!(svg.matches("class=\"border\"").count(), 3);
    }
}
