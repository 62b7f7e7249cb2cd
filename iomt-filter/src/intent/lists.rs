//! Feeds and manual blocks: read, guarded, merged into listings, and accounted for.

use std::path::Path;
use std::sync::Arc;

use iomt_filter_common::reputation::Listing;
use ipnet::IpNet;
use jiff::Timestamp;
use serde::Serialize;

use crate::config::{Config, Feed, FeedSource};
use crate::diagnostic::{Diagnostic, Place};
use crate::feeds::formats::{self, Note};
use crate::feeds::merge::{Listed, listings};
use crate::feeds::{Guard, ManualBlock, Parsed, Reason, Reject, Removed, manual};
use crate::host::HostNetworks;
use crate::numbers::Numbers;
use crate::policy::peer::canonical;
use crate::rows::{Prefixes, Rows};

use super::last_good::{self, Content, LastGood};

/// The largest file that is read as a list.
const MAX_BYTES: u64 = 256 << 20;

/// What became of a feed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", content = "reason", rename_all = "kebab-case")]
pub enum FeedState {
    /// Its entries are listed.
    Loaded,
    /// Its file cannot be used, and why; the entries of its last good copy are listed.
    Kept(String),
    /// `enabled = false`.
    Disabled,
    /// None of its entries is, and why.
    NotLoaded(String),
}

/// An account of one feed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FeedReport {
    /// Its name.
    pub name: String,
    /// Its number in listings and events; 0 where it has none.
    pub number: u16,
    /// Entries that are listed.
    pub entries: usize,
    /// Lines that are no entries.
    pub rejected: Vec<Reject>,
    /// Entries that were put right.
    pub notes: Vec<Note>,
    /// Entries, and parts of entries, that the guard held back.
    pub removed: Vec<Removed>,
    /// What became of it.
    #[serde(flatten)]
    pub state: FeedState,
    /// When the file that its entries are from was last changed.
    pub updated: Option<Timestamp>,
    /// How long ago that was, in seconds.
    pub age: Option<u64>,
}

impl FeedReport {
    fn new(name: &str, state: FeedState) -> Self {
        Self {
            name: name.to_owned(),
            number: 0,
            entries: 0,
            rejected: Vec::new(),
            notes: Vec::new(),
            removed: Vec::new(),
            state,
            updated: None,
            age: None,
        }
    }
}

/// What lists are read with.
pub(super) struct Lists<'c> {
    pub(super) config: &'c Config,
    pub(super) host: &'c HostNetworks,
    pub(super) segments: &'c [IpNet],
}

/// What all feeds came to: whatever blocks are added by hand, this stays.
#[derive(Debug, Default)]
pub(super) struct FeedLists {
    listings: Prefixes<Listing>,
    operators: Guard,
    reports: Vec<Arc<FeedReport>>,
}

/// Entries on their way into the rows.
#[derive(Clone, Debug, Default)]
struct Gathered {
    listed: Vec<Listed>,
    holes: Vec<IpNet>,
}

impl Lists<'_> {
    /// Reads all feeds; the devices and protected pairs of `rows` are guarded.
    pub(super) fn read(
        &self,
        rows: &Rows,
        numbers: &mut Numbers,
        warnings: &mut Vec<Diagnostic>,
        last_good: &mut LastGood,
    ) -> FeedLists {
        let mut gathered = Gathered::default();
        let ranges = self.guarded(rows);
        let guard = Guard::for_feeds(ranges.iter().copied());
        let mut reports = Vec::with_capacity(self.config.feeds.len());
        for (order, feed) in self.config.feeds.iter().enumerate() {
            let order = u16::try_from(order).unwrap_or(u16::MAX).saturating_add(1);
            let mut report = FeedReport::new(&feed.name, FeedState::Disabled);
            if feed.enabled {
                report = match numbers.feed(&feed.name) {
                    Some(number) => {
                        let reading = Reading { feed, number, order, guard: &guard };
                        let (report, found) = reading.with_last_good(&self.config.paths.state, last_good);
                        gathered.listed.extend(found.listed);
                        gathered.holes.extend(found.holes);
                        report
                    }
                    None => FeedReport::new(
                        &feed.name,
                        FeedState::NotLoaded("no number is left for it".to_owned()),
                    ),
                };
            }
            warnings.extend(warning(feed, &report));
            report.number = numbers.feeds.get(&feed.name).copied().unwrap_or(0);
            reports.push(Arc::new(report));
        }
        let listings = listings(gathered.listed, gathered.holes);
        FeedLists { listings, operators: Guard::for_operators(ranges), reports }
    }

    /// What is ours, with the gravest reason first where two are the same range.
    fn guarded(&self, rows: &Rows) -> Vec<(IpNet, Reason)> {
        let network = |address: &iomt_filter_common::Address| IpNet::from(std::net::IpAddr::from(*address));
        let own = self.host.addresses().into_iter().map(|address| (IpNet::from(address), Reason::OwnAddress));
        let devices = rows.device_addresses.keys().map(|address| (network(address), Reason::Device));
        let management = self.config.management.iter().flat_map(|pair| &pair.peers.networks);
        let protected = rows.protected.iter().filter_map(|(_, prefix)| {
            let bits = if prefix.address.is_v4() { prefix.bits.saturating_sub(96) } else { prefix.bits };
            IpNet::new(prefix.address.into(), bits).ok().map(|network| (network, Reason::Protected))
        });
        own.chain(devices)
            .chain(management.map(|&network| (network, Reason::Management)))
            .chain(protected)
            .chain(self.segments.iter().map(|&network| (network, Reason::Segment)))
            .chain(self.host.networks().into_iter().map(|network| (network, Reason::OwnNetwork)))
            .collect()
    }
}

/// What a feed is read with.
struct Reading<'r> {
    feed: &'r Feed,
    number: u16,
    order: u16,
    guard: &'r Guard,
}

impl Reading<'_> {
    /// Reads the feed; where that fails, the last good copy of it in the folder `state`.
    fn with_last_good(&self, state: &Path, last_good: &mut LastGood) -> (FeedReport, Gathered) {
        let copy = last_good::of_feed(&self.feed.name);
        last_good.wanted.insert(copy.clone());
        let reason = match read_file(self.feed) {
            Ok(content) => {
                let (report, gathered) = self.list(&content);
                let FeedState::NotLoaded(reason) = &report.state else {
                    last_good.read.push((copy, content));
                    return (report, gathered);
                };
                let reason = reason.clone();
                match self.kept(state, &copy, &reason) {
                    Some(kept) => return kept,
                    None => return (report, gathered),
                }
            }
            Err(reason) => reason,
        };
        self.kept(state, &copy, &reason).unwrap_or_else(|| {
            (FeedReport::new(&self.feed.name, FeedState::NotLoaded(reason)), Gathered::default())
        })
    }

    fn kept(&self, state: &Path, copy: &Path, reason: &str) -> Option<(FeedReport, Gathered)> {
        let (mut report, gathered) = self.list(&last_good::read(state, copy)?);
        if report.state != FeedState::Loaded {
            return None;
        }
        let since = last_good::since(report.updated);
        report.state = FeedState::Kept(format!("{reason}; its last good copy is of {since}"));
        Some((report, gathered))
    }

    /// What the guard lets through of a content.
    fn list(&self, content: &Content) -> (FeedReport, Gathered) {
        let mut gathered = Gathered::default();
        let mut report = FeedReport::new(&self.feed.name, FeedState::Loaded);
        report.updated = content.updated();
        let age = |updated| Timestamp::now().duration_since(updated).as_secs().max(0) as u64;
        report.age = report.updated.map(age);
        let reading =
            formats::Reading { format: self.feed.format, now: Timestamp::now(), ..Default::default() };
        let Parsed { entries, domains, rejects, notes, .. } = formats::parse(&reading, &content.bytes);
        (report.rejected, report.notes) = (rejects, notes);
        for entry in entries {
            let score = entry.score.unwrap_or(self.feed.score);
            let network = entry.network;
            let listed = Listed { network, score, feed: self.number, order: self.order };
            gathered.add(listed, self.guard, &mut report);
        }
        if report.entries == 0 {
            let rejected =
                report.rejected.first().map(|reject| format!("line {}: {}", reject.line, reject.reason));
            let removed =
                report.removed.first().map(|removed| format!("`{}`: {}", removed.entry, removed.reason));
            let named =
                domains.first().map(|domain| format!("it names domains alone, such as `{}`", domain.name));
            let reason = rejected.or(removed).or(named).unwrap_or_else(|| "the list is empty".to_owned());
            report.state = FeedState::NotLoaded(format!("no entry can be used; {reason}"));
        }
        (report, gathered)
    }
}

/// What deserves a look of a feed that could not be read. Nothing but the configuration empties a feed.
fn warning(feed: &Feed, report: &FeedReport) -> Option<Diagnostic> {
    let on_purpose = "mend it; to do without its entries, remove the `[[feed]]` or set `enabled = false`";
    match &report.state {
        FeedState::Kept(reason) => {
            let message = format!("feed `{}` cannot be loaded and stays as it was: {reason}", feed.name);
            Some(Diagnostic::warning(&feed.place, message).help(on_purpose))
        }
        FeedState::NotLoaded(reason) => {
            let message = format!("feed `{}` is not loaded: {reason}", feed.name);
            Some(Diagnostic::warning(&feed.place, message))
        }
        FeedState::Loaded | FeedState::Disabled => None,
    }
}

impl FeedLists {
    /// What the feeds list.
    pub(super) fn listings(&self) -> Prefixes<Listing> {
        self.listings.clone()
    }

    /// Fills the blocks of `rows`, which are by hand, and names all feeds.
    pub(super) fn block(
        &self,
        rows: &mut Rows,
        numbers: &mut Numbers,
        blocks: &[ManualBlock],
        warnings: &mut Vec<Diagnostic>,
    ) -> Vec<Arc<FeedReport>> {
        let mut gathered = Gathered::default();
        let mut reports = self.reports.clone();
        let by_hand = manual_blocks(blocks, &self.operators, numbers, &mut gathered, warnings);
        reports.push(Arc::new(by_hand));
        let numbered = reports.iter().filter(|report| report.number != 0);
        rows.names.feeds = numbered.map(|report| (report.number, report.name.clone())).collect();
        rows.blocks = listings(gathered.listed, gathered.holes);
        reports
    }

    /// Why a block by hand would not hold, or not all of it.
    pub(super) fn refuse(&self, target: IpNet) -> Vec<Removed> {
        self.operators.judge(canonical(target.trunc())).removed
    }
}

impl Gathered {
    fn add(&mut self, listed: Listed, guard: &Guard, report: &mut FeedReport) {
        let guarded = guard.judge(listed.network);
        if guarded.is_listed {
            report.entries += 1;
            self.listed.push(listed);
            self.holes.extend(guarded.removed.iter().map(|removed| removed.part));
        }
        report.removed.extend(guarded.removed);
    }
}

fn read_file(feed: &Feed) -> Result<Content, String> {
    let path: &Path = match &feed.source {
        FeedSource::Path(path) => path,
        FeedSource::Url(_) => return Err("fetching from a URL is not supported yet; give `path`".to_owned()),
    };
    let failed = |error: std::io::Error| format!("failed to read `{}`: {error}", path.display());
    let metadata = std::fs::metadata(path).map_err(failed)?;
    if !metadata.is_file() {
        return Err(format!("`{}` is no file", path.display()));
    }
    if metadata.len() > MAX_BYTES {
        return Err(format!("`{}` is larger than {} MiB", path.display(), MAX_BYTES >> 20));
    }
    let bytes = std::fs::read(path).map_err(failed)?;
    Ok(Content { bytes, modified: metadata.modified().ok() })
}

fn manual_blocks(
    blocks: &[ManualBlock],
    guard: &Guard,
    numbers: &mut Numbers,
    gathered: &mut Gathered,
    warnings: &mut Vec<Diagnostic>,
) -> FeedReport {
    let mut report = FeedReport::new(manual::FEED, FeedState::Loaded);
    let Some(number) = numbers.feed(manual::FEED) else {
        report.state = FeedState::NotLoaded("no number is left for it".to_owned());
        return report;
    };
    report.number = number;
    for block in blocks {
        let network = canonical(block.target.trunc());
        let listed = Listed { network, score: block.score, feed: number, order: 0 };
        gathered.add(listed, guard, &mut report);
    }
    for removed in &report.removed {
        let message = format!("block of `{}` spares `{}`: {}", removed.entry, removed.part, removed.reason);
        warnings.push(Diagnostic::warning(&Place::default(), message));
    }
    report
}
