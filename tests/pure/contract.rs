//! Numbers and names that users, events and metrics rely on, written down a second time.

use iomt_filter_common::device::Port;
use iomt_filter_common::policy::{Mode, Otherwise};
use iomt_filter_common::{Direction, Reason, Verdict};

#[test]
fn reasons_keep_their_numbers_and_names() {
    let pinned = [
        (1, "allowed"),
        (2, "established"),
        (3, "related"),
        (4, "link"),
        (5, "no-device"),
        (6, "management"),
        (7, "learned"),
        (8, "not-allowed"),
        (9, "blocklist"),
        (10, "geo"),
        (11, "unknown-device"),
        (12, "spoofed"),
        (13, "quarantine"),
        (14, "malformed"),
        (15, "unsupported"),
        (16, "fragment"),
        (17, "not-ip"),
        (18, "no-flow"),
        (19, "rogue-dhcp"),
        (20, "rogue-ra"),
        (21, "rate-limit"),
        (22, "dns"),
    ];
    let actual: Vec<(u8, &str)> = Reason::ALL.iter().map(|reason| (*reason as u8, reason.name())).collect();
    assert!(actual.starts_with(&pinned), "numbers are append-only: {actual:?}");
    assert_eq!(actual.len(), pinned.len(), "a new reason goes into this table too");
    for reason in Reason::ALL {
        assert_eq!(Reason::from_number(*reason as u8), Some(*reason));
        assert!((*reason as u32) < iomt_filter_common::counters::REASONS);
    }
    assert_eq!(Reason::from_number(0), None);
}

#[test]
fn verdicts_modes_and_ports_keep_theirs() {
    let verdicts = Verdict::ALL.map(|verdict| (verdict as u8, verdict.name()));
    assert_eq!(verdicts, [(0, "pass"), (1, "drop"), (2, "would-drop"), (3, "reset")]);
    let modes = [Mode::Learn, Mode::Monitor, Mode::Enforce, Mode::Quarantine];
    assert_eq!(modes.map(Mode::name), ["learn", "monitor", "enforce", "quarantine"]);
    assert_eq!(modes.map(|mode| mode as u8), [1, 2, 3, 4]);
    assert_eq!([Direction::None as u8, Direction::FromDevice as u8, Direction::ToDevice as u8], [0, 1, 2]);
    assert_eq!([Port::Device.name(), Port::Uplink.name()], ["device", "uplink"]);
}

#[test]
fn a_number_that_was_never_set_is_the_strict_choice() {
    for number in [0, 5, 255] {
        assert_eq!(Mode::from_number(number), Mode::Enforce);
        assert_eq!(Otherwise::from_number(number), Otherwise::Drop);
        assert_eq!(Port::from_number(u32::from(number)), Port::Device);
    }
}
