//! What to do about a packet that is not simply passed.

use std::net::IpAddr;

use iomt_filter_common::Direction;
use iomt_filter_common::case::End;
use iomt_filter_common::policy::Mode;

use super::stages::View;
use crate::feeds::manual;
use crate::policy::service::{PortRange, has_ports};

/// The next step; nothing where there is none to take.
pub(super) fn of(view: &View<'_>) -> Option<String> {
    let ends = [view.case.sender(), view.case.receiver()];
    let end = ends.into_iter().flatten().find(|end| end.device == view.case.decision.device);
    if view.record.verdict == "pass" && view.record.reason != "learned" {
        return None;
    }
    let profile = end.map(|end| view.profile_name(&end)).unwrap_or_default();
    Some(match view.record.reason.as_ref() {
        "not-allowed" | "learned" => rule(view, end.as_ref()?),
        "blocklist" => {
            let listed = view.listed()?;
            let lenient = match listed.score {
                100.. => String::new(),
                score => format!("; `block_score` of {profile} above {score} lets it pass"),
            };
            let withdraw = if listed.feed == manual::FEED {
                format!("`iomt-filter block remove {}` withdraws it", listed.entry)
            } else {
                format!("if {} does not belong on the list, take it from the feed", listed.entry)
            };
            format!("{withdraw}; `[protected]` keeps the pair off lists{lenient}")
        }
        "geo" => {
            let country = view.record.country.clone().unwrap_or_else(|| "unknown countries".into());
            format!("let `geo` of {profile} allow {country}, or name the pair in `[protected]`")
        }
        "unknown-device" => "add it to the inventory, or see `unknown_device` in the policy".into(),
        "spoofed" => "compare hardware address, VLAN and address with the inventory".into(),
        "quarantine" => "its mode in policy or inventory says `quarantine`".into(),
        "no-flow" => {
            "ask for the packet that opens the connection, with flags `S`; see also `midstream`".into()
        }
        "rate-limit" => format!("see `limits` of {profile}"),
        "rogue-dhcp" => "only a DHCP server answers so; let it stand on an uplink".into(),
        _ => "see docs/reasons.md".into(),
    })
}

/// The line that would allow it, in the direction in which the conversation was opened.
fn rule(view: &View<'_>, end: &End) -> String {
    let packet = &view.case.packet;
    let is_sender = view.case.decision.direction() == Direction::FromDevice;
    let is_reply = view.case.is_reply();
    let direction = if is_sender == is_reply { "from" } else { "to" };
    let (far, other) = match is_sender {
        true => (packet.destination, view.case.receiver()),
        false => (packet.source, view.case.sender()),
    };
    let peer = match other {
        Some(other) => format!("profile:{}", view.profile_name(&other)),
        None => IpAddr::from(far).to_string(),
    };
    let port = if is_reply { packet.source_port } else { packet.destination_port };
    let port = if has_ports(packet.protocol) { port } else { 0 };
    let service = PortRange { protocol: packet.protocol, first: port, last: port };
    let profile = view.profile_name(end);
    let line = format!("{{ {direction} = \"{peer}\", service = \"{service}\" }}");
    let both = if other.is_some() { "; the device at the other end must allow it too" } else { "" };
    let passes = if end.mode == Mode::Enforce { "" } else { ", which `enforce` would need" };
    format!("`{line}` in `allow` of {profile} allows it{passes}{both}")
}
