//! Flows and conversations as they are read from the kernel's tables, before they become contacts.

use std::sync::Arc;

use iomt_filter_common::flow::{Flow, FlowKey, Progress, timeout};
use iomt_filter_common::watch::Watched;
use jiff::Timestamp;

use super::{Direction, has_ports};

/// Nanoseconds after which what was counted of a conversation that no rule allows is forgotten: long after the
/// kernel's table let go of it.
const FORGOTTEN: u64 = 3_600 * 1_000_000_000;

/// How a flow came about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Opening {
    /// The rule that allowed it, by its number; 0 where there is none.
    pub rule: u32,
    /// The reason of its first packet as a number, where no rule allows it.
    pub reason: u8,
    /// Whether the device that is not named opened it.
    pub is_by_other_device: bool,
    /// Whether the other end is known to have answered.
    pub is_answered: bool,
}

/// A flow of a device, as a reading of the kernel's tables found it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The device, by name.
    pub device: Arc<str>,
    /// Who opened.
    pub direction: Direction,
    /// Its ends, in the direction in which it was opened.
    pub key: FlowKey,
    /// Packets since it began, both ways.
    pub packets: u64,
    /// Bytes of the frames since it began, both ways.
    pub bytes: u64,
    /// When its last packet passed.
    pub last_seen: Timestamp,
    /// When it will be forgotten, if no other packet passes, in nanoseconds since boot.
    pub forgotten: u64,
    /// Whether no rule allows it.
    pub is_outside: bool,
    /// How it came about.
    pub opening: Opening,
}

impl Seen {
    /// The contacts that a remembered flow stands for, one for each of its ends that is a device; `device` gives the
    /// name of a number, `time_of_day` the time of a moment since boot.
    pub fn of<'f>(
        key: &'f FlowKey,
        flow: &'f Flow,
        device: impl Fn(u32) -> Option<Arc<str>> + 'f,
        time_of_day: impl Fn(u64) -> Timestamp + 'f,
    ) -> impl Iterator<Item = Self> + 'f {
        let ends = [(flow.opener, Direction::FromDevice), (flow.responder, Direction::ToDevice)];
        ends.into_iter().filter(|(number, _)| *number != 0).filter_map(move |(number, direction)| {
            Some(Self {
                device: device(number)?,
                direction,
                key: *key,
                packets: flow.packets,
                bytes: flow.bytes,
                last_seen: time_of_day(flow.last_seen),
                forgotten: flow.last_seen.saturating_add(timeout(key.protocol, flow.progress)),
                is_outside: false,
                opening: Opening {
                    rule: flow.rule,
                    reason: 0,
                    is_by_other_device: direction == Direction::ToDevice && flow.opener != 0,
                    is_answered: flow.progress != Progress::Opening as u8,
                },
            })
        })
    }

    /// The same of a conversation that no rule allows.
    pub fn of_watched<'f>(
        key: &FlowKey,
        watched: &'f Watched,
        device: impl Fn(u32) -> Option<Arc<str>> + 'f,
        time_of_day: impl Fn(u64) -> Timestamp + 'f,
    ) -> impl Iterator<Item = Self> + 'f {
        let is_turned = watched.is_opened == 0 && is_service(key.source_port, key.destination_port);
        let (key, opener, responder) = if is_turned {
            (key.reversed(), watched.responder, watched.opener)
        } else {
            (*key, watched.opener, watched.responder)
        };
        let ends = [(opener, Direction::FromDevice), (responder, Direction::ToDevice)];
        ends.into_iter().filter(|(number, _)| *number != 0).filter_map(move |(number, direction)| {
            Some(Self {
                device: device(number)?,
                direction,
                key,
                packets: watched.packets,
                bytes: watched.bytes,
                last_seen: time_of_day(watched.last_seen),
                forgotten: watched.last_seen.saturating_add(FORGOTTEN),
                is_outside: true,
                opening: Opening {
                    rule: 0,
                    reason: watched.reason,
                    is_by_other_device: direction == Direction::ToDevice && opener != 0,
                    is_answered: false,
                },
            })
        })
    }

    pub(super) fn peer(&self) -> [u8; 16] {
        match self.direction {
            Direction::FromDevice => self.key.destination.octets(),
            Direction::ToDevice => self.key.source.octets(),
        }
    }

    pub(super) fn port(&self) -> u16 {
        if has_ports(self.key.protocol) { self.key.destination_port } else { 0 }
    }
}

/// Whether the service of a connection that was seen from the middle on is at the first of two ports, rather than at
/// the second: services are at the lower ones (RFC 6335 §6).
const fn is_service(first: u16, second: u16) -> bool {
    first < second
}

#[cfg(test)]
mod tests {
    use iomt_filter_common::packet::protocol;

    use super::*;

    fn seen(ports: (u16, u16), is_opened: u8) -> Vec<Seen> {
        let key = FlowKey {
            source: "10.1.0.5".parse::<std::net::IpAddr>().unwrap().into(),
            destination: "10.2.0.9".parse::<std::net::IpAddr>().unwrap().into(),
            source_port: ports.0,
            destination_port: ports.1,
            protocol: protocol::TCP,
            ..FlowKey::default()
        };
        let watched = Watched { packets: 3, bytes: 180, opener: 7, is_opened, ..Watched::default() };
        let name = |number| (number == 7).then(|| Arc::from("ct-1"));
        Seen::of_watched(&key, &watched, name, |_| Timestamp::UNIX_EPOCH).collect()
    }

    #[test]
    fn who_opened_is_who_said_so_and_otherwise_who_has_the_higher_port() {
        for (ports, is_opened, direction, port) in [
            ((49_152, 104), 1, Direction::FromDevice, 104),
            ((104, 49_152), 1, Direction::FromDevice, 49_152),
            ((49_152, 104), 0, Direction::FromDevice, 104),
            ((104, 49_152), 0, Direction::ToDevice, 104),
        ] {
            let seen = seen(ports, is_opened);
            assert_eq!(seen.len(), 1);
            assert_eq!((seen[0].direction, seen[0].port(), seen[0].is_outside), (direction, port, true));
        }
    }
}
