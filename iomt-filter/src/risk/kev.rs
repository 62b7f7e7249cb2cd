//! CISA's catalog of known exploited vulnerabilities, as JSON or CSV:
//! <https://www.cisa.gov/known-exploited-vulnerabilities-catalog>.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Deserialize;
use thiserror::Error;

use crate::sbom::cve;

/// Octets of a file at most; it has a hundredth of that.
pub const LARGEST: u64 = 128 << 20;
const MARK: &[u8] = b"\xef\xbb\xbf";

/// The catalog.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalog {
    /// When it was released; of CSV, which does not say, the day of its latest entry.
    pub released: Option<Timestamp>,
    /// Its entries, by their numbers in the CVE list.
    pub entries: BTreeMap<String, Exploited>,
    /// What deserves a look.
    pub warnings: Vec<String>,
}

/// A vulnerability that is known to be exploited.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exploited {
    /// The maker.
    pub vendor: String,
    /// The product.
    pub product: String,
    /// When it was added, as a date.
    pub added: String,
    /// Whether it is known to be used for ransomware.
    pub ransomware: bool,
}

/// Why a catalog cannot be read.
#[derive(Debug, Error)]
pub enum CatalogError {
    /// Broken.
    #[error("it is no catalog of known exploited vulnerabilities as JSON: {0}")]
    Json(serde_json::Error),
    /// Broken.
    #[error("it is no catalog of known exploited vulnerabilities as CSV: {0}")]
    Csv(csv::Error),
    /// Another table, or none.
    #[error(
        "it is no catalog of known exploited vulnerabilities: it is no JSON, and as CSV it has no column `cveID`"
    )]
    NoColumn,
    /// There is nothing in it.
    #[error("it lists nothing")]
    Empty,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    date_released: Option<String>,
    count: Option<usize>,
    vulnerabilities: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    #[serde(rename = "cveID")]
    cve: String,
    #[serde(default)]
    vendor_project: String,
    #[serde(default)]
    product: String,
    #[serde(default)]
    date_added: String,
    known_ransomware_campaign_use: Option<String>,
}

/// Reads a catalog.
///
/// # Errors
/// When it is neither the one nor the other, or empty.
pub fn read(bytes: &[u8]) -> Result<Catalog, CatalogError> {
    let bytes = bytes.strip_prefix(MARK).unwrap_or(bytes);
    let is_json = bytes.trim_ascii_start().starts_with(b"{");
    let document = if is_json {
        serde_json::from_slice(bytes).map_err(CatalogError::Json)?
    } else {
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(bytes);
        let columns = reader.headers().map_err(CatalogError::Csv)?;
        if !columns.iter().any(|column| column == "cveID") {
            return Err(CatalogError::NoColumn);
        }
        let rows = reader.deserialize().collect::<Result<_, _>>().map_err(CatalogError::Csv)?;
        Document { date_released: None, count: None, vulnerabilities: rows }
    };
    let mut catalog = Catalog::default();
    let found = document.vulnerabilities.len();
    if document.count.is_some_and(|count| count != found) {
        let count = document.count.unwrap_or_default();
        catalog.warnings.push(format!("the KEV catalog has {found} entries, and says that it has {count}"));
    }
    let mut faulty = 0;
    for entry in document.vulnerabilities {
        let Some(number) = cve(&entry.cve) else {
            faulty += 1;
            continue;
        };
        let ransomware = entry.known_ransomware_campaign_use.unwrap_or_default();
        let exploited = Exploited {
            vendor: entry.vendor_project,
            product: entry.product,
            added: entry.date_added,
            ransomware: ransomware.trim().eq_ignore_ascii_case("known"),
        };
        catalog.entries.insert(number, exploited);
    }
    if faulty > 0 {
        catalog.warnings.push(format!("{faulty} entries of the KEV catalog have no number of the CVE list"));
    }
    let latest = catalog.entries.values().filter_map(|entry| moment(&entry.added)).max();
    catalog.released = document.date_released.and_then(|text| text.parse().ok()).or(latest);
    if catalog.entries.is_empty() { Err(CatalogError::Empty) } else { Ok(catalog) }
}

/// The beginning of a day that a text begins with, in UTC.
pub(super) fn moment(text: &str) -> Option<Timestamp> {
    let day: Date = text.get(..10)?.parse().ok()?;
    TimeZone::UTC.to_timestamp(day.at(0, 0, 0, 0)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str = r#"{"title": "CISA Catalog", "catalogVersion": "2026.11.20", "dateReleased": "2026-11-20T17:04:19.9796Z", "count": 2,
        "vulnerabilities": [
        {"cveID": "CVE-2017-0144", "vendorProject": "Microsoft", "product": "SMBv1", "dateAdded": "2022-02-10", "knownRansomwareCampaignUse": "Known", "cwes": []},
        {"cveID": "CVE-2016-6515", "vendorProject": "OpenBSD", "product": "OpenSSH", "dateAdded": "2026-11-19", "knownRansomwareCampaignUse": "Unknown"}]}"#;
    const CSV: &str = "cveID,vendorProject,product,vulnerabilityName,dateAdded,shortDescription,requiredAction,dueDate,knownRansomwareCampaignUse,notes,cwes\r\n\
        CVE-2017-0144,Microsoft,SMBv1,\"Microsoft SMBv1, Remote\",2022-02-10,text,text,2022-08-10,Known,,\r\n\
        CVE-2016-6515,OpenBSD,OpenSSH,x,2026-11-19,x,x,2026-12-10,Unknown,x,CWE-20\r\n";

    #[test]
    fn both_forms_say_the_same() {
        let (json, csv) = (read(JSON.as_bytes()).unwrap(), read(CSV.as_bytes()).unwrap());
        assert_eq!(json.entries, csv.entries);
        assert!(json.entries["CVE-2017-0144"].ransomware && !json.entries["CVE-2016-6515"].ransomware);
        assert_eq!(json.released.unwrap().to_string(), "2026-11-20T17:04:19.9796Z");
        assert_eq!(csv.released, moment("2026-11-19"));
        assert_eq!(json.warnings, Vec::<String>::new());
    }

    #[test]
    fn what_is_none_or_lacks_something_is_said() {
        for (text, said) in [
            ("", "no column `cveID`"),
            ("cveID,product\n", "it lists nothing"),
            ("<html></html>", "no column `cveID`"),
            ("{\"vulnerabilities\": [}", "as JSON"),
            ("{\"vulnerabilities\": []}", "it lists nothing"),
            ("cve,epss\nCVE-2017-0144,0.9\n", "no column `cveID`"),
        ] {
            let why = read(text.as_bytes()).unwrap_err().to_string();
            assert!(why.contains(said), "{text}: {why}");
        }
        let cut = JSON.replace("\"count\": 2", "\"count\": 1404").replace("CVE-2016-6515", "none");
        let warnings = read(cut.as_bytes()).unwrap().warnings;
        assert!(
            warnings[0].contains("2 entries, and says that it has 1404") && warnings.len() == 2,
            "{warnings:?}"
        );
    }
}
