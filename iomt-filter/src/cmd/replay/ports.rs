//! On which side of the filter a captured frame came in, where nobody says so.

use std::collections::BTreeSet;
use std::net::IpAddr;

use iomt_filter_common::device::Port;
use iomt_filter_common::packet::Kind;
use iomt_filter_common::{Address, Mac, Packet, parse};
use ipnet::IpNet;

use crate::rows::Rows;

/// What tells the two sides apart.
#[derive(Debug)]
pub(super) struct Ports {
    macs: BTreeSet<Mac>,
    addresses: BTreeSet<Address>,
    segments: Vec<IpNet>,
}

impl Ports {
    pub(super) fn new(rows: &Rows, segments: &[IpNet]) -> Self {
        Self {
            macs: rows.device_macs.keys().map(|&(mac, _)| mac).collect(),
            addresses: rows.device_addresses.keys().copied().collect(),
            segments: segments.to_vec(),
        }
    }

    /// A device port where the source is a device's, by either address, or lies in a segment; an uplink
    /// otherwise.
    pub(super) fn choose(&self, frame: &[u8]) -> Port {
        let mut packet = Packet::default();
        // A frame that cannot be read to its end still has what was read of its source.
        let _ = parse(frame, &mut packet);
        let has_source = matches!(packet.kind(), Kind::Ipv4 | Kind::Ipv6 | Kind::Arp);
        let is_inside = self.macs.contains(&packet.source_mac) || (has_source && self.is_ours(packet.source));
        if is_inside { Port::Device } else { Port::Uplink }
    }

    fn is_ours(&self, source: Address) -> bool {
        let address = IpAddr::from(source);
        self.addresses.contains(&source) || self.segments.iter().any(|segment| segment.contains(&address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(source_mac: u8, source: [u8; 4]) -> Vec<u8> {
        let mut frame = vec![2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, source_mac, 8, 0];
        frame.extend([0x45, 0, 0, 20, 0, 0, 0, 0, 64, 59, 0, 0]);
        frame.extend(source);
        frame.extend([10, 20, 0, 1]);
        frame
    }

    #[test]
    fn the_source_says_on_which_side_a_frame_came_in() {
        let mut rows = Rows::default();
        rows.device_macs.insert((Mac([2, 0, 0, 0, 0, 1]), 0), 1);
        rows.device_addresses.insert(Address::from_v4([10, 30, 0, 1]), 2);
        let ports = Ports::new(&rows, &["10.10.0.0/16".parse().unwrap()]);
        assert_eq!(ports.choose(&frame(1, [192, 0, 2, 1])), Port::Device, "a device's hardware address");
        assert_eq!(ports.choose(&frame(7, [10, 30, 0, 1])), Port::Device, "a device's address");
        assert_eq!(ports.choose(&frame(7, [10, 10, 9, 9])), Port::Device, "a stranger in a segment");
        assert_eq!(ports.choose(&frame(7, [10, 20, 0, 1])), Port::Uplink);
        assert_eq!(ports.choose(&frame(7, [10, 10, 9, 9])[..20]), Port::Uplink, "cut before the address");
        assert_eq!(ports.choose(&[]), Port::Uplink);
    }
}
