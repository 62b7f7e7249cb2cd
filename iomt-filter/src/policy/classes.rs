//! Sets of prefixes as classes, so that one longest-prefix match answers for all of them.
//!
//! Prefixes either contain each other or are apart. What a longest-prefix match finds can therefore
//! stand for every set that covers the address: those of the prefix itself and of all shorter ones.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ipnet::IpNet;

use crate::rows::ServicePrefix;

/// A prefix of anything. In its order a prefix comes before all that it contains, and nothing else
/// comes between them.
pub trait Nested: Copy + Ord {
    /// Whether `other` lies inside, or is the same.
    fn covers(&self, other: &Self) -> bool;
}

impl Nested for IpNet {
    fn covers(&self, other: &Self) -> bool {
        self.contains(other)
    }
}

impl Nested for ServicePrefix {
    fn covers(&self, other: &Self) -> bool {
        let mask = u32::from(u16::MAX) << (16 - self.bits.min(16));
        let same = (u32::from(self.port) ^ u32::from(other.port)) & mask & u32::from(u16::MAX) == 0;
        self.protocol == other.protocol && self.bits <= other.bits && same
    }
}

/// Prefixes to classes, classes to the sets that they stand for.
#[derive(Debug)]
pub struct Classes<K> {
    /// Only prefixes whose class differs from that of the prefix around them.
    pub rows: BTreeMap<K, usize>,
    /// By class, the sets that hold it, by their index. Class 0 is in none.
    pub sets: Vec<BTreeSet<usize>>,
}

impl<K> Classes<K> {
    /// The classes in which set `index` is.
    pub fn of(&self, index: usize) -> impl Iterator<Item = usize> {
        self.sets.iter().enumerate().filter(move |(_, sets)| sets.contains(&index)).map(|(class, _)| class)
    }
}

/// Gives every combination of sets that occurs a class, numbered in the order of the prefixes.
pub fn classify<K: Nested>(sets: &[Vec<K>]) -> Classes<K> {
    let mut named: BTreeMap<K, BTreeSet<usize>> = BTreeMap::new();
    for (index, prefixes) in sets.iter().enumerate() {
        for &prefix in prefixes {
            named.entry(prefix).or_default().insert(index);
        }
    }
    let mut classes = Classes { rows: BTreeMap::new(), sets: vec![BTreeSet::new()] };
    let mut numbers = HashMap::from([(BTreeSet::new(), 0)]);
    let mut around: Vec<(K, usize)> = Vec::new();
    for (prefix, mut holds) in named {
        while around.last().is_some_and(|(outer, _)| !outer.covers(&prefix)) {
            around.pop();
        }
        let outer = around.last().map_or(0, |&(_, class)| class);
        holds.extend(&classes.sets[outer]);
        let class = *numbers.entry(holds).or_insert_with_key(|holds| {
            classes.sets.push(holds.clone());
            classes.sets.len() - 1
        });
        if class != outer {
            classes.rows.insert(prefix, class);
        }
        around.push((prefix, class));
    }
    classes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::policy::service::{PortRange, prefixes};

    /// Prefixes in a corner of the address space, so that many nest.
    fn networks() -> impl Strategy<Value = Vec<Vec<IpNet>>> {
        let v4 = (any::<u8>(), 20u8..=32)
            .prop_map(|(low, bits)| IpNet::new([10, 0, low & 3, low].into(), bits).unwrap().trunc());
        let v6 = (any::<u8>(), prop::sample::select(vec![0u8, 1, 64, 80, 96, 120, 128])).prop_map(
            |(low, bits)| {
                let address = std::net::Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0x0a00, u16::from(low));
                IpNet::new(address.into(), bits).unwrap().trunc()
            },
        );
        prop::collection::vec(prop::collection::vec(prop_oneof![3 => v4, 1 => v6], 1..6), 1..8)
    }

    proptest! {
        #[test]
        fn longest_prefix_match_answers_for_all_sets(sets in networks(), low in any::<u8>()) {
            let classes = classify(&sets);
            let address: IpNet = IpNet::new([10, 0, low & 3, low].into(), 32).unwrap();
            let longest = classes.rows.iter().filter(|(net, _)| net.contains(&address)).max_by_key(|(net, _)| net.prefix_len());
            let answered = &classes.sets[longest.map_or(0, |(_, &class)| class)];
            let expected: BTreeSet<usize> = sets.iter().enumerate()
                .filter(|(_, set)| set.iter().any(|net| net.contains(&address))).map(|(index, _)| index).collect();
            prop_assert_eq!(answered, &expected);
        }

        #[test]
        fn ports_likewise(ranges in prop::collection::vec((any::<u16>(), any::<u16>(), prop::bool::ANY), 1..8), port in any::<u16>()) {
            let ranges: Vec<_> = ranges.into_iter().map(|(a, b, tcp)| PortRange {
                protocol: if tcp { 6 } else { 17 }, first: a.min(b), last: a.max(b) }).collect();
            let sets: Vec<_> = ranges.iter().map(|&range| prefixes(range)).collect();
            let classes = classify(&sets);
            let asked = ServicePrefix { protocol: 6, port, bits: 16 };
            let longest = classes.rows.iter().filter(|(row, _)| row.covers(&asked)).max_by_key(|(row, _)| row.bits);
            let answered = &classes.sets[longest.map_or(0, |(_, &class)| class)];
            let expected: BTreeSet<usize> = ranges.iter().enumerate()
                .filter(|(_, range)| range.protocol == 6 && range.first <= port && port <= range.last)
                .map(|(index, _)| index).collect();
            prop_assert_eq!(answered, &expected);
        }
    }
}
