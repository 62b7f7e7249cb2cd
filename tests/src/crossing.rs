//! A filter between three cables, and traffic across it of which every packet has a number.
//!
//! ```text
//!   ct-1    10.60.0.11 ──┐
//!                        ├── seg (bridges; the filter) ── the uplink: PACS, listed and denied far ends
//!   pump-1  10.60.0.12 ──┘
//!   (and a laptop)
//! ```
//!
//! No host here has an address or a network stack that would answer: packets are made and taken at the ends of the
//! cables, so that each one is accounted for. [`lanes`] says which there are, [`traffic`] sends and receives them,
//! [`account`] adds the filter's own counters and the kernel's, and [`outcome`] says what was lost and what leaked.
//! [`trouble`] is what happens to the filter meanwhile.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use aya::programs::links::{FdLink, PinnedLink};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use tempfile::TempDir;

use crate::hospital::filter::{Filter, Ports, pins};
use crate::netns::{Namespace, Netns};

pub mod number;
pub mod lanes;
pub mod tally;
pub mod listener;
pub mod traffic;
pub mod account;
pub mod outcome;
pub mod files;
pub mod trouble;

use account::Account;
use lanes::{Cable, Lane};
use traffic::{Opened, Traffic};

/// The interface at the end of every cable.
pub const INTERFACE: &str = "eth0";
/// The interfaces that the filter judges on.
pub const PORTS: [&str; 3] = ["port-ct", "port-pump", "uplink"];
/// Room in the state folder.
const DISK: &str = "size=48m,mode=0750";

/// Cables, the host between them, and the lanes across; gone when this value is.
#[derive(Debug)]
pub struct Crossing {
    lanes: Vec<Lane>,
    openings: Vec<Lane>,
    host: Namespace,
    ends: [Namespace; 3],
    disk: Disk,
    netns: Netns,
    folder: TempDir,
    pins: PathBuf,
}

/// A small disk for the state.
#[derive(Debug)]
struct Disk(PathBuf);

impl Crossing {
    /// Builds it, with namespaces whose names begin with `prefix`.
    ///
    /// # Errors
    /// When the user is not root, or `ip` or the kernel refuses.
    pub fn build(prefix: &str) -> Result<Self> {
        let mut netns = Netns::new(prefix);
        let folder = tempfile::Builder::new().prefix(&format!("{}-", netns.prefix())).tempdir();
        let folder = folder.context("failed to make a temporary folder")?;
        let disk = Disk::at(state(folder.path()))?;
        let host = netns.add("seg")?;
        let ends = [netns.add("ct")?, netns.add("pump")?, netns.add("far")?];
        let bridge = "link add br-seg type bridge stp_state 0 mcast_snooping 0";
        for inside in ends.iter().chain([&host]) {
            silence(inside)?;
        }
        host.ip(&words(bridge))?;
        for (end, port) in ends.iter().zip(PORTS) {
            netns.cable((&host, port), (end, INTERFACE))?;
            host.ip(&["link", "set", port, "master", "br-seg"])?;
        }
        host.ip(&["link", "set", "br-seg", "up"])?;
        let (lanes, openings) = lanes::all();
        let pins = pins(netns.prefix());
        Ok(Self { lanes, openings, host, ends, disk, netns, folder, pins })
    }

    /// The same, for a filter that keeps its pins somewhere else.
    #[must_use]
    pub fn with_pins(self, pins: PathBuf) -> Self {
        Self { pins, ..self }
    }

    /// The filter on it, not started.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn filter(&self, binary: &Path) -> Result<Filter<'_>> {
        let [ct, pump, uplink] = PORTS;
        let segments = &["10.60.0.0/24", "2001:db8:60::/64"];
        let ports = Ports { device: &[ct, pump], uplink, segments };
        let filter = Filter::install(&self.host, (self.netns.prefix(), self.folder.path()), binary, ports)?;
        filter.write("policy.toml", files::POLICY)?;
        filter.write("devices.toml", files::DEVICES)?;
        filter.know_far_ends(files::THREATS)?;
        Ok(filter)
    }

    /// Opens the conversations, and begins to send; what was counted before it.
    ///
    /// # Errors
    /// When a conversation that policy allows cannot be opened.
    pub fn traffic(&self) -> Result<(Traffic, Account)> {
        let opened = Opened::over(self, &self.openings)?;
        let before = Account::read(self)?;
        Ok((opened.begin(), before))
    }

    /// The lanes; each one's number is its place.
    #[must_use]
    pub fn lanes(&self) -> &[Lane] {
        &self.lanes
    }

    /// The host that the filter runs on.
    #[must_use]
    pub const fn host(&self) -> &Namespace {
        &self.host
    }

    /// The namespace at the end of a cable.
    #[must_use]
    pub const fn end(&self, cable: Cable) -> &Namespace {
        let [ct, pump, far] = &self.ends;
        match cable {
            Cable::Ct => ct,
            Cable::Pump => pump,
            Cable::Uplink => far,
        }
    }

    /// What its namespaces begin with; its pins have that name too.
    #[must_use]
    pub fn name(&self) -> &str {
        self.netns.prefix()
    }

    /// Where the filter keeps its pins.
    #[must_use]
    pub fn pins(&self) -> &Path {
        &self.pins
    }

    /// Ids of the programs on the interfaces.
    ///
    /// # Errors
    /// When one has no link.
    pub fn programs(&self) -> Result<Vec<u32>> {
        let program = |port: &str| -> Result<u32> {
            let pin = self.pins.join("links").join(port);
            let link = PinnedLink::from_pin(&pin).with_context(|| format!("no link of `{port}`"))?;
            Ok(FdLink::from(link).info()?.program_id())
        };
        PORTS.iter().map(|port| program(port)).collect()
    }

    /// The state folder, which is a disk of its own.
    #[must_use]
    pub fn state(&self) -> &Path {
        &self.disk.0
    }
}

impl Disk {
    fn at(path: PathBuf) -> Result<Self> {
        fs::create_dir_all(&path).context("failed to make a state folder")?;
        mount(Some("tmpfs"), &path, Some("tmpfs"), MsFlags::empty(), Some(DISK))
            .with_context(|| format!("failed to mount a disk at `{}`", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

/// Where a filter whose files are in `folder` has its state.
fn state(folder: &Path) -> PathBuf {
    folder.join("iomt-filter/state")
}

/// Takes the disk away that a killed test has left in its folder.
pub(crate) fn sweep(folder: &Path) {
    // Most have none.
    let _ = umount2(&state(folder), MntFlags::MNT_DETACH);
}

/// No kernel is to say anything by itself.
fn silence(inside: &Namespace) -> Result<()> {
    let written = inside.inside(|| {
        ["all", "default"]
            .iter()
            .try_for_each(|which| fs::write(format!("/proc/sys/net/ipv6/conf/{which}/disable_ipv6"), "1"))
    })?;
    written.context("failed to turn IPv6 off")
}

fn words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}
