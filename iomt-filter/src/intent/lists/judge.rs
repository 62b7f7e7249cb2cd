//! From the content of a feed to what becomes of it: the list that takes the place of the last good one, or a note of
//! why it waits.

use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use crate::config::Feed;
use crate::feeds::fetch::{Origin, Part, Protocol, Resume};
use crate::feeds::formats::{self, Parsed};
use crate::feeds::gate::{self, Candidate, Cut};
use crate::feeds::list::{self, Kept};
use crate::feeds::{FarEnd, Format, Guard, Held, List};
use crate::hex::hexadecimal;
use crate::intent::copies::{Account, FeedCopy, FeedNotes, HeldNote, Line, SHOWN};

/// Content of a feed that wants to be its list.
#[derive(Clone, Debug, Default)]
pub struct Content {
    /// What it consists of.
    pub parts: Vec<Part>,
    /// What the next fetch goes on from.
    pub resume: Resume,
    /// When it was last changed at its source.
    pub modified: Option<Timestamp>,
    /// Whether it is a list as this program keeps it, which only bundles bring.
    pub is_kept_list: bool,
    /// Who lets it through the gate, where somebody does.
    pub released: Option<Release>,
}

/// Somebody lets a list through that waits, for the reasons that are known.
#[derive(Clone, Debug, PartialEq)]
pub struct Release {
    /// Who.
    pub by: String,
    /// Why it waits.
    pub reasons: Vec<Held>,
}

impl Release {
    /// Whether a reason is one that was known; of far ends that would be cut, all of them.
    fn covers(&self, held: &Held) -> bool {
        self.reasons.iter().any(|known| match (known, held) {
            (Held::Impact { cuts: known, total, .. }, Held::Impact { cuts, .. }) => {
                let is_known =
                    |cut: &Cut| known.iter().any(|it| (&it.device, it.peer) == (&cut.device, cut.peer));
                *total > known.len() || cuts.iter().all(is_known)
            }
            (known, held) => std::mem::discriminant(known) == std::mem::discriminant(held),
        })
    }
}

/// What a feed's content is judged with.
#[derive(Clone, Copy, Debug)]
pub struct Bench<'b> {
    /// What no list may block.
    pub guard: &'b Guard,
    /// What devices have talked to.
    pub far_ends: &'b [FarEnd],
    /// How far back those go.
    pub impact: Duration,
    /// Whether tables are made for what comes out of this, so that there is room for it.
    pub makes_tables: bool,
    /// Now.
    pub now: Timestamp,
}

/// What became of the content of a feed.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The feed from now on.
    pub copy: FeedCopy,
    /// The content.
    pub content: Arc<Vec<Part>>,
    /// Whether it is to be kept: it waits, or the next fetch goes on from it.
    pub keeps_content: bool,
    /// See [`Content::is_kept_list`].
    pub is_kept_list: bool,
    /// Whether the list is another one than before.
    pub is_new: bool,
    /// Why it waits, where it only waits since now.
    pub newly_held: Vec<Held>,
}

/// Judges the content of a feed. What its list was before stays where it is to be held.
#[must_use]
pub fn judge(feed: &Feed, content: Content, before: Option<&FeedCopy>, bench: &Bench<'_>) -> Outcome {
    let digest = digest(feed, &content.parts);
    let unread = FeedCopy::default();
    let known = before.unwrap_or(&unread);
    if known.notes.content.as_ref() == Some(&digest) {
        let mut outcome = unchanged(feed, known, content.resume, bench.now);
        // What waited is gone from the source.
        outcome.copy.notes.held = None;
        return Outcome { content: content.parts.into(), keeps_content: goes_on(feed), ..outcome };
    }
    if let Some(held) = known.notes.held.as_ref().filter(|held| held.content == digest)
        && !bench.makes_tables
        && content.released.is_none()
        && held.reasons.iter().any(|held| matches!(held, Held::NoRoom { .. }))
    {
        let (entries, reasons) = (held.entries, held.reasons.clone());
        let account = held.account.clone();
        let waiting = Waiting { account, ..Waiting::of(digest, content, entries) };
        return hold(known, waiting, reasons, bench.now);
    }
    let mut read = Read::default();
    for part in &content.parts {
        let kept = if content.is_kept_list { List::from_bytes(&part.bytes).ok() } else { None };
        read.add(
            kept.map_or_else(|| formats::parse(&reading(feed, bench.now), &part.bytes), |list| said(&list)),
        );
    }
    let Read { parsed, entries } = read;
    let reading = list::Reading {
        entries: parsed.entries,
        domains: parsed.domains,
        withdrawn: parsed.withdrawn,
        is_change: false,
        now: bench.now,
        expire: expire(feed),
        score: feed.score,
    };
    let (list, changes) = known.list.renewed(reading);
    let spared = Guard::for_spared(bench.guard.floor());
    let candidate = Candidate {
        list: &list,
        changes,
        read: entries,
        rejects: &parsed.rejects,
        remarks: &parsed.remarks,
        last_good: before.map(|before| &before.list),
        score: feed.score,
        min_score: feed.min_score,
        far_ends: if feed.never_block { &[] } else { bench.far_ends },
        impact: bench.impact,
        spares: feed.never_block,
        now: bench.now,
    };
    // What spares addresses may spare any.
    let guard = if feed.never_block { &spared } else { bench.guard };
    let judged = gate::judge(&feed.limits, guard, &candidate);
    let mut reasons = judged.held;
    reasons.extend(still_cut(known, &digest, &reasons, &list, guard, feed));
    let is_released = |held: &Held| {
        let release = content.released.as_ref();
        held.can_be_released() && release.is_some_and(|release| release.covers(held))
    };
    if !reasons.iter().all(is_released) {
        let account = Account::of(&parsed.rejects, &judged.sifted.removed);
        let waiting = Waiting { account, ..Waiting::of(digest, content, list.present()) };
        return hold(known, waiting, reasons, bench.now);
    }
    let list = if content.released.is_some() { list.as_baseline() } else { list };
    let faulty = parsed.rejects.iter().filter(|reject| reject.reason.is_fault()).count();
    let notes = FeedNotes {
        content: Some(digest),
        list: None,
        format: Some(parsed.format.to_string()),
        updated: content.modified,
        read: Some(bench.now),
        faulty,
        ignored: parsed.rejects.len() - faulty,
        rejected: parsed.rejects.iter().take(SHOWN).map(Line::from).collect(),
        notes: parsed.notes.iter().take(SHOWN).map(Line::from).collect(),
        warnings: judged.warnings.iter().map(ToString::to_string).collect(),
        released: content.released.as_ref().map(|release| release.by.clone()),
        way: Some(way(feed)),
        held: None,
        incoming: known.notes.incoming.clone(),
        resume: content.resume.clone(),
    };
    Outcome {
        copy: FeedCopy { list, notes },
        content: content.parts.into(),
        keeps_content: goes_on(feed),
        is_kept_list: content.is_kept_list,
        is_new: true,
        newly_held: Vec::new(),
    }
}

/// A feed of which a fetch said that nothing has changed: neither its list nor what waits.
#[must_use]
pub fn unchanged(feed: &Feed, known: &FeedCopy, resume: Resume, now: Timestamp) -> Outcome {
    let list = known.list.read_again(now).expiring_after(expire(feed));
    let is_new = !list.is_made_of(&known.list) || list.next_expiry(now) != known.list.next_expiry(now);
    let notes = FeedNotes { read: Some(now), resume, ..known.notes.clone() };
    Outcome { copy: FeedCopy { list, notes }, is_new, ..Outcome::default() }
}

/// A feed whose new list may pass, and cannot be made active: the list waits.
#[must_use]
pub fn held(feed: &Feed, known: &FeedCopy, outcome: Outcome, reasons: Vec<Held>, now: Timestamp) -> Outcome {
    let FeedCopy { list, notes } = outcome.copy;
    let (digest, parts) = (digest(feed, &outcome.content), outcome.content);
    let FeedNotes { resume, updated, .. } = notes;
    let (entries, is_kept_list) = (list.present(), outcome.is_kept_list);
    hold(
        known,
        Waiting { digest, parts, resume, updated, is_kept_list, entries, account: Account::default() },
        reasons,
        now,
    )
}

/// Content that waits.
struct Waiting {
    digest: String,
    parts: Arc<Vec<Part>>,
    resume: Resume,
    updated: Option<Timestamp>,
    is_kept_list: bool,
    entries: usize,
    account: Account,
}

impl Waiting {
    fn of(digest: String, content: Content, entries: usize) -> Self {
        let Content { parts, resume, modified: updated, is_kept_list, .. } = content;
        Self {
            digest,
            parts: parts.into(),
            resume,
            updated,
            is_kept_list,
            entries,
            account: Account::default(),
        }
    }
}

/// The feed stays as it was, and the content waits.
fn hold(known: &FeedCopy, waiting: Waiting, reasons: Vec<Held>, now: Timestamp) -> Outcome {
    let Waiting { digest, parts, resume, updated, is_kept_list, entries, account } = waiting;
    let before = known.notes.held.as_ref().filter(|held| held.content == digest);
    let newly_held = if before.is_some() { Vec::new() } else { reasons.clone() };
    let since = before.map_or(now, |held| held.since);
    let held = Some(HeldNote { content: digest, since, updated, is_kept_list, entries, reasons, account });
    let notes = FeedNotes { held, resume, ..known.notes.clone() };
    let copy = FeedCopy { list: known.list.clone(), notes };
    Outcome { copy, content: parts, keeps_content: true, is_kept_list, is_new: false, newly_held }
}

/// Whether the next fetch goes on from the content of the one before.
pub(super) fn goes_on(feed: &Feed) -> bool {
    matches!(&feed.source.origin, Origin::Server(server) if server.protocol != Protocol::Http)
}

/// How the lists of a feed are read.
pub(in crate::intent) fn reading(feed: &Feed, now: Timestamp) -> formats::Reading {
    let (columns, pointers) = (feed.columns.clone(), feed.pointers.clone());
    formats::Reading { format: feed.format, columns, pointers, now }
}

/// What a list as it is kept says, as if it had been read here.
fn said(list: &List) -> Parsed {
    let (entries, domains) = list.said();
    Parsed { format: Format::Plain, entries, domains, ..Parsed::default() }
}

/// What a list that waits would have cut when it was judged, and would still: it does not pass because nobody
/// remembers what devices talked to.
fn still_cut(
    known: &FeedCopy,
    digest: &str,
    reasons: &[Held],
    list: &List,
    guard: &Guard,
    feed: &Feed,
) -> Option<Held> {
    let before = known.notes.held.as_ref().filter(|held| held.content == digest)?;
    if reasons.iter().any(|held| matches!(held, Held::Impact { .. })) {
        return None;
    }
    before.reasons.iter().find_map(|held| {
        let Held::Impact { cuts, .. } = held else { return None };
        let lists = |cut: &&Cut| {
            let score = |kept: &Kept<IpNet>| kept.score.unwrap_or(feed.score);
            !guard.spares(cut.peer)
                && list.covering(cut.peer).any(|kept| score(kept) >= cut.score.max(feed.min_score))
        };
        cuts.iter().any(|cut| lists(&cut)).then(|| held.clone())
    })
}

/// What tells content from other content, and one way to read it from another.
#[must_use]
pub fn digest(feed: &Feed, parts: &[Part]) -> String {
    of(Sha256::new().chain_update(way(feed)), parts)
}

/// How a feed is read, in words that differ where it is read otherwise.
#[must_use]
pub fn way(feed: &Feed) -> String {
    format!("{:?} {:?} {:?}", feed.format, feed.columns, feed.pointers)
}

/// How long entries stay that the feed no longer has. What CrowdSec says is all that it decided: what it takes back
/// goes at once.
fn expire(feed: &Feed) -> Duration {
    match &feed.source.origin {
        Origin::Server(server) if server.protocol == Protocol::Crowdsec => Duration::ZERO,
        _ => feed.expire,
    }
}

/// What tells content from other content.
pub(super) fn digest_of(parts: &[Part]) -> String {
    of(Sha256::new(), parts)
}

fn of(mut digest: Sha256, parts: &[Part]) -> String {
    for part in parts {
        digest.update((part.bytes.len() as u64).to_le_bytes());
        digest.update(&part.bytes);
    }
    hexadecimal(&digest.finalize())
}

/// All parts together.
#[derive(Default)]
struct Read {
    parsed: Parsed,
    /// Entries and domains, duplicates counted.
    entries: usize,
}

impl Read {
    fn add(&mut self, part: Parsed) {
        self.entries += part.entries.len() + part.domains.len();
        let all = &mut self.parsed;
        all.format = part.format;
        all.entries.extend(part.entries);
        all.domains.extend(part.domains);
        all.withdrawn.extend(part.withdrawn);
        all.rejects.extend(part.rejects);
        all.notes.extend(part.notes);
        all.remarks.extend(part.remarks);
    }
}

#[cfg(test)]
mod tests;
