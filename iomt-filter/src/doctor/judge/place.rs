//! How an interface stands to others: what comes in beside it, or under it, is not judged.

use std::collections::BTreeSet;

use super::super::facts::links::Link;
use super::super::facts::ports::{Port, Ports};
use super::super::finding::{Check, Finding};
use crate::config::AttachMode;

/// What stands on another interface, and sees its frames after it.
const ABOVE: [&str; 6] = ["vlan", "macvlan", "macvtap", "ipvlan", "ipvtap", "macsec"];

/// What Open vSwitch calls its bridges, and the host's own ports in them.
const OPEN_VSWITCH: &str = "openvswitch";
const PASSED_BY: &str = "is a bridge: what goes from one of its ports to another never comes by it";

/// Everything that goes by the interfaces around one.
pub(super) fn judge(port: &Port, ports: &Ports) -> Vec<Finding> {
    let Some(link) = &port.link else { return Vec::new() };
    let mut found = Vec::new();
    found.extend(
        link.master.and_then(|master| ports.link(master)).map(|master| member(port, link, master, ports)),
    );
    found.extend(itself(port, link, ports));
    found.extend(switch(link, ports));
    found.into_iter().map(|finding| finding.on(&port.name)).collect()
}

/// Whether an interface joins its members, so that frames go from one to another.
fn is_bridge(link: &Link) -> bool {
    matches!(link.kind.as_deref(), Some("bridge" | OPEN_VSWITCH))
}

/// Whether nothing but the host itself is at the other end of a port.
fn is_the_hosts_end(link: &Link) -> bool {
    link.kind.as_deref() == Some(OPEN_VSWITCH)
}

/// The check that speaks of what an interface belongs to.
const fn check_of(is_bridge: bool) -> Check {
    if is_bridge { Check::Bridge } else { Check::Bond }
}

/// A port of a bridge, or a member of a bond.
fn member(port: &Port, link: &Link, master: &Link, ports: &Ports) -> Finding {
    let (check, above) = (check_of(is_bridge(master)), &master.name);
    if master.kind.as_deref() == Some("vrf") {
        return Finding::ok(Check::Bridge, format!("is in the routing table of `{above}`"));
    }
    if ports.is_named(master) {
        let found = format!(
            "belongs to `{above}`, and `[interfaces]` names both: the kernel puts no program on the one when the \
             other has one"
        );
        let mend = format!("take `{above}` out of `[interfaces]` in `{}`", ports.config);
        return Finding::problem(check, found).mend(mend).refusing();
    }
    let is_other = |other: &&Link| other.index != link.index && !is_the_hosts_end(other);
    let others = || ports.members(master.index).filter(is_other);
    let unnamed: Vec<_> = others().filter(|other| !ports.is_named(other)).collect();
    if is_bridge(master) {
        return match unnamed.is_empty() {
            true => Finding::ok(check, format!("is a port of `{above}`, and all of its ports are judged")),
            false => {
                let found = format!(
                    "is a port of `{above}`, and {} beside it {} not judged: what comes in there reaches the devices",
                    names(&unnamed),
                    are(&unnamed)
                );
                Finding::warning(check, found).mend(name_too(&unnamed, ports))
            }
        };
    }
    if !unnamed.is_empty() {
        let found = format!(
            "is a member of `{above}`, and {} beside it {} not judged: the same traffic comes in there",
            names(&unnamed),
            are(&unnamed)
        );
        return Finding::problem(check, found).mend(name_too(&unnamed, ports)).refusing();
    }
    let roles = |link: &Link| ports.ports.iter().find(|port| port.name == link.name).map(|port| &port.roles);
    if let Some(other) = others().find(|other| roles(other) != Some(&port.roles)) {
        let found = format!(
            "is a member of `{above}` as {}, and `{}` beside it has another role: the same traffic comes in on both",
            port.roles, other.name
        );
        let mend = format!("give both one role in `[interfaces]` of `{}`", ports.config);
        return Finding::problem(check, found).mend(mend).refusing();
    }
    Finding::ok(check, format!("is a member of `{above}`, and all of its members are judged"))
}

fn names(links: &[&Link]) -> String {
    let names: Vec<_> = links.iter().map(|link| format!("`{}`", link.name)).collect();
    names.join(", ")
}

const fn are(links: &[&Link]) -> &'static str {
    if links.len() == 1 { "is" } else { "are" }
}

fn name_too(links: &[&Link], ports: &Ports) -> String {
    let first = links.first().map_or("", |link| link.name.as_str());
    format!(
        "name {} in `[interfaces]` of `{}` too, or `ip link set dev {first} nomaster`",
        names(links),
        ports.config
    )
}

/// An interface that is made of others.
fn itself(port: &Port, link: &Link, ports: &Ports) -> Option<Finding> {
    let members: Vec<_> = ports.members(link.index).collect();
    let kind = link.kind.as_deref().unwrap_or_default();
    let in_its_place =
        || format!("name {} in its place in `[interfaces]` of `{}`", names(&members), ports.config);
    match kind {
        "bridge" if members.is_empty() => Some(Finding::ok(Check::Bridge, "is a bridge without ports")),
        "bridge" => Some(Finding::problem(Check::Bridge, PASSED_BY).mend(in_its_place()).refusing()),
        OPEN_VSWITCH => {
            let mend = format!(
                "name its ports in its place in `[interfaces]` of `{}`: `ovs-vsctl list-ports {}`",
                ports.config, port.name
            );
            Some(Finding::problem(Check::Bridge, PASSED_BY).mend(mend).refusing())
        }
        "vrf" => {
            let found = "is a routing table: frames come by the interfaces in it, where another program sees them first";
            Some(Finding::warning(Check::Bridge, found).mend(in_its_place()))
        }
        "vlan" => Some(vlan(port, link, ports)),
        "macvlan" | "macvtap" | "ipvlan" | "ipvtap" => {
            let below =
                link.stands_on.and_then(|index| ports.link(index)).map_or("another", |below| &below.name);
            let found = format!(
                "is a {kind} on `{below}`: it is judged in the network stack, which is slower, and what else stands \
                 on `{below}` is not judged"
            );
            Some(
                Finding::warning(Check::Macvlan, found)
                    .mend(format!("name `{below}` in its place in `[interfaces]` of `{}`", ports.config)),
            )
        }
        // A team runs programs in the network stack alone, where frames are its own already.
        "team" => {
            Some(Finding::ok(Check::Bond, "is made of other interfaces, and judged in the network stack"))
        }
        _ if members.is_empty() => None,
        _ if ports.wanted == AttachMode::Generic => {
            Some(Finding::ok(Check::Bond, "is made of other interfaces, and judged in the network stack"))
        }
        _ => {
            let found =
                "is made of other interfaces: natively a frame comes in on one of those, which has no role";
            Some(Finding::problem(Check::Bond, found).mend(in_its_place()).refusing())
        }
    }
}

/// An interface that shows one VLAN of another, without its tag.
fn vlan(port: &Port, link: &Link, ports: &Ports) -> Finding {
    const CHECK: Check = Check::Vlan;
    let below = link.stands_on.and_then(|index| ports.link(index));
    let Some((below, vlan)) = below.zip(link.vlan) else {
        return Finding::ok(CHECK, "is one VLAN of an interface elsewhere, and judged in the network stack");
    };
    let tagged = format!("{}:{vlan}", below.name);
    let mend = format!("name `{tagged}` in place of `{}` in `[interfaces]` of `{}`", port.name, ports.config);
    if ports.is_named(below) {
        let found = format!(
            "is VLAN {vlan} of `{}`, and `[interfaces]` names both: its frames are judged twice, the second time \
             without their tag",
            below.name
        );
        return Finding::warning(CHECK, found).mend(mend);
    }
    if ports.have_vlans {
        let found = format!(
            "is VLAN {vlan} of `{}`: frames come without their tag, and a device with a VLAN in the inventory is \
             `spoofed`",
            below.name
        );
        return Finding::warning(CHECK, found).mend(mend);
    }
    Finding::ok(CHECK, format!("is VLAN {vlan} of `{}`, and judged in the network stack", below.name))
}

/// Ports of one switch in one bridge: the hardware forwards between them, and nobody sees it.
fn switch(link: &Link, ports: &Ports) -> Option<Finding> {
    let (chip, master) = (link.switch.as_ref()?, ports.link(link.master?)?);
    let others: Vec<_> = ports
        .members(master.index)
        .filter(|other| other.index != link.index && other.switch.as_ref() == Some(chip))
        .collect();
    if others.is_empty() || !is_bridge(master) {
        return None;
    }
    let found = format!(
        "is a port of the same switch as {}: within `{}` the hardware forwards between them, and no program sees it",
        names(&others),
        master.name
    );
    let mend = format!(
        "ip link set dev {} nomaster; route between them, or use ports of different cards",
        link.name
    );
    Some(Finding::problem(Check::Switch, found).mend(mend).refusing())
}

/// Interfaces that see the frames of one after it.
pub(super) fn above<'p>(link: &'p Link, ports: &'p Ports) -> impl Iterator<Item = &'p Link> {
    let is_above = |other: &Link| {
        let kind = other.kind.as_deref().unwrap_or_default();
        link.master == Some(other.index) || (other.stands_on == Some(link.index) && ABOVE.contains(&kind))
    };
    ports.links.iter().filter(move |other| is_above(other))
}

/// Whether packets get from device ports to uplinks at all.
pub(super) fn forwarding(ports: &Ports) -> Option<Finding> {
    const CHECK: Check = Check::Forwarding;
    let there = || ports.ports.iter().filter_map(|port| port.link.as_ref());
    let masters: BTreeSet<_> = there().map(|link| link.master).collect();
    let is_bridged = masters.len() == 1 && masters.iter().all(Option::is_some);
    if ports.ports.len() < 2 || is_bridged || there().next().is_none() {
        return None;
    }
    let routes = |on: Option<bool>| on == Some(true);
    let [v4, v6] = ports.forwards;
    Some(match (routes(v4), routes(v6)) {
        (false, false) if v4.is_some() => Finding::warning(
            CHECK,
            "this host forwards no packets: nothing passes between interfaces that no bridge joins",
        )
        .mend("sysctl -w net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1"),
        (true, true) => Finding::ok(CHECK, "IPv4 and IPv6"),
        (true, false) => Finding::ok(CHECK, "IPv4 alone"),
        (false, true) => Finding::ok(CHECK, "IPv6 alone"),
        (false, false) => return None,
    })
}

#[cfg(test)]
mod tests {
    use iomt_filter_common::device::Port as Role;

    use super::super::super::finding::Level;
    use super::*;

    /// `name`, `kind`, `master`, by their place in the list, from 1.
    fn links(all: &[(&str, &str, Option<u32>)]) -> Vec<Link> {
        let link = |(index, (name, kind, master)): (u32, &(&str, &str, Option<u32>))| Link {
            index,
            name: (*name).to_owned(),
            kind: (!kind.is_empty()).then(|| (*kind).to_owned()),
            master: *master,
            ..Link::default()
        };
        (1..).zip(all).map(link).collect()
    }

    fn host(links: Vec<Link>, named: &[(&str, Role)]) -> Ports {
        let port = |(name, role): &(&str, Role)| Port {
            name: (*name).to_owned(),
            roles: (*role).into(),
            link: links.iter().find(|link| link.name == *name).cloned(),
            ..Port::default()
        };
        let ports = named.iter().map(port).collect();
        Ports { ports, links, config: "config.toml".into(), knows_ours: true, ..Ports::default() }
    }

    fn all(ports: &Ports) -> Vec<Finding> {
        ports.ports.iter().flat_map(|port| judge(port, ports)).collect()
    }

    fn only(ports: &Ports) -> Finding {
        let found = judge(&ports.ports[0], ports);
        assert_eq!(found.len(), 1, "{found:?}");
        found[0].clone()
    }

    const BRIDGE: &[(&str, &str, Option<u32>)] =
        &[("br0", "bridge", None), ("eth1", "", Some(1)), ("eth2", "", Some(1)), ("eth3", "", None)];
    const BOND: &[(&str, &str, Option<u32>)] =
        &[("bond0", "bond", None), ("eth1", "", Some(1)), ("eth2", "", Some(1))];

    #[test]
    fn an_interface_by_itself_has_nothing_beside_it() {
        assert!(all(&host(links(&[("eth1", "", None)]), &[("eth1", Role::Device)])).is_empty());
    }

    #[test]
    fn a_port_of_a_bridge_is_well_where_all_ports_are_judged() {
        let ports = host(links(BRIDGE), &[("eth1", Role::Device), ("eth2", Role::Uplink)]);
        assert!(
            all(&ports).iter().all(|finding| finding.level == Level::Ok && finding.check == Check::Bridge)
        );
        let beside = only(&host(links(BRIDGE), &[("eth1", Role::Device)]));
        assert!(
            beside.level == Level::Warning
                && !beside.refuses
                && beside.found.contains("`eth2` beside it is not judged")
        );
        assert!(beside.mend.unwrap().contains("ip link set dev eth2 nomaster"));
    }

    #[test]
    fn a_bridge_is_not_its_ports() {
        let bridge = only(&host(links(BRIDGE), &[("br0", Role::Device)]));
        assert!(bridge.refuses && bridge.mend.unwrap().contains("name `eth1`, `eth2` in its place"));
        assert_eq!(only(&host(links(&BRIDGE[..1]), &[("br0", Role::Device)])).level, Level::Ok);
        let both = all(&host(links(BRIDGE), &[("eth1", Role::Device), ("br0", Role::Device)]));
        assert!(
            both.iter().all(|finding| finding.refuses) && both[0].found.contains("names both"),
            "{both:?}"
        );
    }

    #[test]
    fn a_bridge_of_open_vswitch_is_one_whose_ports_the_kernel_does_not_name() {
        let all = links(&[
            ("ovs-system", OPEN_VSWITCH, None),
            ("br0", OPEN_VSWITCH, Some(1)),
            ("eth1", "", Some(1)),
        ]);
        let bridge = judge(&host(all.clone(), &[("br0", Role::Device)]).ports[0], &host(all.clone(), &[]));
        let bridge = bridge.iter().find(|finding| finding.refuses).unwrap();
        assert!(bridge.mend.as_ref().unwrap().ends_with("`ovs-vsctl list-ports br0`"));
        assert_eq!(
            only(&host(all, &[("eth1", Role::Device)])).level,
            Level::Ok,
            "nobody comes in at the host's own end"
        );
    }

    #[test]
    fn members_of_a_bond_are_judged_all_and_alike() {
        let missing = only(&host(links(BOND), &[("eth1", Role::Device)]));
        assert!(
            missing.refuses && missing.check == Check::Bond && missing.found.contains("`eth2`"),
            "{missing}"
        );
        let unlike = all(&host(links(BOND), &[("eth1", Role::Device), ("eth2", Role::Uplink)]));
        assert!(unlike.iter().all(|finding| finding.refuses && finding.found.contains("another role")));
        let alike = all(&host(links(BOND), &[("eth1", Role::Device), ("eth2", Role::Device)]));
        assert!(alike.iter().all(|finding| finding.level == Level::Ok));
        let both = &all(&host(links(BOND), &[("eth1", Role::Device), ("bond0", Role::Device)]))[0];
        assert!(both.refuses && both.mend.as_ref().unwrap().contains("take `bond0` out"));
    }

    #[test]
    fn a_bond_itself_is_judged_in_the_network_stack_alone() {
        let mut ports = host(links(BOND), &[("bond0", Role::Uplink)]);
        let native = only(&ports);
        assert!(native.refuses && native.mend.unwrap().contains("name `eth1`, `eth2` in its place"));
        ports.wanted = AttachMode::Generic;
        assert_eq!(only(&ports).level, Level::Ok);
        let team = links(&[("team0", "team", None), ("eth1", "", Some(1))]);
        assert_eq!(only(&host(team, &[("team0", Role::Uplink)])).level, Level::Ok);
    }

    #[test]
    fn a_vlan_of_an_interface_comes_without_its_tag() {
        let mut links = links(&[("eth1", "", None), ("eth1.110", "vlan", None)]);
        (links[1].stands_on, links[1].vlan) = (Some(1), Some(110));
        let alone = host(links.clone(), &[("eth1.110", Role::Device)]);
        assert_eq!(only(&alone).level, Level::Ok);
        let spoofed = only(&Ports { have_vlans: true, ..alone });
        assert!(spoofed.level == Level::Warning && spoofed.mend.unwrap().starts_with("name `eth1:110`"));
        let both = all(&host(links, &[("eth1", Role::Uplink), ("eth1.110", Role::Device)]));
        assert!(both[0].found.contains("judged twice"), "{both:?}");
    }

    #[test]
    fn a_macvlan_is_one_of_several() {
        let mut links = links(&[("eth1", "", None), ("mac0", "macvlan", None)]);
        links[1].stands_on = Some(1);
        let found = only(&host(links, &[("mac0", Role::Device)]));
        assert!(found.level == Level::Warning && found.mend.unwrap().contains("`eth1`"));
    }

    #[test]
    fn a_switch_forwards_behind_the_programs_back() {
        let mut links = links(BRIDGE);
        links[1].switch = Some(vec![1]);
        links[2].switch = Some(vec![2]);
        let named = [("eth1", Role::Device), ("eth2", Role::Uplink)];
        assert!(all(&host(links.clone(), &named)).iter().all(|finding| finding.level == Level::Ok));
        links[2].switch = Some(vec![1]);
        let found = all(&host(links, &named));
        assert_eq!(
            found.iter().filter(|finding| finding.check == Check::Switch && finding.refuses).count(),
            2
        );
    }

    #[test]
    fn a_host_that_neither_bridges_nor_routes_passes_nothing() {
        let named = [("eth1", Role::Device), ("eth3", Role::Uplink)];
        let mut ports = host(links(BRIDGE), &named);
        ports.forwards = [Some(false), Some(false)];
        assert_eq!(forwarding(&ports).unwrap().level, Level::Warning);
        ports.forwards = [Some(true), Some(false)];
        assert_eq!(forwarding(&ports).unwrap().level, Level::Ok);
        let bridged = host(links(BRIDGE), &[("eth1", Role::Device), ("eth2", Role::Uplink)]);
        assert_eq!(forwarding(&bridged), None);
    }

    #[test]
    fn what_stands_on_an_interface_is_above_it_and_the_other_end_of_a_cable_is_not() {
        let mut links = links(&[
            ("eth1", "veth", Some(4)),
            ("far", "veth", None),
            ("eth1.5", "vlan", None),
            ("br0", "bridge", None),
        ]);
        links[1].stands_on = Some(1);
        links[2].stands_on = Some(1);
        let ports = host(links, &[]);
        let names: Vec<_> = above(&ports.links[0], &ports).map(|link| link.name.as_str()).collect();
        assert_eq!(names, ["eth1.5", "br0"]);
    }
}
