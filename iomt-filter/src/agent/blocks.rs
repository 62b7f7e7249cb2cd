//! Blocks by hand: added, withdrawn, and let go when their time is up.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Errors;
use super::core::{Core, chain};
use super::journal::{self, Journal};
use super::store::{self, StoreError};
use super::term::{Term, between};
use crate::api::messages::{BlockRequest, Changed, ListedBlock, UnblockRequest};
use crate::audit::{self, Author};
use crate::clock::{BootTime, Clocks, boottime};
use crate::feeds::manual::ManualBlock;
use crate::numbers::Numbers;

mod log;

/// The file of the manual blocks, in the state folder.
pub(super) const BLOCKS: &str = "blocks.json";
/// The file of what changed since.
pub(super) const CHANGES: &str = "blocks.journal";

/// What is kept of the blocks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Blocks(Vec<Entry>);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    #[serde(flatten)]
    block: ManualBlock,
    /// When it ends, where it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ends: Option<BootTime>,
}

/// What is kept of a change: targets that are blocked from then on, or no longer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Change {
    Add(Vec<Entry>),
    Remove(BTreeSet<IpNet>),
}

/// Why blocks are not kept whole, and whether it is unclear which copy a power cut would leave.
#[derive(Debug)]
struct Unkept {
    error: StoreError,
    is_unclear: bool,
}

impl Entry {
    fn holds(&self, now: u64) -> bool {
        self.ends.is_none_or(|ends| now < ends.nanoseconds)
    }
}

impl Blocks {
    /// What was kept in `folder`.
    pub(super) fn load(folder: &Path) -> Result<Self, StoreError> {
        let whole = store::read(folder, BLOCKS)?;
        let blocks = whole.as_ref().map(|bytes| store::understand(folder, BLOCKS, bytes)).transpose()?;
        let mut blocks: Self = blocks.unwrap_or_default();
        let changes: Vec<Vec<Change>> = journal::read(folder, CHANGES, whole.as_deref())?;
        changes.into_iter().flatten().for_each(|change| blocks.change(change));
        Ok(blocks)
    }

    /// The same; what cannot be read or understood is moved aside, and none hold then: without an agent there would be
    /// no new filter either. Of a journal that was cut off, what can be read counts.
    pub(super) fn load_or_begin(folder: &Path, now: Timestamp) -> Result<Self, StoreError> {
        match Self::load(folder) {
            Ok(blocks) => {
                if journal::is_cut(folder, CHANGES) {
                    // It is in its place until the blocks are kept: a start after one that could not do that says so again.
                    store::keep_aside(folder, CHANGES, now)?;
                    tracing::error!(
                        "`{CHANGES}` was cut off: the latest changes of blocks by hand may be lost"
                    );
                }
                Ok(blocks)
            }
            Err(error) => {
                // Without the one the other says nothing.
                let moved = [BLOCKS, CHANGES].map(|name| store::move_aside(folder, name, now));
                if moved.iter().all(Result::is_err) {
                    return Err(error);
                }
                tracing::error!(
                    error = chain(&error),
                    "no block by hand holds: add them anew from what was moved aside"
                );
                Ok(Self::default())
            }
        }
    }

    /// Where changes go when there is no room to keep them.
    pub(super) fn unkept(folder: &Path) -> std::io::Result<Journal> {
        Journal::none(folder, CHANGES)
    }

    /// Keeps them whole; where their changes go from then on.
    pub(super) fn keep(&self, folder: &Path) -> Result<Journal, StoreError> {
        self.keep_whole(folder).map_err(|unkept| unkept.error)
    }

    /// Room for changes first, then the whole copy, then the journal into its place: a power cut in between finds
    /// the old copy with its journal, or the new one and a journal that does not belong to it.
    fn keep_whole(&self, folder: &Path) -> Result<Journal, Unkept> {
        let unchanged = |error| Unkept { error, is_unclear: false };
        let before = store::read(folder, BLOCKS).map_err(unchanged)?;
        let mut bytes = store::bytes(folder, BLOCKS, self).map_err(unchanged)?;
        if journal::continues(folder, CHANGES, &bytes).map_err(unchanged)? {
            // What changed in between and back again must not be made over it once more.
            bytes.push(b'\n');
        }
        let journal = Journal::beside(folder, CHANGES, &bytes).map_err(unchanged)?;
        if let Err(error) = store::put(folder, BLOCKS, &bytes) {
            journal.discard();
            return Err(Unkept { error, is_unclear: !is_restored(folder, before.as_deref()) });
        }
        Ok(journal.into_place())
    }

    /// Keeps them whole, and notes their changes in a new journal.
    fn renew(&self, folder: &Path, journal: &mut Journal) -> Result<(), StoreError> {
        match self.keep_whole(folder) {
            Ok(new) => *journal = new,
            Err(Unkept { error, is_unclear }) => {
                if is_unclear {
                    journal.give_up();
                }
                return Err(error);
            }
        }
        Ok(())
    }

    /// Keeps what they have changed to from `before`; whether that is a note. On an error it is as before.
    fn keep_changes(
        &self,
        before: &Self,
        changes: &[Change],
        folder: &Path,
        journal: &mut Journal,
    ) -> Result<bool, StoreError> {
        let could = journal.is_usable();
        match journal.note(&changes) {
            Ok(true) => Ok(true),
            Ok(false) => self.renew(folder, journal).map(|()| false),
            Err(error) => {
                if could && !journal.is_usable() {
                    before.renew(folder, journal)?;
                }
                Err(error)
            }
        }
    }

    /// Keeps them as they were before a change that was kept.
    fn keep_undone(&self, is_noted: bool, folder: &Path, journal: &mut Journal) -> Result<(), StoreError> {
        if is_noted && journal.take_back().is_ok() {
            return Ok(());
        }
        let kept = self.renew(folder, journal);
        if kept.is_err() {
            // What is kept is not what holds.
            journal.give_up();
        }
        kept
    }

    /// As they were kept, for this boot; see [`Term::ends`].
    pub(super) fn begun(mut self, seen: BootTime, now: &Clocks) -> Self {
        for Entry { block, ends } in &mut self.0 {
            let term = block.until.map(|until| Term { from: block.added, until });
            *ends = term.map(|term| term.ends(ends.unwrap_or_default(), seen, now));
        }
        self.at(now.boot.nanoseconds)
    }

    /// Entries of a request, without those of a list that would make a block weaker or shorter.
    fn without_weaker(&self, mut entries: Vec<Entry>, request: &BlockRequest) -> Vec<Entry> {
        if request.listed.is_empty() {
            return entries;
        }
        let held: BTreeMap<IpNet, &Entry> = self.0.iter().map(|entry| (entry.block.target, entry)).collect();
        let said: BTreeSet<IpNet> = request.targets.iter().copied().collect();
        let is_stronger = |held: &Entry, new: &Entry| {
            let lasts = held.ends.is_none()
                || new
                    .ends
                    .is_some_and(|end| held.ends.is_some_and(|held| held.nanoseconds >= end.nanoseconds));
            held.block.score >= new.block.score && lasts && held != new
        };
        entries.retain(|new| {
            let target = &new.block.target;
            said.contains(target) || !held.get(target).is_some_and(|held| is_stronger(held, new))
        });
        entries
    }

    /// Those that hold now.
    pub(super) fn list(&self) -> Vec<ManualBlock> {
        let now = boottime();
        self.0.iter().filter(|entry| entry.holds(now)).map(|entry| entry.block.clone()).collect()
    }

    /// Whether one of them ends by itself.
    pub(super) fn any_ends(&self) -> bool {
        self.0.iter().any(|entry| entry.ends.is_some())
    }

    /// Those that hold at `now`, in nanoseconds since boot.
    pub(super) fn at(&self, now: u64) -> Self {
        Self(self.0.iter().filter(|entry| entry.holds(now)).cloned().collect())
    }

    fn change(&mut self, change: Change) {
        match change {
            Change::Add(entries) => {
                let targets: BTreeSet<IpNet> = entries.iter().map(|entry| entry.block.target).collect();
                self.0.retain(|entry| !targets.contains(&entry.block.target));
                self.0.extend(entries);
            }
            Change::Remove(targets) => self.0.retain(|entry| !targets.contains(&entry.block.target)),
        }
    }

    /// As they are with changes at `now`, and all that is to be noted: what has ended goes first, or it would hold
    /// again after a start with the clock behind.
    fn changed(&self, now: u64, changes: Vec<Change>) -> (Self, Vec<Change>) {
        let ended = self.ended(now);
        let ended = (!ended.is_empty()).then_some(Change::Remove(ended));
        let changes: Vec<Change> = ended.into_iter().chain(changes).collect();
        let mut blocks = self.clone();
        changes.iter().for_each(|change| blocks.change(change.clone()));
        (blocks, changes)
    }

    /// Targets of those that hold no longer.
    fn ended(&self, now: u64) -> BTreeSet<IpNet> {
        let ended = self.0.iter().filter(|entry| !entry.holds(now));
        ended.map(|entry| entry.block.target).collect()
    }
}

/// Puts the copy back that was there before, where another one may be; whether it is there for good.
fn is_restored(folder: &Path, before: Option<&[u8]>) -> bool {
    if store::read(folder, BLOCKS).is_ok_and(|there| there.as_deref() == before) {
        return true;
    }
    match before {
        Some(bytes) => store::put(folder, BLOCKS, bytes).is_ok(),
        None => store::remove(folder, BLOCKS).is_ok(),
    }
}

impl Core {
    /// Adds blocks for all who ask, with one generation: the answers, in order. What one of them may not block is no
    /// reason to refuse the others.
    pub(super) fn block(&mut self, asked: &[(BlockRequest, Author)]) -> Vec<Result<Changed, Errors>> {
        let now = Clocks::now();
        let examine = |(request, by): &(BlockRequest, Author)| {
            self.may_block(request)?;
            Ok(self.blocks.without_weaker(entries(request, &by.name, &now), request))
        };
        let wanted: Vec<Result<Vec<Entry>, Errors>> = asked.iter().map(examine).collect();
        let audited = log::added(&self.blocks, asked, &wanted, now.boot.nanoseconds);
        if let Err(errors) = self.auditing.write(audited.iter().flatten().cloned()) {
            return wanted.into_iter().map(|wanted| wanted.and(Err(errors.clone()))).collect();
        }
        let done = self.add_blocks(wanted, now.boot.nanoseconds);
        let told = |(done, entry): (Result<Changed, Errors>, Option<audit::Entry>)| match entry {
            Some(entry) => done.map_err(|errors| self.auditing.failed(&entry, errors)),
            None => done,
        };
        done.into_iter().zip(audited).map(told).collect()
    }

    /// Adds entries at `now`.
    fn add_blocks(
        &mut self,
        wanted: Vec<Result<Vec<Entry>, Errors>>,
        now: u64,
    ) -> Vec<Result<Changed, Errors>> {
        let counts: Vec<Result<usize, Errors>> =
            wanted.iter().map(|wanted| wanted.as_ref().map(Vec::len).map_err(Clone::clone)).collect();
        let count = counts.iter().flatten().sum();
        if count == 0 {
            let none = |count| Changed {
                changed: count,
                generation: self.generation(),
                warnings: Vec::new(),
                cuts: Vec::new(),
            };
            return counts.into_iter().map(|count| count.map(none)).collect();
        }
        // One who asks alone may bring a long list, and nobody needs it any more.
        let (again, changes) = match wanted.len() {
            1 => (Vec::new(), wanted.into_iter().flatten().map(Change::Add).collect()),
            _ => {
                let changes = wanted.iter().flatten().cloned().map(Change::Add).collect();
                (wanted, changes)
            }
        };
        match self.replace_blocks(now, changes, count) {
            Ok(changed) => {
                let of = |count| Changed { changed: count, ..changed.clone() };
                counts.into_iter().map(|count| count.map(of)).collect()
            }
            Err(errors) if again.is_empty() => vec![Err(errors)],
            // Together they do not fit: some may by themselves.
            Err(_) => again.into_iter().flat_map(|wanted| self.add_blocks(vec![wanted], now)).collect(),
        }
    }

    fn may_block(&self, request: &BlockRequest) -> Result<(), Errors> {
        let scores = request.listed.iter().filter_map(|listed| listed.score).chain([request.score]);
        if let Some(score) = scores.max().filter(|&score| score > 100) {
            return Err(vec![format!("score {score} is above 100")]);
        }
        let listed = request.listed.iter().map(|listed| listed.target);
        let targets: Vec<IpNet> = request.targets.iter().copied().chain(listed).collect();
        let refused = self.intent.refuse_blocks(&targets);
        if refused.is_empty() { Ok(()) } else { Err(refused) }
    }

    pub(super) fn unblock(&mut self, request: &UnblockRequest, by: &Author) -> Result<Changed, Errors> {
        let now = boottime();
        let blocks = self.blocks.at(now);
        let targets: BTreeSet<IpNet> = request.targets.iter().copied().collect();
        let held: BTreeSet<IpNet> = blocks.0.iter().map(|entry| entry.block.target).collect();
        let unknown: Errors = targets
            .difference(&held)
            .map(|target| {
                format!("`{target}` is not blocked by hand; `iomt-filter block list` shows what is")
            })
            .collect();
        if !unknown.is_empty() {
            return Err(unknown);
        }
        let count = targets.len();
        let entry = log::removed(&blocks, request, by, &targets);
        self.auditing.clone().change(entry, || self.replace_blocks(now, vec![Change::Remove(targets)], count))
    }

    /// Lets manual blocks go whose time is up.
    pub(super) fn expire_blocks(&mut self) {
        let now = boottime();
        let count = self.blocks.ended(now).len();
        if count > 0
            && let Err(errors) = self.replace_blocks(now, Vec::new(), count)
        {
            tracing::error!(errors = errors.join("; "), "blocks that have ended could not be removed");
        }
    }

    /// Makes changes at `now`, behind the removal of what has ended by then.
    fn replace_blocks(&mut self, now: u64, changes: Vec<Change>, count: usize) -> Result<Changed, Errors> {
        let before = self.blocks.clone();
        let (blocks, changes) = before.changed(now, changes);
        let mut numbers = Numbers::clone(&self.numbers);
        let listed = blocks.list();
        let intent = self.intent.with_blocks(&mut numbers, &listed);
        let pending = self.waiting.as_ref().map(|waiting| &waiting.before.intent);
        let confirmed = pending.map(|before| before.with_blocks(&mut numbers, &listed));
        // Kept before they bite: what is in the kernel always survives a restart.
        let kept = blocks.keep_changes(&before, &changes, &self.config.paths.state, &mut self.journal);
        let is_noted = kept.map_err(|error| vec![chain(&error)])?;
        match self.renew(intent, confirmed, numbers, blocks.into()) {
            Ok(changed) => Ok(Changed { changed: count, ..changed }),
            Err(refusal) => {
                let mut errors = Errors::from(refusal);
                let undone = before.keep_undone(is_noted, &self.config.paths.state, &mut self.journal);
                errors.extend(undone.err().map(|error| chain(&error)));
                Err(errors)
            }
        }
    }

    /// Keeps the blocks whole, as agents before knew them.
    pub(super) fn keep_blocks(&mut self) {
        let blocks = self.blocks.at(boottime());
        if let Err(error) = blocks.renew(&self.config.paths.state, &mut self.journal) {
            tracing::error!(error = chain(&error), "blocks are not kept whole");
        }
    }
}

/// What a request adds: of two that name one target the more severe.
fn entries(request: &BlockRequest, by: &str, now: &Clocks) -> Vec<Entry> {
    let plain = |&target: &IpNet| ListedBlock { target, score: None, until: None, note: None };
    let asked = request.targets.iter().map(plain).chain(request.listed.iter().cloned());
    let mut entries: BTreeMap<IpNet, Entry> = BTreeMap::new();
    for ListedBlock { target, score, until, note } in asked {
        let until = [until, request.until].into_iter().flatten().min();
        let block = ManualBlock {
            target,
            score: score.unwrap_or(request.score),
            until,
            note: note.or_else(|| request.note.clone()),
            added: now.time_of_day,
            by: by.to_owned(),
        };
        let ends = until.map(|until| now.boot.after(between(now.time_of_day, until)));
        let is_severer = entries.get(&target).is_none_or(|other| other.block.score < block.score);
        if is_severer {
            entries.insert(target, Entry { block, ends });
        }
    }
    entries.into_values().collect()
}

#[cfg(test)]
mod tests;
