//! What the audit log says of blocks that are added or removed: how many, and the first of them one by one.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;
use serde_json::{Value, json};

use super::{Blocks, Entry};
use crate::agent::Errors;
use crate::api::messages::{BlockRequest, UnblockRequest};
use crate::audit::{self, Author};

/// Blocks that an entry lists one by one.
const LISTED: usize = 100;

/// An entry for each of those who ask at once and change something, in their order.
pub(super) fn added(
    blocks: &Blocks,
    asked: &[(BlockRequest, Author)],
    wanted: &[Result<Vec<Entry>, Errors>],
    now: u64,
) -> Vec<Option<audit::Entry>> {
    let mut targets: BTreeSet<IpNet> = BTreeSet::new();
    targets.extend(wanted.iter().flatten().flatten().map(|entry| entry.block.target));
    let held = blocks.0.iter().filter(|entry| entry.holds(now) && targets.contains(&entry.block.target));
    let mut held: BTreeMap<IpNet, &Entry> = held.map(|entry| (entry.block.target, entry)).collect();
    let mut entries = Vec::new();
    for ((request, by), wanted) in asked.iter().zip(wanted) {
        let Some(new) = wanted.as_ref().ok().filter(|new| !new.is_empty()) else {
            entries.push(None);
            continue;
        };
        let what = if request.listed.is_empty() { "block add" } else { "block import" };
        let replaced: Vec<&Entry> =
            new.iter().filter_map(|entry| held.get(&entry.block.target).copied()).collect();
        held.extend(new.iter().map(|entry| (entry.block.target, entry)));
        entries.push(Some(audit::Entry {
            about: sole(new.iter().map(|entry| entry.block.target)),
            before: of_many(replaced.into_iter()),
            after: of_many(new.iter()),
            note: request.note.clone(),
            ..audit::Entry::by(by, what)
        }));
    }
    entries
}

/// The entry for blocks that go.
pub(super) fn removed(
    blocks: &Blocks,
    request: &UnblockRequest,
    by: &Author,
    targets: &BTreeSet<IpNet>,
) -> audit::Entry {
    let gone: Vec<&Entry> = blocks.0.iter().filter(|entry| targets.contains(&entry.block.target)).collect();
    audit::Entry {
        about: sole(targets.iter().copied()),
        before: of_many(gone.into_iter()),
        note: request.note.clone(),
        ..audit::Entry::by(by, "block remove")
    }
}

/// The one that it is about, where it is one.
fn sole(mut targets: impl ExactSizeIterator<Item = IpNet>) -> Option<String> {
    if targets.len() == 1 { targets.next().map(|target| target.to_string()) } else { None }
}

fn of_many<'e>(entries: impl ExactSizeIterator<Item = &'e Entry>) -> Value {
    let count = entries.len();
    if count == 0 {
        return Value::Null;
    }
    let first: Vec<Value> = entries
        .take(LISTED)
        .map(|Entry { block, .. }| json!({ "target": block.target, "score": block.score, "until": block.until }))
        .collect();
    json!({ "count": count, "blocks": first })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::feeds::manual::ManualBlock;

    fn entry(number: u32, score: u8) -> Entry {
        let target = IpNet::from(std::net::IpAddr::from(number.to_be_bytes()));
        let added = Timestamp::UNIX_EPOCH;
        let block = ManualBlock { target, score, until: None, note: None, added, by: "bob".into() };
        Entry { block, ends: None }
    }

    fn request(note: &str) -> (BlockRequest, Author) {
        let request = BlockRequest {
            targets: Vec::new(),
            score: 100,
            until: None,
            note: Some(note.into()),
            listed: Vec::new(),
        };
        (request, Author { name: "bob".into(), uid: Some(7) })
    }

    #[test]
    fn entries_say_what_was_there_before_and_of_many_how_many() {
        let blocks = Blocks(vec![entry(1, 90), entry(2, 80)]);
        let asked = ["one", "two", "none", "wrong", "many"].map(request);
        let wanted = [
            Ok(vec![entry(1, 100)]),
            Ok(vec![entry(1, 70), entry(3, 60)]),
            Ok(Vec::new()),
            Err(vec!["no".to_owned()]),
            Ok((1_000..2_000).map(|number| entry(number, 50)).collect()),
        ];
        let entries = added(&blocks, &asked, &wanted, 0);
        let entry = |number: usize| entries[number].clone().unwrap();
        assert_eq!(entry(0).about.as_deref(), Some("0.0.0.1/32"));
        assert_eq!(entry(0).before["blocks"][0]["score"], 90);
        assert_eq!(
            entry(0).after,
            json!({ "count": 1, "blocks": [{ "target": "0.0.0.1/32", "score": 100, "until": null }] })
        );
        assert_eq!(
            (entry(0).who.as_str(), entry(0).uid, entry(0).note.as_deref()),
            ("bob", Some(7), Some("one"))
        );
        assert_eq!(entry(1).before["blocks"][0]["score"], 100, "what the one before it has added");
        assert_eq!((entry(1).about, &entry(1).before["count"]), (None, &json!(1)));
        assert!(entries[2].is_none() && entries[3].is_none());
        assert_eq!(entry(4).after["count"], 1_000);
        assert_eq!(entry(4).after["blocks"].as_array().unwrap().len(), LISTED);
    }
}
