//! A camera in somebody's hand: how a clip would look had it been filmed so.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// A square of a stored frame, in its pixels. Beyond the frame, its border goes on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Crop {
    pub left: f32,
    pub top: f32,
    pub side: f32,
}

/// Most that a camera pans from one frame to the next, across and down, as a share of the crop's side.
const PAN: [f32; 2] = [0.04, 0.03];
/// Most that its shake takes a moment away from where it should be, as a share of the side. Each frame also drifts by up
/// to twice that, …
const SHAKE: f32 = 0.015;
/// … of which so much is left in the next one.
const DRIFT: f32 = 0.8;
/// Most that the crop's side grows or shrinks over eight frames, as a share of it.
const ZOOM: f32 = 0.25;
/// More frames than that are nearer to each other: they pan and zoom as far as so many.
const FRAMES: usize = 16;
/// How far into the time between two frames a frame's next moment is, about, where a clip takes some seconds.
const MOMENT: f32 = 0.25;

/// The crops of each frame's three moments as the camera pans, zooms and shakes, around `crop` in the middle of the clip.
pub(super) fn hand_held(crop: Crop, frames: usize, rng: &mut ChaCha8Rng) -> Vec<[Crop; 3]> {
    // Small movements are likelier than large ones.
    let mut share = |most: f32| rng.random_range(-most..=most) * rng.random::<f32>();
    let pan = PAN.map(|most| share(most) * crop.side);
    let (shake, zoom) = (share(SHAKE).abs() * crop.side, share(ZOOM));
    let pace = FRAMES as f32 / frames.max(FRAMES) as f32;
    let mut drift = [0.0; 2];
    let frame = |i: usize| {
        drift = drift.map(|x| DRIFT * x + shake * rng.random_range(-2.0f32..=2.0));
        [-MOMENT, 0.0, MOMENT].map(|moment| {
            let at = (i as f32 + moment - (frames - 1) as f32 / 2.0) * pace;
            let [x, y] = std::array::from_fn(|axis| {
                pan[axis] * at + drift[axis] + shake * rng.random_range(-1.0f32..=1.0)
            });
            let grown = crop.side * zoom * at / 8.0;
            Crop {
                left: crop.left + x - grown / 2.0,
                top: crop.top + y - grown / 2.0,
                side: crop.side + grown,
            }
        })
    };
    (0..frames).map(frame).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn however_many_frames_the_crop_stays_near() {
        let (crop, mut rng) = (Crop { left: 0.0, top: 0.0, side: 100.0 }, ChaCha8Rng::seed_from_u64(0));
        for frames in [1, 2, 16, 128, 1000] {
            let crops =
                (0..100).flat_map(|_| hand_held(crop, frames, &mut rng)).flatten().collect::<Vec<_>>();
            assert_eq!(crops.len(), frames * 300);
            assert!(crops.iter().all(|c| (70.0..130.0).contains(&c.side) && c.left.abs() < 70.0), "{frames}");
        }
    }

    #[test]
    fn moves_little_between_moments_and_more_over_the_clip() {
        let (crop, mut rng) = (Crop { left: 20.0, top: 20.0, side: 100.0 }, ChaCha8Rng::seed_from_u64(0));
        let (mut near, mut far) = (0.0f32, 0.0f32);
        for _ in 0..200 {
            let crops = hand_held(crop, 8, &mut rng);
            assert_eq!(crops.len(), 8);
            for [a, _, c] in &crops {
                near += (a.left - c.left).abs() / 8.0;
                assert!((a.left - c.left).abs() < 8.0 && (70.0..130.0).contains(&a.side), "{a:?} {c:?}");
            }
            far += (crops[0][1].left - crops[7][1].left).abs();
        }
        assert!(near > 0.0 && far > 4.0 * near, "{near} {far}");
    }
}
