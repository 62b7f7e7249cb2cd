//! A MUD file as it is written: members in the order of RFC 8520 §9, with their modules as RFC 7951 §4 wants them.

use serde::Serialize;

use super::entry::Families;
use crate::contacts::Direction;

/// A file.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Document {
    #[serde(rename = "ietf-mud:mud")]
    pub(super) mud: Container,
    #[serde(rename = "ietf-access-control-list:acls")]
    pub(super) acls: Lists,
}

#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Container {
    pub(super) mud_version: u8,
    pub(super) mud_url: String,
    pub(super) last_update: String,
    pub(super) cache_validity: u8,
    pub(super) is_supported: bool,
    pub(super) systeminfo: String,
    pub(super) from_device_policy: Policy,
    pub(super) to_device_policy: Policy,
}

#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Policy {
    access_lists: Named,
}

#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Named {
    access_list: Vec<Name>,
}

#[derive(Clone, Debug, Serialize)]
struct Name {
    name: String,
}

#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Lists {
    pub(super) acl: Vec<List>,
}

/// A list of one version of IP for packets of one sender.
#[derive(Clone, Debug, Serialize)]
pub(super) struct List {
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) aces: Entries,
}

#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Entries {
    pub(super) ace: Vec<Ace>,
}

/// An entry.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Ace {
    pub(super) name: String,
    pub(super) matches: Matches,
    pub(super) actions: Actions,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Actions {
    pub(super) forwarding: &'static str,
}

#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Matches {
    #[serde(rename = "ietf-mud:mud", skip_serializing_if = "Option::is_none")]
    pub(super) mud: Option<Class>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ipv4: Option<Header>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ipv6: Option<Header>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tcp: Option<Transport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) udp: Option<Transport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) icmp: Option<Icmp>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Class {
    Model(String),
    Controller(String),
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Header {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) protocol: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) source_ipv4_network: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) destination_ipv4_network: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) source_ipv6_network: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) destination_ipv6_network: Option<String>,
}

#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Transport {
    #[serde(rename = "ietf-mud:direction-initiated", skip_serializing_if = "Option::is_none")]
    pub(super) direction_initiated: Option<Direction>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) source_port: Option<Port>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) destination_port: Option<Port>,
}

#[derive(Clone, Copy, Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Port {
    One {
        operator: &'static str,
        port: u16,
    },
    #[serde(rename_all = "kebab-case")]
    Range {
        lower_port: u16,
        upper_port: u16,
    },
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Icmp {
    #[serde(rename = "type")]
    pub(super) kind: u8,
}

impl Document {
    /// Adds an entry for packets of `sender` to the list of its version of IP, which is made where there is none.
    pub(super) fn add(&mut self, profile: &str, sender: Direction, families: Families, ace: Ace) {
        let (version, kind) = if families.v4 { ("v4", "ipv4-acl-type") } else { ("v6", "ipv6-acl-type") };
        let (policy, way) = match sender {
            Direction::FromDevice => (&mut self.mud.from_device_policy, "fr"),
            Direction::ToDevice => (&mut self.mud.to_device_policy, "to"),
        };
        let name = format!("mud-{profile}-{version}{way}");
        if let Some(list) = self.acls.acl.iter_mut().find(|list| list.name == name) {
            return list.aces.ace.push(ace);
        }
        policy.access_lists.access_list.push(Name { name: name.clone() });
        self.acls.acl.push(List { name, kind, aces: Entries { ace: vec![ace] } });
    }
}
