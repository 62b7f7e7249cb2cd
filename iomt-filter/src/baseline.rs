//! What devices do, as a policy: the smallest readable allow-list that covers what was seen of them, and how far each
//! device is from being enforced.
//!
//! What is in force comes in as an [`Intent`], with what devices have talked to ([`Contact`]s); a [`Proposal`] or a
//! [`Readiness`] a device goes out. Each contact is judged by what is in force, by the functions that the kernel
//! program is made of: what a rule allows needs none, and what is listed or refused for its country gets none. Nothing
//! here reads a file, a map or a clock.

use std::collections::BTreeSet;
use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::contacts::{Contact, Direction};
use crate::glob;
use crate::intent::Intent;

mod confidence;
pub mod drift;
mod fragment;
mod gather;
mod merge;
mod readiness;
mod scan;
mod service;
mod text;

pub use confidence::Confidence;
pub use fragment::{Fragment, write};
pub(crate) use fragment::{Written, alone, difference, profile_text, table_of};
pub use gather::Gathering;
pub use readiness::{READY_AFTER_DAYS, Readiness, Watching};
pub(crate) use scan::is_once;

/// What contacts are judged by.
#[derive(Clone, Copy, Debug)]
pub struct Ground<'g> {
    /// What is in force.
    pub intent: &'g Intent,
    /// Which addresses DHCP has given, by the number of the device.
    pub leases: &'g [(u32, IpAddr)],
    /// Nanoseconds since the host was booted: grants end by it.
    pub now: u64,
}

/// Whose contacts count.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// Devices whose names match this pattern, as `ct-*`; all where nothing is said.
    pub device: Option<String>,
    /// Devices of this profile.
    pub profile: Option<String>,
}

impl Scope {
    /// Whether a device is in it.
    pub(crate) fn has(&self, device: &str, profile: &str) -> bool {
        self.device.as_deref().is_none_or(|pattern| glob::matches(pattern, device))
            && self.profile.as_deref().is_none_or(|wanted| wanted == profile)
    }
}

/// Rules that would cover what was seen, and what was left out.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Proposal {
    /// By profile, in the order of their names.
    pub profiles: Vec<Profile>,
    /// Contacts of this moment and later were looked at.
    pub since: Timestamp,
    /// How many were looked at.
    pub contacts: usize,
    /// How many could not be judged: nothing is known of the device any more, or of its address.
    pub not_judged: usize,
    /// What deserves a look.
    pub warnings: Vec<String>,
}

/// What is proposed for the devices of one profile.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// The mode that it has now.
    pub mode: String,
    /// Its devices of which something was seen.
    pub devices: BTreeSet<String>,
    /// When anything of them was seen first.
    pub first_seen: Option<Timestamp>,
    /// When anything of them was seen last.
    pub last_seen: Option<Timestamp>,
    /// Rules that are lacking.
    pub rules: Vec<Rule>,
    /// Rules in force, in their order.
    pub in_force: Vec<Use>,
    /// What was seen and gets no rule.
    pub left_out: Vec<LeftOut>,
}

/// A rule that is lacking.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// Who opens.
    pub direction: Direction,
    /// With whom, as rules write it.
    pub peers: Vec<String>,
    /// What, as rules write it.
    pub services: Vec<String>,
    /// How it goes through the network.
    pub kind: Kind,
    /// How sure it is that care needs it.
    pub confidence: Confidence,
    /// The devices that need it.
    pub devices: BTreeSet<String>,
    /// When first.
    pub first_seen: Timestamp,
    /// When last.
    pub last_seen: Timestamp,
    /// Packets both ways.
    pub packets: u64,
    /// Bytes both ways.
    pub bytes: u64,
    /// Some of what it covers, the most frequent first.
    pub examples: Vec<String>,
}

/// How a rule goes through the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// From a device to somebody else.
    Outbound,
    /// From somebody else to a device.
    Inbound,
    /// Between devices.
    Lateral,
}

/// A rule in force, and what it was used for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Use {
    /// As events call it.
    pub rule: String,
    /// Packets that it allowed, as far as contacts go back.
    pub packets: u64,
    /// When it was used last; nothing where it was not.
    pub last_used: Option<Timestamp>,
}

/// What was seen and gets no rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// The device.
    pub device: String,
    /// Who opened.
    pub direction: Direction,
    /// With whom; a number of them where they are many.
    pub peer: String,
    /// What; a number of them where they are many.
    pub service: String,
    /// Packets both ways.
    pub packets: u64,
    /// When last.
    pub last_seen: Timestamp,
    /// Why.
    pub why: String,
}

/// A contact that no rule allows and that could have one.
#[derive(Clone, Debug)]
struct Need {
    contact: Contact,
    target: Target,
}

/// Whom a rule would name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Target {
    /// An endpoint of the policy.
    Endpoint(String),
    /// The host itself.
    Gateway,
    /// Devices of a profile.
    Profile(String),
    /// A network that many of them share.
    Network(ipnet::IpNet),
    /// An address.
    Address(IpAddr),
}

impl Target {
    /// As rules write it.
    fn name(&self) -> String {
        match self {
            Self::Endpoint(name) => name.clone(),
            Self::Gateway => "gateway".to_owned(),
            Self::Profile(name) => format!("profile:{name}"),
            Self::Network(network) => network.to_string(),
            Self::Address(address) => address.to_string(),
        }
    }
}
