//! What devices are exposed to by what they are made of: vulnerabilities that are known to be exploited (CISA KEV) or
//! likely are (FIRST EPSS), the service that each concerns where that can be known, whether the device uses it and the
//! policy allows it, and the rule that would do.
//!
//! What was imported ([`Kept`](crate::sbom::Kept)), the catalogs, what is in force as an [`Intent`](crate::intent::Intent)
//! and what devices have talked to come in; a [`Risk`] goes out. It ranks and proposes, and changes nothing. Nothing here
//! reads a file, a map or a clock.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::contacts::Direction;
use crate::sbom::State;

pub mod kev;
pub mod epss;
mod service;
mod finding;
mod assess;
mod exposure;
mod rule;
mod write;
mod text;

pub use assess::{Assessing, Ground};
pub use service::{Guess, guess};

/// Findings that are told one by one at most; of others there is a number.
pub const MOST_FINDINGS: usize = 10_000;
/// From this probability on something is likely exploited, where nothing else is configured.
pub const LIKELY: f64 = 0.1;
/// The age from which on a catalog is too old, where nothing else is configured: KEV changes every few days, EPSS daily.
pub const MAX_AGE: Duration = Duration::from_secs(14 * 86_400);

/// The catalogs, each as far as it could be read.
#[derive(Clone, Debug, Default)]
pub struct Catalogs {
    /// CISA's catalog of known exploited vulnerabilities.
    pub kev: Option<kev::Catalog>,
    /// FIRST's scores.
    pub epss: Option<epss::Scores>,
    /// How each of them stands.
    pub sources: Vec<SourceStatus>,
}

/// How a catalog stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceStatus {
    /// `kev` or `epss`.
    pub name: String,
    /// The file; nothing where none is configured.
    pub path: Option<String>,
    /// When it was made, as it says.
    pub made: Option<Timestamp>,
    /// Entries in it.
    pub entries: usize,
    /// What is wrong with it: it is not there, cannot be read, or is old.
    pub problem: Option<String>,
}

/// What devices are exposed to.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Risk {
    /// What was found, the gravest first.
    pub findings: Vec<Finding>,
    /// How many more there are.
    pub more: usize,
    /// What is not listed.
    pub left_out: LeftOut,
    /// From this probability on something counts as likely exploited.
    pub likely: f64,
    /// The catalogs.
    pub sources: Vec<SourceStatus>,
    /// What is proposed, by profile.
    pub proposals: Vec<Proposal>,
    /// The profiles that something is proposed for, whole, as a policy writes them.
    pub policy: String,
    /// What would change in the policy file, as `patch` takes it; empty where nothing would.
    pub diff: String,
    /// Contacts of this moment and later were looked at.
    pub since: Timestamp,
    /// What deserves a look.
    pub warnings: Vec<String>,
}

/// What is not listed, by why not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Not affected, mended, or named by mistake, as somebody has said.
    pub closed: usize,
    /// Open, and less likely exploited than the threshold.
    pub unlikely: usize,
    /// Open, and there is no score for them.
    pub not_scored: usize,
    /// Devices for which nothing was imported.
    pub devices_without: usize,
}

/// A vulnerability of a device.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Finding {
    /// The device.
    pub device: String,
    /// Its profile.
    pub profile: String,
    /// Of the CVE list, where it has a number there.
    pub vulnerability: String,
    /// The component, with its version.
    pub component: String,
    /// Its package URL.
    pub purl: Option<String>,
    /// Its name in NVD's dictionary.
    pub cpe: Option<String>,
    /// The file that says so.
    pub file: String,
    /// How grave it is.
    pub rank: Rank,
    /// Why it has this rank, in words.
    pub why: String,
    /// When it came into CISA's catalog, as a date.
    pub known_exploited_since: Option<String>,
    /// Whether it is known to be used for ransomware.
    pub ransomware: bool,
    /// The probability that it is exploited within 30 days (EPSS).
    pub epss: Option<f64>,
    /// The highest base score of CVSS that a file says.
    pub cvss: Option<f64>,
    /// What was said of it last.
    pub state: State,
    /// Why, as the file says it.
    pub justification: Option<String>,
    /// The service that it concerns, and how that is known, or why it is not.
    pub service: Guess,
    /// What of that service the device does and may do; empty where the service is not known, and for what is closed.
    pub exposures: Vec<Exposure>,
    /// What is proposed, in words.
    pub proposal: String,
}

/// How grave something is, the gravest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rank {
    /// Known to be exploited, for ransomware too.
    Ransomware,
    /// Known to be exploited.
    KnownExploited,
    /// As likely exploited as the threshold says, or more.
    LikelyExploited,
    /// Nobody knows: there is no score.
    NotScored,
    /// Less likely.
    #[default]
    Unlikely,
    /// Nothing is to be done.
    Closed,
}

/// A service in one direction, at one device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exposure {
    /// The service, as rules write it.
    pub service: String,
    /// Who opens.
    pub direction: Direction,
    /// Far ends that the device was seen with.
    pub peers: usize,
    /// Packets with them, both ways.
    pub packets: u64,
    /// When last.
    pub last_seen: Option<Timestamp>,
    /// Far ends that it was seen with where the other end opens, which the vulnerability is not about.
    pub other_way: usize,
    /// What the policy says of it.
    pub access: Access,
    /// The rules of its profile that allow it to some far end.
    pub rules: Vec<String>,
    /// Management pairs that have it whatever the policy says.
    pub management: Vec<String>,
    /// What is proposed, in words.
    pub proposal: String,
}

/// What the policy in force says of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// No rule allows it, and it is dropped.
    Denied,
    /// No rule allows it, and it passes for the mode of the device.
    Reported,
    /// Rules allow it to some far ends, and for all others it passes for the mode of the device.
    AllowedAndReported,
    /// Rules allow it to some far ends, and it is dropped for all others.
    Allowed,
}

/// What is proposed for the rules of a profile.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// The profile.
    pub profile: String,
    /// Rules that allow what is vulnerable, in the order of the file.
    pub rules: Vec<RuleProposal>,
}

/// What is proposed for a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleProposal {
    /// The rule, as events call it.
    pub rule: String,
    /// Its place among those of the profile, from 1.
    pub index: usize,
    /// Who opens.
    pub direction: Direction,
    /// What is vulnerable of what it allows: each port, the far ends that used it through this rule, and for which
    /// vulnerabilities.
    pub parts: Vec<Part>,
    /// What is to be done.
    pub action: Action,
    /// The same in words, with the reason.
    pub why: String,
}

/// A vulnerable service that a rule allows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The service, as rules write it.
    pub service: String,
    /// IP protocol number.
    pub protocol: u8,
    /// The port.
    pub port: u16,
    /// The far ends that used it, as rules write them.
    pub peers: Vec<String>,
    /// The vulnerabilities.
    pub vulnerabilities: BTreeSet<String>,
}

/// What is to be done about a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Nothing used it: it goes, or what is vulnerable of it.
    Remove,
    /// It is made narrower: what is vulnerable is left to those who used it.
    Narrow,
    /// It is as narrow as what was seen.
    Keep,
    /// Somebody has to look: too little or too much was seen.
    Review,
}
