//! Names: `dnsmasq` as the name server of the ward, `dig` to ask it.

use std::net::{IpAddr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use super::{Station, Ward};
use crate::hospital::Version;
use crate::hospital::program::{self, Program};
use crate::netns::Namespace;

const LIMIT: Duration = Duration::from_secs(10);
/// The name that the server knows: its own.
pub const NAME: &str = "pacs.ward.example";
/// DNS.
pub const PORT: u16 = 53;

/// The name server.
#[derive(Debug)]
pub struct NameServer {
    _program: Program,
}

impl NameServer {
    /// Starts it on the ward's server, and waits until it listens.
    ///
    /// # Errors
    /// When `dnsmasq` is not there or does not listen.
    pub fn start(ward: &Ward) -> Result<Self> {
        let mut command = dnsmasq();
        command.arg("--no-resolv");
        for version in Version::BOTH {
            command.arg(format!("--address=/{NAME}/{}", ward.address(Station::Server, version)));
        }
        let log = ward.file("names.log");
        let mut program = Program::start(&ward[Station::Server], &mut command, &log)?;
        program.wait_for_port(PORT, LIMIT)?;
        Ok(Self { _program: program })
    }
}

/// `dnsmasq` in the foreground, with nothing but what it is told.
pub(super) fn dnsmasq() -> Command {
    let mut command = Command::new("dnsmasq");
    command.args(["--keep-in-foreground", "--conf-file=/dev/null", "--no-hosts", "--user=root"]);
    command.args(["--pid-file=", "--log-facility=-"]);
    command
}

/// By which protocol a name is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// UDP.
    Udp,
    /// TCP.
    Tcp,
}

/// The address of [`NAME`], in the version by which the server is asked; `None` where nobody answers.
///
/// # Errors
/// When `dig` is not there, or the answer is no address.
pub fn look_up(from: &Namespace, server: SocketAddr, transport: Transport) -> Result<Option<IpAddr>> {
    let kind = if server.is_ipv4() { "A" } else { "AAAA" };
    let mut command = Command::new("dig");
    command.arg(format!("@{}", server.ip())).args(["+short", "+time=1", "+tries=1", "+noedns"]);
    if transport == Transport::Tcp {
        command.arg("+tcp");
    }
    let answer = program::run(from, command.args([NAME, kind]), LIMIT)?;
    if !answer.status.success() {
        return Ok(None);
    }
    Ok(Some(answer.output.trim().parse()?))
}
