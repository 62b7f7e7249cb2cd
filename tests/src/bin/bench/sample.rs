//! Repetitions of one measurement.

use serde::Serialize;

/// What repetitions came to, in the unit that they were measured in.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Sample {
    pub(crate) median: f64,
    pub(crate) minimum: f64,
}

impl Sample {
    /// Of any number of repetitions; no number for none.
    pub(crate) fn of(values: &[f64]) -> Self {
        Self { median: quantile(values, 0.5), minimum: quantile(values, 0.0) }
    }
}

/// The smallest value that this part of them does not exceed (the nearest rank).
pub(crate) fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (sorted.len() as f64 * part).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_were_measured() {
        let values = [5.0, 1.0, 4.0, 2.0, 3.0];
        assert_eq!([0.0, 0.5, 0.99, 1.0].map(|part| quantile(&values, part)), [1.0, 3.0, 5.0, 5.0]);
        assert!(quantile(&[], 0.5).is_nan());
        let sixty: Vec<f64> = (1..=60).map(f64::from).collect();
        assert_eq!([0.5, 0.99].map(|part| quantile(&sixty, part)), [30.0, 60.0]);
    }
}
