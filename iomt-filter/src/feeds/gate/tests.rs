//! Lists that must not be loaded, and lists that may.

use super::*;
use crate::feeds::formats::{self, Parsed};
use crate::feeds::guard::Reason;
use crate::feeds::list;

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
    assert_eq!(judged(&few, &addresses(101), None, &[]).held, [Held::TooMany { entries: 101, most: 100 }]);
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
        far_end("ct-3", "198.51.100.8", -31, 50),
        far_end("ct-3", "192.0.2.1", -1, 50),
        far_end("ct-3", "203.0.113.7", -1, 50),
        far_end("mri-1", "2001:db8::7", -30, 50),
    ];
    let text = b"198.51.100.0/24\n198.51.100.8\n203.0.113.0/24\n2001:db8::/48\n";
    let of = |last_good: Option<&[u8]>| judged(&Limits::default(), text, last_good, &far_ends).held;
    let held = of(None);
    let [Held::Impact { cuts, total: 3 }] = held.as_slice() else { unreachable!("{held:?}") };
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
    assert_eq!(held.len(), 4);
    let kept = serde_json::to_string(&held).unwrap();
    assert_eq!(serde_json::from_str::<Vec<Held>>(&kept).unwrap(), held);
    assert!(kept.contains(r#"{"kind":"too-many","entries":901,"most":10}"#), "{kept}");
}
