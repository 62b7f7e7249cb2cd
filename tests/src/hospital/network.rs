//! Lays the cables: links, addresses, routes.

use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;

use anyhow::{Context, Result};

use super::Hospital;
use super::host::{Addresses, Host, INTEGRATION};
use crate::netns::Namespace;

/// The end of every cable at a host that is no router.
const INTERFACE: &str = "eth0";
/// The last part of the address of a router in a host's network.
const ROUTER: u8 = 1;

/// Connects the hosts. On return every link is up: a port of a bridge without spanning tree forwards at
/// once, and addresses are used without a probe for others that have them.
pub(super) fn connect(hospital: &Hospital) -> Result<()> {
    for host in Host::ALL {
        let namespace = &hospital[host];
        for (setting, value) in [
            ("ipv6/conf/default/accept_dad", "0"),
            ("ipv6/conf/default/accept_ra", "0"),
            // Which multicast groups there are is said now, and not in the middle of a test.
            ("ipv6/conf/default/mldv2_unsolicited_report_interval", "10"),
            ("ipv4/ip_forward", is_router(host)),
            ("ipv6/conf/all/forwarding", is_router(host)),
        ] {
            let path = Path::new("/proc/sys/net").join(setting);
            let written = namespace.inside(|| fs::write(&path, value))?;
            written.with_context(|| format!("failed to write `{}`", path.display()))?;
        }
    }
    segmentation(hospital)?;
    core(hospital)?;
    for host in Host::DEVICES.into_iter().chain(Host::SITES) {
        end(hospital, host)?;
    }
    Ok(())
}

fn is_router(host: Host) -> &'static str {
    if matches!(host, Host::Segmentation | Host::Core) { "1" } else { "0" }
}

fn segmentation(hospital: &Hospital) -> Result<()> {
    let mut lines = String::from("link add br-devices type bridge stp_state 0 mcast_snooping 0\n");
    for device in Host::DEVICES {
        let (name, peer) = (device.name(), hospital[device].name());
        lines += &cable(&format!("port-{name}"), INTERFACE, peer);
        let _ = writeln!(lines, "link set port-{name} master br-devices");
    }
    lines += &cable("uplink", "seg", hospital[Host::Core].name());
    lines += &address("br-devices", Host::Segmentation.addresses(), 24);
    let link = Host::Core.addresses();
    lines += &address("uplink", router(link), 30);
    lines += &route("default", "default", link);
    run(&hospital[Host::Segmentation], &lines)
}

fn core(hospital: &Hospital) -> Result<()> {
    let link = Host::Core.addresses();
    let mut lines = address("seg", link, 30);
    lines += &route("10.10.0.0/24", "2001:db8:10::/64", router(link));
    for site in Host::SITES {
        lines += &cable(site.name(), INTERFACE, hospital[site].name());
        lines += &address(site.name(), router(site.addresses()), 24);
    }
    run(&hospital[Host::Core], &lines)
}

fn end(hospital: &Hospital, host: Host) -> Result<()> {
    let mut lines = String::new();
    if let Some(mac) = host.mac() {
        let _ = writeln!(lines, "link set {INTERFACE} address {mac}");
    }
    lines += &address(INTERFACE, host.addresses(), 24);
    if host == Host::Pacs {
        lines += &address(INTERFACE, INTEGRATION, 24);
    }
    lines += &route("default", "default", router(host.addresses()));
    run(&hospital[host], &lines)
}

/// Runs `ip` on each line.
fn run(inside: &Namespace, lines: &str) -> Result<()> {
    lines.lines().try_for_each(|line| inside.ip(&line.split_whitespace().collect::<Vec<_>>()))
}

/// A pair of interfaces, the far one in another namespace.
fn cable(near: &str, far: &str, namespace: &str) -> String {
    format!("link add {near} type veth peer name {far} netns {namespace}\nlink set {near} up\n")
}

fn address(interface: &str, addresses: Addresses, bits: u8) -> String {
    let Addresses { v4, v6 } = addresses;
    format!(
        "link set {interface} up\n\
         addr add {v4}/{bits} dev {interface}\n\
         addr add {v6}/64 dev {interface} nodad\n"
    )
}

fn route(v4: &str, v6: &str, via: Addresses) -> String {
    format!("route add {v4} via {}\nroute add {v6} via {}\n", via.v4, via.v6)
}

/// The router in the network of these addresses.
fn router(addresses: Addresses) -> Addresses {
    let [a, b, c, _] = addresses.v4.octets();
    let [s0, s1, s2, s3, ..] = addresses.v6.segments();
    Addresses {
        v4: Ipv4Addr::new(a, b, c, ROUTER),
        v6: Ipv6Addr::new(s0, s1, s2, s3, 0, 0, 0, u16::from(ROUTER)),
    }
}
