//! What the kernel asks of who loads the program, and of who goes on with it: capabilities are of threads, so that each
//! thread here stands for a process.

use std::thread;

use caps::{CapSet, Capability, CapsHashSet};
use iomt_filter::datapath::attach::WantedMode;
use iomt_filter::datapath::load::LoadError;
use iomt_filter::datapath::replay::{Replay, ReplayError};
use iomt_filter::datapath::{Datapath, Hold, WriterToken};
use iomt_filter::privileges::NEEDED;
use iomt_filter_common::device::Port;
use iomt_filter_tests::kernel::few;
use iomt_filter_tests::packet::Frame;
use iomt_filter_tests::world::hospital;
use nix::sched::{CloneFlags, unshare};

fn keep(kept: impl IntoIterator<Item = Capability>) {
    let kept: CapsHashSet = kept.into_iter().collect();
    for set in [CapSet::Effective, CapSet::Inheritable, CapSet::Permitted] {
        caps::set(None, set, &kept).unwrap();
    }
}

/// Runs `work` as who has these capabilities and no others.
fn with<T: Send>(kept: &[Capability], work: impl FnOnce() -> T + Send) -> T {
    let kept = kept.to_vec();
    let done = thread::scope(|scope| {
        let as_somebody = || {
            keep(kept);
            work()
        };
        scope.spawn(as_somebody).join()
    });
    done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

#[test]
fn loading_takes_every_capability_of_the_service_and_no_other() {
    assert!(with(&NEEDED, || Replay::load(few(64)).is_ok()));
    for left_out in NEEDED {
        let others: Vec<_> = NEEDED.into_iter().filter(|capability| *capability != left_out).collect();
        let refused = with(&others, || Replay::load(few(64)).err());
        match refused {
            Some(ReplayError::Load(LoadError::NotAllowed(missing))) => {
                assert_eq!(missing, [left_out.to_string()]);
            }
            other => panic!("without {left_out}: {other:?}"),
        }
    }
}

#[test]
fn who_has_loaded_it_needs_nothing_more_to_judge_change_and_attach() {
    let world = hospital();
    let state = tempfile::tempdir().unwrap();
    let token = WriterToken::take(state.path()).unwrap();
    let work = || {
        // A network of its own, whose one interface nobody uses.
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        keep(NEEDED);
        let mut datapath = Datapath::load(&few(64)).unwrap();
        let mut replay = Replay::load(few(64)).unwrap();
        keep([]);

        datapath.apply(world.rows(), &token).unwrap();
        let attached = datapath.attach("lo", &Port::Device.into(), WantedMode::Generic, &token).unwrap();
        assert_eq!(datapath.hold(&attached), Hold::Judges);
        assert!(datapath.readings().fates(iomt_filter_common::Verdict::Drop).is_ok());

        replay.apply(world.rows()).unwrap();
        let asks = Frame::from(world.v6("ct-1")).to("2001:db8:20::53").udp(1_000, 53);
        for round in 1..3 {
            replay.forget().unwrap();
            let event = replay.judge(&asks.bytes(), Port::Device, round).unwrap();
            assert_eq!(event.decision.verdict().name(), "pass");
        }
        let refused = Replay::load(few(64)).err();
        assert!(matches!(refused, Some(ReplayError::Load(LoadError::NotAllowed(_)))), "{refused:?}");
    };
    let done = thread::scope(|scope| scope.spawn(work).join());
    done.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}
