//! The pin folder: whether programs can be kept there, and what is kept there already.

use std::collections::BTreeMap;
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
    /// What of the tables there keeps a start from taking them over.
    pub obstacle: Option<String>,
}

impl Pins {
    pub(in crate::doctor) fn look(path: &Path) -> Self {
        Self {
            folder: Folder::look(path),
            programs: attach::programs(path).map_err(|error| error.to_string()),
            obstacle: pins::obstacle(path).map(|error| chain(&error)),
        }
    }

    /// The filter's program on an interface.
    #[must_use]
    pub fn on(&self, interface: u32) -> Option<u32> {
        self.programs.as_ref().ok()?.get(&interface).copied()
    }
}
