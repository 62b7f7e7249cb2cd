//! `/v1/sbom` and `/v1/risk`: what devices are made of, and what of it is exposed.

use serde::{Deserialize, Serialize};

use crate::sbom::Imported;

/// The query of `POST /v1/sbom`, whose body is the file.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SbomQuery {
    /// A device, a pattern over names of devices as `ct-*`, or `profile:NAME`.
    pub device: String,
    /// The name of the file.
    pub file: String,
    /// Whether an SBOM that was imported before stays beside it.
    #[serde(default)]
    pub add: bool,
    /// Why, for the audit log.
    pub note: Option<String>,
}

/// The answer.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct SbomImported {
    /// What was imported.
    #[serde(flatten)]
    pub imported: Imported,
    /// Devices that it is about now.
    pub devices: usize,
    /// What it takes the place of.
    pub replaces: Vec<Imported>,
    /// What deserves a look.
    pub warnings: Vec<String>,
}

/// `POST /v1/sbom/remove`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SbomRemoval {
    /// Whom it was imported for, as it was written then.
    pub device: String,
    /// The name of the file; all of them where nothing is said.
    pub file: Option<String>,
    /// Why, for the audit log.
    pub note: Option<String>,
}

/// The answer.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct SbomRemoved {
    /// What was removed.
    pub removed: Vec<Imported>,
}

/// The answer of `GET /v1/sbom`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Sboms {
    /// What was imported, by whom it was imported for.
    pub imported: Vec<Imported>,
    /// What cannot be read any more.
    pub warnings: Vec<String>,
}

/// The query of `GET /v1/risk`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RiskQuery {
    /// Devices whose names match this pattern, as `ct-*`.
    pub device: Option<String>,
    /// Devices of this profile.
    pub profile: Option<String>,
    /// How far back what they did counts, in seconds.
    pub seconds: Option<u64>,
    /// What is closed and what is unlikely is listed too.
    #[serde(default)]
    pub all: bool,
    /// From this probability on something is likely exploited; that of the configuration where nothing is said.
    pub likely: Option<f64>,
}
