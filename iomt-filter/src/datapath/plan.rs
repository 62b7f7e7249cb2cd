//! What has to change in a slot so that it holds the rows that are wanted: data, computed, not done.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::iter::Peekable;

use iomt_filter_common::abi::PeerClass;
use iomt_filter_common::device::Device;
use iomt_filter_common::policy::{Grant, Profile, Settings};
use iomt_filter_common::{Address, Mac};

use crate::rows::{GrantCell, Prefix, Prefixes, Rows, RuleCell, ServicePrefix, Shared};

/// Rows to write and rows to remove, of one table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changes<K, V> {
    /// Rows that are new or differ.
    pub put: Vec<(K, V)>,
    /// Rows that are wanted no more.
    pub remove: Vec<K>,
}

/// All changes from one set of rows to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// New settings, where they differ.
    pub settings: Option<Settings>,
    /// Profiles.
    pub profiles: Changes<u16, Profile>,
    /// Devices.
    pub devices: Changes<u32, Device>,
    /// Hardware addresses.
    pub device_macs: Changes<(Mac, u16), u32>,
    /// Bound addresses.
    pub device_addresses: Changes<Address, u32>,
    /// Peer classes.
    pub peers: Changes<Prefix, PeerClass>,
    /// Service classes.
    pub services: Changes<ServicePrefix, u16>,
    /// Cells of the rule matrix.
    pub rules: Changes<RuleCell, u32>,
    /// Grants.
    pub grants: Changes<GrantCell, Grant>,
    /// Protected pairs.
    pub protected: Changes<(u32, Prefix), ()>,
    /// How many rows of listings differ.
    pub listings: usize,
    /// How many of blocks by hand.
    pub blocks: usize,
    /// How many of countries.
    pub countries: usize,
}

/// The changes that turn `from` into `to`.
#[must_use]
pub fn diff(from: &Rows, to: &Rows) -> Plan {
    Plan {
        settings: (from.settings != to.settings).then_some(to.settings),
        profiles: changes(&from.profiles, &to.profiles),
        devices: changes(&from.devices, &to.devices),
        device_macs: changes(&from.device_macs, &to.device_macs),
        device_addresses: changes(&from.device_addresses, &to.device_addresses),
        peers: changes(&from.peers, &to.peers),
        services: changes(&from.services, &to.services),
        rules: changes(&from.rules, &to.rules),
        grants: changes(&from.grants, &to.grants),
        protected: set_changes(&from.protected, &to.protected),
        listings: differences(&from.listings, &to.listings),
        blocks: differences(&from.blocks, &to.blocks),
        countries: differences(&from.countries, &to.countries),
    }
}

impl<K, V> Default for Changes<K, V> {
    fn default() -> Self {
        Self { put: Vec::new(), remove: Vec::new() }
    }
}

impl<K, V> Changes<K, V> {
    fn len(&self) -> usize {
        self.put.len() + self.remove.len()
    }
}

impl Plan {
    /// Table names and the number of changed rows, for tables that change.
    #[must_use]
    pub fn summary(&self) -> Vec<(&'static str, usize)> {
        let all = [
            ("settings", usize::from(self.settings.is_some())),
            ("profiles", self.profiles.len()),
            ("devices", self.devices.len()),
            ("device hardware addresses", self.device_macs.len()),
            ("device addresses", self.device_addresses.len()),
            ("peer prefixes", self.peers.len()),
            ("service ranges", self.services.len()),
            ("rule cells", self.rules.len()),
            ("grant cells", self.grants.len()),
            ("protected pairs", self.protected.len()),
            ("listed prefixes", self.listings),
            ("blocks by hand", self.blocks),
            ("country prefixes", self.countries),
        ];
        all.into_iter().filter(|(_, count)| *count > 0).collect()
    }

    /// Whether nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.summary().is_empty()
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("no change");
        }
        let parts: Vec<_> =
            self.summary().into_iter().map(|(name, count)| format!("{count} {name}")).collect();
        f.write_str(&parts.join(", "))
    }
}

fn changes<K: Ord + Clone, V: PartialEq + Clone>(
    from: &Shared<BTreeMap<K, V>>,
    to: &Shared<BTreeMap<K, V>>,
) -> Changes<K, V> {
    if from.is_same(to) {
        return Changes::default();
    }
    merge(from.iter().peekable(), to.iter().peekable())
}

fn set_changes<K: Ord + Clone>(from: &Shared<BTreeSet<K>>, to: &Shared<BTreeSet<K>>) -> Changes<K, ()> {
    if from.is_same(to) {
        return Changes::default();
    }
    merge(from.iter().map(|key| (key, &())).peekable(), to.iter().map(|key| (key, &())).peekable())
}

/// How many prefixes have another value, or one in only one of both.
fn differences<V: Copy + PartialEq>(from: &Prefixes<V>, to: &Prefixes<V>) -> usize {
    if from.is_same(to) {
        return 0;
    }
    merge(pairs(from), pairs(to)).len()
}

fn pairs<V>(rows: &Prefixes<V>) -> Peekable<impl Iterator<Item = (&Prefix, &V)>> {
    rows.iter().map(|(prefix, value)| (prefix, value)).peekable()
}

/// One walk over both, which are in order.
fn merge<'a, K: Ord + Clone + 'a, V: PartialEq + Clone + 'a>(
    mut from: Peekable<impl Iterator<Item = (&'a K, &'a V)>>,
    mut to: Peekable<impl Iterator<Item = (&'a K, &'a V)>>,
) -> Changes<K, V> {
    let mut changes = Changes::default();
    loop {
        let order = match (from.peek(), to.peek()) {
            (None, None) => return changes,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((old, _)), Some((new, _))) => old.cmp(new),
        };
        let old = if order == Ordering::Greater { None } else { from.next() };
        let new = if order == Ordering::Less { None } else { to.next() };
        match (old, new) {
            (Some((key, _)), None) => changes.remove.push(key.clone()),
            (Some((_, before)), Some((_, after))) if before == after => {}
            (_, Some((key, value))) => changes.put.push((key.clone(), value.clone())),
            (None, None) => return changes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(rows: &[(u16, u32)]) -> Shared<BTreeMap<u16, u32>> {
        rows.iter().copied().collect()
    }

    #[test]
    fn rows_that_are_alike_are_left_alone() {
        let rows = map(&[(1, 10), (2, 20)]);
        assert_eq!(changes(&rows, &rows), Changes::default());
        assert_eq!(changes(&rows, &map(&[(1, 10), (2, 20)])), Changes::default());
    }

    #[test]
    fn new_changed_and_removed_rows_are_found_wherever_they_stand() {
        let found =
            changes(&map(&[(1, 10), (3, 30), (5, 50), (9, 90)]), &map(&[(0, 1), (3, 31), (5, 50), (7, 70)]));
        assert_eq!(found.put, vec![(0, 1), (3, 31), (7, 70)]);
        assert_eq!(found.remove, vec![1, 9]);
    }

    #[test]
    fn a_plan_says_what_it_changes() {
        let mut to = Rows::default();
        to.settings.has_management = 1;
        to.device_addresses.insert(Address::from_v4([10, 0, 0, 1]), 1);
        assert_eq!(diff(&Rows::default(), &to).to_string(), "1 settings, 1 device addresses");
        assert_eq!(diff(&to, &to).to_string(), "no change");
    }
}
