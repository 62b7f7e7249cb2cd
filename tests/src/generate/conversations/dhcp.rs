//! DHCP from the first question to the lease and its renewal (RFC 2131, RFC 8415).

use std::net::IpAddr;

use iomt_filter_common::device::Port;

use crate::packet::{End, Frame, ROUTER, Transport};
use crate::random::Random;
use crate::world::{Device, World, net};

/// An exchange in either family.
pub(super) fn exchange(random: &mut Random, world: &World) -> Vec<(Port, Frame)> {
    let by_dhcp = world.devices.iter().find(|device| device.by_dhcp && random.chance(60));
    let device = by_dhcp.unwrap_or(&world.devices[random.below(world.devices.len())]);
    if random.chance(60) { version_4(random, device) } else { version_6(random, device) }
}

fn version_4(random: &mut Random, device: &Device) -> Vec<(Port, Frame)> {
    let mac = device.mac.unwrap_or(ROUTER);
    let offered = net(random.pick(&["10.10.0.1", "10.10.0.77", "10.10.0.77", "10.10.0.78", "10.20.0.1"]));
    let (message, offered) =
        (Message { xid: 1 + random.below(6) as u32, mac, offered: offered.addr() }, offered.addr());
    let client = |address: &str| End { mac, address: net(address).addr(), vlan: device.vlan };
    let server = End { mac: ROUTER, address: net("10.20.0.2").addr(), vlan: None };
    let everybody = End { mac: [0xff; 6], address: net("255.255.255.255").addr(), vlan: None };
    let asks = |kind: u8| {
        let frame = Frame::from(client("0.0.0.0")).to(everybody).udp(68, 67);
        (Port::Device, carrying(frame, message.bytes(1, kind, None)))
    };
    let lease = random.pick(&[None, Some(0), Some(30), Some(60), Some(300), Some(7_439), Some(u32::MAX)]);
    let is_broadcast = random.chance(50);
    let from = random.pick(&[67, 67, 67, 1_067]);
    let answers = |kind: u8| {
        let to = if is_broadcast { everybody } else { End { mac, address: offered, vlan: device.vlan } };
        (Port::Uplink, carrying(Frame::from(server).to(to).udp(from, 68), message.bytes(2, kind, lease)))
    };
    let mut said = vec![asks(1), answers(2), asks(3), answers(5)];
    if random.chance(30) {
        drop(said.drain(..2));
    }
    // The new address at work, and asked for again from there.
    let leased = End { mac, address: offered, vlan: device.vlan };
    let far = End { mac: ROUTER, address: net("203.0.113.1").addr(), vlan: None };
    said.push((Port::Device, Frame::from(leased).to(far).udp(49_152, 53)));
    said.push((Port::Uplink, Frame::from(far).to(leased).udp(53, 49_152)));
    if random.chance(50) {
        let renew = Frame::from(leased).to(server).udp(68, 67);
        said.push((Port::Device, carrying(renew, message.bytes(1, 3, None))));
        let answer = Frame::from(server).to(leased).udp(67, random.pick(&[67, 68, 68, 68]));
        let kind = random.pick(&[5, 5, 6]);
        said.push((Port::Uplink, carrying(answer, message.bytes(2, kind, lease))));
        said.push((Port::Device, Frame::from(leased).to(far).udp(49_152, 53)));
    }
    said
}

/// A request, and answers from other ports than a server's or to other ports than a client's.
pub(super) fn misplaced(random: &mut Random, device: &Device) -> Vec<(Port, Frame)> {
    let said = if random.chance(60) { version_4(random, device) } else { version_6(random, device) };
    let wrong = random.pick(&[1_067, 68, 546, 53]);
    let (is_source, is_device) = (random.chance(70), random.chance(15));
    let move_port = |(port, frame): (Port, Frame)| {
        let is_answer = matches!(&frame.transport, Transport::Udp(udp) if matches!(udp.source, 67 | 547));
        if !is_answer {
            return (port, frame);
        }
        let frame = frame.transport(|transport| {
            if let Transport::Udp(udp) = transport {
                *(if is_source { &mut udp.source } else { &mut udp.destination }) = wrong;
            }
        });
        (if is_device { Port::Device } else { port }, frame)
    };
    said.into_iter().map(move_port).collect()
}

/// A BOOTP message in the making.
struct Message {
    xid: u32,
    mac: [u8; 6],
    offered: IpAddr,
}

impl Message {
    fn bytes(&self, op: u8, kind: u8, lease: Option<u32>) -> Vec<u8> {
        let mut bytes = vec![op, 1, 6, 0];
        bytes.extend(self.xid.to_be_bytes());
        bytes.extend([0; 8]);
        match self.offered {
            IpAddr::V4(v4) if op == 2 => bytes.extend(v4.octets()),
            _ => bytes.extend([0; 4]),
        }
        bytes.extend([0; 8]);
        bytes.extend(self.mac);
        bytes.resize(236, 0);
        bytes.extend([0x63, 0x82, 0x53, 0x63, 53, 1, kind]);
        if let Some(seconds) = lease {
            bytes.extend([51, 4]);
            bytes.extend(seconds.to_be_bytes());
        }
        bytes.extend([54, 4, 10, 20, 0, 2, 255]);
        bytes
    }
}

fn version_6(random: &mut Random, device: &Device) -> Vec<(Port, Frame)> {
    let mac = device.mac.unwrap_or(ROUTER);
    let own = End { mac, address: net("fe80::1").addr(), vlan: device.vlan };
    let own = match device.addresses.iter().find(|address| address.is_ipv6()) {
        Some(address) if random.chance(50) => End { address: *address, ..own },
        _ => own,
    };
    let servers = End { mac: [0x33, 0x33, 0, 1, 0, 2], address: net("ff02::1:2").addr(), vlan: None };
    let server = End { mac: ROUTER, address: net("2001:db8:20::2").addr(), vlan: None };
    let offered =
        net(random.pick(&["2001:db8:10::77", "2001:db8:10::77", "2001:db8:10::1", "2001:db8:20::1"])).addr();
    let lifetime = random.pick(&[0, 60, 300, u32::MAX]);
    let transaction = [0, 0, 1 + random.below(6) as u8];
    let from = random.pick(&[547, 547, 1_547]);
    let message = |kind: u8, valid: Option<u32>| {
        let mut bytes = vec![kind];
        bytes.extend(transaction);
        // A client identifier, then the association with its address.
        bytes.extend([0, 1, 0, 10, 0, 3, 0, 1]);
        bytes.extend(mac);
        if let (IpAddr::V6(v6), Some(valid)) = (offered, valid) {
            bytes.extend([0, 3, 0, 40, 0, 0, 0, 1]);
            bytes.extend([0; 8]);
            bytes.extend([0, 5, 0, 24]);
            bytes.extend(v6.octets());
            bytes.extend([0, 0, 0, 50]);
            bytes.extend(valid.to_be_bytes());
        }
        bytes
    };
    let asks =
        |kind| (Port::Device, carrying(Frame::from(own).to(servers).udp(546, 547), message(kind, None)));
    let answers = |kind| {
        let frame = Frame::from(server).to(own).udp(from, 546);
        (Port::Uplink, carrying(frame, message(kind, Some(lifetime))))
    };
    let leased = End { mac, address: offered, vlan: device.vlan };
    let far = End { mac: ROUTER, address: net("2001:db8:bad::1").addr(), vlan: None };
    let mut said = vec![asks(1), answers(2), asks(random.pick(&[3, 5, 6])), answers(7)];
    said.push((Port::Device, Frame::from(leased).to(far).udp(49_152, 53)));
    said.push((Port::Uplink, Frame::from(far).to(leased).udp(53, 49_152)));
    said
}

fn carrying(frame: Frame, message: Vec<u8>) -> Frame {
    frame.transport(|transport| {
        if let Transport::Udp(udp) = transport {
            udp.body = message;
        }
    })
}
