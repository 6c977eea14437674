//! Learning when to say 'not sure': see [`Prototypes`] for the score.

use candle_core::{DType, Device, Tensor};

use super::features::Examples;
use crate::Result;
use crate::model::{KnowingConfig, Parts, Prototypes, Scale, roots};

/// Prototypes of each label.
const A_CLASS: usize = 4;
/// Deviations that count as none: of cosines, which hardly differ among clips that are nearly alike, …
const LEAST_COSINE: f64 = 0.01;
/// … of logits, …
const LEAST_LOGIT: f64 = 0.25;
/// … of likeness, which is a sum of deviations of which one counts twice, …
const LEAST_LIKENESS: f64 = 2.0;
/// … and of motion, which is about 1 in clips and −1 in stills.
const LEAST_MOTION: f64 = 0.1;
/// By how many deviations the threshold is lower where right answers are few and none may be lost, …
const FOR_FEW: f64 = 1.0;
/// … which are fewer than this: they don't show how low right answers can be.
const FEW: usize = 20;
/// How often a clip has to be told from a still for stills to have a part in the score: for a network that looks at
/// single frames, they are clips like others.
const SEES_MOTION: f64 = 0.9;
/// What large weights cost beside errors in [`leading`]: it sees few clips of many features.
const RIDGE: f64 = 1e-3;

/// What tells the labels' `clips` of `classes` classes from others: with `stills`, the features of some clips and of their
/// stills, and with `background` clips, each `[.., D]`; as a file holds it.
pub(super) fn prototypes(
    clips: &Examples,
    classes: usize,
    stills: &[[Tensor; 2]],
    background: &[Tensor],
) -> Result<Prototypes> {
    let vector = |clip: &Tensor| Ok(roots(clip)?.to_vec1::<f32>()?);
    let of_clips: Vec<Vec<f32>> =
        (0..clips.labels.len()).map(|i| vector(&clips.features.get(i)?)).collect::<Result<_>>()?;
    let mut labels = Vec::new();
    for class in 0..classes {
        let of_class = std::iter::zip(&of_clips, &clips.labels).filter(|(_, labels)| labels.contains(&class));
        let vectors: Vec<&[f32]> = of_class.map(|(vector, _)| &vector[..]).collect();
        labels.extend(clusters(&vectors, A_CLASS.min(vectors.len() / 4).max(1)));
    }
    let dim = clips.features.dim(2)?;
    let one = |vector: Vec<f32>| stored(vector, &[dim]);
    let of_background: Vec<Vec<f32>> = background.iter().map(vector).collect::<Result<_>>()?;
    let midpoint = (!background.is_empty()).then(|| {
        let (known, none) = (mean(&of_clips), mean(&of_background));
        std::iter::zip(known, none).map(|(a, b)| (a + b) / 2.0).collect()
    });
    let pairs: Vec<[Vec<f32>; 2]> =
        stills.iter().map(|[clip, still]| Ok([vector(clip)?, vector(still)?])).collect::<Result<_>>()?;
    let motion = (!pairs.is_empty()).then(|| leading(&pairs));
    Ok(Prototypes {
        labels: stored(labels.concat(), &[labels.len(), dim])?,
        midpoint: midpoint.map(one).transpose()?,
        motion: motion.map(one).transpose()?,
    })
}

/// Whether the network tells `clips` from `stills` of others like them, by the parts of their scores.
pub(super) fn sees_motion(clips: &[(Parts, bool)], stills: &[Parts]) -> bool {
    let clips: Vec<f64> = clips.iter().filter_map(|(parts, _)| parts.motion).collect();
    let stills: Vec<f64> = stills.iter().filter_map(|parts| parts.motion).collect();
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
    let background = || scale(|parts| parts.background.unwrap_or(0.0), LEAST_COSINE);
    let motion = || scale(|parts| parts.motion.unwrap_or(0.0), LEAST_MOTION);
    let mut config = KnowingConfig {
        threshold: 0.0,
        keep,
        prototypes: prototypes.labels.dim(0)?,
        nearness: scale(|parts| parts.nearness, LEAST_COSINE),
        logit: scale(|parts| parts.logit, LEAST_LOGIT),
        background: prototypes.midpoint.as_ref().map(|_| background()),
        likeness: Scale { mean: 0.0, std: 1.0 },
        motion: prototypes.motion.as_ref().map(|_| motion()),
    };
    let likeness: Vec<f64> = clips.iter().map(|(parts, _)| config.likeness(parts)).collect();
    config.likeness = Scale::of(likeness.into_iter(), LEAST_LIKENESS);
    let right: Vec<f64> =
        clips.iter().filter(|(_, right)| *right).map(|(parts, _)| config.score(parts)).collect();
    let few = right.len() < FEW && may_be_lost(right.len(), keep) == 0;
    let Some(threshold) = threshold_to_keep(right, keep) else { return Ok(None) };
    config.threshold = if few { threshold - FOR_FEW } else { threshold };
    Ok(Some(config))
}

/// How many of so many right answers may be lost where a share `keep` is to stay.
fn may_be_lost(answers: usize, keep: f64) -> usize {
    // 1 - 0.9 is a little less than a tenth.
    ((1.0 - keep) * answers as f64 + 1e-9) as usize
}

/// The highest threshold that a share `keep` of `scores` reaches; none for no scores.
fn threshold_to_keep(mut scores: Vec<f64>, keep: f64) -> Option<f64> {
    scores.sort_by(f64::total_cmp);
    let lost = may_be_lost(scores.len(), keep);
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
fn clusters(vectors: &[&[f32]], count: usize) -> Vec<Vec<f32>> {
    let count = count.min(vectors.len());
    let mut centres: Vec<Vec<f32>> =
        (0..count).map(|i| vectors[(2 * i + 1) * vectors.len() / (2 * count)].to_vec()).collect();
    if count == vectors.len() {
        return centres;
    }
    for _ in 0..15 {
        let mut sums = vec![vec![0.0; vectors[0].len()]; count];
        for vector in vectors {
            let nearest =
                (0..count).max_by(|&a, &b| dot(vector, &centres[a]).total_cmp(&dot(vector, &centres[b])));
            sums[nearest.unwrap_or(0)].iter_mut().zip(*vector).for_each(|(sum, x)| *sum += x);
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

/// The vector whose product is nearest to 1 with the first and to −1 with the second of each pair: ridge regression, by
/// conjugate gradients (Hestenes and Stiefel, 1952).
fn leading(pairs: &[[Vec<f32>; 2]]) -> Vec<f32> {
    let (rows, dim) = (2 * pairs.len(), pairs[0][0].len());
    let row = |i: usize| &pairs[i / 2][i % 2];
    let sum = |weights: &dyn Fn(usize) -> f64| {
        let mut sum = vec![0.0; dim];
        for i in 0..rows {
            let weight = weights(i) / rows as f64;
            sum.iter_mut().zip(row(i)).for_each(|(sum, x)| *sum += weight * f64::from(*x));
        }
        sum
    };
    let product = |a: &[f64], b: &[f64]| std::iter::zip(a, b).map(|(a, b)| a * b).sum::<f64>();
    let costs = |vector: &[f64]| {
        let along = |i: usize| std::iter::zip(row(i), vector).map(|(x, v)| f64::from(*x) * v).sum();
        let mut costs = sum(&along);
        costs.iter_mut().zip(vector).for_each(|(cost, x)| *cost += RIDGE * x);
        costs
    };
    let mut solution = vec![0.0; dim];
    let mut rest = sum(&|i| if i % 2 == 0 { 1.0 } else { -1.0 });
    let mut step = rest.clone();
    let mut left = product(&rest, &rest);
    let enough = left * 1e-20;
    // As many steps as there are rows would do, were numbers exact.
    for _ in 0..2 * rows {
        if left <= enough {
            break;
        }
        let costs = costs(&step);
        let length = left / product(&step, &costs);
        solution.iter_mut().zip(&step).for_each(|(x, step)| *x += length * step);
        rest.iter_mut().zip(&costs).for_each(|(rest, cost)| *rest -= length * cost);
        let before = std::mem::replace(&mut left, product(&rest, &rest));
        step.iter_mut().zip(&rest).for_each(|(step, rest)| *step = rest + left / before * *step);
    }
    solution.into_iter().map(|x| x as f32).collect()
}

fn mean(vectors: &[Vec<f32>]) -> Vec<f32> {
    let mut sum = vec![0.0; vectors.first().map_or(0, Vec::len)];
    vectors.iter().for_each(|vector| sum.iter_mut().zip(vector).for_each(|(sum, x)| *sum += x));
    sum.into_iter().map(|x| x / vectors.len() as f32).collect()
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn direction(vector: &[f32]) -> Vec<f32> {
    let length = dot(vector, vector).sqrt().max(1e-12);
    vector.iter().map(|x| x / length).collect()
}

/// A tensor of `shape`, rounded as a model's file holds it.
fn stored(values: Vec<f32>, shape: &[usize]) -> Result<Tensor> {
    let tensor = Tensor::from_vec(values, shape, &Device::Cpu)?;
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
    fn few_right_answers_have_some_leeway_and_no_share_is_lost_to_rounding() {
        let labels = Tensor::zeros((1, 1), DType::F32, &Device::Cpu).unwrap();
        let prototypes = Prototypes { labels, midpoint: None, motion: None };
        let of = |clip: usize| Parts { nearness: clip as f64, logit: 0.0, background: None, motion: None };
        // How far above the threshold the lowest one lies that stays, and how many lie below.
        let fitted = |right: usize, keep: f64| {
            let clips: Vec<(Parts, bool)> = (0..right).map(|clip| (of(clip), true)).collect();
            let config = fit(&prototypes, &clips, keep).unwrap().unwrap();
            let score = |clip: &(Parts, bool)| config.score(&clip.0) - config.threshold;
            let lost = clips.iter().filter(|clip| score(clip) < 0.0).count();
            (score(&clips[lost]), lost)
        };
        assert_eq!(fitted(10, 0.9), (0.0, 1));
        assert_eq!(fitted(20, 0.95), (0.0, 1));
        let (leeway, lost) = fitted(19, 0.95);
        assert!((leeway - FOR_FEW).abs() < 1e-9 && lost == 0, "{leeway}");
        // Where every one is to stay, many show how low they can be.
        let (leeway, lost) = fitted(5, 1.0);
        assert!((leeway - FOR_FEW).abs() < 1e-9 && lost == 0, "{leeway}");
        assert_eq!(fitted(200, 1.0), (0.0, 0));
        assert!(fit(&prototypes, &[(of(1), false)], 0.95).unwrap().is_none());
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
        let vectors: Vec<&[f32]> = vectors.iter().map(|vector| &vector[..]).collect();
        let mut found = clusters(&vectors, 2);
        found.sort_by(|a, b| b[0].total_cmp(&a[0]));
        assert!((found[0][0] - 1.0).abs() < 1e-3 && (found[1][1] - 1.0).abs() < 1e-3, "{found:?}");
        assert_eq!(clusters(&[], 4).len(), 0);
    }

    #[test]
    fn what_leads_from_the_second_to_the_first_leaves_the_rest_out() {
        // The third number tells them apart; the first is common to all, the second differs by pair.
        let pair = |x: f32| [vec![1.0, x, 0.5], vec![1.0, x, -0.5]];
        let pairs = [pair(0.3), pair(-0.2), pair(0.9)];
        let found = leading(&pairs);
        // Of w₃ alone: minimum of (w₃ / 2 − 1)² + RIDGE · w₃².
        let expected = 0.5 / (0.25 + RIDGE);
        assert!((f64::from(found[2]) - expected).abs() < 1e-5, "{found:?}");
        assert!(found[0].abs() < 1e-5 && found[1].abs() < 1e-5, "{found:?}");
        assert_eq!(leading(&[[vec![1.0, 0.0], vec![1.0, 0.0]]]), [0.0, 0.0]);
    }

    #[test]
    fn motion_counts_only_where_stills_are_told_from_clips() {
        let of = |motion: f64| Parts { nearness: 1.0, logit: 1.0, background: None, motion: Some(motion) };
        let clips = [(of(1.0), true), (of(0.5), false)];
        assert!(sees_motion(&clips, &[of(-1.0), of(0.0)]));
        assert!(!sees_motion(&clips, &[of(-1.0), of(0.7)]));
        assert!(!sees_motion(&clips, &[]));
    }
}
