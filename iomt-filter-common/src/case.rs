//! One frame on its way through the judgement.

use crate::abi::Active;
use crate::addr::Address;
use crate::decide::side::{Side, Sides};
use crate::device::Port;
use crate::packet::Packet;
use crate::parse::Unparsed;
use crate::policy::Mode;
use crate::reputation::Listing;
use crate::verdict::Decision;

/// A frame, and what has been found out about it so far: what the stages of
/// [`decide`](crate::decide::decide) hand on. 200 bytes, a table value.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Case {
    /// The frame.
    pub packet: Packet,
    /// When it came in: nanoseconds of a clock that never goes back.
    pub now: u64,
    /// The generation that judges it, read once, so that no frame meets two. Unset where the tables that
    /// are asked are of one generation anyway.
    pub active: Active,
    /// The answer; what it says before a stage has answered means nothing.
    pub decision: Decision,
    /// The devices at its ends.
    pub(crate) sides: Sides,
    /// The group whose question the packet answers; `::` where it answers none.
    pub(crate) group: Address,
    /// The entry that covers a far end, whether or not it is severe enough.
    pub listing: Listing,
    port: u16,
    /// The port that the group was asked for.
    pub(crate) group_port: u16,
    /// [`Unparsed`](crate::parse::Unparsed) as a number, 0 where all of the frame was read.
    unparsed: u8,
    /// [`Doubt`] as a number.
    doubt: u8,
    /// 1 where the packet goes against the direction in which its conversation was opened.
    is_reply: u8,
    /// 1 where its flow is remembered, of whatever generation.
    has_flow: u8,
    /// The country of a far end, as its number, where it was looked up.
    pub country: u16,
    /// 1 where the packet may be answered by others than whom it goes to, if it is a question.
    may_be_answered: u8,
    /// 1 where no flow between its ends is remembered, 2 where its far end is known to be clean as well.
    is_absent: u8,
}

/// What is wrong with the sender.
#[repr(u8)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Doubt {
    /// Nothing.
    #[default]
    None = 0,
    /// It claims what is bound to something else.
    Spoofed = 1,
    /// It is not in the inventory.
    Unknown = 2,
}

/// A device at an end of a frame, as the judgement takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// Its number.
    pub device: u32,
    /// The number of its profile.
    pub profile: u16,
    /// The mode that holds for this frame.
    pub mode: Mode,
    /// Whether lists and countries are not asked, and nothing that policy says drops.
    pub is_open: bool,
    /// Whether there are rules to ask.
    pub has_rules: bool,
    /// Whether it has grants of its own.
    pub has_grants: bool,
}

impl Case {
    /// A frame that comes in on `port` at `now`, before it is read.
    pub fn new(port: Port, now: u64) -> Self {
        let mut case = Self::default();
        case.enter(now);
        case.set_port(port);
        case
    }

    /// Notes when the frame comes in.
    #[inline(always)]
    pub const fn enter(&mut self, now: u64) {
        self.now = now;
    }

    /// Notes where it comes in.
    #[inline(always)]
    pub const fn set_port(&mut self, port: Port) {
        self.port = port as u16;
    }

    /// The role of the interface.
    #[inline(always)]
    pub const fn port(&self) -> Port {
        Port::from_number(self.port as u32)
    }

    /// Notes whether all of the frame was read.
    #[inline(always)]
    pub fn set_parsed(&mut self, parsed: Result<(), Unparsed>) {
        self.unparsed = match parsed {
            Ok(()) => 0,
            Err(unparsed) => unparsed as u8,
        };
    }

    /// Why not all of the frame was read; `None` where it was.
    #[inline(always)]
    pub const fn unparsed(&self) -> Option<Unparsed> {
        Unparsed::from_number(self.unparsed as u32)
    }

    #[inline(always)]
    pub(crate) const fn is_from_device(&self) -> bool {
        self.port != Port::Uplink as u16
    }

    /// Whether the sender claims what is bound to something else.
    #[inline(always)]
    pub const fn is_spoofed(&self) -> bool {
        self.doubt == Doubt::Spoofed as u8
    }

    /// Whether the sender, or who is to receive it in a segment, is not in the inventory.
    #[inline(always)]
    pub const fn is_unknown(&self) -> bool {
        self.doubt == Doubt::Unknown as u8
    }

    /// Whether the packet goes against the direction in which its conversation was opened.
    #[inline(always)]
    pub const fn is_reply(&self) -> bool {
        self.is_reply != 0
    }

    /// Whether its flow is remembered, of whatever generation.
    #[inline(always)]
    pub const fn has_flow(&self) -> bool {
        self.has_flow != 0
    }

    /// Notes that no flow between its ends is remembered, in neither direction.
    #[inline(always)]
    pub const fn set_absent(&mut self) {
        self.is_absent = 1;
    }

    /// Notes that neither lists nor countries have anything against its far end, and that there is no flow.
    #[inline(always)]
    pub const fn set_clean(&mut self) {
        self.is_absent = 2;
    }

    #[inline(always)]
    pub(crate) const fn is_clean(&self) -> bool {
        self.is_absent == 2
    }

    #[inline(always)]
    pub(crate) const fn is_absent(&self) -> bool {
        self.is_absent != 0
    }

    /// The device that sends.
    pub fn sender(&self) -> Option<End> {
        end(&self.sides.sender)
    }

    /// The device that is to receive.
    pub fn receiver(&self) -> Option<End> {
        end(&self.sides.receiver)
    }

    #[inline(always)]
    pub(crate) const fn may_be_answered(&self) -> bool {
        self.may_be_answered != 0
    }

    #[inline(always)]
    pub(crate) const fn set_may_be_answered(&mut self, may: bool) {
        self.may_be_answered = may as u8;
    }

    #[inline(always)]
    pub(crate) const fn set_doubt(&mut self, doubt: Doubt) {
        self.doubt = doubt as u8;
    }

    #[inline(always)]
    pub(crate) const fn set_conversation(&mut self, is_reply: bool, has_flow: bool) {
        self.is_reply = is_reply as u8;
        self.has_flow = has_flow as u8;
    }
}

fn end(side: &Side) -> Option<End> {
    side.is_device().then(|| End {
        device: side.device,
        profile: side.profile,
        mode: side.mode(),
        is_open: side.is_open(),
        has_rules: side.has_rules(),
        has_grants: side.has_grants(),
    })
}
