//! How a case is written: a sentence, a frame, and the answer as `verdict reason [device]`.

use iomt_filter_common::device::Port;
use iomt_filter_tests::judge::{Host, Judge, Observed};
use iomt_filter_tests::oracle::Oracle;
use iomt_filter_tests::packet::Frame;
use iomt_filter_tests::world::World;

pub(crate) const DEVICE: Port = Port::Device;
pub(crate) const UPLINK: Port = Port::Uplink;

/// The filter and the reference model, one hospital, and a clock.
pub(crate) struct Play {
    host: Host,
    oracle: Oracle,
    now: u64,
}

impl Play {
    pub(crate) fn of(world: &World) -> Self {
        Self { host: Host::of(world), oracle: Oracle::of(world), now: 1 << 50 }
    }

    /// Lets time pass.
    pub(crate) fn wait(&mut self, seconds: u64) -> &mut Self {
        self.now += seconds * 1_000_000_000;
        self
    }

    /// Activates a new generation.
    pub(crate) fn load(&mut self, world: &World) -> &mut Self {
        self.host.load(world);
        self.oracle.load(world);
        self
    }

    /// A frame comes in; filter and model must give this answer.
    #[track_caller]
    pub(crate) fn frame(&mut self, what: &str, port: Port, frame: &Frame, answer: &str) -> Observed {
        let bytes = frame.bytes();
        let host = self.host.judge(&bytes, port, self.now);
        assert_eq!(spell(&host), answer, "{what}: {host:?}");
        let oracle = self.oracle.judge(&bytes, port, self.now);
        assert_eq!(host, oracle, "{what}: filter and model differ");
        host
    }
}

/// One frame in a fresh hospital.
#[track_caller]
pub(crate) fn once(world: &World, what: &str, port: Port, frame: &Frame, answer: &str) -> Observed {
    Play::of(world).frame(what, port, frame, answer)
}

fn spell(observed: &Observed) -> String {
    let device = observed.device.iter().map(|device| format!(" {device}")).collect::<String>();
    format!("{} {}{device}", observed.verdict.name(), observed.reason.name())
}
