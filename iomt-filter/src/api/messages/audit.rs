//! How the audit log stands.

use serde::{Deserialize, Serialize};

use crate::audit::Mark;

/// In `GET /v1/status`: the audit log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditStatus {
    /// Number and hash of the line that the agent wrote last. Who keeps them elsewhere notices whatever is done to the
    /// log.
    pub last: Option<Mark>,
    /// What holds and is not in the log yet: it is written there as soon as that can be written.
    pub unwritten: Vec<String>,
    /// Why it could not be written when that was last tried.
    pub error: Option<String>,
}
