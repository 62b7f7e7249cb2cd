//! `[risk]`: where catalogs of vulnerabilities are, and from when on they count.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::read::duration;
use crate::diagnostic::Diagnostic;
use crate::document::{Reader, Section};
use crate::risk::{LIKELY, MAX_AGE};

/// `[risk]`.
#[derive(Clone, Debug, PartialEq)]
pub struct RiskConfig {
    /// CISA's catalog of known exploited vulnerabilities, as JSON or CSV.
    pub kev: Option<PathBuf>,
    /// FIRST's scores (EPSS), as CSV, packed or not.
    pub epss: Option<PathBuf>,
    /// From this probability on something is likely exploited.
    pub likely: f64,
    /// The age from which on a catalog is too old: it is warned about.
    pub max_age: Duration,
}

pub(super) fn risk<'s>(root: &Section<'_, 's>, folder: &Path, reader: &mut Reader<'s>) -> RiskConfig {
    let section = root.section("risk", &["kev", "epss", "epss_threshold", "max_age"], reader);
    let mut path = |key: &str| {
        let text = section.as_ref()?.string(key, reader)?;
        if text.value.contains("://") {
            let message = format!("`{key}` in `[risk]` is a file");
            let help = format!("fetch it there, as with `curl -fsSo {key} {}` from a timer", text.value);
            reader.found.push(Diagnostic::error(&text.place, message).help(help));
            return None;
        }
        Some(folder.join(text.value))
    };
    let (kev, epss) = (path("kev"), path("epss"));
    let likely = section.as_ref().and_then(|section| threshold(section, reader)).unwrap_or(LIKELY);
    RiskConfig { kev, epss, likely, max_age: duration("max_age", section.as_ref(), MAX_AGE, reader) }
}

fn threshold(section: &Section<'_, '_>, reader: &mut Reader<'_>) -> Option<f64> {
    let value = section.get("epss_threshold")?;
    let written = value.get_ref();
    let text =
        written.as_float().map(|float| float.as_str()).or_else(|| Some(written.as_integer()?.as_str()));
    let number = text.and_then(|text| text.parse::<f64>().ok()).filter(|number| (0.0..=1.0).contains(number));
    if number.is_none() {
        let place = reader.place(value.span());
        let help = "it is a probability, as EPSS gives it: `epss_threshold = 0.1`";
        reader.error(&place, "`epss_threshold` must be between 0 and 1", help);
    }
    number
}
