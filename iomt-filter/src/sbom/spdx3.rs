//! SPDX 3.0 as JSON-LD: <https://spdx.github.io/spdx-spec/v3.0.1/>, its packages and its security profile.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::json::{moment, parse};
use super::{Bill, Component, Format, Rating, ReadError, State, Statement, Target, known_as};

#[derive(Deserialize)]
struct Document {
    #[serde(rename = "@graph")]
    graph: Option<Vec<Element>>,
}

/// An element, with the properties that any of those that are read has.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Element {
    #[serde(rename = "type", alias = "@type")]
    kind: Option<Box<str>>,
    #[serde(rename = "spdxId", alias = "@id")]
    id: Option<Box<str>>,
    name: Option<Box<str>>,
    spec_version: Option<Box<str>>,
    created: Option<Box<str>>,
    root_element: Option<OneOrMany>,
    #[serde(rename = "software_packageVersion")]
    version: Option<Box<str>>,
    #[serde(rename = "software_packageUrl")]
    purl: Option<Box<str>>,
    external_identifier: Option<Vec<Identifier>>,
    from: Option<Box<str>>,
    to: Option<OneOrMany>,
    relationship_type: Option<Box<str>>,
    #[serde(rename = "security_assessedElement")]
    assessed: Option<Box<str>>,
    #[serde(rename = "security_justificationType")]
    justification: Option<Box<str>>,
    #[serde(rename = "security_probability")]
    probability: Option<f64>,
    #[serde(rename = "security_score")]
    score: Option<f64>,
    #[serde(rename = "security_exploited")]
    exploited: Option<bool>,
    #[serde(rename = "security_modifiedTime")]
    modified: Option<Box<str>>,
    #[serde(rename = "security_publishedTime")]
    published: Option<Box<str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Identifier {
    external_identifier_type: Option<Box<str>>,
    identifier: Option<Box<str>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(Box<str>),
    Many(Vec<Box<str>>),
}

impl OneOrMany {
    fn into_vec(self) -> Vec<Box<str>> {
        match self {
            Self::One(one) => vec![one],
            Self::Many(many) => many,
        }
    }
}

/// Reads a document.
pub(super) fn read(bytes: &[u8]) -> Result<Bill, ReadError> {
    let document: Document = parse(bytes)?;
    // A document with a single element may be that element.
    let elements = match document.graph {
        Some(graph) => graph,
        None => vec![parse(bytes)?],
    };
    let version =
        elements.iter().find_map(|element| element.spec_version.as_deref()).unwrap_or("3.0").to_owned();
    if !version.starts_with("3.0") {
        return Err(ReadError::Version {
            format: Format::Spdx.name(),
            version: crate::foreign::shown(&version),
            known: "2.2, 2.3 and 3.0",
            help: "make it anew as SPDX 3.0",
        });
    }
    let mut bill = Bill { format: Format::Spdx, version, ..Bill::default() };
    let mut names: BTreeMap<Box<str>, String> = BTreeMap::new();
    let mut roots = BTreeMap::new();
    for element in &elements {
        let id = element.id.clone().unwrap_or_default();
        match element.kind() {
            "Vulnerability" => {
                let others = element.identifiers().filter_map(|known| known.identifier.as_deref());
                let own = [element.name.as_deref(), Some(id.as_ref())].into_iter().flatten();
                names.extend(known_as(others.chain(own)).map(|name| (id, name)));
            }
            "SpdxDocument" => bill.serial = Some(id.into()),
            "CreationInfo" => bill.created = bill.created.or_else(|| moment(element.created.as_deref())),
            _ => {}
        }
    }
    for element in elements {
        match element.kind() {
            "SpdxDocument" | "Sbom" | "Bom" => {
                let ids = element.root_element.map(OneOrMany::into_vec).unwrap_or_default();
                roots.insert(element.id.unwrap_or_default(), ids);
            }
            "Package" => bill.components.push(component(element)),
            _ => {
                if let Some((vulnerability, rating)) = rated(&element, &names) {
                    bill.rate(&vulnerability, rating);
                }
                bill.statements.extend(statements(element, &names));
            }
        }
    }
    // The root of a document may be the SBOM in it, whose root is the product.
    let known: BTreeSet<&str> =
        bill.components.iter().map(|component| component.reference.as_str()).collect();
    let mut found: Vec<String> =
        roots.into_values().flatten().filter(|root| known.contains(&**root)).map(Into::into).collect();
    found.sort_unstable();
    found.dedup();
    bill.roots = found;
    Ok(bill)
}

impl Element {
    /// Its class without its profile, as `Package` of `software_Package`.
    fn kind(&self) -> &str {
        let kind = self.kind.as_deref().unwrap_or_default();
        kind.rsplit(['_', '/']).next().unwrap_or_default()
    }

    fn identifiers(&self) -> impl Iterator<Item = &Identifier> {
        self.external_identifier.iter().flatten()
    }
}

fn component(element: Element) -> Component {
    let of = |kind: &str| {
        let mut all = element.identifiers();
        let found = all.find(|known| known.external_identifier_type.as_deref() == Some(kind))?;
        found.identifier.as_deref().map(str::to_owned)
    };
    Component {
        purl: element.purl.as_deref().map(str::to_owned).or_else(|| of("packageUrl")).or_else(|| of("purl")),
        cpe: of("cpe23").or_else(|| of("cpe22")),
        reference: element.id.clone().unwrap_or_default().into(),
        name: element.name.clone().unwrap_or_default().into(),
        version: element.version.clone().map(Into::into),
    }
}

fn named(id: &str, names: &BTreeMap<Box<str>, String>) -> Option<String> {
    names.get(id).cloned().or_else(|| known_as([id]))
}

/// What an assessment says of how grave a vulnerability is.
fn rated(element: &Element, names: &BTreeMap<Box<str>, String>) -> Option<(String, Rating)> {
    let rating = match element.kind() {
        "EpssVulnAssessmentRelationship" => Rating { epss: element.probability, ..Rating::default() },
        "CvssV2VulnAssessmentRelationship"
        | "CvssV3VulnAssessmentRelationship"
        | "CvssV4VulnAssessmentRelationship" => Rating { cvss: element.score, ..Rating::default() },
        "ExploitCatalogVulnAssessmentRelationship" => {
            Rating { is_exploited: element.exploited == Some(true), ..Rating::default() }
        }
        _ => return None,
    };
    Some((named(element.from.as_deref()?, names)?, rating))
}

fn statements(element: Element, names: &BTreeMap<Box<str>, String>) -> Vec<Statement> {
    let relationship = element.relationship_type.as_deref().unwrap_or_default();
    let state = match (element.kind(), relationship) {
        ("VexAffectedVulnAssessmentRelationship", _) => State::Exploitable,
        ("VexNotAffectedVulnAssessmentRelationship", _) => State::NotAffected,
        ("VexFixedVulnAssessmentRelationship", _) => State::Resolved,
        ("VexUnderInvestigationVulnAssessmentRelationship", _) => State::InTriage,
        (_, "hasAssociatedVulnerability") => State::Listed,
        _ => return Vec::new(),
    };
    let (Some(from), Some(to)) = (element.from, element.to) else { return Vec::new() };
    let to = to.into_vec();
    if state == State::Listed {
        // From the element to what it has.
        let listed = to.iter().filter_map(|id| {
            let targets = vec![Target::of(from.clone())];
            Some(Statement { vulnerability: named(id, names)?, state, targets, ..Statement::default() })
        });
        return listed.collect();
    }
    let Some(vulnerability) = named(&from, names) else { return Vec::new() };
    vec![Statement {
        vulnerability,
        state,
        justification: element.justification.map(Into::into),
        // A part of the product, where one was assessed.
        targets: element.assessed.map_or(to, |assessed| vec![assessed]).into_iter().map(Target::of).collect(),
        time: moment(element.modified.as_deref().or(element.published.as_deref())),
    }]
}
