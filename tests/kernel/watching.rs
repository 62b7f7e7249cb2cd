//! What no rule allows and what passes all the same is counted by conversation, and nothing else is.

use iomt_filter::datapath::{Datapath, LoadOptions, WriterToken};
use iomt_filter_common::Reason;
use iomt_filter_common::flow::FlowKey;
use iomt_filter_common::policy::Mode;
use iomt_filter_common::watch::Watched;
use iomt_filter_tests::kernel::run;
use iomt_filter_tests::world::{World, hospital};

use crate::changes::now;

const HOUR: u64 = 3_600 * 1_000_000_000;

/// What is watched of the frames that scanner `ct-1` sends in this mode, at `later` nanoseconds behind them.
fn watched(mode: Mode, later: &[u64]) -> (World, Vec<Vec<(FlowKey, Watched)>>) {
    let world = hospital().with_mode("ct-scanner", mode);
    let mut datapath = Datapath::load(&LoadOptions { devices: 64, ..LoadOptions::default() }).unwrap();
    let state = tempfile::tempdir().unwrap();
    let token = WriterToken::take(state.path()).unwrap();
    datapath.apply(world.rows(), &token).unwrap();
    let from = || world.from("ct-1");
    for frame in [
        // A rule allows this.
        from().to("10.20.0.10").tcp(40_000, 104).syn(),
        from().to("10.20.0.99").tcp(40_001, 445).syn(),
        from().to("10.20.0.99").tcp(40_001, 445).ack(),
        from().to("10.20.0.99").tcp(40_002, 445).ack(),
        from().to("10.20.0.98").tcp(445, 40_003).syn_ack(),
    ] {
        run(&datapath, &frame.bytes()).unwrap();
    }
    let readings = datapath.readings();
    assert_eq!(readings.unwatched(), 0);
    let read = later.iter().map(|later| {
        let mut all = readings.watched(now() + later);
        all.sort_by_key(|(key, _)| *key);
        all
    });
    let read = read.collect();
    (world, read)
}

#[test]
fn what_passes_without_a_rule_is_counted_by_conversation_until_it_is_over() {
    for (mode, reasons) in [
        (Mode::Monitor, [Reason::NoFlow, Reason::NotAllowed, Reason::NoFlow]),
        (Mode::Learn, [Reason::Learned; 3]),
    ] {
        let (world, read) = watched(mode, &[0, HOUR, HOUR]);
        let of = |(key, watched): &(FlowKey, Watched)| {
            assert!(watched.first_seen <= watched.last_seen && watched.bytes >= watched.packets * 54);
            let reason = Reason::from_number(watched.reason).unwrap();
            (key.source_port, key.destination_port, watched.packets, watched.is_opened, reason)
        };
        let found: Vec<_> = read[0].iter().map(of).collect();
        let [turned, opened, midway] = reasons;
        // The opener of what was answered is at the other end.
        let expected =
            [(40_003, 445, 1, 1, turned), (40_001, 445, 2, 1, opened), (40_002, 445, 1, 0, midway)];
        let mut expected = expected.to_vec();
        expected.sort_by_key(|(source, ..)| found.iter().position(|(found, ..)| found == source));
        assert_eq!(found, expected, "{mode:?}");
        let device =
            world.rows().names.devices.iter().find(|(_, name)| *name == "ct-1").map(|(&number, _)| number);
        for (key, watched) in &read[0] {
            let (ours, others) = if key.source_port == 40_003 {
                (watched.responder, watched.opener)
            } else {
                (watched.opener, watched.responder)
            };
            assert_eq!((Some(ours), others), (device, 0));
        }
        assert_eq!((read[1].len(), read[2].len()), (3, 0), "what is over is let go of");
    }
}

#[test]
fn what_is_dropped_is_not_watched() {
    let (_, read) = watched(Mode::Enforce, &[0]);
    assert_eq!(read, [[]]);
}
