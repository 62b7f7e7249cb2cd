//! What runs, as those see it who only ask.
//!
//! The core hands out a picture after every change; whoever asks takes the last one along and reads the
//! kernel's tables by handles of their own. So questions wait for no change, and no change, nor the work of
//! every second, waits for a question.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::auditing::Auditing;
use super::blocks::Blocks;
use super::changes::Current;
use super::core::Core;
use super::exceptions::Exceptions;
use super::grants::Ledger;
use crate::api::messages::{DriftStatus, FailedReload, Incident, PendingStatus};
use crate::config::Config;
use crate::datapath::{Attachment, Readings};
use crate::host::HostNetworks;
use crate::intent::Intent;
use crate::numbers::Numbers;
use crate::rows::Shared;

/// The picture. What is large is shared, so that making one costs nothing.
pub(super) struct Running {
    pub(super) readings: Arc<Readings>,
    pub(super) intent: Arc<Intent>,
    pub(super) numbers: Arc<Numbers>,
    pub(super) blocks: Arc<Blocks>,
    pub(super) grants: Arc<Ledger>,
    pub(super) attachments: Vec<Attachment>,
    pub(super) incidents: Vec<Incident>,
    pub(super) config: Arc<Config>,
    pub(super) host: HostNetworks,
    pub(super) host_name: String,
    pub(super) started: Timestamp,
    pub(super) adopted: bool,
    pub(super) generation: u32,
    pub(super) generation_since: Timestamp,
    pub(super) failed_reload: Option<FailedReload>,
    pub(super) exceptions: Arc<Exceptions>,
    pub(super) current: Option<Current>,
    pub(super) kept_because: Option<String>,
    pub(super) pending: Option<PendingStatus>,
    pub(super) drift: DriftStatus,
    /// Names of the devices in what is on trial.
    pub(super) tried_names: Shared<BTreeMap<u32, String>>,
    pub(super) auditing: Arc<Auditing>,
    /// Lists and countries: names, lines in use, and lines.
    pub(super) lines: [(&'static str, usize, usize); 4],
}

impl Core {
    /// The picture of this moment.
    pub(super) fn running(&self) -> Running {
        Running {
            readings: self.datapath.readings(),
            intent: self.intent.clone(),
            numbers: self.numbers.clone(),
            blocks: self.blocks.clone(),
            grants: self.grants.clone(),
            attachments: self.attachments.clone(),
            incidents: self.repairs.list(),
            config: self.config.clone(),
            host: self.host.clone(),
            host_name: self.host_name.clone(),
            started: self.started,
            adopted: self.datapath.is_adopted(),
            generation: self.datapath.generation().map_or(0, |generation| generation.number),
            generation_since: self.generation_since,
            failed_reload: self.failed_reload.clone(),
            exceptions: self.exceptions.clone(),
            current: self.current.clone(),
            kept_because: self.kept_because.clone(),
            pending: self.pending(),
            drift: self.drift,
            tried_names: self.trying.names.clone(),
            auditing: self.auditing.clone(),
            lines: self.datapath.lines(),
        }
    }
}
