//! Compares ratios with those that were recorded. Times of two machines, or of two hours, say nothing of each
//! other; how many times cheaper the filter is than a peer in the same run does.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::hospital::Family;
use crate::measure::{Measured, Row};

/// How much of a recorded ratio may be missing where nothing else was said: two noisy processors and a quarter
/// of a second a case come to that.
const MARGIN: f64 = 0.35;

/// The recorded ratios: how many times a peer's net time is the filter's.
#[derive(Debug, Serialize, Deserialize)]
struct Recorded {
    /// A ratio that is lower by more than this part is a regression.
    margin: f64,
    /// By case, family, listed hosts and peer.
    ratios: BTreeMap<String, f64>,
}

/// What a comparison with the recorded ratios came to.
pub(crate) struct Compared {
    /// How many were measured and recorded.
    pub(crate) count: usize,
    /// What is worse than recorded, a line each.
    pub(crate) regressions: Vec<String>,
}

/// Compares what was measured. A ratio that was not, because a peer is missing, is no regression.
///
/// # Errors
/// When none of the recorded ratios was measured.
pub(crate) fn compare_all(measured: &Measured) -> Result<Compared> {
    let path = path();
    let text = fs::read_to_string(&path).with_context(|| format!("failed to read `{}`", path.display()))?;
    let recorded: Recorded = serde_json::from_str(&text).context("the recorded ratios cannot be read")?;
    let measured = ratios(measured);
    let count = recorded.ratios.keys().filter(|name| measured.contains_key(*name)).count();
    ensure!(count > 0, "none of the recorded ratios was measured: choose other cases, or install the peers");
    Ok(Compared { count, regressions: compare(&recorded, &measured) })
}

/// Records what was measured.
pub(crate) fn record(measured: &Measured) -> Result<()> {
    let recorded = Recorded { margin: MARGIN, ratios: ratios(measured) };
    let path = path();
    fs::write(&path, serde_json::to_string_pretty(&recorded)? + "\n")
        .with_context(|| format!("failed to write `{}`", path.display()))
}

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/bench-ratios.json")
}

fn compare(recorded: &Recorded, measured: &BTreeMap<String, f64>) -> Vec<String> {
    let worse = |(name, recorded_ratio): (&String, &f64)| {
        let ratio = measured.get(name)?;
        let least = recorded_ratio * (1.0 - recorded.margin);
        // A ratio that is no number is no good one.
        let is_good = *ratio >= least;
        (!is_good).then(|| format!("{name}: {ratio:.2} times cheaper, {recorded_ratio:.2} were recorded, {least:.2} are the least"))
    };
    recorded.ratios.iter().filter_map(worse).collect()
}

fn ratios(measured: &Measured) -> BTreeMap<String, f64> {
    measured.rows.iter().flat_map(of_row).collect()
}

fn of_row(row: &Row) -> Vec<(String, f64)> {
    let Some(own) = row.of("iomt-filter") else { return Vec::new() };
    let family = match row.case.family {
        Family::V4 => "IPv4",
        Family::V6 => "IPv6",
    };
    let peers = row.results.iter().filter(|outcome| outcome.name != "iomt-filter");
    // Both are a few nanoseconds there: the ratio would be that of two noises.
    let peers = peers.filter(|_| row.case.name != "no device");
    peers
        .map(|peer| {
            let name =
                format!("{}, {family}, {} listed: {}", row.case.name, row.case.hospital.listed, peer.name);
            (name, (peer.net() / own.net() * 100.0).round() / 100.0)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ratios(of: &[(&str, f64)]) -> BTreeMap<String, f64> {
        of.iter().map(|(name, ratio)| ((*name).to_owned(), *ratio)).collect()
    }

    #[test]
    fn a_ratio_below_the_margin_is_a_regression_and_a_missing_one_is_not() {
        let recorded =
            Recorded { margin: 0.5, ratios: ratios(&[("a", 10.0), ("b", 10.0), ("c", 10.0), ("d", 1.0)]) };
        let found = compare(&recorded, &ratios(&[("a", 5.0), ("b", 4.9), ("d", f64::NAN)]));
        let names: Vec<_> = found.iter().map(|line| &line[..1]).collect();
        assert_eq!(names, ["b", "d"]);
    }
}
