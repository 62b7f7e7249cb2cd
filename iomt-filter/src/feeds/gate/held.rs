//! Why a list is held back, in figures that can be kept and in words.

use std::fmt;

use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Cut;

const DAY: u64 = 86_400;

/// Why a list is held back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Held {
    /// It is no list, or nothing of it can be read.
    Unusable {
        /// Lines that are of no use.
        rejected: usize,
        /// The first one.
        line: u32,
        /// Why it is of no use.
        reason: String,
    },
    /// It lists nothing.
    Empty {
        /// Entries that it has, and that have ended.
        ended: usize,
    },
    /// It has fewer entries than it may.
    TooFew {
        /// Its entries and domains.
        entries: usize,
        /// How many there must be.
        least: usize,
    },
    /// It has more entries than it may.
    TooMany {
        /// Its entries and domains, with those that the feed no longer has and that stay for now.
        entries: usize,
        /// How many of them the feed no longer has.
        #[serde(default)]
        gone: usize,
        /// How many there may be.
        most: usize,
    },
    /// It has grown too much at once.
    Grown {
        /// Entries and domains of the last good list, or of the one that was the last at `since`.
        before: usize,
        /// Its entries and domains.
        entries: usize,
        /// By how many percent it may grow.
        limit: u32,
        /// Since when, where it has grown step by step; nothing where it has since the last good list.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        since: Option<Timestamp>,
    },
    /// It has shrunk too much at once.
    Shrunk {
        /// Entries and domains of the last good list.
        before: usize,
        /// Its entries and domains.
        entries: usize,
        /// By how many percent it may shrink.
        limit: u32,
    },
    /// Too much of it is exchanged at once.
    Exchanged {
        /// Entries and domains of the last good list.
        before: usize,
        /// How many of them have made way for others.
        exchanged: usize,
        /// How many percent may.
        limit: u32,
    },
    /// Too many of its lines are faulty.
    Rejected {
        /// Faulty lines.
        rejected: usize,
        /// Faulty lines and entries.
        lines: usize,
        /// How many percent may be faulty.
        limit: u32,
        /// The first faulty line.
        line: u32,
        /// Why it is of no use.
        reason: String,
    },
    /// Too many of its entries are what no list may block.
    Removed {
        /// Entries that the guard removed.
        removed: usize,
        /// Entries.
        entries: usize,
        /// How many percent may be removed.
        limit: u32,
        /// The first one.
        entry: IpNet,
        /// Why it was removed.
        reason: String,
    },
    /// It says that it has another number of records than it has.
    Count {
        /// What it says.
        said: u64,
        /// What there is.
        found: u64,
    },
    /// It covers too much of the internet.
    Wide {
        /// How many IPv4 addresses it covers.
        addresses: u64,
        /// How many it may.
        most: u64,
    },
    /// There is no room for it in the tables.
    NoRoom {
        /// What does not fit, and what to do.
        reason: String,
    },
    /// It would cut what devices talk to.
    Impact {
        /// What it would cut, what was used last first.
        cuts: Vec<Cut>,
        /// How many there are; only so many of them are in `cuts`.
        total: usize,
        /// How far back it was looked for what devices talk to, in seconds.
        #[serde(default = "thirty_days")]
        seconds: u64,
    },
    /// It is a `never_block` list that spares too much of the internet.
    Sparing {
        /// How many IPv4 addresses it would spare.
        addresses: u64,
        /// How many it may.
        most_addresses: u64,
        /// How many IPv6 prefixes of 48 bits it would spare, whole or a part of them.
        sites: u64,
        /// How many it may.
        most_sites: u64,
    },
}

/// One sentence, without what to do.
impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unusable { rejected, line, reason } => {
                let rest = rejected.saturating_sub(1);
                write!(f, "nothing of it can be used: line {line}: {reason}")?;
                if rest > 0 { write!(f, ", and {rest} more") } else { Ok(()) }
            }
            Self::Empty { ended: 0 } => f.write_str("it lists nothing"),
            Self::Empty { ended } => write!(f, "it lists nothing that has not ended: {ended} had"),
            Self::TooFew { entries, least } => write!(f, "it has {entries} entries, fewer than {least}"),
            Self::TooMany { entries, gone: 0, most } => {
                write!(f, "it has {entries} entries, more than {most}")
            }
            Self::TooMany { entries, gone, most } => {
                write!(f, "it has {entries} entries, more than {most}, with {gone} that it no longer names")
            }
            Self::Grown { before, entries, limit, since } => {
                let percent = share(entries.saturating_sub(*before), *before);
                write!(f, "it has grown from {before} to {entries} entries")?;
                if let Some(since) = since {
                    write!(f, " since {since:.0}")?;
                }
                write!(f, ", by {percent} %; {limit} % are allowed")
            }
            Self::Exchanged { before, exchanged, limit } => {
                let percent = share(*exchanged, *before);
                write!(
                    f,
                    "{exchanged} of its {before} entries have made way for others, {percent} %; \
                     {limit} % are allowed"
                )
            }
            Self::Shrunk { before, entries, limit } => {
                let percent = share(before.saturating_sub(*entries), *before);
                write!(
                    f,
                    "it has shrunk from {before} to {entries} entries, by {percent} %; {limit} % are allowed"
                )
            }
            Self::Rejected { rejected, lines, limit, line, reason } => {
                let percent = share(*rejected, *lines);
                write!(f, "{rejected} of {lines} lines are of no use, {percent} %; {limit} % are allowed; ")?;
                write!(f, "the first is line {line}: {reason}")
            }
            Self::Removed { removed, entries, limit, entry, reason } => {
                let percent = share(*removed, *entries);
                write!(f, "{removed} of {entries} entries are what no list may block, {percent} %; ")?;
                write!(f, "{limit} % are allowed; the first is `{entry}`: {reason}")
            }
            Self::Count { said, found } => {
                write!(
                    f,
                    "it says that it has {said} records and has {found}: it was cut off or put together wrongly"
                )
            }
            Self::Wide { addresses, most } => {
                write!(f, "it covers {addresses} IPv4 addresses, more than {most}: it may list whole clouds")
            }
            Self::NoRoom { reason } => write!(f, "there is no room for it: {reason}"),
            Self::Sparing { addresses, most_addresses, sites, most_sites } => {
                write!(
                    f,
                    "no list could block {addresses} IPv4 addresses and {sites} IPv6 prefixes of /48; "
                )?;
                write!(f, "{most_addresses} and {most_sites} are allowed")
            }
            Self::Impact { cuts, total, seconds } => {
                let noun = if *total == 1 { "far end" } else { "far ends" };
                let span = Span(*seconds);
                write!(f, "it would cut {total} {noun} that devices talked to in the last {span}")?;
                let Some(Cut { device, peer, entry, score, line, seen }) = cuts.first() else {
                    return Ok(());
                };
                write!(
                    f,
                    ": `{device}` to {peer}, last at {seen:.0}, by `{entry}` (line {line}, score {score})"
                )?;
                if *total > 1 { write!(f, ", and {} more", total - 1) } else { Ok(()) }
            }
        }
    }
}

impl Held {
    /// That so many far ends, which devices talked to in the last `span`, would be cut.
    #[must_use]
    pub fn impact(mut cuts: Vec<Cut>, total: usize, span: std::time::Duration) -> Self {
        cuts.truncate(super::MOST_CUTS);
        Self::Impact { cuts, total, seconds: span.as_secs() }
    }

    /// Whether an operator can let the list through: where there is one.
    #[must_use]
    pub const fn can_be_released(&self) -> bool {
        !matches!(self, Self::Unusable { .. })
    }

    /// The sentence, and what to do.
    #[must_use]
    pub fn explained(&self, feed: &str) -> String {
        let mend = match self {
            Self::Unusable { .. } => "look whether its address and its `format` are right",
            Self::Empty { .. } => "where that may be, set `allow_empty = true` in its `[[feed]]`",
            Self::TooFew { .. } => "where that may be, lower its `min_entries`",
            Self::TooMany { .. } => "where that may be, raise its `max_entries`",
            Self::Grown { .. } => "where that may be, raise its `max_growth`",
            Self::Shrunk { .. } => "where that may be, raise its `max_shrink`",
            Self::Exchanged { .. } => "where that may be, raise its `max_churn`",
            Self::Rejected { .. } => "look whether its `format` is right",
            Self::Removed { .. } => "look whether somebody has tampered with it",
            Self::Count { .. } => "it is fetched again at the next refresh",
            Self::Wide { .. } => "where that may be, raise its `max_addresses`",
            Self::NoRoom { .. } => "once there is room",
            Self::Sparing { .. } => {
                "a `never_block` list is for what must never be cut off, not for the internet"
            }
            Self::Impact { .. } => "look whether these devices are infected or the list is wrong",
        };
        let release = if self.can_be_released() {
            format!(", `iomt-filter feed release {feed}` lets it through")
        } else {
            String::new()
        };
        format!("{self}; {mend}; `iomt-filter feed show {feed}` shows it{release}")
    }
}

/// Of notes that were kept before the span was part of them.
const fn thirty_days() -> u64 {
    30 * DAY
}

/// A length of time in seconds, in words: in the largest unit of which it is a whole number.
struct Span(u64);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(DAY, "day"), (3_600, "hour"), (60, "minute"), (1, "second")];
        let whole = units.iter().find(|(unit, _)| self.0.is_multiple_of(*unit));
        let &(unit, name) = whole.unwrap_or(&(1, "second"));
        match self.0 / unit {
            1 => f.write_str(name),
            number => write!(f, "{number} {name}s"),
        }
    }
}

/// A share in percent, rounded up, so that what is more than a limit also reads as more.
fn share(part: usize, whole: usize) -> u128 {
    (part as u128 * 100).div_ceil((whole as u128).max(1))
}

/// What deserves a look of a list and holds nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Warning {
    /// Its publisher says that it is no longer kept.
    Deprecated {
        /// The line that says so.
        line: String,
    },
    /// Entries of a `never_block` list are wider than it may be, and are not spared.
    NotSpared {
        /// The first one.
        entry: IpNet,
        /// How many.
        count: usize,
    },
    /// Fields beside the address could not be read, and their entries do without.
    Unread {
        /// Which field.
        field: String,
        /// The line of the first, from 1.
        line: u32,
        /// How many.
        count: u64,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deprecated { line } => {
                write!(f, "its publisher says that it is no longer kept: `{line}`; look for another source")
            }
            Self::NotSpared { entry, count } => {
                write!(
                    f,
                    "{count} of its entries are wider than a `never_block` list may be and are not spared; \
                     the first is `{entry}`"
                )
            }
            Self::Unread { field, line, count } => {
                write!(
                    f,
                    "`{field}` of {count} entries could not be read, which do without; the first is line {line}"
                )
            }
        }
    }
}
