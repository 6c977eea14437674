//! Which clips a person should see next: typical ones first, then those that the model is least sure of.
//!
//! All of it works on rows: the clips that have features, by their place among them. In a round no two clips are of one
//! group, as the second would say little more, unless there are fewer groups than a round has places: the parts of a film
//! or two fill it all the same.

use std::collections::HashSet;

use candle_core::{Device, Result, Tensor};
use rand::Rng;
use rand::seq::index::sample;
use rand_chacha::ChaCha8Rng;

use super::groups::TWINS;
use super::linear::best;

/// Rounds of k-means.
const ROUNDS: usize = 8;

/// Most rows that are clustered; of more, so many are drawn.
const CLUSTERED: usize = 4000;

/// Neighbours that say how typical a clip is of its cluster.
const NEIGHBOURS: usize = 20;

/// What is known of the rows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rows<'a> {
    /// Of length 1: `f32 [rows, D]`.
    pub directions: &'a Tensor,
    /// Which may be chosen.
    pub open: &'a [bool],
    /// Which have a label that is learned.
    pub labelled: &'a [bool],
    pub groups: &'a [usize],
}

impl Rows<'_> {
    /// How many groups have rows that may be chosen.
    fn open_groups(&self) -> usize {
        let open = (0..self.open.len()).filter(|&row| self.open[row]);
        open.map(|row| self.groups[row]).collect::<HashSet<_>>().len()
    }
}

/// `count` rows that many others look like, by TypiClust (Hacohen et al. 2022): the rows are clustered into as many
/// clusters as there will be labels; of the clusters without a label, the largest first, the row that is most like its
/// nearest neighbours in it.
pub(super) fn typical(rows: Rows, count: usize, rng: &mut ChaCha8Rng) -> Result<Vec<usize>> {
    let used = clustered(&rows, rng);
    // All that are ready may be in front of people already.
    if used.is_empty() {
        return Ok(Vec::new());
    }
    let labelled = used.iter().filter(|row| rows.labelled[**row]).count();
    let places: Vec<u32> = used.iter().map(|&row| row as u32).collect();
    let directions = rows.directions.index_select(&Tensor::new(places, &Device::Cpu)?, 0)?;
    let clusters = (labelled + count).min(used.len());
    let of = cluster(&directions, clusters, rng)?;
    let mut members = vec![Vec::new(); clusters];
    of.iter().enumerate().for_each(|(place, &cluster)| members[cluster].push(place));
    let has_label = |members: &[usize]| members.iter().any(|&place| rows.labelled[used[place]]);
    members.sort_by_key(|members| (has_label(members), std::cmp::Reverse(members.len())));
    // First one row of each cluster, of groups that gave none. Where there are too few groups for that, they may give more,
    // and no cluster gives two before each gave one: so they are spread.
    let passes = if rows.open_groups() < count { count } else { 0 };
    let (mut chosen, mut groups, mut given) = (Vec::new(), HashSet::new(), vec![0; clusters]);
    for pass in 0..=passes {
        for (members, given) in members.iter().zip(&mut given) {
            if chosen.len() == count || *given >= pass.max(1) {
                continue;
            }
            let free = |place: &usize| {
                let row = used[*place];
                let is_new = pass > 0 || !groups.contains(&rows.groups[row]);
                rows.open[row] && is_new && !chosen.contains(&row)
            };
            let candidates: Vec<usize> = members.iter().copied().filter(free).collect();
            if let Some(place) = most_typical(&directions, members, &candidates)? {
                groups.insert(rows.groups[used[place]]);
                chosen.push(used[place]);
                *given += 1;
            }
        }
    }
    Ok(chosen)
}

/// The rows to cluster: all, or of very many those with a label and some others.
fn clustered(rows: &Rows, rng: &mut ChaCha8Rng) -> Vec<usize> {
    let of_use: Vec<usize> = (0..rows.open.len()).filter(|&i| rows.open[i] || rows.labelled[i]).collect();
    if of_use.len() <= CLUSTERED {
        return of_use;
    }
    let mut drawn: Vec<usize> = sample(rng, of_use.len(), CLUSTERED).iter().map(|i| of_use[i]).collect();
    drawn.extend(of_use.iter().filter(|row| rows.labelled[**row]));
    drawn.sort_unstable();
    drawn.dedup();
    drawn
}

/// That of `candidates` which is most like the nearest of `members`.
fn most_typical(directions: &Tensor, members: &[usize], candidates: &[usize]) -> Result<Option<usize>> {
    if candidates.is_empty() {
        return Ok(None);
    }
    let pick = |places: &[usize]| {
        let places: Vec<u32> = places.iter().map(|&place| place as u32).collect();
        directions.index_select(&Tensor::new(places, &Device::Cpu)?, 0)
    };
    let likeness = pick(candidates)?.matmul(&pick(members)?.t()?)?.to_vec2::<f32>()?;
    let typical = |mut row: Vec<f32>| {
        row.sort_by(|a, b| b.total_cmp(a));
        row.truncate(NEIGHBOURS);
        row.iter().sum::<f32>() / row.len() as f32
    };
    let scores = likeness.into_iter().map(typical).enumerate();
    Ok(scores.max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0))).map(|(place, _)| candidates[place]))
}

/// The cluster of each of `directions [rows, D]`, by k-means from k-means++'s start (Arthur and Vassilvitskii 2007).
fn cluster(directions: &Tensor, clusters: usize, rng: &mut ChaCha8Rng) -> Result<Vec<usize>> {
    let (rows, dim) = directions.dims2()?;
    let numbers = directions.flatten_all()?.to_vec1::<f32>()?;
    let row = |i: usize| &numbers[i * dim..(i + 1) * dim];
    let mut centres: Vec<f32> = row(rng.random_range(0..rows)).to_vec();
    let mut away = vec![f32::INFINITY; rows];
    for known in 1..clusters {
        let last = &centres[(known - 1) * dim..];
        for (i, away) in away.iter_mut().enumerate() {
            *away = away.min(row(i).iter().zip(last).map(|(a, b)| (a - b) * (a - b)).sum());
        }
        let mut left = rng.random_range(0.0..1.0) * away.iter().map(|&d| f64::from(d)).sum::<f64>();
        let drawn = away.iter().position(|&d| {
            left -= f64::from(d);
            left < 0.0
        });
        let next = row(drawn.unwrap_or(rows - 1)).to_vec();
        centres.extend(next);
    }
    let mut of = vec![0; rows];
    for _ in 0..ROUNDS {
        let lengths: Vec<f32> =
            centres.chunks_exact(dim).map(|centre| 0.5 * centre.iter().map(|x| x * x).sum::<f32>()).collect();
        let matrix = Tensor::from_slice(&centres, (clusters, dim), &Device::Cpu)?;
        let likeness = directions.matmul(&matrix.t()?)?.to_vec2::<f32>()?;
        for (of, likeness) in of.iter_mut().zip(&likeness) {
            // The nearest: ‖x − c‖² is smallest where x·c − ‖c‖²/2 is largest.
            let near = (0..clusters).map(|c| likeness[c] - lengths[c]).enumerate();
            *of = near.max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0))).map_or(0, |(c, _)| c);
        }
        let mut sizes = vec![0f32; clusters];
        let mut sums = vec![0f32; clusters * dim];
        for (i, &c) in of.iter().enumerate() {
            sizes[c] += 1.0;
            sums[c * dim..][..dim].iter_mut().zip(row(i)).for_each(|(sum, x)| *sum += x);
        }
        for c in (0..clusters).filter(|c| sizes[*c] > 0.0) {
            let mean = sums[c * dim..][..dim].iter().map(|sum| sum / sizes[c]);
            centres[c * dim..][..dim].iter_mut().zip(mean).for_each(|(x, mean)| *x = mean);
        }
    }
    Ok(of)
}

/// `count` open rows, balanced over what the model takes them for: each is of the class that has the fewest labels by then
/// (`labels` of each class), and in that the one that the model is least sure of, by how little the best of its `scores`
/// leads; first of groups without a label. Without the balance, classes that are hard to tell fill the list, and the
/// LSTM that is learned from it in the end is three points worse on UCF-101's clips.
pub(super) fn unsure(rows: Rows, scores: &[Vec<f32>], labels: &[usize], count: usize) -> Result<Vec<usize>> {
    let mut of_class = by_class(&rows, scores, labels.len());
    let (mut chosen, mut groups, mut labels) = (Vec::new(), HashSet::new(), labels.to_vec());
    let few_groups = rows.open_groups() < count;
    // First one row of a group. Where there are too few groups for that, then those that are no twins of a chosen one, and
    // then all others.
    let passes = if few_groups { 3 } else { 1 };
    let mut twins = vec![false; rows.open.len()];
    for pass in 0..passes {
        let mut aside = vec![Vec::new(); of_class.len()];
        while chosen.len() < count {
            let left = (0..labels.len()).filter(|&class| !of_class[class].is_empty());
            let Some(class) = left.min_by_key(|&class| labels[class]) else { break };
            let Some(row) = of_class[class].pop() else { break };
            let fits = match pass {
                0 => groups.insert(rows.groups[row]),
                1 => !twins[row],
                _ => true,
            };
            if !fits {
                aside[class].push(row);
                continue;
            }
            labels[class] += 1;
            chosen.push(row);
            if few_groups {
                mark_twins(rows.directions, row, &mut twins)?;
            }
        }
        aside.iter_mut().for_each(|rows| rows.reverse());
        of_class = aside;
    }
    Ok(chosen)
}

/// The open rows that the model takes for each class, the one to be chosen next last: those of groups without a label come
/// before others, and then the least sure.
fn by_class(rows: &Rows, scores: &[Vec<f32>], classes: usize) -> Vec<Vec<usize>> {
    let labelled = (0..rows.open.len()).filter(|&row| rows.labelled[row]);
    let known: HashSet<usize> = labelled.map(|row| rows.groups[row]).collect();
    let mut of_class: Vec<Vec<(usize, bool, f32)>> = vec![Vec::new(); classes];
    for row in (0..rows.open.len()).filter(|&row| rows.open[row]) {
        let (class, _, lead) = best(&scores[row]);
        of_class[class].push((row, known.contains(&rows.groups[row]), lead));
    }
    let in_order = |mut class: Vec<(usize, bool, f32)>| {
        class.sort_by(|a, b| b.1.cmp(&a.1).then(b.2.total_cmp(&a.2)).then(b.0.cmp(&a.0)));
        class.into_iter().map(|(row, ..)| row).collect::<Vec<_>>()
    };
    of_class.into_iter().map(in_order).collect()
}

/// Marks the rows that are twins of `row`.
fn mark_twins(directions: &Tensor, row: usize, twins: &mut [bool]) -> Result<()> {
    let likeness = directions.matmul(&directions.narrow(0, row, 1)?.t()?)?.flatten_all()?.to_vec1::<f32>()?;
    twins.iter_mut().zip(likeness).for_each(|(twin, likeness)| *twin |= likeness > TWINS);
    Ok(())
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::annotation::linear;
    use crate::annotation::made_up::clips;

    struct Field {
        directions: Tensor,
        open: Vec<bool>,
        labelled: Vec<bool>,
        groups: Vec<usize>,
        classes: Vec<usize>,
    }

    /// Groups of three.
    fn field(clips_: usize, classes: usize) -> Field {
        let (features, classes) = clips(clips_, classes, 32, 3);
        let rows = linear::Rows::standardised(features.iter().map(Vec::as_slice)).unwrap();
        let (open, labelled) = (vec![true; clips_], vec![false; clips_]);
        let groups = (0..clips_).map(|i| i / 3).collect();
        Field { directions: rows.directions().unwrap(), open, labelled, groups, classes }
    }

    impl Field {
        fn rows(&self) -> Rows<'_> {
            let Self { directions, open, labelled, groups, .. } = self;
            Rows { directions, open, labelled, groups }
        }
    }

    #[test]
    fn where_all_that_are_ready_are_being_looked_at_none_is_chosen() {
        let field = Field { open: vec![false; 6], ..field(6, 2) };
        assert!(typical(field.rows(), 4, &mut ChaCha8Rng::seed_from_u64(1)).unwrap().is_empty());
    }

    #[test]
    fn typical_clips_are_of_all_classes_and_of_others_than_are_known() {
        let mut field = field(300, 6);
        let choose =
            |field: &Field, count| typical(field.rows(), count, &mut ChaCha8Rng::seed_from_u64(1)).unwrap();
        let first = choose(&field, 6);
        assert_eq!(first, choose(&field, 6), "the same by the same seed");
        let seen: HashSet<usize> = first.iter().map(|&row| field.classes[row]).collect();
        assert!(seen.len() >= 5, "{} of 6 classes", seen.len());
        // Where all but two classes are known, the next two clips are of those two.
        for row in 0..300 {
            field.labelled[row] = field.classes[row] < 4 && row % 5 == 0;
            field.open[row] = !field.labelled[row];
        }
        let next = choose(&field, 8);
        assert!(next.iter().filter(|&&row| field.classes[row] >= 4).count() >= 2);
        assert!(next.iter().all(|&row| field.open[row]));
        let groups: HashSet<usize> = next.iter().map(|&row| field.groups[row]).collect();
        assert_eq!(groups.len(), next.len(), "one of a group");
    }

    #[test]
    fn few_clips_are_all_chosen_first_one_of_a_group() {
        let field = field(7, 2);
        let mut chosen = typical(field.rows(), 10, &mut ChaCha8Rng::seed_from_u64(1)).unwrap();
        let groups: HashSet<usize> = chosen[..3].iter().map(|&row| field.groups[row]).collect();
        assert_eq!(groups.len(), 3, "{chosen:?}");
        chosen.sort_unstable();
        assert_eq!(chosen, [0, 1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn parts_of_one_film_fill_a_round_with_all_that_it_shows() {
        let field = Field { groups: vec![0; 60], ..field(60, 4) };
        let chosen = typical(field.rows(), 8, &mut ChaCha8Rng::seed_from_u64(1)).unwrap();
        let rows: HashSet<usize> = chosen.iter().copied().collect();
        assert_eq!(rows.len(), 8, "{chosen:?}");
        let seen: HashSet<usize> = chosen.iter().map(|&row| field.classes[row]).collect();
        assert!(seen.len() >= 3, "{} of 4 classes", seen.len());
    }

    #[test]
    fn the_unsure_of_one_film_are_no_twins_as_long_as_there_are_others() {
        let directions = [[1f32, 0.0], [1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]];
        let field = Field {
            directions: Tensor::new(&directions, &Device::Cpu).unwrap(),
            open: vec![true; 4],
            labelled: vec![false; 4],
            groups: vec![0; 4],
            classes: Vec::new(),
        };
        let scores = [0.1f32, 0.2, 0.3, 0.4].map(|lead| vec![0.5 + lead / 2.0, 0.5 - lead / 2.0]);
        assert_eq!(unsure(field.rows(), &scores, &[0, 0], 2).unwrap(), [0, 2]);
        assert_eq!(unsure(field.rows(), &scores, &[0, 0], 4).unwrap(), [0, 2, 3, 1]);
    }

    #[test]
    fn the_unsure_come_by_how_little_the_best_leads_first_of_classes_with_few_labels() {
        let mut field = field(12, 2);
        let leads = [0.9, 0.1, 0.0, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.95];
        let takes = |first: usize| -> Vec<Vec<f32>> {
            let scores = |(row, lead): (usize, &f32)| match row < first {
                true => vec![0.5 + lead / 2.0, 0.5 - lead / 2.0],
                false => vec![0.5 - lead / 2.0, 0.5 + lead / 2.0],
            };
            leads.iter().enumerate().map(scores).collect()
        };
        assert_eq!(unsure(field.rows(), &takes(12), &[0, 0], 4).unwrap(), [2, 3, 6, 9]);
        // Of the class with fewer labels first, then in turn; where one has no more, of the other.
        assert_eq!(unsure(field.rows(), &takes(6), &[2, 1], 4).unwrap(), [6, 2, 9, 3]);
        assert_eq!(unsure(field.rows(), &takes(3), &[0, 9], 4).unwrap(), [2, 3, 6, 9]);
        // A group with a label comes last.
        (field.labelled[1], field.open[1]) = (true, false);
        assert_eq!(unsure(field.rows(), &takes(12), &[1, 0], 4).unwrap(), [3, 6, 9, 2]);
    }
}
