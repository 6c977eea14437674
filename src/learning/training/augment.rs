//! One clip shown in many ways: every frame of it changed alike, but for what a moving camera does, so that motion
//! stays what it is.

use std::ops::RangeInclusive;

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::blur::blur;
use super::camera::{Crop, hand_held};

/// Gammas go from e^-0.7 to e^0.7: from half to double.
const GAMMA: f32 = 0.7;
/// Largest radius of a blur, in shown pixels.
const BLUR: usize = 2;

/// What may be changed.
#[derive(Debug, Clone, PartialEq)]
pub struct Augmentation {
    /// Side of the crop, as a share of the stored frame's; beyond 1 the frame's border goes on.
    pub crop: RangeInclusive<f64>,
    /// Mirror half of the clips; off where left and right matter.
    pub flip: bool,
    /// Brightness and contrast change by up to this share.
    pub colour: f32,
    /// Share of the clips that are shown as another camera would: in other tones, and less sharp.
    pub lens: f64,
    /// Share of the clips that are shown as if somebody had held the camera.
    pub hand_held: f64,
    /// Share of the clips that are shown before another clip's background.
    pub background: f64,
}

/// The choices for one clip.
#[derive(Debug, Clone)]
pub(super) struct View {
    /// Which stored frames are shown.
    pub frames: Vec<usize>,
    /// Of each of them, what is shown at each moment (of its channels).
    crops: Vec<[Crop; 3]>,
    flip: bool,
    /// What becomes of each stored value.
    tones: Vec<f32>,
    /// Radius in shown pixels.
    blur: usize,
}

impl View {
    /// The view that validation takes: the middle frame of each part, the whole picture.
    pub(super) fn plain(stored: usize, frames: usize, size: usize) -> Self {
        let whole = Crop { left: 0.0, top: 0.0, side: size as f32 };
        Self {
            frames: (0..frames).map(|i| (2 * i + 1) * stored / (2 * frames)).collect(),
            crops: vec![[whole; 3]; frames],
            flip: false,
            tones: (0..=u8::MAX).map(f32::from).collect(),
            blur: 0,
        }
    }

    /// A random view: of `frames` equal parts of the clip a run of `shown`, in each any of its
    /// stored frames. With `moments`, a frame's channels are moments one after another, as the camera moves.
    pub(super) fn random(
        augmentation: &Augmentation,
        stored: usize,
        frames: usize,
        shown: usize,
        size: usize,
        moments: bool,
        rng: &mut ChaCha8Rng,
    ) -> Self {
        let shown = shown.clamp(1, frames);
        let start = rng.random_range(0..=frames - shown);
        let part = |i: usize| {
            let (from, to) = (i * stored / frames, ((i + 1) * stored / frames).max(i * stored / frames + 1));
            rng.random_range(from..to.min(stored).max(from + 1)).min(stored - 1)
        };
        let frames = (start..start + shown).map(part).collect();
        let side = rng.random_range(augmentation.crop.clone()) as f32 * size as f32;
        let mut place = || rng.random::<f32>() * (size as f32 - side);
        let crop = Crop { left: place(), top: place(), side };
        let mut change = || rng.random_range(-1.0f32..=1.0) * augmentation.colour;
        let (gain, lift) = (1.0 + change(), change() * 255.0);
        let flip = augmentation.flip && rng.random();
        let (gamma, blur) = match rng.random_bool(augmentation.lens) {
            true => (rng.random_range(-GAMMA..=GAMMA).exp(), rng.random_range(0..=BLUR)),
            false => (1.0, 0),
        };
        let tone =
            |value: u8| ((f32::from(value) / 255.0).powf(gamma) * 255.0 * gain + lift).clamp(0.0, 255.0);
        let mut crops = match rng.random_bool(augmentation.hand_held) {
            true => hand_held(crop, shown, rng),
            false => vec![[crop; 3]; shown],
        };
        if !moments {
            crops.iter_mut().for_each(|crops| *crops = [crops[1]; 3]);
        }
        Self { frames, crops, flip, tones: (0..=u8::MAX).map(tone).collect(), blur }
    }

    /// Writes the view of a clip, `stored` `u8 [_, size, size, 3]`, as network input
    /// `out f32 [frames, target, target, 3]`: `rgb · slope + shift` by channel.
    pub(super) fn write(
        &self,
        stored: &[u8],
        size: usize,
        target: usize,
        slope: [f32; 3],
        shift: [f32; 3],
        out: &mut [f32],
    ) {
        let frames = self.frames.iter().zip(&self.crops).zip(out.chunks_exact_mut(target * target * 3));
        let mut plane = vec![0.0; target * target];
        for ((&frame, crops), out) in frames {
            let stored = &stored[frame * size * size * 3..][..size * size * 3];
            for (channel, &crop) in crops.iter().enumerate() {
                self.cut(stored, size, channel, crop, target, &mut plane);
                if self.blur > 0 {
                    blur(&mut plane, target, self.blur);
                }
                for (out, value) in out.iter_mut().skip(channel).step_by(3).zip(&plane) {
                    *out = value * slope[channel] + shift[channel];
                }
            }
        }
    }

    /// Writes one channel of the crop of a stored frame to `plane` `[target, target]`.
    fn cut(&self, stored: &[u8], size: usize, channel: usize, crop: Crop, target: usize, plane: &mut [f32]) {
        // Bilinear, between the centres of stored pixels. Of a crop beyond the frame it skips every second pixel; a
        // little noise is no harm to what is shown for practice.
        let axis = |start: f32, mirrored: bool| -> Vec<(usize, usize, f32)> {
            let scale = crop.side / target as f32;
            (0..target)
                .map(|i| {
                    let i = if mirrored { target - 1 - i } else { i };
                    let at = (start + (i as f32 + 0.5) * scale - 0.5).clamp(0.0, (size - 1) as f32);
                    let low = at as usize;
                    (low, (low + 1).min(size - 1), at - low as f32)
                })
                .collect()
        };
        let columns = axis(crop.left, self.flip);
        for (&(y0, y1, fy), out) in axis(crop.top, false).iter().zip(plane.chunks_exact_mut(target)) {
            let (upper, lower) = (&stored[y0 * size * 3..][..size * 3], &stored[y1 * size * 3..][..size * 3]);
            for (&(x0, x1, fx), out) in columns.iter().zip(out) {
                let tone = |row: &[u8], x: usize| self.tones[usize::from(row[x * 3 + channel])];
                let mix = |row: &[u8]| tone(row, x0) + (tone(row, x1) - tone(row, x0)) * fx;
                let (upper, lower) = (mix(upper), mix(lower));
                *out = upper + (lower - upper) * fy;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    const SIZE: usize = 8;

    fn clip(frames: usize) -> Vec<u8> {
        (0..frames * SIZE * SIZE * 3).map(|i| (i * 7 % 251) as u8).collect()
    }

    #[test]
    fn the_plain_view_is_the_clip_itself() {
        let clip = clip(4);
        let view = View::plain(4, 2, SIZE);
        assert_eq!(view.frames, [1, 3]);
        let mut out = vec![0.0; 2 * SIZE * SIZE * 3];
        view.write(&clip, SIZE, SIZE, [1.0; 3], [0.0; 3], &mut out);
        let frame = SIZE * SIZE * 3;
        assert!(
            std::iter::zip(&out, clip[frame..2 * frame].iter().chain(&clip[3 * frame..]))
                .all(|(a, b)| *a == f32::from(*b))
        );
    }

    const AUGMENTATION: Augmentation =
        Augmentation { crop: 0.5..=1.3, flip: true, colour: 0.3, lens: 0.5, hand_held: 0.5, background: 0.0 };

    #[test]
    fn random_views_take_frames_of_their_parts_in_order() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut frames = |stored, frames, shown| {
            View::random(&AUGMENTATION, stored, frames, shown, SIZE, true, &mut rng).frames
        };
        for _ in 0..200 {
            let part = |i: usize| i * 9 / 4..(i + 1) * 9 / 4;
            assert!(frames(9, 4, 4).iter().enumerate().all(|(i, f)| part(i).contains(f)));
        }
        // More frames wanted than stored: repeated, in order.
        assert_eq!(frames(2, 4, 4), [0, 0, 1, 1]);
        // A run of the parts.
        let run = frames(8, 8, 3);
        assert_eq!(run, [run[0], run[0] + 1, run[0] + 2]);
    }

    #[test]
    fn random_views_are_all_different_and_all_pictures() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let clip = clip(4);
        let views: Vec<View> =
            (0..200).map(|_| View::random(&AUGMENTATION, 4, 4, 4, SIZE, true, &mut rng)).collect();
        for view in &views {
            let mut out = vec![f32::NAN; 4 * 5 * 5 * 3];
            view.write(&clip, SIZE, 5, [1.0 / 128.0; 3], [-1.0; 3], &mut out);
            assert!(out.iter().all(|x| (-1.0..=1.0).contains(x)));
        }
        let about_half = |what: fn(&View) -> bool| {
            let count = views.iter().filter(|view| what(view)).count();
            assert!((60..140).contains(&count), "{count}");
        };
        about_half(|view| view.flip);
        about_half(|view| view.crops[0] != view.crops[3]);
        about_half(|view| view.crops[0][0] != view.crops[0][2]);
        assert!(
            views.iter().any(|view| view.blur == BLUR)
                && views.iter().any(|view| view.crops[0][1].side > 9.0)
        );
    }

    #[test]
    fn crops_no_larger_than_the_frame_stay_inside_where_nobody_moves_the_camera() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let augmentation = Augmentation { crop: 0.5..=1.0, hand_held: 0.0, ..AUGMENTATION };
        for _ in 0..200 {
            let view = View::random(&augmentation, 9, 4, 4, SIZE, true, &mut rng);
            for &Crop { left, top, side } in view.crops.iter().flatten() {
                let inside = |start: f32| start >= 0.0 && start + side <= SIZE as f32 + 1e-3;
                assert!(inside(left) && inside(top), "{view:?}");
            }
        }
    }

    #[test]
    fn colours_are_shown_at_one_moment() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let augmentation = Augmentation { hand_held: 1.0, ..AUGMENTATION };
        let view = View::random(&augmentation, 4, 4, 4, SIZE, false, &mut rng);
        assert!(
            view.crops.iter().all(|[a, b, c]| a == b && b == c) && view.crops[0] != view.crops[3],
            "{view:?}"
        );
    }
}
