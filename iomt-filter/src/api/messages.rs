//! What goes over the control socket.

use std::collections::BTreeMap;

use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::privileges::Privileges;

mod audit;
pub mod change;
pub mod event;
pub mod history;
pub mod incident;
pub mod learn;
mod traffic;
pub mod sbom;

pub use audit::AuditStatus;
pub use change::{
    Applied, ApplyRequest, ChangeStatus, DifferenceStatus, EndTrialRequest, Excepted, ExceptionKind,
    ExceptionRequest, ExceptionStatus, GenerationStatus, PendingStatus, ReleaseExceptionRequest,
    RollbackRequest, Scope, TrialRequest, TrialStatus,
};
pub use event::{ArchiveStatus, Emission, EventQuery, SinkStatus};
pub use history::{HistoryQuery, HistoryStatus, Listed, MOST_TALKED};
pub use incident::{Incident, IncidentKind};
pub use learn::{LearnQuery, Learned};
pub use sbom::{RiskQuery, SbomImported, SbomQuery, SbomRemoval, SbomRemoved, Sboms};
pub use traffic::{DeviceQuery, DeviceStatus, FlowQuery, FlowStatus, FlowTotals, LeaseStatus};

/// `GET /v1/status`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// Version of the agent.
    pub version: String,
    /// Version of the contract with the kernel program.
    pub contract: u32,
    /// Name of the host.
    pub host: String,
    /// When the agent started.
    pub started: Timestamp,
    /// Whether it took over what an earlier agent left in the kernel.
    pub adopted: bool,
    /// The active generation.
    pub generation: u32,
    /// When it became active.
    pub generation_since: Timestamp,
    /// What holds where policy leaves a choice.
    pub defaults: Defaults,
    /// Whether the kernel program hears of the agent.
    pub heartbeat: Heartbeat,
    /// What the agent may do.
    #[serde(default)]
    pub privileges: Privileges,
    /// What profiles say of the time without a policy or an agent.
    pub profiles: Vec<ProfileStatus>,
    /// Interfaces that are filtered.
    pub interfaces: Vec<Interface>,
    /// Addresses that count as behind the device ports.
    pub segments: Vec<IpNet>,
    /// Devices by mode.
    pub devices: BTreeMap<String, usize>,
    /// Rows and room of each table.
    pub tables: Vec<Table>,
    /// The feeds, and what the gate made of them.
    pub feeds: Vec<Value>,
    /// The country database, where there is one.
    pub geo: Option<Value>,
    /// How who talked to whom is kept.
    #[serde(default)]
    pub contacts: ContactsStatus,
    /// Frames by verdict and reason, since the tables were made.
    pub frames: BTreeMap<String, BTreeMap<String, u64>>,
    /// What became of the records, by verdict: `emitted + suppressed + lost` is the number of frames.
    pub events: BTreeMap<String, Fates>,
    /// Records that the agent has read since it started, by verdict: every sink and the archive account for each.
    #[serde(default)]
    pub records: BTreeMap<String, u64>,
    /// How events are kept.
    #[serde(default)]
    pub archive: ArchiveStatus,
    /// Where events go besides.
    #[serde(default)]
    pub sinks: Vec<SinkStatus>,
    /// Warnings of the last load.
    pub warnings: Vec<String>,
    /// The last reload that failed, where none has succeeded since.
    pub failed_reload: Option<FailedReload>,
    /// What operators have made hold, and what is to be confirmed.
    #[serde(default)]
    pub change: ChangeStatus,
    /// What holds by hand: quarantine and bypass.
    #[serde(default)]
    pub exceptions: Vec<ExceptionStatus>,
    /// What this agent had to mend.
    #[serde(default)]
    pub incidents: Vec<Incident>,
    /// Whether somebody else writes into the kernel's tables.
    #[serde(default)]
    pub drift: DriftStatus,
    /// How the audit log stands.
    #[serde(default)]
    pub audit: AuditStatus,
}

/// How often the kernel's tables held something else than was written, and were written anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriftStatus {
    /// Since the agent started.
    pub repairs: u64,
    /// When it was so last.
    pub last: Option<Timestamp>,
}

/// How who talked to whom is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContactsStatus {
    /// The database.
    pub path: String,
    /// Contacts in it, when they were last counted.
    pub contacts: Option<u64>,
    /// When the flow table was last read and kept.
    pub read: Option<Timestamp>,
    /// Packets that passed without a rule, and of which is not known to what conversation they belonged: there were
    /// too many at once.
    #[serde(default)]
    pub missed: u64,
    /// Events that told of something that a device never did, since the agent started, by what it was.
    #[serde(default)]
    pub drifts: BTreeMap<String, u64>,
    /// Why it is not kept at the moment.
    pub error: Option<String>,
    /// Where a database is that was damaged, where one was since the agent started.
    pub moved_aside: Option<String>,
}

/// What holds where policy leaves a choice.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Defaults {
    /// For frames of unknown devices.
    pub unknown_device: String,
    /// For frames that cannot be read.
    pub unparsed: String,
    /// For TCP without a remembered connection.
    pub midstream: String,
}

/// How the kernel program knows that the agent lives.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Heartbeat {
    /// Milliseconds since the last beat; nothing before the first.
    pub age_milliseconds: Option<u64>,
    /// `loss_after`: how long it may be missing, in seconds.
    pub loss_after_seconds: u16,
}

/// What a profile says of what is out of the ordinary.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProfileStatus {
    /// Its name.
    pub name: String,
    /// Its devices.
    pub devices: usize,
    /// `drop` or `reset`.
    pub on_block: String,
    /// `closed` or `open`.
    pub fail: String,
    /// `static` or `open`.
    pub on_agent_loss: String,
    /// Limits, by name as in `from.packets`; those that are not set are left out.
    pub limits: BTreeMap<String, u32>,
}

/// An interface that is filtered.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// `device` or `uplink`.
    pub port: String,
    /// VLANs on it that have a role of their own.
    #[serde(default)]
    pub vlans: BTreeMap<u16, String>,
    /// `native`, `generic`, or `kept` where the link of an earlier agent goes on as it was; `left over`
    /// where that interface is configured no more; `missing` or `not attached` where it is not judged.
    pub mode: String,
    /// `up`, `down`, or `no carrier`; nothing where it is not there.
    #[serde(default)]
    pub state: String,
}

/// How full a table is. Tables of rows and lists hold two generations at once, the one that judges and the one that
/// is to: what is said here is of one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// What the active generation uses.
    pub used: usize,
    /// What another one could use more.
    #[serde(default)]
    pub free: usize,
    /// Both together.
    pub capacity: usize,
    /// What is counted.
    #[serde(default)]
    pub unit: String,
}

/// What became of the records of one verdict.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Fates {
    /// Written and read.
    pub emitted: u64,
    /// Not written, because of the rate limit.
    pub suppressed: u64,
    /// Not written, because the buffer was full.
    pub lost: u64,
}

/// A reload that changed nothing.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FailedReload {
    /// When.
    pub at: Timestamp,
    /// Why.
    pub errors: Vec<String>,
}

/// `POST /v1/blocks`: addresses to block, all or none.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlockRequest {
    /// The addresses.
    pub targets: Vec<IpNet>,
    /// 0 to 100.
    pub score: u8,
    /// When the blocks end; never where there is nothing.
    pub until: Option<Timestamp>,
    /// Why.
    pub note: Option<String>,
    /// Addresses of a list, each with what the list says of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub listed: Vec<ListedBlock>,
}

/// An address of a list that is to be blocked by hand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedBlock {
    /// The addresses.
    pub target: IpNet,
    /// 0 to 100, where it is not the request's.
    pub score: Option<u8>,
    /// When the block ends, where that is before the request's.
    pub until: Option<Timestamp>,
    /// Why, where it is not what the request says.
    pub note: Option<String>,
}

/// `POST /v1/blocks/remove`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnblockRequest {
    /// The addresses, exactly as they were added.
    pub targets: Vec<IpNet>,
    /// Why, for the audit log.
    #[serde(default)]
    pub note: Option<String>,
}

/// `POST /v1/reload`; nothing where there is nothing to say.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReloadRequest {
    /// Why, for the audit log.
    #[serde(default)]
    pub note: Option<String>,
}

/// `POST /v1/feeds/refresh`: feeds to be fetched now.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefreshRequest {
    /// One of them; all where nothing is said.
    pub name: Option<String>,
    /// Why, for the audit log.
    #[serde(default)]
    pub note: Option<String>,
}

/// The answer: which feeds are fetched.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Refreshing {
    /// Their names.
    pub feeds: Vec<String>,
}

/// `POST /v1/feeds/release`: a list that waits is to be let through.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleaseRequest {
    /// The feed.
    pub name: String,
    /// Why, for the audit log.
    pub note: Option<String>,
}

/// The most questions of one lookup.
pub const MOST_QUERIES: usize = 1_000;
/// The longest lookup, as JSON, in bytes.
pub const LONGEST_LOOKUP: usize = 256 << 10;

/// `POST /v1/lookup`: what is known of these, of which there are [`MOST_QUERIES`] at most, in [`LONGEST_LOOKUP`] bytes.
/// How much an answer lists one by one goes by how many there are.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LookupRequest {
    /// Addresses, prefixes and domains.
    pub queries: Vec<String>,
}

/// The longest question for a plan, as JSON, in bytes: inventories of ten thousand devices have two million.
pub const LONGEST_PLAN: usize = 8 << 20;

/// `GET /v1/plan`, and `POST /v1/plan` with a policy or an inventory: what would change if that were loaded, and what it
/// would cut. Nothing changes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanRequest {
    /// The policy in place of the configuration's.
    pub policy: Option<FileText>,
    /// The inventory in place of the configuration's.
    pub devices: Option<FileText>,
    /// How far back what devices did is looked at; 30 days where nothing is said.
    pub seconds: Option<u64>,
}

/// A file that was read by who asks.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FileText {
    /// Its name, as it was given.
    pub name: String,
    /// What is in it.
    pub text: String,
}

/// `POST /v1/grants`: access of one device for a time.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrantRequest {
    /// The device, by name.
    pub device: String,
    /// Peers that the device may open to; either these or `from`.
    #[serde(default)]
    pub to: Vec<String>,
    /// Peers that may open to the device.
    #[serde(default)]
    pub from: Vec<String>,
    /// What may be opened.
    pub services: Vec<String>,
    /// How long it holds.
    pub seconds: u64,
    /// Why.
    pub note: Option<String>,
}

/// An element of `GET /v1/grants`, and what is kept of a grant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Its number; none is given twice.
    pub id: u32,
    /// The device, by name.
    pub device: String,
    /// Peers that the device may open to.
    pub to: Vec<String>,
    /// Peers that may open to the device.
    pub from: Vec<String>,
    /// What may be opened.
    pub services: Vec<String>,
    /// When it ends.
    pub until: Timestamp,
    /// Why.
    pub note: Option<String>,
    /// When it was given.
    pub added: Timestamp,
    /// By whom.
    pub by: String,
}

/// The answer to `POST /v1/grants`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Granted {
    /// The grant.
    pub grant: Grant,
    /// The generation that is active now.
    pub generation: u32,
    /// What bites before it at this moment.
    pub warnings: Vec<String>,
}

/// `POST /v1/grants/revoke`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevokeRequest {
    /// The number of the grant.
    pub id: u32,
    /// Why, for the audit log.
    #[serde(default)]
    pub note: Option<String>,
}

/// The answer to a change.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Changed {
    /// The generation that is active now.
    pub generation: u32,
    /// Entries that the change added, replaced or removed.
    pub changed: usize,
    /// What else the operator should know.
    pub warnings: Vec<String>,
    /// What devices talk to and are cut from by that, a sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cuts: Vec<String>,
}

/// The answer to a request that was refused; nothing was changed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Refused {
    /// Why, most important first.
    pub errors: Vec<String>,
}
