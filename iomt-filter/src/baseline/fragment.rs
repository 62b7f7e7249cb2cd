//! A proposal as the policy file would say it: what is lacking is added, and all else stays as it is written.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use similar::TextDiff;
use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, Value};

use super::{Profile, Proposal, Rule};
use crate::contacts::Direction;

/// Lines around a difference.
const CONTEXT: usize = 3;

/// A proposal, as text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fragment {
    /// The profiles that something is proposed for, whole.
    pub policy: String,
    /// What changes in the policy file, as `patch` takes it; empty where nothing does.
    pub diff: String,
}

/// A rule, as a policy writes it.
#[derive(Clone, Debug)]
pub(crate) struct Written<'r> {
    /// Who opens.
    pub(crate) direction: Direction,
    /// With whom.
    pub(crate) peers: &'r [String],
    /// What.
    pub(crate) services: &'r [String],
    /// Lines above it.
    pub(crate) comment: Vec<String>,
}

/// A profile with these rules and nothing else, with lines above it.
pub(crate) fn profile_text(name: &str, heading: &[String], rules: &[Written<'_>]) -> String {
    let mut table = Table::new();
    add(&mut table, rules);
    let heading: String = heading.iter().map(|line| format!("# {line}\n")).collect();
    heading + &alone(name, table)
}

/// Writes a proposal into the text of the policy in force, which is called `name`.
///
/// # Errors
/// When that is no TOML.
pub fn write(proposal: &Proposal, name: &str, policy: &str) -> Result<Fragment, toml_edit::TomlError> {
    let mut document: DocumentMut = policy.parse()?;
    let mut told = Vec::new();
    for profile in proposal.profiles.iter().filter(|profile| !profile.rules.is_empty()) {
        let Some(table) = table_of(&mut document, &profile.name) else { continue };
        let rules: Vec<Written<'_>> = profile.rules.iter().map(written).collect();
        add(table, &rules);
        told.push(heading(profile) + &alone(&profile.name, table.clone()));
    }
    let changed = document.to_string();
    Ok(Fragment { policy: told.join("\n"), diff: difference(name, policy, &changed) })
}

/// What changes in a file, as `patch` takes it.
pub(crate) fn difference(name: &str, before: &str, after: &str) -> String {
    let diff = TextDiff::from_lines(before, after);
    diff.unified_diff().context_radius(CONTEXT).header(name, name).to_string()
}

/// A profile's table as a text of its own.
pub(crate) fn alone(name: &str, mut table: Table) -> String {
    // Places of the file, and what stands above it there, are those of the policy.
    table.set_position(None);
    table.decor_mut().clear();
    let mut profiles = Table::new();
    profiles.set_implicit(true);
    profiles.insert(name, Item::Table(table));
    let mut document = DocumentMut::new();
    document.insert("profiles", Item::Table(profiles));
    document.to_string().trim_start().to_owned()
}

/// The table of a profile, made where there is none.
pub(crate) fn table_of<'d>(document: &'d mut DocumentMut, name: &str) -> Option<&'d mut Table> {
    let profiles = document.entry("profiles").or_insert(Item::Table(Table::new())).as_table_mut()?;
    let profile = profiles.entry(name).or_insert(Item::Table(Table::new()));
    if let Some(inline) = profile.as_inline_table() {
        *profile = Item::Table(inline.clone().into_table());
    }
    profile.as_table_mut()
}

/// Adds rules to the table of a profile.
fn add(table: &mut Table, added: &[Written<'_>]) {
    let allow = table.entry("allow").or_insert(Item::Value(Value::Array(Array::new())));
    match allow {
        Item::ArrayOfTables(rules) => {
            for rule in added {
                let mut table = inline(rule).into_table();
                table.decor_mut().set_prefix(format!("\n{}", comment(rule, "")));
                rules.push(table);
            }
        }
        Item::Value(Value::Array(rules)) => {
            // What stands behind the last rule stays in its line.
            let behind = rules.trailing().as_str().unwrap_or("").trim_end().to_owned();
            let is_ended = rules.trailing_comma() || rules.is_empty();
            for (number, rule) in added.iter().enumerate() {
                let before = if number == 0 && is_ended { behind.as_str() } else { "" };
                let mut value = Value::InlineTable(inline(rule));
                value.decor_mut().set_prefix(format!("{before}\n{}  ", comment(rule, "  ")));
                rules.push_formatted(value);
            }
            if !added.is_empty() {
                rules.set_trailing_comma(true);
                rules.set_trailing("\n");
            }
        }
        _ => {}
    }
}

fn inline(rule: &Written<'_>) -> InlineTable {
    let list = |texts: &[String]| match texts {
        [one] => Value::from(one.as_str()),
        many => Value::Array(many.iter().map(String::as_str).collect()),
    };
    let mut table = InlineTable::new();
    let peers = match rule.direction {
        Direction::FromDevice => "to",
        Direction::ToDevice => "from",
    };
    table.insert(peers, list(rule.peers));
    table.insert("service", list(rule.services));
    table
}

/// The lines above a rule, with `indent` in front of each.
fn comment(rule: &Written<'_>, indent: &str) -> String {
    rule.comment.iter().map(|line| format!("{indent}# {line}\n")).collect()
}

/// A rule that is proposed.
fn written(rule: &Rule) -> Written<'_> {
    let devices: Vec<&str> = rule.devices.iter().map(String::as_str).collect();
    let seen = format!(
        "{} confidence: {}, {} packets from {} to {}",
        rule.confidence,
        some(&devices),
        rule.packets,
        day(rule.first_seen),
        day(rule.last_seen),
    );
    Written {
        direction: rule.direction,
        peers: &rule.peers,
        services: &rule.services,
        comment: vec![seen, format!("as {}", rule.examples.join(", "))],
    }
}

/// Some names, and how many others there are.
fn some(names: &[&str]) -> String {
    const SOME: usize = 4;
    match names.len().checked_sub(SOME) {
        Some(more) if more > 0 => {
            format!("{} and {more} more", names.iter().take(SOME).copied().collect::<Vec<_>>().join(", "))
        }
        _ => names.join(", "),
    }
}

fn day(at: jiff::Timestamp) -> String {
    at.strftime("%Y-%m-%d").to_string()
}

/// The lines above a profile.
fn heading(profile: &Profile) -> String {
    let seen = profile.first_seen.zip(profile.last_seen);
    let seen =
        seen.map_or_else(String::new, |(first, last)| format!(", from {} to {}", day(first), day(last)));
    let devices: Vec<&str> = profile.devices.iter().map(String::as_str).collect();
    let mut text = format!("# of what {} did{seen}\n", some(&devices));
    let unused = profile.in_force.iter().filter(|used| used.last_used.is_none());
    for used in unused {
        let _ = writeln!(text, "# in force, and not used in this time: {}", used.rule);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use jiff::Timestamp;

    use super::super::{Confidence, Kind};
    use super::*;

    fn proposal() -> Proposal {
        let at = Timestamp::from_second(1_800_000_000).unwrap();
        let rule = Rule {
            direction: Direction::FromDevice,
            peers: vec!["pacs".into()],
            services: vec!["dicom".into(), "8443/tcp".into()],
            kind: Kind::Outbound,
            confidence: Confidence::High,
            devices: BTreeSet::from(["ct-1".to_owned()]),
            first_seen: at,
            last_seen: at,
            packets: 12,
            bytes: 3_400,
            examples: vec!["ct-1 to 10.20.0.10 (12 packets)".into()],
        };
        let profile = Profile {
            name: "ct".into(),
            devices: BTreeSet::from(["ct-1".to_owned()]),
            rules: vec![rule],
            ..Profile::default()
        };
        Proposal { profiles: vec![profile], ..Proposal::default() }
    }

    /// What `patch` makes of a text: where a hunk begins stands behind its `-`, counted from 1.
    fn patched(text: &str, diff: &str) -> String {
        let old: Vec<&str> = text.split_inclusive('\n').collect();
        let (mut new, mut read) = (String::new(), 0);
        for line in diff.split_inclusive('\n').skip(2) {
            if let Some(hunk) = line.strip_prefix("@@ -") {
                let begin: usize = hunk.split([',', ' ']).next().unwrap().parse().unwrap();
                new.extend(old[read..begin.saturating_sub(1)].iter().copied());
                read = begin.saturating_sub(1);
                continue;
            }
            let (sign, rest) = line.split_at(1);
            if sign != "+" {
                assert_eq!(old[read], rest);
                read += 1;
            }
            if sign != "-" {
                new.push_str(rest);
            }
        }
        new.extend(old[read..].iter().copied());
        new
    }

    #[test]
    fn what_is_lacking_is_added_however_the_policy_is_written() {
        for policy in [
            "version = 1 # ours\n\n[profiles.ct]\nmode = \"monitor\"\nallow = [\n  { to = \"dns\", service = \"dns\" }, # names\n]\n\n[profiles.pump]\n",
            "[profiles.ct]\nallow = [\n  { to = \"dns\", service = \"dns\" }\n]\n",
            "[profiles.ct]\nallow = [{ to = \"dns\", service = \"dns\" }]\nmode = \"monitor\"\n",
            "[profiles.ct]\nallow = []\n",
            "[profiles.ct]\nmode = \"monitor\"\n",
            "[profiles]\nct = { mode = \"monitor\" }\n",
            "[[profiles.ct.allow]]\nto = \"dns\"\nservice = \"dns\"\n",
        ] {
            let Fragment { policy: fragment, diff } = write(&proposal(), "policy.toml", policy).unwrap();
            let changed = patched(policy, &diff);
            for (text, has) in [(&fragment, false), (&changed, policy.contains("pump"))] {
                let read: toml::Table = text.parse().unwrap_or_else(|error| panic!("{error}\n{text}"));
                let profile = &read["profiles"]["ct"];
                let rules = profile["allow"].as_array().unwrap();
                let last = rules.last().unwrap();
                assert_eq!(last["to"].as_str(), Some("pacs"), "{text}");
                assert_eq!(last["service"].as_array().unwrap().len(), 2, "{text}");
                assert_eq!(rules.len(), 1 + usize::from(policy.contains("dns")), "{text}");
                assert_eq!(profile.get("mode").is_some(), policy.contains("mode"), "{text}");
                assert_eq!(read["profiles"].get("pump").is_some(), has, "{text}");
                assert!(text.contains("# high confidence: ct-1, 12 packets"), "{text}");
            }
            assert!(fragment.starts_with("# of what ct-1 did\n"), "{fragment}");
            if policy.contains("# names") {
                assert!(changed.contains("# names") && changed.contains("# ours"), "{changed}");
                assert!(
                    !diff.lines().any(|line| line.starts_with('-') && !line.starts_with("---")),
                    "{diff}"
                );
            }
        }
    }

    #[test]
    fn nothing_that_is_lacking_changes_nothing() {
        let nothing = Proposal { profiles: vec![Profile::default()], ..Proposal::default() };
        assert_eq!(write(&nothing, "policy.toml", "version = 1\n").unwrap(), Fragment::default());
    }
}
