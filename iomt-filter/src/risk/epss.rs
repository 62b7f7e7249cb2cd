//! FIRST's exploit prediction scores, as CSV with a comment line in front: <https://www.first.org/epss/data_stats>.

use std::collections::BTreeMap;

use jiff::Timestamp;
use thiserror::Error;

use super::kev::moment;
use crate::sbom::cve;

/// Octets of a file at most, unpacked; it has a tenth of that.
pub const LARGEST: u64 = 256 << 20;
const MARK: &str = "\u{feff}";

/// Scores of some vulnerabilities.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scores {
    /// When they were made.
    pub made: Option<Timestamp>,
    /// How many there are in the file.
    pub total: usize,
    /// Those that were asked for: the probability that each is exploited within 30 days, 0 to 1.
    pub of: BTreeMap<String, f64>,
    /// Lines that cannot be read.
    pub faulty: usize,
}

/// Why scores cannot be read.
#[derive(Debug, Error)]
pub enum ScoresError {
    /// No text.
    #[error("it is no text of UTF-8")]
    NoText,
    /// No line says what the columns are.
    #[error("it has no line `cve,epss,percentile`: it is no file of EPSS scores")]
    NoHeader,
    /// There is nothing in it.
    #[error("it has no scores")]
    Empty,
}

/// Reads scores, and keeps those that are `wanted`.
///
/// # Errors
/// When it is something else, or empty.
pub fn read(bytes: &[u8], wanted: impl Fn(&str) -> bool) -> Result<Scores, ScoresError> {
    let text = std::str::from_utf8(bytes).map_err(|_| ScoresError::NoText)?;
    let mut lines =
        text.strip_prefix(MARK).unwrap_or(text).lines().map(str::trim).filter(|line| !line.is_empty());
    let mut scores = Scores::default();
    let columns = loop {
        let line = lines.next().ok_or(ScoresError::NoHeader)?;
        let Some(comment) = line.strip_prefix('#') else { break line };
        let date = comment.split(',').find_map(|part| part.trim().strip_prefix("score_date:"));
        scores.made = scores.made.or_else(|| moment(date?));
    };
    let columns: Vec<&str> = columns.split(',').map(str::trim).collect();
    if columns.first() != Some(&"cve") || columns.get(1) != Some(&"epss") {
        return Err(ScoresError::NoHeader);
    }
    for line in lines {
        let mut fields = line.split(',').map(str::trim);
        let name = fields.next().filter(|name| name.starts_with("CVE-"));
        let score =
            fields.next().and_then(|score| score.parse().ok()).filter(|score| (0.0..=1.0).contains(score));
        match (name, score) {
            (Some(name), Some(score)) => {
                scores.total += 1;
                if wanted(name) && cve(name).is_some() {
                    scores.of.insert(name.to_owned(), score);
                }
            }
            _ => scores.faulty += 1,
        }
    }
    if scores.total == 0 { Err(ScoresError::Empty) } else { Ok(scores) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_read_and_counted() {
        for date in ["2026-11-20T00:00:00+0000", "2026-11-20T12:55:00Z", "2026-11-20"] {
            let text = format!(
                "\u{feff}#model_version:v2026.03.14,score_date:{date}\r\ncve,epss,percentile\r\nCVE-1999-0001,0.01028,0.76\r\n\
                 CVE-2017-0144,0.94432,0.99986\r\nCVE-2017-0145,1.2,0\r\nnonsense\r\nCVE-2017-0146,0."
            );
            let scores = read(text.as_bytes(), |name| name == "CVE-2017-0144").unwrap();
            assert_eq!(scores.of, BTreeMap::from([("CVE-2017-0144".to_owned(), 0.94432)]));
            assert_eq!((scores.total, scores.faulty, scores.made), (3, 2, moment("2026-11-20")));
        }
    }

    #[test]
    fn what_is_none_is_refused() {
        for (bytes, said) in [
            (&b""[..], "cve,epss,percentile"),
            (b"#model_version:x\n", "cve,epss,percentile"),
            (b"<html>", "cve,epss,percentile"),
            (b"cve,epss,percentile\n", "no scores"),
            (b"\xff\xfe", "UTF-8"),
        ] {
            assert!(read(bytes, |_| true).unwrap_err().to_string().contains(said));
        }
    }
}
