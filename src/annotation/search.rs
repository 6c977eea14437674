//! Clips that are looked for: by what was said of them, by their looks, by what the model takes them for.

use std::collections::HashMap;
use std::sync::Arc;

use super::linear::Rows;
use super::session::Session;
use super::{Clip, Found, Grid, Guess, Id, Query, Standing};

/// Clips of a grid, and how many there must be for one.
pub(super) const GRID: usize = 24;
pub(super) const LEAST: usize = 6;

/// How sure the model must be of a clip in a grid.
const SURE: f32 = 0.7;

impl Session {
    /// The clips that `query` wants: nearest first with `like`, else in the clips' order.
    pub(crate) fn find(&self, query: &Query) -> Found {
        let near = query.like.map(|id| self.near(id));
        let state = self.state();
        let text = query.text.as_ref().map(|text| text.to_lowercase());
        let wanted = |clip: &Clip| {
            let labelled_so =
                |label: &String| matches!(&clip.standing, Standing::Labelled { label: l, .. } if l == label);
            query.label.as_ref().is_none_or(labelled_so)
                && query.standing.as_ref().is_none_or(|name| clip.standing.name() == name)
                && text.as_ref().is_none_or(|text| clip.name.to_lowercase().contains(text))
        };
        let order = near.unwrap_or_else(|| (0..state.items.len()).collect());
        let clips = order.into_iter().map(|clip| state.clip(clip)).filter(wanted);
        let all: Vec<Clip> = clips.collect();
        let count = if query.count == 0 { 100 } else { query.count };
        Found { total: all.len(), clips: all.into_iter().skip(query.skip).take(count).collect() }
    }

    /// The clips that have features, those first that look most like `id`; none of the open ones that are for the test,
    /// which has to stay random.
    fn near(&self, id: Id) -> Vec<usize> {
        let (clips, means, of) = {
            let state = self.state();
            let Some(&of) = state.numbers.get(&id) else { return Vec::new() };
            let held = state.held_out();
            let shown = |clip: &usize| *clip == of || !held[*clip] || !state.is_open(*clip);
            let clips: Vec<usize> =
                (0..state.items.len()).filter(|&clip| state.means[clip].is_some()).filter(shown).collect();
            let means: Vec<Arc<[f32]>> = clips.iter().filter_map(|&clip| state.means[clip].clone()).collect();
            (clips, means, of)
        };
        let Some(row) = clips.iter().position(|&clip| clip == of) else { return Vec::new() };
        let likeness = || -> candle_core::Result<Vec<f32>> {
            let rows = Rows::standardised(means.iter().map(|mean| &**mean))?.directions()?;
            rows.matmul(&rows.narrow(0, row, 1)?.t()?)?.flatten_all()?.to_vec1()
        };
        let Ok(likeness) = likeness() else { return Vec::new() };
        let mut order: Vec<usize> = (0..clips.len()).filter(|&other| other != row).collect();
        order.sort_by(|&a, &b| likeness[b].total_cmp(&likeness[a]).then(a.cmp(&b)));
        order.into_iter().map(|row| clips[row]).collect()
    }

    /// Clips to be confirmed together: of the class `label`, or of the one that has the fewest labels among those that the
    /// model is sure of some clips of. None where it is sure of few.
    pub(crate) fn grid(&self, label: Option<&str>) -> Option<Grid> {
        let state = self.state();
        let held = state.held_out();
        let mut sure: HashMap<&str, Vec<(usize, f32)>> = HashMap::new();
        for clip in (0..state.items.len()).filter(|&clip| state.is_open(clip) && !held[clip]) {
            let Some(Guess { label, score }) = &state.guesses[clip] else { continue };
            if *score >= SURE
                && !state.is_offered(clip)
                && !state.book.refused(&state.items[clip]).contains(label)
            {
                sure.entry(label).or_default().push((clip, *score));
            }
        }
        let label = match label {
            Some(label) => label.to_owned(),
            None => {
                let counts: HashMap<String, usize> = state.status().labels.into_iter().collect();
                let enough = sure.iter().filter(|(_, clips)| clips.len() >= LEAST);
                enough.map(|(label, _)| *label).min_by_key(|label| (counts.get(*label), *label))?.to_owned()
            }
        };
        let mut clips = sure.remove(label.as_str()).filter(|clips| !clips.is_empty())?;
        clips.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        clips.truncate(GRID);
        let clips = clips.into_iter().map(|(clip, _)| state.clip(clip)).collect();
        Some(Grid { label, clips })
    }
}
