//! Lists of others: what each file below `feeds/` of the folder that `IOMT_FILTER_CORPUS` names comes to.
//!
//! What is expected is counted here in the simplest way that does for the files at hand: by the look of a line, or
//! by the members of a JSON document.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use iomt_filter::feeds::formats::{Format, Parsed, Reading, RejectReason, parse};
use serde_json::Value;

/// Reasons and how often they were given.
type Reasons = BTreeMap<RejectReason, usize>;

#[test]
fn every_list_of_the_corpus_is_read_as_what_it_is() {
    let Some(folder) = std::env::var_os("IOMT_FILTER_CORPUS") else {
        return eprintln!("skipped: IOMT_FILTER_CORPUS names no folder with feeds");
    };
    let folder = Path::new(&folder).join("feeds");
    let mut files = Vec::new();
    find(&folder, &mut files);
    assert!(!files.is_empty(), "IOMT_FILTER_CORPUS has no lists in `feeds/`");
    files.sort();
    let mut tally: BTreeMap<String, (usize, usize, usize)> = BTreeMap::new();
    let mut reasons = Reasons::new();
    for path in &files {
        let name = path.strip_prefix(&folder).unwrap().to_string_lossy().replace('\\', "/");
        let bytes = fs::read(path).unwrap();
        let parsed = parse(&Reading::default(), &bytes);
        check(&name, &bytes, &parsed);
        let (files, entries, domains) = tally.entry(parsed.format.to_string()).or_default();
        *files += 1;
        *entries += parsed.entries.len();
        *domains += parsed.domains.len();
        for (reason, count) in given(&parsed) {
            *reasons.entry(reason).or_default() += count;
        }
    }
    for (format, (files, entries, domains)) in tally {
        eprintln!("{files:>6} files in format {format}: {entries} entries, {domains} domains");
    }
    for (reason, count) in reasons {
        eprintln!("{count:>6} lines or records: {reason}");
    }
}

fn check(name: &str, bytes: &[u8], parsed: &Parsed) {
    let text = String::from_utf8_lossy(bytes);
    let top = name.split('/').next().unwrap_or_default();
    let document = || serde_json::from_str::<Value>(&text).unwrap();
    if name.ends_with("LICENSE") || name.ends_with("README.md") {
        assert_eq!(parsed.format, Format::Plain, "{name}");
        assert!(parsed.entries.is_empty() && !parsed.rejects.is_empty(), "{name}: {:?}", parsed.entries);
        return;
    }
    match top {
        "crowdsec" => {
            let expected = if text.starts_with('[') {
                document().as_array().unwrap().len()
            } else {
                text.lines().count() - 1
            };
            assert_eq!((parsed.format, parsed.entries.len()), (Format::Crowdsec, expected), "{name}");
            assert!(parsed.rejects.is_empty() && parsed.domains.is_empty(), "{name}");
            let ends =
                parsed.entries.iter().map(|entry| entry.about.as_ref().unwrap().expires.unwrap().as_second());
            assert!(ends.into_iter().all(|end| end == 3600), "{name}: every decision holds for an hour");
        }
        "ipsum" | "maltrail" => {
            assert_eq!(parsed.format, Format::Plain, "{name}");
            let expected = by_the_look(&text);
            let found = (parsed.entries.len(), parsed.domains.len(), given(parsed));
            assert_eq!(found, expected, "{name}");
        }
        "stix" if document().get("objects").is_some() => stix(name, &document(), parsed),
        // Schemas, and an object on its own, name nothing.
        "stix" => {
            assert_eq!(parsed.format, Format::Jsonl, "{name}");
            assert_eq!(given(parsed), Reasons::from([(RejectReason::NoValue, 1)]), "{name}");
        }
        _ => panic!("nothing is known of `{name}`"),
    }
}

/// Entries, domains and rejects of a list with a value a line.
fn by_the_look(text: &str) -> (usize, usize, Reasons) {
    let (mut entries, mut domains, mut reasons) = (0, 0, Reasons::new());
    for line in text.lines().map(|line| line.split('#').next().unwrap_or_default().trim()) {
        let host = line.split_once("://").map_or(line, |(_, rest)| rest);
        let is_number = host.starts_with(|c: char| c.is_ascii_digit())
            && host
                .split(['/', ':'])
                .next()
                .unwrap_or_default()
                .chars()
                .all(|c| c.is_ascii_digit() || c == '.');
        if line.starts_with('/') {
            *reasons.entry(RejectReason::UrlPath).or_default() += 1;
        } else if is_number {
            entries += 1;
        } else if !line.is_empty() {
            domains += 1;
        }
    }
    (entries, domains, reasons)
}

/// Every object of a bundle is accounted for, and an indicator by the objects that its pattern names.
fn stix(name: &str, document: &Value, parsed: &Parsed) {
    assert_eq!(parsed.format, Format::Stix, "{name}");
    let (mut entries, mut domains, mut reasons) = (0, 0, Reasons::new());
    for object in document["objects"].as_array().unwrap() {
        let pattern = object["pattern"].as_str().unwrap_or_default();
        let values = |kind: &str| pattern.split(" OR ").filter(|part| part.contains(kind)).count();
        let named = (values("ipv4-addr:value = "), values("domain-name:value = "));
        let reason = if object["type"] != "indicator" {
            Some(RejectReason::OtherObject)
        } else if named == (0, 0) {
            Some(RejectReason::PatternObject)
        } else if pattern.contains("'domain ") {
            // One of MITRE's has a space in a domain.
            Some(RejectReason::Unreadable)
        } else {
            None
        };
        match reason {
            Some(reason) => *reasons.entry(reason).or_default() += 1,
            None => (entries, domains) = (entries + named.0, domains + named.1),
        }
    }
    assert_eq!(
        (parsed.entries.len(), parsed.domains.len(), given(parsed)),
        (entries, domains, reasons),
        "{name}"
    );
}

fn given(parsed: &Parsed) -> Reasons {
    let mut reasons = Reasons::new();
    parsed.rejects.iter().for_each(|reject| *reasons.entry(reject.reason).or_default() += 1);
    reasons
}

fn find(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { find(&path, found) } else { found.push(path) }
    }
}
