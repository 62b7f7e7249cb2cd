//! The package's copyright file: whose work is in the program, and under which licences, in Debian's format
//! (<https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/>).
//!
//! Crates are those that cargo links, and say themselves who they are by. Of a choice of licences the one is taken that
//! stands first in `deny.toml`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use spdx::{Expression, Licensee, ParseMode};

use super::bill::PARTS;
use crate::process;

/// A licence whose text every Debian has.
const COMMON: &str = "Apache-2.0";

/// A crate in the program.
struct Crate {
    name: String,
    version: String,
    license: String,
    authors: Vec<String>,
    folder: PathBuf,
}

/// The file.
pub(crate) fn text() -> Result<String> {
    let accepted = accepted()?;
    let head = process::workspace().join("packaging/debian/copyright");
    let mut text =
        fs::read_to_string(&head).with_context(|| format!("failed to read `{}`", head.display()))?;
    let mut used = BTreeSet::from(["MIT".to_owned(), COMMON.to_owned()]);
    for part in crates()? {
        let licenses = chosen(&part.license, &accepted)
            .with_context(|| format!("`{} {}` is under `{}`", part.name, part.version, part.license))?;
        write!(text, "\nFiles: crates/{}-{}/*\n", part.name, part.version)?;
        let holders = holders(&part)?;
        writeln!(text, "Copyright: {}", holders.join("\n           "))?;
        writeln!(text, "License: {}", licenses.join(" and "))?;
        if licenses.iter().any(|license| license == COMMON)
            && let Some(notice) = notice(&part.folder)?
        {
            writeln!(text, "Comment:\n{}", indented(&notice))?;
        }
        used.extend(licenses);
    }
    for license in used {
        write!(text, "\nLicense: {license}\n{}\n", indented(&terms(&license)?))?;
    }
    Ok(text)
}

/// The licences that `deny.toml` allows, in its order.
fn accepted() -> Result<Vec<Licensee>> {
    let path = process::workspace().join("deny.toml");
    let text = fs::read_to_string(&path).with_context(|| format!("failed to read `{}`", path.display()))?;
    let rules: toml::Table = text.parse().with_context(|| format!("failed to read `{}`", path.display()))?;
    let allowed = rules["licenses"]["allow"].as_array().context("`deny.toml` allows no licences")?;
    let names = allowed.iter().filter_map(toml::Value::as_str);
    names.map(|name| Licensee::parse(name).with_context(|| format!("`{name}` is no licence"))).collect()
}

/// The fewest licences that are enough.
fn chosen(license: &str, accepted: &[Licensee]) -> Result<Vec<String>> {
    let expression = Expression::parse_mode(license, ParseMode::LAX)?;
    let licenses = expression.minimized_requirements(accepted)?;
    Ok(licenses.iter().map(ToString::to_string).collect())
}

/// What cargo links into the agent and its kernel program, our own code aside.
fn crates() -> Result<Vec<Crate>> {
    let mut linked = BTreeSet::new();
    for part in PARTS {
        let mut tree = process::cargo(&["tree", "--package", part.package, "--prefix", "none", "--locked"]);
        tree.args(["--edges", "normal,no-proc-macro", "--format", "{p}"]);
        tree.args(part.target.map(|target| format!("--target={target}")));
        let said = String::from_utf8(process::output(&mut tree)?).context("`cargo tree` gave no text")?;
        for line in said.lines() {
            let mut words = line.split(' ');
            if let (Some(name), Some(version)) = (words.next(), words.next()) {
                linked.insert((name.to_owned(), version.trim_start_matches('v').to_owned()));
            }
        }
    }
    let mut ask = process::cargo(&["metadata", "--format-version", "1", "--locked"]);
    let all: Value =
        serde_json::from_slice(&process::output(&mut ask)?).context("`cargo metadata` gave no JSON")?;
    let mut crates = BTreeMap::new();
    for package in all["packages"].as_array().into_iter().flatten() {
        let of = |field: &str| package[field].as_str().unwrap_or_default().to_owned();
        let key = (of("name"), of("version"));
        // What has no source is of this workspace.
        if package["source"].is_null() || !linked.contains(&key) {
            continue;
        }
        let authors = package["authors"].as_array().into_iter().flatten();
        let authors = authors.filter_map(Value::as_str).map(str::to_owned).collect();
        let manifest = PathBuf::from(of("manifest_path"));
        let folder = manifest.parent().map(Path::to_owned).unwrap_or_default();
        crates.insert(
            key.clone(),
            Crate { name: key.0, version: key.1, license: of("license"), authors, folder },
        );
    }
    ensure!(crates.len() > 50, "cargo names only {} crates", crates.len());
    Ok(crates.into_values().collect())
}

/// Who has the copyright: what its licences say, or else its manifest.
fn holders(part: &Crate) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for (_, text) in files(&part.folder, &["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE"])? {
        for holder in text.lines().filter_map(holder) {
            if !found.contains(&holder) {
                found.push(holder);
            }
        }
    }
    if found.is_empty() {
        found.clone_from(&part.authors);
    }
    if found.is_empty() {
        found.push(format!("the {} developers", part.name));
    }
    Ok(found)
}

/// Reads a line of a licence: `Copyright (c) 2015 Somebody`. Lines that only speak of copyright name no year.
fn holder(line: &str) -> Option<String> {
    let rest = line.trim().trim_start_matches(['/', '*', '#', ' ']).strip_prefix("Copyright")?;
    let rest = rest.trim_start_matches([' ', ':', ',']).trim_start_matches("(c)").trim_start_matches("(C)");
    let rest = rest.trim_start_matches(['©', ' ']).trim_end_matches(['*', '/', ' ']);
    let is_template = rest.contains("[yyyy]") || rest.contains('<') || rest.contains('{');
    let is_said = line.contains("(c)") || line.contains("(C)") || line.contains('©');
    let has_year = rest.as_bytes().windows(4).any(|year| year.iter().all(u8::is_ascii_digit));
    (!is_template && (is_said || has_year) && !rest.is_empty()).then(|| rest.to_owned())
}

/// What is to be passed on with the Apache licence.
fn notice(folder: &Path) -> Result<Option<String>> {
    Ok(files(folder, &["NOTICE"])?.into_iter().next().map(|(_, text)| text))
}

/// The text files in a folder whose names begin so, sorted.
fn files(folder: &Path, names: &[&str]) -> Result<BTreeMap<PathBuf, String>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).with_context(|| format!("failed to read `{}`", folder.display()))? {
        let path = entry?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().to_uppercase()).unwrap_or_default();
        if names.iter().any(|wanted| name.starts_with(wanted))
            && let Ok(text) = fs::read_to_string(&path)
        {
            found.insert(path, text);
        }
    }
    Ok(found)
}

/// The text of a licence, without the line for somebody's name.
fn terms(license: &str) -> Result<String> {
    if license == COMMON {
        return Ok(format!("The text of this licence is in /usr/share/common-licenses/{COMMON}."));
    }
    let id = spdx::license_id(license).with_context(|| format!("`{license}` has no text of its own"))?;
    let lines = id.text().lines().filter(|line| !(line.contains("Copyright") && line.contains('<')));
    Ok(lines.collect::<Vec<_>>().join("\n").trim().to_owned())
}

/// As the value of a field over several lines.
fn indented(text: &str) -> String {
    let line = |line: &str| if line.trim().is_empty() { " .".to_owned() } else { format!(" {line}") };
    text.trim_end().lines().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holders_are_told_from_talk_about_copyright() {
        assert_eq!(holder("Copyright (c) 2015 Some Body"), Some("2015 Some Body".to_owned()));
        assert_eq!(holder("// Copyright 2016 Others."), Some("2016 Others.".to_owned()));
        assert_eq!(holder("Copyright (C) The Developers"), Some("The Developers".to_owned()));
        for line in [
            "Copyright [yyyy] [name of copyright owner]",
            "Copyright (c) <year> <copyright holders>",
            "Copyright License. Subject to the terms",
            "The above copyright notice",
        ] {
            assert_eq!(holder(line), None, "{line}");
        }
    }

    #[test]
    fn the_first_allowed_licence_of_a_choice_is_taken() {
        let accepted = accepted().unwrap();
        let chosen = |license: &str| chosen(license, &accepted);
        assert_eq!(chosen("Apache-2.0/MIT").unwrap(), ["MIT"]);
        assert_eq!(chosen("(MIT OR Apache-2.0) AND Unicode-3.0").unwrap(), ["MIT", "Unicode-3.0"]);
        assert!(chosen("GPL-3.0-only").is_err());
    }

    #[test]
    fn every_allowed_licence_has_a_text() {
        for license in accepted().unwrap() {
            assert!(terms(&license.to_string()).unwrap().len() > 50);
        }
    }
}
