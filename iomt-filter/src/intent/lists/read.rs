//! Feeds as the configuration names them: files, what waits, and what came with a bundle, each judged.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use ipnet::IpNet;
use jiff::Timestamp;

use super::judge::{Bench, Content, digest_of, judge};
use super::{FeedLists, Standing, guard};
use crate::bundle;
use crate::config::{Config, Feed};
use crate::diagnostic::Diagnostic;
use crate::feeds::fetch::{self, Fetched, Origin, Part};
use crate::feeds::{FarEnd, Guard, Reason};
use crate::host::HostNetworks;
use crate::intent::copies::{self, Copies, FeedCopy};
use crate::intent::last_good::LastGood;
use crate::numbers::Numbers;
use crate::rows::Rows;

/// What lists are read with.
pub(in crate::intent) struct Lists<'c> {
    pub(in crate::intent) config: &'c Config,
    pub(in crate::intent) host: &'c HostNetworks,
    pub(in crate::intent) segments: &'c [IpNet],
    /// What is known of the feeds already.
    pub(in crate::intent) copies: &'c Copies,
    /// Whether files are read, or what is known of them holds.
    pub(in crate::intent) reads_files: bool,
    /// See [`Bench::makes_tables`].
    pub(in crate::intent) makes_tables: bool,
    /// What devices have talked to since a time.
    pub(in crate::intent) far_ends: &'c dyn Fn(&Rows) -> Vec<FarEnd>,
    pub(in crate::intent) now: Timestamp,
}

impl Lists<'_> {
    /// Reads all feeds; the devices and protected pairs of `rows` are guarded.
    pub(in crate::intent) fn read(
        &self,
        rows: &Rows,
        numbers: &mut Numbers,
        warnings: &mut Vec<Diagnostic>,
        last_good: &mut LastGood,
    ) -> FeedLists {
        let of_config = |feed: &Feed| {
            let number = if feed.enabled { numbers.feed(&feed.name) } else { None };
            let number = number.or_else(|| numbers.feeds.get(&feed.name).copied());
            let failure = (feed.enabled && number.is_none()).then(|| "no number is left for it".to_owned());
            let copy = self.copies.get(&feed.name).filter(|_| feed.enabled).cloned();
            Standing { feed: Arc::new(feed.clone()), number: number.unwrap_or(0), copy, failure }
        };
        let mut standings: Vec<Standing> = self.config.feeds.iter().map(of_config).collect();
        let ranges = guarded(self.config, self.host, self.segments, rows);
        let far_ends = std::cell::OnceCell::new();
        // Lists that spare come first: the others are judged with what they spare.
        for spares in [true, false] {
            let guard = guard(&standings, &self.config.gate, &ranges);
            let turn =
                |standing: &&mut Standing| standing.feed.never_block == spares && standing.feed.enabled;
            for standing in standings.iter_mut().filter(turn) {
                let far_ends = || far_ends.get_or_init(|| (self.far_ends)(rows)).as_slice();
                self.renew(standing, &guard, far_ends, last_good);
            }
        }
        let lists = FeedLists::of(standings, self.config.gate.clone(), ranges, self.now);
        warnings.extend(lists.warnings());
        last_good.wanted = lists.wanted();
        lists
    }

    /// Reads a feed again where it is a file, and judges anew what waits.
    fn renew<'f>(
        &self,
        standing: &mut Standing,
        guard: &Guard,
        far_ends: impl Fn() -> &'f [FarEnd],
        last_good: &mut LastGood,
    ) {
        let feed = standing.feed.clone();
        let copy = standing.copy.clone();
        let known = copy.as_deref();
        let incoming = Incoming::read(&self.config.paths.state, &feed.name);
        let is_new = |incoming: &&Incoming| match known {
            _ if !self.reads_files => false,
            Some(copy) if feed.is_remote() => copy.notes.incoming.as_ref() != Some(&incoming.digest),
            _ => feed.is_remote() || incoming.is_newer_than(&feed),
        };
        let content = match incoming.as_ref().filter(is_new) {
            Some(incoming) => Some(incoming.content()),
            None if !self.reads_files => None,
            None if feed.is_remote() => self.waiting(&feed, known),
            None => match fetch::fetch(&feed.source, &fetch::Resume::default(), None, self.now) {
                Ok(Fetched::New { parts, resume, modified }) => {
                    Some(Content { parts, resume, modified, ..Content::default() })
                }
                Ok(Fetched::Unchanged { .. }) => None,
                Err(error) => {
                    standing.failure = Some(error.to_string());
                    None
                }
            },
        };
        let Some(content) = content else { return };
        let (impact, makes_tables) = (self.config.gate.impact, self.makes_tables);
        let bench = Bench { guard, far_ends: far_ends(), impact, makes_tables, now: self.now };
        let mut outcome = judge(&feed, content, known, &bench);
        outcome.copy.notes.incoming = incoming.map(|incoming| incoming.digest);
        last_good.read.extend(outcome.files(&feed.name, known));
        standing.copy = Some(Arc::new(outcome.copy));
    }

    /// The list of a feed that waits, to be judged anew: limits may have changed.
    fn waiting(&self, feed: &Feed, known: Option<&FeedCopy>) -> Option<Content> {
        let notes = &known?.notes;
        let held = notes.held.as_ref()?;
        let parts = copies::content(&self.config.paths.state, &feed.name)?;
        let (resume, modified) = (notes.resume.clone(), held.updated);
        Some(Content { parts, resume, modified, is_kept_list: held.is_kept_list, released: None })
    }
}

/// The list of a feed that came with a bundle.
struct Incoming {
    part: Part,
    modified: Option<SystemTime>,
    digest: String,
}

impl Incoming {
    fn read(state: &Path, feed: &str) -> Option<Self> {
        let path = bundle::incoming(state, feed);
        let modified = std::fs::metadata(&path).ok()?.modified().ok();
        let bytes = std::fs::read(&path).ok()?;
        let part = Part { name: path.display().to_string(), bytes };
        let digest = digest_of(std::slice::from_ref(&part));
        Some(Self { part, modified, digest })
    }

    fn content(&self) -> Content {
        let modified = self.modified.and_then(|time| Timestamp::try_from(time).ok());
        Content { parts: vec![self.part.clone()], modified, is_kept_list: true, ..Content::default() }
    }

    /// Whether it takes the place of the feed's own file.
    fn is_newer_than(&self, feed: &Feed) -> bool {
        let Origin::Path(path) = &feed.source.origin else { return true };
        let own = std::fs::metadata(path).and_then(|about| about.modified()).ok();
        own.is_none() || self.modified > own
    }
}

/// The list that came with a bundle for a feed that is a file, where it is newer than that.
#[must_use]
pub fn incoming(state: &Path, feed: &Feed) -> Option<Content> {
    let incoming = Incoming::read(state, &feed.name).filter(|incoming| incoming.is_newer_than(feed));
    incoming.filter(|_| !feed.is_remote()).map(|incoming| incoming.content())
}

/// What is ours, with the gravest reason first where two are the same range.
pub(crate) fn guarded(
    config: &Config,
    host: &HostNetworks,
    segments: &[IpNet],
    rows: &Rows,
) -> Vec<(IpNet, Reason)> {
    let network = |address: &iomt_filter_common::Address| IpNet::from(std::net::IpAddr::from(*address));
    let own = host.addresses().into_iter().map(|address| (IpNet::from(address), Reason::OwnAddress));
    let devices = rows.device_addresses.keys().map(|address| (network(address), Reason::Device));
    let management = config.management.iter().flat_map(|pair| &pair.peers.networks);
    let protected = rows.protected.iter().filter_map(|(_, prefix)| {
        let bits = if prefix.address.is_v4() { prefix.bits.saturating_sub(96) } else { prefix.bits };
        IpNet::new(prefix.address.into(), bits).ok().map(|network| (network, Reason::Protected))
    });
    own.chain(devices)
        .chain(management.map(|&network| (network, Reason::Management)))
        .chain(protected)
        .chain(config.gate.never_block.iter().map(|&network| (network, Reason::NeverBlock)))
        .chain(segments.iter().map(|&network| (network, Reason::Segment)))
        .chain(host.networks().into_iter().map(|network| (network, Reason::OwnNetwork)))
        .collect()
}
