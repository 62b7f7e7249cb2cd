//! Talks: what a device has to do with a far end on one service, however that is known.
//!
//! Remembered flows, contacts and events come in, and are one talk where they are about the same.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use iomt_filter_common::flow::{Flow, FlowKey};
use iomt_filter_common::packet::protocol;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Direction;
use crate::contacts::{Contact, Seen};
use crate::events::{Record, protocol_number};
use crate::policy::service::has_ports;

/// How a talk is known, the surest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KnownFrom {
    /// It runs now.
    Flows,
    /// Who talked to whom says so.
    #[default]
    History,
    /// Its packets were dropped or reported lately.
    Events,
}

/// A talk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Talk {
    /// The device, by name.
    pub device: Arc<str>,
    /// Who opens.
    pub direction: Direction,
    /// The far end.
    pub peer: IpAddr,
    /// IP protocol number.
    pub protocol: u8,
    /// The port that is opened; nothing for protocols without ports.
    pub port: Option<u16>,
    /// The address of the device, where it is known.
    pub own: Option<IpAddr>,
    /// When first.
    pub first_seen: Timestamp,
    /// When last.
    pub last_seen: Timestamp,
    /// Packets, both ways.
    pub packets: u64,
    /// Bytes of the frames, both ways.
    pub bytes: u64,
    /// How it is known.
    pub known_from: KnownFrom,
}

/// What two that are the same have in common.
type Key = (Arc<str>, Direction, IpAddr, u8, Option<u16>);

impl Talk {
    fn key(&self) -> Key {
        (self.device.clone(), self.direction, self.peer, self.protocol, self.port)
    }

    /// Both together, where they are the same: of what is counted by both, the larger number.
    fn with(self, other: &Self) -> Self {
        Self {
            own: self.own.or(other.own),
            first_seen: self.first_seen.min(other.first_seen),
            last_seen: self.last_seen.max(other.last_seen),
            packets: self.packets.max(other.packets),
            bytes: self.bytes.max(other.bytes),
            known_from: self.known_from.min(other.known_from),
            ..self
        }
    }

    /// That an event is about, where that is one that opens something of a device and is refused, or would be, for what
    /// a policy or a list says.
    fn of_event(record: &Record) -> Option<Self> {
        let is_refused = matches!(record.verdict.as_ref(), "drop" | "would-drop" | "reset")
            && matches!(record.reason.as_ref(), "not-allowed" | "blocklist" | "geo" | "quarantine");
        let protocol = protocol_number(record.protocol.as_ref()?)?;
        let (source, destination) = (record.source?, record.destination?);
        let (direction, own, peer) = match record.direction.as_ref()?.as_ref() {
            "from-device" => (Direction::FromDevice, source, destination),
            _ => (Direction::ToDevice, destination, source),
        };
        let opens = match protocol {
            protocol::TCP => {
                let flags = record.tcp_flags.as_deref().unwrap_or_default();
                flags.contains('S') && !flags.contains('A')
            }
            protocol::ICMP => record.icmp_type == Some(8),
            protocol::ICMPV6 => record.icmp_type == Some(128),
            _ => true,
        };
        if !is_refused || !opens || record.fragment.is_some() {
            return None;
        }
        let seen = record.time?;
        Some(Self {
            device: record.device.as_deref()?.into(),
            direction,
            peer,
            protocol,
            port: record.destination_port.filter(|_| has_ports(protocol)),
            own: Some(own),
            first_seen: seen,
            last_seen: seen,
            packets: record.count,
            bytes: record.count.saturating_mul(u64::from(record.length)),
            known_from: KnownFrom::Events,
        })
    }
}

impl From<Contact> for Talk {
    fn from(contact: Contact) -> Self {
        let Contact {
            device, peer, protocol, port, direction, first_seen, last_seen, packets, bytes, ..
        } = contact;
        let known_from = KnownFrom::History;
        Self {
            device,
            direction,
            peer,
            protocol,
            port,
            own: None,
            first_seen,
            last_seen,
            packets,
            bytes,
            known_from,
        }
    }
}

/// Talks that are known otherwise than by the history: those that run, and those of events.
#[derive(Debug, Default)]
pub struct Talks(HashMap<Key, Talk>);

impl Talks {
    /// Adds a remembered flow, for each of its ends that is a device; `device` gives the name of a number,
    /// `time_of_day` the time of a moment since boot.
    pub fn add_flow(
        &mut self,
        key: &FlowKey,
        flow: &Flow,
        device: impl Fn(u32) -> Option<Arc<str>>,
        time_of_day: impl Fn(u64) -> Timestamp,
    ) {
        for seen in Seen::of(key, flow, device, time_of_day) {
            let (own, peer) = match seen.direction {
                Direction::FromDevice => (key.source, key.destination),
                Direction::ToDevice => (key.destination, key.source),
            };
            let talk = Talk {
                device: seen.device,
                direction: seen.direction,
                peer: peer.into(),
                protocol: key.protocol,
                port: has_ports(key.protocol).then_some(key.destination_port),
                own: Some(own.into()),
                first_seen: seen.last_seen,
                last_seen: seen.last_seen,
                packets: seen.packets,
                bytes: seen.bytes,
                known_from: KnownFrom::Flows,
            };
            self.add(talk, |known, new| (known.packets + new.packets, known.bytes + new.bytes));
        }
    }

    /// Adds what an event is about.
    pub fn add_event(&mut self, record: &Record) {
        if let Some(talk) = Talk::of_event(record) {
            self.add(talk, |known, new| match known.known_from {
                KnownFrom::Events => (known.packets + new.packets, known.bytes + new.bytes),
                // Some of its packets were refused, under another generation: no flow counts them.
                KnownFrom::Flows | KnownFrom::History => (known.packets, known.bytes),
            });
        }
    }

    fn add(&mut self, talk: Talk, counted: impl FnOnce(&Talk, &Talk) -> (u64, u64)) {
        let key = talk.key();
        let talk = match self.0.remove(&key) {
            Some(known) => {
                let (packets, bytes) = counted(&known, &talk);
                Talk { packets, bytes, ..known.with(&talk) }
            }
            None => talk,
        };
        self.0.insert(key, talk);
    }

    /// A contact, with what is known of the same talk beside, which is no longer here then.
    pub fn joined(&mut self, contact: Contact) -> Talk {
        let talk = Talk::from(contact);
        match self.0.remove(&talk.key()) {
            Some(known) => talk.with(&known),
            None => talk,
        }
    }

    /// Those that are left, and run now or were seen at `since` or later, in no order.
    pub fn since(self, since: Timestamp) -> impl Iterator<Item = Talk> {
        let counts = move |talk: &Talk| talk.known_from == KnownFrom::Flows || talk.last_seen >= since;
        self.0.into_values().filter(counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn event(change: impl FnOnce(&mut Record)) -> Record {
        let mut record = Record {
            time: Some(at(60)),
            verdict: "would-drop".into(),
            reason: "not-allowed".into(),
            device: Some("ct-1".into()),
            direction: Some("from-device".into()),
            source: Some("10.10.0.11".parse().unwrap()),
            destination: Some("10.20.0.10".parse().unwrap()),
            protocol: Some("tcp".into()),
            source_port: Some(50_000),
            destination_port: Some(104),
            tcp_flags: Some("S".into()),
            length: 60,
            count: 3,
            ..Record::default()
        };
        change(&mut record);
        record
    }

    fn of_events(records: &[Record]) -> Vec<Talk> {
        let mut talks = Talks::default();
        records.iter().for_each(|record| talks.add_event(record));
        talks.since(Timestamp::MIN).collect()
    }

    #[test]
    fn events_about_the_same_are_one_talk() {
        let again = event(|record| (record.time, record.source_port) = (Some(at(90)), Some(50_001)));
        let talks = of_events(&[event(|_| {}), again]);
        assert_eq!(talks.len(), 1);
        assert_eq!((talks[0].packets, talks[0].bytes, talks[0].port), (6, 360, Some(104)));
        assert_eq!((talks[0].first_seen, talks[0].last_seen), (at(60), at(90)));
        assert_eq!(talks[0].own, Some("10.10.0.11".parse().unwrap()));
    }

    #[test]
    fn what_opens_nothing_or_is_refused_for_what_it_is_no_talk() {
        let nothing: [fn(&mut Record); 6] = [
            |record| record.tcp_flags = Some("SA".into()),
            |record| record.reason = "spoofed".into(),
            |record| record.verdict = "notice".into(),
            |record| record.device = None,
            |record| (record.protocol, record.icmp_type) = (Some("icmp".into()), Some(3)),
            |record| record.source = None,
        ];
        for change in nothing {
            assert_eq!(of_events(&[event(change)]), []);
        }
    }

    #[test]
    fn a_contact_that_runs_now_is_told_as_what_runs() {
        let mut talks = Talks::default();
        let address = |text: &str| text.parse::<IpAddr>().unwrap().into();
        let key = FlowKey {
            source: address("10.10.0.11"),
            destination: address("10.20.0.10"),
            source_port: 50_000,
            destination_port: 104,
            protocol: protocol::TCP,
            ..FlowKey::default()
        };
        let flow = Flow { opener: 1, packets: 10, bytes: 1_000, last_seen: 100, ..Flow::default() };
        for source_port in [50_000, 50_001] {
            let key = FlowKey { source_port, ..key };
            talks.add_flow(&key, &flow, |number| (number == 1).then(|| "ct-1".into()), |_| at(100));
        }
        talks.add_event(&event(|_| {}));
        let contact = Contact {
            device: "ct-1".into(),
            peer: "10.20.0.10".parse().unwrap(),
            protocol: protocol::TCP,
            port: Some(104),
            direction: Direction::FromDevice,
            first_seen: at(0),
            last_seen: at(10),
            packets: 500,
            bytes: 9,
            outside: 0,
            last_outside: None,
        };
        let talk = talks.joined(contact);
        assert_eq!((talk.known_from, talk.packets, talk.bytes), (KnownFrom::Flows, 500, 2_000));
        assert_eq!((talk.first_seen, talk.last_seen), (at(0), at(100)));
        assert_eq!(talks.since(Timestamp::MIN).count(), 0);
    }
}
