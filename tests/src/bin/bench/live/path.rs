//! Two network namespaces and a cable between them: frames that the generator sends come out of one end, and
//! whoever is measured takes them at the other one.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use iomt_filter_tests::netns::{Entered, Namespace, Netns};
use nix::net::if_::if_nametoindex;

use crate::driver::Driver;

/// The interface that is sent from.
const OUT: &str = "out";
/// The interface that receives.
pub(crate) const IN: &str = "in";
/// Where frames of the bench are addressed to.
const MAC: &str = "02:ff:00:00:00:01";

/// The namespaces, which go with it.
pub(crate) struct Path {
    _networks: Netns,
    sender: Namespace,
    pub(crate) receiver: Namespace,
    out: u32,
}

impl Path {
    /// With a receiver that takes frames in batches, as one with a real card does, and forwards what it is not
    /// to drop to an interface that goes nowhere.
    pub(crate) fn new() -> Result<Self> {
        let mut networks = Netns::new("iomtb");
        let (sender, receiver) = (networks.add("send")?, networks.add("recv")?);
        networks.cable((&sender, OUT), (&receiver, IN))?;
        for (namespace, interface) in [(&sender, OUT), (&receiver, IN)] {
            // What the kernel says of itself would be counted too.
            let silence = format!("echo 1 > /proc/sys/net/ipv6/conf/{interface}/disable_ipv6");
            namespace.run(&["sh", "-c", &silence])?;
            namespace.ip(&["link", "set", interface, "arp", "off"])?;
        }
        receiver.ip(&["link", "set", IN, "address", MAC])?;
        // Without it, and without an XDP program, a veth refuses frames that are redirected to it.
        receiver.run(&["ethtool", "-K", IN, "gro", "on"])?;
        receiver.forward()?;
        let settings = "for all in all default in; do echo 0 > /proc/sys/net/ipv4/conf/$all/rp_filter; done";
        receiver.run(&["sh", "-c", settings])?;
        receiver.ip(&["tuntap", "add", "dev", "sink", "mode", "tun"])?;
        receiver.ip(&["link", "set", "sink", "up"])?;
        receiver.ip(&["route", "add", "default", "dev", "sink"])?;
        let out = sender.inside(|| if_nametoindex(OUT))?.context("the sender has no interface")?;
        Ok(Self { _networks: networks, sender, receiver, out })
    }

    /// Why there can be none on this machine.
    pub(crate) fn missing() -> Option<String> {
        let found = std::process::Command::new("ethtool").arg("--version").output();
        found.err().map(|error| format!("`ethtool`: {error} (install `ethtool`)"))
    }

    /// Takes this thread to the receiving end.
    pub(crate) fn enter(&self) -> Result<Entered> {
        self.receiver.enter()
    }

    /// Sends the next `count` frames of the driver, all of which must come in; the CPU time of sending and
    /// receiving.
    pub(crate) fn send(&self, driver: &mut Driver, port_offset: u64, count: u32) -> Result<Duration> {
        let before = self.received()?;
        let entered = self.sender.enter()?;
        let spent = driver.send(self.out, port_offset, count)?;
        drop(entered);
        let received = self.received()? - before;
        ensure!(received == u64::from(count), "{received} frames came in, not {count}");
        Ok(spent)
    }

    /// Frames that were forwarded so far.
    pub(crate) fn forwarded(&self) -> Result<u64> {
        let text = self.receiver.run(&["cat", "/proc/net/snmp"])?;
        let mut lines = text.lines().filter_map(|line| line.strip_prefix("Ip: "));
        let names = lines.next().unwrap_or_default().split(' ');
        let values = lines.next().unwrap_or_default().split(' ');
        let found = names.zip(values).find(|(name, _)| *name == "ForwDatagrams");
        found.context("no count of forwarded packets")?.1.parse().context("no number of forwarded packets")
    }

    /// Frames that came in so far.
    pub(crate) fn received(&self) -> Result<u64> {
        let path = format!("/sys/class/net/{IN}/statistics/rx_packets");
        let text = self.receiver.run(&["cat", &path])?;
        text.trim().parse().with_context(|| format!("`{path}` holds no number"))
    }
}
