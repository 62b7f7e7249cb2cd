//! What a new generation does to live sessions, and that what does not fit changes nothing.

use iomt_filter::datapath::replay::Replay;
use iomt_filter_common::device::Port;
use iomt_filter_common::policy::Mode;
use iomt_filter_common::{Reason, Verdict};
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

#[test]
fn rows_that_do_not_fit_leave_the_generation_before_as_it_is() {
    let world = hospital();
    let mut replay = Replay::load(few(8)).unwrap();
    let before = replay.apply(world.rows()).unwrap();
    let mut rows = world.rows();
    let device = *rows.devices.values().next().unwrap();
    rows.devices.insert(100_000, device);
    let refused = replay.apply(rows).unwrap_err().to_string();
    assert!(refused.contains("`DEVICES` has room for"), "{refused}");
    assert_eq!(replay.datapath().generation(), Some(before));
}
