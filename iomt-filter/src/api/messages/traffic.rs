//! `GET /v1/devices` and `GET /v1/flows`: what was counted of devices, and what is remembered of conversations.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// An element of `GET /v1/devices`; the last one, without a name, counts frames of no device.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct DeviceStatus {
    /// Its name.
    pub name: Option<String>,
    /// Its profile.
    pub profile: Option<String>,
    /// Its mode.
    pub mode: Option<String>,
    /// Its hardware address.
    pub mac: Option<String>,
    /// Its VLAN.
    pub vlan: Option<u16>,
    /// Its addresses.
    pub addresses: Vec<String>,
    /// Addresses that it has from DHCP; nothing where it takes none from there.
    pub leases: Option<Vec<LeaseStatus>>,
    /// `closed` or `open`: what holds for it when policy cannot be evaluated.
    pub fail: Option<String>,
    /// `static` or `open`: what holds for it after the agent has been missing too long.
    pub on_agent_loss: Option<String>,
    /// Frames that passed.
    pub allowed: u64,
    /// Frames that were dropped or reset.
    pub dropped: u64,
    /// Frames that passed, and would not in `enforce`.
    pub would_dropped: u64,
    /// Frames by verdict and reason.
    pub reasons: BTreeMap<String, BTreeMap<String, u64>>,
    /// Its flows, where they are asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flows: Option<FlowTotals>,
}

/// The query of `GET /v1/devices`.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceQuery {
    /// Add up the flows of each device, too.
    #[serde(default)]
    pub flows: bool,
}

/// The flows of a device that are remembered, together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowTotals {
    /// How many there are.
    pub flows: u64,
    /// Their packets, both ways.
    pub packets: u64,
    /// Bytes of their frames, both ways.
    pub bytes: u64,
}

/// The query of `GET /v1/flows`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlowQuery {
    /// Only of this device.
    pub device: Option<String>,
}

/// An address that a device has from DHCP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseStatus {
    /// The address.
    pub address: String,
    /// When the lease ends; nothing where it is good until another replaces it.
    pub until: Option<Timestamp>,
}

/// An element of `GET /v1/flows`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FlowStatus {
    /// The device that it was allowed for.
    pub device: Option<String>,
    /// Who opened.
    pub source: String,
    /// Its port, where the protocol has ports.
    pub source_port: Option<u16>,
    /// Who was opened to.
    pub destination: String,
    /// The port that was opened, where the protocol has ports.
    pub destination_port: Option<u16>,
    /// Protocol.
    pub protocol: String,
    /// `opening`, `established` or `closing`.
    pub progress: String,
    /// Packets, both ways.
    pub packets: u64,
    /// Bytes of the frames, both ways.
    pub bytes: u64,
    /// Seconds since the last packet.
    pub idle_seconds: u64,
    /// The rule that allows it.
    pub rule: Option<String>,
    /// Whether the active generation has judged it.
    pub current: bool,
}
