//! Lays the ward's cables: links, addresses, routes, one batch of `ip` a host.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::{INTERFACE, Placement, Station, Ward};
use crate::hospital::program;

const LIMIT: Duration = Duration::from_secs(10);
/// What the link between `core` and `narrow` takes; less is no link for IPv6 (RFC 8200 §5).
const SMALL_MTU: u16 = 1280;

/// Connects the stations. On return every link is up, and addresses are used without a probe for others
/// that have them.
pub(super) fn connect(ward: &Ward) -> Result<()> {
    for station in Station::ALL {
        settings(ward, station)?;
    }
    let mut batches = vec![(Station::Core, core(ward)), (Station::Segmentation, segmentation(ward))];
    batches.extend([(Station::Narrow, narrow(ward))]);
    let ends = Station::DEVICES.into_iter().chain([
        Station::Console,
        Station::Server,
        Station::Stranger,
        Station::Far,
    ]);
    batches.extend(ends.map(|station| (station, end(ward, station))));
    batches.into_iter().try_for_each(|(station, lines)| run(ward, station, &lines))
}

fn settings(ward: &Ward, station: Station) -> Result<()> {
    let routes = match station {
        Station::Core | Station::Narrow => "1",
        Station::Segmentation if ward.placement() == Placement::Router => "1",
        _ => "0",
    };
    let settings = [
        ("ipv6/conf/default/accept_dad", "0"),
        ("ipv6/conf/default/accept_ra", "0"),
        // Which multicast groups there are is said now, and not in the middle of a test.
        ("ipv6/conf/default/mldv2_unsolicited_report_interval", "10"),
        ("ipv4/ip_forward", routes),
        ("ipv6/conf/all/forwarding", routes),
    ];
    ward[station].inside(|| -> Result<()> {
        for (setting, value) in settings {
            let path = format!("/proc/sys/net/{setting}");
            fs::write(&path, value).with_context(|| format!("failed to write `{path}`"))?;
        }
        Ok(())
    })?
}

fn segmentation(ward: &Ward) -> String {
    let mut lines = bridge("br-ward");
    for device in Station::DEVICES {
        let name = device.name();
        lines += &cable(&format!("port-{name}"), INTERFACE, ward[device].name());
        let _ = writeln!(lines, "link set port-{name} master br-ward");
    }
    match ward.placement() {
        Placement::Bridge => {
            lines += "link set br-ward down\nlink set br-ward addrgenmode none\nlink set br-ward up\n";
            lines += "link set uplink master br-ward\n";
        }
        Placement::Router => {
            lines += &addresses("br-ward", 40, 1);
            lines += &addresses("uplink", 41, 1);
            lines += &route("default", "default", 41, 2);
        }
    }
    lines += "link set uplink up\n";
    lines
}

fn core(ward: &Ward) -> String {
    let mut lines = bridge("br-ward");
    lines += &cable("seg", "uplink", ward[Station::Segmentation].name());
    lines += &cable("console", INTERFACE, ward[Station::Console].name());
    lines += "link set seg master br-ward\nlink set console master br-ward\n";
    match ward.placement() {
        Placement::Bridge => lines += &addresses("br-ward", 40, 1),
        Placement::Router => {
            lines += &addresses("br-ward", 41, 2);
            lines += &route("10.40.0.0/24", "2001:db8:40::/64", 41, 1);
        }
    }
    for (station, subnet) in [(Station::Server, 50), (Station::Stranger, 66), (Station::Narrow, 61)] {
        let name = station.name();
        let far = if station == Station::Narrow { "core" } else { INTERFACE };
        lines += &cable(name, far, ward[station].name());
        lines += &addresses(name, subnet, 1);
    }
    let _ = writeln!(lines, "link set narrow mtu {SMALL_MTU}");
    lines + &route("10.60.0.0/24", "2001:db8:60::/64", 61, 2)
}

fn narrow(ward: &Ward) -> String {
    let mut lines = format!("link set core mtu {SMALL_MTU}\n");
    lines += &addresses("core", 61, 2);
    lines += &cable("far", INTERFACE, ward[Station::Far].name());
    lines += &addresses("far", 60, 1);
    lines + &route("default", "default", 61, 1)
}

fn end(ward: &Ward, station: Station) -> String {
    let mut lines = String::new();
    if let Some(mac) = station.mac() {
        let mac = mac.map(|byte| format!("{byte:02x}")).join(":");
        let _ = writeln!(lines, "link set {INTERFACE} address {mac}");
    }
    let (subnet, host) = ward.place(station);
    lines += &addresses(INTERFACE, subnet, host);
    let router = if subnet == 41 { 2 } else { 1 };
    lines + &route("default", "default", subnet, router)
}

/// The namespace runs `ip` on all lines at once.
fn run(ward: &Ward, station: Station, lines: &str) -> Result<()> {
    let file = ward.file(&format!("{}.ip", station.name()));
    fs::write(&file, lines).context("failed to write a batch for `ip`")?;
    let mut command = Command::new("ip");
    command.arg("-batch").arg(&file);
    program::run(&ward[station], &mut command, LIMIT)?.success("ip -batch").map(drop)
}

fn bridge(name: &str) -> String {
    format!(
        "link add {name} type bridge stp_state 0 mcast_snooping 0\n\
         link set {name} up\n"
    )
}

/// A pair of interfaces, the far one in another namespace.
fn cable(near: &str, far: &str, namespace: &str) -> String {
    format!("link add {near} type veth peer name {far} netns {namespace}\nlink set {near} up\n")
}

fn addresses(interface: &str, subnet: u8, host: u8) -> String {
    format!(
        "link set {interface} up\n\
         addr add 10.{subnet}.0.{host}/24 dev {interface}\n\
         addr add 2001:db8:{subnet}::{host}/64 dev {interface} nodad\n"
    )
}

fn route(v4: &str, v6: &str, subnet: u8, via: u8) -> String {
    format!("route add {v4} via 10.{subnet}.0.{via}\nroute add {v6} via 2001:db8:{subnet}::{via}\n")
}
