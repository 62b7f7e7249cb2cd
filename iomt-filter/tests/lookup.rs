//! Lookups: what an answer says is so, and whatever is asked, work and size of the answers are bounded.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use iomt_filter::agent;
use iomt_filter::api::messages::MOST_QUERIES;
use iomt_filter::config::Config;
use iomt_filter::contacts::{Contacts, Direction, Opening, Reading, Seen};
use iomt_filter::feeds::ManualBlock;
use iomt_filter::host::HostNetworks;
use iomt_filter::intent::{self, Intent, Overrides};
use iomt_filter::lookup::{Answer, ByHand, Ground, MOST_LISTED, Question, Talks, answers};
use iomt_filter::numbers::Numbers;
use iomt_filter_common::Address;
use iomt_filter_common::flow::FlowKey;
use jiff::Timestamp;
use serde_json::json;
use tempfile::TempDir;

/// Answers of this host; `feeds` are names and lists.
struct Site {
    intent: Intent,
    blocks: ByHand,
    folder: TempDir,
}

impl Site {
    fn new(feeds: &[(&str, &str)], numbers: &mut Numbers) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        let mut config = "[interfaces]\ndevice = [\"eth1\"]\n[paths]\nstate = \"state\"\n".to_owned();
        for (name, list) in feeds {
            config.push_str(&format!("[[feed]]\nname = \"{name}\"\npath = \"{name}.txt\"\nscore = 90\n"));
            write(&format!("{name}.txt"), list);
        }
        write("config.toml", &config);
        write("policy.toml", "version = 1\n[profiles.ct]\n");
        let device =
            "[[device]]\nname = \"ct-1\"\nmac = \"0200.0000.0001\"\nip = [\"192.0.2.7\"]\nprofile = \"ct\"\n";
        write("devices.toml", device);
        fs::create_dir(folder.path().join("state")).unwrap();
        let config = Config::load(&folder.path().join("config.toml")).unwrap();
        let host = HostNetworks::default();
        let intent = intent::read(&config, &Overrides::default(), &host, numbers, &[], Vec::new()).unwrap();
        Self { intent, blocks: ByHand::default(), folder }
    }

    fn ask(&self, queries: &[&str]) -> Vec<Answer> {
        let questions: Vec<Question> = queries.iter().map(|query| query.parse().unwrap()).collect();
        let talks = agent::talks(&self.folder.path().join("state"));
        let (intent, blocks) = (&self.intent, &self.blocks);
        answers(questions.iter(), &Ground { intent, blocks, talks: &talks, now: Timestamp::now() })
    }

    fn states(&self, query: &str) -> Vec<(String, String, Option<String>)> {
        let answer = self.ask(&[query]).remove(0);
        answer.listings.into_iter().map(|listed| (listed.entry, listed.state, listed.why)).collect()
    }
}

fn block(target: &str) -> ManualBlock {
    ManualBlock {
        target: target.parse().unwrap(),
        score: 100,
        until: None,
        note: None,
        added: Timestamp::UNIX_EPOCH,
        by: "root".to_owned(),
    }
}

/// 198.18.0.0/15 is for benchmarks (RFC 2544).
fn addresses(count: u32) -> String {
    (0..count).map(|n| format!("{}\n", std::net::Ipv4Addr::from(0xc612_0000 + n))).collect()
}

#[test]
fn of_a_prefix_a_hundred_entries_are_listed_and_the_others_counted() {
    let list = format!("198.18.0.0/16\n{}198.20.0.1\n198.17.255.255\n2001:db8::1\n", addresses(512));
    let mut site = Site::new(&[("one", &list), ("two", "198.18.0.0/23\n")], &mut Numbers::default());
    for (query, around, inside) in [
        ("198.18.0.0/24", 2, 256),
        ("198.18.0.0/23", 2, 512),
        ("198.18.0.0/22", 1, 513),
        ("198.18.0.0/15", 0, 514),
        ("198.18.0.128/25", 2, 128),
        ("0.0.0.0/0", 0, 516),
        ("::/0", 0, 1),
        ("2001:db8::/32", 0, 1),
        ("198.18.0.5", 3, 0),
    ] {
        let answer = site.ask(&[query]).remove(0);
        let listed = (around + inside).min(MOST_LISTED);
        assert_eq!(
            (answer.listings.len(), answer.more_inside),
            (listed, around + inside - listed),
            "{query}"
        );
    }
    site.blocks = ByHand::new(vec![block("198.18.0.0/31"), block("198.16.0.0/12"), block("198.18.1.0/24")]);
    let answer = site.ask(&["198.18.0.0/24"]).remove(0);
    assert_eq!((answer.listings.len(), answer.more_inside), (MOST_LISTED, 2 + 2 + 256 - MOST_LISTED));
    let by_hand: Vec<_> = answer.listings.iter().filter(|listed| listed.feed == "manual").collect();
    assert_eq!(
        by_hand.iter().map(|it| it.entry.as_str()).collect::<Vec<_>>(),
        ["198.16.0.0/12", "198.18.0.0/31"]
    );
}

#[test]
fn the_worst_that_may_be_asked_is_answered_in_bounded_time_and_size() {
    let mut site = Site::new(&[("large", &addresses(100_000))], &mut Numbers::default());
    site.blocks =
        ByHand::new(addresses(100_000).lines().map(|address| block(&format!("{address}/32"))).collect());
    let contacts = Contacts::open(&site.folder.path().join("state/history.db")).unwrap();
    let address = |number: u32| Address::from(std::net::IpAddr::from(std::net::Ipv4Addr::from(number)));
    let seen: Vec<_> = (0..20_000)
        .map(|number| Seen {
            device: format!("device-{}", number % 500).into(),
            direction: Direction::FromDevice,
            key: FlowKey {
                source: address(0xc000_0207),
                destination: address(0xc612_0000 + number),
                source_port: 49_152,
                destination_port: 443,
                protocol: 6,
                ..FlowKey::default()
            },
            packets: 1,
            bytes: 100,
            last_seen: Timestamp::UNIX_EPOCH,
            forgotten: u64::MAX >> 1,
            is_outside: false,
            opening: Opening::default(),
        })
        .collect();
    contacts.record(&seen, Reading { boot: contacts.begin(7).unwrap().boot, until: 1 }).unwrap();
    let worst = vec!["0.0.0.0/0"; MOST_QUERIES];
    let begun = Instant::now();
    let answers = site.ask(&worst);
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(20), "{took:?}");
    let listed: usize = answers.iter().map(|answer| answer.listings.len() + answer.talked.len()).sum();
    assert_eq!(listed, 20_000, "ten listings and ten contacts each");
    let last = answers.last().unwrap();
    assert_eq!(last.more_inside, 200_000 - 10);
    assert_eq!((last.more_talked, last.talked_is_part), (1_000 - 10, true));
    assert!(last.to_string().ends_with("\n  and at least 990 more contacts"), "{last}");
    let size = serde_json::to_vec(&answers).unwrap().len();
    assert!(size < 16 << 20, "{size}");
    // A single question has more room.
    let alone = site.ask(&["0.0.0.0/0"]).remove(0);
    assert_eq!((alone.listings.len(), alone.talked.len()), (MOST_LISTED, MOST_LISTED));
    assert_eq!((alone.more_talked, alone.talked_is_part), (20_000 - MOST_LISTED, false));
}

#[test]
fn what_one_feed_says_a_thousand_times_does_not_hide_another() {
    let text: String = (1..=1_000).map(|port| format!("203.0.113.9:{port}\n")).collect();
    // Of one entry a list keeps 64 of the things that are said.
    let feeds = [("loud", text.as_str()), ("louder", &text), ("quiet", "203.0.113.0/24\n")];
    let site = Site::new(&feeds, &mut Numbers::default());
    let answer = site.ask(&["203.0.113.9"]).remove(0);
    assert_eq!((answer.listings.len(), answer.more_listings), (MOST_LISTED, 2 * 64 + 1 - MOST_LISTED));
    assert!(answer.listings.iter().any(|listed| listed.feed == "quiet"));
    assert!(answer.to_string().contains("\n  and 29 more things that lists say of it"), "{answer}");
}

#[test]
fn a_feed_for_which_no_number_is_left_lists_nothing() {
    let all: BTreeMap<String, u16> = (1..=u16::MAX).map(|number| (number.to_string(), number)).collect();
    let mut numbers: Numbers = serde_json::from_value(json!({ "devices": {}, "feeds": all })).unwrap();
    let site = Site::new(&[("late", "203.0.113.9\n")], &mut numbers);
    let why = "no number is left for the feed, so that nothing is blocked by it";
    assert_eq!(
        site.states("203.0.113.9"),
        [("203.0.113.9/32".to_owned(), "kept".to_owned(), Some(why.to_owned()))]
    );
}

#[test]
fn a_block_by_hand_is_listed_but_for_what_is_spared_in_it_and_until_it_ends() {
    let mut site = Site::new(&[], &mut Numbers::default());
    let ended = ManualBlock { until: Some(Timestamp::UNIX_EPOCH), ..block("203.0.113.9/32") };
    site.blocks =
        ByHand::new(vec![ended, block("192.0.2.0/24"), block("192.0.2.7/32"), block("198.51.100.1/32")]);
    let state = |query: &str| {
        let found = site.states(query);
        found.into_iter().map(|(entry, state, why)| (entry, state, why.is_some())).collect::<Vec<_>>()
    };
    let is = |entry: &str, state: &str, has_why| (entry.to_owned(), state.to_owned(), has_why);
    assert_eq!(state("203.0.113.9"), [is("203.0.113.9/32", "ended", false)]);
    assert_eq!(state("198.51.100.1"), [is("198.51.100.1/32", "listed", false)]);
    let expected = [is("192.0.2.0/24", "listed", true), is("192.0.2.7/32", "spared", true)];
    assert_eq!(state("192.0.2.7"), expected);
}

#[test]
fn nobody_has_talked_to_a_domain() {
    let site = Site::new(&[("names", "evil.example\n")], &mut Numbers::default());
    let answer = site.ask(&["www.evil.example"]).remove(0);
    assert_eq!((answer.listings[0].state.as_str(), answer.more_talked), ("kept", 0));
    let talks = agent::talks(&site.folder.path().join("state"));
    let question = "www.evil.example".parse().unwrap();
    assert_eq!(talks(&question, iomt_filter::lookup::Budget::of(1)), Talks::default());
}
