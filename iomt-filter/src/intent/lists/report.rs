//! An account of one feed, as `status` and `feed` show it.

use jiff::Timestamp;
use serde::Serialize;

use super::Standing;
use crate::feeds::guard::Sifted;
use crate::feeds::{Held, Removed};
use crate::intent::copies::{Account, Line, SHOWN};
use crate::intent::last_good;

/// What became of a feed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(tag = "state", content = "reason", rename_all = "kebab-case")]
pub enum FeedState {
    /// Its entries are listed.
    #[default]
    Loaded,
    /// It cannot be read now, and why; the entries of its last good list are listed.
    Kept(String),
    /// A list waits for somebody, and why; the entries of its last good list are listed, where there is one.
    Held(String),
    /// `enabled = false`.
    Disabled,
    /// None of its entries is, and why.
    NotLoaded(String),
}

/// An account of one feed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FeedReport {
    /// Its name.
    pub name: String,
    /// Its number in listings and events; 0 where it has none.
    pub number: u16,
    /// Where it comes from, without secrets.
    pub source: String,
    /// What it is read as.
    pub format: Option<String>,
    /// Whether its entries are spared, and not listed.
    pub never_block: bool,
    /// Entries that are listed, or spared where it is a `never_block` list.
    pub entries: usize,
    /// Domains that it names.
    pub domains: usize,
    /// Entries that its source no longer has, and that stay for now.
    pub gone: usize,
    /// The first lines that are no entries.
    pub rejected: Vec<Line>,
    /// Lines that could not be understood.
    pub faulty: usize,
    /// Lines that are of no use here.
    pub ignored: usize,
    /// The first entries that were put right.
    pub notes: Vec<Line>,
    /// The first entries, and parts of entries, that the guard held back.
    pub removed: Vec<Removed>,
    /// How many there are.
    pub spared: usize,
    /// What became of it.
    #[serde(flatten)]
    pub state: FeedState,
    /// Why a list waits, each in a sentence that says what to do.
    pub held: Vec<String>,
    /// Since when it waits, and how many entries it has.
    pub held_since: Option<Timestamp>,
    /// See [`held_since`](Self::held_since).
    pub held_entries: Option<usize>,
    /// What of it is no entry, and what no list may block.
    pub held_account: Option<Account>,
    /// Who let the list through the gate, where somebody had to.
    pub released: Option<String>,
    /// What deserves a look.
    pub warnings: Vec<String>,
    /// When the content that its entries are from was last changed.
    pub updated: Option<Timestamp>,
    /// How long ago that was, in seconds.
    pub age: Option<u64>,
    /// When it was last read, or found unchanged.
    pub read: Option<Timestamp>,
}

impl FeedReport {
    /// An account of a feed as it stands, of which the guard left `sifted`.
    pub(super) fn of(standing: &Standing, sifted: Option<&Sifted>, now: Timestamp) -> Self {
        let feed = &standing.feed;
        let copy = standing.copy.clone().unwrap_or_default();
        let notes = &copy.notes;
        let updated = notes.updated.or(notes.read);
        let removed = sifted.map(|sifted| sifted.removed.as_slice()).unwrap_or_default();
        let held = notes.held.as_ref();
        let mut report = Self {
            name: feed.name.clone(),
            number: standing.number,
            source: feed.source.shown(),
            format: notes.format.clone(),
            never_block: feed.never_block,
            entries: sifted.map_or(copy.list.networks().len(), |sifted| sifted.list.networks().len()),
            domains: copy.list.domains().len(),
            gone: copy.list.len() - copy.list.present(),
            rejected: notes.rejected.clone(),
            faulty: notes.faulty,
            ignored: notes.ignored,
            notes: notes.notes.clone(),
            removed: removed.iter().take(SHOWN).copied().collect(),
            spared: removed.len(),
            state: FeedState::Loaded,
            held: held.iter().flat_map(|held| &held.reasons).map(|held| held.explained(&feed.name)).collect(),
            held_since: held.map(|held| held.since),
            held_entries: held.map(|held| held.entries),
            held_account: held.map(|held| held.account.clone()),
            released: notes.released.clone(),
            warnings: notes.warnings.clone(),
            updated,
            age: updated.map(|updated| now.duration_since(updated).as_secs().max(0).unsigned_abs()),
            read: notes.read,
        };
        report.state = report.state_of(standing);
        report
    }

    /// The same of a feed whose list says what it said, and which stands otherwise.
    pub(super) fn again(&self, standing: &Standing, now: Timestamp) -> Self {
        let Self { entries, removed, spared, .. } = self.clone();
        let mut report = Self { entries, removed, spared, ..Self::of(standing, None, now) };
        report.state = report.state_of(standing);
        report
    }

    fn state_of(&self, standing: &Standing) -> FeedState {
        if !standing.feed.enabled {
            return FeedState::Disabled;
        }
        let copy = standing.copy.as_deref().filter(|copy| copy.notes.content.is_some());
        let mut failure = standing.failure.clone();
        if let Some(held) = standing.copy.as_ref().and_then(|copy| copy.notes.held.as_ref()) {
            let reasons: Vec<_> = held.reasons.iter().map(ToString::to_string).collect();
            let reasons = reasons.join("; ");
            if held.reasons.iter().all(Held::can_be_released) {
                return FeedState::Held(reasons);
            }
            failure = failure.or(Some(reasons));
        }
        match (&failure, copy) {
            (Some(reason), Some(_)) => {
                let since = last_good::since(self.updated);
                FeedState::Kept(format!("{reason}; its last good copy is of {since}"))
            }
            (Some(reason), None) => FeedState::NotLoaded(reason.clone()),
            (None, Some(_)) => FeedState::Loaded,
            (None, None) => FeedState::NotLoaded("it has not been fetched yet".to_owned()),
        }
    }
}
