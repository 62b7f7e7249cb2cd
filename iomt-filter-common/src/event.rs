//! What the kernel program tells the agent of one frame.

use crate::packet::Packet;
use crate::verdict::Decision;

/// A record of the ring buffer: 160 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Nanoseconds of `CLOCK_BOOTTIME`; in a replay the capture's own time.
    pub time: u64,
    /// Frames that this record stands for: itself and those suppressed since the last record of the
    /// same device, reason and CPU.
    pub count: u64,
    /// Index of the interface that the frame came in on.
    pub interface: u32,
    /// [`Port`](crate::device::Port) as a number.
    pub port: u32,
    /// The frame.
    pub packet: Packet,
    /// The answer.
    pub decision: Decision,
}
