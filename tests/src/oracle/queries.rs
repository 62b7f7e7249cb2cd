//! Queries to groups, and which packets answer them.

use std::collections::HashMap;
use std::net::IpAddr;

use iomt_filter_common::Direction;

use super::ends::End;
use super::frame::Ip;
use super::{Flaw, Oracle};
use crate::world::Opens;

/// Asker and its port; the device that asked.
type Key = (IpAddr, u16, Option<String>);

/// The group that was asked, for which port, and when.
pub(super) type Queries = HashMap<Key, (IpAddr, u16, u64)>;

/// What a side needs for a packet to pass, and the rule that it has: its name and until when it is good.
pub(super) type Matched = (Option<String>, Option<u64>);

impl Oracle {
    /// Remembers a query that passed, sent by `sender` or by nobody of ours.
    pub(super) fn note_query(&mut self, ip: &Ip, destination_mac: [u8; 6], sender: Option<&End>) {
        if ip.protocol != 17 || ip.is_rest() || !self.is_to_group(ip, destination_mac) {
            return;
        }
        let (own, service) = ip.ports();
        let device = sender.map(|end| end.device.name.clone());
        let key = (ip.source, own, device);
        // One that is repeated within a second is still the same.
        let is_repeated = self.queries.get(&key).is_some_and(|(group, asked, at)| {
            (*group, *asked) == (ip.destination, service) && self.now.saturating_sub(*at) < 1_000_000_000
        });
        if is_repeated {
            return;
        }
        self.queries.insert(key.clone(), (ip.destination, service, self.now));
        // A device's last eight are kept.
        if let Some(device) = key.2 {
            let of_device = self.queries.iter().filter(|(key, _)| key.2.as_ref() == Some(&device));
            let mut asked: Vec<_> = of_device.map(|(key, (.., at))| (*at, key.clone())).collect();
            asked.sort_unstable_by_key(|(at, _)| *at);
            for (_, key) in asked.iter().rev().skip(8) {
                self.queries.remove(key);
            }
        }
    }

    /// The rules by which a packet is an answer to a query: one for each side, the sender first.
    pub(super) fn answers(&self, ip: &Ip, destination_mac: [u8; 6], ends: &[End]) -> Option<Vec<Matched>> {
        if ip.protocol != 17 || self.is_to_group(ip, destination_mac) || self.has(Flaw::NobodyAnswersGroups) {
            return None;
        }
        let (from, own) = ip.ports();
        let receiver = ends.iter().find(|end| end.direction == Direction::ToDevice);
        let name = receiver.map(|end| end.device.name.clone());
        let recent = |key: &Key| {
            let (group, service, at) = self.queries.get(key)?;
            // Only who serves a well-known port has to answer from it.
            let is_its = *service == from || (*service > 1023 && from > 1023);
            (is_its && self.now.saturating_sub(*at) <= 30_000_000_000).then_some((*group, *service))
        };
        let nameless = || {
            let device = name.clone().filter(|_| ip.source.is_ipv4() && from == 67)?;
            recent(&(IpAddr::from([0; 4]), own, Some(device)))
        };
        let (group, service) = recent(&(ip.destination, own, name.clone())).or_else(nameless)?;
        if !is_group(group) && !self.in_segment(ip.source) {
            return None;
        }
        ends.iter()
            .map(|end| match end.direction {
                Direction::ToDevice => {
                    // The group stands for whoever answers.
                    let asking = End { far: group, ..end.clone() };
                    self.allowed(&asking, Opens::Device, 17, service)
                }
                Direction::FromDevice | Direction::None => self.allowed(end, Opens::Peer, 17, service),
            })
            .collect()
    }

    /// To many: by its address, or in IPv4 by everybody's hardware address, in a segment where the address is
    /// nobody's.
    fn is_to_group(&self, ip: &Ip, destination_mac: [u8; 6]) -> bool {
        let is_nobodys = self.in_segment(ip.destination) && self.device_with(ip.destination).is_none();
        let everybody = ip.source.is_ipv4() && destination_mac == [0xff; 6] && is_nobodys;
        is_group(ip.destination) || everybody
    }
}

/// All who listen.
pub(super) fn is_group(address: IpAddr) -> bool {
    address.is_multicast() || address == IpAddr::from([255; 4])
}
