//! Where frames come in, as the configuration writes it: `eth0`, or `eth0:110` for a VLAN on it.

use crate::diagnostic::Place;
use crate::document::{Reader, Section};

/// Bytes of an interface name without its end (`IFNAMSIZ` of linux/if.h).
const INTERFACE_NAME: usize = 15;
/// The largest VLAN identifier (IEEE 802.1Q).
const MAX_VLAN: u16 = 4094;

/// An interface, or a VLAN on it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Location {
    /// Name of the interface.
    pub interface: String,
    /// VLAN identifier, by a frame's outermost tag; none for all that have no role of their own.
    pub vlan: Option<u16>,
}

/// A [`Location`] as it is written.
pub(super) struct Written {
    pub(super) value: Location,
    pub(super) text: String,
    pub(super) place: Place,
}

/// Reads the list under `key`; what is no location is reported.
pub(super) fn locations<'s>(key: &str, section: &Section<'_, 's>, reader: &mut Reader<'s>) -> Vec<Written> {
    let mut found = Vec::new();
    for text in section.strings(key, reader) {
        match location(&text.value) {
            Ok(value) => found.push(Written { value, text: text.value, place: text.place }),
            Err(help) => reader.error(&text.place, format!("`{}` cannot be an interface", text.value), help),
        }
    }
    found
}

fn location(text: &str) -> Result<Location, &'static str> {
    let (interface, vlan) = match text.split_once(':') {
        None => (text, None),
        Some((interface, vlan)) => match vlan.parse() {
            Ok(vlan @ 1..=MAX_VLAN) => (interface, Some(vlan)),
            _ => return Err("behind the colon stands a VLAN identifier, 1 to 4094: `eth0:110`"),
        },
    };
    if interface.is_empty() || interface.len() > INTERFACE_NAME || interface.contains(['/', ' ']) {
        return Err("names of interfaces are those that `ip link` shows; a VLAN on one is `eth0:110`");
    }
    Ok(Location { interface: interface.to_owned(), vlan })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vlan_stands_behind_a_colon() {
        let place = |interface: &str, vlan| Ok(Location { interface: interface.to_owned(), vlan });
        assert_eq!(location("eth0"), place("eth0", None));
        assert_eq!(location("eth0:110"), place("eth0", Some(110)));
        assert_eq!(location("eth0.110"), place("eth0.110", None));
        for wrong in ["", ":1", "eth0:", "eth0:0", "eth0:4095", "eth0:1:2", "eth0/1", "a-name-of-16-bytes"] {
            assert!(location(wrong).is_err(), "{wrong}");
        }
    }
}
