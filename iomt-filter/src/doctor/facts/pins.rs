//! The pin folder: whether programs can be kept there, and what is kept there already.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::places::Folder;
use crate::agent::core::chain;
use crate::datapath::attach;
use crate::datapath::pins;

/// The pin folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pins {
    /// It.
    pub folder: Folder,
    /// Programs of the filter that are pinned there, by the index of the interface that each is on; why they cannot
    /// be read.
    pub programs: Result<BTreeMap<u32, u32>, String>,
    /// Those of them that somebody else has put into the filter's links, as far as this process may ask.
    pub strangers: BTreeSet<u32>,
    /// What of the tables there keeps a start from taking them over.
    pub obstacle: Option<String>,
}

impl Pins {
    pub(in crate::doctor) fn look(path: &Path) -> Self {
        Self {
            folder: Folder::look(path),
            programs: attach::programs(path).map_err(|error| error.to_string()),
            strangers: attach::strangers(path),
            obstacle: pins::obstacle(path).map(|error| chain(&error)),
        }
    }

    /// The program in the filter's link on an interface, and whether it is the filter's.
    #[must_use]
    pub fn on(&self, interface: u32) -> Option<(u32, bool)> {
        let program = *self.programs.as_ref().ok()?.get(&interface)?;
        Some((program, !self.strangers.contains(&program)))
    }
}
