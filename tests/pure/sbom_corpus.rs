//! SBOMs, VEX documents and catalogs of others: what each file below `sbom/` of the folder that `IOMT_FILTER_CORPUS` names
//! comes to.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use iomt_filter::risk::kev;
use iomt_filter::sbom::{self, ReadError};
use serde_json::Value;

#[test]
fn every_file_of_the_corpus_is_read_or_refused_with_a_reason() {
    let Some(folder) = std::env::var_os("IOMT_FILTER_CORPUS") else {
        return eprintln!("skipped: IOMT_FILTER_CORPUS names no folder with SBOMs");
    };
    let folder = Path::new(&folder).join("sbom");
    let mut files = Vec::new();
    find(&folder, &mut files);
    assert!(!files.is_empty(), "IOMT_FILTER_CORPUS has no files in `sbom/`");
    let (mut read, mut refused) = (BTreeMap::<String, [usize; 4]>::new(), BTreeMap::<String, usize>::new());
    for path in files {
        let name = path.strip_prefix(&folder).unwrap().display().to_string();
        let bytes = fs::read(&path).unwrap();
        let document: Option<Value> = serde_json::from_slice(&bytes).ok();
        let version = document.as_ref().and_then(|it| it.get("specVersion")?.as_str());
        let is_known = version.is_some_and(|version| ["1.4", "1.5", "1.6", "1.7"].contains(&version));
        match sbom::read(&bytes) {
            Ok(bill) => {
                assert!(is_known, "{name} is taken for an SBOM");
                let counts = read.entry(format!("{} {}", bill.format.name(), bill.version)).or_default();
                counts[0] += 1;
                counts[1] += usize::from(!bill.is_sbom());
                counts[2] += bill.components.len();
                counts[3] += bill.statements.len();
                let said = document
                    .as_ref()
                    .and_then(|it| it.get("vulnerabilities")?.as_array())
                    .map_or(0, Vec::len);
                let named = bill.statements.len();
                assert!(
                    named == said || name.contains("vulnerability-1"),
                    "{name}: {named} of {said} statements"
                );
            }
            Err(error) => {
                let is_invalid = name.contains("invalid-");
                let is_other =
                    matches!(error, ReadError::Encoding(_) | ReadError::Unknown | ReadError::Version { .. });
                assert!(is_other || is_invalid, "{name}: {error}");
                assert!(!is_known || is_invalid, "{name}: {error}");
                *refused.entry(error.to_string()).or_default() += 1;
            }
        }
    }
    for (format, [files, vex, components, statements]) in read {
        eprintln!(
            "{files:>6} of {format}, {vex} of them no SBOM: {components} components, {statements} statements"
        );
    }
    for (why, count) in refused {
        eprintln!("{count:>6} refused: {why}");
    }
    let catalog =
        kev::read(&fs::read(folder.join("kev/known_exploited_vulnerabilities.json")).unwrap()).unwrap();
    assert!(catalog.warnings.is_empty() && catalog.released.is_some(), "{:?}", catalog.warnings);
    let ransomware = catalog.entries.values().filter(|entry| entry.ransomware).count();
    eprintln!("{:>6} known exploited, {ransomware} of them for ransomware", catalog.entries.len());
    assert!(catalog.entries.len() > 1_000 && ransomware > 100 && ransomware < catalog.entries.len());
}

fn find(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { find(&path, found) } else { found.push(path) }
    }
}
