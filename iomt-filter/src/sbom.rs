//! Software bills of materials and what is said of their vulnerabilities (VEX): CycloneDX 1.4 to 1.7 (ECMA-424), SPDX 2.2,
//! 2.3 and 3.0 (ISO/IEC 5962 and its successor), and OpenVEX, each as JSON.
//!
//! The bytes of a file come in, a [`Bill`] goes out. A file is somebody else's: it is bounded in size, depth and number,
//! what is unknown in it is passed over, and what is wrong is said with its line. Nothing here reads a file, asks a server
//! or looks at a clock, and nothing is concluded: what a device is exposed to, `risk` says.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

mod json;
mod cyclonedx;
mod spdx2;
mod spdx3;
mod openvex;
mod range;
mod kept;

pub use json::{LARGEST, MOST_COMPONENTS, MOST_STATEMENTS};
pub use kept::{Imported, Kept, Whose};

/// What a file is written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Format {
    /// CycloneDX.
    #[default]
    #[serde(rename = "CycloneDX")]
    CycloneDx,
    /// SPDX 2 or 3.
    #[serde(rename = "SPDX")]
    Spdx,
    /// OpenVEX.
    OpenVex,
}

impl Format {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CycloneDx => "CycloneDX",
            Self::Spdx => "SPDX",
            Self::OpenVex => "OpenVEX",
        }
    }
}

/// A file, as far as it is of use here.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Bill {
    /// What it is written in.
    pub format: Format,
    /// The version of that.
    pub version: String,
    /// What tells it from others, whatever its revision: `serialNumber` or a namespace.
    pub serial: Option<String>,
    /// Which revision of it this is (CycloneDX `version`).
    pub revision: Option<u64>,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// References of the components that are the product itself.
    pub roots: Vec<String>,
    /// The product and what it is made of, nested ones too.
    pub components: Vec<Component>,
    /// What is said of vulnerabilities.
    pub statements: Vec<Statement>,
    /// How grave they are, as the file says, by their identifiers.
    pub ratings: BTreeMap<String, Rating>,
}

/// How grave a vulnerability is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rating {
    /// The highest base score of CVSS, 0 to 10.
    pub cvss: Option<f64>,
    /// How likely it is exploited within 30 days (EPSS), 0 to 1.
    pub epss: Option<f64>,
    /// Whether a catalog says that it is exploited.
    pub is_exploited: bool,
}

impl Rating {
    /// The graver of both.
    #[must_use]
    pub fn or_graver(self, other: Self) -> Self {
        let larger = |one: Option<f64>, other: Option<f64>| match (one, other) {
            (Some(one), Some(other)) => Some(one.max(other)),
            (one, other) => one.or(other),
        };
        Self {
            cvss: larger(self.cvss, other.cvss),
            epss: larger(self.epss, other.epss),
            is_exploited: self.is_exploited || other.is_exploited,
        }
    }
}

/// A component.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Component {
    /// What the file calls it by: `bom-ref`, `SPDXID`, `spdxId`; empty where it has none.
    pub reference: String,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: Option<String>,
    /// Its package URL.
    pub purl: Option<String>,
    /// Its name in NVD's dictionary (CPE 2.2 or 2.3).
    pub cpe: Option<String>,
}

/// What is said of a vulnerability.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Statement {
    /// Its identifier, that of the CVE list where it has one.
    pub vulnerability: String,
    /// What is said of it.
    pub state: State,
    /// Why, in the words of the format.
    pub justification: Option<String>,
    /// Whom it is about; everything that the file is about where nothing is named.
    pub targets: Vec<Target>,
    /// When it was said.
    pub time: Option<Timestamp>,
}

/// Whom a statement is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// A component of this file, or of another one (BOM-Link), or a package URL.
    pub reference: String,
    /// Which of its versions; all where nothing is said.
    pub versions: Vec<Versions>,
}

/// Versions of a component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    /// A version, or a range as `vers:semver/>=1.0|<2.0`.
    pub which: String,
    /// What is said of them.
    pub status: Status,
}

/// What is said of versions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// They have the vulnerability.
    #[default]
    Affected,
    /// They have it not.
    Unaffected,
    /// Nobody knows.
    Unknown,
}

/// What is said of a vulnerability in a component, by CycloneDX's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is listed, and nobody has said more.
    #[default]
    Listed,
    /// It can be exploited.
    Exploitable,
    /// It is looked into.
    InTriage,
    /// It was mended.
    Resolved,
    /// It was mended, and this can be proved.
    ResolvedWithPedigree,
    /// The component has it not, or it cannot be exploited there.
    NotAffected,
    /// The component was named by mistake.
    FalsePositive,
}

impl State {
    /// Whether somebody still has to do something.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Listed | Self::Exploitable | Self::InTriage)
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Listed => "listed",
            Self::Exploitable => "exploitable",
            Self::InTriage => "in_triage",
            Self::Resolved => "resolved",
            Self::ResolvedWithPedigree => "resolved_with_pedigree",
            Self::NotAffected => "not_affected",
            Self::FalsePositive => "false_positive",
        }
    }
}

/// Why a file cannot be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// Too large.
    #[error(
        "it has more than {LARGEST} bytes; take out what no vulnerability is about, as files and licence texts"
    )]
    TooLarge,
    /// Too many of something.
    #[error("it has more than {0} {1}, which is more than is read; import it in parts, with `--add`")]
    TooMany(usize, &'static str),
    /// No JSON of UTF-8.
    #[error("it is {0}")]
    Encoding(&'static str),
    /// Broken, nested too deeply, or of another shape.
    #[error("{0}")]
    Json(serde_json::Error),
    /// Something else.
    #[error(
        "it is no SBOM and no VEX document: it has neither `bomFormat` (CycloneDX), `spdxVersion` or `@graph` (SPDX), nor a `@context` of OpenVEX"
    )]
    Unknown,
    /// Another version.
    #[error("it is {format} {version}, and {known} is read; {help}")]
    Version {
        /// The format.
        format: &'static str,
        /// Its version.
        version: String,
        /// What can be read.
        known: &'static str,
        /// What to do.
        help: &'static str,
    },
}

/// Reads a file.
///
/// # Errors
/// When it is too large, no JSON, none of the formats, of a version that is not known, or of another shape than its
/// format says.
pub fn read(bytes: &[u8]) -> Result<Bill, ReadError> {
    let bytes = json::checked(bytes)?;
    let head: Head = json::parse(bytes)?;
    let bill = if let Some(format) = &head.bom_format {
        if format != "CycloneDX" {
            return Err(ReadError::Unknown);
        }
        cyclonedx::read(bytes, head.spec_version.as_deref())?
    } else if let Some(version) = &head.spdx_version {
        spdx2::read(bytes, version)?
    } else if head.is_openvex() {
        openvex::read(bytes)?
    } else if head.graph.is_some() || head.context.is_some_and(|context| context.mentions("spdx.org/rdf/")) {
        spdx3::read(bytes)?
    } else {
        return Err(ReadError::Unknown);
    };
    match (bill.components.len(), bill.statements.iter().map(|said| said.targets.len().max(1)).sum::<usize>())
    {
        (components, _) if components > MOST_COMPONENTS => {
            Err(ReadError::TooMany(MOST_COMPONENTS, "components"))
        }
        (_, statements) if statements > MOST_STATEMENTS => {
            Err(ReadError::TooMany(MOST_STATEMENTS, "statements about vulnerabilities"))
        }
        _ => Ok(bill),
    }
}

impl Bill {
    /// Takes down how grave a vulnerability is.
    fn rate(&mut self, vulnerability: &str, rating: Rating) {
        if rating != Rating::default() {
            let rated = self.ratings.entry(vulnerability.to_owned()).or_default();
            *rated = rated.or_graver(rating);
        }
    }

    /// Whether it says what something is made of; if not, it only says something of vulnerabilities (VEX).
    #[must_use]
    pub fn is_sbom(&self) -> bool {
        self.components.len() > self.roots.len()
            || (self.statements.is_empty() && !self.components.is_empty())
    }

    /// The product that it is about, by name and version.
    #[must_use]
    pub fn product(&self) -> Option<&Component> {
        let is_root = |component: &&Component| self.roots.contains(&component.reference);
        self.components.iter().find(is_root)
    }
}

impl Component {
    /// Its name with its version.
    #[must_use]
    pub fn called(&self) -> String {
        match &self.version {
            Some(version) if !version.is_empty() => format!("{} {version}", self.name),
            _ => self.name.clone(),
        }
    }
}

impl Target {
    fn of(reference: impl Into<String>) -> Self {
        Self { reference: reference.into(), versions: Vec::new() }
    }

    /// What is said of a component of this version, where the statement says `state`; nothing where it is about other
    /// versions. What cannot be told keeps what is open, and closes nothing.
    #[must_use]
    pub fn state(&self, version: Option<&str>, state: State) -> Option<State> {
        if self.versions.is_empty() {
            return Some(state);
        }
        let mut is_unclear = false;
        for Versions { which, status } in &self.versions {
            match version.map_or(range::Holds::Unclear, |version| range::holds(which, version)) {
                range::Holds::Yes => {
                    return Some(match (status, state.is_open()) {
                        (Status::Affected | Status::Unknown, true) | (Status::Unaffected, false) => state,
                        (Status::Affected, false) => State::Exploitable,
                        (Status::Unknown, false) => State::InTriage,
                        (Status::Unaffected, true) => State::NotAffected,
                    });
                }
                range::Holds::No => {}
                range::Holds::Unclear => is_unclear |= *status != Status::Unaffected,
            }
        }
        (is_unclear && state.is_open()).then_some(state)
    }
}

/// An identifier of the CVE list (CVE-YYYY-N…) at the beginning or the end of a text, as in an address, in capitals.
#[must_use]
pub fn cve(text: &str) -> Option<String> {
    let last = text.rsplit(['/', '=', ':', '#']).find(|part| !part.is_empty())?;
    let upper = last.trim().to_ascii_uppercase();
    let (year, number) = upper.strip_prefix("CVE-")?.split_once('-')?;
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let is_cve = year.len() == 4 && digits(year) && (4..=19).contains(&number.len()) && digits(number);
    is_cve.then_some(upper)
}

/// The identifier under which something is known: that of the CVE list where there is one among all, the first otherwise.
fn known_as<'t>(names: impl IntoIterator<Item = &'t str>) -> Option<String> {
    let mut first = None;
    for name in names {
        if let Some(cve) = cve(name) {
            return Some(cve);
        }
        first = first.or((!name.is_empty()).then_some(name));
    }
    first.map(str::to_owned)
}

/// What tells the formats apart.
#[derive(Deserialize)]
struct Head {
    #[serde(rename = "bomFormat")]
    bom_format: Option<String>,
    #[serde(rename = "specVersion")]
    spec_version: Option<String>,
    #[serde(rename = "spdxVersion")]
    spdx_version: Option<String>,
    #[serde(rename = "@context")]
    context: Option<Context>,
    #[serde(rename = "@graph")]
    graph: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Context {
    One(String),
    Many(Vec<String>),
    Other(serde::de::IgnoredAny),
}

impl Context {
    fn mentions(&self, text: &str) -> bool {
        match self {
            Self::One(one) => one.contains(text),
            Self::Many(many) => many.iter().any(|one| one.contains(text)),
            Self::Other(_) => false,
        }
    }
}

impl Head {
    fn is_openvex(&self) -> bool {
        self.context.as_ref().is_some_and(|context| context.mentions("openvex"))
    }
}

#[cfg(test)]
mod tests;
