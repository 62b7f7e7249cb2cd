//! Lengths of time as people write them: `90d`, `1h`, `30s`, `1h30m`.

use std::time::Duration;

use thiserror::Error;

/// A length of time that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{0}` is no length of time")]
pub struct DurationError(pub String);

impl DurationError {
    /// What to do next.
    pub fn help(&self) -> &'static str {
        "write a number and a unit, as in `30s`, `15m`, `1h`, `90d` or `2w`"
    }
}

/// Reads numbers with the units `s`, `m`, `h`, `d` and `w`, the larger ones first or not.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let failed = || DurationError(text.to_owned());
    let mut total = Duration::ZERO;
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(failed());
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(failed)?;
        let (number, unit) = rest.split_at(end);
        let unit_length = unit.find(|c: char| c.is_ascii_digit()).unwrap_or(unit.len());
        let (unit, next) = unit.split_at(unit_length);
        let seconds: u64 = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            "d" => 86_400,
            "w" => 604_800,
            _ => return Err(failed()),
        };
        let number: u64 = number.parse().map_err(|_| failed())?;
        let part = number.checked_mul(seconds).ok_or_else(failed)?;
        total = total.checked_add(Duration::from_secs(part)).ok_or_else(failed)?;
        rest = next;
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_add_up_and_nonsense_does_not() {
        assert_eq!(parse_duration("90d"), Ok(Duration::from_secs(90 * 86_400)));
        assert_eq!(parse_duration("1h30m"), Ok(Duration::from_secs(5_400)));
        for text in ["", "h", "1", "1x", "-1h", "1.5h", "99999999999999999999s", "1é"] {
            assert_eq!(parse_duration(text), Err(DurationError(text.into())), "{text}");
        }
    }
}
