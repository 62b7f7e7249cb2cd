//! What an agent had to mend since it started.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// In `GET /v1/status`: something that was not as the filter had left it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// What it was.
    pub kind: IncidentKind,
    /// The interface or the table.
    pub about: String,
    /// What was found, the last time.
    pub note: String,
    /// When it was found last.
    pub at: Timestamp,
    /// How often it was found.
    pub times: u32,
}

/// What was not as the filter had left it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IncidentKind {
    /// Somebody else had changed it, and it was changed back.
    Repaired,
    /// Somebody else had changed it, and it could not be changed back then.
    Tampered,
    /// An interface was there and not judged.
    Unjudged,
}

impl IncidentKind {
    /// The stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Repaired => "repaired",
            Self::Tampered => "tampered",
            Self::Unjudged => "unjudged",
        }
    }

    /// The name in the audit log.
    #[must_use]
    pub const fn entry(self) -> &'static str {
        match self {
            Self::Repaired => "repair",
            Self::Tampered => "tampered",
            Self::Unjudged => "unjudged",
        }
    }
}
