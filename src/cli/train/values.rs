//! What numbers the options of `classify train` take.

use clap::builder::RangedU64ValueParser;

pub(in crate::cli) fn count(most: u64) -> RangedU64ValueParser {
    clap::value_parser!(u64).range(1..=most)
}

pub(super) fn minutes(text: &str) -> Result<f64, String> {
    number(text, |x| (0.0..=1e6).contains(&x), "between 0 and 1000000")
}

pub(super) fn rate(text: &str) -> Result<f64, String> {
    number(text, |x| x > 0.0 && x <= 1.0, "above 0 and at most 1")
}

/// Below, nothing is mixed, and shares so near to 0 can't be drawn.
const LEAST_MIXUP: f64 = 0.01;

pub(super) fn mixup(text: &str) -> Result<f64, String> {
    share(text)?;
    number(text, |x| x == 0.0 || x >= LEAST_MIXUP, &format!("0 or at least {LEAST_MIXUP}"))
}

pub(super) fn lag(text: &str) -> Result<f64, String> {
    number(text, |x| x > 0.0 && x <= 10.0, "above 0 and at most 10")
}

pub(super) fn fps(text: &str) -> Result<f64, String> {
    number(text, |x| (0.01..=1000.0).contains(&x), "between 0.01 and 1000")
}

pub(super) fn share(text: &str) -> Result<f64, String> {
    number(text, |x| (0.0..1.0).contains(&x), "at least 0 and below 1")
}

fn number(text: &str, fits: impl Fn(f64) -> bool, must: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if fits(value) { Ok(value) } else { Err(format!("must be {must}")) }
}
