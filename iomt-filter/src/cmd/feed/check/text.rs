//! The account of a list, for people.

use std::fmt;

use super::Report;

/// So many of each kind are shown; JSON has all of them.
const SHOWN: usize = 20;

/// A report as text.
pub(super) struct Shown<'r>(pub(super) &'r Report);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.0;
        writeln!(f, "format    {}", report.format)?;
        let Report { entries, unique, ipv4, ipv6, .. } = report;
        writeln!(f, "entries   {entries}, {unique} different ones: {ipv4} IPv4, {ipv6} IPv6")?;
        writeln!(f, "domains   {}, for lookups only", report.domains)?;
        write!(f, "covers    {} IPv4 addresses", report.addresses_ipv4)?;
        writeln!(f, ", {} prefixes where they are put together", report.aggregated)?;
        if let Some(widest) = report.shortest_prefix {
            writeln!(f, "widest    {widest}")?;
        }
        if let (Some(oldest), Some(newest)) = (report.oldest, report.newest) {
            writeln!(f, "seen      {oldest:.0} to {newest:.0}")?;
        }
        if report.ended > 0 {
            writeln!(f, "ended     {}, of no use any more", report.ended)?;
        }
        let rejected = report.rejected.iter();
        let rejected = rejected.map(|it| format!("line {}: `{}`: {}", it.line, it.text, it.reason));
        listed(f, "rejected", report.rejected.len(), rejected)?;
        let notes = report.notes.iter();
        let notes = notes.map(|it| format!("line {}: `{}` was read as `{}`", it.line, it.text, it.read_as));
        listed(f, "mended", report.notes.len(), notes)?;
        let removed = report.removed.iter().map(|removed| match removed.part == removed.entry {
            true => format!("`{}`: {}", removed.entry, removed.reason),
            false => format!("`{}` without `{}`: {}", removed.entry, removed.part, removed.reason),
        });
        listed(f, "removed", report.removed.len(), removed)?;
        for warning in &report.warnings {
            writeln!(f, "warning   {warning}")?;
        }
        for held in &report.held {
            writeln!(f, "held      {held}")?;
        }
        match report.held.is_empty() {
            true if report.listed == 1 => f.write_str("this list would be loaded: 1 entry"),
            true => write!(f, "this list would be loaded: {} entries", report.listed),
            false => f.write_str("this list would be held: the last good one would stay"),
        }
    }
}

/// How many there are, and the first of them.
fn listed(
    f: &mut fmt::Formatter<'_>,
    what: &str,
    count: usize,
    lines: impl Iterator<Item = String>,
) -> fmt::Result {
    if count == 0 {
        return Ok(());
    }
    writeln!(f, "{what:<9} {count}")?;
    for line in lines.take(SHOWN) {
        writeln!(f, "  {line}")?;
    }
    if count > SHOWN { writeln!(f, "  and {} more; `--output json` has all", count - SHOWN) } else { Ok(()) }
}
