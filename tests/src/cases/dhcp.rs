//! DHCP messages in the making (RFC 2131, RFC 2132, RFC 8415), for stories about leases.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::packet::{End, Frame, ROUTER, Transport};

pub(super) const DISCOVER: u8 = 1;
pub(super) const OFFER: u8 = 2;
pub(super) const REQUEST: u8 = 3;
pub(super) const DECLINE: u8 = 4;
pub(super) const ACK: u8 = 5;
pub(super) const NAK: u8 = 6;
pub(super) const RELEASE: u8 = 7;
pub(super) const INFORM: u8 = 8;

/// A BOOTP message with DHCP options.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) operation: u8,
    pub(super) kind: u8,
    pub(super) transaction: u32,
    pub(super) client: [u8; 6],
    /// The address that is given.
    pub(super) given: Ipv4Addr,
    /// How long it is given for, where that is said.
    pub(super) seconds: Option<u32>,
    /// Options in front of those.
    pub(super) before: Vec<u8>,
}

impl Message {
    /// What a client says.
    pub(super) const fn asks(kind: u8, transaction: u32, client: [u8; 6]) -> Self {
        let given = Ipv4Addr::UNSPECIFIED;
        Self { operation: 1, kind, transaction, client, given, seconds: None, before: Vec::new() }
    }

    /// What a server answers.
    pub(super) const fn gives(kind: u8, transaction: u32, client: [u8; 6], given: [u8; 4]) -> Self {
        let given = Ipv4Addr::new(given[0], given[1], given[2], given[3]);
        Self { operation: 2, kind, transaction, client, given, seconds: Some(3_600), before: Vec::new() }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![self.operation, 1, 6, 0];
        bytes.extend(self.transaction.to_be_bytes());
        bytes.extend([0; 8]);
        bytes.extend(self.given.octets());
        bytes.extend([0; 8]);
        bytes.extend(self.client);
        bytes.resize(236, 0);
        bytes.extend([0x63, 0x82, 0x53, 0x63]);
        bytes.extend(&self.before);
        bytes.extend([53, 1, self.kind]);
        if let Some(seconds) = self.seconds {
            bytes.extend([51, 4]);
            bytes.extend(seconds.to_be_bytes());
        }
        bytes.push(255);
        bytes
    }

    /// A client without an address, to everybody.
    pub(super) fn broadcast(&self, client: End) -> Frame {
        let nobody = End { address: IpAddr::from([0; 4]), ..client };
        self.within(Frame::from(nobody).to("255.255.255.255").destination_mac([0xff; 6]).udp(68, 67))
    }

    /// A server's answer to the address that it gives.
    pub(super) fn unicast(&self, server: &str) -> Frame {
        let to = End { mac: self.client, address: self.given.into(), vlan: None };
        self.within(Frame::from(server).to(to).udp(67, 68))
    }

    /// The message in another frame.
    pub(super) fn within(&self, frame: Frame) -> Frame {
        carrying(frame, self.bytes())
    }
}

/// A client's message of DHCPv6, to every server.
pub(super) fn v6_asks(kind: u8, transaction: u32, client: End) -> Frame {
    let mut bytes = vec![kind];
    bytes.extend(&transaction.to_be_bytes()[1..]);
    bytes.extend([0, 1, 0, 10, 0, 3, 0, 1]);
    bytes.extend(client.mac);
    let to = End { mac: [0x33, 0x33, 0, 1, 0, 2], ..End::from("ff02::1:2") };
    carrying(Frame::from(client).to(to).udp(546, 547), bytes)
}

/// A server's message of DHCPv6 that gives an address for so many seconds.
pub(super) fn v6_gives(kind: u8, transaction: u32, client: End, given: &str, seconds: u32) -> Frame {
    let mut bytes = vec![kind];
    bytes.extend(&transaction.to_be_bytes()[1..]);
    bytes.extend([0, 2, 0, 10, 0, 3, 0, 1]);
    bytes.extend(ROUTER);
    bytes.extend([0, 3, 0, 40, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 24]);
    bytes.extend(given.parse().unwrap_or(Ipv6Addr::UNSPECIFIED).octets());
    bytes.extend([0, 0, 0, 50]);
    bytes.extend(seconds.to_be_bytes());
    carrying(Frame::from("fe80::1").to(client).untagged().udp(547, 546), bytes)
}

fn carrying(frame: Frame, message: Vec<u8>) -> Frame {
    frame.transport(|transport| {
        if let Transport::Udp(udp) = transport {
            udp.body = message;
        }
    })
}
