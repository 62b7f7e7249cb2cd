//! What a generation on trial would say of the packets that another one judges.

use crate::packet::{Fragment, Packet};
use crate::verdict::Decision;

/// Where two generations differ: 8 bytes, a table key. All zero counts the frames that both have judged, and
/// [`UNCOUNTED`](Self::UNCOUNTED) those whose difference the table has no room for.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Difference {
    /// The device that the packet was judged for; 0 for none.
    pub device: u32,
    /// [`Verdict`](crate::verdict::Verdict) of the generation that judges, as a number.
    pub verdict: u8,
    /// Its [`Reason`](crate::verdict::Reason), likewise.
    pub reason: u8,
    /// What the one on trial says.
    pub tried_verdict: u8,
    /// Why.
    pub tried_reason: u8,
}

/// How many differences are told apart.
pub const DIFFERENCES: u32 = 65_536;

impl Difference {
    /// A difference that is in the table from the beginning of a trial, and stands for all that find no room there: no
    /// device has such a number.
    pub const UNCOUNTED: Self =
        Self { device: u32::MAX, verdict: 0, reason: 0, tried_verdict: 0, tried_reason: 0 };

    /// That between what judges and what is on trial; nothing where both let the packet pass, or neither. A reset ends
    /// a packet as a drop does.
    #[inline(always)]
    pub fn between(judged: &Decision, tried: &Decision) -> Option<Self> {
        if judged.verdict() as u8 == tried.verdict() as u8 || !(judged.goes_on() || tried.goes_on()) {
            return None;
        }
        Some(Self {
            device: if judged.device == 0 { tried.device } else { judged.device },
            verdict: judged.verdict() as u8,
            reason: judged.reason_number(),
            tried_verdict: tried.verdict() as u8,
            tried_reason: tried.reason_number(),
        })
    }
}

/// Whether a packet can be judged twice: the later fragments of one go with its first.
#[inline(always)]
pub const fn is_tried(packet: &Packet) -> bool {
    packet.fragment() as u8 != Fragment::Later as u8
}
