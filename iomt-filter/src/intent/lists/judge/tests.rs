//! What becomes of a feed's content, from one reading to the next.

use std::path::Path;

use super::*;
use crate::config::Config;
use crate::diagnostic::SourceFile;

fn feed(more: &str) -> Feed {
    let text = format!("[interfaces]\ndevice = [\"eth1\"]\n[[feed]]\nname = \"c2\"\n{more}\n");
    let config = Config::parse(&SourceFile::new("config.toml", text), Path::new("/etc/x/config.toml"), false);
    config.unwrap().feeds.remove(0)
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn content(text: &str) -> Content {
    let parts = vec![Part { name: "list".into(), bytes: text.as_bytes().to_vec() }];
    Content { parts, ..Content::default() }
}

fn far_end(address: &str) -> FarEnd {
    FarEnd { device: "ct-1".into(), address: address.parse().unwrap(), seen: at(0), block_score: 50 }
}

/// Judges a content after what the feed was before.
fn next(feed: &Feed, content: Content, before: &FeedCopy, far_ends: &[FarEnd], second: i64) -> Outcome {
    let guard = Guard::default();
    judge(
        feed,
        content,
        Some(before),
        &Bench {
            guard: &guard,
            far_ends,
            impact: Duration::from_secs(30 * 86_400),
            makes_tables: false,
            now: at(second),
        },
    )
}

fn lists(outcome: &Outcome, address: &str) -> bool {
    let list = &outcome.copy.list;
    list.covering(address.parse().unwrap()).any(|kept| !list.has_ended(kept, at(1_000_000)))
}

fn reasons(outcome: &Outcome) -> Vec<Held> {
    outcome.copy.notes.held.as_ref().map(|held| held.reasons.clone()).unwrap_or_default()
}

fn released(content: Content, reasons: &[Held]) -> Content {
    Content { released: Some(Release { by: "root".into(), reasons: reasons.to_vec() }), ..content }
}

#[test]
fn what_is_released_is_what_was_shown_and_for_the_reasons_that_were_shown() {
    let feed = feed("path = \"c2.txt\"\nmin_entries = 2");
    let list = || content("203.0.113.7\n");
    let held = next(&feed, list(), &FeedCopy::default(), &[], 1);
    assert!(matches!(reasons(&held)[..], [Held::TooFew { .. }]));
    // Meanwhile a device has begun to talk to it.
    let talks = [far_end("203.0.113.7")];
    let more = next(&feed, released(list(), &reasons(&held)), &held.copy, &talks, 2);
    assert!(!lists(&more, "203.0.113.7"), "nobody has seen that it cuts");
    assert!(matches!(reasons(&more)[..], [Held::TooFew { .. }, Held::Impact { .. }]));
    let through = next(&feed, released(list(), &reasons(&more)), &more.copy, &talks, 3);
    assert!(lists(&through, "203.0.113.7") && reasons(&through).is_empty());
    assert_eq!(through.copy.notes.released.as_deref(), Some("root"));
    // Another far end that nobody has seen is another reason.
    let others = [far_end("203.0.113.7"), far_end("203.0.113.8")];
    let two = || content("203.0.113.7\n203.0.113.8\n");
    let held = next(&feed, two(), &FeedCopy::default(), &talks, 4);
    assert!(!lists(&next(&feed, released(two(), &reasons(&held)), &held.copy, &others, 5), "203.0.113.8"));
}

#[test]
fn a_list_that_would_cut_waits_on_although_nobody_remembers_the_talk() {
    let feed = feed("path = \"c2.txt\"");
    let list = || content("203.0.113.7\n203.0.113.9\n");
    let held = next(&feed, list(), &FeedCopy::default(), &[far_end("203.0.113.7")], 1);
    let forgotten = next(&feed, list(), &held.copy, &[], 2);
    assert!(matches!(reasons(&forgotten)[..], [Held::Impact { .. }]) && forgotten.newly_held.is_empty());
    // Without the entry it passes.
    let other = next(&feed, content("203.0.113.9\n"), &forgotten.copy, &[], 3);
    assert!(lists(&other, "203.0.113.9") && reasons(&other).is_empty());
}

#[test]
fn what_crowdsec_takes_back_goes_at_once_and_what_others_no_longer_have_stays_for_a_while() {
    let decision = |address: &str| {
        format!(
            "{{\"value\":\"{address}\",\"scope\":\"Ip\",\"type\":\"ban\",\"until\":\"2030-01-01T00:00:00Z\",\"origin\":\"cscli\",\"scenario\":\"x\"}}"
        )
    };
    let both = format!("{{\"new\":[{},{}]}}", decision("203.0.113.7"), decision("203.0.113.8"));
    let one = format!("{{\"new\":[{}]}}", decision("203.0.113.8"));
    for (protocol, stays) in [("protocol = \"crowdsec\"", false), ("", true)] {
        let feed = feed(&format!("url = \"http://127.0.0.1:8080/\"\nformat = \"crowdsec\"\n{protocol}"));
        let before = next(&feed, content(&both), &FeedCopy::default(), &[], 1);
        assert!(lists(&before, "203.0.113.7"), "{:?}", reasons(&before));
        let after = next(&feed, content(&one), &before.copy, &[], 2);
        let list = &after.copy.list;
        let is_listed =
            list.covering("203.0.113.7".parse().unwrap()).any(|kept| !list.has_ended(kept, at(3)));
        assert_eq!(is_listed, stays, "{protocol}");
    }
}

#[test]
fn a_source_cannot_send_a_list_as_it_is_kept() {
    let feed = feed("path = \"c2.txt\"\nformat = \"plain\"");
    let list = next(&feed, content("203.0.113.7\n"), &FeedCopy::default(), &[], 1).copy.list;
    let sent = Part { name: "list".into(), bytes: list.to_bytes() };
    let as_source = Content { parts: vec![sent], ..Content::default() };
    assert!(!lists(&next(&feed, as_source.clone(), &FeedCopy::default(), &[], 2), "203.0.113.7"));
    let by_bundle = Content { is_kept_list: true, ..as_source };
    assert!(lists(&next(&feed, by_bundle, &FeedCopy::default(), &[], 2), "203.0.113.7"));
}
