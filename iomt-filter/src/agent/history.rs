//! The latest events, in the order in which they came, and those who take them: the archive, sinks, followers.
//!
//! Every event has a number, one more than that of the event before. Whoever takes events has a place among the
//! numbers and a bound to how far behind it may be: what lies beyond is lost to it, counted, and nobody waits. For
//! everyone who takes, `emitted + lost + waiting` is the number of events that there were since it began.

use std::collections::{BTreeMap, VecDeque};
use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::api::messages::EventQuery;
use crate::events::Record;

/// Events that are remembered, and how far behind one may be who says nothing else.
pub const REMEMBERED: usize = 20_000;
/// Events that are handed out at once.
pub(super) const AT_ONCE: usize = 1_000;
/// What is being written to the archive is remembered until it is there, up to this many beside the others.
const SLACK: usize = 4 * AT_ONCE;

/// The latest events.
#[derive(Debug)]
pub struct History {
    inner: Mutex<Inner>,
    more: Condvar,
    /// The number of the next event, for those who wait for it.
    next: watch::Sender<u64>,
}

/// Events by verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally([u64; 4]);

/// Verdicts of events; `notice` for what was no frame.
const VERDICTS: [&str; 4] = ["drop", "reset", "would-drop", "notice"];

/// How somebody stands who takes events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// What went on.
    pub emitted: Tally,
    /// What did not, and will not.
    pub lost: Tally,
    /// What is still to go on.
    pub waiting: Tally,
}

/// Somebody who takes events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Taker(usize);

/// Events that were taken, with the number of the first.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) first: u64,
    pub(super) records: Vec<Arc<Record>>,
}

#[derive(Debug)]
struct Inner {
    /// The number of the oldest entry.
    first: u64,
    entries: VecDeque<Entry>,
    /// All that there ever were.
    total: Tally,
    takers: Vec<Place>,
    capacity: usize,
    is_ending: bool,
    has_ended: bool,
}

#[derive(Debug)]
struct Entry {
    record: Arc<Record>,
    /// All that there were before it.
    before: Tally,
}

/// Where a taker is.
#[derive(Debug, Default)]
struct Place {
    next: u64,
    /// Taken, and neither emitted nor lost.
    taken: Tally,
    /// The number of the first of these.
    from: u64,
    emitted: Tally,
    lost: Tally,
    queue: u64,
    /// Whether what it has taken stays remembered.
    keeps: bool,
}

impl Default for History {
    fn default() -> Self {
        let inner = Inner {
            first: 0,
            entries: VecDeque::new(),
            total: Tally::default(),
            takers: Vec::new(),
            capacity: REMEMBERED,
            is_ending: false,
            has_ended: false,
        };
        Self { inner: Mutex::new(inner), more: Condvar::new(), next: watch::Sender::new(0) }
    }
}

impl History {
    /// Adds events. Nobody is waited for.
    pub(crate) fn push(&self, records: impl IntoIterator<Item = Record>) {
        let mut inner = self.inner();
        for record in records {
            let before = inner.total;
            inner.total += Tally::of(&record);
            inner.entries.push_back(Entry { record: Arc::new(record), before });
        }
        inner.forget();
        let end = inner.end();
        drop(inner);
        self.next.send_replace(end);
        self.more.notify_all();
    }

    /// Every event that is remembered, oldest first.
    pub(crate) fn records(&self) -> Vec<Arc<Record>> {
        self.inner().entries.iter().map(|entry| entry.record.clone()).collect()
    }

    /// Takes part from the next event on, and is never more than `queue` behind. What one that `keeps` has taken is
    /// remembered until it has gone on.
    pub(super) fn join(&self, queue: usize, keeps: bool) -> Taker {
        let mut inner = self.inner();
        inner.capacity = inner.capacity.max(queue);
        let place = Place { next: inner.end(), queue: queue as u64, keeps, ..Place::default() };
        inner.takers.push(place);
        Taker(inner.takers.len() - 1)
    }

    /// The next events; an empty list where there were none for `patience`, nothing where there will be none.
    pub(super) fn take(&self, taker: Taker, patience: Duration) -> Option<Taken> {
        let until = Instant::now() + patience;
        let mut inner = self.inner();
        loop {
            let taken = inner.take(taker)?;
            let left = until.saturating_duration_since(Instant::now());
            if !taken.records.is_empty() || (left.is_zero() && !inner.has_ended) {
                return Some(taken);
            }
            if inner.has_ended {
                return None;
            }
            inner = self.more.wait_timeout(inner, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Notes that events went on that were taken.
    pub(super) fn emitted(&self, taker: Taker, records: &[Arc<Record>]) {
        self.settle(taker, records, |place| &mut place.emitted);
    }

    /// Notes that events cannot go on that were taken.
    pub(super) fn lost(&self, taker: Taker, records: &[Arc<Record>]) {
        self.settle(taker, records, |place| &mut place.lost);
    }

    fn settle(&self, taker: Taker, records: &[Arc<Record>], fate: impl FnOnce(&mut Place) -> &mut Tally) {
        let tally = records.iter().map(|record| Tally::of(record)).fold(Tally::default(), Tally::add);
        let mut inner = self.inner();
        if let Some(place) = inner.takers.get_mut(taker.0) {
            place.taken -= tally;
            *fate(place) += tally;
        }
        inner.forget();
    }

    /// How a taker stands.
    pub(super) fn account(&self, taker: Taker) -> Account {
        let mut inner = self.inner();
        inner.skip(taker);
        let Some(place) = inner.takers.get(taker.0) else { return Account::default() };
        let waiting = inner.total - inner.before(place.next) + place.taken;
        Account { emitted: place.emitted, lost: place.lost, waiting }
    }

    /// All events that there were since the agent began.
    pub(super) fn total(&self) -> Tally {
        self.inner().total
    }

    /// The remembered events that match, oldest first, and a follower that goes on exactly behind them.
    pub(crate) fn read(&self, query: &EventQuery) -> Latest {
        let inner = self.inner();
        let records = inner.entries.iter().map(|entry| &entry.record);
        let matching = records.rev().filter(|record| query.matches(record));
        let mut found: Vec<_> = matching.take(query.limit.unwrap_or(usize::MAX)).cloned().collect();
        found.reverse();
        let mut receiver = self.next.subscribe();
        receiver.mark_changed();
        Latest {
            first: inner.first,
            records: found,
            follower: Follower { query: query.clone(), next: inner.end(), receiver },
        }
    }

    /// There will be no more than what is read already.
    pub(crate) fn end(&self) {
        self.inner().is_ending = true;
    }

    /// Whether whoever reads events is to stop.
    pub(super) fn is_ending(&self) -> bool {
        self.inner().is_ending
    }

    /// All is read.
    pub(super) fn ended(&self) {
        self.inner().has_ended = true;
        self.more.notify_all();
    }

    /// Waits, no longer than the end.
    pub(super) fn pause(&self, time: Duration) {
        let until = Instant::now() + time;
        let mut inner = self.inner();
        while !inner.has_ended {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            inner = self.more.wait_timeout(inner, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Whether there will be no more.
    pub(super) fn has_ended(&self) -> bool {
        self.inner().has_ended
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn end(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    /// All that there were before the event of this number.
    fn before(&self, number: u64) -> Tally {
        let entry = number.checked_sub(self.first).and_then(|index| self.entries.get(index as usize));
        entry.map_or(self.total, |entry| entry.before)
    }

    /// Counts as lost what a taker is too far behind for.
    fn skip(&mut self, taker: Taker) {
        let end = self.end();
        let Some(place) = self.takers.get(taker.0) else { return };
        let (next, oldest) = (place.next, end.saturating_sub(place.queue));
        if oldest > next {
            let lost = self.before(oldest) - self.before(next);
            if let Some(place) = self.takers.get_mut(taker.0) {
                place.lost += lost;
                place.next = oldest;
            }
        }
    }

    fn take(&mut self, taker: Taker) -> Option<Taken> {
        self.skip(taker);
        let first = self.takers.get(taker.0)?.next;
        let from = (first.saturating_sub(self.first) as usize).min(self.entries.len());
        let records: Vec<_> =
            self.entries.range(from..).take(AT_ONCE).map(|entry| entry.record.clone()).collect();
        let next = first + records.len() as u64;
        let taken = self.before(next) - self.before(first);
        let place = self.takers.get_mut(taker.0)?;
        if place.taken.sum() == 0 {
            place.from = first;
        }
        place.next = next;
        place.taken += taken;
        Some(Taken { first, records })
    }

    /// Lets go what is too old.
    fn forget(&mut self) {
        if self.entries.len() <= self.capacity {
            return;
        }
        // Nobody is behind what is let go: what they missed is counted first.
        for taker in 0..self.takers.len() {
            self.skip(Taker(taker));
        }
        let oldest = |place: &Place| if place.taken.sum() == 0 { place.next } else { place.from };
        let pinned = self.takers.iter().filter(|place| place.keeps).map(oldest).min().unwrap_or(u64::MAX);
        while self.entries.len() > self.capacity {
            if self.first >= pinned && self.entries.len() <= self.capacity + SLACK {
                return;
            }
            self.entries.pop_front();
            self.first += 1;
        }
    }
}

/// The latest events that match a query.
pub(crate) struct Latest {
    /// The number of the oldest event that is remembered, whether it matches or not.
    pub(crate) first: u64,
    /// The events, oldest first.
    pub(crate) records: Vec<Arc<Record>>,
    /// Goes on behind them.
    pub(crate) follower: Follower,
}

/// Waits for events that match a query.
pub(crate) struct Follower {
    query: EventQuery,
    next: u64,
    receiver: watch::Receiver<u64>,
}

/// What a follower gets.
#[derive(Debug)]
pub(crate) enum Next {
    /// Events that match; there may be none.
    Events(Vec<Arc<Record>>),
    /// It was too slow for this many, whether they match or not.
    Missed(u64),
}

impl Follower {
    /// What comes next; nothing where there will be nothing any more.
    pub(crate) async fn next(&mut self, history: &History) -> Option<Next> {
        self.receiver.wait_for(|next| *next > self.next).await.ok()?;
        let inner = history.inner();
        if self.next < inner.first {
            let missed = inner.first - self.next;
            self.next = inner.first;
            return Some(Next::Missed(missed));
        }
        let from = ((self.next - inner.first) as usize).min(inner.entries.len());
        let mut found = Vec::new();
        for entry in inner.entries.range(from..).take(AT_ONCE) {
            self.next += 1;
            if self.query.matches(&entry.record) {
                found.push(entry.record.clone());
            }
        }
        Some(Next::Events(found))
    }
}

impl Tally {
    fn of(record: &Record) -> Self {
        let index = VERDICTS.iter().position(|verdict| *verdict == record.verdict);
        let mut tally = Self::default();
        if let Some(count) = tally.0.get_mut(index.unwrap_or(VERDICTS.len() - 1)) {
            *count = 1;
        }
        tally
    }

    /// Of all verdicts.
    pub(super) fn sum(&self) -> u64 {
        self.0.iter().sum()
    }

    /// By name.
    pub(super) fn by_verdict(&self) -> BTreeMap<String, u64> {
        VERDICTS.iter().zip(self.0).map(|(verdict, count)| ((*verdict).to_owned(), count)).collect()
    }

    fn with(mut self, other: Self, each: impl Fn(u64, u64) -> u64) -> Self {
        for (count, other) in self.0.iter_mut().zip(other.0) {
            *count = each(*count, other);
        }
        self
    }
}

impl Add for Tally {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        self.with(other, u64::wrapping_add)
    }
}

impl Sub for Tally {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self.with(other, u64::saturating_sub)
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl SubAssign for Tally {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(verdict: &'static str, count: usize) -> Vec<Record> {
        vec![Record { verdict: verdict.into(), ..Record::default() }; count]
    }

    fn numbered(numbers: std::ops::Range<u32>) -> impl Iterator<Item = Record> {
        numbers.map(|length| Record { verdict: "drop".into(), length, ..Record::default() })
    }

    const SOON: Duration = Duration::ZERO;

    #[test]
    fn what_goes_on_is_lost_or_waits_is_what_there_was() {
        let history = History::default();
        let (fast, slow) = (history.join(REMEMBERED, true), history.join(10, false));
        let mut emitted = 0;
        for round in 0..100 {
            history.push(records("drop", 7));
            history.push(records("would-drop", round % 3));
            let taken = history.take(fast, SOON).unwrap();
            history.emitted(fast, &taken.records);
            if round % 20 == 0 {
                let taken = history.take(slow, SOON).unwrap();
                history.emitted(slow, &taken.records[..2]);
                history.lost(slow, &taken.records[2..]);
                emitted += 2;
            }
        }
        let total = history.total();
        assert_eq!(total.sum(), 799);
        assert_eq!(history.account(fast), Account { emitted: total, ..Account::default() });
        let Account { emitted: gone, lost, waiting } = history.account(slow);
        assert_eq!((gone.sum(), waiting.sum()), (emitted, 10));
        assert_eq!(gone + lost + waiting, total);
    }

    #[test]
    fn what_is_taken_is_neither_lost_nor_forgotten_before_it_has_gone_on() {
        let history = History::default();
        let taker = history.join(REMEMBERED, true);
        history.push(numbered(0..5));
        let taken = history.take(taker, SOON).unwrap();
        assert_eq!((taken.first, taken.records.len()), (0, 5));
        history.push(numbered(5..REMEMBERED as u32 + 3));
        assert_eq!(history.read(&EventQuery::default()).first, 0);
        history.emitted(taker, &taken.records);
        assert_eq!(history.read(&EventQuery::default()).first, 3);
        let account = history.account(taker);
        assert_eq!((account.emitted.sum(), account.lost.sum()), (5, 0));
    }

    #[tokio::test]
    async fn a_follower_goes_on_exactly_behind_what_was_read() {
        let history = History::default();
        history.push(numbered(0..3));
        let mut latest = history.read(&EventQuery::default());
        let mut seen: Vec<_> = latest.records.iter().map(|record| record.length).collect();
        history.push(numbered(3..2_500));
        while seen.len() < 2_500 {
            match latest.follower.next(&history).await.unwrap() {
                Next::Events(records) => seen.extend(records.iter().map(|record| record.length)),
                Next::Missed(missed) => panic!("{missed} missed"),
            }
        }
        assert_eq!(seen, (0..2_500).collect::<Vec<_>>());
        history.push(numbered(0..2 * REMEMBERED as u32));
        let next = latest.follower.next(&history).await.unwrap();
        assert!(matches!(next, Next::Missed(missed) if missed == REMEMBERED as u64), "{next:?}");
    }

    #[test]
    fn who_takes_gets_the_rest_at_the_end() {
        let history = History::default();
        let taker = history.join(10, false);
        history.push(numbered(0..1));
        history.end();
        assert!(history.is_ending() && history.take(taker, SOON).is_some());
        history.ended();
        assert!(history.take(taker, Duration::from_secs(60)).is_none());
    }
}
