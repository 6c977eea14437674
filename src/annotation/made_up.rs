//! Features as of clips, for tests.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// `count` feature vectors of length `dim` of so many classes, which overlap a little, and the class of each.
pub(super) fn clips(count: usize, classes: usize, dim: usize, seed: u64) -> (Vec<Vec<f32>>, Vec<usize>) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut noise = move || (0..4).map(|_| rng.random_range(-1.0..1.0f32)).sum::<f32>();
    let centres: Vec<Vec<f32>> = (0..classes).map(|_| (0..dim).map(|_| noise()).collect()).collect();
    let of: Vec<usize> = (0..count).map(|i| (i * 7 + i / classes) % classes).collect();
    let features = of.iter().map(|&class| centres[class].iter().map(|x| 1.0 + x + 1.2 * noise()).collect());
    (features.collect(), of)
}
