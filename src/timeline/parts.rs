//! A film's parts from cut to cut, to be labelled each on its own.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::cuts::{CUT, CutFinder};
use crate::Result;
use crate::video::{CropSize, DecodeOptions, Preprocess, Size, Walk};

/// Pixels of the pictures that are compared: colours by quarters need no more.
const SIDE: usize = 64;

/// Share of the picture whose colours must have changed, where two pictures are no further apart than this, in seconds.
///
/// Between such pictures of 60 clips of UCF-101 it changes by 0.07 at the 99th percentile and 0.16 at the 99.97th; from one
/// clip to another by 0.34 or more; at cuts within a scene of a sample by 0.29 or more.
const NEAR: (f32, f64) = (0.25, 0.1);

/// Seconds of the shortest part: in less a person sees no action, and what flashes by is no shot.
const SHORTEST: f64 = 1.0;

/// Where a film is cut.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Cuts {
    /// Seconds of the whole film.
    length: f64,
    /// When a new shot begins, in seconds from the first picture.
    at: Vec<f64>,
}

impl Cuts {
    /// Decodes the whole film at `path`, and tells at every second how far it is.
    ///
    /// A timeline looks at as many pictures as its model wants; here each is compared with the one before it, so that a
    /// part begins with the first picture of its shot.
    ///
    /// # Errors
    /// [`crate::Error::Clip`] where there is no video that can be read.
    pub(crate) fn find(path: &Path, threads: usize, mut tell: impl FnMut(f64)) -> Result<Self> {
        let preprocess = Preprocess {
            size: Size::Exact { height: SIDE, width: SIDE },
            crop_size: CropSize { height: SIDE, width: SIDE },
            ..Preprocess::new(224, 127.0, 128.0)
        };
        let options = DecodeOptions { threads, ..DecodeOptions::default() };
        let mut walk = Walk::open(path, &preprocess, &options)?;
        let (mut finder, mut rgb) = (CutFinder::default(), vec![0; SIDE * SIDE * 3]);
        let (mut at, mut told, mut before) = (Vec::new(), 0.0, 0.0);
        while let Some(shown) = walk.step()? {
            // A picture that can't be converted is taken for the one before.
            walk.convert(&mut rgb);
            let (near, apart) = NEAR;
            let cut = if shown.start - before <= apart { near } else { CUT };
            if finder.change(&rgb, SIDE) >= cut {
                at.push(shown.start);
            }
            before = shown.start;
            if shown.end >= told + 1.0 {
                told = shown.end;
                tell(told);
            }
        }
        Ok(Self { length: walk.seen().duration, at })
    }

    /// The shots, from and to, in seconds; one that is shorter than a second goes with the next, at the end with the one
    /// before. None where that is the whole film.
    pub(crate) fn parts(&self) -> Option<Vec<[f64; 2]>> {
        // Milliseconds, as a list is read by people; up, as a little earlier the shot before is still on screen.
        let rounded = |time: f64| (time * 1e3 - 1e-3).ceil() / 1e3;
        let mut starts = vec![0.0];
        let mut last = 0.0;
        for cut in self.at.iter().copied() {
            if cut - last >= SHORTEST && self.length - cut >= SHORTEST {
                starts.push(rounded(cut));
                last = cut;
            }
        }
        let ends = starts[1..].iter().copied().chain([rounded(self.length)]);
        (starts.len() > 1).then(|| starts.iter().copied().zip(ends).map(|(from, to)| [from, to]).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(length: f64, at: &[f64]) -> Option<Vec<[f64; 2]>> {
        Cuts { length, at: at.to_vec() }.parts()
    }

    #[test]
    fn parts_go_from_cut_to_cut_and_cover_the_film_once() {
        assert_eq!(parts(9.0, &[2.5, 6.04]), Some(vec![[0.0, 2.5], [2.5, 6.04], [6.04, 9.0]]));
        // A third of a second is no number of milliseconds.
        assert_eq!(parts(4.0, &[4.0 / 3.0]), Some(vec![[0.0, 1.334], [1.334, 4.0]]));
    }

    #[test]
    fn short_shots_are_joined_to_the_next_and_the_last_to_the_one_before() {
        assert_eq!(parts(9.0, &[0.4, 3.0, 3.2, 3.9, 6.0]), Some(vec![[0.0, 3.0], [3.0, 6.0], [6.0, 9.0]]));
        assert_eq!(parts(5.0, &[2.0, 4.5]), Some(vec![[0.0, 2.0], [2.0, 5.0]]));
        // What flickers from its first picture to its last.
        let flicker: Vec<f64> = (1..75).map(|i| f64::from(i) / 25.0).collect();
        assert_eq!(parts(3.0, &flicker), Some(vec![[0.0, 1.0], [1.0, 2.0], [2.0, 3.0]]));
    }

    #[test]
    fn a_film_without_cuts_stays_whole() {
        assert_eq!((parts(600.0, &[]), parts(1.5, &[0.7]), parts(0.0, &[])), (None, None, None));
    }
}
