//! The real program in the kernel as a judge. It is loaded once and shared; a script begins without flows.

#![allow(clippy::expect_used, clippy::panic, reason = "what fails here fails the test that asked")]

use std::cell::RefCell;
use std::rc::Rc;

use iomt_filter::datapath::replay::Replay;
use iomt_filter::rows::Rows;
use iomt_filter_common::device::Port;
use iomt_filter_common::packet::Fragment;
use iomt_filter_common::{Packet, parse};

use crate::judge::{Judge, Observed, observe};
use crate::world::World;

/// The loaded program.
#[derive(Clone)]
pub struct Kernel {
    replay: Rc<RefCell<Replay>>,
}

impl Kernel {
    /// Loads the program.
    ///
    /// # Panics
    /// When the kernel refuses it: a kernel that should run it and does not is a failure.
    #[must_use]
    pub fn load() -> Self {
        let replay = Replay::load(64).unwrap_or_else(|error| {
            let error = anyhow::Error::from(error);
            panic!("{error:#}\nthe kernel level needs root: run `sudo -E cargo xtask test`")
        });
        Self { replay: Rc::new(RefCell::new(replay)) }
    }

    /// A judge without flows, with one generation of `world` loaded.
    #[must_use]
    pub fn judge(&self, world: &World) -> Loaded {
        self.replay.borrow_mut().forget().expect("flows are forgotten");
        let mut loaded = Loaded { kernel: self.clone(), rows: Rows::default() };
        loaded.load(world);
        loaded
    }
}

/// The program with one world loaded.
pub struct Loaded {
    kernel: Kernel,
    rows: Rows,
}

impl Judge for Loaded {
    fn load(&mut self, world: &World) {
        self.rows = world.rows();
        self.kernel.replay.borrow_mut().apply(self.rows.clone()).expect("the rows are loaded");
    }

    fn judge(&mut self, frame: &[u8], port: Port, now: u64) -> Observed {
        let event = self.kernel.replay.borrow_mut().judge(frame, port, now).expect("the frame is judged");
        let mut packet = Packet::default();
        let parsed = parse(frame, &mut packet);
        let mut read = event.packet;
        if read.fragment() == Fragment::Later {
            // What its first fragment said was filled in behind the reading.
            read.source_port = packet.source_port;
            read.destination_port = packet.destination_port;
            read.tcp_flags = packet.tcp_flags;
            read.icmp_type = packet.icmp_type;
            read.protocol = packet.protocol;
        }
        assert_eq!(read, packet, "kernel and host read {frame:02x?} differently");
        observe(&self.rows, &read, parsed, event.decision)
    }
}
