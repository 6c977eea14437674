//! What moves in a clip, before the background of another: the place says nothing of the action any more (Ding et al.
//! 2022, arXiv:2109.15130).

use std::ops::Range;

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::blur::blur;

/// Share of the picture that is taken for what moves.
const MOVING: Range<f64> = 0.25..0.5;

/// In `chance` of the `clips` of a batch, puts what moves before what another clip of it shows.
///
/// `pixels`: `f32 [clips, frames, size, size, 3]`, the brightness at three moments.
pub(super) fn swap_backgrounds(
    pixels: &mut [f32],
    clips: usize,
    size: usize,
    chance: f64,
    rng: &mut ChaCha8Rng,
) {
    let choices: Vec<_> = (0..clips).map(|_| (rng.random_bool(chance), rng.random_range(MOVING))).collect();
    let before = pixels.to_vec();
    let clip = |i: usize| &before[i * before.len() / clips..][..before.len() / clips];
    // Not the next one where there are more, as that is the one which mixup takes.
    let step = (clips / 2).max(1);
    pixels.par_chunks_exact_mut(before.len() / clips).enumerate().for_each(|(i, out)| {
        let (swapped, share) = choices[i];
        if !swapped {
            return;
        }
        let mask = moving(clip(i), size, share);
        let frame = size * size * 3;
        let others = clip((i + step) % clips).chunks_exact(frame);
        for (out, other) in out.chunks_exact_mut(frame).zip(others) {
            let other = other.as_chunks::<3>().0;
            for ((out, other), mask) in out.as_chunks_mut::<3>().0.iter_mut().zip(other).zip(&mask) {
                out.iter_mut().zip(other).for_each(|(x, o)| *x = o + (*x - o) * mask);
            }
        }
    });
}

/// `[size, size]`: 1 in the `share` of the picture where a clip `f32 [frames, size, size, 3]` changes most between
/// a frame's first and last moment, 0 elsewhere, with soft borders.
fn moving(clip: &[f32], size: usize, share: f64) -> Vec<f32> {
    let mut map = vec![0.0f32; size * size];
    for frame in clip.chunks_exact(size * size * 3) {
        let pixels = frame.as_chunks::<3>().0;
        map.iter_mut().zip(pixels).for_each(|(sum, pixel)| *sum += (pixel[0] - pixel[2]).abs());
    }
    blur(&mut map, size, size / 20);
    blur(&mut map, size, size / 20);
    let mut sorted = map.clone();
    let still = ((1.0 - share) * (sorted.len() - 1) as f64) as usize;
    let (_, threshold, _) = sorted.select_nth_unstable_by(still, f32::total_cmp);
    map.iter_mut().for_each(|x| *x = if *x > *threshold { 1.0 } else { 0.0 });
    blur(&mut map, size, size / 40);
    map
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    const SIZE: usize = 40;

    /// One frame of brightness `level`, with a square of 16 pixels in the corner that moves.
    fn clip(level: f32, moves: bool) -> Vec<f32> {
        let pixel = |i: usize| match moves && i % SIZE < 16 && i / SIZE < 16 {
            true => [5.0, 0.0, -5.0],
            false => [level; 3],
        };
        (0..SIZE * SIZE).flat_map(pixel).collect()
    }

    #[test]
    fn what_moves_stays_and_the_rest_is_the_other_clips() {
        let before = [clip(1.0, true), clip(2.0, true)].concat();
        let mut pixels = before.clone();
        swap_backgrounds(&mut pixels, 2, SIZE, 1.0, &mut ChaCha8Rng::seed_from_u64(0));
        let at = |clip: usize, x: usize, y: usize| pixels[(clip * SIZE * SIZE + y * SIZE + x) * 3];
        assert_eq!([at(0, 4, 4), at(1, 4, 4)], [5.0, 5.0]);
        assert_eq!([at(0, 35, 35), at(1, 35, 35)], [2.0, 1.0]);
        let mut none = before.clone();
        swap_backgrounds(&mut none, 2, SIZE, 0.0, &mut ChaCha8Rng::seed_from_u64(0));
        assert_eq!(none, before);
    }
}
