//! Proposals as the policy file would say them: rules that allow what is vulnerable are made narrower or taken out, each
//! with the vulnerabilities as its note, and all else stays as it is written.

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;
use toml_edit::{Array, ArrayOfTables, DocumentMut, InlineTable, Item, TableLike, TomlError, Value};

use super::{Action, Part, Proposal, RuleProposal};
use crate::baseline::{Fragment, alone, difference, table_of};
use crate::contacts::Direction;
use crate::diagnostic::SourceFile;
use crate::policy::Policy;
use crate::policy::service::{ICMP, ICMPV6, Named, PortRange, Services, TCP, UDP};

/// Vulnerabilities that a note names; of more, how many there are.
const NAMED: usize = 4;

/// What is proposed, as text.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub(super) fragment: Fragment,
    /// What could not be written.
    pub(super) warnings: Vec<String>,
}

/// Why nothing is written.
#[derive(Debug, Error)]
pub(super) enum WriteError {
    /// The policy file is no TOML any more.
    #[error("the policy file cannot be read: {0}")]
    Toml(#[from] TomlError),
    /// What came of it would not be taken.
    #[error("what came of it is no valid policy: {0}")]
    Invalid(String),
}

/// A rule that takes the place of one, and lines above it.
#[derive(Debug)]
struct Edit {
    rules: Vec<InlineTable>,
    comment: Vec<String>,
}

/// Writes proposals into the text of the policy in force, which is called `name`; `services` are those that it defines.
pub(super) fn write(
    proposals: &[Proposal],
    services: &Named,
    name: &str,
    policy: &str,
) -> Result<Written, WriteError> {
    let mut document: DocumentMut = policy.parse()?;
    let mut written = Written::default();
    let mut told = Vec::new();
    for Proposal { profile, rules } in proposals {
        let edited = rules.iter().filter(|rule| matches!(rule.action, Action::Remove | Action::Narrow));
        let mut edited: Vec<_> = edited.collect();
        let is_there = document.get("profiles").and_then(|profiles| profiles.get(profile)).is_some();
        if !is_there || edited.is_empty() {
            continue;
        }
        let Some(table) = table_of(&mut document, profile) else { continue };
        // The last one first: the places of the others stay.
        edited.sort_by_key(|rule| std::cmp::Reverse(rule.index));
        let mut changed = false;
        for rule in edited {
            let done = match table.get_mut("allow") {
                Some(Item::Value(Value::Array(rules))) => in_array(rules, profile, rule, services),
                Some(Item::ArrayOfTables(rules)) => in_tables(rules, profile, rule, services),
                _ => None,
            };
            changed |= done.is_some();
            if done.is_none() {
                written.warnings.push(format!(
                    "`{}` is not what `{name}` says in that place: the file is not what is in force; `iomt-filter reload` or `apply` loads it",
                    rule.rule
                ));
            }
        }
        if changed {
            told.push(alone(profile, table.clone()));
        }
    }
    let changed = document.to_string();
    if let Err(found) = Policy::parse(&SourceFile::new(name, changed.as_str())) {
        let found: Vec<_> = found.iter().map(ToString::to_string).collect();
        return Err(WriteError::Invalid(found.join("; ")));
    }
    written.fragment = Fragment { policy: told.join("\n"), diff: difference(name, policy, &changed) };
    Ok(written)
}

/// Writes into rules in one array; nothing where the rule is another one.
fn in_array(rules: &mut Array, profile: &str, proposed: &RuleProposal, services: &Named) -> Option<()> {
    let at = proposed.index.checked_sub(1)?;
    let old = rules.get(at)?.as_inline_table()?;
    let Edit { rules: new, comment } = edit(old, profile, proposed, services)?;
    let text =
        |decor: Option<&toml_edit::RawString>| decor.and_then(|text| text.as_str()).unwrap_or("").to_owned();
    let prefix = text(rules.get(at)?.decor().prefix());
    let is_last = at + 1 == rules.len();
    rules.remove(at);
    let above = above(&prefix, &comment);
    if new.is_empty() {
        // What stood above the rule, and why it is gone, stand above what comes next.
        match rules.get_mut(at).filter(|_| !is_last) {
            Some(next) => {
                let own = text(next.decor().prefix());
                let own = own.trim_start_matches([' ', '\n']);
                let kept = if own.is_empty() { above } else { format!("{above}{own}") };
                next.decor_mut().set_prefix(kept);
            }
            None => {
                let trailing = text(Some(rules.trailing()));
                let trailing = trailing.trim();
                let end = if trailing.is_empty() { "\n".to_owned() } else { format!("{trailing}\n") };
                rules.set_trailing(format!(
                    "{}{end}",
                    above.trim_end_matches(' ').trim_end_matches('\n').to_owned() + "\n"
                ));
                rules.set_trailing_comma(!rules.is_empty());
            }
        }
        return Some(());
    }
    for (number, rule) in new.into_iter().enumerate() {
        let mut value = Value::InlineTable(rule);
        let prefix = if number == 0 { above.clone() } else { "\n  ".to_owned() };
        value.decor_mut().set_prefix(prefix);
        rules.insert_formatted(at + number, value);
    }
    Some(())
}

/// What stands above a rule, with lines of comment below it.
fn above(prefix: &str, comment: &[String]) -> String {
    if comment.is_empty() {
        return prefix.to_owned();
    }
    let before = prefix.trim_end_matches(' ');
    let before = if before.ends_with('\n') { before.to_owned() } else { format!("{before}\n") };
    let lines: String = comment.iter().map(|line| format!("  # {line}\n")).collect();
    format!("{before}{lines}  ")
}

/// Writes into rules that are tables of their own: the narrower ones go to the end, where they allow the same.
fn in_tables(
    rules: &mut ArrayOfTables,
    profile: &str,
    proposed: &RuleProposal,
    services: &Named,
) -> Option<()> {
    let at = proposed.index.checked_sub(1)?;
    let old = rules.get(at)?;
    let Edit { rules: new, comment } = edit(old, profile, proposed, services)?;
    let mut comment: String = comment.iter().map(|line| format!("# {line}\n")).collect();
    if new.is_empty() {
        let above = old.decor().prefix().and_then(|text| text.as_str()).unwrap_or("").to_owned();
        rules.remove(at);
        if let Some(next) = rules.get_mut(at) {
            let own = next.decor().prefix().and_then(|text| text.as_str()).unwrap_or("").to_owned();
            let own = own.trim_start_matches('\n');
            next.decor_mut().set_prefix(format!("{above}{comment}{own}"));
        }
        return Some(());
    }
    for (number, rule) in new.into_iter().enumerate() {
        let mut table = rule.into_table();
        let above = std::mem::take(&mut comment);
        if number == 0 {
            let old = rules.get_mut(at)?;
            let own = old.decor().prefix().and_then(|text| text.as_str()).unwrap_or("\n").to_owned();
            for key in ["to", "from", "service", "note"] {
                match table.remove(key) {
                    Some(value) => drop(old.insert(key, value)),
                    None => drop(old.remove(key)),
                }
            }
            old.decor_mut().set_prefix(format!("{own}{above}"));
        } else {
            table.decor_mut().set_prefix("\n");
            rules.push(table);
        }
    }
    Some(())
}

/// What takes the place of a rule; nothing where it is not the one that is meant.
fn edit(old: &dyn TableLike, profile: &str, proposed: &RuleProposal, named: &Named) -> Option<Edit> {
    let word = match proposed.direction {
        Direction::FromDevice => "to",
        Direction::ToDevice => "from",
    };
    let texts = |key: &str| -> Option<Vec<String>> {
        let value = old.get(key)?;
        match value.as_array() {
            Some(array) => array.iter().map(|one| one.as_str().map(str::to_owned)).collect(),
            None => Some(vec![value.as_str()?.to_owned()]),
        }
    };
    let (peers, services) = (texts(word)?, texts("service")?);
    let index = proposed.index;
    if format!("{profile}[{index}] {word} {} service {}", peers.join(","), services.join(","))
        != proposed.rule
    {
        return None;
    }
    let note = old.get("note").and_then(Item::as_str);
    let vulnerable: Vec<(u8, u16)> = proposed.parts.iter().map(|part| (part.protocol, part.port)).collect();
    let rest: Vec<String> = services.iter().flat_map(|text| without(text, &vulnerable, named)).collect();
    let mut rules = Vec::new();
    if !rest.is_empty() {
        rules.push(rule(word, &peers, &rest, note));
    }
    let mut alike: BTreeMap<&[String], Vec<&Part>> = BTreeMap::new();
    for part in proposed.parts.iter().filter(|part| !part.peers.is_empty()) {
        alike.entry(&part.peers).or_default().push(part);
    }
    for (peers, parts) in alike {
        let services: Vec<String> = parts.iter().map(|part| part.service.clone()).collect();
        let why = names(parts.iter().flat_map(|part| &part.vulnerabilities));
        let note = note.map_or_else(|| why.clone(), |note| format!("{note}; {why}"));
        rules.push(rule(word, peers, &services, Some(&note)));
    }
    let gone: Vec<&Part> = proposed.parts.iter().filter(|part| part.peers.is_empty()).collect();
    let comment = match gone.as_slice() {
        [] => Vec::new(),
        gone => {
            let services: Vec<&str> = gone.iter().map(|part| part.service.as_str()).collect();
            let why = names(gone.iter().flat_map(|part| &part.vulnerabilities));
            let peers: Vec<String> = peers.iter().map(|peer| crate::foreign::shown(peer)).collect();
            vec![format!(
                "{why}: {} {word} {} is taken out, nobody used it",
                services.join(", "),
                peers.join(", ")
            )]
        }
    };
    Some(Edit { rules, comment })
}

fn rule(word: &str, peers: &[String], services: &[String], note: Option<&str>) -> InlineTable {
    let list = |texts: &[String]| match texts {
        [one] => Value::from(one.as_str()),
        many => Value::Array(many.iter().map(String::as_str).collect()),
    };
    let mut table = InlineTable::new();
    table.insert(word, list(peers));
    table.insert("service", list(services));
    if let Some(note) = note {
        table.insert("note", Value::from(note));
    }
    table
}

/// Some names, and how many others there are. What has no number of the CVE list is somebody's text.
fn names<'n>(all: impl Iterator<Item = &'n String>) -> String {
    let all: BTreeSet<String> = all.map(|name| crate::foreign::shown(name)).collect();
    let some: Vec<&str> = all.iter().take(NAMED).map(String::as_str).collect();
    match all.len().checked_sub(NAMED) {
        Some(more) if more > 0 => format!("{} and {more} more", some.join(", ")),
        _ => some.join(", "),
    }
}

/// A service without some ports, as rules write it.
fn without(text: &str, ports: &[(u8, u16)], named: &Named) -> Vec<String> {
    let Ok(services) = Services::parse(text, named) else { return vec![text.to_owned()] };
    let all = [(TCP, 1, u16::MAX), (UDP, 1, u16::MAX), (ICMP, 0, 0), (ICMPV6, 0, 0)];
    let all = all.map(|(protocol, first, last)| PortRange { protocol, first, last });
    let ranges = if services.any { &all[..] } else { services.ranges.as_slice() };
    let is_in = |range: &PortRange, &(protocol, port): &(u8, u16)| {
        range.protocol == protocol && (range.first..=range.last).contains(&port)
    };
    if !ranges.iter().any(|range| ports.iter().any(|port| is_in(range, port))) {
        return vec![text.to_owned()];
    }
    let mut left = ranges.to_vec();
    for port in ports {
        left = left
            .into_iter()
            .flat_map(|range| if is_in(&range, port) { split(range, port.1) } else { vec![range] })
            .collect();
    }
    left.iter().map(ToString::to_string).collect()
}

/// What is left of a range on both sides of a port; port 0 is none.
fn split(range: PortRange, port: u16) -> Vec<PortRange> {
    let below = port.checked_sub(1).map(|last| PortRange { first: range.first.max(1), last, ..range });
    let above = port.checked_add(1).map(|first| PortRange { first, ..range });
    [below, above].into_iter().flatten().filter(|range| range.first <= range.last).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(port: u16, peers: &[&str]) -> Part {
        Part {
            service: format!("{port}/tcp"),
            protocol: TCP,
            port,
            peers: peers.iter().map(|peer| (*peer).to_owned()).collect(),
            vulnerabilities: BTreeSet::from(["CVE-2017-0144".to_owned()]),
        }
    }

    fn proposed(rule: &str, index: usize, parts: Vec<Part>) -> Vec<Proposal> {
        let action =
            if parts.iter().all(|part| part.peers.is_empty()) { Action::Remove } else { Action::Narrow };
        let direction = Direction::ToDevice;
        let rule = RuleProposal { rule: rule.into(), index, direction, parts, action, why: String::new() };
        vec![Proposal { profile: "ct".into(), rules: vec![rule] }]
    }

    fn changed(policy: &str, proposals: &[Proposal]) -> Written {
        write(proposals, &Named::new(), "policy.toml", policy)
            .unwrap_or_else(|error| panic!("{error}\n{policy}"))
    }

    const POLICIES: [&str; 4] = [
        "version = 1 # ours\n[profiles.ct]\nmode = \"enforce\"\nallow = [\n  # files\n  { from = \"any\", service = [\"smb\", \"https\"], note = \"all\" }, # why\n  { to = \"10.0.0.1\", service = \"dns\" },\n]\n",
        "version = 1\n[profiles.ct]\nallow = [{ from = \"any\", service = [\"smb\", \"https\"] }]\n",
        "version = 1\n[profiles]\nct = { allow = [{ from = \"any\", service = [\"smb\", \"https\"] }, { to = \"10.0.0.1\", service = \"dns\" }] }\n",
        "version = 1\n# files\n[[profiles.ct.allow]]\nfrom = \"any\"\nservice = [\"smb\", \"https\"]\n\n[[profiles.ct.allow]]\nto = \"10.0.0.1\"\nservice = \"dns\"\n",
    ];

    fn rules(policy: &str) -> Vec<String> {
        let read: toml::Table = policy.parse().unwrap_or_else(|error| panic!("{error}\n{policy}"));
        read["profiles"]["ct"]["allow"].as_array().unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn rules_are_made_narrower_however_the_policy_is_written() {
        for policy in POLICIES {
            let proposals =
                proposed("ct[1] from any service smb,https", 1, vec![part(445, &["10.0.0.7", "10.0.0.8"])]);
            let text = changed(policy, &proposals).fragment.policy;
            let found = rules(&text);
            assert_eq!(found.len(), rules(policy).len() + 1, "{text}");
            assert!(
                found.iter().any(|rule| rule.contains("10.0.0.8")
                    && rule.contains("445/tcp")
                    && rule.contains("CVE-2017-0144")),
                "{text}"
            );
            assert!(
                found.iter().any(|rule| rule.contains("\"any\"")
                    && rule.contains("\"https\"")
                    && !rule.contains("smb")),
                "{text}"
            );
            assert_eq!(
                text.contains("# files") && text.contains("# why"),
                policy.contains("# why"),
                "{text}"
            );
        }
    }

    #[test]
    fn rules_that_nobody_used_are_taken_out_and_the_place_says_why() {
        for policy in POLICIES {
            let policy = policy.replace("[\"smb\", \"https\"]", "\"smb\"");
            let written = changed(&policy, &proposed("ct[1] from any service smb", 1, vec![part(445, &[])]));
            let text = &written.fragment.policy;
            let found = rules(
                &(text.clone() + if text.contains("allow") { "" } else { "[profiles.ct]\nallow = []\n" }),
            );
            assert_eq!(found.len() + 1, rules(&policy).len(), "{text}");
            assert!(!found.iter().any(|rule| rule.contains("smb")), "{text}");
            assert!(
                text.contains("# CVE-2017-0144: 445/tcp from any is taken out, nobody used it"),
                "{text}"
            );
            assert!(written.fragment.diff.contains("-"), "{text}");
        }
    }

    #[test]
    fn the_last_rule_may_go_too() {
        let policy = "version = 1\n[profiles.ct]\nallow = [\n  { to = \"10.0.0.1\", service = \"dns\" },\n  { from = \"any\", service = \"smb\" }, # old\n]\n";
        let written = changed(policy, &proposed("ct[2] from any service smb", 2, vec![part(445, &[])]));
        assert_eq!(
            written.fragment.policy,
            "[profiles.ct]\nallow = [\n  { to = \"10.0.0.1\", service = \"dns\" },\n  # CVE-2017-0144: 445/tcp from any is taken out, nobody used it\n# old\n]\n"
        );
    }

    #[test]
    fn ports_are_cut_out_of_whatever_holds_them() {
        let ports = [(TCP, 445), (TCP, 139)];
        for (text, left) in [
            ("smb", ""),
            ("https", "https"),
            ("1-1024/tcp", "1-138/tcp 140-444/tcp 446-1024/tcp"),
            ("445-446/tcp", "446/tcp"),
            ("445/udp", "445/udp"),
            ("any", "1-138/tcp 140-444/tcp 446-65535/tcp 1-65535/udp icmp icmpv6"),
            ("proto/6", "1-138/tcp 140-444/tcp 446-65535/tcp"),
        ] {
            let found = without(text, &ports, &Named::new()).join(" ");
            assert_eq!(found, left, "{text}");
            found.split_whitespace().for_each(|text| drop(Services::parse(text, &Named::new()).unwrap()));
        }
    }

    #[test]
    fn a_file_that_says_something_else_is_left_alone() {
        let proposals = proposed("ct[1] from any service rdp", 1, vec![part(3389, &[])]);
        let written = changed(POLICIES[0], &proposals);
        assert!(written.fragment == Fragment::default() && written.warnings.len() == 1);
        let proposals = proposed("ct[9] from any service rdp", 9, vec![part(3389, &[])]);
        assert_eq!(changed(POLICIES[3], &proposals).warnings.len(), 1);
        let written = changed("version = 1\n", &proposals);
        assert!(written.fragment == Fragment::default() && written.warnings.is_empty());
    }
}
