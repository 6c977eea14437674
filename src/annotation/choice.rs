//! Which clips a person should see next: typical ones first, then those that the model is least sure of.
//!
//! All of it works on rows: the clips that have features, by their place among them. In a round no two clips are of one
//! group, as the second would say little more.

use std::collections::HashSet;

use candle_core::{Device, Result, Tensor};
use rand::Rng;
use rand::seq::index::sample;
use rand_chacha::ChaCha8Rng;

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
    let (mut chosen, mut groups) = (Vec::new(), HashSet::new());
    for members in members {
        if chosen.len() == count {
            break;
        }
        let free = |place: &usize| rows.open[used[*place]] && !groups.contains(&rows.groups[used[*place]]);
        let candidates: Vec<usize> = members.iter().copied().filter(free).collect();
        if let Some(place) = most_typical(&directions, &members, &candidates)? {
            groups.insert(rows.groups[used[place]]);
            chosen.push(used[place]);
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

/// `count` open rows that the model is least sure of, by how little the best of their `scores` leads: of no class that it
/// takes them for more than twice its share, and first those of groups without a label. On UCF-101's clips that is worth
/// two points at 98 labels.
pub(super) fn unsure(rows: Rows, scores: &[Vec<f32>], count: usize) -> Vec<usize> {
    let labelled = (0..rows.open.len()).filter(|&row| rows.labelled[row]);
    let known: HashSet<usize> = labelled.map(|row| rows.groups[row]).collect();
    let mut order: Vec<(usize, usize, bool, f32)> = (0..rows.open.len())
        .filter(|&row| rows.open[row])
        .map(|row| {
            let (class, _, lead) = best(&scores[row]);
            (row, class, known.contains(&rows.groups[row]), lead)
        })
        .collect();
    order.sort_by(|a, b| a.2.cmp(&b.2).then(a.3.total_cmp(&b.3)).then(a.0.cmp(&b.0)));
    let classes = scores.first().map_or(1, Vec::len);
    let most = (2 * count).div_ceil(classes);
    let (mut chosen, mut groups, mut of_class) = (Vec::new(), HashSet::new(), vec![0; classes]);
    for (row, class, ..) in order {
        if chosen.len() == count {
            break;
        }
        if of_class[class] < most && groups.insert(rows.groups[row]) {
            of_class[class] += 1;
            chosen.push(row);
        }
    }
    chosen
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
    fn few_clips_are_all_chosen_one_of_a_group() {
        let field = field(7, 2);
        let mut chosen = typical(field.rows(), 10, &mut ChaCha8Rng::seed_from_u64(1)).unwrap();
        chosen.sort_unstable();
        assert_eq!(chosen.len(), 3, "{chosen:?}");
    }

    #[test]
    fn the_unsure_come_by_how_little_the_best_leads_and_no_class_fills_a_round() {
        let mut field = field(12, 2);
        let leads = [0.9, 0.1, 0.0, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.95];
        let scores: Vec<Vec<f32>> =
            leads.iter().map(|lead| vec![0.5 + lead / 2.0, 0.5 - lead / 2.0]).collect();
        assert_eq!(unsure(field.rows(), &scores, 4), [2, 3, 6, 9]);
        // A group with a label comes last.
        (field.labelled[1], field.open[1]) = (true, false);
        assert_eq!(unsure(field.rows(), &scores, 4), [3, 6, 9, 2]);
        (field.labelled[1], field.open[1]) = (false, true);
        let scores: Vec<Vec<f32>> =
            leads.iter().map(|lead| vec![0.4 + lead / 2.0, 0.4 - lead / 2.0, 0.1, 0.1]).collect();
        assert_eq!(unsure(field.rows(), &scores, 4), [2, 3], "two of one class in four of four");
    }
}
