//! Learning when to say 'not sure': see [`Prototypes`] for the score.

use candle_core::{DType, Device, Tensor};

use super::features::Examples;
use crate::Result;
use crate::model::{ContrastConfig, KnowingConfig, Parts, Prototypes, Scale};

/// Prototypes of each label.
const A_CLASS: usize = 4;
/// Prototypes of all background clips together.
const OF_BACKGROUND: usize = 64;
/// Deviations that count as none: of cosines, …
const LEAST_COSINE: f64 = 0.01;
/// … and of logits.
const LEAST_LOGIT: f64 = 0.25;
/// By how many deviations the threshold is lower where there are too few clips to lose one.
const FOR_FEW: f64 = 2.0;

/// How often a clip has to be told from a still for stills to have a part in the score: for a network that looks at
/// single frames, they are clips like others.
const SEES_MOTION: f64 = 0.9;

/// The prototypes of `clips` of `classes` classes, of `stills` of such, and of `background` clips, each `[.., D]`; as a
/// file holds them.
pub(super) fn prototypes(
    clips: &Examples,
    classes: usize,
    stills: &[Tensor],
    background: &[Tensor],
) -> Result<Prototypes> {
    let means = clips.features.mean(1)?.to_vec2::<f32>()?;
    let mut labels = Vec::new();
    for class in 0..classes {
        let of_class = std::iter::zip(&means, &clips.labels).filter(|(_, labels)| labels.contains(&class));
        let vectors: Vec<Vec<f32>> = of_class.map(|(mean, _)| direction(mean)).collect();
        labels.extend(clusters(&vectors, A_CLASS.min(vectors.len() / 4).max(1)));
    }
    let mean = |clip: &Tensor| Ok(direction(&clip.flatten_to(clip.rank() - 2)?.mean(0)?.to_vec1::<f32>()?));
    let vectors = |clips: &[Tensor]| clips.iter().map(mean).collect::<Result<Vec<Vec<f32>>>>();
    let rows = |rows: Vec<Vec<f32>>| if rows.is_empty() { Ok(None) } else { stored(&rows).map(Some) };
    Ok(Prototypes {
        labels: stored(&labels)?,
        still: rows(vectors(stills)?)?,
        background: rows(clusters(&vectors(background)?, OF_BACKGROUND))?,
    })
}

/// Whether the network tells `clips` from `stills` of others like them, by the parts of their scores.
pub(super) fn sees_motion(clips: &[(Parts, bool)], stills: &[Parts]) -> bool {
    let clips: Vec<f64> = clips.iter().filter_map(|(parts, _)| parts.still).collect();
    let stills: Vec<f64> = stills.iter().filter_map(|parts| parts.still).collect();
    area(&clips, &stills).is_some_and(|area| area >= SEES_MOTION)
}

/// Scales and threshold, of validation clips' parts of the score and whether the best label is right. Nothing where no
/// answer is right.
pub(super) fn fit(
    prototypes: &Prototypes,
    clips: &[(Parts, bool)],
    keep: f64,
) -> Result<Option<KnowingConfig>> {
    let scale = |part: fn(&Parts) -> f64, least: f64| {
        Scale::of(clips.iter().map(move |(parts, _)| part(parts)), least)
    };
    let contrast = |rows: &Option<Tensor>, part: fn(&Parts) -> f64| -> Result<_> {
        let Some(rows) = rows else { return Ok(None) };
        Ok(Some(ContrastConfig { prototypes: rows.dim(0)?, contrast: scale(part, LEAST_COSINE) }))
    };
    let still = contrast(&prototypes.still, |parts| parts.still.unwrap_or(0.0))?;
    let background = contrast(&prototypes.background, |parts| parts.background.unwrap_or(0.0))?;
    let mut config = KnowingConfig {
        threshold: 0.0,
        keep,
        prototypes: prototypes.labels.dim(0)?,
        nearness: scale(|parts| parts.nearness, LEAST_COSINE),
        logit: scale(|parts| parts.logit, LEAST_LOGIT),
        still,
        background,
    };
    let right: Vec<f64> =
        clips.iter().filter(|(_, right)| *right).map(|(parts, _)| config.score(parts)).collect();
    let right_answers = right.len();
    let Some(threshold) = threshold_to_keep(right, keep) else { return Ok(None) };
    // A few right answers don't show how low right answers can be.
    let few = right_answers as f64 * (1.0 - keep) < 1.0;
    config.threshold = if few { threshold - FOR_FEW } else { threshold };
    Ok(Some(config))
}

/// The highest threshold that a share `keep` of `scores` reaches; none for no scores.
fn threshold_to_keep(mut scores: Vec<f64>, keep: f64) -> Option<f64> {
    scores.sort_by(f64::total_cmp);
    let lost = ((1.0 - keep) * scores.len() as f64 + 1e-9) as usize;
    scores.get(lost.min(scores.len().saturating_sub(1))).copied()
}

/// Area under the ROC curve: how often a clip of `known` has a higher score than one of `none`; ties count half.
pub(super) fn area(known: &[f64], none: &[f64]) -> Option<f64> {
    if known.is_empty() || none.is_empty() {
        return None;
    }
    let mut sorted = none.to_vec();
    sorted.sort_by(f64::total_cmp);
    let won = |score: &f64| {
        let below = sorted.partition_point(|other| other < score);
        let not_above = sorted.partition_point(|other| other <= score);
        (below + not_above) as f64 / 2.0
    };
    Some(known.iter().map(won).sum::<f64>() / (known.len() * none.len()) as f64)
}

/// The share of `none` that reaches the threshold which 95 % of `known` reach.
pub(super) fn let_through(known: &[f64], none: &[f64]) -> Option<f64> {
    let threshold = threshold_to_keep(known.to_vec(), 0.95)?;
    let through = none.iter().filter(|score| **score >= threshold).count();
    (!none.is_empty()).then(|| through as f64 / none.len() as f64)
}

/// At most `count` directions that stand for `vectors`, which have length 1 (spherical k-means: Dhillon and Modha,
/// "Concept Decompositions", 2001). They begin as vectors evenly picked, so that neighbours in a list, which often are of
/// one source, share one.
fn clusters(vectors: &[Vec<f32>], count: usize) -> Vec<Vec<f32>> {
    let count = count.min(vectors.len());
    let mut centres: Vec<Vec<f32>> =
        (0..count).map(|i| vectors[(2 * i + 1) * vectors.len() / (2 * count)].clone()).collect();
    if count == vectors.len() {
        return centres;
    }
    for _ in 0..15 {
        let mut sums = vec![vec![0.0; vectors[0].len()]; count];
        for vector in vectors {
            let nearest =
                (0..count).max_by(|&a, &b| dot(vector, &centres[a]).total_cmp(&dot(vector, &centres[b])));
            sums[nearest.unwrap_or(0)].iter_mut().zip(vector).for_each(|(sum, x)| *sum += x);
        }
        for (centre, sum) in centres.iter_mut().zip(&sums) {
            // One that nobody is nearest to stays where it is.
            if sum.iter().any(|x| *x != 0.0) {
                *centre = direction(sum);
            }
        }
    }
    centres
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn direction(vector: &[f32]) -> Vec<f32> {
    let length = dot(vector, vector).sqrt().max(1e-12);
    vector.iter().map(|x| x / length).collect()
}

/// `[rows, D]`, rounded as a model's file holds it.
fn stored(rows: &[Vec<f32>]) -> Result<Tensor> {
    let dim = rows.first().map_or(0, Vec::len);
    let tensor = Tensor::from_vec(rows.concat(), (rows.len(), dim), &Device::Cpu)?;
    Ok(tensor.to_dtype(DType::F16)?.to_dtype(DType::F32)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_threshold_keeps_the_share() {
        let scores: Vec<f64> = (0..20).map(f64::from).collect();
        for (keep, kept) in [(1.0, 20), (0.95, 19), (0.9, 18), (0.5, 10)] {
            let threshold = threshold_to_keep(scores.clone(), keep).unwrap();
            assert_eq!(scores.iter().filter(|score| **score >= threshold).count(), kept, "{keep}");
        }
        assert_eq!(threshold_to_keep(Vec::new(), 0.95), None);
    }

    #[test]
    fn the_area_counts_pairs_in_the_right_order() {
        assert_eq!(area(&[2.0, 3.0], &[0.0, 1.0]), Some(1.0));
        assert_eq!(area(&[1.0], &[1.0, 2.0]), Some(0.25));
        assert_eq!(area(&[1.0], &[]), None);
        assert_eq!(let_through(&[1.0, 2.0], &[0.5, 1.5]), Some(0.5));
    }

    #[test]
    fn clusters_are_directions_of_what_lies_together() {
        let near = |x: f32, y: f32| direction(&[x, y]);
        let vectors = [near(1.0, 0.1), near(1.0, -0.1), near(0.1, 1.0), near(-0.1, 1.0), near(0.0, 1.0)];
        let mut found = clusters(&vectors, 2);
        found.sort_by(|a, b| b[0].total_cmp(&a[0]));
        assert!((found[0][0] - 1.0).abs() < 1e-3 && (found[1][1] - 1.0).abs() < 1e-3, "{found:?}");
        assert_eq!(clusters(&[], 4).len(), 0);
    }
}
