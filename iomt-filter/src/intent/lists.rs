//! Feeds and manual blocks: read, judged, guarded, merged into listings, and accounted for.
//!
//! What feeds list stands by itself, one list a feed, so that lookups find every source of an entry; the guard and the
//! merge make the rows of all of them together. A feed may be exchanged by itself, for what was fetched of it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use iomt_filter_common::reputation::Listing;
use ipnet::IpNet;
use jiff::Timestamp;

use super::copies::{self, Copies, FeedCopy, Kind};
use super::last_good;
use crate::config::{Feed, GateConfig};
use crate::diagnostic::{Diagnostic, Place};
use crate::feeds::guard::{Sifted, never_block};
use crate::feeds::merge::{self, Listed, listings};
use crate::feeds::{Guard, ManualBlock, Reason, Removed, manual};
use crate::numbers::Numbers;
use crate::policy::peer::canonical;
use crate::rows::{Prefixes, Rows};

mod judge;
mod read;
mod report;

pub(super) use read::Lists;
pub(crate) use read::guarded;

pub use judge::{Bench, Content, Outcome, Release, digest, held, judge, unchanged, way};
pub use read::incoming;
pub use report::{FeedReport, FeedState};

/// A feed as it stands.
#[derive(Clone, Debug)]
pub struct Standing {
    /// What the configuration says.
    pub feed: Arc<Feed>,
    /// Its number in listings and events; 0 where it has none.
    pub number: u16,
    /// Its list, and how that came about; nothing before the first.
    pub copy: Option<Arc<FeedCopy>>,
    /// Why it cannot be read now.
    pub failure: Option<String>,
}

impl Standing {
    /// Whether what was made of the feed as `before` holds for it still: it is configured as it was, and lists what it
    /// listed.
    #[must_use]
    pub fn is_as(&self, before: &Self) -> bool {
        let is_same_copy = match (&self.copy, &before.copy) {
            (Some(copy), Some(before)) => Arc::ptr_eq(copy, before),
            (None, None) => true,
            _ => false,
        };
        is_same_copy && (Arc::ptr_eq(&self.feed, &before.feed) || self.feed == before.feed)
    }

    /// What it lists, before the guard.
    #[must_use]
    pub fn list(&self) -> Option<&crate::feeds::List> {
        self.copy.as_deref().map(|copy| &copy.list)
    }
}

/// What all feeds came to: whatever blocks are added by hand, this stays.
#[derive(Clone, Debug, Default)]
pub struct FeedLists {
    standings: Vec<Standing>,
    gate: GateConfig,
    /// What is ours.
    ranges: Vec<(IpNet, Reason)>,
    guard: Guard,
    operators: Guard,
    listings: Prefixes<Listing>,
    reports: Vec<Arc<FeedReport>>,
    next_expiry: Option<Timestamp>,
}

/// What no list may block: what is ours, and what lists spare.
fn guard(standings: &[Standing], gate: &GateConfig, ranges: &[(IpNet, Reason)]) -> Guard {
    Guard::of_feeds(ranges.iter().copied().chain(spared(standings, gate)), gate.public_resolvers)
        .with_floor(gate.floor)
}

/// What `never_block` lists spare.
fn spared(standings: &[Standing], gate: &GateConfig) -> Vec<(IpNet, Reason)> {
    let lists = standings.iter().filter(|standing| standing.feed.never_block).filter_map(Standing::list);
    never_block(lists.flat_map(|list| list.networks()).map(|kept| kept.what), gate.floor).0
}

impl Outcome {
    /// What is to be kept of it, where `before` was kept.
    #[must_use]
    pub fn files(&mut self, feed: &str, before: Option<&FeedCopy>) -> Vec<copies::File> {
        let file = |kind: Kind, bytes| (kind.of(feed), last_good::Content { bytes, modified: None });
        let mut files = Vec::new();
        if self.is_new || before.is_none() {
            let list = self.copy.list.to_bytes();
            self.copy.notes.list = Some(copies::digest(&list));
            files.push(file(Kind::List, list));
        }
        if self.keeps_content {
            files.push(file(Kind::Content, copies::to_bytes(&self.content)));
        }
        // Last: it says what the others are.
        files.extend(serde_json::to_vec_pretty(&self.copy.notes).ok().map(|notes| file(Kind::Notes, notes)));
        files
    }
}

impl FeedLists {
    fn of(standings: Vec<Standing>, gate: GateConfig, ranges: Vec<(IpNet, Reason)>, now: Timestamp) -> Self {
        let guard = guard(&standings, &gate, &ranges);
        // Whoever publishes a list that spares addresses lifts no block that somebody here has made.
        let operators = Guard::for_operators(ranges.iter().copied());
        let sifted: Vec<Option<Sifted>> = standings
            .iter()
            .map(|standing| Some(guard.sift(standing.list()?)).filter(|_| !standing.feed.never_block))
            .collect();
        let sources = standings.iter().zip(&sifted).zip(1..).filter_map(|((standing, sifted), order)| {
            let list = &sifted.as_ref()?.list;
            let (score, min_score) = (standing.feed.score, standing.feed.min_score);
            (standing.number != 0).then_some(merge::Source {
                list,
                feed: standing.number,
                order,
                score,
                min_score,
            })
        });
        let holes = sifted.iter().flatten().flat_map(Sifted::holes);
        let listings = merge::merged(sources, holes, now);
        let reports = standings.iter().zip(&sifted);
        let reports =
            reports.map(|(standing, sifted)| Arc::new(FeedReport::of(standing, sifted.as_ref(), now)));
        let reports = reports.collect();
        let next_expiry = standings.iter().filter_map(|standing| standing.list()?.next_expiry(now)).min();
        Self { standings, gate, ranges, guard, operators, listings, reports, next_expiry }
    }

    /// The same with another list of one feed.
    #[must_use]
    pub fn with(&self, name: &str, copy: Arc<FeedCopy>, now: Timestamp) -> Self {
        let mut standings = self.standings.clone();
        for standing in standings.iter_mut().filter(|standing| standing.feed.name == name) {
            (standing.copy, standing.failure) = (Some(copy.clone()), None);
        }
        Self::of(standings, self.gate.clone(), self.ranges.clone(), now)
    }

    /// The same with other notes of one feed, whose list says what it said.
    #[must_use]
    pub fn with_notes(&self, name: &str, copy: Arc<FeedCopy>, now: Timestamp) -> Self {
        self.changed(name, now, |standing| (standing.copy, standing.failure) = (Some(copy.clone()), None))
    }

    /// The same with one feed that cannot be had now; nothing where that is known.
    #[must_use]
    pub fn with_failure(&self, name: &str, failure: &str, now: Timestamp) -> Option<Self> {
        let is_known = self.get(name)?.failure.as_deref() == Some(failure);
        (!is_known).then(|| self.changed(name, now, |standing| standing.failure = Some(failure.to_owned())))
    }

    /// The same with a change of one feed that makes no other rows.
    fn changed(&self, name: &str, now: Timestamp, change: impl Fn(&mut Standing)) -> Self {
        let mut lists = self.clone();
        for (standing, report) in lists.standings.iter_mut().zip(&mut lists.reports) {
            if standing.feed.name == name {
                change(standing);
                *report = Arc::new(report.again(standing, now));
            }
        }
        lists
    }

    /// The same beside other addresses that are ours.
    #[must_use]
    pub fn beside(&self, ranges: Vec<(IpNet, Reason)>, now: Timestamp) -> Self {
        Self::of(self.standings.clone(), self.gate.clone(), ranges, now)
    }

    /// The same at another moment: without what has ended until then.
    #[must_use]
    pub fn at(&self, now: Timestamp) -> Self {
        Self::of(self.standings.clone(), self.gate.clone(), self.ranges.clone(), now)
    }

    /// When the next entry ends by itself.
    #[must_use]
    pub const fn next_expiry(&self) -> Option<Timestamp> {
        self.next_expiry
    }

    /// Every feed, in the order of the configuration.
    #[must_use]
    pub fn standings(&self) -> &[Standing] {
        &self.standings
    }

    /// A feed by its name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Standing> {
        self.standings.iter().find(|standing| standing.feed.name == name)
    }

    /// What no list may block.
    #[must_use]
    pub const fn guard(&self) -> &Guard {
        &self.guard
    }

    /// What is ours.
    #[must_use]
    pub fn ranges(&self) -> &[(IpNet, Reason)] {
        &self.ranges
    }

    /// How far back devices' far ends count.
    #[must_use]
    pub const fn impact(&self) -> std::time::Duration {
        self.gate.impact
    }

    /// The copies of all feeds.
    #[must_use]
    pub fn copies(&self) -> Copies {
        let copies = self
            .standings
            .iter()
            .filter_map(|standing| Some((standing.feed.name.clone(), standing.copy.clone()?)));
        copies.collect()
    }

    /// Files that may stay in the state folder.
    #[must_use]
    pub fn wanted(&self) -> BTreeSet<PathBuf> {
        let enabled = self.standings.iter().filter(|standing| standing.feed.enabled);
        let of = |standing: &Standing| {
            let waits = standing.copy.as_ref().is_some_and(|copy| copy.notes.held.is_some());
            let keeps_content = waits || judge::goes_on(&standing.feed);
            let kinds = [Some(Kind::List), Some(Kind::Notes), keeps_content.then_some(Kind::Content)];
            kinds.into_iter().flatten().map(|kind| kind.of(&standing.feed.name)).collect::<Vec<_>>()
        };
        enabled.flat_map(of).collect()
    }

    /// What the feeds list.
    pub(crate) fn listings(&self) -> Prefixes<Listing> {
        self.listings.clone()
    }

    /// What deserves a look of feeds that could not be read, or wait. Nothing but the configuration empties a feed.
    pub(super) fn warnings(&self) -> Vec<Diagnostic> {
        self.standings
            .iter()
            .zip(&self.reports)
            .filter_map(|(standing, report)| warning(standing, report))
            .collect()
    }

    /// Fills the blocks of `rows`, which are by hand, and names all feeds.
    pub(super) fn block(
        &self,
        rows: &mut Rows,
        numbers: &mut Numbers,
        blocks: &[ManualBlock],
        warnings: &mut Vec<Diagnostic>,
    ) -> Vec<Arc<FeedReport>> {
        let mut reports = self.reports.clone();
        let (by_hand, listings) = self.by_hand(blocks, numbers, warnings);
        reports.push(Arc::new(by_hand));
        let numbered = reports.iter().filter(|report| report.number != 0);
        rows.names.feeds = numbered.map(|report| (report.number, report.name.clone())).collect();
        rows.blocks = listings;
        reports
    }

    fn by_hand(
        &self,
        blocks: &[ManualBlock],
        numbers: &mut Numbers,
        warnings: &mut Vec<Diagnostic>,
    ) -> (FeedReport, Prefixes<Listing>) {
        let mut report = FeedReport { name: manual::FEED.to_owned(), ..FeedReport::default() };
        let Some(number) = numbers.feed(manual::FEED) else {
            report.state = FeedState::NotLoaded("no number is left for it".to_owned());
            return (report, Prefixes::default());
        };
        report.number = number;
        let mut holes = Vec::new();
        let mut listed = Vec::with_capacity(blocks.len());
        for block in blocks {
            let network = canonical(block.target.trunc());
            let guarded = self.operators.judge(network);
            if guarded.is_listed {
                listed.push(Listed { network, score: block.score, feed: number, order: 0 });
                holes.extend(guarded.removed.iter().map(|removed| removed.part));
            }
            report.removed.extend(guarded.removed);
        }
        (report.entries, report.spared) = (listed.len(), report.removed.len());
        for removed in &report.removed {
            let message =
                format!("block of `{}` spares `{}`: {}", removed.entry, removed.part, removed.reason);
            warnings.push(Diagnostic::warning(&Place::default(), message));
        }
        (report, listings(listed, holes))
    }

    /// Why a block by hand would not hold, or not all of it.
    pub(super) fn refuse(&self, target: IpNet) -> Vec<Removed> {
        self.operators.judge(canonical(target.trunc())).removed
    }
}

fn warning(standing: &Standing, report: &FeedReport) -> Option<Diagnostic> {
    let (feed, place) = (&standing.feed.name, &standing.feed.place);
    let on_purpose = "mend it; to do without its entries, remove the `[[feed]]` or set `enabled = false`";
    match &report.state {
        FeedState::Kept(reason) => {
            let message = format!("feed `{feed}` cannot be loaded and stays as it was: {reason}");
            Some(Diagnostic::warning(place, message).help(on_purpose))
        }
        FeedState::Held(_) => {
            let stays = if report.entries > 0 { "stays as it was" } else { "lists nothing" };
            let reasons = report.held.join("; ");
            Some(Diagnostic::warning(place, format!("feed `{feed}` {stays}: a new list is held: {reasons}")))
        }
        FeedState::NotLoaded(reason) => {
            Some(Diagnostic::warning(place, format!("feed `{feed}` is not loaded: {reason}")))
        }
        FeedState::Loaded | FeedState::Disabled => {
            let first = report.warnings.first()?;
            Some(Diagnostic::warning(place, format!("feed `{feed}`: {first}")))
        }
    }
}
