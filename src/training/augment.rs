//! One clip shown in many ways: every frame of it changed alike, so that motion stays what it is.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// What may be changed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Augmentation {
    /// The crop takes at least this share of the stored frame's side.
    pub least_crop: f64,
    /// Mirror half of the clips; off where left and right matter.
    pub flip: bool,
    /// Brightness and contrast change by up to this share.
    pub colour: f32,
    /// Share of the clips that are shown before another clip's background.
    pub background: f64,
}

/// The choices for one clip.
#[derive(Debug, Clone)]
pub struct View {
    /// Which stored frames are shown.
    pub frames: Vec<usize>,
    /// Left, top and side of the crop, in stored pixels.
    crop: [f32; 3],
    flip: bool,
    gain: f32,
    /// Added after the gain, in steps of 1/255.
    lift: f32,
}

impl View {
    /// The view that validation takes: the middle frame of each part, the whole picture.
    pub fn plain(stored: usize, frames: usize, size: usize) -> Self {
        let frames = (0..frames).map(|i| (2 * i + 1) * stored / (2 * frames)).collect();
        Self { frames, crop: [0.0, 0.0, size as f32], flip: false, gain: 1.0, lift: 0.0 }
    }

    /// A random view: of `frames` equal parts of the clip a run of `shown`, in each any of its
    /// stored frames.
    pub fn random(
        augmentation: Augmentation,
        stored: usize,
        frames: usize,
        shown: usize,
        size: usize,
        rng: &mut ChaCha8Rng,
    ) -> Self {
        let shown = shown.clamp(1, frames);
        let start = rng.random_range(0..=frames - shown);
        let part = |i: usize| {
            let (from, to) = (i * stored / frames, ((i + 1) * stored / frames).max(i * stored / frames + 1));
            rng.random_range(from..to.min(stored).max(from + 1)).min(stored - 1)
        };
        let frames = (start..start + shown).map(part).collect();
        let side = rng.random_range(augmentation.least_crop..=1.0) as f32 * size as f32;
        let mut place = || rng.random::<f32>() * (size as f32 - side);
        let crop = [place(), place(), side];
        let mut change = || rng.random_range(-1.0f32..=1.0) * augmentation.colour;
        let (gain, lift) = (1.0 + change(), change() * 255.0);
        Self { frames, crop, flip: augmentation.flip && rng.random(), gain, lift }
    }

    /// Writes the view of a clip, `stored` `u8 [_, size, size, 3]`, as network input
    /// `out f32 [frames, target, target, 3]`: `rgb · slope + shift` by channel.
    pub fn write(
        &self,
        stored: &[u8],
        size: usize,
        target: usize,
        slope: [f32; 3],
        shift: [f32; 3],
        out: &mut [f32],
    ) {
        let [left, top, side] = self.crop;
        // Bilinear, between the centres of stored pixels; the stored frame is hardly larger than the
        // target, so that nothing is skipped.
        let axis = |start: f32, mirrored: bool| -> Vec<(usize, usize, f32)> {
            let scale = side / target as f32;
            (0..target)
                .map(|i| {
                    let i = if mirrored { target - 1 - i } else { i };
                    let at = (start + (i as f32 + 0.5) * scale - 0.5).clamp(0.0, (size - 1) as f32);
                    let low = at as usize;
                    (low, (low + 1).min(size - 1), at - low as f32)
                })
                .collect()
        };
        let (columns, rows) = (axis(left, self.flip), axis(top, false));
        for (&frame, out) in self.frames.iter().zip(out.chunks_exact_mut(target * target * 3)) {
            let stored = &stored[frame * size * size * 3..][..size * size * 3];
            for (&(y0, y1, fy), out) in rows.iter().zip(out.chunks_exact_mut(target * 3)) {
                let (upper, lower) =
                    (&stored[y0 * size * 3..][..size * 3], &stored[y1 * size * 3..][..size * 3]);
                for (&(x0, x1, fx), out) in columns.iter().zip(out.chunks_exact_mut(3)) {
                    for c in 0..3 {
                        let mix = |row: &[u8]| {
                            let (a, b) = (f32::from(row[x0 * 3 + c]), f32::from(row[x1 * 3 + c]));
                            a + (b - a) * fx
                        };
                        let (a, b) = (mix(upper), mix(lower));
                        let value = ((a + (b - a) * fy) * self.gain + self.lift).clamp(0.0, 255.0);
                        out[c] = value * slope[c] + shift[c];
                    }
                }
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

    #[test]
    fn random_views_stay_inside_and_frames_in_their_parts() {
        let augmentation = Augmentation { least_crop: 0.5, flip: true, colour: 0.3, background: 0.0 };
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let clip = clip(9);
        let mut flips = 0;
        for _ in 0..200 {
            let view = View::random(augmentation, 9, 4, 4, SIZE, &mut rng);
            let part = |i: usize| i * 9 / 4..(i + 1) * 9 / 4;
            assert!(view.frames.iter().enumerate().all(|(i, f)| part(i).contains(f)), "{view:?}");
            let [left, top, side] = view.crop;
            assert!(
                left >= 0.0
                    && top >= 0.0
                    && left + side <= SIZE as f32 + 1e-3
                    && top + side <= SIZE as f32 + 1e-3
            );
            let mut out = vec![f32::NAN; 4 * 5 * 5 * 3];
            view.write(&clip, SIZE, 5, [1.0 / 128.0; 3], [-1.0; 3], &mut out);
            assert!(out.iter().all(|x| (-1.0..=1.0).contains(x)));
            flips += usize::from(view.flip);
        }
        assert!((60..140).contains(&flips), "{flips}");
        // More frames wanted than stored: repeated, in order.
        let view = View::random(augmentation, 2, 4, 4, SIZE, &mut rng);
        assert_eq!(view.frames, [0, 0, 1, 1]);
        // A run of the parts.
        let view = View::random(augmentation, 8, 8, 3, SIZE, &mut rng);
        let first = view.frames[0];
        assert_eq!(view.frames, [first, first + 1, first + 2]);
    }
}
