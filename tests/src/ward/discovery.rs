//! WS-Discovery: a target service that answers probes, and a client that sends them.
//!
//! A Probe goes to a multicast group; each service that matches answers by itself with ProbeMatches, from
//! the port that it listens on to the port that was asked from (WS-Discovery 1.1 §3.1, SOAP over UDP 1.1).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::net::if_::if_nametoindex;

use super::INTERFACE;
use crate::netns::Namespace;

/// The port of WS-Discovery.
pub const PORT: u16 = 3702;
const GROUP_V4: Ipv4Addr = Ipv4Addr::new(239, 255, 255, 250);
const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xc);
/// How often a service looks whether it is to end.
const INTERVAL: Duration = Duration::from_millis(50);
/// How long a port may be in use by nobody.
const PATIENCE: Duration = Duration::from_secs(10);
/// Larger than any message here.
const BUFFER: usize = 4096;
const NAMESPACES: &str = "xmlns:s12=\"http://www.w3.org/2003/05/soap-envelope\" \
     xmlns:wsa=\"http://www.w3.org/2005/08/addressing\" \
     xmlns:wsd=\"http://docs.oasis-open.org/ws-dd/ns/discovery/2009/01\" \
     xmlns:dpws=\"http://docs.oasis-open.org/ws-dd/ns/dpws/2009/01\" \
     xmlns:mdpws=\"http://standards.ieee.org/downloads/11073/11073-20702-2016\"";
const ACTION: &str = "http://docs.oasis-open.org/ws-dd/ns/discovery/2009/01";

/// The multicast group of a version.
#[must_use]
pub const fn group(is_v4: bool) -> IpAddr {
    if is_v4 { IpAddr::V4(GROUP_V4) } else { IpAddr::V6(GROUP_V6) }
}

/// A medical device that can be found; gone when this value is.
#[derive(Debug)]
pub struct Target {
    ends: Arc<AtomicBool>,
    asked: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Target {
    /// Joins the group of the address's version inside a namespace, and answers from now on.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn start(inside: &Namespace, address: IpAddr) -> Result<Self> {
        let socket = inside.inside(|| listen(address))?.context("failed to listen for probes")?;
        socket.set_read_timeout(Some(INTERVAL))?;
        let (ends, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (watching, counting) = (Arc::clone(&ends), Arc::clone(&asked));
        let thread = thread::spawn(move || serve(&socket, address, &watching, &counting));
        Ok(Self { ends, asked, thread: Some(thread) })
    }

    /// Probes that arrived so far.
    #[must_use]
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Binds the port of WS-Discovery. A program that another test is about to start holds copies of our sockets for a
/// moment, of those too that were closed by then.
///
/// # Errors
/// When the kernel refuses, for whatever reason else.
pub fn bind(address: IpAddr) -> io::Result<UdpSocket> {
    let start = Instant::now();
    loop {
        match UdpSocket::bind((address, PORT)) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && start.elapsed() < PATIENCE => {
                thread::sleep(INTERVAL);
            }
            bound => return bound,
        }
    }
}

fn listen(address: IpAddr) -> io::Result<UdpSocket> {
    match address {
        IpAddr::V4(v4) => {
            let socket = bind(Ipv4Addr::UNSPECIFIED.into())?;
            socket.join_multicast_v4(&GROUP_V4, &v4)?;
            Ok(socket)
        }
        IpAddr::V6(_) => {
            let socket = bind(Ipv6Addr::UNSPECIFIED.into())?;
            socket.join_multicast_v6(&GROUP_V6, if_nametoindex(INTERFACE)?)?;
            Ok(socket)
        }
    }
}

fn serve(socket: &UdpSocket, address: IpAddr, ends: &AtomicBool, asked: &AtomicU64) {
    let mut buffer = [0; BUFFER];
    while !ends.load(Ordering::Relaxed) {
        let Ok((length, asker)) = socket.recv_from(&mut buffer) else { continue };
        let text = String::from_utf8_lossy(&buffer[..length]);
        if let (Some(message), true) = (element(&text, "wsa:MessageID"), text.contains("<wsd:Probe>")) {
            asked.fetch_add(1, Ordering::Relaxed);
            // Nobody may be left to hear it.
            let _ = socket.send_to(matches(message, address).as_bytes(), asker);
        }
    }
}

/// A client that looks for devices.
#[derive(Debug)]
pub struct Client {
    socket: UdpSocket,
    address: IpAddr,
    index: u32,
}

impl Client {
    /// Opens a socket inside a namespace, on any port of this address.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn open(inside: &Namespace, address: IpAddr) -> Result<Self> {
        let opened = inside
            .inside(|| -> Result<_> { Ok((UdpSocket::bind((address, 0))?, if_nametoindex(INTERFACE)?)) })?;
        let (socket, index) = opened.context("failed to open a socket for probes")?;
        socket.set_read_timeout(Some(INTERVAL))?;
        Ok(Self { socket, address, index })
    }

    /// Asks who is there, and returns who has answered in time; where `enough` have, at once.
    ///
    /// # Errors
    /// When the probe cannot be sent.
    pub fn probe(&self, number: u32, enough: usize, limit: Duration) -> Result<Vec<IpAddr>> {
        let message = format!("urn:uuid:6d1b0a5e-3b1f-4b7c-9d55-{number:012x}");
        let to = match self.address {
            IpAddr::V4(_) => SocketAddr::from((GROUP_V4, PORT)),
            IpAddr::V6(_) => SocketAddrV6::new(GROUP_V6, PORT, 0, self.index).into(),
        };
        self.socket.send_to(probe(&message).as_bytes(), to).context("failed to send a probe")?;
        let (deadline, mut found) = (Instant::now() + limit, Vec::new());
        let mut buffer = [0; BUFFER];
        while found.len() < enough && Instant::now() < deadline {
            let Ok((length, from)) = self.socket.recv_from(&mut buffer) else { continue };
            let text = String::from_utf8_lossy(&buffer[..length]);
            let is_answer = element(&text, "wsa:RelatesTo") == Some(message.as_str());
            let service = element(&text, "wsd:XAddrs").unwrap_or_default();
            // From whatever port: SOAP over UDP does not say.
            if is_answer && service.contains(&from.ip().to_string()) {
                found.push(from.ip());
            }
        }
        Ok(found)
    }
}

fn probe(message: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
         <s12:Envelope {NAMESPACES}><s12:Header>\
         <wsa:Action>{ACTION}/Probe</wsa:Action>\
         <wsa:MessageID>{message}</wsa:MessageID>\
         <wsa:To>urn:docs-oasis-open-org:ws-dd:ns:discovery:2009:01</wsa:To>\
         </s12:Header><s12:Body><wsd:Probe>\
         <wsd:Types>dpws:Device mdpws:MedicalDevice</wsd:Types>\
         </wsd:Probe></s12:Body></s12:Envelope>"
    )
}

fn matches(message: &str, address: IpAddr) -> String {
    let service = SocketAddr::new(address, 6464);
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
         <s12:Envelope {NAMESPACES}><s12:Header>\
         <wsa:Action>{ACTION}/ProbeMatches</wsa:Action>\
         <wsa:MessageID>urn:uuid:0f4e2c9a-8a51-4c1c-b0a7-000000000001</wsa:MessageID>\
         <wsa:RelatesTo>{message}</wsa:RelatesTo>\
         <wsa:To>http://www.w3.org/2005/08/addressing/anonymous</wsa:To>\
         <wsd:AppSequence InstanceId=\"1\" MessageNumber=\"1\"/>\
         </s12:Header><s12:Body><wsd:ProbeMatches><wsd:ProbeMatch>\
         <wsa:EndpointReference><wsa:Address>urn:uuid:9c3d1d84-52a5-4d0e-a4a2-0000000000a1</wsa:Address>\
         </wsa:EndpointReference>\
         <wsd:Types>dpws:Device mdpws:MedicalDevice</wsd:Types>\
         <wsd:Scopes>sdc.ctxt.loc:/sdc.ctxt.loc.detail/HOSPITAL%2FWARD</wsd:Scopes>\
         <wsd:XAddrs>https://{service}/device</wsd:XAddrs>\
         <wsd:MetadataVersion>1</wsd:MetadataVersion>\
         </wsd:ProbeMatch></wsd:ProbeMatches></s12:Body></s12:Envelope>"
    )
}

/// The text of the first element with this name, which has no attributes.
fn element<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(content, _)| content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_relates_to_its_probe() {
        let answer = matches("urn:uuid:7", Ipv4Addr::new(10, 40, 0, 13).into());
        assert_eq!(element(&answer, "wsa:RelatesTo"), Some("urn:uuid:7"));
        assert_eq!(element(&answer, "wsd:XAddrs"), Some("https://10.40.0.13:6464/device"));
        assert_eq!(element(&probe("urn:uuid:7"), "wsa:RelatesTo"), None);
    }
}
