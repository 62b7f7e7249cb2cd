//! What a new generation does to live sessions, and that what does not fit changes nothing.

use iomt_filter::datapath::replay::Replay;
use iomt_filter::rows::{GrantCell, Prefix, Prefixes, Rows, RuleCell};
use iomt_filter_common::device::Port;
use iomt_filter_common::geo::Country;
use iomt_filter_common::policy::{Grant, Mode, Profile, RuleDirection};
use iomt_filter_common::reputation::Listing;
use iomt_filter_common::{Address, Mac, Reason, Verdict};
use iomt_filter_tests::judge::Judge;
use iomt_filter_tests::kernel::{Kernel, few};
use iomt_filter_tests::world::{Feed, hospital};

const SECOND: u64 = 1_000_000_000;

#[test]
fn a_block_cuts_a_running_session_in_both_directions_and_its_end_lets_it_go_on() {
    let kernel = Kernel::load();
    let world = hospital().with_mode("ct-scanner", Mode::Enforce);
    let mut judge = kernel.judge(&world);
    let syn = world.from("ct-1").to("10.20.0.10").tcp(49152, 104).syn();
    let answer = syn.clone().reversed().syn_ack();
    let data = world.from("ct-1").to("10.20.0.10").tcp(49152, 104).ack();
    assert_eq!(judge.judge(&syn.bytes(), Port::Device, SECOND).reason, Reason::Allowed);
    assert_eq!(judge.judge(&answer.bytes(), Port::Uplink, SECOND).reason, Reason::Established);

    let pacs = judge.judge(&data.bytes(), Port::Device, SECOND).fields.addresses.unwrap().1;
    let mut blocked = world.clone();
    blocked.feeds.push(Feed { name: "manual".into(), score: 100, entries: vec![pacs.into()] });
    judge.load(&blocked);
    for (frame, port) in [(&data, Port::Device), (&answer, Port::Uplink)] {
        let seen = judge.judge(&frame.bytes(), port, 2 * SECOND);
        assert_eq!((seen.verdict, seen.reason), (Verdict::Drop, Reason::Blocklist));
    }

    judge.load(&world);
    let seen = judge.judge(&data.bytes(), Port::Device, 3 * SECOND);
    assert_eq!((seen.verdict, seen.reason), (Verdict::Pass, Reason::Established));
}

/// A change that makes rows too many for a table.
type Grow = fn(&mut Rows);

#[test]
fn rows_that_do_not_fit_leave_the_generation_before_as_it_is() {
    let world = hospital();
    let mut replay = Replay::load(few(8)).unwrap();
    let before = replay.apply(world.rows()).unwrap();
    let cases: [(&str, &str, Grow); 8] = [
        ("DEVICES", "iomt-filter detach", |rows| {
            let device = *rows.devices.values().next().unwrap();
            rows.devices.insert(100_000, device);
        }),
        ("POLICY", "iomt-filter detach", |rows| {
            rows.device_macs.extend((0..60_000).map(|vlan| ((Mac([2, 0, 0, 0, 0, 1]), vlan), 1)));
        }),
        ("POLICY", "iomt-filter detach", |rows| {
            rows.device_addresses.extend((0..60_000).map(|number| (address(number), 1)));
        }),
        ("PROFILES", "the same profile", |rows| {
            rows.profiles.insert(1024, Profile::default());
        }),
        ("POLICY", "iomt-filter detach", |rows| {
            let cell = |number: u32| RuleCell {
                profile: (number >> 16) as u16,
                direction: RuleDirection::To,
                peer: number as u16,
                service: 1,
            };
            rows.rules.extend((0..300_000).map(|number| (cell(number), 1)));
        }),
        ("GRANTS", "revoke", |rows| {
            let cell = |peer| GrantCell { device: 1, direction: RuleDirection::To, peer, service: 1 };
            rows.grants.extend((0..40_000).map(|peer| (cell(peer), Grant::default())));
        }),
        ("LISTINGS", "iomt-filter detach", |rows| rows.listings = listed(1_000_000)),
        ("COUNTRIES", "iomt-filter detach", |rows| {
            rows.countries = (0..1_000_000_u32)
                .map(|number| (Prefix::of(address(number << 8), 120), Country(number as u16 % 600 + 1)))
                .collect();
        }),
    ];
    for (table, way_out, grow) in cases {
        let mut rows = world.rows();
        grow(&mut rows);
        let refused = replay.apply(rows).unwrap_err().to_string();
        assert!(refused.contains(&format!("`{table}` has room for")), "{table}: {refused}");
        assert!(refused.contains("nothing was changed") && refused.contains(way_out), "{table}: {refused}");
        assert_eq!(replay.datapath().generation(), Some(before), "{table}");
    }
    // Blocks that do not fit their own table go among the listings, if there is room for both.
    let mut rows = world.rows();
    rows.blocks = listed(200_000);
    let refused = replay.apply(rows).unwrap_err().to_string();
    assert!(refused.contains("`LISTINGS` has room for"), "{refused}");
    assert_eq!(replay.datapath().generation(), Some(before));
}

fn address(number: u32) -> Address {
    Address::from_v4(number.to_be_bytes())
}

/// So many addresses of all of IPv4.
fn listed(count: u32) -> Prefixes<Listing> {
    let listing = Listing { feed: 1, score: 100, prefix_bits: 128 };
    (0..count).map(|number| (Prefix::of(address(number.wrapping_mul(0x9e37_79b1)), 128), listing)).collect()
}
