//! Lists: what is found in them, what stays of them, and whether they come back from bytes.

use proptest::prelude::*;

use super::*;
use crate::feeds::entry::{Category, Domain, Entry};

const DAY: Duration = Duration::from_secs(86_400);

fn at(day: i64) -> Timestamp {
    Timestamp::from_second(1_795_000_000 + day * 86_400).unwrap()
}

fn net(text: &str) -> IpNet {
    crate::policy::peer::network(text).unwrap()
}

fn entry(text: &str, line: u32) -> Entry {
    Entry { network: net(text), port: None, score: None, line, about: None }
}

fn until(text: &str, line: u32, end: Timestamp) -> Entry {
    let about = About { expires: Some(end), ..About::default() };
    Entry { about: about.shared(), ..entry(text, line) }
}

fn domain(name: &str, line: u32) -> Domain {
    Domain { name: name.into(), port: None, score: None, line, about: None }
}

fn reading(day: i64, entries: Vec<Entry>) -> Reading {
    Reading { entries, now: at(day), expire: 7 * DAY, score: 50, ..Reading::default() }
}

fn list(entries: Vec<Entry>) -> List {
    List::default().renewed(reading(0, entries)).0
}

fn shown<'l>(kept: impl IntoIterator<Item = &'l Kept<IpNet>>) -> Vec<String> {
    kept.into_iter().map(|kept| kept.what.to_string()).collect()
}

#[test]
fn a_bare_address_takes_no_more_than_forty_eight_bytes() {
    assert_eq!(size_of::<Kept<IpNet>>(), 48);
}

#[test]
fn every_entry_that_covers_an_address_is_found_the_longest_first() {
    let texts = [
        "203.0.113.9",
        "203.0.113.0/24",
        "203.0.0.0/16",
        "2001:db8::/32",
        "198.51.100.0/25",
        "203.0.113.8/32",
    ];
    let list = list((1..).zip(texts).map(|(line, text)| entry(text, line)).collect());
    let covering = |text: &str| shown(list.covering(text.parse().unwrap()));
    assert_eq!(covering("203.0.113.9"), ["203.0.113.9/32", "203.0.113.0/24", "203.0.0.0/16"]);
    assert_eq!(covering("::ffff:203.0.113.200"), ["203.0.113.0/24", "203.0.0.0/16"]);
    assert_eq!(covering("2001:db8::1"), ["2001:db8::/32"]);
    assert_eq!(covering("198.51.100.200"), [""; 0]);
    let inside = |text: &str| shown(list.inside(net(text)));
    assert_eq!(inside("203.0.113.8/30"), ["203.0.113.8/32", "203.0.113.9/32"]);
    assert_eq!(inside("203.0.113.0/24"), ["203.0.113.0/24", "203.0.113.8/32", "203.0.113.9/32"]);
    assert_eq!(inside("2001:db8::1"), [""; 0]);
    assert_eq!(list.get(net("203.0.113.9")).map(|kept| kept.line), Some(1));
}

#[test]
fn a_name_is_found_below_every_listed_domain() {
    let domains = vec![domain("example", 1), domain("evil.example", 2), domain("x.evil.example", 3)];
    let list = List::default().renewed(Reading { domains, ..reading(0, Vec::new()) }).0;
    let naming = |name: &str| list.naming(name).map(|kept| kept.what.to_string()).collect::<Vec<_>>();
    assert_eq!(naming("EVIL.example."), ["evil.example", "example"]);
    assert_eq!(naming("a.x.evil.example"), ["x.evil.example", "evil.example", "example"]);
    assert_eq!(naming("notevil.example"), ["example"]);
    assert_eq!(naming("example.org"), [""; 0]);
    assert_eq!(naming(""), [""; 0]);
}

#[test]
fn duplicates_become_one_entry_and_nothing_that_is_said_is_lost() {
    let about = |category, expires: Option<i64>, seen: i64| {
        About { category, expires: expires.map(at), first_seen: Some(at(seen)), ..About::default() }.shared()
    };
    let entries = vec![
        Entry {
            port: Some(443),
            score: Some(60),
            about: about(None, Some(2), -5),
            ..entry("203.0.113.9", 4)
        },
        entry("198.51.100.1", 5),
        Entry { port: Some(80), about: about(Some(Category::C2), Some(9), -9), ..entry("203.0.113.9", 6) },
        entry("198.51.100.1", 7),
        Entry { port: Some(443), score: Some(90), ..entry("203.0.113.9", 8) },
    ];
    let (list, changes) = List::default().renewed(reading(0, entries));
    assert_eq!(list.len(), 2);
    assert_eq!(changes, Changes { added: 2, duplicates: 3, ..Changes::default() });
    let one = list.get(net("203.0.113.9")).unwrap();
    assert_eq!((one.line, one.port, one.score), (4, None, Some(90)));
    let about = one.about.as_ref().unwrap();
    assert_eq!((about.category, about.first_seen), (Some(Category::C2), Some(at(-9))));
    assert_eq!(about.expires, None, "line 8 lasts as long as the feed has it");
    let said: Vec<_> = list.said_of(one).iter().map(|said| (said.line, said.port, said.score)).collect();
    assert_eq!(said, [(4, Some(443), Some(60)), (6, Some(80), None), (8, Some(443), Some(90))]);
    let other = list.get(net("198.51.100.1")).unwrap();
    assert_eq!(other.line, 5);
    assert_eq!(list.said_of(other), std::slice::from_ref(other), "lines that say the same say it once");
}

#[test]
fn the_default_score_tells_which_of_two_is_higher() {
    let of = |score| {
        let entries = vec![Entry { score: Some(70), ..entry("203.0.113.9", 1) }, entry("203.0.113.9", 2)];
        let list = List::default().renewed(Reading { score, ..reading(0, entries) }).0;
        list.networks()[0].score
    };
    assert_eq!((of(50), of(80)), (Some(70), None));
}

#[test]
fn an_entry_that_the_feed_no_longer_has_stays_until_it_was_not_seen_for_long_enough() {
    let first = list(vec![entry("203.0.113.1", 1), entry("203.0.113.2", 2)]);
    let (second, changes) = first.renewed(reading(3, vec![entry("203.0.113.2", 1)]));
    assert_eq!(changes, Changes { again: 1, gone: 1, ..Changes::default() });
    let gone = second.get(net("203.0.113.1")).unwrap();
    assert!(!gone.is_present());
    assert_eq!((second.seen(gone), second.ends(gone, at(3))), (at(0), Some(at(7))));
    assert_eq!((second.present(), second.len()), (1, 2));
    assert_eq!(second.next_expiry(at(3)), Some(at(7)));
    let (third, changes) = second.renewed(reading(6, vec![entry("203.0.113.2", 1)]));
    assert_eq!(changes, Changes { again: 1, gone: 1, ..Changes::default() });
    let gone = third.get(net("203.0.113.1")).unwrap();
    assert_eq!(third.ends(gone, at(6)), Some(at(7)), "not from the last reading");
    let (fourth, changes) = third.renewed(reading(7, vec![entry("203.0.113.2", 1)]));
    assert_eq!(changes, Changes { again: 1, ended: 1, ..Changes::default() });
    assert_eq!(shown(fourth.networks()), ["203.0.113.2/32"]);
    let (back, _) = third.renewed(reading(7, vec![entry("203.0.113.1", 1)]));
    assert!(back.get(net("203.0.113.1")).unwrap().is_present());
}

#[test]
fn a_feed_that_cannot_be_read_keeps_what_it_had() {
    let list = list(vec![entry("203.0.113.1", 1)]);
    let kept = &list.networks()[0];
    assert!(!list.has_ended(kept, at(1000)));
    assert_eq!(list.next_expiry(at(0)), None);
    let again = list.read_again(at(5));
    assert_eq!(again.seen(kept), at(5));
    let (later, _) = again.renewed(reading(6, Vec::new()));
    assert_eq!(later.next_expiry(at(6)), Some(at(12)));
}

#[test]
fn an_end_that_the_feed_names_always_counts() {
    let first =
        list(vec![until("203.0.113.1", 1, at(2)), until("203.0.113.2", 2, at(40)), entry("203.0.113.3", 3)]);
    assert_eq!(first.next_expiry(at(0)), Some(at(2)));
    assert!(first.has_ended(&first.networks()[0], at(2)));
    let (second, _) = first.renewed(reading(1, Vec::new()));
    let ends: Vec<_> = second.networks().iter().map(|kept| second.ends(kept, at(1))).collect();
    assert_eq!(ends, [Some(at(2)), Some(at(7)), Some(at(7))]);
    let (third, changes) = second.renewed(reading(3, vec![until("203.0.113.4", 1, at(3))]));
    assert_eq!(changes, Changes { gone: 2, ended: 2, ..Changes::default() }, "one old, one before it came");
    assert_eq!(third.len(), 2);
}

#[test]
fn what_is_withdrawn_goes_at_once_unless_it_is_listed_anew() {
    let first = list(vec![entry("203.0.113.1", 1), entry("203.0.113.2", 2), entry("203.0.113.3", 3)]);
    let withdrawn = vec![net("203.0.113.1"), net("203.0.113.3"), net("203.0.113.0/24")];
    let change = Reading { withdrawn, is_change: true, ..reading(1, vec![entry("203.0.113.3", 1)]) };
    let (second, changes) = first.renewed(change);
    assert_eq!(changes, Changes { again: 1, withdrawn: 1, ..Changes::default() });
    assert_eq!(shown(second.networks()), ["203.0.113.2/32", "203.0.113.3/32"]);
}

#[test]
fn a_change_leaves_everything_else_as_it_is() {
    let first = list(vec![entry("203.0.113.1", 1), until("203.0.113.2", 2, at(4))]);
    let change = |day, entries| Reading { is_change: true, ..reading(day, entries) };
    let (second, changes) = first.renewed(change(3, vec![until("203.0.113.2", 1, at(9))]));
    assert_eq!(changes, Changes { again: 1, ..Changes::default() });
    assert!(second.networks().iter().all(Kept::is_present));
    let twice = second.get(net("203.0.113.2")).unwrap();
    assert_eq!((second.ends(twice, at(3)), second.said_of(twice).len()), (Some(at(9)), 2));
    let (third, _) = second.renewed(change(5, vec![until("203.0.113.2", 1, at(8))]));
    let twice = third.get(net("203.0.113.2")).unwrap();
    assert_eq!(
        (third.ends(twice, at(5)), third.said_of(twice).len()),
        (Some(at(9)), 2),
        "the first one has ended"
    );
}

#[test]
fn what_one_line_says_a_million_times_takes_bounded_time_and_room() {
    let entries: Vec<Entry> = (0..60_000u16)
        .map(|port| Entry { port: Some(port), score: Some((port % 90) as u8), ..entry("203.0.113.9", 1) })
        .collect();
    let list = list(entries);
    let one = &list.networks()[0];
    assert_eq!((one.score, one.port, list.said_of(one).len()), (Some(89), None, 64));
}

#[test]
fn a_list_without_some_entries_keeps_what_is_said_of_the_others() {
    let twice = |text: &str| [entry(text, 1), Entry { port: Some(80), ..entry(text, 2) }];
    let all = ["203.0.113.1", "203.0.113.2", "203.0.113.3"].map(twice).concat();
    let list = list(all);
    let rest = list.without(&[1]);
    assert_eq!(shown(rest.networks()), ["203.0.113.1/32", "203.0.113.3/32"]);
    assert!(rest.networks().iter().all(|kept| rest.said_of(kept).len() == 2));
    assert!(Arc::ptr_eq(&list.without(&[]).content, &list.content));
}

#[test]
fn damaged_bytes_are_no_list() {
    let list = list(vec![entry("203.0.113.1", 1), until("2001:db8::/32", 2, at(3))]);
    let bytes = list.to_bytes();
    assert_eq!(List::from_bytes(&bytes), Ok(list));
    for length in 0..bytes.len() {
        assert!(List::from_bytes(&bytes[..length]).is_err(), "cut at {length}");
    }
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        assert!(List::from_bytes(&damaged).is_err(), "damaged at {at}");
    }
    assert_eq!(List::from_bytes(b"203.0.113.1\n"), Err(ListError::Other));
    assert_eq!(List::from_bytes(b""), Err(ListError::Other));
    let newer = [b"iomt-filter list 4\n", &bytes[19..]].concat();
    assert_eq!(List::from_bytes(&newer), Err(ListError::Version(4)));
    assert_eq!(List::from_bytes(&[&bytes[..], b"x"].concat()), Err(ListError::Checksum));
}

/// Bytes whose body was changed, with a checksum that fits.
fn forged(bytes: &[u8], change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    use sha2::{Digest as _, Sha256};
    let mut body = bytes[19 + 32..].to_vec();
    change(&mut body);
    [&bytes[..19], Sha256::digest(&body).as_slice(), &body].concat()
}

#[test]
fn a_list_of_the_version_before_is_read_with_what_it_has_as_its_baseline() {
    let list = list(vec![entry("203.0.113.1", 1), entry("203.0.113.2", 2)]);
    let mut older = forged(&list.to_bytes(), |body| drop(body.drain(8..16)));
    older[17] = b'1';
    let read = List::from_bytes(&older).unwrap();
    assert_eq!(read.networks(), list.networks());
    assert_eq!(read.baseline(), Some((at(0), 2)));
}

#[test]
fn bytes_with_a_score_that_is_none_or_a_name_that_is_none_are_no_list() {
    let domains = vec![Domain { score: Some(100), ..domain("evil.example", 1) }];
    let entries = vec![Entry { score: Some(100), ..entry("203.0.113.1", 1) }];
    let bytes = List::default().renewed(Reading { domains, ..reading(0, entries) }).0.to_bytes();
    let with = |from: &[u8], to: &[u8]| {
        forged(&bytes, |body| {
            let at = body.windows(from.len()).rposition(|window| window == from).unwrap();
            body[at..at + to.len()].copy_from_slice(to);
        })
    };
    assert!(List::from_bytes(&with(b"evil", b"good")).is_ok());
    for bytes in [
        with(&[18, 1, 0, 0, 0, 100], &[18, 1, 0, 0, 0, 101]),
        with(b"evil.example", b"EVIL.example"),
        with(b"evil.example", b"evil..xample"),
        with(b"evil.example", b"evil example"),
        with(b"evil.example", b"evilzexample"),
        with(b"evil.example", b"203.0.113.99"),
    ] {
        assert_eq!(List::from_bytes(&bytes), Err(ListError::Content));
    }
}

#[test]
fn what_went_while_the_clock_was_ahead_goes_when_it_should_once_the_clock_is_right() {
    let years = 3650;
    let ahead = list(vec![entry("203.0.113.1", 1), entry("203.0.113.2", 2)]).renewed(reading(
        years,
        vec![entry("203.0.113.1", 1), entry("203.0.113.2", 2), entry("203.0.113.3", 3)],
    ));
    let gone_ahead = ahead.0.renewed(reading(years + 1, vec![entry("203.0.113.2", 1)])).0;
    let ends =
        |list: &List, now| list.networks().iter().filter_map(|kept| list.ends(kept, now)).collect::<Vec<_>>();
    assert_eq!(ends(&gone_ahead, at(1)), [at(8), at(8)]);
    assert_eq!(gone_ahead.next_expiry(at(1)), Some(at(8)));
    let right = gone_ahead.renewed(reading(1, vec![entry("203.0.113.2", 1), entry("203.0.113.9", 2)])).0;
    assert_eq!(ends(&right, at(5)), [at(8), at(8)], "from the first reading after the clock was right");
    assert!(
        right.networks().iter().filter(|kept| !kept.is_present()).all(|kept| right.has_ended(kept, at(8)))
    );
    let unchanged = gone_ahead.read_again(at(1));
    assert_eq!(ends(&unchanged, at(5)), [at(8), at(8)], "nor does it stay where nothing has changed");
    assert!(!unchanged.is_made_of(&gone_ahead) && unchanged.read_again(at(2)).is_made_of(&unchanged));
    let (later, _) = ahead.0.renewed(reading(1, Vec::new()));
    assert_eq!(ends(&later, at(1)), [at(8); 3], "present then, and read in the future");
}

#[test]
fn a_list_knows_how_much_it_held_up_to_a_day_ago() {
    let of = |list: &List, hours: i64, count: u32| {
        let entries =
            (0..count).map(|low| entry(&std::net::Ipv4Addr::from(0xc612_0000 + low).to_string(), 1));
        let now = at(0) + jiff::SignedDuration::from_hours(hours);
        list.renewed(Reading { now, ..reading(0, entries.collect()) }).0
    };
    let had = |list: &List| list.baseline().map(|(_, entries)| entries);
    assert_eq!(had(&List::default()), None);
    assert_eq!(had(&of(&List::default(), 0, 0)), None);
    let first = of(&List::default(), 0, 10);
    let second = of(&first, 1, 15);
    let third = of(&second, 23, 20);
    assert_eq!([&first, &second, &third].map(had), [Some(10); 3]);
    assert_eq!(had(&List::from_bytes(&third.to_bytes()).unwrap()), Some(10));
    assert_eq!((had(&third.without(&[0])), had(&third.read_again(at(1)))), (Some(10), Some(10)));
    let fourth = of(&third, 24, 30);
    assert_eq!(fourth.baseline(), Some((at(1), 20)), "what it held before this reading");
    let empty = of(&of(&fourth, 25, 0), 24 * 9, 0);
    assert_eq!(had(&empty), Some(20), "an empty list is no measure");
    assert_eq!(had(&fourth.as_baseline()), Some(30));
    let behind = of(&fourth, -48, 30);
    assert_eq!(behind.baseline(), Some((at(-2), 20)), "a time in the future is now");
}

#[test]
fn whatever_a_list_has_in_common_with_another_is_in_the_readings_of_both() {
    let one = list(vec![entry("203.0.113.1", 1), entry("203.0.113.2", 2), entry("2001:db8::/32", 3)]);
    let domains = vec![domain("evil.example", 3)];
    let entries = vec![entry("203.0.113.2", 1), entry("203.0.113.3", 2), entry("203.0.113.0/24", 3)];
    let other = one.renewed(Reading { domains, ..reading(1, entries) }).0;
    assert_eq!((one.in_common(&other), other.in_common(&one)), (1, 1));
    assert_eq!((one.in_common(&one), other.in_common(&other)), (3, 4));
}

#[test]
fn every_name_that_a_list_can_have_comes_back_from_bytes() {
    let names =
        "evil.example\nbücher.example\n_dmarc.evil-1.example\nEVIL2.Example.\nhttps://x--y.example/a\n";
    let parsed = crate::feeds::formats::parse(&crate::feeds::formats::Reading::default(), names.as_bytes());
    let list = List::default().renewed(Reading { domains: parsed.domains, ..reading(0, Vec::new()) }).0;
    assert_eq!(list.domains().len(), 5);
    assert_eq!(List::from_bytes(&list.to_bytes()), Ok(list));
}

fn any_entry() -> impl Strategy<Value = Entry> {
    let four = (any::<[u8; 2]>(), 8u8..=32)
        .prop_map(|([c, d], bits)| IpNet::new([203, 0, c & 3, d].into(), bits).unwrap().trunc());
    let six = (any::<u8>(), 20u8..=128).prop_map(|(low, bits)| {
        IpNet::new(std::net::Ipv6Addr::from((0x2001_0db8u128 << 96) | u128::from(low)).into(), bits)
            .unwrap()
            .trunc()
    });
    let about = prop::option::of((prop::option::of(1i64..20), "[a-z]{0,3}")).prop_map(|about| {
        let (end, label) = about?;
        let category = (label.len() == 2).then_some(Category::Bruteforce);
        let last_seen = Timestamp::new(-7 - end.unwrap_or(0), -5).ok().filter(|_| label.len() == 3);
        let reference = (label.len() == 1).then(|| "é#1".into());
        let expires = end.map(at);
        About { category, expires, last_seen, reference, label: Some(label.into()), ..About::default() }
            .shared()
    });
    let network = prop_oneof![4 => four, 1 => six];
    (network, prop::option::of(1u16..4), prop::option::of(0u8..=100), 1u32..50, about)
        .prop_map(|(network, port, score, line, about)| Entry { network, port, score, line, about })
}

fn any_list() -> impl Strategy<Value = List> {
    let domains = prop::collection::vec(("[a-c]{1,2}(\\.[a-c]){1,2}", 1u32..9), 0..6)
        .prop_map(|names| names.iter().map(|(name, line)| domain(name, *line)).collect::<Vec<_>>());
    let entries = || prop::collection::vec(any_entry(), 0..30);
    (entries(), entries(), domains, any::<bool>()).prop_map(|(first, second, domains, is_change)| {
        let (list, _) = List::default().renewed(Reading { domains, ..reading(0, first) });
        list.renewed(Reading { is_change, ..reading(3, second) }).0
    })
}

proptest! {
    #[test]
    fn a_list_comes_back_from_its_bytes(list in any_list()) {
        prop_assert_eq!(List::from_bytes(&list.to_bytes()), Ok(list));
    }

    #[test]
    fn whatever_stands_behind_a_fitting_checksum_is_a_list_or_an_error(
        list in any_list(),
        places in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        use sha2::{Digest as _, Sha256};
        let mut bytes = list.to_bytes();
        let body = 19 + 32;
        for (place, byte) in places {
            let at = body + place.index(bytes.len() - body);
            bytes[at] = byte;
        }
        let checksum = Sha256::digest(&bytes[body..]);
        bytes[19..body].copy_from_slice(&checksum);
        if let Ok(list) = List::from_bytes(&bytes) {
            prop_assert!(list.networks().is_sorted_by(|one, other| one.what < other.what));
            prop_assert!(list.networks().iter().all(|kept| kept.what == canonical(kept.what.trunc())));
            prop_assert!(list.networks().iter().all(|kept| kept.score.is_none_or(|score| score <= 100)));
            prop_assert!(list.domains().iter().all(|kept| crate::feeds::entry::is_domain(&kept.what)));
        }
    }

    #[test]
    fn any_bytes_are_a_list_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let named = |version: u8| [b"iomt-filter list ", &[version][..], b"\n", &bytes[..]].concat();
        for bytes in [bytes.clone(), named(b'1'), named(b'2')] {
            prop_assert!(List::from_bytes(&bytes).is_err());
        }
    }

    #[test]
    fn what_covers_and_what_lies_inside_is_what_a_search_of_everything_finds(
        list in any_list(), low in any::<[u8; 2]>(), bits in 8u8..=32,
    ) {
        let address = IpNet::new([203, 0, low[0] & 3, low[1]].into(), 32).unwrap();
        let mut expected: Vec<_> = list.networks().iter().filter(|kept| kept.what.contains(&address)).collect();
        expected.reverse();
        prop_assert_eq!(list.covering(address.addr()).collect::<Vec<_>>(), expected);
        let around = IpNet::new(address.addr(), bits).unwrap().trunc();
        let expected: Vec<_> = list.networks().iter().filter(|kept| around.contains(&kept.what)).collect();
        prop_assert_eq!(list.inside(around).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn every_reading_leaves_what_it_names_and_what_has_not_been_gone_for_long(
        first in prop::collection::vec(any_entry(), 0..30),
        second in prop::collection::vec(any_entry(), 0..30),
        days in 1i64..12,
    ) {
        let (one, _) = List::default().renewed(reading(0, first.clone()));
        let (two, changes) = one.renewed(reading(days, second.clone()));
        let end = |entry: &Entry| entry.about.as_ref().and_then(|about| about.expires);
        let lives = |entry: &&Entry, day| end(entry).is_none_or(|end| end > at(day));
        let named: std::collections::BTreeSet<_> =
            second.iter().filter(|entry| lives(entry, days)).map(|entry| entry.network).collect();
        let stays = |network: &IpNet| {
            // Of several lines the most lasting counts; those that had ended when they came do not.
            let lines = first.iter().filter(|entry| entry.network == *network).filter(|entry| lives(entry, 0));
            days < 7 && lines.into_iter().any(|entry| lives(&entry, days))
        };
        let old: std::collections::BTreeSet<_> =
            first.iter().map(|entry| entry.network).filter(|network| stays(network)).collect();
        let expected: Vec<_> = named.union(&old).copied().collect();
        prop_assert_eq!(two.networks().iter().map(|kept| kept.what).collect::<Vec<_>>(), expected);
        prop_assert_eq!(changes.added + changes.again, named.len());
        prop_assert_eq!(changes.gone, two.len() - named.len());
    }
}

#[test]
fn since_when_the_feed_has_an_entry_is_known_over_readings_and_over_restarts() {
    let first = list(vec![entry("203.0.113.1", 1)]);
    let reading = Reading {
        entries: vec![entry("203.0.113.1", 7), entry("203.0.113.2", 8)],
        now: at(3),
        ..Reading::default()
    };
    let (next, _) = first.renewed(reading);
    let again = List::from_bytes(&next.to_bytes()).unwrap();
    let since = |list: &List, text: &str| list.since(list.get(text.parse().unwrap()).unwrap());
    assert_eq!(since(&again, "203.0.113.1/32"), since(&first, "203.0.113.1/32"));
    assert_eq!(since(&again, "203.0.113.2/32"), Some(at(3)));
}
