//! Changes that are applied, confirmed and taken back, and what holds of devices by hand.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Changed;

/// `POST /v1/apply`: what the files say is to hold.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApplyRequest {
    /// Seconds within which it is to be confirmed; nothing where it holds at once.
    pub seconds: Option<u64>,
    /// Why.
    pub note: Option<String>,
}

/// `POST /v1/rollback`: the pending change is taken back; where none is, an earlier generation holds again.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RollbackRequest {
    /// Which generation; the one before where nothing is said.
    pub number: Option<u32>,
    /// As of [`ApplyRequest`].
    pub seconds: Option<u64>,
    /// Why.
    pub note: Option<String>,
}

/// The answer to `POST /v1/apply`, `/v1/confirm` and `/v1/rollback`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Applied {
    /// The generation on disk that holds now, where one could be kept.
    pub number: Option<u32>,
    /// When it ends unless it is confirmed.
    pub confirm_by: Option<Timestamp>,
    /// What changed.
    #[serde(flatten)]
    pub changed: Changed,
}

/// An element of `GET /v1/generations`, the oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GenerationStatus {
    /// Its number; those that the kernel counts are others.
    pub number: u32,
    /// `pending`, `confirmed`, `reverted`, or `damaged` where it cannot be read: then `note` says why.
    pub state: String,
    /// Whether it holds now.
    pub holds: bool,
    /// When it was applied.
    pub at: Timestamp,
    /// By whom.
    pub by: String,
    /// Why.
    pub note: Option<String>,
    /// Its devices.
    pub devices: usize,
    /// Its allow rules.
    pub rules: usize,
    /// Bytes of configuration, policy and inventory.
    pub bytes: u64,
    /// When it was to be confirmed.
    pub confirm_by: Option<Timestamp>,
    /// When it was confirmed, or taken back.
    pub decided: Option<Timestamp>,
    /// By whom; `the deadline` where nobody confirmed it.
    pub decided_by: Option<String>,
    /// SHA-256 of what it says, hexadecimal.
    pub digest: String,
}

/// In `GET /v1/status`: the change that is to be confirmed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingStatus {
    /// Its generation.
    pub number: u32,
    /// Who applied it.
    pub by: String,
    /// Why.
    pub note: Option<String>,
    /// When it ends unless it is confirmed, by the time of day.
    pub confirm_by: Timestamp,
    /// The same in seconds from now.
    pub left_seconds: u64,
    /// The generation that holds then.
    pub falls_back_to: Option<u32>,
}

/// In `GET /v1/status`: what operators have made hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeStatus {
    /// The generation on disk that holds.
    pub number: Option<u32>,
    /// Whether the files say something else by now: `plan` shows what, `apply` makes it hold.
    pub files_differ: bool,
    /// Why a generation that is kept holds, where it does not come from the files.
    pub kept_because: Option<String>,
    /// The change that is to be confirmed.
    pub pending: Option<PendingStatus>,
}

/// What is to hold by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExceptionKind {
    /// Nothing but management pairs passes.
    Quarantine,
    /// Nothing that policy or lists say drops.
    Bypass,
}

impl ExceptionKind {
    /// The stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Quarantine => "quarantine",
            Self::Bypass => "bypass",
        }
    }
}

/// Of what it is to hold.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// A device, by name.
    Device(String),
    /// All devices of a profile, by name.
    Profile(String),
    /// Every frame.
    All,
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Device(name) => write!(f, "device `{name}`"),
            Self::Profile(name) => write!(f, "profile `{name}`"),
            Self::All => f.write_str("everything"),
        }
    }
}

/// `POST /v1/exceptions`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExceptionRequest {
    /// What.
    pub kind: ExceptionKind,
    /// Of what.
    pub scope: Scope,
    /// How long; until it is released where nothing is said.
    pub seconds: Option<u64>,
    /// Why.
    pub note: Option<String>,
}

/// `POST /v1/exceptions/release`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleaseExceptionRequest {
    /// Of what nothing is to hold by hand any more.
    pub scope: Scope,
    /// Why.
    pub note: Option<String>,
}

/// An element of `GET /v1/exceptions`, and what is kept of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExceptionStatus {
    /// What.
    pub kind: ExceptionKind,
    /// Of what.
    pub scope: Scope,
    /// When it ends; nothing where it is to be released.
    pub until: Option<Timestamp>,
    /// Why.
    pub note: Option<String>,
    /// When it was made.
    pub added: Timestamp,
    /// By whom.
    pub by: String,
}

/// The answer to a change of exceptions.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Excepted {
    /// All that hold now.
    pub exceptions: Vec<ExceptionStatus>,
    /// Devices that are concerned.
    pub devices: usize,
    /// What else the operator should know.
    pub warnings: Vec<String>,
}

/// `POST /v1/trial`: what the files say is judged by too, and nothing follows from it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrialRequest {
    /// For how long.
    pub seconds: u64,
}

/// `POST /v1/trial/end`.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndTrialRequest {
    /// Which, as its beginning was answered; left out, whichever runs.
    #[serde(default)]
    pub generation: Option<u32>,
}

/// `GET /v1/trial`, and the answer to its beginning.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct TrialStatus {
    /// Whether it goes on.
    pub running: bool,
    /// The number of the generation that is on trial, or was last.
    pub generation: Option<u32>,
    /// Seconds until it ends.
    pub left_seconds: u64,
    /// Frames that both generations have judged.
    pub frames: u64,
    /// Those of them that differ and are in no line, because there was no room for one more.
    pub uncounted: u64,
    /// Where they differ, the most frames first.
    pub differences: Vec<DifferenceStatus>,
    /// Why what the files say cannot be tried.
    pub errors: Vec<String>,
    /// What deserves a look in what is on trial.
    pub warnings: Vec<String>,
}

/// Where a generation on trial has another answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DifferenceStatus {
    /// The device; nothing for frames of none.
    pub device: Option<String>,
    /// What happened to the frames.
    pub verdict: String,
    /// Why.
    pub reason: String,
    /// What would have happened.
    pub tried_verdict: String,
    /// Why.
    pub tried_reason: String,
    /// How many frames.
    pub frames: u64,
}
