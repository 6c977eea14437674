//! What training does for classes with few clips or few source videos.

use std::collections::BTreeSet;

/// How rare classes get their due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Balance {
    /// A rare class's clips weigh more, so that every class counts the same.
    Weights,
    /// All classes are drawn as often, and a rare one has to win by a margin while training: each class's logit is
    /// raised there by the logarithm of its share of the source videos (logit adjustment, Menon et al. 2021,
    /// arXiv:2007.07314; there by its share of the clips). Weights do little once all clips are learned by heart; the
    /// margin stays.
    Margins,
    /// All classes are drawn as often.
    Sampling,
    /// Every clip counts the same.
    None,
}

impl Balance {
    /// Whether classes are drawn as often as each other, instead of clips.
    pub fn draws_classes(self) -> bool {
        matches!(self, Self::Margins | Self::Sampling)
    }
}

/// [`Balance`] in the loss, a number of each kind a class.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ClassBalance {
    /// What a clip counts in the loss; 1 on average over clips.
    pub weights: Vec<f32>,
    /// What is added to the logit while training; 0 where all classes have as many source videos.
    pub offsets: Vec<f32>,
}

impl ClassBalance {
    /// For training `clips`, each with its class and the name of its source video.
    pub(super) fn new<'a>(
        balance: Balance,
        clips: impl Iterator<Item = (usize, &'a str)>,
        classes: usize,
    ) -> Self {
        match balance {
            Balance::Weights => {
                let weights = rarities(clips.map(|(class, _)| class), classes);
                Self { weights, ..Self::even(classes) }
            }
            Balance::Margins => {
                // Another clip of the same video hardly says more of its class.
                let videos: BTreeSet<_> = clips.collect();
                let rarities = rarities(videos.into_iter().map(|(class, _)| class), classes);
                Self {
                    offsets: rarities.into_iter().map(|rarity| -rarity.ln()).collect(),
                    ..Self::even(classes)
                }
            }
            Balance::Sampling | Balance::None => Self::even(classes),
        }
    }

    /// All classes alike.
    pub(super) fn even(classes: usize) -> Self {
        Self { weights: vec![1.0; classes], offsets: vec![0.0; classes] }
    }
}

/// How many times less often each class is there than if all were as often.
fn rarities(each: impl Iterator<Item = usize>, classes: usize) -> Vec<f32> {
    let mut counts = vec![0usize; classes];
    each.for_each(|class| counts[class] += 1);
    let (all, present) = (counts.iter().sum::<usize>(), counts.iter().filter(|&&n| n > 0).count());
    // A class without clips is taken for an even one: there is nothing to make up for, and it has to learn to be silent.
    counts.iter().map(|&n| if n > 0 { all as f32 / (present * n) as f32 } else { 1.0 }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABELS: [usize; 6] = [0, 0, 0, 0, 2, 2];

    fn balance(balance: Balance, labels: &[usize], groups: &[&str]) -> ClassBalance {
        ClassBalance::new(balance, std::iter::zip(labels.iter().copied(), groups.iter().copied()), 3)
    }

    #[test]
    fn weights_make_classes_count_the_same() {
        let balance = balance(Balance::Weights, &LABELS, &["a", "b", "c", "d", "e", "f"]);
        assert_eq!(balance.offsets, [0.0; 3]);
        assert!((2.0 * balance.weights[0] - balance.weights[2]).abs() < 1e-6);
        assert!((4.0 * balance.weights[0] + 2.0 * balance.weights[2] - 6.0).abs() < 1e-6);
    }

    #[test]
    fn offsets_count_source_videos() {
        let margins = balance(Balance::Margins, &LABELS, &["a", "b", "c", "c", "e", "e"]);
        assert_eq!(margins.weights, [1.0; 3]);
        assert!((margins.offsets[0] - margins.offsets[2] - 3f32.ln()).abs() < 1e-6);
        assert_eq!(margins.offsets[1], 0.0);
        let as_many = balance(Balance::Margins, &LABELS, &["a", "a", "b", "b", "c", "d"]);
        assert_eq!(as_many, ClassBalance::even(3));
    }
}
