//! What a world says, as far as the invariants need it: whose an address is, and what rules cover.

use std::net::IpAddr;

use iomt_filter_common::device::Port;
use iomt_filter_common::policy::{Mode, Otherwise};

use super::reading::{Seen, Tuple};
use crate::world::{Device, Opens, Peer, Rule, World};

/// Who sends a frame on a device port.
pub(super) struct Sender<'w> {
    /// Whoever answers for it: the owner of the address, or of the hardware address.
    pub(super) device: &'w Device,
    /// Hardware address, VLAN and address belong together, as far as the inventory says.
    pub(super) is_honest: bool,
    /// It can be no other device: of several with one hardware address any may have what DHCP gives.
    pub(super) is_certain: bool,
}

impl World {
    /// The device that an address belongs to by the inventory.
    pub(super) fn owner(&self, address: IpAddr) -> Option<&Device> {
        self.devices.iter().find(|device| device.addresses.contains(&address))
    }

    /// The device of a hardware address, in this VLAN before any.
    pub(super) fn at_mac(&self, mac: [u8; 6], vlan: u16) -> Option<&Device> {
        let bound = |wanted| self.devices.iter().find(|one| one.mac == Some(mac) && one.vlan == wanted);
        bound(Some(vlan)).or_else(|| bound(None))
    }

    /// Whose frame it is on a device port.
    pub(super) fn sender(&self, source: IpAddr, mac: [u8; 6], vlan: u16) -> Option<Sender<'_>> {
        let at_mac = self.at_mac(mac, vlan);
        match (self.owner(source), at_mac) {
            (Some(owner), _) => {
                let is_theirs = match owner.mac {
                    Some(own) => own == mac,
                    None => at_mac.is_none_or(|other| other.name == owner.name),
                };
                let is_honest = is_theirs && owner.vlan.is_none_or(|own| own == vlan);
                Some(Sender { device: owner, is_honest, is_certain: true })
            }
            (None, Some(device)) => {
                let is_anybodys = source.is_unspecified() || is_link_local(source);
                let others = self.devices.iter().filter(|one| one.mac == Some(mac));
                let may_lease = others.clone().any(|one| one.by_dhcp);
                let is_certain = is_anybodys || others.count() == 1;
                Some(Sender { device, is_honest: may_lease || is_anybodys, is_certain })
            }
            (None, None) => None,
        }
    }

    /// Whether what no rule allows is dropped for this device, whatever becomes of the agent.
    pub(super) fn is_strict(&self, device: &Device) -> bool {
        let profile = self.profile(&device.profile);
        let may_open = (profile.is_unset && profile.fails_open)
            || (profile.open_on_agent_loss && self.heartbeat.loss_after != 0);
        let by_hand = [Some(device.name.as_str()), None].map(|name| self.exception(name).open_until);
        if by_hand != [0, 0] {
            return false;
        }
        let closes = profile.is_unset || matches!(profile.mode, Mode::Enforce | Mode::Quarantine);
        profile.mode == Mode::Quarantine || (closes && !may_open)
    }

    pub(super) fn is_locked(&self, device: &Device) -> bool {
        self.profile(&device.profile).mode == Mode::Quarantine
    }

    /// Whether a rule or a grant of the device lets `opens` open `protocol` and `port` with `far`.
    pub(super) fn covers(
        &self,
        device: &Device,
        opens: Opens,
        far: IpAddr,
        (protocol, port): (u8, u16),
        now: u64,
    ) -> bool {
        let allows = |rule: &Rule| {
            let is_open = rule.services.iter().any(|service| service.covers(protocol, port));
            rule.opens == opens && is_open && (self.reaches(rule, far) || is_to_dhcp_servers(rule, far))
        };
        let rules = &self.profile(&device.profile).rules;
        let grants = self.grants.iter().filter(|grant| grant.device == device.name && now < grant.expires);
        rules.iter().any(allows) || grants.into_iter().any(|grant| allows(&grant.rule))
    }

    /// A device by DHCP may have any address, and a link-local one is any device's.
    fn reaches(&self, rule: &Rule, far: IpAddr) -> bool {
        match &rule.peer {
            Peer::Any => true,
            Peer::Net(net) => net.contains(&far),
            Peer::Endpoint(name) => {
                let named = self.endpoints.iter().filter(|endpoint| endpoint.name == *name);
                named.flat_map(|endpoint| &endpoint.addresses).any(|net| net.contains(&far))
            }
            Peer::Profile(name) => self.devices.iter().any(|device| {
                let may_be = device.by_dhcp || far.is_unspecified() || stays_on_link(far);
                device.profile == *name && (may_be || device.addresses.contains(&far))
            }),
        }
    }

    /// Whether it is a management peer's, or an answer to one.
    pub(super) fn is_management(&self, seen: &Seen) -> bool {
        let Tuple { source, destination, protocol } = seen.tuple;
        self.management.iter().any(|pair| {
            let named = |port| pair.services.iter().any(|service| service.covers(protocol, port));
            (pair.address == source.0 && named(destination.1))
                || (pair.address == destination.0 && named(source.1) && !seen.opens)
        })
    }

    pub(super) fn picks_up(&self) -> bool {
        self.midstream == Otherwise::Pass
    }

    /// Whether an address stands for many: a group, everybody, or, by everybody's hardware address, a network of
    /// whatever size.
    pub(super) fn is_to_many(&self, address: IpAddr, mac: [u8; 6]) -> bool {
        match address {
            IpAddr::V4(_) if mac == [0xff; 6] => true,
            IpAddr::V4(v4) => v4.is_multicast() || v4.is_broadcast(),
            IpAddr::V6(v6) => v6.is_multicast(),
        }
    }
}

/// Who receives a frame: by its address, or at a link-local one by the hardware address.
pub(super) fn receiver(
    world: &World,
    destination: IpAddr,
    mac: [u8; 6],
    vlan: u16,
    port: Port,
) -> Option<&Device> {
    let by_mac = || world.at_mac(mac, vlan).filter(|_| port == Port::Uplink && stays_on_link(destination));
    world.owner(destination).or_else(by_mac)
}

/// A rule for DHCP reaches whom a client without an address asks.
fn is_to_dhcp_servers(rule: &Rule, far: IpAddr) -> bool {
    let named = |port| rule.services.iter().any(|service| service.covers(17, port));
    rule.opens == Opens::Device
        && match far {
            IpAddr::V4(v4) => v4.is_broadcast() && named(67),
            IpAddr::V6(v6) => v6.segments() == [0xff02, 0, 0, 0, 0, 0, 1, 2] && named(547),
        }
}

pub(super) fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

/// The same, or one of IPv4 (RFC 3927), where the hardware address says who receives.
fn stays_on_link(address: IpAddr) -> bool {
    is_link_local(address) || matches!(address, IpAddr::V4(v4) if v4.is_link_local())
}
