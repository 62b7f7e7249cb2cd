//! MUD files of others: what each file below `mud/` of the folder that `IOMT_FILTER_CORPUS` names comes to.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use iomt_filter::diagnostic::SourceFile;
use iomt_filter::mud::{self, Answer, Bindings, Ground};
use iomt_filter::policy::{Policy, Vocabulary};
use jiff::Timestamp;
use serde_json::Value;

#[test]
fn every_file_of_the_corpus_is_imported_or_refused_with_a_reason() {
    let Some(folder) = std::env::var_os("IOMT_FILTER_CORPUS") else {
        return eprintln!("skipped: IOMT_FILTER_CORPUS names no folder with MUD files");
    };
    let folder = Path::new(&folder).join("mud");
    let mut files = Vec::new();
    find(&folder, &mut files);
    assert!(!files.is_empty(), "IOMT_FILTER_CORPUS has no files in `mud/`");
    files.sort();
    let (mut refused, mut read) = (BTreeMap::<String, usize>::new(), Vec::new());
    for path in &files {
        let name = path.strip_prefix(&folder).unwrap().display().to_string();
        let bytes = fs::read(path).unwrap();
        let document: Option<Value> = serde_json::from_slice(&bytes).ok();
        let is_mud = document.as_ref().is_some_and(|document| document.get("ietf-mud:mud").is_some());
        match mud::read(&bytes) {
            Ok(mud) => {
                assert!(is_mud, "{name} is taken for a MUD file");
                read.push((name, document.unwrap(), mud));
            }
            Err(error) => {
                assert!(!is_mud, "{name}: {error}");
                *refused.entry(error.to_string()).or_default() += 1;
            }
        }
    }
    eprintln!("{:>6} files, {} of them MUD files", files.len(), read.len());
    for (name, document, mud) in &read {
        let empty = import(mud, &Bindings::default(), false);
        let bound = bindings(document);
        let (strict, wide) = (import(mud, &bound, false), import(mud, &bound, true));
        eprintln!(
            "{name}: {} rules ({} wide, {} without bindings), {} left out ({} wide)",
            strict.rules.len(),
            wide.rules.len(),
            empty.rules.len(),
            strict.left_out.len(),
            wide.left_out.len()
        );
        wide.left_out.iter().for_each(|left| eprintln!("    {}: {}", left.place, left.why));
        // Whoever lets something be done has rules where nothing is left out that could be had wide.
        assert!(entries(document) == 0 || !wide.rules.is_empty(), "{name}: {wide}");
    }
    for (why, count) in refused {
        eprintln!("{count:>6} refused: {why}");
    }
}

fn import(mud: &mud::Mud, bindings: &Bindings, widen: bool) -> mud::Imported {
    let answer = Answer {
        addresses: vec!["198.51.100.7".parse().unwrap(), "2001:db8::7".parse().unwrap()],
        at: Timestamp::UNIX_EPOCH,
        is_kept: true,
    };
    let answers = mud.names().into_iter().map(|name| (name.to_owned(), answer.clone())).collect();
    let profile = mud.profile_name();
    let vocabulary = Vocabulary::default();
    let imported = mud::import(
        mud,
        &Ground { bindings, answers: &answers, vocabulary: &vocabulary, profile: &profile, widen },
    );
    let text = format!("version = 1\n{}\n{imported}", imported.policy);
    let policy = Policy::parse(&SourceFile::new("policy.toml", text.clone()));
    assert!(policy.is_ok(), "{policy:?}\n{text}");
    imported
}

/// Bindings for whatever a file names.
fn bindings(document: &Value) -> Bindings {
    let url = document["ietf-mud:mud"]["mud-url"].as_str().unwrap_or_default();
    let authority = url.split('/').nth(2).unwrap_or_default();
    let mut controllers = BTreeSet::new();
    collect(document, &mut controllers);
    let controllers: String = controllers.iter().map(|uri| format!("{uri:?} = \"10.0.0.9\"\n")).collect();
    let own = url.rsplit('/').next().unwrap_or_default();
    let text = format!(
        "local_networks = \"10.0.0.0/8\"\n[controllers]\n{controllers}[my_controllers]\n{url:?} = [\"10.0.0.8\", \"fd00::8\"]\n\
         [manufacturers]\n{authority:?} = {own:?}\n"
    );
    Bindings::parse(&SourceFile::new("bindings.toml", text)).unwrap()
}

fn collect(value: &Value, controllers: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            controllers.extend(members.get("controller").and_then(Value::as_str).map(str::to_owned));
            members.values().for_each(|value| collect(value, controllers));
        }
        Value::Array(items) => items.iter().for_each(|value| collect(value, controllers)),
        _ => {}
    }
}

fn entries(value: &Value) -> usize {
    match value {
        Value::Object(members) => {
            usize::from(members.contains_key("matches")) + members.values().map(entries).sum::<usize>()
        }
        Value::Array(items) => items.iter().map(entries).sum(),
        _ => 0,
    }
}

fn find(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { find(&path, found) } else { found.push(path) }
    }
}
