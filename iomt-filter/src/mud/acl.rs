//! One entry of an access list: `matches` and `actions` of RFC 8519, with what RFC 8520 adds to them.
//!
//! Whatever is not known, or says of a packet what no rule of this filter can, makes the entry an error with its place.

use ipnet::IpNet;
use serde_json::Value;

use super::entry::{Entry, Families, Far, What};
use super::object::{Object, is_empty_leaf, local};
use super::ports::Ports;
use crate::contacts::Direction;
use crate::foreign::shown;
use crate::policy::peer;
use crate::policy::service::{ICMP, ICMPV6, TCP, UDP};

/// Octets of a domain at most (RFC 1035 §2.3.4).
const LONGEST_NAME: usize = 253;
/// EtherTypes of link protocols that pass by themselves: ARP, LLDP, EAPOL.
const LINK: [u64; 3] = [0x0806, 0x88cc, 0x888e];

/// What became of an entry that is no rule.
pub(super) enum Unread {
    /// It needs none.
    Needless(String),
    /// It cannot be one.
    LeftOut(String),
}

impl From<String> for Unread {
    fn from(why: String) -> Self {
        Self::LeftOut(why)
    }
}

impl From<&str> for Unread {
    fn from(why: &str) -> Self {
        Self::LeftOut(why.to_owned())
    }
}

/// Reads an entry of a list for `families`, for packets of `sender`.
pub(super) fn entry(
    value: &Value,
    place: &str,
    sender: Direction,
    families: Families,
) -> Result<Entry, Unread> {
    let mut ace = Object::of(value)?;
    ace.take(&["name", "rule-name"]);
    ace.take(&["statistics"]);
    let actions = ace.take(&["actions"]).ok_or("it has no `actions`")?;
    let matches = ace.take(&["matches"]);
    ace.end()?;
    let is_accepted = forwarding(actions).map_err(within("actions"))?;
    let mut reading =
        Reading { sender, families, far: None, opener: None, own: None, peer: None, protocol: None };
    let what = match matches {
        Some(matches) => reading.matches(matches)?,
        None => What::Any,
    };
    let Reading { families, far, opener, .. } = reading;
    Ok(Entry {
        place: place.to_owned(),
        sender,
        families,
        far: far.unwrap_or(Far::Any),
        what,
        opener,
        is_accepted,
    })
}

fn within(part: &str) -> impl Fn(String) -> String {
    move |why| format!("`{part}`: {why}")
}

fn forwarding(value: &Value) -> Result<bool, String> {
    let mut actions = Object::of(value)?;
    let forwarding = actions.take(&["forwarding"]).and_then(Value::as_str).ok_or("it has no `forwarding`")?;
    // What passes is counted by device and rule here, whatever a file wants logged.
    actions.take(&["logging"]);
    actions.end()?;
    match local(forwarding) {
        "accept" => Ok(true),
        "drop" | "reject" => Ok(false),
        other => Err(format!("unknown `forwarding`: `{}`", shown(other))),
    }
}

/// What is known of an entry so far.
struct Reading {
    sender: Direction,
    families: Families,
    far: Option<Far>,
    opener: Option<Direction>,
    own: Option<Ports>,
    peer: Option<Ports>,
    protocol: Option<u8>,
}

impl Reading {
    fn matches(&mut self, value: &Value) -> Result<What, Unread> {
        let mut matches = Object::of(value)?;
        matches.flatten(&["l2", "l3", "l4", "mud", "mud-acl"])?;
        self.abstractions(&mut matches)?;
        if let Some(eth) = matches.take(&["eth", "eth-acl"]) {
            self.ethernet(eth)?;
        }
        for (names, families) in [(["ipv4", "ipv4-acl"], Families::V4), (["ipv6", "ipv6-acl"], Families::V6)]
        {
            if let Some(header) = matches.take(&names) {
                self.families = self
                    .families
                    .and(families)
                    .ok_or_else(|| format!("`{}`: the list is of the other version of IP", names[0]))?;
                self.header(header).map_err(within(names[0]))?;
            }
        }
        let tcp = matches.take(&["tcp", "tcp-acl"]);
        let udp = matches.take(&["udp", "udp-acl"]);
        let icmp = matches.take(&["icmp", "icmp-acl"]);
        matches.end()?;
        self.transport(tcp, udp, icmp)
    }

    /// `ietf-mud:mud`.
    fn abstractions(&mut self, matches: &mut Object<'_>) -> Result<(), String> {
        for (name, far) in [
            ("same-manufacturer", Far::SameManufacturer),
            ("local-networks", Far::LocalNetworks),
            ("my-controller", Far::MyController),
        ] {
            match matches.take(&[name]) {
                Some(value) if is_empty_leaf(value) => self.is_far(far)?,
                Some(_) => return Err(format!("`{name}` is not `[null]`")),
                None => {}
            }
        }
        for (name, far) in [
            ("manufacturer", Far::Manufacturer as fn(String) -> Far),
            ("model", Far::Model),
            ("controller", Far::Controller),
        ] {
            if let Some(value) = matches.take(&[name]) {
                let text = value.as_str().ok_or_else(|| format!("`{name}` is no text"))?;
                self.is_far(far(text.to_owned()))?;
            }
        }
        self.initiated(matches)
    }

    fn is_far(&mut self, far: Far) -> Result<(), String> {
        match self.far.replace(far) {
            None => Ok(()),
            Some(_) => Err("it names the other end in two ways at once".to_owned()),
        }
    }

    fn initiated(&mut self, object: &mut Object<'_>) -> Result<(), String> {
        let Some(value) = object.take(&["direction-initiated"]) else { return Ok(()) };
        self.opener = match value.as_str() {
            Some("from-device") => Some(Direction::FromDevice),
            Some("to-device") => Some(Direction::ToDevice),
            _ => return Err("`direction-initiated` is neither `from-device` nor `to-device`".to_owned()),
        };
        Ok(())
    }

    fn ethernet(&mut self, value: &Value) -> Result<(), Unread> {
        let mut eth = Object::of(value)?;
        let kind = eth.take(&["ethertype"]);
        eth.end().map_err(within("eth"))?;
        let Some(kind) = kind else { return Ok(()) };
        let number = match kind {
            Value::Number(number) => number.as_u64(),
            Value::String(text) => match text.as_str() {
                "ipv4" => Some(0x0800),
                "arp" => Some(0x0806),
                "ipv6" => Some(0x86dd),
                "lldp" => Some(0x88cc),
                "eap" => Some(0x888e),
                text => text.strip_prefix("0x").and_then(|digits| u64::from_str_radix(digits, 16).ok()),
            },
            _ => None,
        };
        let families = match number {
            Some(0x0800) => Families::V4,
            Some(0x86dd) => Families::V6,
            Some(link) if LINK.contains(&link) => {
                return Err(Unread::Needless("a link protocol, which passes without a rule".to_owned()));
            }
            _ => {
                let shown = shown(&kind.to_string());
                return Err(format!("`eth`: no rule can allow the EtherType {shown}").into());
            }
        };
        let both = self.families.and(families);
        self.families = both.ok_or("`eth`: the list is of the other version of IP")?;
        Ok(())
    }

    /// `ipv4` or `ipv6`.
    fn header(&mut self, value: &Value) -> Result<(), String> {
        let mut header = Object::of(value)?;
        if let Some(protocol) = header.take(&["protocol"]) {
            let number = protocol.as_u64().and_then(|number| u8::try_from(number).ok());
            self.protocol = Some(number.ok_or("`protocol` is no number from 0 to 255")?);
        }
        let (own, far) = match self.sender {
            Direction::FromDevice => (["source", "src"], ["destination", "dst"]),
            Direction::ToDevice => (["destination", "dst"], ["source", "src"]),
        };
        for version in ["ipv4", "ipv6"] {
            if header.take(&[format!("{}-{version}-network", own[0]).as_str()]).is_some() {
                return Err(
                    "it goes by the address of the device itself, which a MUD file cannot know".to_owned()
                );
            }
            let name = format!("{}-{version}-network", far[0]);
            if let Some(value) = header.take(&[name.as_str()]) {
                let network =
                    value.as_str().and_then(prefix).ok_or_else(|| format!("`{name}` is no prefix"))?;
                self.is_far(Far::Network(network))?;
            }
        }
        if header.take(&[format!("{}-dnsname", own[1]).as_str()]).is_some() {
            return Err("it goes by the name of the device itself".to_owned());
        }
        let name = format!("{}-dnsname", far[1]);
        if let Some(value) = header.take(&[name.as_str()]) {
            let host = value.as_str().and_then(host).ok_or_else(|| format!("`{name}` is no host"))?;
            self.is_far(host)?;
        }
        self.ports(&mut header)?;
        match &self.far {
            Some(Far::Network(network)) if !self.families.have(network) => {
                return Err("the address is of the other version of IP".to_owned());
            }
            _ => {}
        }
        header.end()
    }

    fn ports(&mut self, object: &mut Object<'_>) -> Result<(), String> {
        for end in ["source", "destination"] {
            let rfc = object.take(&[format!("{end}-port").as_str()]);
            let [range, either] = ["range", "range-or-operator"].map(|kind| format!("{end}-port-{kind}"));
            let draft = object.take(&[range.as_str(), either.as_str()]);
            let ports = match (rfc, draft) {
                (Some(value), None) => Ports::read(value, false),
                (None, Some(value)) => Ports::read(value, true),
                (None, None) => continue,
                (Some(_), Some(_)) => Err("ports stand there twice".to_owned()),
            };
            let ports = ports.map_err(within(&format!("{end}-port")))?;
            let is_own = (end == "source") == (self.sender == Direction::FromDevice);
            let place = if is_own { &mut self.own } else { &mut self.peer };
            if place.replace(ports).is_some() {
                return Err(format!("`{end}-port` stands there twice"));
            }
        }
        Ok(())
    }

    fn transport(
        &mut self,
        tcp: Option<&Value>,
        udp: Option<&Value>,
        icmp: Option<&Value>,
    ) -> Result<What, Unread> {
        let (named, value) = match (tcp, udp, icmp) {
            (None, None, None) => (None, None),
            (Some(value), None, None) => (Some(TCP), Some(value)),
            (None, Some(value), None) => (Some(UDP), Some(value)),
            (None, None, Some(value)) => return Ok(self.icmp(value).map_err(within("icmp"))?),
            _ => return Err("it is of two protocols at once".into()),
        };
        if let Some(value) = value {
            let part = if named == Some(TCP) { "tcp" } else { "udp" };
            let mut object = Object::of(value)?;
            if named == Some(TCP) {
                self.initiated(&mut object).map_err(within(part))?;
            }
            self.ports(&mut object).and_then(|()| object.end()).map_err(within(part))?;
        }
        let protocol = match (self.protocol, named) {
            (Some(number), Some(named)) if number != named => {
                return Err(format!("protocol {number} has no such ports").into());
            }
            (number, named) => number.or(named),
        };
        let has_ports = self.own.is_some() || self.peer.is_some();
        if self.opener.is_some() && protocol != Some(TCP) {
            return Err("`direction-initiated` is of TCP alone".into());
        }
        match protocol {
            Some(protocol @ (TCP | UDP)) => {
                let ports = |ports: &mut Option<Ports>| ports.take().unwrap_or_else(Ports::any);
                Ok(What::Ports { protocol, own: ports(&mut self.own), far: ports(&mut self.peer) })
            }
            _ if has_ports => Err("ports without TCP or UDP".into()),
            Some(protocol @ (ICMP | ICMPV6)) => Ok(self.icmp_of(protocol, None, None)?),
            Some(protocol) => Ok(What::Protocol(protocol)),
            None => Ok(What::Any),
        }
    }

    fn icmp(&mut self, value: &Value) -> Result<What, String> {
        let mut icmp = Object::of(value)?;
        let mut octet = |name: &str| {
            let value = icmp.take(&[name]);
            let number = value.map(|value| value.as_u64().and_then(|number| u8::try_from(number).ok()));
            number
                .map(|number| number.ok_or_else(|| format!("`{name}` is no number from 0 to 255")))
                .transpose()
        };
        let (kind, code) = (octet("type")?, octet("code")?);
        icmp.end()?;
        if self.own.is_some() || self.peer.is_some() || self.opener.is_some() {
            return Err("it has no ports and nobody opens it".to_owned());
        }
        let protocol = match (self.protocol, self.families.v4, self.families.v6) {
            (Some(protocol), ..) => protocol,
            (None, true, false) => ICMP,
            (None, false, true) => ICMPV6,
            (None, ..) => return Err("it does not say of which version of IP".to_owned()),
        };
        self.icmp_of(protocol, kind, code)
    }

    fn icmp_of(&mut self, protocol: u8, kind: Option<u8>, code: Option<u8>) -> Result<What, String> {
        let families = match protocol {
            ICMP => Families::V4,
            ICMPV6 => Families::V6,
            other => return Err(format!("protocol {other} is not ICMP")),
        };
        let both = self.families.and(families);
        self.families = both.ok_or("it is of the other version of IP")?;
        Ok(What::Icmp { kind, code })
    }
}

/// A prefix with its length; bits behind it mean nothing (RFC 6991 §4).
fn prefix(text: &str) -> Option<IpNet> {
    text.parse::<IpNet>().ok().map(|network| peer::canonical(network.trunc()))
}

/// A domain that a name server can be asked for, or an address.
fn host(text: &str) -> Option<Far> {
    if let Ok(address) = text.parse::<std::net::IpAddr>() {
        return Some(Far::Network(peer::canonical(IpNet::from(address))));
    }
    let name = text.strip_suffix('.').unwrap_or(text);
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    let is_name =
        name.len() <= LONGEST_NAME && name.split('.').all(is_label) && !peer::looks_like_address(name);
    is_name.then(|| Far::Name(name.to_ascii_lowercase()))
}
