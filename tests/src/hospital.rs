//! A small hospital in network namespaces of its own, with real programs in it.
//!
//! ```text
//!   ct      10.10.0.11 ──┐                            ┌── pacs    10.20.0.10, .20 (storescp, HL7)
//!   pump    10.10.0.12 ──┤ seg ── 10.20.255.0/30 ── core ── c2      203.0.113.9   on a threat list
//!   laptop  10.10.0.66 ──┘ (the filter)               ├── denied  192.0.2.5     in a denied country
//!                                                     └── vendor  198.51.100.7
//! ```
//!
//! `seg` bridges the devices and routes between them and the rest; `core` stands for the hospital network
//! and the internet. Every host has an IPv6 address too. Without the filter everybody reaches everybody.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::bare;
use crate::crossing;
use crate::netns::{self, Namespace, Netns};

pub mod host;
mod network;
pub mod wait;
pub mod program;
pub mod connection;
pub mod dicom;
pub mod events;
pub mod collector;
pub mod filter;
pub mod somebody;
pub mod notified;

pub use host::{Host, Version};

/// The hospital; gone when this value is.
#[derive(Debug)]
pub struct Hospital {
    hosts: BTreeMap<Host, Namespace>,
    netns: Netns,
    folder: TempDir,
}

impl Hospital {
    /// Builds it, with namespaces whose names begin with `prefix`.
    ///
    /// # Errors
    /// When the user is not root, or `ip` or the kernel refuses.
    pub fn build(prefix: &str) -> Result<Self> {
        let mut netns = Netns::new(prefix);
        let folder = tempfile::Builder::new().prefix(&format!("{}-", netns.prefix())).tempdir();
        let folder = folder.context("failed to make a temporary folder")?;
        let mut hosts = BTreeMap::new();
        for host in Host::ALL {
            hosts.insert(host, netns.add(host.name())?);
        }
        let hospital = Self { hosts, netns, folder };
        network::connect(&hospital)?;
        Ok(hospital)
    }

    /// Removes what is left of those under `prefix` whose process was killed.
    pub fn sweep(prefix: &str) {
        for name in netns::sweep(prefix) {
            // It may have had no filter.
            let _ = fs::remove_dir_all(filter::pins(&name));
            let files = fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten();
            let is_its =
                |file: &fs::DirEntry| file.file_name().to_string_lossy().starts_with(&format!("{name}-"));
            for folder in files.filter(is_its) {
                crossing::sweep(&folder.path());
                bare::sweep(&folder.path());
                let _ = fs::remove_dir_all(folder.path());
            }
        }
    }

    /// What its namespaces begin with.
    #[must_use]
    pub fn name(&self) -> &str {
        self.netns.prefix()
    }

    /// A folder for its files.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl std::ops::Index<Host> for Hospital {
    type Output = Namespace;

    fn index(&self, host: Host) -> &Namespace {
        &self.hosts[&host]
    }
}
