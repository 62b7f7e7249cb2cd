//! Ports and protocols as people write them into cells: `104, 11112`, `UDP 5000-5010`, `443/tcp`, `TCP:445/139`, `dicom`.
//!
//! A number is a port of the protocol that is named with it, or of the line's; a name is one of the policy or built in.
//! Whatever else there is, is said.

use std::collections::BTreeSet;

use crate::foreign::shown;
use crate::policy::builtin;
use crate::policy::service::{ICMP, ICMPV6, Named, PortRange, SCTP, Services, TCP, UDP};

/// What a line says beside its ports of what goes over them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    /// Nothing.
    Unsaid,
    /// Something that means nothing: why.
    Unclear(String),
    /// These, by number.
    Protocols(BTreeSet<u8>),
    /// A service, whose protocols are known.
    Spoken(Services),
}

/// Reads a cell of protocols; `named` are the services of the policy.
pub(super) fn transport(text: &str, named: &Named) -> Transport {
    if let Some(service) = service(text, named) {
        return Transport::Spoken(service);
    }
    let unclear =
        || Transport::Unclear(format!("`{}` is no protocol that is known: write TCP or UDP", shown(text)));
    let lower = text.to_lowercase();
    let mut protocols = BTreeSet::new();
    let mut is_secured = false;
    for word in
        lower.split(|c: char| c.is_whitespace() || "/,;&+()".contains(c)).filter(|word| !word.is_empty())
    {
        match (protocol(word), word) {
            (Some(number), _) => drop(protocols.insert(number)),
            (None, "both") => protocols.extend([TCP, UDP]),
            (None, "and" | "or") => {}
            (None, "ip" | "tls" | "ssl") => is_secured = true,
            _ => return unclear(),
        }
    }
    if protocols.is_empty() || (is_secured && protocols != BTreeSet::from([TCP])) {
        return unclear();
    }
    Transport::Protocols(protocols)
}

/// A service by name, in whatever case.
pub(super) fn service(text: &str, named: &Named) -> Option<Services> {
    let word = text.trim().to_lowercase().replace(char::is_whitespace, "-");
    let own =
        named.iter().find(|(name, _)| name.to_lowercase() == word).map(|(_, services)| services.clone());
    own.or_else(|| builtin::service(&word).map(Services::of)).filter(|services| !services.any)
}

fn protocol(word: &str) -> Option<u8> {
    match word {
        "tcp" => Some(TCP),
        "udp" => Some(UDP),
        "sctp" => Some(SCTP),
        "icmp" | "icmpv4" => Some(ICMP),
        "icmpv6" | "icmp6" => Some(ICMPV6),
        _ => None,
    }
}

/// A word of a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Word {
    Ports(u16, u16),
    Protocol(u8),
    Service(Services),
}

/// Reads a cell of ports, in which `said` is what the line says of their protocol.
///
/// # Errors
/// When some of it is unclear, with what to write.
pub(super) fn ports(text: &str, said: &Transport, named: &Named) -> Result<Vec<PortRange>, String> {
    if let Some(service) = service(text, named) {
        return within(service.ranges, said, text);
    }
    check_thousands(text)?;
    let (mut found, mut leading) = (Vec::new(), None);
    for part in dashes(text).split([',', ';', '\n', '\r']).map(str::trim).filter(|part| !part.is_empty()) {
        let words = words(part, named)?;
        let is_led = matches!(words.first(), Some(Word::Protocol(_)));
        let ports: Vec<(u16, u16)> = words.iter().filter_map(Word::ports).collect();
        let own: BTreeSet<u8> = words.iter().filter_map(Word::protocol).collect();
        let spoken = words.iter().find_map(Word::service);
        if words.windows(3).any(|three| {
            three[0].protocol().is_some() && three[1].ports().is_some() && three[2].protocol().is_some()
        }) {
            return Err(format!(
                "`{}` names protocols before and behind a port: separate them by `,`",
                shown(part)
            ));
        }
        let here = match (own.is_empty(), spoken) {
            (false, _) => Transport::Protocols(own.clone()),
            (true, Some(service)) => Transport::Spoken(service),
            (true, None) => leading.clone().unwrap_or(Transport::Unsaid),
        };
        if is_led {
            leading = Some(here.clone());
        }
        if ports.is_empty() {
            found.extend(portless(&here, part)?);
        }
        for range in ports {
            found.extend(ranges(range, &here, said, part)?);
        }
    }
    if found.is_empty() { Err(format!("`{}` names no port", shown(text))) } else { Ok(found) }
}

impl Word {
    const fn ports(&self) -> Option<(u16, u16)> {
        if let Self::Ports(first, last) = self { Some((*first, *last)) } else { None }
    }

    const fn protocol(&self) -> Option<u8> {
        if let Self::Protocol(number) = self { Some(*number) } else { None }
    }

    fn service(&self) -> Option<Services> {
        if let Self::Service(services) = self { Some(services.clone()) } else { None }
    }
}

/// What a part without a port stands for: a service, or a protocol that has none.
fn portless(here: &Transport, part: &str) -> Result<Vec<PortRange>, String> {
    match here {
        Transport::Spoken(service) => Ok(service.ranges.clone()),
        Transport::Protocols(protocols) if protocols.iter().all(|it| matches!(*it, ICMP | ICMPV6)) => {
            Ok(protocols.iter().map(|&protocol| PortRange { protocol, first: 0, last: 0 }).collect())
        }
        _ => Err(format!("`{}` names no port", shown(part))),
    }
}

/// Ports of each protocol that they are of: what stands with them, or else what the line says.
fn ranges(
    (first, last): (u16, u16),
    here: &Transport,
    said: &Transport,
    part: &str,
) -> Result<Vec<PortRange>, String> {
    let of = |protocols: &BTreeSet<u8>| -> Vec<PortRange> {
        protocols.iter().map(|&protocol| PortRange { protocol, first, last }).collect()
    };
    let part = shown(part);
    let spoken = |service: &Services| {
        let holds = |range: &&PortRange| range.first <= first && last <= range.last;
        let holding: BTreeSet<u8> = service.ranges.iter().filter(holds).map(|range| range.protocol).collect();
        let all: BTreeSet<u8> = service.ranges.iter().map(|range| range.protocol).collect();
        match (holding.is_empty(), all.len()) {
            (false, _) => Ok(of(&holding)),
            (true, 1) => Ok(of(&all)),
            _ => Err(format!("`{part}` has no protocol: write TCP or UDP")),
        }
    };
    let found = match (here, said) {
        (Transport::Protocols(own), Transport::Protocols(line)) if !own.is_subset(line) => {
            return Err(format!("`{part}` has another protocol than the line"));
        }
        (Transport::Protocols(protocols), _) | (_, Transport::Protocols(protocols)) => of(protocols),
        (Transport::Spoken(service), _) | (Transport::Unsaid, Transport::Spoken(service)) => spoken(service)?,
        (_, Transport::Unclear(why)) => return Err(why.clone()),
        _ => return Err(format!("`{part}` has no protocol: write TCP or UDP")),
    };
    match found.iter().find(|range| matches!(range.protocol, ICMP | ICMPV6)) {
        Some(range) => Err(format!("`{part}` is a port, and {range} has none")),
        None => Ok(found),
    }
}

/// What a service's name stands for, as far as the line's protocols go.
fn within(ranges: Vec<PortRange>, said: &Transport, text: &str) -> Result<Vec<PortRange>, String> {
    let Transport::Protocols(protocols) = said else { return Ok(ranges) };
    let kept: Vec<PortRange> =
        ranges.into_iter().filter(|range| protocols.contains(&range.protocol)).collect();
    if kept.is_empty() {
        Err(format!("`{}` has another protocol than the line", shown(text)))
    } else {
        Ok(kept)
    }
}

/// `11,112` may be one port, as a spreadsheet shows numbers, or two.
fn check_thousands(text: &str) -> Result<(), String> {
    let Some((high, low)) = text.split_once(',') else { return Ok(()) };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let joined = format!("{high}{low}");
    if low.len() == 3 && high.len() <= 2 && is_number(high) && is_number(low) && joined.parse::<u16>().is_ok()
    {
        return Err(format!("`{text}` may be one port or two: write `{joined}`, or `{high}, {low}`"));
    }
    Ok(())
}

/// A text with one kind of dash between ports, and nothing around it.
fn dashes(text: &str) -> String {
    let mut text = text.to_lowercase().replace(['–', '—', '‑', '‐', '−'], "-");
    text = text.replace(" to ", "-");
    let parts: Vec<&str> = text.split('-').map(str::trim).collect();
    parts.join("-")
}

fn words(part: &str, named: &Named) -> Result<Vec<Word>, String> {
    let is_between = |c: char| c.is_whitespace() || "/:()&+".contains(c);
    let words = part.split(is_between).filter(|word| !matches!(*word, "" | "port" | "ports" | "and" | "or"));
    words.map(|word| self::word(word, named)).collect()
}

fn word(word: &str, named: &Named) -> Result<Word, String> {
    if let Some(number) = protocol(word) {
        return Ok(Word::Protocol(number));
    }
    if word.starts_with(|c: char| c.is_ascii_digit()) {
        let (first, last) = word.split_once('-').unwrap_or((word, word));
        return match (port(first), port(last)) {
            (Some(first), Some(last)) if first <= last => Ok(Word::Ports(first, last)),
            (Some(_), Some(_)) => Err(format!("the range `{}` ends before it begins", shown(word))),
            _ => Err(format!("`{}` is no port from 1 to 65535", shown(word))),
        };
    }
    let unclear = || format!("`{}` is no port, no protocol and no service that is known", shown(word));
    service(word, named).map(Word::Service).ok_or_else(unclear)
}

/// A port, also as `104.0`, which is how programs write a column of numbers with gaps.
fn port(text: &str) -> Option<u16> {
    let text = text.strip_suffix(".0").unwrap_or(text);
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|&port| is_number && port != 0)
}

/// Whether a cell leaves open which port it is: what a client takes for its own end.
pub(super) fn is_any(text: &str) -> bool {
    let text = dashes(text).replace(char::is_whitespace, "");
    let from = |text: &str| text.parse::<u16>().is_ok_and(|port| port <= 1_024);
    match text.as_str() {
        "any" | "*" | "all" | "dynamic" | "ephemeral" | "random" | "high" => true,
        text => {
            text.strip_prefix(['>', '≥']).is_some_and(|rest| from(rest.trim_start_matches('=')))
                || text.strip_suffix("-65535").is_some_and(from)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(cell: &str, protocol: &str) -> Result<String, String> {
        let none = Named::new();
        let said = if protocol.is_empty() { Transport::Unsaid } else { transport(protocol, &none) };
        let ranges = ports(cell, &said, &none)?;
        Ok(ranges.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn every_notation() {
        for (cell, protocol, expected) in [
            ("104", "TCP", "104/tcp"),
            ("104.0", "tcp", "104/tcp"),
            ("104, 11112", "TCP", "104/tcp 11112/tcp"),
            ("104\n11112", "TCP", "104/tcp 11112/tcp"),
            ("53", "TCP/UDP", "53/tcp 53/udp"),
            ("53", "both", "53/tcp 53/udp"),
            ("443", "TCP (TLS)", "443/tcp"),
            ("5000 – 5010", "UDP", "5000-5010/udp"),
            ("5000 to 5010", "UDP", "5000-5010/udp"),
            ("443/tcp", "", "443/tcp"),
            ("TCP 443", "", "443/tcp"),
            ("UDP:161", "", "161/udp"),
            ("UDP:161", "acme", "161/udp"),
            ("TCP:445/139", "", "445/tcp 139/tcp"),
            ("TCP:18016–18019, 18030", "", "18016-18019/tcp 18030/tcp"),
            ("TCP 80, 443; UDP 161", "", "80/tcp 443/tcp 161/udp"),
            ("TCP/UDP 389", "", "389/tcp 389/udp"),
            ("80,443", "TCP", "80/tcp 443/tcp"),
            ("443 (HTTPS)", "", "443/tcp"),
            ("4242", "DICOM", "4242/tcp"),
            ("123", "NTP", "123/udp"),
            ("dicom", "", "104/tcp 11112/tcp"),
            ("DNS", "UDP", "53/udp"),
            ("icmp", "", "icmp"),
        ] {
            assert_eq!(read(cell, protocol).as_deref(), Ok(expected), "{cell} {protocol}");
        }
    }

    #[test]
    fn every_refusal() {
        for (cell, protocol, said) in [
            ("104", "", "`104` has no protocol: write TCP or UDP"),
            ("104", "acme", "`acme` is no protocol that is known: write TCP or UDP"),
            ("104", "TLS", "`TLS` is no protocol that is known"),
            ("161/udp", "TCP", "`161/udp` has another protocol than the line"),
            ("dicom", "UDP", "`dicom` has another protocol than the line"),
            ("0", "TCP", "`0` is no port from 1 to 65535"),
            ("65536", "TCP", "is no port"),
            ("10-1", "TCP", "the range `10-1` ends before it begins"),
            ("11,112", "TCP", "write `11112`, or `11, 112`"),
            ("11.112", "TCP", "is no port"),
            ("any", "TCP", "`any` is no port, no protocol and no service that is known"),
            (">1023", "TCP", "`>1023` is no port"),
            ("104 (configurable)", "TCP", "`configurable` is no port"),
            ("9999", "dns", "`9999` has no protocol"),
            ("tcp", "", "`tcp` names no port"),
            (",", "TCP", "names no port"),
            ("tcp 80 udp", "", "names protocols before and behind a port"),
            ("8", "icmp", "`8` is a port, and icmp has none"),
        ] {
            let refusal = read(cell, protocol).unwrap_err();
            assert!(refusal.contains(said), "{cell} {protocol}: {refusal}");
        }
    }

    #[test]
    fn what_a_client_takes_is_any() {
        for text in ["Any", "*", ">1023", "> 1024", ">= 1024", "1024-65535", "1024 – 65535", "dynamic"] {
            assert!(is_any(text), "{text}");
        }
        assert!(!is_any("67") && !is_any("5000-5010") && !is_any("50000-65535"));
    }
}
