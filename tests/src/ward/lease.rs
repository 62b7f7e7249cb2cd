//! DHCP: `dnsmasq` as the server and as the relay, and the client of BusyBox on a device.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::names::dnsmasq;
use super::{INTERFACE, Placement, Station, Ward};
use crate::hospital::program::{self, Program};
use crate::hospital::{Version, wait};

const LIMIT: Duration = Duration::from_secs(15);
/// How long a lease is waited for that may not come; the client asks again after a second or two.
const PATIENCE_V6: Duration = Duration::from_secs(6);

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
        "--dhcp-range=2001:db8:40::,static,64,120".to_owned(),
        format!("--dhcp-option=option:router,{gateway}"),
    ];
    for station in Station::DEVICES {
        let Some(mac) = station.mac() else { continue };
        let mac = mac.map(|byte| format!("{byte:02x}")).join(":");
        let [v4, v6] = Version::BOTH.map(|version| ward.address(station, version));
        arguments.push(format!("--dhcp-host={mac},{v4},[{v6}]"));
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
    let script = script(ward, "bound.sh", SCRIPT)?;
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

/// The same for IPv6 on the server's own link, by ISC's client.
///
/// # Errors
/// When `dhclient` is not there.
pub fn acquire_v6(ward: &Ward, station: Station) -> Result<Option<String>> {
    let script = script(ward, "bound6.sh", SCRIPT_V6)?;
    // A lease of an earlier time would be asked for again.
    let folder = tempfile::tempdir_in(ward.folder()).context("failed to make a folder for leases")?;
    let [leases, log] = ["leases", "log"].map(|name| folder.path().join(name));
    fs::write(&leases, "").context("failed to write a file of leases")?;
    let mut command = Command::new("dhclient");
    command.args(["-6", "-d", "--no-pid", "-D", "LL", "-cf", "/dev/null", "-lf"]).arg(&leases);
    let mut client = Program::start(&ward[station], command.arg("-sf").arg(&script).arg(INTERFACE), &log)?;
    let bound = wait::until("a lease", PATIENCE_V6, || {
        client.check()?;
        let said = fs::read_to_string(&log).unwrap_or_default();
        Ok(said.lines().find_map(|line| line.strip_prefix("bound ")).map(str::to_owned))
    });
    client.check()?;
    Ok(bound.ok())
}

fn script(ward: &Ward, name: &str, text: &str) -> Result<PathBuf> {
    let script = ward.file(name);
    fs::write(&script, text).context("failed to write a script for a DHCP client")?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
    Ok(script)
}

/// The same for IPv6.
const SCRIPT_V6: &str = "#!/bin/sh
[ \"$reason\" = BOUND6 ] || exit 0
ip -6 address flush dev \"$interface\" scope global
ip address add \"$new_ip6_address/64\" dev \"$interface\" nodad
echo \"bound $new_ip6_address\"
";
