//! The learning rate over a run.

/// Linear warm-up, then half a cosine down to zero (Loshchilov & Hutter, 2017).
#[derive(Debug, Clone, Copy)]
pub(super) struct Schedule {
    pub peak: f64,
    pub warmup_steps: usize,
    pub steps: usize,
}

impl Schedule {
    /// The rate of step `step`, counted from 0.
    pub(super) fn rate(&self, step: usize) -> f64 {
        if step < self.warmup_steps {
            return self.peak * (step + 1) as f64 / self.warmup_steps as f64;
        }
        let rest = (self.steps - self.warmup_steps).max(1) as f64;
        let done = ((step - self.warmup_steps) as f64 / rest).min(1.0);
        self.peak * 0.5 * (1.0 + (std::f64::consts::PI * done).cos())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rises_then_falls_to_zero() {
        let schedule = Schedule { peak: 1.0, warmup_steps: 4, steps: 12 };
        assert_eq!(schedule.rate(0), 0.25);
        assert_eq!(schedule.rate(4), 1.0);
        assert!((schedule.rate(8) - 0.5).abs() < 1e-9);
        assert!(schedule.rate(12) < 1e-9 && schedule.rate(100) < 1e-9);
    }
}
