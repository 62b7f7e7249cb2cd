//! What feeds list more and less.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::Ground;
use crate::feeds::List;
use crate::intent::{Intent, Standing};

/// A feed that lists something else, or is no longer read, or for the first time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedChange {
    /// The feed.
    pub feed: String,
    /// Its entries before; nothing where it is new.
    pub before: Option<usize>,
    /// Its entries after; nothing where it goes.
    pub after: Option<usize>,
    /// Entries that are new.
    pub added: usize,
    /// Entries that go.
    pub removed: usize,
}

/// Feeds that list something else, in the order of their names.
pub(super) fn of(ground: &Ground<'_>) -> Vec<FeedChange> {
    let Some(before) = ground.before else { return Vec::new() };
    let (was, is) = (feeds(before), feeds(ground.after));
    let mut names: Vec<&str> = was.keys().chain(is.keys()).copied().collect();
    names.sort_unstable();
    names.dedup();
    let nothing = List::default();
    let change = |name: &&str| {
        let (before, after) = (was.get(name).copied(), is.get(name).copied());
        let (added, removed) = differences(before.unwrap_or(&nothing), after.unwrap_or(&nothing));
        let count = |list: &List| list.networks().len();
        let feed = (*name).to_owned();
        FeedChange { feed, before: before.map(count), after: after.map(count), added, removed }
    };
    let is_other = |change: &FeedChange| {
        change.added + change.removed > 0 || change.before.is_some() != change.after.is_some()
    };
    names.iter().map(change).filter(is_other).collect()
}

/// Feeds that have a list, by name.
fn feeds(intent: &Intent) -> BTreeMap<&str, &List> {
    let of = |standing: &'_ Standing| standing.feed.enabled && standing.list().is_some();
    let listing = intent.standings().iter().filter(|standing| of(standing));
    listing.filter_map(|standing| Some((standing.feed.name.as_str(), standing.list()?))).collect()
}

/// How many entries `after` has that `before` has not, and the other way round.
fn differences(before: &List, after: &List) -> (usize, usize) {
    if after.is_made_of(before) {
        return (0, 0);
    }
    let (mut was, mut is) = (before.networks().iter().peekable(), after.networks().iter().peekable());
    let (mut added, mut removed) = (0, 0);
    loop {
        let order = match (was.peek(), is.peek()) {
            (None, None) => return (added, removed),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(was), Some(is)) => IpNet::cmp(&was.what, &is.what),
        };
        if order.is_le() {
            was.next();
        }
        if order.is_ge() {
            is.next();
        }
        removed += usize::from(order.is_lt());
        added += usize::from(order.is_gt());
    }
}
