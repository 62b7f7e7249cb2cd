//! SPDX 2.2 and 2.3 as JSON (ISO/IEC 5962): <https://spdx.github.io/spdx-spec/v2.3/>. Vulnerabilities are those that
//! packages name as security advisories (annex K).

use serde::Deserialize;

use super::json::{moment, parse};
use super::{Bill, Component, Format, ReadError, State, Statement, Target, cve};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    document_namespace: Option<String>,
    creation_info: Option<CreationInfo>,
    document_describes: Option<Vec<Box<str>>>,
    packages: Option<Vec<Package>>,
    relationships: Option<Vec<Relationship>>,
}

#[derive(Deserialize)]
struct CreationInfo {
    created: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Package {
    #[serde(rename = "SPDXID")]
    id: Box<str>,
    name: Box<str>,
    version_info: Option<Box<str>>,
    external_refs: Option<Vec<ExternalRef>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExternalRef {
    reference_category: Option<Box<str>>,
    reference_type: Box<str>,
    reference_locator: Box<str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Relationship {
    spdx_element_id: Box<str>,
    relationship_type: Box<str>,
    related_spdx_element: Box<str>,
}

/// Reads a document.
pub(super) fn read(bytes: &[u8], version: &str) -> Result<Bill, ReadError> {
    let number = version.strip_prefix("SPDX-").unwrap_or(version);
    if !["2.2", "2.3"].contains(&number) {
        return Err(ReadError::Version {
            format: Format::Spdx.name(),
            version: crate::foreign::shown(number),
            known: "2.2, 2.3 and 3.0",
            help: "make it anew as SPDX 2.3",
        });
    }
    let document: Document = parse(bytes)?;
    let mut bill = Bill {
        format: Format::Spdx,
        version: number.to_owned(),
        serial: document.document_namespace,
        created: moment(document.creation_info.and_then(|info| info.created).as_deref()),
        ..Bill::default()
    };
    let described = document.relationships.into_iter().flatten().filter_map(|relationship| {
        let Relationship { spdx_element_id: one, relationship_type, related_spdx_element: other } =
            relationship;
        match relationship_type.as_ref() {
            "DESCRIBES" => Some(other),
            "DESCRIBED_BY" => Some(one),
            _ => None,
        }
    });
    let roots = document.document_describes.into_iter().flatten().chain(described);
    bill.roots = roots.map(Into::into).collect();
    bill.roots.sort_unstable();
    bill.roots.dedup();
    for package in document.packages.into_iter().flatten() {
        let mut component = Component {
            reference: package.id.into(),
            name: package.name.into(),
            version: package.version_info.map(Into::into),
            ..Component::default()
        };
        for external in package.external_refs.into_iter().flatten() {
            take(external, &mut component, &mut bill.statements);
        }
        bill.components.push(component);
    }
    bill.roots.retain(|root| bill.components.iter().any(|component| component.reference == *root));
    Ok(bill)
}

fn take(external: ExternalRef, component: &mut Component, statements: &mut Vec<Statement>) {
    let ExternalRef { reference_category, reference_type, reference_locator: locator } = external;
    // A type may be written as the address of its definition.
    match reference_type.rsplit('/').next().unwrap_or_default() {
        "purl" => component.purl = Some(locator.into()),
        "cpe23Type" => component.cpe = Some(locator.into()),
        "cpe22Type" => drop(component.cpe.get_or_insert(locator.into())),
        "advisory" if reference_category.as_deref() == Some("SECURITY") => {
            statements.extend(cve(&locator).map(|vulnerability| Statement {
                vulnerability,
                state: State::Listed,
                targets: vec![Target::of(component.reference.clone())],
                ..Statement::default()
            }));
        }
        _ => {}
    }
}
