//! What the program itself holds to, with nobody there: a change that goes back at its deadline, a generation on trial,
//! and what holds of devices by hand.

use std::thread;
use std::time::Duration;

use iomt_filter::datapath::{Datapath, LoadOptions, WriterToken};
use iomt_filter::rows::GrantCell;
use iomt_filter_common::device::Port;
use iomt_filter_common::exception::Exception;
use iomt_filter_common::policy::{Grant, Mode, RuleDirection};
use iomt_filter_common::trial::Difference;
use iomt_filter_common::{Reason, Verdict};
use iomt_filter_tests::judge::Judge;
use iomt_filter_tests::kernel::{Kernel, run};
use iomt_filter_tests::world::{World, hospital};
use nix::time::{ClockId, clock_gettime};

const SECOND: u64 = 1_000_000_000;
/// `enum xdp_action` of `linux/bpf.h`.
const XDP_PASS: u32 = 2;
pub(crate) const LATER: u64 = 3_600 * SECOND;

/// The clock of the program, in nanoseconds.
pub(crate) fn now() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_BOOTTIME).unwrap();
    now.tv_sec() as u64 * SECOND + now.tv_nsec() as u64
}

fn enforced() -> World {
    hospital().with_mode("ct-scanner", Mode::Enforce)
}

/// The same without what the scanners are allowed.
fn stricter() -> World {
    let mut world = enforced();
    for profile in world.profiles.iter_mut().filter(|profile| profile.name == "ct-scanner") {
        profile.rules.clear();
    }
    world
}

/// A program that is asked by test runs; its clock is the host's.
struct Loaded {
    datapath: Datapath,
    token: WriterToken,
    _state: tempfile::TempDir,
}

impl Loaded {
    fn load() -> Self {
        let mut datapath = Datapath::load(&LoadOptions { devices: 64, ..LoadOptions::default() }).unwrap();
        // Frames of a test run come in on an interface without a role: that of a device port.
        datapath.take_events();
        let state = tempfile::tempdir().unwrap();
        let token = WriterToken::take(state.path()).unwrap();
        Self { datapath, token, _state: state }
    }

    fn passes(&self, frame: &[u8]) -> bool {
        let answer = run(&self.datapath, frame).unwrap();
        answer == XDP_PASS
    }

    /// Whether a scanner opens a connection to the PACS, from a port of its own.
    fn opens(&self, world: &World, port: u16) -> bool {
        self.passes(&world.from("ct-1").to("10.20.0.10").tcp(port, 104).syn().bytes())
    }
}

#[test]
fn a_change_that_nobody_confirms_goes_back_by_itself() {
    let mut loaded = Loaded::load();
    let (before, after) = (enforced(), stricter());
    let Loaded { datapath, token, .. } = &mut loaded;
    let confirmed = datapath.apply(before.rows(), token).unwrap();
    let candidate = datapath.apply_until(after.rows(), 2 * SECOND, token).unwrap();
    let deadline = now() + 2 * SECOND;
    assert_eq!(datapath.generation(), Some(candidate));
    assert!(!loaded.opens(&before, 40_000), "the change holds");
    let Loaded { datapath, token, .. } = &mut loaded;
    assert!(datapath.apply(before.rows(), token).is_err(), "one change after the other");
    thread::sleep(Duration::from_nanos(deadline.saturating_sub(now())) + Duration::from_millis(50));
    // Nobody has told the program anything.
    assert!(loaded.opens(&before, 40_001), "what was confirmed holds again");
    let Loaded { datapath, token, .. } = &mut loaded;
    assert_eq!(datapath.generation(), Some(confirmed));
    assert_eq!(datapath.confirm(token), None, "it is too late");
    assert_eq!(datapath.take_fall_back(token), Some(confirmed));
    assert_eq!(datapath.take_fall_back(token), None, "it is said once");
    let next = datapath.apply(after.rows(), token).unwrap();
    assert!(next.number > candidate.number, "no number comes twice: flows go by them");
    assert!(!loaded.opens(&before, 40_002));
}

#[test]
fn a_change_is_confirmed_or_taken_back() {
    let mut loaded = Loaded::load();
    let (before, after) = (enforced(), stricter());
    let Loaded { datapath, token, .. } = &mut loaded;
    datapath.apply(before.rows(), token).unwrap();
    datapath.apply_until(after.rows(), LATER, token).unwrap();
    assert!(datapath.fall_back(token).is_some());
    assert!(loaded.opens(&before, 40_000));
    let Loaded { datapath, token, .. } = &mut loaded;
    let candidate = datapath.apply_until(after.rows(), SECOND, token).unwrap();
    let deadline = now() + SECOND;
    assert_eq!(datapath.confirm(token), Some(candidate));
    thread::sleep(Duration::from_nanos(deadline.saturating_sub(now())) + Duration::from_millis(50));
    assert!(!loaded.opens(&before, 40_001), "a deadline counts for nothing any more");
}

/// What holds beside a change that is pending is there before its deadline and behind it.
#[test]
fn a_block_holds_in_what_is_pending_and_in_what_it_goes_back_to() {
    let mut loaded = Loaded::load();
    let (before, after) = (enforced(), {
        let mut world = enforced();
        world.profiles[0].block_score = 90;
        world
    });
    let blocked = |world: &World| {
        let mut rows = world.rows();
        let listing = iomt_filter_common::reputation::Listing { feed: 9, score: 100, prefix_bits: 128 };
        let pacs = iomt_filter_common::Address::from_v4([10, 20, 0, 10]);
        rows.blocks = std::iter::once((iomt_filter::rows::Prefix::of(pacs, 128), listing)).collect();
        rows
    };
    let Loaded { datapath, token, .. } = &mut loaded;
    datapath.apply(before.rows(), token).unwrap();
    datapath.apply_until(after.rows(), 2 * SECOND, token).unwrap();
    let deadline = now() + 2 * SECOND;
    assert!(loaded.opens(&before, 40_000));
    let Loaded { datapath, token, .. } = &mut loaded;
    assert!(datapath.apply_both(blocked(&after), blocked(&before), token).unwrap().is_some());
    assert!(!loaded.opens(&before, 40_001), "it bites at once");
    thread::sleep(Duration::from_nanos(deadline.saturating_sub(now())) + Duration::from_millis(50));
    assert!(!loaded.opens(&before, 40_002), "and behind the deadline");
    let Loaded { datapath, token, .. } = &mut loaded;
    assert_eq!(datapath.apply_both(before.rows(), before.rows(), token).unwrap(), None, "nothing is pending");
    assert_eq!(datapath.active_rows(), Some(&blocked(&before)));
}

/// Three slots hold rows at once: what holds, what is on trial, and what is written next.
#[test]
fn three_generations_have_room_for_as_many_grants_as_one_may_have() {
    let mut loaded = Loaded::load();
    let granted = |first: u16, count: u16| {
        let mut rows = enforced().rows();
        let cell = |peer| GrantCell { device: 1, direction: RuleDirection::To, peer, service: 1 };
        let grant = |peer: u16| Grant { expires: LATER, rule: peer.into(), reserved: 0 };
        rows.grants = (first..first + count).map(|peer| (cell(peer), grant(peer))).collect();
        rows
    };
    let Loaded { datapath, token, .. } = &mut loaded;
    let most = 32_768;
    datapath.apply(granted(1, most), token).unwrap();
    datapath.begin_trial(granted(2, most), now() + LATER, token).unwrap();
    datapath.apply(granted(3, most), token).unwrap();
    let refused = datapath.apply(granted(4, most + 1), token).unwrap_err().to_string();
    assert!(refused.contains("room for 32768 rows, 32769 are needed"), "{refused}");
    datapath.apply_until(granted(5, most), LATER, token).unwrap();
    assert!(datapath.apply_both(granted(6, most), granted(7, most), token).unwrap().is_some());
}

#[test]
fn a_generation_on_trial_counts_where_it_differs_and_changes_nothing() {
    let mut loaded = Loaded::load();
    let (before, tried) = (enforced(), stricter());
    let Loaded { datapath, token, .. } = &mut loaded;
    let active = datapath.apply(before.rows(), token).unwrap();
    assert!(loaded.opens(&before, 40_000));
    let Loaded { datapath, token, .. } = &mut loaded;
    let trial = datapath.begin_trial(tried.rows(), now() + LATER, token).unwrap();
    assert_eq!((datapath.generation(), datapath.trial()), (Some(active), Some(trial)));
    // A new flow, one that runs, and one that neither allows.
    assert!(loaded.opens(&before, 40_001));
    assert!(loaded.passes(&before.from("ct-1").to("10.20.0.10").tcp(40_000, 104).ack().bytes()));
    assert!(!loaded.passes(&before.from("ct-1").to("10.20.0.10").tcp(40_002, 23).syn().bytes()));
    let ct = before.devices.iter().position(|device| device.name == "ct-1").unwrap() as u32 + 1;
    let difference = |reason: Reason| Difference {
        device: ct,
        verdict: Verdict::Pass as u8,
        reason: reason as u8,
        tried_verdict: Verdict::Drop as u8,
        tried_reason: Reason::NotAllowed as u8,
    };
    let mut found = loaded.datapath.readings().differences().unwrap();
    found.sort();
    let mut expected = vec![
        (Difference::default(), 3),
        (Difference::UNCOUNTED, 0),
        (difference(Reason::Allowed), 1),
        (difference(Reason::Established), 1),
    ];
    expected.sort();
    assert_eq!(found, expected);
    // What is made active meanwhile goes before.
    let Loaded { datapath, token, .. } = &mut loaded;
    datapath.apply(before.rows(), token).unwrap();
    assert!(loaded.opens(&before, 40_003));
    let Loaded { datapath, token, .. } = &mut loaded;
    datapath.end_trial(token);
    let counted = datapath.readings().differences().unwrap();
    assert!(loaded.opens(&before, 40_004));
    assert_eq!(loaded.datapath.readings().differences().unwrap(), counted, "nothing is on trial any more");
}

#[test]
fn a_trial_ends_in_the_kernel() {
    let mut loaded = Loaded::load();
    let world = enforced();
    let Loaded { datapath, token, .. } = &mut loaded;
    datapath.apply(world.rows(), token).unwrap();
    datapath.begin_trial(stricter().rows(), now() + SECOND / 10, token).unwrap();
    thread::sleep(Duration::from_millis(200));
    assert!(loaded.opens(&world, 40_000));
    let counted = loaded.datapath.readings().differences().unwrap();
    assert!(counted.iter().all(|(_, frames)| *frames == 0), "{counted:?}");
    assert_eq!(loaded.datapath.trial(), None);
}

#[test]
fn quarantine_cuts_what_runs_and_ends_by_itself() {
    let kernel = Kernel::load();
    let mut world = enforced();
    let mut judge = kernel.judge(&world);
    let syn = world.from("ct-1").to("10.20.0.10").tcp(49152, 104).syn();
    let data = world.from("ct-1").to("10.20.0.10").tcp(49152, 104).ack();
    assert_eq!(judge.judge(&syn.bytes(), Port::Device, SECOND).reason, Reason::Allowed);
    // Twice, so that it goes the short way.
    for second in [2, 3] {
        assert_eq!(judge.judge(&data.bytes(), Port::Device, second * SECOND).reason, Reason::Established);
    }
    let quarantined_until = 10 * SECOND;
    world.exceptions = vec![(Some("ct-1".into()), Exception { quarantined_until, open_until: 0 })];
    judge.load(&world);
    let seen = judge.judge(&data.bytes(), Port::Device, 4 * SECOND);
    assert_eq!((seen.verdict, seen.reason), (Verdict::Drop, Reason::Quarantine));
    let seen = judge.judge(&data.bytes(), Port::Device, 10 * SECOND);
    assert_eq!((seen.verdict, seen.reason), (Verdict::Pass, Reason::Established));
}

#[test]
fn a_quarantine_needs_no_new_generation_to_cut_a_session_on_the_short_way() {
    let mut loaded = Loaded::load();
    let world = enforced();
    let Loaded { datapath, token, .. } = &mut loaded;
    datapath.apply(world.rows(), token).unwrap();
    assert!(loaded.opens(&world, 40_000));
    let data = world.from("ct-1").to("10.20.0.10").tcp(40_000, 104).ack().bytes();
    assert!((0..3).all(|_| loaded.passes(&data)));
    let ct = world.devices.iter().position(|device| device.name == "ct-1").unwrap() as u32 + 1;
    let exception = Exception { quarantined_until: now() + LATER, open_until: 0 };
    let Loaded { datapath, token, .. } = &mut loaded;
    datapath.set_exception(ct, exception, token).unwrap();
    assert!(!loaded.passes(&data));
    let Loaded { datapath, token, .. } = &mut loaded;
    datapath.set_exception(ct, Exception::default(), token).unwrap();
    assert!(loaded.passes(&data), "the session goes on where it was");
    // A bypass lets through what no rule allows, and its end cuts that.
    let telnet = world.from("ct-1").to("10.20.0.10").tcp(40_002, 23).syn().bytes();
    assert!(!loaded.passes(&telnet));
    let Loaded { datapath, token, .. } = &mut loaded;
    let open_until = now() + SECOND;
    datapath.set_exception(ct, Exception { quarantined_until: 0, open_until }, token).unwrap();
    assert!(loaded.passes(&telnet));
    thread::sleep(Duration::from_nanos(open_until.saturating_sub(now())) + Duration::from_millis(50));
    assert!(!loaded.passes(&telnet), "it ends in the kernel");
}

/// Somebody else writes into the tables.
#[test]
fn what_somebody_else_wrote_is_found_and_written_over() {
    let mut loaded = Loaded::load();
    let world = enforced();
    let Loaded { datapath, token, .. } = &mut loaded;
    datapath.apply(world.rows(), token).unwrap();
    assert_eq!(datapath.drift().unwrap(), []);
    let mut other = world.rows();
    let first = *other.devices.keys().next().unwrap();
    other.devices.remove(&first);
    other.protected.clear();
    let found = datapath.drift_from(&other).unwrap();
    let tables: Vec<_> = found.iter().map(|drift| (drift.table, drift.rows)).collect();
    let protected = world.rows().protected.len();
    assert_eq!(tables, [("DEVICES", 1), ("PROTECTED", protected)]);
    datapath.doubt(&found, token);
    assert_eq!(datapath.drift().unwrap(), [], "what was written before is not known any more");
    datapath.apply(world.rows(), token).unwrap();
    assert_eq!(datapath.drift().unwrap(), []);
    assert!(loaded.opens(&world, 40_000));
}
