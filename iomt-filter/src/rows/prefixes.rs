//! Rows by prefix of which there may be millions: in order, and shared by whoever holds a copy.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use iomt_filter_common::Address;

use super::{Prefix, longest};

/// A value for each of some prefixes. A copy costs nothing and is known to be one, so that what did not change
/// is neither compared nor written again.
#[derive(Clone)]
pub struct Prefixes<V>(Arc<Vec<(Prefix, V)>>);

impl<V> Default for Prefixes<V> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<V: PartialEq> PartialEq for Prefixes<V> {
    fn eq(&self, other: &Self) -> bool {
        self.is_same(other) || self.0 == other.0
    }
}

impl<V: Eq> Eq for Prefixes<V> {}

impl<V: fmt::Debug> fmt::Debug for Prefixes<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter().map(|(prefix, value)| (prefix, value))).finish()
    }
}

/// Of two rows of one prefix the later one counts.
impl<V> FromIterator<(Prefix, V)> for Prefixes<V> {
    fn from_iter<I: IntoIterator<Item = (Prefix, V)>>(rows: I) -> Self {
        let mut rows: Vec<_> = rows.into_iter().collect();
        // A sort that sees what is in order already.
        rows.sort_by_key(|(prefix, _)| *prefix);
        rows.reverse();
        rows.dedup_by_key(|(prefix, _)| *prefix);
        rows.reverse();
        Self(Arc::new(rows))
    }
}

impl<V> From<BTreeMap<Prefix, V>> for Prefixes<V> {
    fn from(rows: BTreeMap<Prefix, V>) -> Self {
        Self(Arc::new(rows.into_iter().collect()))
    }
}

impl<V> Prefixes<V> {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one is a copy of the other.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Every row, in order: a prefix before those that lie in it.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &(Prefix, V)> + DoubleEndedIterator {
        self.0.iter()
    }

    /// The value of a prefix.
    #[must_use]
    pub fn get(&self, prefix: &Prefix) -> Option<&V> {
        let at = self.0.binary_search_by_key(prefix, |(prefix, _)| *prefix).ok()?;
        self.0.get(at).map(|(_, value)| value)
    }

    /// The value of the longest prefix that holds `address`; one of IPv6 never holds an IPv4 address.
    #[must_use]
    pub fn longest(&self, address: Address) -> Option<&V> {
        longest::around(address, |to| {
            let after = self.0.partition_point(|(prefix, _)| *prefix <= to);
            let (prefix, value) = self.0.get(after.checked_sub(1)?)?;
            Some((*prefix, value))
        })
    }

    /// The rows inside of a prefix, itself included.
    pub fn inside(&self, prefix: Prefix) -> impl Iterator<Item = &(Prefix, V)> {
        let first = self.0.partition_point(|(other, _)| *other < prefix);
        let rows = self.0.get(first..).unwrap_or_default();
        rows.iter().take_while(move |(other, _)| Prefix::of(other.address, prefix.bits) == prefix)
    }
}

impl<V: Copy> Prefixes<V> {
    /// The rows whose prefix holds one of `addresses`.
    #[must_use]
    pub fn around(&self, addresses: &[Address]) -> Self {
        let prefixes =
            addresses.iter().flat_map(|&address| (0..=128).map(move |bits| Prefix::of(address, bits)));
        prefixes.filter_map(|prefix| Some((prefix, *self.get(&prefix)?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use ipnet::IpNet;

    use super::*;

    fn prefix(text: &str) -> Prefix {
        Prefix::from(text.parse::<IpNet>().unwrap())
    }

    fn address(text: &str) -> Address {
        Address::from(text.parse::<std::net::IpAddr>().unwrap())
    }

    const NAMES: [&str; 6] =
        ["203.0.113.0/24", "203.0.113.9/32", "203.0.113.8/32", "2001:db8::/32", "0.0.0.0/0", "::/0"];

    fn named() -> Prefixes<usize> {
        NAMES.iter().enumerate().map(|(number, name)| (prefix(name), number)).collect()
    }

    #[test]
    fn what_is_around_an_address_is_kept_and_nothing_else() {
        let kept = |text| {
            let around = named().around(&[address(text)]);
            let kept: Vec<_> = around.iter().map(|(prefix, _)| prefix.to_string()).collect();
            kept
        };
        assert_eq!(kept("203.0.113.9"), ["::/0", "0.0.0.0/0", "203.0.113.0/24", "203.0.113.9/32"]);
        assert_eq!(kept("2001:db8::1"), ["::/0", "2001:db8::/32"]);
        assert_eq!(kept("fd00::1"), ["::/0"]);
    }

    #[test]
    fn the_longest_prefix_answers_and_families_are_apart() {
        let longest = |text| named().longest(address(text)).map(|number| NAMES[*number]);
        assert_eq!(longest("203.0.113.9"), Some("203.0.113.9/32"));
        assert_eq!(longest("203.0.113.10"), Some("203.0.113.0/24"));
        assert_eq!(longest("2001:db8::1"), Some("2001:db8::/32"));
        let only_v6: Prefixes<u8> = [(prefix("::/0"), 1)].into_iter().collect();
        assert_eq!(only_v6.longest(address("203.0.113.9")), None);
    }

    #[test]
    fn rows_inside_of_a_prefix_are_next_to_each_other() {
        let all = named();
        let inside: Vec<_> =
            all.inside(prefix("203.0.113.8/31")).map(|(prefix, _)| prefix.to_string()).collect();
        assert_eq!(inside, ["203.0.113.8/32", "203.0.113.9/32"]);
        assert_eq!(all.inside(prefix("203.0.113.0/24")).count(), 3);
        assert_eq!(all.inside(prefix("198.51.100.0/24")).count(), 0);
    }

    #[test]
    fn the_later_row_of_a_prefix_counts() {
        let twice: Prefixes<u8> = [(prefix("::/0"), 1), (prefix("::/0"), 2)].into_iter().collect();
        assert_eq!((twice.len(), twice.get(&prefix("::/0"))), (1, Some(&2)));
    }
}
