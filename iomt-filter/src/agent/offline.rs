//! What an agent would load, read without one: the files of the configuration, beside what is kept in the state folder.

use std::net::IpAddr;

use super::blocks::Blocks;
use super::core::NUMBERS;
use super::grants::{GRANTS, Ledger};
use super::{leases, store, term};
use crate::clock::Clocks;
use crate::config::Config;
use crate::diagnostic::Diagnostic;
use crate::feeds::ManualBlock;
use crate::host::HostNetworks;
use crate::intent::{self, Intent, Known, Overrides};
use crate::numbers::Numbers;
use crate::policy::model::Grant;

/// What is kept, and what the host is connected to.
pub(super) struct Kept<'c> {
    config: &'c Config,
    host: HostNetworks,
    numbers: Numbers,
    blocks: Vec<ManualBlock>,
    grants: Vec<Grant>,
    known: Known<'static>,
    /// What of it is damaged.
    pub(super) damaged: Vec<Diagnostic>,
}

impl<'c> Kept<'c> {
    /// Reads it.
    ///
    /// # Errors
    /// When what an agent has kept, or the host's addresses, cannot be read.
    pub(super) fn read(config: &'c Config) -> anyhow::Result<Self> {
        let state = &config.paths.state;
        let host = HostNetworks::read()?;
        let (seen, now) = (term::seen(state), Clocks::now());
        let numbers = store::load(state, NUMBERS)?;
        let blocks = Blocks::load(state)?.begun(seen, &now).list();
        let grants = store::load::<Ledger>(state, GRANTS)?.begun(seen, &now).models();
        let mut damaged = Vec::new();
        let known = Known::kept(config, &mut damaged);
        Ok(Self { config, host, numbers, blocks, grants, known, damaged })
    }

    /// What the configuration says, with `overrides` in place of its files.
    ///
    /// # Errors
    /// When policy or inventory are invalid, with every reason.
    pub(super) fn intent(&mut self, overrides: &Overrides) -> Result<Intent, Vec<Diagnostic>> {
        let Self { config, host, numbers, blocks, grants, known, .. } = self;
        intent::read_knowing(config, overrides, host, numbers, blocks, grants.clone(), known)
    }

    /// The leases that were known last and lie in a segment of `intent`.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(super) fn leases(&self, intent: &Intent) -> anyhow::Result<Vec<(u32, IpAddr)>> {
        let mut leases = leases::kept(&self.config.paths.state, &self.numbers)?;
        leases.retain(|(_, address)| intent.rows.in_segment((*address).into()));
        Ok(leases)
    }
}
