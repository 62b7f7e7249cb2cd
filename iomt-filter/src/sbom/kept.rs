//! A file that was imported for a device, and whose it is.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Bill;
use crate::glob;

/// What `profile:NAME` begins with.
const PROFILE: &str = "profile:";

/// Whom a file was imported for: a device, those whose names match a pattern as `ct-*`, or `profile:NAME`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Whose(pub String);

impl Whose {
    /// The profile, where it is a whole one.
    #[must_use]
    pub fn profile(&self) -> Option<&str> {
        self.0.strip_prefix(PROFILE)
    }

    /// Whether it is about a device.
    #[must_use]
    pub fn has(&self, device: &str, profile: &str) -> bool {
        match self.profile() {
            Some(wanted) => wanted == profile,
            None => glob::matches(&self.0, device),
        }
    }
}

impl fmt::Display for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A file that was imported.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// What is known of it.
    #[serde(flatten)]
    pub about: Imported,
    /// What it says.
    pub bill: Bill,
}

/// What is known of a file that was imported.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    /// Whom it was imported for.
    pub device: Whose,
    /// Its name, without its folder.
    pub file: String,
    /// SHA-256 of its content, as `sha256sum` shows it.
    pub digest: String,
    /// When.
    pub imported: Timestamp,
    /// Who did it.
    pub by: String,
    /// Why, in their words.
    pub note: Option<String>,
    /// What it is written in, as `CycloneDX 1.6`.
    pub format: String,
    /// The product that it is about.
    pub product: Option<String>,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// Whether it says what something is made of, or of vulnerabilities alone (VEX).
    pub is_sbom: bool,
    /// Components in it.
    pub components: usize,
    /// Statements about vulnerabilities in it.
    pub vulnerabilities: usize,
}

impl Imported {
    /// With what a bill says of itself.
    #[must_use]
    pub fn of(self, bill: &Bill) -> Self {
        Self {
            format: format!("{} {}", bill.format.name(), bill.version),
            product: bill.product().map(super::Component::called),
            created: bill.created,
            is_sbom: bill.is_sbom(),
            components: bill.components.len(),
            vulnerabilities: bill.statements.len(),
            ..self
        }
    }
}

impl Kept {
    /// What a file is that takes its place: one of the same serial number or, where it has none, of the same name.
    #[must_use]
    pub fn identity(&self) -> &str {
        self.bill.serial.as_deref().unwrap_or(&self.about.file)
    }

    /// Whether `new` takes its place: it is the same file, or both are SBOMs, of which the new one is not to stand
    /// beside the other.
    #[must_use]
    pub fn is_replaced_by(&self, new: &Self, is_added: bool) -> bool {
        self.about.device == new.about.device
            && (self.identity() == new.identity() || (!is_added && self.about.is_sbom && new.about.is_sbom))
    }
}
