//! What keeps a link alive, and what would take it over.

use std::net::IpAddr;

use iomt_filter_common::device::Port;
use iomt_filter_common::{Direction, Reason, Verdict};

use super::ends::{self, End};
use super::frame::Ip;
use super::{Answer, Claim, Flaw, Oracle, nobody, otherwise};
use crate::judge::Fields;

impl Oracle {
    pub(super) fn arp(
        &mut self,
        sender_mac: [u8; 6],
        sender: IpAddr,
        fields: &Fields,
        vlan: u16,
        port: Port,
    ) -> Answer {
        let said = Claim { claimed: sender, mac: sender_mac };
        let far = fields.addresses.map_or(sender, |(_, target)| target);
        let lie = self.claim(&said, fields.macs.0, vlan, far, port);
        if port == Port::Uplink && !sender.is_unspecified() && self.device_with(sender).is_none() {
            self.far_hosts.insert(sender);
        }
        lie.unwrap_or_else(|| nobody(Verdict::Pass, Reason::Link))
    }

    /// What is to be said of somebody who says that an address is at a hardware address; nothing where that may
    /// be so.
    fn claim(&self, said: &Claim, frame_mac: [u8; 6], vlan: u16, far: IpAddr, port: Port) -> Option<Answer> {
        let from_device = port == Port::Device;
        let mac = said.mac;
        let sender = self.device_seen_as(frame_mac, vlan);
        let blamed = match self.device_with(said.claimed) {
            _ if said.claimed.is_unspecified() => return None,
            // On the other side only what is a device's is known, and by its hardware address alone.
            None if !from_device => return None,
            Some(owner) if !from_device => {
                if owner.mac.is_none_or(|own| own == mac && own == frame_mac) {
                    return None;
                }
                self.stricter_device(owner, frame_mac, vlan)
            }
            None if ends::is_anybodys(said.claimed) => {
                if mac == frame_mac && !self.is_held(said.claimed) {
                    return None;
                }
                let Some(device) = sender else { return Some(nobody(Verdict::Drop, Reason::Spoofed)) };
                device
            }
            Some(owner) if [mac, frame_mac].iter().all(|mac| self.is_bound(owner, *mac, vlan)) => {
                return None;
            }
            Some(owner) => self.stricter_device(owner, frame_mac, vlan),
            None => match sender {
                Some(device) => device,
                None if self.is_held(said.claimed) => {
                    return Some(nobody(Verdict::Drop, Reason::Spoofed));
                }
                None if self.world.names(&said.claimed.into()) => {
                    return Some(nobody(otherwise(self.world.unknown_device), Reason::UnknownDevice));
                }
                None => return None,
            },
        };
        let direction = if from_device { Direction::FromDevice } else { Direction::ToDevice };
        let end = End { device: blamed.clone(), direction, far, peer: None, spoofed: true };
        Some(self.soften(&end, Reason::Spoofed))
    }

    /// Whether an address is this host's, or one that a host on an uplink has claimed.
    fn is_held(&self, address: IpAddr) -> bool {
        self.far_hosts.contains(&address) || self.world.own.contains(&address)
    }

    /// What would take the link over, and neighbour discovery.
    pub(super) fn takeover(&mut self, ip: &Ip, fields: &Fields, vlan: u16, port: Port) -> Option<Answer> {
        let is_v6 = ip.source.is_ipv6();
        let from_device = port == Port::Device;
        let is_broadcast = matches!(ip.destination, IpAddr::V4(v4) if v4.octets()[2..] == [255, 255]);
        if fields.macs.1[0] & 1 == 1 && ends::is_link_local(ip.destination) && !is_broadcast {
            return Some(nobody(Verdict::Drop, Reason::Malformed));
        }
        if let (true, Some(kind @ 133..=137)) = (is_v6, ip.icmp_kind()) {
            if matches!(kind, 134 | 137) && from_device && !self.has(Flaw::RogueRouterPasses) {
                return Some(nobody(Verdict::Drop, Reason::RogueRa));
            }
            if ip.hop_limit != 255 || !ip.is_whole || fields.icmp.1 != 0 {
                return Some(nobody(Verdict::Drop, Reason::Malformed));
            }
            let stays = ends::is_anybodys(ip.destination)
                || ip.destination.is_multicast()
                || self.in_segment(ip.destination)
                || (ends::is_one_network(ip.source, ip.destination) && self.device_with(ip.source).is_some());
            let stays = !from_device || (stays && fields.length <= 150);
            if kind == 134 {
                self.far_hosts.insert(ip.source);
            }
            // A router says nothing of itself that is looked at.
            let (target, mac) = ip.neighbour.unwrap_or((IpAddr::from([0; 16]), fields.macs.0));
            let claimed = [Some(ip.source), (kind == 136).then_some(target)];
            let lie = claimed.into_iter().flatten().find_map(|claimed| {
                self.claim(&Claim { claimed, mac }, fields.macs.0, vlan, ip.destination, port)
            });
            // What goes further is judged like anything else, unless it lies.
            return lie.or_else(|| stays.then(|| nobody(Verdict::Pass, Reason::Link)));
        }
        let (server, client) = if is_v6 { (547, 546) } else { (67, 68) };
        let (source, destination) = ip.ports();
        let serves = destination == client || (source == server && destination == server);
        let serves = ip.protocol == 17 && serves;
        (serves && from_device).then(|| nobody(Verdict::Drop, Reason::RogueDhcp))
    }
}
