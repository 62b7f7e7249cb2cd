//! CycloneDX 1.4 to 1.7 as JSON: <https://cyclonedx.org/specification/overview/>, and its VEX profile, in the same file
//! or in one of its own that refers to the SBOM by BOM-Link.

use serde::Deserialize;

use super::json::{moment, parse};
use super::{
    Bill, Component, Format, Rating, ReadError, State, Statement, Status, Target, Versions, known_as,
};

const KNOWN: [&str; 4] = ["1.4", "1.5", "1.6", "1.7"];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    serial_number: Option<String>,
    version: Option<u64>,
    metadata: Option<Metadata>,
    #[serde(default)]
    components: Option<Vec<RawComponent>>,
    #[serde(default)]
    vulnerabilities: Option<Vec<Vulnerability>>,
}

#[derive(Deserialize)]
struct Metadata {
    timestamp: Option<String>,
    component: Option<RawComponent>,
}

#[derive(Deserialize)]
struct RawComponent {
    #[serde(rename = "bom-ref")]
    reference: Option<Box<str>>,
    group: Option<Box<str>>,
    name: Box<str>,
    version: Option<Box<str>>,
    purl: Option<Box<str>>,
    cpe: Option<Box<str>>,
    components: Option<Vec<RawComponent>>,
}

#[derive(Deserialize)]
struct Vulnerability {
    id: Option<Box<str>>,
    references: Option<Vec<Reference>>,
    analysis: Option<Analysis>,
    affects: Option<Vec<Affected>>,
    ratings: Option<Vec<RawRating>>,
    updated: Option<Box<str>>,
}

#[derive(Deserialize)]
struct RawRating {
    score: Option<f64>,
    method: Option<Box<str>>,
}

#[derive(Deserialize)]
struct Reference {
    id: Option<Box<str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Analysis {
    state: Option<AnalysisState>,
    justification: Option<Box<str>>,
    first_issued: Option<Box<str>>,
    last_updated: Option<Box<str>>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum AnalysisState {
    Resolved,
    ResolvedWithPedigree,
    Exploitable,
    InTriage,
    FalsePositive,
    NotAffected,
}

#[derive(Deserialize)]
struct Affected {
    #[serde(rename = "ref")]
    reference: Box<str>,
    versions: Option<Vec<AffectedVersions>>,
}

#[derive(Deserialize)]
struct AffectedVersions {
    version: Option<Box<str>>,
    range: Option<Box<str>>,
    status: Option<AffectedStatus>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum AffectedStatus {
    Affected,
    Unaffected,
    Unknown,
}

/// Reads a document.
pub(super) fn read(bytes: &[u8], version: Option<&str>) -> Result<Bill, ReadError> {
    let version = version.unwrap_or_default();
    if !KNOWN.contains(&version) {
        return Err(ReadError::Version {
            format: Format::CycloneDx.name(),
            version: if version.is_empty() {
                "without `specVersion`".to_owned()
            } else {
                crate::foreign::shown(version)
            },
            known: "1.4 to 1.7",
            help: "make it anew, or convert it with `cyclonedx convert --output-version v1_6`",
        });
    }
    let document: Document = parse(bytes)?;
    let mut bill = Bill {
        format: Format::CycloneDx,
        version: version.to_owned(),
        serial: document.serial_number,
        revision: document.version,
        ..Bill::default()
    };
    if let Some(Metadata { timestamp, component }) = document.metadata {
        bill.created = moment(timestamp.as_deref());
        if let Some(product) = component {
            add(&mut bill.components, product);
            bill.roots.extend(bill.components.first().map(|product| product.reference.clone()));
        }
    }
    for component in document.components.into_iter().flatten() {
        add(&mut bill.components, component);
    }
    for mut vulnerability in document.vulnerabilities.into_iter().flatten() {
        let rating = rating(vulnerability.ratings.take().unwrap_or_default());
        let Some(said) = statement(vulnerability) else { continue };
        bill.rate(&said.vulnerability, rating);
        bill.statements.push(said);
    }
    Ok(bill)
}

/// Adds a component, and those that are in it: the reader bounds how deep they are.
fn add(components: &mut Vec<Component>, raw: RawComponent) {
    let name = match raw.group {
        Some(group) if !group.is_empty() => format!("{group}/{}", raw.name),
        _ => raw.name.into(),
    };
    components.push(Component {
        reference: raw.reference.unwrap_or_default().into(),
        name,
        version: raw.version.map(Into::into),
        purl: raw.purl.map(Into::into),
        cpe: raw.cpe.map(Into::into),
    });
    for inner in raw.components.into_iter().flatten() {
        add(components, inner);
    }
}

/// The highest score of any version of CVSS.
fn rating(raw: Vec<RawRating>) -> Rating {
    let is_cvss = |raw: &RawRating| raw.method.as_deref().is_some_and(|method| method.starts_with("CVSS"));
    let scores = raw.into_iter().filter(is_cvss).filter_map(|raw| raw.score);
    let of_score = |score| Rating { cvss: Some(score), ..Rating::default() };
    scores.map(of_score).fold(Rating::default(), Rating::or_graver)
}

fn statement(raw: Vulnerability) -> Option<Statement> {
    let others = raw.references.iter().flatten().filter_map(|reference| reference.id.as_deref());
    let vulnerability = known_as(raw.id.as_deref().into_iter().chain(others))?;
    let (mut state, mut justification, mut time) = (State::Listed, None, None);
    if let Some(analysis) = raw.analysis {
        state = analysis.state.map_or(State::Listed, AnalysisState::meaning);
        justification = analysis.justification.map(Into::into);
        time = moment(analysis.last_updated.as_deref().or(analysis.first_issued.as_deref()));
    }
    let targets = raw.affects.into_iter().flatten().map(target).collect();
    let time = time.or_else(|| moment(raw.updated.as_deref()).filter(|_| state != State::Listed));
    Some(Statement { vulnerability, state, justification, targets, time })
}

fn target(raw: Affected) -> Target {
    let versions = raw.versions.into_iter().flatten().filter_map(|raw| {
        let status = match raw.status {
            None | Some(AffectedStatus::Affected) => Status::Affected,
            Some(AffectedStatus::Unaffected) => Status::Unaffected,
            Some(AffectedStatus::Unknown) => Status::Unknown,
        };
        Some(Versions { which: raw.version.or(raw.range)?.into(), status })
    });
    Target { reference: raw.reference.into(), versions: versions.collect() }
}

impl AnalysisState {
    const fn meaning(self) -> State {
        match self {
            Self::Resolved => State::Resolved,
            Self::ResolvedWithPedigree => State::ResolvedWithPedigree,
            Self::Exploitable => State::Exploitable,
            Self::InTriage => State::InTriage,
            Self::FalsePositive => State::FalsePositive,
            Self::NotAffected => State::NotAffected,
        }
    }
}
