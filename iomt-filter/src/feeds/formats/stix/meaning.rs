//! What a pattern names, where it is one that a list can express.
//!
//! A pattern comes in, targets go out, or the reason for which it is refused. It is used whole or not at all: half of
//! an `AND` would block what nobody meant, and half of an `OR` would look as if all of it were listed.

use std::net::IpAddr;

use super::pattern::{self, Comparison, Literal, Observation, Operator, Test};
use crate::feeds::formats::RejectReason;
use crate::feeds::formats::target::{self, Target};

/// What a pattern names.
pub(super) fn of(text: &str) -> Result<Vec<Target>, RejectReason> {
    let pattern = pattern::parse(text).ok_or(RejectReason::PatternSyntax)?;
    let mut named = Vec::new();
    observation(&pattern, &mut named)?;
    Ok(named)
}

fn observation(pattern: &Observation, named: &mut Vec<Target>) -> Result<(), RejectReason> {
    match pattern {
        Observation::One(part) => comparison(part, named),
        Observation::Any(parts) => parts.iter().try_for_each(|part| observation(part, named)),
        Observation::All(_) => Err(RejectReason::PatternAnd),
        Observation::Timed => Err(RejectReason::PatternTime),
    }
}

fn comparison(pattern: &Comparison, named: &mut Vec<Target>) -> Result<(), RejectReason> {
    match pattern {
        Comparison::One(test) if test.object == "network-traffic" => named.extend(traffic(&[test])?),
        Comparison::One(test) => {
            let kind = Kind::of(test).ok_or(RejectReason::PatternObject)?;
            let may_be_subset = matches!(kind, Kind::V4 | Kind::V6);
            match test.operator {
                Operator::Equal | Operator::In => {}
                Operator::Subset if may_be_subset => {}
                Operator::Subset | Operator::Other => return Err(RejectReason::PatternOperator),
            }
            for value in &test.values {
                named.push(kind.read(value)?);
            }
        }
        Comparison::Any(parts) => {
            for part in parts {
                comparison(part, named)?;
            }
        }
        Comparison::All(parts) => {
            let tests: Option<Vec<&Test>> = parts
                .iter()
                .map(|part| match part {
                    Comparison::One(test) => Some(test),
                    Comparison::Any(_) | Comparison::All(_) => None,
                })
                .collect();
            named.extend(traffic(&tests.ok_or(RejectReason::PatternAnd)?)?);
        }
    }
    Ok(())
}

/// `network-traffic` to an address, with the address' kind and the port where they are said: the only conditions that
/// may be joined.
fn traffic(tests: &[&Test]) -> Result<Vec<Target>, RejectReason> {
    let is_traffic = |test: &&&Test| test.object == "network-traffic";
    if !tests.iter().all(|test| is_traffic(&test)) {
        let are_known = tests.iter().all(|test| is_traffic(&test) || Kind::of(test).is_some());
        return Err(if are_known { RejectReason::PatternAnd } else { RejectReason::PatternObject });
    }
    let (mut kind, mut values, mut port) = (None, None, None);
    for test in tests {
        if test.operator == Operator::Other {
            return Err(RejectReason::PatternOperator);
        }
        let is_first = match (test.property.as_str(), test.operator, test.values.as_slice()) {
            ("dst_ref.type", Operator::Equal, [Literal::Text(text)]) => {
                kind.replace(Kind::named(text).ok_or(RejectReason::PatternObject)?).is_none()
            }
            ("dst_ref.value", _, some) => values.replace(some).is_none(),
            ("dst_port", Operator::Equal, [Literal::Whole(digits)]) => {
                let number = digits.parse::<u16>().ok().filter(|&port| port != 0);
                port.replace(number.ok_or(RejectReason::Port)?).is_none()
            }
            _ => {
                return Err(if tests.len() > 1 {
                    RejectReason::PatternAnd
                } else {
                    RejectReason::PatternObject
                });
            }
        };
        if !is_first {
            return Err(RejectReason::PatternAnd);
        }
    }
    let values = values.ok_or(RejectReason::PatternObject)?;
    values
        .iter()
        .map(|value| {
            let target = match kind {
                Some(kind) => kind.read(value)?,
                None => [Kind::V4, Kind::V6, Kind::Domain]
                    .iter()
                    .find_map(|kind| kind.read(value).ok())
                    .ok_or(RejectReason::Kind)?,
            };
            Ok(match target {
                Target::Network { network, had_host_bits, .. } => {
                    Target::Network { network, had_host_bits, port }
                }
                Target::Domain { name, .. } => Target::Domain { name, port },
                range @ Target::Range(_) => range,
            })
        })
        .collect()
}

/// Objects that a list can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    V4,
    V6,
    Domain,
    Url,
}

impl Kind {
    fn of(test: &Test) -> Option<Self> {
        Self::named(&test.object).filter(|_| test.property == "value")
    }

    fn named(object: &str) -> Option<Self> {
        match object {
            "ipv4-addr" => Some(Self::V4),
            "ipv6-addr" => Some(Self::V6),
            "domain-name" => Some(Self::Domain),
            "url" => Some(Self::Url),
            _ => None,
        }
    }

    fn read(self, value: &Literal) -> Result<Target, RejectReason> {
        let Literal::Text(text) = value else { return Err(RejectReason::Kind) };
        let text = text.trim();
        let is_of_family = |is_v4: bool| {
            let address = text.split('/').next().unwrap_or_default().parse::<IpAddr>();
            address.is_ok_and(|address| address.is_ipv4() == is_v4)
        };
        match (self, target::read(text)?) {
            (Self::V4, target @ Target::Network { port: None, .. }) if is_of_family(true) => Ok(target),
            (Self::V6, target @ Target::Network { port: None, .. }) if is_of_family(false) => Ok(target),
            (Self::Domain, target @ Target::Domain { port: None, .. }) => Ok(target),
            (Self::Url, target @ (Target::Network { .. } | Target::Domain { .. })) => Ok(target),
            _ => Err(RejectReason::Kind),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(text: &str) -> String {
        let port = |port: Option<u16>| port.map(|port| format!(":{port}")).unwrap_or_default();
        match of(text) {
            Ok(targets) => targets
                .iter()
                .map(|target| match target {
                    Target::Network { network, port: at, .. } => format!("{network}{}", port(*at)),
                    Target::Domain { name, port: at } => format!("{name}{}", port(*at)),
                    Target::Range(_) => "range".to_owned(),
                })
                .collect::<Vec<_>>()
                .join(" "),
            Err(reason) => format!("{reason:?}"),
        }
    }

    #[test]
    fn the_subset_is_read_and_everything_else_refused_whole() {
        for (text, expected) in [
            ("[ipv4-addr:value = '192.0.2.7']", "192.0.2.7/32"),
            (" [ ipv4-addr:value='192.0.2.7' ] ", "192.0.2.7/32"),
            ("[ipv4-addr:value = '192.0.2.0/24']", "192.0.2.0/24"),
            ("[ipv4-addr:value IN ('192.0.2.1', '192.0.2.2')]", "192.0.2.1/32 192.0.2.2/32"),
            ("[ipv4-addr:value ISSUBSET '192.0.2.0/24']", "192.0.2.0/24"),
            ("[ipv6-addr:value == '2001:db8::1']", "2001:db8::1/128"),
            ("[domain-name:value = 'Evil.example']", "evil.example"),
            ("[url:value = 'http://evil.example:8080/a']", "evil.example:8080"),
            ("[url:value = 'https://192.0.2.1/it\\'s']", "192.0.2.1/32:443"),
            (
                "[ipv4-addr:value = '192.0.2.1' OR domain-name:value = 'evil.example']",
                "192.0.2.1/32 evil.example",
            ),
            (
                "[ipv4-addr:value = '192.0.2.1'] OR [ipv4-addr:value = '192.0.2.2']",
                "192.0.2.1/32 192.0.2.2/32",
            ),
            (
                "([ipv4-addr:value = '192.0.2.1'] OR [(ipv4-addr:value = '192.0.2.2')])",
                "192.0.2.1/32 192.0.2.2/32",
            ),
            (
                "[network-traffic:dst_ref.type = 'ipv4-addr' AND network-traffic:dst_ref.value = '192.0.2.4' AND network-traffic:dst_port = 443]",
                "192.0.2.4/32:443",
            ),
            ("[network-traffic:dst_ref.value = '2001:db8::4']", "2001:db8::4/128"),
            (
                "[network-traffic:dst_ref.type = 'ipv4-addr' AND network-traffic:dst_ref.value = '2001:db8::4']",
                "Kind",
            ),
            ("[network-traffic:dst_port = 443]", "PatternObject"),
            ("[network-traffic:src_ref.value = '192.0.2.4']", "PatternObject"),
            (
                "[network-traffic:dst_ref.value = '192.0.2.4' AND network-traffic:dst_port > 443]",
                "PatternOperator",
            ),
            (
                "[network-traffic:dst_ref.value = '192.0.2.4' AND network-traffic:protocols[*] = 'tcp']",
                "PatternAnd",
            ),
            ("[network-traffic:dst_ref.value = '192.0.2.4' AND network-traffic:dst_port = 70000]", "Port"),
            (
                "[network-traffic:dst_ref.value = '192.0.2.4' AND network-traffic:dst_ref.value = '192.0.2.5']",
                "PatternAnd",
            ),
            ("[ipv4-addr:value = '192.0.2.1' AND domain-name:value = 'evil.example']", "PatternAnd"),
            (
                "[ipv4-addr:value = '192.0.2.1' AND (domain-name:value = 'a.example' OR domain-name:value = 'b.example')]",
                "PatternAnd",
            ),
            ("[ipv4-addr:value = '192.0.2.1' AND file:name = 'x']", "PatternObject"),
            ("[ipv4-addr:value = '192.0.2.1' OR file:name = 'x']", "PatternObject"),
            ("[file:hashes.'SHA-256' = 'ef53' OR file:name LIKE '%x']", "PatternObject"),
            ("[email-message:body_multipart[*].body_raw_ref.name MATCHES '^a\\\\.exe$']", "PatternObject"),
            ("[EXISTS ipv4-addr:value]", "PatternOperator"),
            ("[ipv4-addr:value != '192.0.2.1']", "PatternOperator"),
            ("[NOT ipv4-addr:value = '192.0.2.1']", "PatternOperator"),
            ("[ipv4-addr:value NOT IN ('192.0.2.1')]", "PatternOperator"),
            ("[ipv4-addr:value LIKE '192.0.2.%']", "PatternOperator"),
            ("[ipv4-addr:value MATCHES '.*']", "PatternOperator"),
            ("[ipv4-addr:value ISSUPERSET '192.0.2.0/24']", "PatternOperator"),
            ("[domain-name:value ISSUBSET 'evil.example']", "PatternOperator"),
            ("[ipv4-addr:resolves_to_refs[*].value = '02:00:00:00:00:01']", "PatternObject"),
            ("[ipv4-addr:value = '192.0.2.1'] AND [ipv4-addr:value = '192.0.2.2']", "PatternAnd"),
            ("[ipv4-addr:value = '192.0.2.1'] FOLLOWEDBY [ipv4-addr:value = '192.0.2.2']", "PatternTime"),
            ("[ipv4-addr:value = '192.0.2.1'] WITHIN 5 SECONDS", "PatternTime"),
            ("([ipv4-addr:value = '192.0.2.1']) REPEATS 5 TIMES", "PatternTime"),
            (
                "[ipv4-addr:value = '192.0.2.1'] START t'2026-01-01T00:00:00Z' STOP t'2026-01-02T00:00:00Z'",
                "PatternTime",
            ),
            ("[ipv4-addr:value = '2001:db8::1']", "Kind"),
            ("[ipv6-addr:value = '192.0.2.1']", "Kind"),
            ("[ipv4-addr:value = '192.0.2.1:80']", "Kind"),
            ("[ipv4-addr:value = 7]", "Kind"),
            ("[ipv4-addr:value = '0.0.0.0/0']", "Everything"),
            ("[domain-name:value = 'domain evil.example' OR ipv4-addr:value = '192.0.2.1']", "Unreadable"),
            ("[ipv4-addr:value = '192.0.2.1'", "PatternSyntax"),
            ("[ipv4-addr:value = \"192.0.2.1\"]", "PatternSyntax"),
            ("ipv4-addr:value = '192.0.2.1'", "PatternSyntax"),
            ("[ipv4-addr:value = '192.0.2.1'] OR", "PatternSyntax"),
            ("[ipv4-addr:value = '192.0.2.1'] x", "PatternSyntax"),
            ("[ipv4-addr:value = '192.0.2.1\\']", "PatternSyntax"),
            ("", "PatternSyntax"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn depth_and_length_are_no_harm() {
        let deep = format!(
            "{}ipv4-addr:value = '192.0.2.1'{}",
            "[(".to_owned() + &"(".repeat(5000),
            ")".repeat(5001) + "]"
        );
        assert_eq!(shown(&deep), "PatternSyntax");
        let long = vec!["[ipv4-addr:value = '192.0.2.1']"; 5000].join(" OR ");
        assert_eq!(of(&long).map(|targets| targets.len()), Ok(5000));
    }

    proptest! {
        #[test]
        fn anything_is_named_or_refused(text in "(\\[|\\]|\\(|\\)|ipv4-addr:value|file:name| = | IN |'192.0.2.1'|AND|OR|NOT |,|\\PC){0,20}") {
            if let Ok(targets) = of(&text) {
                prop_assert!(!targets.is_empty());
            }
        }
    }
}
