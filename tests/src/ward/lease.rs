//! DHCP: `dnsmasq` as the server and as the relay, and the client of BusyBox on a device.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::names::dnsmasq;
use super::{INTERFACE, Placement, Station, Ward};
use crate::hospital::program::{self, Program};
use crate::hospital::{Version, wait};

const LIMIT: Duration = Duration::from_secs(15);

/// A DHCP server, and the relay that leads to it where it is not on the devices' link.
#[derive(Debug)]
pub struct Leases {
    server: Program,
    _relay: Option<Program>,
}

impl Leases {
    /// Starts the server that the devices are to have: behind a relay on the segmentation host where that
    /// routes, on the uplink where it bridges.
    ///
    /// # Errors
    /// When a program is not there or does not start.
    pub fn start(ward: &Ward) -> Result<Self> {
        match ward.placement() {
            Placement::Bridge => Self::start_at(ward, Station::Core, "br-ward", &fixed(ward)),
            Placement::Router => {
                let mut leases = Self::start_at(ward, Station::Server, INTERFACE, &fixed(ward))?;
                leases._relay = Some(relay(ward)?);
                Ok(leases)
            }
        }
    }

    /// Starts one that offers addresses that are nobody's, at a station.
    ///
    /// # Errors
    /// When `dnsmasq` is not there or does not start.
    pub fn start_rogue(ward: &Ward, station: Station) -> Result<Self> {
        let pool = ["--dhcp-range=10.40.0.200,10.40.0.220,255.255.255.0,120".to_owned()];
        Self::start_at(ward, station, INTERFACE, &pool)
    }

    fn start_at(ward: &Ward, station: Station, interface: &str, arguments: &[String]) -> Result<Self> {
        let mut command = dnsmasq();
        let leases = ward.file(&format!("{}.leases", station.name()));
        command.args(["--port=0", "--dhcp-authoritative", "--no-ping", "--interface", interface]);
        command.arg(format!("--dhcp-leasefile={}", leases.display())).args(arguments);
        let log = ward.file(&format!("leases-{}.log", station.name()));
        let mut server = Program::start(&ward[station], &mut command, &log)?;
        wait::until("`dnsmasq` to serve leases", LIMIT, || {
            server.check()?;
            Ok(server.tail().contains("DHCP,").then_some(()))
        })?;
        Ok(Self { server, _relay: None })
    }

    /// What it has said.
    #[must_use]
    pub fn log(&self) -> String {
        self.server.tail()
    }
}

/// Every device has its own address.
fn fixed(ward: &Ward) -> Vec<String> {
    let gateway = ward.address(ward.gateway(), Version::V4);
    let mut arguments = vec![
        "--dhcp-range=10.40.0.0,static,255.255.255.0,120".to_owned(),
        format!("--dhcp-option=option:router,{gateway}"),
    ];
    for station in Station::DEVICES {
        let Some(mac) = station.mac() else { continue };
        let mac = mac.map(|byte| format!("{byte:02x}")).join(":");
        arguments.push(format!("--dhcp-host={mac},{}", ward.address(station, Version::V4)));
    }
    arguments
}

fn relay(ward: &Ward) -> Result<Program> {
    let [here, there] =
        [Station::Segmentation, Station::Server].map(|station| ward.address(station, Version::V4));
    let mut command = dnsmasq();
    command.args(["--port=0", &format!("--dhcp-relay={here},{there}")]);
    let log = ward.file("relay.log");
    let mut relay = Program::start(&ward[Station::Segmentation], &mut command, &log)?;
    wait::until("`dnsmasq` to relay", LIMIT, || {
        relay.check()?;
        Ok(relay.tail().contains("DHCP relay").then_some(()))
    })?;
    Ok(relay)
}

/// The address that a device gets, and from then on has; `None` where nobody gives it one.
///
/// # Errors
/// When BusyBox is not there.
pub fn acquire(ward: &Ward, station: Station) -> Result<Option<String>> {
    let script = ward.file("bound.sh");
    fs::write(&script, SCRIPT).context("failed to write a script for `udhcpc`")?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
    let mut command = Command::new("busybox");
    command.args(["udhcpc", "-f", "-q", "-n", "-t", "2", "-T", "1", "-i", INTERFACE, "-s"]);
    let answer = program::run(&ward[station], command.arg(&script), LIMIT)?;
    let address = answer.output.lines().find_map(|line| line.strip_prefix("bound ")).map(str::to_owned);
    Ok(address.filter(|_| answer.status.success()))
}

/// Does with a lease what a device does.
const SCRIPT: &str = "#!/bin/sh
[ \"$1\" = bound ] || exit 0
ip -4 address flush dev \"$interface\"
ip address add \"$ip/$mask\" dev \"$interface\"
[ -z \"$router\" ] || ip route replace default via \"${router%% *}\"
echo \"bound $ip\"
";
