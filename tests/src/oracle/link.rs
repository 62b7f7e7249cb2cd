//! What keeps a link alive, and what would take it over.

use std::net::IpAddr;

use iomt_filter_common::device::Port;
use iomt_filter_common::{Direction, Reason, Verdict};

use super::ends::{self, End};
use super::frame::Ip;
use super::{Answer, Claim, Flaw, Oracle, nobody};
use crate::judge::Fields;

impl Oracle {
    pub(super) fn arp(
        &self,
        sender_mac: [u8; 6],
        sender: IpAddr,
        fields: &Fields,
        vlan: u16,
        port: Port,
    ) -> Answer {
        let said = Claim { claimed: sender, mac: sender_mac };
        let far = fields.addresses.map_or(sender, |(_, target)| target);
        match port {
            Port::Device => self.claim(&said, fields.macs.0, vlan, far),
            Port::Uplink => nobody(Verdict::Pass, Reason::Link),
        }
    }

    /// Who says that an address is at a hardware address: believed where it is its own, or nobody's and the
    /// sender is nobody either.
    fn claim(&self, said: &Claim, frame_mac: [u8; 6], vlan: u16, far: IpAddr) -> Answer {
        let pass = nobody(Verdict::Pass, Reason::Link);
        if ends::is_anybodys(said.claimed) {
            return pass;
        }
        let mac = if said.mac == [0; 6] { frame_mac } else { said.mac };
        let blamed = match self.device_with(said.claimed) {
            None => match self.device_seen_as(frame_mac, vlan) {
                None if self.world.own.contains(&said.claimed) => {
                    return nobody(Verdict::Drop, Reason::Spoofed);
                }
                device => device,
            },
            Some(owner) if [mac, frame_mac].iter().all(|mac| self.is_bound(owner, *mac, vlan)) => None,
            Some(owner) => Some(self.stricter_device(owner, frame_mac, vlan)),
        };
        let Some(device) = blamed.cloned() else { return pass };
        let end = End { device, direction: Direction::FromDevice, far, peer: None, spoofed: true };
        self.soften(&end, Reason::Spoofed)
    }

    /// What would take the link over, and neighbour discovery.
    pub(super) fn takeover(&self, ip: &Ip, fields: &Fields, vlan: u16, port: Port) -> Option<Answer> {
        let is_v6 = ip.source.is_ipv6();
        let from_device = port == Port::Device;
        if let (true, Some(kind @ 133..=137)) = (is_v6, ip.icmp_kind()) {
            if matches!(kind, 134 | 137) && from_device && !self.has(Flaw::RogueRouterPasses) {
                return Some(nobody(Verdict::Drop, Reason::RogueRa));
            }
            if ip.hop_limit != 255 || !ip.is_whole || fields.icmp.1 != 0 {
                return Some(nobody(Verdict::Drop, Reason::Malformed));
            }
            if !from_device {
                return Some(nobody(Verdict::Pass, Reason::Link));
            }
            let stays = ends::is_anybodys(ip.destination)
                || ip.destination.is_multicast()
                || self.in_segment(ip.destination)
                || (ends::is_one_network(ip.source, ip.destination) && self.device_with(ip.source).is_some());
            if !stays || fields.length > 150 {
                return None;
            }
            let (target, mac) = ip.neighbour.unwrap_or((IpAddr::from([0; 16]), [0; 6]));
            let claimed = if kind == 136 { target } else { ip.source };
            return Some(self.claim(&Claim { claimed, mac }, fields.macs.0, vlan, ip.destination));
        }
        let (server, client) = if is_v6 { (547, 546) } else { (67, 68) };
        let (source, destination) = ip.ports();
        let serves =
            ip.protocol == 17 && source == server && (destination == server || destination == client);
        (serves && from_device).then(|| nobody(Verdict::Drop, Reason::RogueDhcp))
    }
}
