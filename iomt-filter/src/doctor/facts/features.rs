//! What a card does to frames before anybody sees them, as `ethtool -k` shows it.

use std::collections::BTreeSet;
use std::io;

use super::netlink::{Generic, attribute, each, find, nest, text};

/// Something that a card can do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Feature {
    /// Whether it does.
    pub is_on: bool,
    /// Whether that can be changed.
    pub is_changeable: bool,
}

/// What a card does to frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// Puts segments of TCP together, so that they cannot be taken apart again.
    pub lro: Feature,
    /// Puts segments of TCP together.
    pub gro: Feature,
    /// Takes VLAN tags off.
    pub strips_tags: Feature,
    /// Takes the tags of carriers (802.1ad) off.
    pub strips_outer_tags: Feature,
    /// Drops frames of VLANs that the host has no interface for.
    pub filters_vlans: Feature,
}

/// `ETHTOOL_MSG_FEATURES_GET` and its attributes (`include/uapi/linux/ethtool_netlink.h`).
mod message {
    pub(super) const GET: u8 = 11; // ETHTOOL_MSG_FEATURES_GET
    pub(super) const HEADER: u16 = 1; // ETHTOOL_A_FEATURES_HEADER
    pub(super) const INDEX: u16 = 1; // ETHTOOL_A_HEADER_DEV_INDEX
    pub(super) const CHANGEABLE: u16 = 2; // ETHTOOL_A_FEATURES_HW
    pub(super) const ACTIVE: u16 = 4; // ETHTOOL_A_FEATURES_ACTIVE
    pub(super) const FIXED: u16 = 5; // ETHTOOL_A_FEATURES_NOCHANGE
    pub(super) const ALL_ARE_SET: u16 = 1; // ETHTOOL_A_BITSET_NOMASK
    pub(super) const BITS: u16 = 3; // ETHTOOL_A_BITSET_BITS
    pub(super) const NAME: u16 = 2; // ETHTOOL_A_BITSET_BIT_NAME
    pub(super) const IS_SET: u16 = 3; // ETHTOOL_A_BITSET_BIT_VALUE
}

/// Asks for the features of cards.
#[derive(Debug)]
pub(super) struct Cards(Option<Generic>);

impl Cards {
    /// Opens what answers; kernels without it leave features unknown.
    pub(super) fn open() -> io::Result<Self> {
        Ok(Self(Generic::open("ethtool")?))
    }

    /// The features of an interface; nothing where they are not known.
    pub(super) fn features(&self, interface: u32) -> Option<Features> {
        let index = attribute(message::INDEX, &interface.to_ne_bytes());
        let answer = self.0.as_ref()?.get(message::GET, &nest(message::HEADER, &index)).ok()?;
        Some(understand(&answer))
    }
}

fn understand(answer: &[u8]) -> Features {
    let names = |kind| find(answer, kind).map(names_in).unwrap_or_default();
    let (active, changeable, fixed) =
        (names(message::ACTIVE), names(message::CHANGEABLE), names(message::FIXED));
    // Names are those of `netdev_features_strings` in `net/ethtool/common.c`.
    let feature = |name: &str| Feature {
        is_on: active.contains(name),
        is_changeable: changeable.contains(name) && !fixed.contains(name),
    };
    Features {
        lro: feature("rx-lro"),
        gro: feature("rx-gro-hw"),
        strips_tags: feature("rx-vlan-hw-parse"),
        strips_outer_tags: feature("rx-vlan-stag-hw-parse"),
        filters_vlans: feature("rx-vlan-filter"),
    }
}

/// Names of the bits that are set in a set of bits.
fn names_in(set: &[u8]) -> BTreeSet<String> {
    let all = find(set, message::ALL_ARE_SET).is_some();
    let bits = each(find(set, message::BITS).unwrap_or_default());
    let set = bits.filter(|(_, bit)| all || find(bit, message::IS_SET).is_some());
    set.filter_map(|(_, bit)| find(bit, message::NAME).map(text)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &[(&str, bool)], all: bool) -> Vec<u8> {
        let bit = |(name, is_set): &(&str, bool)| {
            let mut bit = attribute(message::NAME, name.as_bytes());
            if *is_set {
                bit.extend(attribute(message::IS_SET, &[]));
            }
            attribute(1, &bit)
        };
        let mark = if all { attribute(message::ALL_ARE_SET, &[]) } else { Vec::new() };
        [mark, attribute(message::BITS, &names.iter().flat_map(bit).collect::<Vec<_>>())].concat()
    }

    #[test]
    fn what_is_on_and_what_can_be_changed_is_told_apart() {
        let answer = [
            attribute(message::CHANGEABLE, &set(&[("rx-lro", true), ("rx-gro-hw", false)], false)),
            attribute(
                message::ACTIVE,
                &set(&[("rx-lro", false), ("rx-gro-hw", false), ("highdma", false)], true),
            ),
            attribute(message::FIXED, &set(&[("netns-local", false)], true)),
        ];
        let features = understand(&answer.concat());
        assert_eq!(features.lro, Feature { is_on: true, is_changeable: true });
        assert_eq!(features.gro, Feature { is_on: true, is_changeable: false });
        assert_eq!(features.strips_tags, Feature::default());
    }

    #[test]
    fn the_loopback_interface_takes_no_tags_off() {
        // Every kernel that the filter runs on can say so, where it was built to (CONFIG_ETHTOOL_NETLINK).
        let Some(features) = Cards::open().unwrap().features(1) else { return };
        assert_eq!(features.strips_tags, Feature::default());
        assert_eq!(Cards::open().unwrap().features(1 << 30), None);
    }
}
