//! Which packets there are: lanes that policy allows, one way each, and such as it forbids.

use std::net::IpAddr;

use super::number;
use crate::hospital::Version;
use crate::packet::{ACK, End, Frame, PSH, ROUTER, SYN, Transport};

/// A way into the filter's bridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cable {
    /// To the CT scanner.
    Ct,
    /// To the pump, and to whoever else hangs there.
    Pump,
    /// To everything else.
    Uplink,
}

/// What is to become of a lane's packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Every one arrives, at the end of this cable.
    Arrives(Cable),
    /// None arrives anywhere; this is why.
    Ends(&'static str),
    /// The operator's own, which a change may cut: each arrives there or ends.
    Varies(Cable),
}

/// Packets that differ in their number alone.
#[derive(Clone, Debug)]
pub struct Lane {
    /// What it is, for people.
    pub name: String,
    /// Where it comes from.
    pub from: Cable,
    /// What is to become of it.
    pub fate: Fate,
    /// Where the source port lies, where packets are to come from ever new ones.
    pub fresh: Option<usize>,
    /// The packet with number 0.
    pub frame: Vec<u8>,
}

/// A host that sends or is sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Ct,
    Pump,
    /// A device that nobody has heard of, on the cable of the pump.
    Laptop,
    /// An address behind the device ports that is nobody's.
    Nobody,
    Pacs,
    /// On the threat list.
    Listed,
    /// In a denied country.
    Denied,
}

impl Who {
    fn end(self, version: Version) -> End {
        let (mac, v4, v6) = match self {
            Self::Ct => ([0, 0x1b, 0x21, 0x60, 0, 0x11], "10.60.0.11", "2001:db8:60::11"),
            Self::Pump => ([0, 0x1b, 0x21, 0x60, 0, 0x12], "10.60.0.12", "2001:db8:60::12"),
            Self::Laptop => ([0x3c, 0x97, 0x0e, 0x60, 0, 0x66], "10.60.0.66", "2001:db8:60::66"),
            Self::Nobody => ([0x3c, 0x97, 0x0e, 0x60, 0, 0x99], "10.60.0.99", "2001:db8:60::99"),
            Self::Pacs => (ROUTER, "10.70.0.10", "2001:db8:70::10"),
            Self::Listed => (ROUTER, "203.0.113.9", "2001:db8:c2::9"),
            Self::Denied => (ROUTER, "192.0.2.5", "2001:db8:de::5"),
        };
        End { mac, ..End::from(if version == Version::V4 { v4 } else { v6 }) }
    }

    const fn cable(self) -> Cable {
        match self {
            Self::Ct => Cable::Ct,
            Self::Pump | Self::Laptop | Self::Nobody => Cable::Pump,
            Self::Pacs | Self::Listed | Self::Denied => Cable::Uplink,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Tcp,
    Udp,
}

/// Conversations that policy allows: who opens them to whom, by what, at which port.
const CONVERSATIONS: [(Who, Who, Protocol, u16); 6] = [
    (Who::Ct, Who::Pacs, Protocol::Tcp, 104),
    (Who::Pacs, Who::Ct, Protocol::Tcp, 104),
    (Who::Ct, Who::Pacs, Protocol::Udp, 5000),
    (Who::Pacs, Who::Ct, Protocol::Udp, 5001),
    (Who::Pump, Who::Ct, Protocol::Udp, 5002),
    (Who::Pump, Who::Pacs, Protocol::Udp, 5000),
];
/// What opens a conversation again and again.
const FRESH: [(Who, Who, u16); 2] = [(Who::Ct, Who::Pacs, 5003), (Who::Pacs, Who::Ct, 5004)];
/// The port of the operator's own.
const OPERATOR: u16 = 5005;
/// A port that no rule names.
const NO_RULE: u16 = 9999;
/// The first port that what is [`FRESH`] comes from, how many there are, and how many packets come from each: a device
/// may open only so many conversations in a minute.
const FIRST_PORT: u16 = 2048;
const PORTS: u32 = 60_000;
const OF_EACH_PORT: u32 = 8;

/// All lanes, and the packets that open what some of them go on with, in their order.
#[must_use]
pub fn all() -> (Vec<Lane>, Vec<Lane>) {
    let mut lanes = Lanes::default();
    for version in Version::BOTH {
        for (number, conversation) in (0..).zip(CONVERSATIONS) {
            lanes.converse(version, 40_000 + number, conversation);
        }
        for (from, to, port) in FRESH {
            let frame = Frame::from(from.end(version)).to(to.end(version)).udp(FIRST_PORT, port);
            let name = format!("{from:?} to {to:?}, ever new to port {port}");
            let lane = lanes.add(version, name, from.cable(), Fate::Arrives(to.cable()), frame);
            lane.fresh = Some(source_port(version));
        }
        let operator = Frame::from(Who::Ct.end(version)).to(Who::Pacs.end(version)).udp(40_100, OPERATOR);
        lanes.add(version, "the operator".into(), Cable::Ct, Fate::Varies(Cable::Uplink), operator);
        for (what, from, frame, reason) in forbidden(version) {
            lanes.add(version, what.into(), from, Fate::Ends(reason), frame);
        }
    }
    (lanes.lanes, lanes.openings)
}

/// What must not pass, by cable, packet and reason.
fn forbidden(version: Version) -> Vec<(&'static str, Cable, Frame, &'static str)> {
    let [ct, pump, laptop, nobody, pacs, listed, denied] =
        [Who::Ct, Who::Pump, Who::Laptop, Who::Nobody, Who::Pacs, Who::Listed, Who::Denied]
            .map(|who| who.end(version));
    let between = |from: End, to: End| Frame::from(from).to(to);
    let lying = |mac: End, address: IpAddr| End { mac: mac.mac, address, vlan: None };
    vec![
        ("no rule, from ct-1", Cable::Ct, between(ct, pacs).udp(41_000, NO_RULE), "not-allowed"),
        ("no rule, SYN from ct-1", Cable::Ct, between(ct, pacs).tcp(41_001, NO_RULE).syn(), "not-allowed"),
        ("listed, from ct-1", Cable::Ct, between(ct, listed).udp(41_002, 5000), "blocklist"),
        ("listed, SYN from ct-1", Cable::Ct, between(ct, listed).tcp(41_003, 104).syn(), "blocklist"),
        ("denied country, from ct-1", Cable::Ct, between(ct, denied).udp(41_004, 5000), "geo"),
        ("no flow, ACK from ct-1", Cable::Ct, between(ct, pacs).tcp(41_005, 104).ack(), "no-flow"),
        ("no flow, answer of ct-1", Cable::Ct, between(ct, pacs).udp(5001, 41_006), "not-allowed"),
        ("no rule, pump-1 to ct-1", Cable::Pump, between(pump, ct).udp(41_007, NO_RULE), "not-allowed"),
        ("pump-1 as ct-1", Cable::Pump, between(lying(pump, ct.address), pacs).udp(41_008, 5000), "spoofed"),
        (
            "laptop as ct-1",
            Cable::Pump,
            between(lying(laptop, ct.address), pacs).udp(41_009, 5000),
            "spoofed",
        ),
        (
            "pump-1 as nobody",
            Cable::Pump,
            between(lying(pump, nobody.address), pacs).udp(41_010, 5000),
            "spoofed",
        ),
        ("unknown device", Cable::Pump, between(laptop, pacs).udp(41_011, 5000), "unknown-device"),
        ("no rule, to ct-1", Cable::Uplink, between(pacs, ct).udp(41_012, NO_RULE), "not-allowed"),
        ("no rule, SYN to ct-1", Cable::Uplink, between(pacs, ct).tcp(41_013, NO_RULE).syn(), "not-allowed"),
        ("listed, to ct-1", Cable::Uplink, between(listed, ct).udp(41_014, 5001), "blocklist"),
        ("listed, SYN to ct-1", Cable::Uplink, between(listed, ct).tcp(41_015, 104).syn(), "blocklist"),
        ("denied country, to ct-1", Cable::Uplink, between(denied, ct).udp(41_016, 5001), "geo"),
        ("no flow, SYN+ACK to ct-1", Cable::Uplink, between(pacs, ct).tcp(104, 41_017).syn_ack(), "no-flow"),
        ("no flow, ACK to ct-1", Cable::Uplink, between(pacs, ct).tcp(41_018, 104).ack(), "no-flow"),
        ("no flow, answer to ct-1", Cable::Uplink, between(pacs, ct).udp(5000, 41_019), "not-allowed"),
        (
            "no rule, as pump-1 to ct-1",
            Cable::Uplink,
            between(lying(pacs, pump.address), ct).udp(41_020, NO_RULE),
            "not-allowed",
        ),
        ("to nobody", Cable::Uplink, between(pacs, nobody).udp(41_021, 5001), "unknown-device"),
    ]
}

/// Lanes in the making: the number of a lane is its place.
#[derive(Default)]
struct Lanes {
    lanes: Vec<Lane>,
    openings: Vec<Lane>,
}

impl Lanes {
    /// Both ways of a conversation, and what opens it.
    fn converse(&mut self, version: Version, port: u16, conversation: (Who, Who, Protocol, u16)) {
        let (opener, responder, protocol, at) = conversation;
        let frame = Frame::from(opener.end(version)).to(responder.end(version));
        let frame = match protocol {
            Protocol::Tcp => frame.tcp(port, at).flags(PSH | ACK),
            Protocol::Udp => frame.udp(port, at),
        };
        let name = |from: Who, to: Who| format!("{from:?} to {to:?}, {protocol:?} that {opener:?} opened");
        let ways = [(opener, responder, frame.clone()), (responder, opener, frame.reversed())];
        let steps: &[(usize, u8)] = match protocol {
            Protocol::Tcp => &[(0, SYN), (1, SYN | ACK), (0, ACK)],
            Protocol::Udp => &[(0, 0)],
        };
        for (way, flags) in steps {
            let (from, to, frame) = &ways[*way];
            let opening = Lane {
                name: format!("opening of {}, {}", name(*from, *to), version.name()),
                from: from.cable(),
                fate: Fate::Arrives(to.cable()),
                fresh: None,
                frame: bytes(frame.clone().flags(*flags), OPENINGS + self.openings.len() as u16),
            };
            self.openings.push(opening);
        }
        for (from, to, frame) in ways {
            self.add(version, name(from, to), from.cable(), Fate::Arrives(to.cable()), frame);
        }
    }

    fn add(&mut self, version: Version, name: String, from: Cable, fate: Fate, frame: Frame) -> &mut Lane {
        let frame = bytes(frame, self.lanes.len() as u16);
        let name = format!("{name}, {}", version.name());
        self.lanes.push(Lane { name, from, fate, fresh: None, frame });
        let last = self.lanes.len() - 1;
        &mut self.lanes[last]
    }
}

/// Openings have the numbers of lanes from here on.
pub const OPENINGS: u16 = 0x8000;

/// The finished packet, with the lane's number in it.
fn bytes(frame: Frame, lane: u16) -> Vec<u8> {
    let frame = frame.transport(|transport| match transport {
        Transport::Tcp(tcp) => tcp.body = number::payload(lane, tcp.source),
        Transport::Udp(udp) => udp.body = number::payload(lane, udp.source),
        _ => {}
    });
    frame.bytes()
}

/// Where the source port lies in a frame without tags and options.
const fn source_port(version: Version) -> usize {
    match version {
        Version::V4 => 14 + 20,
        Version::V6 => 14 + 40,
    }
}

impl Lane {
    /// Makes a copy of [`frame`](Self::frame) the packet with a number.
    pub fn write(&self, frame: &mut [u8], number: u32) {
        number::write(frame, number);
        if let Some(offset) = self.fresh {
            let port = u32::from(FIRST_PORT) + number / OF_EACH_PORT % PORTS;
            number::write_port(frame, offset, port as u16);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_lane_says_its_number_and_most_kinds_go_both_ways() {
        let (lanes, openings) = all();
        for (place, lane) in lanes.iter().enumerate() {
            assert_eq!(number::read(&lane.frame), Some((place as u16, 0)), "{}", lane.name);
        }
        for (place, opening) in openings.iter().enumerate() {
            assert_eq!(number::read(&opening.frame), Some((OPENINGS + place as u16, 0)), "{}", opening.name);
        }
        let reasons = ["not-allowed", "blocklist", "geo", "no-flow", "unknown-device"];
        for (reason, is_uplink) in reasons.map(|reason| (reason, true)).into_iter().chain(
            // Who sends over an uplink is asked for no hardware address.
            reasons.into_iter().chain(["spoofed"]).map(|reason| (reason, false)),
        ) {
            let is_it =
                |lane: &&Lane| lane.fate == Fate::Ends(reason) && (lane.from == Cable::Uplink) == is_uplink;
            assert!(lanes.iter().filter(is_it).count() >= 2, "{reason}, {is_uplink}");
        }
    }

    #[test]
    fn a_fresh_lane_comes_from_ever_new_ports() {
        let (lanes, _) = all();
        for lane in lanes.iter().filter(|lane| lane.fresh.is_some()) {
            let [one, two] = [5, 5 + OF_EACH_PORT].map(|number| {
                let mut frame = lane.frame.clone();
                lane.write(&mut frame, number);
                frame
            });
            let at = lane.fresh.unwrap();
            assert_ne!(one[at..at + 2], two[at..at + 2]);
        }
    }
}
