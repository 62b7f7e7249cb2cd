//! An event as one line for people.
//!
//! Names come from files that a person wrote: a control character in one must not reach a terminal.

use std::fmt;
use std::net::IpAddr;

use super::Record;

/// `14:02:11.482 drop blocklist ct-3 → 203.0.113.9:443/tcp (threatfox 203.0.113.9/32 score 100, RU) on eth1`
impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(frame) = self.frame {
            write!(f, "{frame:>6} ")?;
        }
        match self.time {
            Some(time) => write!(f, "{}", time.strftime("%H:%M:%S%.3f"))?,
            None => f.write_str("--:--:--.---")?,
        }
        if let Some(note) = &self.note {
            write!(f, " {} {}", self.verdict, self.reason)?;
            if let Some(about) = self.feed.as_deref().or(self.device.as_deref()) {
                write!(f, " {}", plain(about))?;
            }
            return write!(f, ": {}", plain(note));
        }
        write!(f, " {} {} {}", self.verdict, self.reason, self.conversation())?;
        let details = self.details();
        if !details.is_empty() {
            write!(f, " ({})", details.join(", "))?;
        }
        match &self.interface {
            Some(interface) => write!(f, " on {}", plain(interface))?,
            None => write!(f, " on {} port", self.port)?,
        }
        if self.count > 1 { write!(f, " ×{}", self.count) } else { Ok(()) }
    }
}

impl Record {
    /// Who sends to whom, by the best name that there is.
    fn conversation(&self) -> String {
        if let Some(arp) = &self.arp {
            return format!("arp {} → {}", self.sender(arp.sender, None), arp.target);
        }
        let (Some(source), Some(destination)) = (self.source, self.destination) else {
            let Some(mac) = &self.mac else { return "a frame without a header".to_owned() };
            let ethertype = self.ethertype.as_deref().unwrap_or("802.3");
            return format!("{} → {} {ethertype}", mac.source, mac.destination);
        };
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let source = self.sender(source, None);
        let destination = self.receiver(destination, self.destination_port);
        format!("{source} → {destination}/{protocol}")
    }

    fn sender(&self, address: IpAddr, port: Option<u16>) -> String {
        end(
            address,
            port,
            self.device.as_deref().filter(|_| self.direction.as_deref() == Some("from-device")),
        )
    }

    fn receiver(&self, address: IpAddr, port: Option<u16>) -> String {
        end(address, port, self.device.as_deref().filter(|_| self.direction.as_deref() == Some("to-device")))
    }

    fn details(&self) -> Vec<String> {
        let mut details = Vec::new();
        if let Some(flags) = self.tcp_flags.as_deref().filter(|_| self.reason == "no-flow") {
            details.push(format!("flags {flags}"));
        }
        if let (Some(kind), Some(code)) = (self.icmp_type, self.icmp_code) {
            details.push(format!("type {kind} code {code}"));
        }
        if let Some(fragment) = &self.fragment {
            details.push(format!("{} fragment {} at {}", fragment.kind, fragment.id, fragment.offset));
        }
        if let (Some(feed), Some(entry), Some(score)) = (&self.feed, &self.entry, self.score) {
            details.push(format!("{} {entry} score {score}", plain(feed)));
        }
        if let (Some(expected), Some(mac), Some(vlan)) = (&self.expected, &self.mac, &self.vlan) {
            let tags: String = vlan.iter().map(|vlan| format!(" in VLAN {vlan}")).collect();
            details.push(format!("seen {}{tags}", mac.source));
            details.push(format!("expected {expected}"));
        }
        details.extend(self.country.clone());
        details.extend(self.rule.as_deref().map(|rule| format!("rule {}", plain(rule))));
        details
    }
}

fn end(address: IpAddr, port: Option<u16>, name: Option<&str>) -> String {
    let host = match (name, address) {
        (Some(name), _) => plain(name),
        (None, IpAddr::V6(v6)) if port.is_some() => format!("[{v6}]"),
        (None, address) => address.to_string(),
    };
    match port {
        Some(port) => format!("{host}:{port}"),
        None => host,
    }
}

fn plain(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}
