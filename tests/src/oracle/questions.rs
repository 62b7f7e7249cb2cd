//! What policy, feeds and the country database of a world say, asked one entry after the other.

use std::net::IpAddr;

use iomt_filter_common::device::Port;

use super::ends::End;
use super::frame::Ip;
use super::queries::Matched;
use super::{Flaw, Oracle};
use crate::judge::Listed;
use crate::world::{Opens, Peer, Rule, Service};

impl Oracle {
    /// Whether the packet is a management peer's to one of its services, or the answer to one.
    pub(super) fn is_management(&self, ip: &Ip, port: Port) -> bool {
        let (source_port, destination_port) = ip.ports();
        self.world.management.iter().any(|pair| {
            let named = |port| pair.services.iter().any(|service| service.covers(ip.protocol, port));
            let asks = pair.address == ip.source && named(destination_port);
            let answers = pair.address == ip.destination && named(source_port) && ip.may_answer();
            // What became of a packet of theirs: a device tells them, or is told.
            let tells = ip.quoted.as_ref().is_some_and(|quoted| {
                let (peer, opened_to) = match port {
                    Port::Device => (ip.destination, quoted.ports.1),
                    Port::Uplink => (quoted.destination, quoted.ports.0),
                };
                let covers = |service: &Service| service.covers(quoted.protocol, opened_to);
                peer == pair.address && pair.services.iter().any(covers)
            });
            asks || (answers && !self.has(Flaw::ManagementOneWay)) || tells
        })
    }

    pub(super) fn is_protected(&self, end: &End) -> bool {
        let pairs = &self.world.protected;
        !self.has(Flaw::NothingIsProtected)
            && pairs.iter().any(|pair| pair.covers(&end.device.name) && pair.peer.contains(&end.far))
    }

    /// The most severe entry that covers the far end, if it is severe enough for the device.
    pub(super) fn listing(&self, end: &End) -> Option<Listed> {
        let profile = self.world.profile(&end.device.profile);
        if profile.is_unset {
            return None;
        }
        if self.has(Flaw::LearnSoftensBlocklist) && profile.mode == iomt_filter_common::policy::Mode::Learn {
            return None;
        }
        if self.has(Flaw::ListsAskedOneWay) && end.direction == iomt_filter_common::Direction::ToDevice {
            return None;
        }
        let mut worst: Option<Listed> = None;
        for feed in &self.world.feeds {
            let mut covering: Vec<_> = feed.entries.iter().filter(|net| net.contains(&end.far)).collect();
            covering.sort_by_key(|net| net.prefix_len());
            let Some(narrowest) = covering.last() else { continue };
            if worst.as_ref().is_none_or(|worst| feed.score > worst.score) {
                let entry = narrowest.trunc().to_string();
                worst = Some(Listed { feed: feed.name.clone(), entry, score: feed.score });
            }
        }
        worst.filter(|listed| listed.score >= profile.block_score)
    }

    /// The country of the far end, if the device has no business there.
    pub(super) fn foreign(&self, end: &End) -> Option<String> {
        let profile = self.world.profile(&end.device.profile);
        let geo = profile.geo.as_ref().filter(|_| !profile.is_unset)?;
        if has_no_country(end.far) && !self.has(Flaw::PrivateHasCountry) {
            return None;
        }
        let covering = self.world.countries.iter().filter(|(net, _)| net.contains(&end.far));
        let Some((_, code)) = covering.max_by_key(|(net, _)| net.prefix_len()) else {
            let allowed = geo.unknown_allowed || self.has(Flaw::UnknownCountryAllowed);
            return (!allowed).then(|| "unknown".to_owned());
        };
        let allowed = geo.list.contains(code) == geo.allow;
        (!allowed).then(|| {
            let named = self.world.profiles.iter().filter_map(|profile| profile.geo.as_ref());
            let is_named = named.into_iter().any(|geo| geo.list.contains(code));
            if is_named { code.iter().map(|byte| char::from(*byte)).collect() } else { "other".to_owned() }
        })
    }

    /// The first rule of the end's device that allows `service` to be opened this way, or a grant that does,
    /// with its end.
    pub(super) fn allowed(&self, end: &End, opens: Opens, protocol: u8, port: u16) -> Option<Matched> {
        let profile = self.world.profile(&end.device.profile);
        let matches = |rule: &Rule, reaches: bool| {
            let is_named = match &rule.peer {
                Peer::Any => true,
                Peer::Net(net) => net.contains(&end.far),
                Peer::Endpoint(name) => self.is_endpoint(name, end.far),
                Peer::Profile(name) => end.peer.as_ref().is_some_and(|peer| peer.profile == *name),
            };
            let is_named = is_named || (reaches && self.reaches_servers(rule, end.far, protocol, port));
            let is_covered = rule.services.iter().any(|service| service.covers(protocol, port));
            rule.opens == opens && is_named && is_covered
        };
        let index = profile.rules.iter().position(|rule| matches(rule, true));
        if let Some(index) = index.filter(|_| !profile.is_unset) {
            return Some((Some(format!("{}[{}]", profile.name, index + 1)), None));
        }
        // Without a policy that closes, nothing is asked.
        if profile.is_unset && !profile.fails_open {
            return None;
        }
        // Of several grants, the one that ends last.
        let own = (1..).zip(&self.world.grants).filter(|(_, grant)| {
            grant.device == end.device.name && matches(&grant.rule, false) && self.now < grant.expires
        });
        let (index, grant) = own.max_by_key(|(_, grant)| grant.expires)?;
        Some((Some(format!("grant[{index}]")), Some(grant.expires)))
    }

    /// Whether a rule for DHCP covers whom a client without an address asks.
    fn reaches_servers(&self, rule: &Rule, far: IpAddr, protocol: u8, port: u16) -> bool {
        let everybody = match port {
            67 => IpAddr::from([255; 4]),
            547 => IpAddr::from([0xff02, 0, 0, 0, 0, 0, 1, 2]),
            _ => return false,
        };
        let is_for_dhcp = rule.opens == Opens::Device && rule.services.contains(&Service::udp(port));
        is_for_dhcp && protocol == 17 && far == everybody && !self.has(Flaw::DhcpStaysUnicast)
    }

    fn is_endpoint(&self, name: &str, address: IpAddr) -> bool {
        let named = self.world.endpoints.iter().filter(|endpoint| endpoint.name == name);
        named.into_iter().any(|endpoint| endpoint.addresses.iter().any(|net| net.contains(&address)))
    }
}

/// Private, loopback, link-local, multicast, broadcast and unspecified addresses.
fn has_no_country(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_multicast()
                || v4.is_broadcast()
                || v4.octets()[0] == 0
        }
        IpAddr::V6(v6) => {
            v6.is_unique_local()
                || v6.is_loopback()
                || v6.is_unicast_link_local()
                || v6.is_multicast()
                || v6.is_unspecified()
        }
    }
}
