//! Random frames: new ones, answers, continuations, and lies.

use std::net::IpAddr;

use iomt_filter_common::device::Port;

use super::worlds::{ADDRESSES, MACS, PORTS, VLANS, address, address_of};
use crate::packet::{
    ACK, Arp, Extension, FIN, Frame, Internet, PSH, RST, SYN, TPID_8021AD, TPID_8021Q, TPID_QINQ, Tag,
    Transport,
};
use crate::random::Random;
use crate::world::{World, net};

/// The frames so far, before anything in them was made to lie.
#[derive(Debug, Default)]
pub(super) struct Frames {
    past: Vec<(Port, Frame)>,
    /// Frames that were sent as first fragments, with their identification.
    firsts: Vec<(Port, Frame, u32)>,
}

/// Frames of the past that errors, answers and fragments are about.
const REMEMBERED: usize = 64;

impl Frames {
    /// Notes a frame that was sent otherwise, so that something may refer to it.
    pub(super) fn note(&mut self, port: Port, frame: &Frame) {
        if self.past.len() == REMEMBERED {
            self.past.remove(0);
        }
        self.past.push((port, frame.clone()));
    }

    /// Something about the frames so far: an error, an answer, a fragment, or one more.
    pub(super) fn aside(&mut self, random: &mut Random, world: &World) -> (Port, Vec<u8>) {
        if !self.past.is_empty() && random.chance(50) { self.error(random) } else { self.next(random, world) }
    }

    pub(super) fn next(&mut self, random: &mut Random, world: &World) -> (Port, Vec<u8>) {
        if !self.past.is_empty() {
            if random.chance(8) {
                return self.error(random);
            }
            if random.chance(8) {
                return self.piece(random);
            }
        }
        let (port, frame) = match (random.below(10), self.past.last()) {
            (0..=2, Some(_)) => self.answer(random),
            (3 | 4, Some(_)) => self.past[random.below(self.past.len())].clone(),
            _ => fresh(random, world),
        };
        let mut frame = frame;
        if let Transport::Tcp(tcp) = &mut frame.transport {
            tcp.flags = random.pick(&[
                SYN,
                SYN,
                SYN | ACK,
                ACK,
                ACK,
                ACK | PSH,
                ACK | FIN,
                RST,
                RST | ACK,
                0,
                SYN | FIN,
            ]);
        }
        dress(random, world, port, &mut frame);
        self.past.push((port, frame.clone()));
        if random.chance(25) {
            frame = broken(random, frame);
        }
        (port, frame.bytes())
    }

    /// An ICMP error about a frame of the past, mostly told to whoever sent it.
    fn error(&self, random: &mut Random) -> (Port, Vec<u8>) {
        let (port, about) = &self.past[random.below(self.past.len())];
        let is_v4 = matches!(about.internet, Internet::V4(_));
        let kind = if is_v4 { random.pick(&[3, 3, 11, 12, 5, 4]) } else { random.pick(&[1, 2, 2, 3, 4, 5]) };
        let mut quoted = about.clone().untagged().bytes();
        quoted.drain(..quoted.len().min(14));
        quoted.truncate(random.pick(&[8, 20, 28, 40, 48, 68, 200]));
        let mut error = if random.chance(85) { about.reversed() } else { about.clone() }.icmp(kind, 0, 0);
        if let Transport::Icmp(icmp) = &mut error.transport {
            icmp.body = quoted;
        }
        let port = if random.chance(85) { other(*port) } else { *port };
        (port, error.bytes())
    }

    /// A first fragment, or a later one of a first one that was sent.
    fn piece(&mut self, random: &mut Random) -> (Port, Vec<u8>) {
        if self.firsts.is_empty() || random.chance(40) {
            let (port, frame) = self.past[random.below(self.past.len())].clone();
            let identification = random.pick(&[1, 2, 3, 0x1_0001]);
            let bytes = frame.clone().fragment(identification, 0, true).bytes();
            self.firsts.push((port, frame, identification));
            return (port, bytes);
        }
        let (port, frame, identification) = self.firsts[random.below(self.firsts.len())].clone();
        let offset = random.pick(&[8, 16, 24, 24, 32, 1480]);
        let later = frame.fragment(identification, offset, random.chance(50));
        (if random.chance(90) { port } else { other(port) }, later.bytes())
    }

    fn answer(&self, random: &mut Random) -> (Port, Frame) {
        let (port, frame) = &self.past[random.below(self.past.len())];
        let mut frame = frame.reversed();
        if let Transport::Icmp(icmp) = &mut frame.transport {
            icmp.kind = match icmp.kind {
                8 => 0,
                128 => 129,
                other => other,
            };
        }
        let other_side = random.chance(85);
        let port = match (port, other_side) {
            (Port::Device, true) | (Port::Uplink, false) => Port::Uplink,
            (Port::Uplink, true) | (Port::Device, false) => Port::Device,
        };
        (port, frame)
    }
}

const fn other(port: Port) -> Port {
    match port {
        Port::Device => Port::Uplink,
        Port::Uplink => Port::Device,
    }
}

/// From or to a device, more often than not.
fn fresh(random: &mut Random, world: &World) -> (Port, Frame) {
    if random.chance(3) {
        let ethertype =
            random.pick(&[0x888e, 0x88cc, 0x88f7, 0x8809, 0x0026, 0x05ff, 0x0600, 0x8100, 0x9000]);
        let payload = random.pick::<&[u8]>(&[&[1, 1], &[2], &[3], &[], &[0x42, 0x42, 3, 0], &[0x42, 0x42]]);
        let mut frame = Frame::ethernet(ethertype, payload);
        frame.destination_mac = random.pick(&[[1, 0x80, 0xc2, 0, 0, 0], [2; 6]]);
        return (some_port(random), frame);
    }
    if random.chance(5) {
        let (sender, target) = (some_v4(random, world), some_v4(random, world));
        let mut frame = Frame::from(sender);
        frame.internet = Internet::Arp(Arp {
            hardware: random.pick(&[1, 1, 1, 6]),
            protocol: 0x0800,
            lengths: (6, 4),
            operation: 1,
            sender_mac: random.pick(MACS),
            sender: match sender {
                IpAddr::V4(v4) => v4,
                IpAddr::V6(_) => [0; 4].into(),
            },
            target_mac: [0; 6],
            target: match target {
                IpAddr::V4(v4) => v4,
                IpAddr::V6(_) => [0; 4].into(),
            },
        });
        frame.transport = Transport::None;
        return (some_port(random), frame);
    }
    let port = some_port(random);
    let (mut near, mut far) = (device_address(random, world), address(random));
    while near.is_ipv4() != far.is_ipv4() {
        (near, far) = (device_address(random, world), address(random));
    }
    if random.chance(15) {
        far = match device_address(random, world) {
            device if device.is_ipv4() == near.is_ipv4() => device,
            _ => far,
        };
    }
    let frame = match port {
        Port::Device => Frame::from(near).to(far),
        Port::Uplink => Frame::from(far).to(near),
    };
    (port, transport(random, frame))
}

fn transport(random: &mut Random, frame: Frame) -> Frame {
    let (source, destination) = (random.pick(PORTS), random.pick(PORTS));
    match random.below(20) {
        0..=8 => frame.tcp(source, destination),
        9..=13 => frame.udp(source, destination),
        14 => frame.sctp(source, destination),
        15 | 16 => frame.ping(source),
        17 => {
            let kind = random.pick(&[0, 3, 8, 11, 128, 129, 133, 134, 134, 135, 136, 137, 138, 132]);
            let hops = random.pick(&[255, 255, 64]);
            frame.icmp(kind, 0, source).hop_limit(hops)
        }
        _ => frame.protocol(random.pick(&[1, 58, 47, 50, 59, 253, 135]), &[0; 8]),
    }
}

/// Gives a frame the hardware address and the tags that its sender has, or somebody else's.
fn dress(random: &mut Random, world: &World, port: Port, frame: &mut Frame) {
    let source = match &frame.internet {
        Internet::V4(v4) => Some(IpAddr::V4(v4.source)),
        Internet::V6(v6) => Some(IpAddr::V6(v6.source)),
        Internet::Arp(arp) => Some(IpAddr::V4(arp.sender)),
        Internet::Raw(..) => None,
    };
    let owner =
        world.devices.iter().find(|device| source.is_some_and(|source| device.addresses.contains(&source)));
    let somebody = world.devices.get(random.below(world.devices.len() * 2));
    let wearer = if port == Port::Device && random.chance(90) { owner.or(somebody) } else { somebody };
    frame.source_mac = wearer.and_then(|device| device.mac).unwrap_or_else(|| random.pick(MACS));
    frame.tags.clear();
    let vlan = wearer.and_then(|device| device.vlan);
    let vlan = if random.chance(92) { vlan } else { random.pick(&[None, Some(10), Some(20), Some(0x6000)]) };
    if let Some(vlan) = vlan {
        frame
            .tags
            .push(Tag { tpid: random.pick(&[TPID_8021Q, TPID_8021Q, TPID_8021AD, TPID_QINQ]), tci: vlan });
        if random.chance(15) {
            let tag = Tag { tpid: TPID_8021AD, tci: random.pick(VLANS) | 0xe000 };
            frame.tags.insert(0, tag);
        }
    }
    if let Internet::Arp(arp) = &mut frame.internet
        && random.chance(80)
    {
        arp.sender_mac = frame.source_mac;
    }
}

/// One thing that is unusual or wrong.
pub(super) fn broken(random: &mut Random, frame: Frame) -> Frame {
    let byte = random.next() as u8;
    let length = frame.bytes().len();
    let small = random.below(64) as u16;
    match random.below(18) {
        0 => frame.truncate(random.below(length + 1)),
        1 | 2 => frame.padding(random.below(40)),
        3 => frame.overwrite(random.below(length), byte),
        4 => frame.v4(|v4| v4.total_length = Some(small)).v6(|v6| v6.payload_length = Some(small)),
        5 => frame.v4(|v4| v4.header_words = Some(byte)).v6(|v6| v6.next_header = Some(byte)),
        6 => frame.v4(|v4| v4.version = byte % 8).v6(|v6| v6.version = byte % 8),
        7 => frame.v4(|v4| v4.options = vec![1; 4 * (1 + usize::from(byte % 10))]),
        8 => frame.transport(|transport| match transport {
            Transport::Tcp(tcp) => tcp.offset = Some(byte % 16),
            Transport::Udp(udp) => udp.length = Some(small),
            Transport::Sctp(sctp) => sctp.body.clear(),
            Transport::Icmp(icmp) => icmp.body.clear(),
            Transport::Raw(number, _) => *number = byte,
            Transport::None => {}
        }),
        9 => frame.transport(|transport| {
            if let Transport::Tcp(tcp) = transport {
                tcp.options = vec![1; 4 * usize::from(byte % 11)];
            }
        }),
        10 => frame.outer_tag(TPID_8021Q, 10).outer_tag(TPID_QINQ, 20),
        11 => frame.fragment(random.next() as u32, 0, true),
        12 => frame.fragment(random.next() as u32, small * 8, random.chance(50)),
        13 => frame.fragment(9, 0, true).padding(3).truncate(length.saturating_sub(usize::from(byte % 12))),
        14 | 15 => extended(random, frame),
        16 => frame.v6(|v6| v6.source = std::net::Ipv4Addr::new(10, 10, 0, 1).to_ipv6_mapped()),
        _ => {
            let mut frame = frame;
            frame.ethertype = Some(random.pick(&[0x0800, 0x86dd, 0x0806, 0x0900]));
            frame
        }
    }
}

fn extended(random: &mut Random, mut frame: Frame) -> Frame {
    for _ in 0..random.pick(&[1, 2, 3, 8, 9]) {
        let extension = match random.below(12) {
            0 => Extension::hop_by_hop(),
            1 => Extension::routing(random.pick(&[0, 2, 4])),
            2 => Extension::authentication(),
            3 => Extension::fragment(7, random.pick(&[0, 0, 0, 8]), random.chance(40)),
            4 => Extension { length: Some(random.next() as u8 % 4), ..Extension::destination_options() },
            _ => Extension::destination_options(),
        };
        frame = frame.extension(extension);
    }
    frame
}

fn device_address(random: &mut Random, world: &World) -> IpAddr {
    if random.chance(12) {
        return address(random);
    }
    let device = &world.devices[random.below(world.devices.len())];
    address_of(random, device)
}

fn some_v4(random: &mut Random, world: &World) -> IpAddr {
    match device_address(random, world) {
        address if address.is_ipv4() => address,
        _ => net(ADDRESSES[random.below(8)]).addr(),
    }
}

fn some_port(random: &mut Random) -> Port {
    if random.chance(60) { Port::Device } else { Port::Uplink }
}
