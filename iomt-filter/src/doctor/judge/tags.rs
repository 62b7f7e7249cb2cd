//! Whether a program sees the VLAN tags that the policy goes by: a card may take them off before.

use super::super::facts::links::Link;
use super::super::facts::ports::{Port, Ports};
use super::super::finding::{Check, Finding};
use iomt_filter_common::device::Port as Role;

/// Everything about tags.
pub(super) fn judge(port: &Port, ports: &Ports) -> Vec<Finding> {
    let Some(link) = &port.link else { return Vec::new() };
    let found = [Some(stripping(port, link, ports)), filtering(port, link, ports)];
    found.into_iter().flatten().map(|finding| finding.on(&port.name)).collect()
}

/// Whether a frame whose tag is gone would be judged as another: its role, or its device, goes by the VLAN.
fn matter(port: &Port, link: &Link, ports: &Ports) -> bool {
    let is_device_port = port.roles.port == Role::Device;
    // Behind a routed uplink a device's VLAN is not to be seen in any case.
    !port.roles.vlans.is_empty() || (ports.have_vlans && (is_device_port || link.master.is_some()))
}

fn stripping(port: &Port, link: &Link, ports: &Ports) -> Finding {
    const CHECK: Check = Check::Rxvlan;
    let (name, matter) = (&port.name, matter(port, link, ports));
    let Some(features) = port.features else {
        let found = "whether the card takes VLAN tags off before a program sees them is unknown";
        return match matter {
            true => {
                Finding::warning(CHECK, format!("{found}, and `[interfaces]` or the inventory goes by VLANs"))
            }
            false => Finding::warning(CHECK, found),
        }
        .mend(format!("ethtool -k {name}"));
    };
    let on: Vec<_> =
        [("rxvlan", features.strips_tags), ("rx-vlan-stag-hw-parse", features.strips_outer_tags)]
            .into_iter()
            .filter(|(_, feature)| feature.is_on)
            .collect();
    if on.is_empty() {
        return Finding::ok(CHECK, "VLAN tags are left in frames");
    }
    // A veth pair takes no tag off, whatever it says; it hands on one that its other end has not put in.
    if port.driver.as_deref() == Some("veth") {
        return match matter {
            true => Finding::warning(
                CHECK,
                "a veth pair shows the tags that its other end puts into frames; those of a VLAN interface on that end \
                 are beside them",
            )
            .mend("ethtool -K INTERFACE txvlan off, with the other end and in its network namespace"),
            false => Finding::ok(CHECK, "VLAN tags are left in frames, as the other end of the veth pair sends them"),
        };
    }
    let takes_off = "the card takes VLAN tags off before a program sees them";
    let finding = match matter {
        true => {
            let found = format!("{takes_off}, and `[interfaces]` or the inventory goes by VLANs");
            Finding::problem(CHECK, found).refusing()
        }
        false => Finding::warning(CHECK, format!("{takes_off}: a tagged frame counts as one without a tag")),
    };
    if on.iter().any(|(_, feature)| !feature.is_changeable) {
        return finding.mend("this driver cannot leave them on; use another card for this port");
    }
    let commands: Vec<_> = on.iter().map(|(switch, _)| format!("ethtool -K {name} {switch} off")).collect();
    finding.mend(commands.join("; "))
}

/// A card that drops frames of VLANs which no interface of the host is for.
fn filtering(port: &Port, link: &Link, ports: &Ports) -> Option<Finding> {
    const CHECK: Check = Check::VlanFilter;
    let filters = port.features?.filters_vlans;
    if !matter(port, link, ports) || !filters.is_on || link.is_promiscuous {
        return None;
    }
    let found = "the card drops frames of VLANs that this host has no interface for";
    Some(Finding::warning(CHECK, found).mend(match filters.is_changeable {
        true => format!("ethtool -K {} rx-vlan-filter off", port.name),
        false => format!("ip link set dev {} promisc on", port.name),
    }))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::super::facts::features::{Feature, Features};
    use super::super::super::finding::Level;
    use super::*;
    use crate::datapath::Roles;

    const ON: Feature = Feature { is_on: true, is_changeable: true };
    const FIXED: Feature = Feature { is_on: true, is_changeable: false };

    fn port(role: Role, features: Features) -> Port {
        Port {
            name: "eth1".into(),
            roles: role.into(),
            link: Some(Link { index: 2, name: "eth1".into(), ..Link::default() }),
            driver: Some("e1000e".into()),
            features: Some(features),
            ..Port::default()
        }
    }

    fn strips(feature: Feature) -> Features {
        Features { strips_tags: feature, ..Features::default() }
    }

    fn one(port: &Port, have_vlans: bool) -> Finding {
        judge(port, &Ports { have_vlans, ..Ports::default() })[0].clone()
    }

    #[test]
    fn tags_that_nobody_takes_off_are_well() {
        assert_eq!(one(&port(Role::Device, Features::default()), true).level, Level::Ok);
    }

    #[test]
    fn a_card_that_takes_off_what_the_inventory_goes_by_is_refused() {
        let found = one(&port(Role::Device, strips(ON)), true);
        assert!(found.refuses && found.level == Level::Problem, "{found}");
        assert_eq!(found.mend.as_deref(), Some("ethtool -K eth1 rxvlan off"));
        let outer = Features { strips_outer_tags: ON, ..strips(ON) };
        let both = one(&port(Role::Device, outer), true).mend.unwrap();
        assert_eq!(both, "ethtool -K eth1 rxvlan off; ethtool -K eth1 rx-vlan-stag-hw-parse off");
        assert!(one(&port(Role::Device, strips(FIXED)), true).mend.unwrap().contains("another card"));
    }

    #[test]
    fn so_is_one_whose_vlans_have_roles_of_their_own() {
        let roles = Roles { port: Role::Uplink, vlans: BTreeMap::from([(110, Role::Device)]) };
        assert!(one(&Port { roles, ..port(Role::Uplink, strips(ON)) }, false).refuses);
    }

    #[test]
    fn where_no_vlan_counts_it_is_only_said() {
        let found = one(&port(Role::Device, strips(ON)), false);
        assert!(found.level == Level::Warning && !found.refuses && found.mend.is_some());
    }

    #[test]
    fn on_an_uplink_vlans_count_where_it_is_bridged() {
        let mut uplink = port(Role::Uplink, strips(ON));
        assert!(!one(&uplink, true).refuses);
        uplink.link.as_mut().unwrap().master = Some(9);
        assert!(one(&uplink, true).refuses);
    }

    #[test]
    fn a_veth_pair_takes_nothing_off() {
        let veth = Port { driver: Some("veth".into()), ..port(Role::Device, strips(ON)) };
        let found = one(&veth, true);
        assert!(
            found.level == Level::Warning && !found.refuses && found.mend.unwrap().contains("txvlan off")
        );
        assert_eq!(one(&veth, false).level, Level::Ok);
    }

    #[test]
    fn what_is_not_known_is_said_to_be_unknown() {
        let unknown = Port { features: None, ..port(Role::Device, Features::default()) };
        for have_vlans in [true, false] {
            let found = one(&unknown, have_vlans);
            assert!(found.level == Level::Warning && found.found.contains("unknown"));
        }
    }

    #[test]
    fn a_card_that_filters_vlans_is_told_of_where_they_count() {
        let filters = |feature| Features { filters_vlans: feature, ..Features::default() };
        let all = |port: &Port| judge(port, &Ports { have_vlans: true, ..Ports::default() });
        let found = all(&port(Role::Device, filters(ON)));
        assert_eq!((found[1].check, found[1].level), (Check::VlanFilter, Level::Warning));
        assert_eq!(found[1].mend.as_deref(), Some("ethtool -K eth1 rx-vlan-filter off"));
        let fixed = all(&port(Role::Device, filters(FIXED)));
        assert_eq!(fixed[1].mend.as_deref(), Some("ip link set dev eth1 promisc on"));
        let mut promiscuous = port(Role::Device, filters(ON));
        promiscuous.link.as_mut().unwrap().is_promiscuous = true;
        assert_eq!(all(&promiscuous).len(), 1);
    }
}
