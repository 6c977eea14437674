//! `--segments SECONDS`: long videos are labelled part by part.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use rayon::prelude::*;

use crate::Result;
use crate::bulk::worker::{Pool, Request, Setup};

/// The parts of those of `clips` that are long enough for two, each of about `seconds`: from and to, in seconds. A clip
/// whose length its container doesn't tell stays whole.
///
/// # Errors
/// Where no worker process can be started.
pub(super) fn parts(
    clips: &[PathBuf],
    seconds: f64,
    timeout: Duration,
) -> Result<HashMap<PathBuf, Vec<[f64; 2]>>> {
    let pool = Pool::of_this_program(Setup::without_model(1), timeout)?;
    let divided = clips.par_iter().filter_map(|clip| {
        // What is wrong with it is said where it is looked at.
        let length: Option<f64> = pool.ask(&Request::length(clip)).ok()?;
        Some((clip.clone(), divide(length?, seconds)?))
    });
    Ok(divided.collect())
}

/// Parts of `seconds` each, the last longer or shorter by half; none where there is but one.
fn divide(length: f64, seconds: f64) -> Option<Vec<[f64; 2]>> {
    let count = (length / seconds).round();
    // Milliseconds, as a list is read by people.
    let rounded = |time: f64| (time * 1e3).round() / 1e3;
    let end = |part: usize| if part as f64 == count { length } else { part as f64 * seconds };
    (2.0..=1e6)
        .contains(&count)
        .then(|| (0..count as usize).map(|part| [end(part), end(part + 1)].map(rounded)).collect())
}

#[cfg(test)]
mod tests {
    use super::divide;

    #[test]
    fn parts_cover_the_film_once() {
        assert_eq!(divide(10.4, 4.0), Some(vec![[0.0, 4.0], [4.0, 8.0], [8.0, 10.4]]));
        assert_eq!(divide(9.9, 4.0), Some(vec![[0.0, 4.0], [4.0, 9.9]]));
        assert_eq!((divide(5.9, 4.0), divide(0.0, 4.0), divide(f64::NAN, 4.0)), (None, None, None));
    }
}
