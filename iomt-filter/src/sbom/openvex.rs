//! OpenVEX 0.0.1 and 0.2.0: <https://github.com/openvex/spec>.

use serde::Deserialize;

use super::json::{moment, parse};
use super::{Bill, Format, ReadError, State, Statement, Target, known_as};

#[derive(Deserialize)]
struct Document {
    #[serde(rename = "@context")]
    context: String,
    #[serde(rename = "@id")]
    id: Option<String>,
    timestamp: Option<String>,
    last_updated: Option<String>,
    statements: Vec<RawStatement>,
}

#[derive(Deserialize)]
struct RawStatement {
    vulnerability: Vulnerability,
    timestamp: Option<Box<str>>,
    last_updated: Option<Box<str>>,
    products: Option<Vec<Product>>,
    subcomponents: Option<Vec<Product>>,
    status: RawStatus,
    justification: Option<Box<str>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Vulnerability {
    Name(Box<str>),
    Known {
        name: Option<Box<str>>,
        #[serde(rename = "@id")]
        id: Option<Box<str>>,
        aliases: Option<Vec<Box<str>>>,
    },
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Product {
    Name(Box<str>),
    Known {
        #[serde(rename = "@id")]
        id: Option<Box<str>>,
        identifiers: Option<Identifiers>,
        subcomponents: Option<Vec<Product>>,
    },
}

#[derive(Deserialize)]
struct Identifiers {
    purl: Option<Box<str>>,
    cpe23: Option<Box<str>>,
    cpe22: Option<Box<str>>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RawStatus {
    NotAffected,
    Affected,
    Fixed,
    UnderInvestigation,
}

/// Reads a document.
pub(super) fn read(bytes: &[u8]) -> Result<Bill, ReadError> {
    let document: Document = parse(bytes)?;
    let version = document.context.rsplit('/').next().unwrap_or_default().trim_start_matches('v').to_owned();
    let created = moment(document.last_updated.as_deref().or(document.timestamp.as_deref()));
    let statements = document.statements.into_iter().filter_map(statement).collect();
    let version = if version.is_empty() { "0.0.1".to_owned() } else { version };
    Ok(Bill { format: Format::OpenVex, version, serial: document.id, created, statements, ..Bill::default() })
}

fn statement(raw: RawStatement) -> Option<Statement> {
    let vulnerability = match &raw.vulnerability {
        Vulnerability::Name(name) => known_as([name.as_ref()]),
        Vulnerability::Known { name, id, aliases } => {
            let names = [name, id].into_iter().flatten().chain(aliases.iter().flatten());
            known_as(names.map(AsRef::as_ref))
        }
    }?;
    let mut targets = Vec::new();
    let below: Vec<Product> = raw.subcomponents.into_iter().flatten().collect();
    // Where components of a product are named, it is about these.
    let products = if below.is_empty() { raw.products.into_iter().flatten().collect() } else { below };
    products.into_iter().for_each(|product| add(&mut targets, product));
    let state = match raw.status {
        RawStatus::NotAffected => State::NotAffected,
        RawStatus::Affected => State::Exploitable,
        RawStatus::Fixed => State::Resolved,
        RawStatus::UnderInvestigation => State::InTriage,
    };
    let time = moment(raw.last_updated.as_deref().or(raw.timestamp.as_deref()));
    Some(Statement { vulnerability, state, justification: raw.justification.map(Into::into), targets, time })
}

fn add(targets: &mut Vec<Target>, product: Product) {
    match product {
        Product::Name(name) => targets.push(Target::of(name)),
        Product::Known { subcomponents: Some(below), .. } if !below.is_empty() => {
            below.into_iter().for_each(|product| add(targets, product));
        }
        Product::Known { id, identifiers, .. } => {
            let known = identifiers.and_then(|known| known.purl.or(known.cpe23).or(known.cpe22));
            targets.extend(known.or(id).map(Target::of));
        }
    }
}
