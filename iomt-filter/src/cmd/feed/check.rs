//! `iomt-filter feed check`: looks at a list as the gate would, without an agent.
//!
//! Bytes of a list come in, an account of it goes out: what it lists, what of it is of no use, what no list may
//! block, and why it would be held. Where there is a configuration, what it guards is guarded; nothing is loaded,
//! kept or compared with an earlier reading.

use std::io::ErrorKind;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use clap::Args;
use ipnet::IpNet;
use jiff::Timestamp;
use serde::Serialize;

use crate::cli::{FINDING, Output};
use crate::config::{self, Config};
use crate::feeds::formats::{self, FORMATS, Format, Note};
use crate::feeds::gate::{self, Candidate, Judged, Limits};
use crate::feeds::merge::aggregated;
use crate::feeds::{About, Guard, Parsed, Reject, Removed, list};
use crate::host::HostNetworks;
use crate::{cmd, intent, output};

mod text;

/// The score of entries that have none; what is listed does not depend on it.
const SCORE: u8 = 100;

/// Options of `feed check`.
#[derive(Debug, Args)]
pub struct Options {
    /// The list: a file, an address of a server, or `-` for standard input
    #[arg(value_name = "FILE|URL")]
    source: String,
    /// Its format
    #[arg(long, default_value = "auto", value_parser = format)]
    format: Format,
    /// Read and judge it as this feed of the configuration would be
    #[arg(long, value_name = "NAME")]
    feed: Option<String>,
}

/// How a list is read and judged.
struct Setting {
    guard: Guard,
    limits: Limits,
    reading: formats::Reading,
    score: u8,
    min_score: u8,
    spares: bool,
}

fn format(text: &str) -> Result<Format, String> {
    let found = FORMATS.iter().find(|(name, _)| *name == text).map(|(_, format)| *format);
    let known = || FORMATS.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    found.ok_or_else(|| format!("there is no such format; there are {}", known()))
}

/// What a list comes to.
#[derive(Debug, Serialize)]
struct Report {
    /// What it was read as.
    format: Format,
    /// Entries of addresses, duplicates counted.
    entries: usize,
    /// Networks.
    unique: usize,
    /// Those of IPv4.
    ipv4: usize,
    /// Those of IPv6.
    ipv6: usize,
    /// Names of domains.
    domains: usize,
    /// The fewest prefixes that cover the same addresses.
    aggregated: usize,
    /// IPv4 addresses that it covers, each once.
    addresses_ipv4: u64,
    rejected: Vec<Reject>,
    removed: Vec<Removed>,
    held: Vec<String>,
    warnings: Vec<String>,
    /// Entries that were put right.
    notes: Vec<Note>,
    /// Entries that have ended.
    ended: usize,
    /// Entries that would be listed.
    listed: usize,
    /// The widest network.
    shortest_prefix: Option<IpNet>,
    /// The first time that the list says it saw anything.
    oldest: Option<Timestamp>,
    /// The last time.
    newest: Option<Timestamp>,
}

/// Looks at a list, whose bytes `fetch` gets. One that would be held, or of which nothing can be used, is a finding.
///
/// # Errors
/// When the list or the configuration cannot be read, or stdout not be written to.
pub fn run(
    config: &Path,
    options: &Options,
    output: Output,
    fetch: impl FnOnce(&str) -> Result<Vec<u8>>,
) -> Result<ExitCode> {
    let bytes = fetch(&options.source)?;
    let now = Timestamp::now();
    let setting = setting(config, options, now)?;
    let parsed = formats::parse(&setting.reading, &bytes);
    drop(bytes);
    let report = Report::of(parsed, &setting, now);
    match output {
        Output::Json => output::document(&report)?,
        Output::Text => output::text(text::Shown(&report))?,
    }
    Ok(if report.held.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FINDING) })
}

/// By the configuration at `path`, or only what holds everywhere, where there is none and none was asked for.
fn setting(path: &Path, options: &Options, now: Timestamp) -> Result<Setting> {
    let mut setting = Setting {
        guard: Guard::for_feeds([]),
        limits: Limits::default(),
        reading: formats::Reading { format: options.format, now, ..formats::Reading::default() },
        score: SCORE,
        min_score: 0,
        spares: false,
    };
    let Some(config) = configuration(path, options.feed.is_some())? else { return Ok(setting) };
    let host = HostNetworks::read().context("failed to read the addresses of this host")?;
    let (ranges, missing) = intent::guarded(&config, &host);
    if !missing.is_empty() {
        missing.iter().for_each(output::note);
        output::note("devices and protected peers are not guarded here: policy or inventory cannot be read");
    }
    setting.guard = Guard::of_feeds(ranges, config.gate.public_resolvers).with_floor(config.gate.floor);
    if let Some(name) = &options.feed {
        let found = config.feeds.iter().find(|feed| feed.name == *name);
        let feed = found.with_context(|| format!("no feed `{name}` in `{}`", path.display()))?;
        let declared = Some(options.format).filter(|format| *format != Format::Auto);
        setting.limits = feed.limits;
        setting.reading = formats::Reading {
            format: declared.unwrap_or(feed.format),
            columns: feed.columns.clone(),
            pointers: feed.pointers.clone(),
            now,
        };
        (setting.score, setting.min_score) = (feed.score, feed.min_score);
        setting.spares = feed.never_block;
        if feed.never_block {
            setting.guard = Guard::for_spared(config.gate.floor);
        }
    }
    Ok(setting)
}

/// The configuration, where there is one: it `must_be` there, or not be the default one.
fn configuration(path: &Path, must_be: bool) -> Result<Option<Config>> {
    let may_miss = path == Path::new(config::PATH) && !must_be;
    match std::fs::File::open(path) {
        Ok(_) => Config::load(path).map(Some).map_err(|found| anyhow!(cmd::joined(&found))),
        Err(error) if may_miss && error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) if may_miss && error.kind() == ErrorKind::PermissionDenied => {
            let shown = path.display();
            output::note(format!(
                "`{shown}` may not be read: only what no list may block anywhere is guarded here"
            ));
            Ok(None)
        }
        Err(error) => {
            let message = format!("failed to read the configuration `{}`", path.display());
            Err(anyhow::Error::new(error).context(message))
        }
    }
}

impl Report {
    fn of(parsed: Parsed, setting: &Setting, now: Timestamp) -> Self {
        let Parsed { format, entries, domains, rejects, notes, remarks, .. } = parsed;
        let mut networks: Vec<IpNet> = entries.iter().map(|entry| entry.network).collect();
        networks.sort_unstable();
        networks.dedup();
        let covered = aggregated(&networks);
        let mut names: Vec<&str> = domains.iter().map(|domain| domain.name.as_ref()).collect();
        names.sort_unstable();
        names.dedup();
        let name_count = names.len();
        let abouts = entries.iter().map(|entry| &entry.about).chain(domains.iter().map(|it| &it.about));
        let (oldest, newest) = span(abouts.filter_map(|about| about.as_deref()));
        let (entry_count, read) = (entries.len(), entries.len() + domains.len());
        let reading =
            list::Reading { entries, domains, now, score: setting.score, ..list::Reading::default() };
        let (list, changes) = list::List::default().renewed(reading);
        let candidate = Candidate {
            list: &list,
            changes,
            read,
            rejects: &rejects,
            remarks: &remarks,
            last_good: None,
            score: setting.score,
            min_score: setting.min_score,
            far_ends: &[],
            impact: Duration::ZERO,
            spares: setting.spares,
            now,
        };
        let Judged { sifted, held, warnings } = gate::judge(&setting.limits, &setting.guard, &candidate);
        let ipv4 = networks.iter().filter(|network| matches!(network, IpNet::V4(_))).count();
        Self {
            format,
            entries: entry_count,
            unique: networks.len(),
            ipv4,
            ipv6: networks.len() - ipv4,
            domains: name_count,
            aggregated: covered.len(),
            addresses_ipv4: covered.iter().map(addresses_ipv4).sum(),
            rejected: rejects,
            removed: sifted.removed,
            held: held.iter().map(ToString::to_string).collect(),
            warnings: warnings.iter().map(ToString::to_string).collect(),
            notes,
            ended: changes.ended,
            listed: sifted.list.networks().len(),
            shortest_prefix: networks.iter().copied().min_by_key(IpNet::prefix_len),
            oldest,
            newest,
        }
    }
}

/// The first and the last time that anything was seen.
fn span<'a>(abouts: impl Iterator<Item = &'a About>) -> (Option<Timestamp>, Option<Timestamp>) {
    abouts.flat_map(|about| about.first_seen.into_iter().chain(about.last_seen)).fold(
        (None, None),
        |(oldest, newest): (Option<Timestamp>, Option<Timestamp>), seen| {
            (Some(oldest.map_or(seen, |oldest| oldest.min(seen))), newest.max(Some(seen)))
        },
    )
}

/// How many IPv4 addresses a network has.
fn addresses_ipv4(network: &IpNet) -> u64 {
    match network {
        IpNet::V4(net) => 1 << (32 - u32::from(net.prefix_len())),
        IpNet::V6(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(text: &str) -> Report {
        let reading = formats::Reading::default();
        let parsed = formats::parse(&reading, text.as_bytes());
        let guard = Guard::for_feeds([]);
        let limits = Limits::default();
        let setting = Setting { guard, limits, reading, score: SCORE, min_score: 0, spares: false };
        Report::of(parsed, &setting, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn addresses_are_counted_once() {
        let report = report("203.0.113.0/24\n203.0.113.9\n203.0.113.9\n203.0.112.0/24\n2001:db8::/32\n");
        assert_eq!((report.entries, report.unique, report.ipv4, report.ipv6), (5, 4, 3, 1));
        assert_eq!((report.aggregated, report.addresses_ipv4), (2, 512));
        assert_eq!(report.shortest_prefix.map(|net| net.to_string()).as_deref(), Some("203.0.112.0/24"));
    }

    #[test]
    fn all_of_ipv4_is_more_than_a_word_holds() {
        assert_eq!(report("0.0.0.0/1\n128.0.0.0/1\n").addresses_ipv4, 1 << 32);
    }

    #[test]
    fn what_only_names_what_is_guarded_is_of_no_use() {
        assert_eq!(report("8.8.8.8\n10.0.0.1\n").held.len(), 1);
        assert_eq!(report("8.8.8.8\n203.0.113.1\n").held.len(), 0);
    }
}
