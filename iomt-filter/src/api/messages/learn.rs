//! `/v1/learn`: what devices did, as rules.

use serde::{Deserialize, Serialize};

use crate::baseline::Proposal;

/// The query of `GET /v1/learn` and `GET /v1/learn/status`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LearnQuery {
    /// Devices whose names match this pattern, as `ct-*`.
    pub device: Option<String>,
    /// Devices of this profile.
    pub profile: Option<String>,
    /// How far back what they did counts, in seconds.
    pub seconds: Option<u64>,
}

/// The answer of `GET /v1/learn`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Learned {
    /// Rules that are lacking, and what was left out.
    #[serde(flatten)]
    pub proposal: Proposal,
    /// The profiles that rules are lacking for, whole, as a policy writes them.
    pub policy: String,
    /// What changes in the policy file; empty where nothing does.
    pub diff: String,
}
