//! Lists that must not be loaded, and lists that may.

use super::*;
use crate::feeds::formats::{self, Parsed};
use crate::feeds::guard::Floor;
use crate::feeds::guard::Reason;
use crate::feeds::list;

const MONTH: Duration = Duration::from_secs(30 * 86_400);

fn at(day: i64) -> Timestamp {
    Timestamp::from_second(1_795_000_000 + day * 86_400).unwrap()
}

/// A list after its first reading, and the reading.
fn read(text: &[u8]) -> (Parsed, List, Changes) {
    let reading = formats::Reading { now: at(0), ..formats::Reading::default() };
    let parsed = formats::parse(&reading, text);
    let (list, changes) = List::default().renewed(list::Reading {
        entries: parsed.entries.clone(),
        domains: parsed.domains.clone(),
        now: at(0),
        expire: std::time::Duration::from_secs(7 * 86_400),
        ..list::Reading::default()
    });
    (parsed, list, changes)
}

/// `count` addresses of 198.18.0.0/15, which is there for measuring (RFC 2544).
fn addresses(count: u32) -> Vec<u8> {
    let lines = (0..count).map(|low| format!("{}\n", std::net::Ipv4Addr::from(0xc612_0000 + low)));
    lines.collect::<String>().into_bytes()
}

fn judged(limits: &Limits, text: &[u8], last_good: Option<&[u8]>, far_ends: &[FarEnd]) -> Judged {
    let (parsed, list, changes) = read(text);
    let last_good = last_good.map(|text| read(text).1);
    let management = ("203.0.113.7/32".parse().unwrap(), Reason::Management);
    let candidate = Candidate {
        list: &list,
        changes,
        read: parsed.entries.len() + parsed.domains.len(),
        rejects: &parsed.rejects,
        remarks: &parsed.remarks,
        last_good: last_good.as_ref(),
        score: 80,
        min_score: 0,
        far_ends,
        impact: MONTH,
        spares: false,
        now: at(0),
    };
    judge(limits, &Guard::for_feeds([management]), &candidate)
}

fn held(text: &[u8], last_good: Option<&[u8]>) -> Vec<String> {
    judged(&Limits::default(), text, last_good, &[]).held.iter().map(ToString::to_string).collect()
}

fn far_end(device: &str, address: &str, day: i64, block_score: u8) -> FarEnd {
    FarEnd { device: device.to_owned(), address: address.parse().unwrap(), seen: at(day), block_score }
}

const NOTHING: [&str; 0] = [];

#[test]
fn a_list_as_it_should_be_is_not_held() {
    let judged = judged(&Limits::default(), b"198.51.100.9\n10.0.0.1\n203.0.113.0/24\nevil\n", None, &[]);
    assert_eq!(judged.held, []);
    assert_eq!(judged.sifted.list.len(), 2);
    assert_eq!(judged.sifted.removed_entries(), 1);
    assert_eq!(judged.sifted.holes().map(|hole| hole.to_string()).collect::<Vec<_>>(), ["203.0.113.7/32"]);
}

#[test]
fn what_is_no_list_is_held() {
    let page = b"<!doctype html><html><body>503</body></html>\n203.0.113.9\n";
    assert_eq!(held(page, None), ["nothing of it can be used: line 1: this is HTML, not a list"]);
    assert_eq!(
        held(b"\x7fELF\0\0", None),
        ["nothing of it can be used: line 1: this is binary data, not a list"]
    );
    let expected =
        "nothing of it can be used: line 1: neither an address nor a prefix nor a domain, and 1 more";
    assert_eq!(held(b"not\nlisted\n", None), [expected]);
    let judged = judged(&Limits { allow_empty: true, ..Limits::default() }, b"not\nlisted\n", None, &[]);
    assert_eq!(judged.held.len(), 1, "a list of faults is not an empty one");
    assert!(!judged.held[0].can_be_released());
}

#[test]
fn an_empty_list_is_held_unless_it_may_be_empty() {
    assert_eq!(held(b"# nothing today\n", None), ["it lists nothing"]);
    assert_eq!(held(b"", Some(b"203.0.113.9\n")), ["it lists nothing"]);
    let may_be = Limits { allow_empty: true, min_entries: 5, ..Limits::default() };
    assert_eq!(judged(&may_be, b"# nothing today\n", Some(&addresses(1000)), &[]).held, []);
    assert_eq!(judged(&may_be, b"203.0.113.9\n", None, &[]).held, [Held::TooFew { entries: 1, least: 5 }]);
}

#[test]
fn a_list_may_change_by_its_share_and_by_its_slack() {
    assert_eq!(held(&addresses(2000), Some(&addresses(1000))), NOTHING);
    let expected = "it has grown from 1000 to 2001 entries, by 101 %; 100 % are allowed";
    assert_eq!(held(&addresses(2001), Some(&addresses(1000))), [expected]);
    assert_eq!(held(&addresses(500), Some(&addresses(1000))), NOTHING);
    let expected = "it has shrunk from 1000 to 499 entries, by 51 %; 50 % are allowed";
    assert_eq!(held(&addresses(499), Some(&addresses(1000))), [expected]);
    assert_eq!(held(&addresses(203), Some(&addresses(3))), NOTHING, "two hundred more are no million");
    assert_eq!(held(&addresses(1), Some(&addresses(201))), NOTHING);
    assert_eq!(held(&addresses(204), Some(&addresses(3))).len(), 1);
    assert_eq!(held(&addresses(2001), None), NOTHING, "nothing is there to compare with");
    let few = Limits { max_entries: 100, ..Limits::default() };
    assert_eq!(
        judged(&few, &addresses(101), None, &[]).held,
        [Held::TooMany { entries: 101, gone: 0, most: 100 }]
    );
}

#[test]
fn a_list_of_too_many_faults_is_held() {
    let with_faults = |faults: usize| [addresses(90), b"x x\n".repeat(faults)].concat();
    assert_eq!(held(&with_faults(10), None), NOTHING);
    let expected = "11 of 101 lines are of no use, 11 %; 10 % are allowed; \
                    the first is line 91: neither an address nor a prefix nor a domain";
    assert_eq!(held(&with_faults(11), None), [expected]);
    assert_eq!(held(&[addresses(2), b"x x\n".repeat(5)].concat(), None), NOTHING, "five are a few");
}

#[test]
fn a_list_of_which_the_guard_removes_much_is_held() {
    let with_own = |own: usize| {
        let own = (1..=own).map(|low| format!("10.0.0.{low}\n")).collect::<String>();
        [addresses(60), own.into_bytes()].concat()
    };
    assert_eq!(held(&with_own(20), None), NOTHING);
    let expected = "21 of 81 entries are what no list may block, 26 %; 25 % are allowed; \
                    the first is `10.0.0.1/32`: private addresses";
    assert_eq!(held(&with_own(21), None), [expected]);
    let poisoned = b"0.0.0.0/1\n128.0.0.0/1\n8.8.8.8\n10.0.0.0/8\n::/1\n9.9.9.9\n203.0.113.9\n";
    assert_eq!(held(poisoned, None).len(), 1);
    let expected = "2 of 2 entries are what no list may block, 100 %; 25 % are allowed; \
                    the first is `8.8.8.8/32`: a public service for names or time";
    assert_eq!(held(b"8.8.8.8\n10.0.0.0/8\n", None), [expected], "nothing is left, however few they are");
}

#[test]
fn a_list_says_of_itself_that_it_was_cut_off_or_is_no_longer_kept() {
    let (_, list, changes) = read(b"203.0.113.9\n");
    let remarks = [Remark::Deprecated("# deprecated".to_owned()), Remark::Count { said: 5, found: 1 }];
    let candidate = Candidate {
        list: &list,
        changes,
        read: 1,
        rejects: &[],
        remarks: &remarks,
        last_good: None,
        score: 80,
        min_score: 0,
        far_ends: &[],
        impact: MONTH,
        spares: false,
        now: at(0),
    };
    let judged = judge(&Limits::default(), &Guard::for_feeds([]), &candidate);
    assert_eq!(judged.held, [Held::Count { said: 5, found: 1 }]);
    let warning = judged.warnings[0].to_string();
    assert_eq!(
        warning,
        "its publisher says that it is no longer kept: `# deprecated`; look for another source"
    );
}

#[test]
fn what_would_cut_a_device_is_held_and_says_whom() {
    let far_ends = [
        far_end("ct-3", "198.51.100.7", -2, 80),
        far_end("pump-1", "198.51.100.7", -1, 80),
        far_end("pump-2", "198.51.100.7", -1, 81),
        far_end("ct-3", "192.0.2.1", -1, 50),
        far_end("ct-3", "203.0.113.7", -1, 50),
        far_end("mri-1", "2001:db8::7", -30, 50),
    ];
    let text = b"198.51.100.0/24\n198.51.100.8\n203.0.113.0/24\n2001:db8::/48\n";
    let of = |last_good: Option<&[u8]>| judged(&Limits::default(), text, last_good, &far_ends).held;
    let held = of(None);
    let [Held::Impact { cuts, total: 3, seconds: 2_592_000 }] = held.as_slice() else {
        unreachable!("{held:?}")
    };
    let told: Vec<_> =
        cuts.iter().map(|cut| (cut.device.as_str(), cut.entry.to_string(), cut.line)).collect();
    let entry = || "198.51.100.0/24".to_owned();
    assert_eq!(
        told,
        [("pump-1", entry(), 1), ("ct-3", entry(), 1), ("mri-1", "2001:db8::/48".to_owned(), 4)]
    );
    assert_eq!(
        held[0].explained("c2"),
        "it would cut 3 far ends that devices talked to in the last 30 days: `pump-1` to 198.51.100.7, \
         last at 2026-11-17T11:06:40Z, by `198.51.100.0/24` (line 1, score 80), and 2 more; \
         look whether these devices are infected or the list is wrong; \
         `iomt-filter feed show c2` shows it, `iomt-filter feed release c2` lets it through"
    );
    let Some(Held::Impact { total, .. }) = of(Some(b"198.51.100.7\n")).pop() else { unreachable!() };
    assert_eq!(total, 1, "what the last good list cuts already is no news");
    assert_eq!(of(Some(b"198.51.100.0/25\n2001:db8::7\n")), []);
}

#[test]
fn what_was_held_can_be_kept_and_read_again() {
    let far_ends = [far_end("ct-3", "198.18.0.70", -2, 80)];
    let limits = Limits { max_entries: 10, ..Limits::default() };
    let text = [addresses(900), b"10.0.0.0/8\n".to_vec(), b"x x\n".repeat(400)].concat();
    let held = judged(&limits, &text, Some(&addresses(9)), &far_ends).held;
    assert_eq!(held.len(), 4, "{held:?}");
    let kept = serde_json::to_string(&held).unwrap();
    assert_eq!(serde_json::from_str::<Vec<Held>>(&kept).unwrap(), held);
    assert!(kept.contains(r#"{"kind":"too-many","entries":901,"gone":0,"most":10}"#), "{kept}");
}

#[test]
fn what_was_held_before_more_was_told_can_be_read_still() {
    let kept = r#"[{"kind":"impact","cuts":[],"total":2},{"kind":"too-many","entries":9,"most":1},
        {"kind":"grown","before":1,"entries":9,"limit":1}]"#;
    let held: Vec<Held> = serde_json::from_str(kept).unwrap();
    let words: Vec<_> = held.iter().map(ToString::to_string).collect();
    let expected = [
        "it would cut 2 far ends that devices talked to in the last 30 days",
        "it has 9 entries, more than 1",
        "it has grown from 1 to 9 entries, by 800 %; 1 % are allowed",
    ];
    assert_eq!(words, expected);
    for held in [
        Held::Sparing { addresses: 1 << 32, most_addresses: 1, sites: 1 << 40, most_sites: 2 },
        Held::Grown { before: 1, entries: 9, limit: 1, since: Some(at(0)) },
        Held::Exchanged { before: 9, exchanged: 8, limit: 1 },
    ] {
        let kept = serde_json::to_string(&held).unwrap();
        assert_eq!(serde_json::from_str::<Held>(&kept).unwrap(), held);
    }
}

#[test]
fn how_far_back_far_ends_count_is_for_whoever_brings_them() {
    let far_ends = [far_end("ct-3", "198.51.100.8", -59, 50)];
    let (parsed, list, changes) = read(b"198.51.100.8\n");
    let held = |days: u64| {
        let candidate = Candidate {
            impact: Duration::from_secs(days * 43_200),
            far_ends: &far_ends,
            ..candidate(&parsed, &list, changes, None)
        };
        judge(&Limits::default(), &Guard::for_feeds([]), &candidate)
            .held
            .iter()
            .map(ToString::to_string)
            .collect()
    };
    let words = |span| {
        format!(
            "it would cut 1 far end that devices talked to in the last {span}: `ct-3` to 198.51.100.8, \
             last at 2026-09-20T11:06:40Z, by `198.51.100.8/32` (line 1, score 80)"
        )
    };
    let held: [Vec<String>; 4] = [120, 2, 3, 1].map(held);
    assert_eq!(held, ["60 days", "day", "36 hours", "12 hours"].map(|span| vec![words(span)]));
}

#[test]
fn a_far_end_of_many_services_is_one() {
    let far_ends: Vec<FarEnd> = (-5..0)
        .map(|day| far_end("ct-3", "198.51.100.7", day, 80))
        .chain([far_end("ct-4", "198.51.100.7", -9, 80)])
        .collect();
    let held = judged(&Limits::default(), b"198.51.100.7\n", None, &far_ends).held;
    let [Held::Impact { cuts, total: 2, .. }] = held.as_slice() else { unreachable!("{held:?}") };
    let told: Vec<_> = cuts.iter().map(|cut| (cut.device.as_str(), cut.seen)).collect();
    assert_eq!(told, [("ct-3", at(-1)), ("ct-4", at(-9))], "each with the latest time");
}

/// A list that follows another one.
fn candidate<'c>(
    parsed: &'c Parsed,
    list: &'c List,
    changes: Changes,
    last_good: Option<&'c List>,
) -> Candidate<'c> {
    Candidate {
        list,
        changes,
        read: parsed.entries.len() + parsed.domains.len(),
        rejects: &parsed.rejects,
        remarks: &parsed.remarks,
        last_good,
        score: 80,
        min_score: 0,
        far_ends: &[],
        impact: MONTH,
        spares: false,
        now: list.read_at(),
    }
}

/// What becomes of a list after another reading, some hours after the first.
fn next(limits: &Limits, before: &List, hours: i64, text: &[u8]) -> (List, Vec<String>) {
    let now = at(0) + jiff::SignedDuration::from_hours(hours);
    let parsed = formats::parse(&formats::Reading { now, ..formats::Reading::default() }, text);
    let (list, changes) = before.renewed(list::Reading {
        entries: parsed.entries.clone(),
        domains: parsed.domains.clone(),
        now,
        expire: Duration::from_secs(7 * 86_400),
        ..list::Reading::default()
    });
    let judged = judge(limits, &Guard::for_feeds([]), &candidate(&parsed, &list, changes, Some(before)));
    (list, judged.held.iter().map(ToString::to_string).collect())
}

#[test]
fn a_list_may_not_grow_step_by_step_either() {
    let limits = Limits::default();
    let (_, first, _) = read(&addresses(1000));
    let (second, held) = next(&limits, &first, 1, &addresses(1900));
    assert_eq!(held, NOTHING);
    let (_, held) = next(&limits, &second, 2, &addresses(2500));
    let expected =
        "it has grown from 1000 to 2500 entries since 2026-11-18T11:06:40Z, by 150 %; 100 % are allowed";
    assert_eq!(held, [expected]);
    assert_eq!(next(&limits, &second, 30, &addresses(3800)).1, NOTHING, "a day later it may again");
    assert_eq!(
        next(&limits, &second.as_baseline(), 2, &addresses(3800)).1,
        NOTHING,
        "somebody let it through"
    );
    let (_, few, _) = read(&addresses(3));
    let (more, held) = next(&limits, &few, 1, &addresses(200));
    assert_eq!(held, NOTHING);
    assert_eq!(next(&limits, &more, 2, &addresses(400)).1.len(), 1, "nor by its slack, again and again");
    let may_be = Limits { allow_empty: true, ..limits };
    let (empty, held) = next(&may_be, &first, 1, b"# nothing\n");
    assert_eq!(held, NOTHING);
    let (empty, _) = next(&may_be, &empty, 100, b"# nothing\n");
    assert_eq!(next(&may_be, &empty, 101, &addresses(2500)).1.len(), 1, "nor by being empty first");
}

/// `count` addresses of 203.0.112.0/20 and what follows it.
fn others(count: u32) -> Vec<u8> {
    let lines = (0..count).map(|low| format!("{}\n", std::net::Ipv4Addr::from(0xcb00_7000 + low)));
    lines.collect::<String>().into_bytes()
}

#[test]
fn what_the_feed_no_longer_has_counts_for_the_most_that_a_list_may_hold() {
    let limits = Limits { max_entries: 1500, max_churn: 100, ..Limits::default() };
    let (_, first, _) = read(&addresses(1000));
    let (_, held) = next(&limits, &first, 1, &others(900));
    assert_eq!(held, ["it has 1900 entries, more than 1500, with 1000 that it no longer names"]);
    let (second, held) = next(&limits, &first, 1, &others(500));
    assert_eq!((second.len(), held), (1500, Vec::new()));
}

#[test]
fn a_list_of_which_much_is_exchanged_at_once_is_held() {
    let limits = Limits::default();
    let (_, first, _) = read(&addresses(1000));
    let exchanged = |count: u32| [addresses(1000 - count), others(count)].concat();
    assert_eq!(next(&limits, &first, 1, &exchanged(750)).1, NOTHING);
    let expected = "751 of its 1000 entries have made way for others, 76 %; 75 % are allowed";
    assert_eq!(next(&limits, &first, 1, &exchanged(751)).1, [expected]);
    let any = Limits { max_churn: 100, ..limits };
    assert_eq!(next(&any, &first, 1, &exchanged(1000)).1, NOTHING, "all of it, if it may");
    assert_eq!(next(&limits, &first, 1, &[addresses(1000), others(900)].concat()).1, NOTHING, "it has grown");
    assert_eq!(next(&limits, &first, 1, &addresses(600)).1, NOTHING, "it has shrunk");
    let (_, short, _) = read(&addresses(200));
    assert_eq!(next(&limits, &short, 1, &others(200)).1, NOTHING, "a short list may be another one");
}

#[test]
fn what_the_guard_removes_is_a_share_of_the_reading() {
    let own = (1..=30).map(|low| format!("10.0.0.{low}\n")).collect::<String>();
    let (_, before, _) = read(&[addresses(1000), own.clone().into_bytes()].concat());
    let limits = Limits { max_shrink: 100, ..Limits::default() };
    assert_eq!(
        next(&limits, &before, 1, &addresses(20)).1,
        NOTHING,
        "what stays of before is not of the reading"
    );
    let held = next(&limits, &before, 1, &[addresses(60), own.into_bytes()].concat()).1;
    assert_eq!(held.len(), 1, "nor is the share smaller for what stays: {held:?}");
    assert!(held[0].starts_with("30 of 90 entries are what no list may block, 34 %"), "{held:?}");
    let (_, before, _) = read(&addresses(2));
    assert_eq!(next(&limits, &before, 1, b"10.0.0.1\n").1.len(), 1, "nothing of the reading is left");
}

#[test]
fn a_list_that_spares_much_of_the_internet_is_held() {
    let judged = |text: &str, spares| {
        let (parsed, list, changes) = read(text.as_bytes());
        let candidate = Candidate { spares, ..candidate(&parsed, &list, changes, None) };
        judge(&Limits::default(), &Guard::for_spared(Floor::default()), &candidate)
    };
    let held = |text: &str, spares| -> Vec<String> {
        judged(text, spares).held.iter().map(ToString::to_string).collect()
    };
    let warnings = judged("203.0.0.0/15\n203.0.113.9\n10.0.0.0/9\n", true).warnings;
    let words: Vec<_> = warnings.iter().map(ToString::to_string).collect();
    let expected = "2 of its entries are wider than a `never_block` list may be and are not spared; \
                    the first is `10.0.0.0/9`";
    assert_eq!(words, [expected]);
    let sixteen = (0..16).map(|low| format!("198.{low}.0.0/16\n")).collect::<String>();
    assert_eq!(held(&sixteen, true), NOTHING);
    let more = sixteen.clone() + "203.0.113.1\n";
    let expected = "no list could block 1048577 IPv4 addresses and 0 IPv6 prefixes of /48; \
                    1048576 and 65536 are allowed";
    assert_eq!(held(&more, true), [expected]);
    assert_eq!(held(&more, false), NOTHING, "of what is to be blocked there may be as much");
    assert_eq!(held("2001:db8::/32\n2001:db9::1\n", true).len(), 1);
    assert_eq!(held("203.0.0.0/15\n203.0.113.9\n", true), NOTHING, "what is too wide is not spared");
    assert_eq!(held("203.0.0.0/8\n", true).len(), 1, "nothing is left");
}

#[test]
fn a_list_of_whole_clouds_is_held_unless_it_was_one_before() {
    let wide: String = (11..=99).map(|first| format!("{first}.0.0.0/8\n")).collect();
    let reasons = held(wide.as_bytes(), None);
    assert!(reasons[0].starts_with("it covers 1493172224 IPv4 addresses, more than 33554432"), "{reasons:?}");
    assert_eq!(held(wide.as_bytes(), Some(wide.as_bytes())), NOTHING);
    // Nested networks count once.
    assert_eq!(held(b"45.0.0.0/8\n45.1.0.0/16\n45.1.1.1\n46.0.0.0/10\n", None), NOTHING);
}
