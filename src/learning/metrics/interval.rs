//! 95 % intervals: what a figure would be on other clips, or with other seeds.

/// Wilson's score interval of a share (Wilson 1927): `right` of `clips`. `[0, 1]` without clips.
pub(crate) fn wilson(right: usize, clips: usize) -> [f64; 2] {
    if clips == 0 {
        return [0.0, 1.0];
    }
    let (n, z) = (clips as f64, 1.959964);
    let p = right as f64 / n;
    let centre = p + z * z / (2.0 * n);
    let spread = z * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + z * z / n;
    [((centre - spread) / scale).max(0.0), ((centre + spread) / scale).min(1.0)]
}

/// The mean of a few runs and half the width of its interval (Student's t): `mean ± half`.
/// The width is `None` for one run; the mean of none is NaN.
pub(crate) fn mean_interval(values: &[f64]) -> (f64, Option<f64>) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    if values.len() < 2 {
        return (mean, None);
    }
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (mean, Some(student_t(values.len() - 1) * (variance / n).sqrt()))
}

/// The 97.5 % point of Student's t with `freedom` degrees of freedom.
fn student_t(freedom: usize) -> f64 {
    const TABLE: [f64; 10] = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228];
    match TABLE.get(freedom - 1) {
        Some(t) => *t,
        // Fisher and Cornish's expansion about the normal distribution's point; to 0.003 from here on.
        None => {
            let (z, v) = (1.959964f64, freedom as f64);
            let (z3, z5) = (z.powi(3), z.powi(5));
            z + (z3 + z) / (4.0 * v) + (5.0 * z5 + 16.0 * z3 + 3.0 * z) / (96.0 * v * v)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilson_of_eight_in_ten_and_of_the_extremes() {
        let [low, high] = wilson(8, 10);
        assert!((low - 0.490162).abs() < 1e-5 && (high - 0.943318).abs() < 1e-5, "{low} {high}");
        assert_eq!(wilson(0, 0), [0.0, 1.0]);
        assert!((wilson(50, 50)[1] - 1.0).abs() < 1e-12);
        assert_eq!(wilson(0, 50)[0], 0.0);
    }

    #[test]
    fn three_seeds_have_a_wide_interval() {
        let (mean, half) = mean_interval(&[0.80, 0.82, 0.84]);
        assert!((mean - 0.82).abs() < 1e-12);
        // t(2) · 0.02 / √3
        assert!((half.unwrap() - 4.303 * 0.02 / 3f64.sqrt()).abs() < 1e-9);
        assert_eq!(mean_interval(&[0.5]), (0.5, None));
    }

    #[test]
    fn student_t_past_the_table() {
        assert!((student_t(11) - 2.201).abs() < 3e-3);
        assert!((student_t(30) - 2.042).abs() < 1e-3);
    }
}
