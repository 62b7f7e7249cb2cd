//! How rules write what was seen: a service by its name where it has one, ports otherwise.

use std::collections::BTreeSet;

use crate::intent::Intent;
use crate::policy::builtin;
use crate::policy::service::PortRange;

/// Ports of one protocol at one peer from which on a range stands for them: a service that takes any port.
const MANY_PORTS: usize = 8;
/// A name that stands for more ports than these would allow what was not seen.
const MOST_NAMED: usize = 2;
/// Where ranges may begin: what systems take for themselves, from the narrowest (RFC 6335 §6, Linux, all others).
const BEGINS: [u16; 3] = [49_152, 32_768, 1_024];

/// The services that cover `seen`, in the order in which they are to stand; and whether they cover more.
pub(super) fn names(seen: &BTreeSet<(u8, u16)>, intent: &Intent) -> (Vec<String>, bool) {
    let (mut names, mut covers_more) = (Vec::new(), false);
    let protocols: BTreeSet<u8> = seen.iter().map(|(protocol, _)| *protocol).collect();
    for protocol in protocols {
        let ports = seen.iter().filter(|(of, _)| *of == protocol).map(|(_, port)| *port);
        let (high, low): (Vec<u16>, Vec<u16>) = ports.partition(|port| *port >= BEGINS[2]);
        names.extend(low.iter().map(|&port| name(protocol, port, intent)));
        if high.len() < MANY_PORTS {
            names.extend(high.iter().map(|&port| name(protocol, port, intent)));
            continue;
        }
        covers_more = true;
        let lowest = high.iter().min().copied().unwrap_or(BEGINS[2]);
        let first = BEGINS.into_iter().find(|begin| *begin <= lowest).unwrap_or(BEGINS[2]);
        names.push(PortRange { protocol, first, last: u16::MAX }.to_string());
    }
    let mut said = BTreeSet::new();
    names.retain(|name| said.insert(name.clone()));
    (names, covers_more)
}

/// One port, by the name that a policy gives to it, or else the built-in one.
pub(super) fn name(protocol: u8, port: u16, intent: &Intent) -> String {
    let range = PortRange { protocol, first: port, last: port };
    let stands_for = |ranges: &[PortRange]| {
        ranges.len() <= MOST_NAMED
            && ranges.contains(&range)
            && ranges.iter().all(|range| range.first == range.last)
    };
    let defined = intent.vocabulary.services.iter();
    let mut defined = defined.filter(|(_, services)| !services.any && stands_for(&services.ranges));
    if let Some((name, _)) = defined.next() {
        return name.clone();
    }
    let is_hidden = |name: &str| intent.vocabulary.services.contains_key(name);
    let builtin = builtin::names()
        .filter(|name| !is_hidden(name))
        .find(|name| builtin::service(name).is_some_and(|ranges| stands_for(&ranges)));
    builtin.map_or_else(|| range.to_string(), str::to_owned)
}
