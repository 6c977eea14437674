//! A stretch of a video.

use serde::{Deserialize, Serialize};

/// A stretch of a video, looked at as if it were a clip of its own; in seconds from the video's first picture.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Span {
    /// Where it begins.
    pub start: f64,
    /// Where it ends; without it, with the video.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<f64>,
}

/// Ends of spans are often rounded: so many seconds may lie behind the video's own end.
const ROUNDING: f64 = 1.0;

impl Span {
    /// From `start` to `end`, or to the video's end.
    ///
    /// # Errors
    /// What is wrong with the two, in words.
    pub fn new(start: f64, end: Option<f64>) -> Result<Self, String> {
        let is_time = |seconds: f64| seconds.is_finite() && seconds >= 0.0;
        if !is_time(start) || !end.is_none_or(is_time) {
            return Err("start and end are seconds from the video's beginning, 0 or more".into());
        }
        match end {
            Some(end) if end <= start => Err(format!("its end, {end} s, is not behind its start, {start} s")),
            _ => Ok(Self { start, end }),
        }
    }

    /// The part of a video of `duration` seconds that it covers, as start and length, and what is wrong with it.
    pub(super) fn within(self, duration: f64) -> Result<(f64, f64, Option<String>), String> {
        if self.start >= duration {
            return Err(format!(
                "the stretch from {} s is behind the video's end at {duration:.1} s",
                self.start
            ));
        }
        let end = self.end.unwrap_or(duration);
        let warning = (end > duration + ROUNDING).then(|| {
            format!("the stretch to {end} s is longer than the video, which ends at {duration:.1} s")
        });
        Ok((self.start, end.min(duration) - self.start, warning))
    }
}

/// As the end of an address that means this part of a video alone: `#t=12.5,15` (W3C Media Fragments).
impl std::fmt::Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "#t={}", self.start)?;
        self.end.map_or(Ok(()), |end| write!(f, ",{end}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretch_lies_within_its_video() {
        let span = |start, end| Span::new(start, end).unwrap();
        assert_eq!(span(2.0, Some(5.0)).within(10.0), Ok((2.0, 3.0, None)));
        assert_eq!(span(2.0, None).within(10.0), Ok((2.0, 8.0, None)));
        assert_eq!(span(8.0, Some(10.5)).within(10.0), Ok((8.0, 2.0, None)));
        let (_, length, warning) = span(8.0, Some(20.0)).within(10.0).unwrap();
        assert!(length == 2.0 && warning.unwrap().contains("ends at 10.0 s"));
        assert!(span(10.0, Some(12.0)).within(10.0).unwrap_err().contains("behind the video's end"));
        assert_eq!(span(12.5, Some(15.0)).to_string(), "#t=12.5,15");
    }

    #[test]
    fn impossible_stretches_are_refused() {
        for (start, end) in
            [(-1.0, None), (f64::NAN, None), (3.0, Some(3.0)), (3.0, Some(2.0)), (0.0, Some(f64::INFINITY))]
        {
            assert!(Span::new(start, end).is_err(), "{start} {end:?}");
        }
    }
}
