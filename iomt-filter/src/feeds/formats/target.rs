//! One value of a list: an address, a prefix, a range, a host with a port, a URL or a domain.
//!
//! A text comes in without what stands round it; networks without host bits, or a domain, go out. Never `/0`,
//! and never an IPv4 address in its IPv6 form.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use ipnet::{IpNet, Ipv4Net, Ipv4Subnets, Ipv6Subnets};

use super::RejectReason;
use crate::policy::peer::canonical;

/// Octets of the longest domain name, and of its longest label (RFC 1035 §2.3.4).
const LONGEST_NAME: usize = 253;
const LONGEST_LABEL: usize = 63;
/// Digits of MD5, SHA-1, SHA-224, SHA-256, SHA-384 and SHA-512.
const HASH_DIGITS: &[usize] = &[32, 40, 56, 64, 96, 128];

/// What a value is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// One network.
    Network {
        /// Without host bits.
        network: IpNet,
        /// Whether it was written with some.
        had_host_bits: bool,
        /// The port that stands with it.
        port: Option<u16>,
    },
    /// A range of addresses, as the fewest networks that cover exactly it.
    Range(Vec<IpNet>),
    /// A domain.
    Domain {
        /// In lower case, in its ASCII form.
        name: Box<str>,
        /// The port that stands with it.
        port: Option<u16>,
    },
}

/// Reads a value. No white space may stand round it.
pub(super) fn read(text: &str) -> Result<Target, RejectReason> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return network(IpNet::from(address), None);
    }
    if let Some(range) = range(text) {
        return range;
    }
    if let Some((scheme, rest)) = text.split_once("://")
        && is_scheme(scheme)
    {
        return url(text, rest);
    }
    // What a path has in it is its own business.
    if let Some(path) = text.strip_prefix('/') {
        return prefix("", path);
    }
    if let Some((first, _)) = text.split_once([' ', '\t', ',']) {
        let is_address = first.parse::<IpAddr>().is_ok() || first.parse::<IpNet>().is_ok();
        return Err(if is_address { RejectReason::MoreColumns } else { RejectReason::Unreadable });
    }
    match text.split_once('/') {
        Some((before, after)) => prefix(before, after),
        None => host(text),
    }
}

/// A prefix, or a URL without its scheme.
fn prefix(before: &str, after: &str) -> Result<Target, RejectReason> {
    if let Ok(address) = before.parse::<IpAddr>() {
        return network(with_length(address, after).ok_or(RejectReason::PrefixLength)?, None);
    }
    if before.is_empty() {
        let is_length = after.bytes().all(|byte| byte.is_ascii_digit());
        return Err(if is_length { RejectReason::Unreadable } else { RejectReason::UrlPath });
    }
    host(before)
}

/// The length in bits, or as a mask (RFC 950).
fn with_length(address: IpAddr, length: &str) -> Option<IpNet> {
    if let Ok(bits) = length.parse() {
        return IpNet::new(address, bits).ok();
    }
    match address {
        IpAddr::V4(address) => {
            Some(IpNet::V4(Ipv4Net::with_netmask(address, length.parse::<Ipv4Addr>().ok()?).ok()?))
        }
        IpAddr::V6(_) => None,
    }
}

fn network(written: IpNet, port: Option<u16>) -> Result<Target, RejectReason> {
    let cut = written.trunc();
    let network = canonical(cut);
    if network.prefix_len() == 0 {
        return Err(RejectReason::Everything);
    }
    Ok(Target::Network { network, had_host_bits: cut != written, port })
}

/// A range `first-last`; `None` for what is none.
pub(super) fn range(text: &str) -> Option<Result<Target, RejectReason>> {
    let (first, last) = text.split_once('-')?;
    let (first, last) = (first.trim_end().parse::<IpAddr>().ok()?, last.trim_start().parse::<IpAddr>().ok()?);
    let networks: Vec<IpNet> = match (first.to_canonical(), last.to_canonical()) {
        (IpAddr::V4(first), IpAddr::V4(last)) if first <= last => {
            Ipv4Subnets::new(first, last, 0).map(IpNet::V4).collect()
        }
        (IpAddr::V6(first), IpAddr::V6(last)) if first <= last => {
            Ipv6Subnets::new(first, last, 0).map(|network| canonical(IpNet::V6(network))).collect()
        }
        _ => return Some(Err(RejectReason::Range)),
    };
    if networks.iter().any(|network| network.prefix_len() == 0) {
        return Some(Err(RejectReason::Everything));
    }
    Some(Ok(Target::Range(networks)))
}

/// The host of a URL, with its port or that of its scheme.
fn url(text: &str, rest: &str) -> Result<Target, RejectReason> {
    let Ok(url) = url::Url::parse(text) else {
        return host(rest.split(['/', '?', '#']).next().unwrap_or_default());
    };
    let port = url.port_or_known_default().filter(|&port| port != 0);
    match url.host() {
        Some(url::Host::Ipv4(address)) => network(IpNet::from(IpAddr::V4(address)), port),
        Some(url::Host::Ipv6(address)) => network(IpNet::from(IpAddr::V6(address)), port),
        // Of schemes that it does not know, the parser takes an address for a name.
        Some(url::Host::Domain(name)) => match name.parse::<IpAddr>() {
            Ok(address) => network(IpNet::from(address), port),
            Err(_) => domain(name).map(|name| Target::Domain { name, port }).ok_or(RejectReason::Unreadable),
        },
        None => Err(RejectReason::Unreadable),
    }
}

/// An address or a domain, perhaps with a port.
fn host(text: &str) -> Result<Target, RejectReason> {
    if let Ok(socket) = text.parse::<SocketAddr>() {
        let port = Some(socket.port()).filter(|&port| port != 0).ok_or(RejectReason::Port)?;
        return network(IpNet::from(socket.ip()), Some(port));
    }
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    if let Some(address) = bare.and_then(|text| text.parse::<IpAddr>().ok()) {
        return network(IpNet::from(address), None);
    }
    if let Some(name) = domain(text) {
        return Ok(Target::Domain { name, port: None });
    }
    let Some((host, port)) = text.rsplit_once(':') else { return Err(of_no_use(text)) };
    let is_number = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    if host.parse::<Ipv4Addr>().is_ok() || (is_number && host.starts_with('[') && host.ends_with(']')) {
        return Err(RejectReason::Port);
    }
    match (domain(host), port.parse::<u16>()) {
        (Some(name), Ok(port)) if port != 0 => Ok(Target::Domain { name, port: Some(port) }),
        (Some(_), _) if is_number => Err(RejectReason::Port),
        _ => Err(of_no_use(text)),
    }
}

/// What else lists name, none of which is a host.
fn of_no_use(text: &str) -> RejectReason {
    let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if HASH_DIGITS.contains(&text.len()) && is_hex(text) {
        return RejectReason::Hash;
    }
    let number = text.get(..2).filter(|start| start.eq_ignore_ascii_case("as")).and_then(|_| text.get(2..));
    if number.is_some_and(|number| number.parse::<u32>().is_ok()) {
        return RejectReason::AsNumber;
    }
    if text.split_once('@').is_some_and(|(user, host)| !user.is_empty() && domain(host).is_some()) {
        return RejectReason::Email;
    }
    let rest = text.strip_prefix("*.").or_else(|| text.strip_prefix('.'));
    if rest.is_some_and(|name| domain(name).is_some()) {
        return RejectReason::Wildcard;
    }
    RejectReason::Unreadable
}

/// A domain name in lower case and in its ASCII form, without the dot of the root. A name has two labels at least
/// and a last one that is no number, as no host on the internet is called otherwise.
pub(super) fn domain(text: &str) -> Option<Box<str>> {
    let text = text.strip_suffix('.').unwrap_or(text);
    if !text.is_ascii() {
        let is_name = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
        let url::Host::Domain(name) = text.chars().all(is_name).then(|| url::Host::parse(text).ok())?? else {
            return None;
        };
        return domain(&name);
    }
    let is_label = |label: &str| {
        (1..=LONGEST_LABEL).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let (_, last) = text.rsplit_once('.')?;
    let is_name = text.len() <= LONGEST_NAME
        && text.split('.').all(is_label)
        && last.bytes().any(|byte| byte.is_ascii_alphabetic());
    is_name.then(|| text.to_ascii_lowercase().into_boxed_str())
}

/// RFC 3986 §3.1.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(text: &str) -> String {
        match read(text) {
            Ok(Target::Network { network, had_host_bits, port }) => {
                let port = port.map(|port| format!(" port {port}")).unwrap_or_default();
                format!("{network}{port}{}", if had_host_bits { " cut" } else { "" })
            }
            Ok(Target::Range(networks)) => {
                networks.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
            }
            Ok(Target::Domain { name, port }) => {
                format!("{name}{}", port.map(|port| format!(" port {port}")).unwrap_or_default())
            }
            Err(reason) => format!("{reason:?}"),
        }
    }

    #[test]
    fn every_kind_of_value_is_read_or_refused_for_its_reason() {
        for (text, expected) in [
            ("203.0.113.9", "203.0.113.9/32"),
            ("2001:db8::1", "2001:db8::1/128"),
            ("::ffff:192.0.2.1", "192.0.2.1/32"),
            ("203.0.113.9/24", "203.0.113.0/24 cut"),
            ("203.0.113.0/255.255.255.0", "203.0.113.0/24"),
            ("2001:db8::/32", "2001:db8::/32"),
            ("203.0.113.0 - 203.0.113.255", "203.0.113.0/24"),
            ("192.0.2.1-192.0.2.6", "192.0.2.1/32 192.0.2.2/31 192.0.2.4/31 192.0.2.6/32"),
            ("2001:db8::-2001:db8::ff", "2001:db8::/120"),
            ("::ffff:192.0.2.0-::ffff:192.0.2.1", "192.0.2.0/31"),
            ("203.0.113.9:443", "203.0.113.9/32 port 443"),
            ("[2001:db8::1]:8080", "2001:db8::1/128 port 8080"),
            ("[2001:db8::1]", "2001:db8::1/128"),
            ("http://203.0.113.9/x", "203.0.113.9/32 port 80"),
            ("https://[2001:db8::1]:8443/x?y", "2001:db8::1/128 port 8443"),
            ("tcp://203.0.113.9:4444", "203.0.113.9/32 port 4444"),
            ("203.0.113.9:8080/gate.php", "203.0.113.9/32 port 8080"),
            ("https://user@Evil.Example/a#b", "evil.example port 443"),
            ("ftp://evil.example", "evil.example port 21"),
            ("evil.example/gate.php", "evil.example"),
            ("EVIL.example.", "evil.example"),
            ("_dmarc.evil-1.example:443", "_dmarc.evil-1.example port 443"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("0.0.0.0/0", "Everything"),
            ("::/0", "Everything"),
            ("::ffff:0:0/96", "Everything"),
            ("0.0.0.0-255.255.255.255", "Everything"),
            ("192.0.2.1\t10", "MoreColumns"),
            ("192.0.2.1/32,c2", "MoreColumns"),
            ("192.0.2.1/33", "PrefixLength"),
            ("192.0.2.1/x", "PrefixLength"),
            ("192.0.2.1/0.0.0.255", "PrefixLength"),
            ("192.0.2.4-192.0.2.3", "Range"),
            ("192.0.2.4-::1", "Range"),
            ("192.0.2.1:0", "Port"),
            ("192.0.2.1:99999", "Port"),
            ("[2001:db8::1]:99999", "Port"),
            ("evil.example:99999", "Port"),
            ("192.0.2", "Unreadable"),
            ("01.2.3.4", "Unreadable"),
            ("localhost", "Unreadable"),
            ("evil..example", "Unreadable"),
            ("a b.example", "Unreadable"),
            ("/24", "Unreadable"),
            ("http://", "Unreadable"),
            ("/api/v1", "UrlPath"),
            ("/a, b.apk", "UrlPath"),
            ("*.evil.example", "Wildcard"),
            ("user@evil.example", "Email"),
            ("AS64496", "AsNumber"),
            ("d41d8cd98f00b204e9800998ecf8427e", "Hash"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn a_name_that_is_too_long_is_none() {
        assert_eq!(domain(&format!("{}.example", "a".repeat(64))), None);
        assert_eq!(domain(&format!("{}example", "a.".repeat(130))), None);
    }

    proptest! {
        #[test]
        fn whatever_is_read_has_no_host_bits_and_is_not_everything(text in "[0-9a-f.:/\\[\\]-]{0,40}|\\PC{0,40}") {
            let networks = match read(&text) {
                Ok(Target::Network { network, .. }) => vec![network],
                Ok(Target::Range(networks)) => networks,
                Ok(Target::Domain { name, .. }) => {
                    prop_assert_eq!(domain(&name), Some(name.clone()));
                    Vec::new()
                }
                Err(_) => Vec::new(),
            };
            for network in networks {
                prop_assert_eq!(network.trunc(), network);
                prop_assert!(network.prefix_len() > 0);
                prop_assert_eq!(canonical(network), network);
            }
        }

        #[test]
        fn a_range_covers_exactly_its_addresses(first in any::<u16>(), length in 0u16..2000) {
            let base = u32::from(Ipv4Addr::new(198, 51, 0, 0)) | u32::from(first);
            let last = base + u32::from(length);
            let text = format!("{}-{}", Ipv4Addr::from(base), Ipv4Addr::from(last));
            let Ok(Target::Range(networks)) = read(&text) else { panic!("{text}") };
            let covered: u64 = networks.iter().map(|network| 1u64 << (32 - network.prefix_len())).sum();
            prop_assert_eq!(covered, u64::from(length) + 1);
            prop_assert!(networks.iter().any(|network| network.contains(&IpAddr::V4(Ipv4Addr::from(base)))));
        }
    }
}
