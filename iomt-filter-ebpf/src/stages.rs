//! Functions that the verifier looks at one by one.
//!
//! A function with a symbol of its own is a BPF 'global function': the verifier walks it once, for any
//! arguments, and knows nothing of what comes back. So the work adds up over the stages; inlined or
//! local, every way through one stage would be walked again behind every way through the one before.

use aya_ebpf::bindings::xdp_md;
use aya_ebpf::programs::XdpContext;
use iomt_filter_common::decide::{self, Settled, Stage};
use iomt_filter_common::parse::{self, Part, Unparsed, parse};
use iomt_filter_common::{Case, Packet};

use crate::answer;
use crate::frame::Frame;
use crate::maps::{self, given};
use crate::report;
use crate::tables::Maps;

/// Reads the frame into the case.
#[inline(always)]
pub(crate) fn read_frame(context: &XdpContext, case: &mut Case) {
    iomt_read(context.ctx, case);
}

/// Whether the frame needs no stage.
#[inline(always)]
pub(crate) fn again(context: &XdpContext, tables: Maps) -> Settled {
    Settled::from_word(iomt_again(context.ctx, tables.word()))
}

/// Whether a frame that belongs to no flow is refused for its far end.
#[inline(always)]
pub(crate) fn refused(context: &XdpContext, tables: Maps, absent: Settled) -> Settled {
    Settled::from_word(iomt_refused(context.ctx, tables.word(), absent.word()))
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn iomt_refused(context: *mut xdp_md, active: u64, absent: u64) -> u64 {
    let (frame, tables) = (Frame::new(context), Maps::from_word(active));
    let absent = Settled::from_word(absent);
    decide::refused(&frame, &tables, absent, |vlan| maps::port(context, vlan)).word()
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn iomt_again(context: *mut xdp_md, active: u64) -> u64 {
    let (frame, tables) = (Frame::new(context), Maps::from_word(active));
    decide::again(&frame, &tables, |vlan| maps::port(context, vlan), maps::moment).word()
}

/// Notes the answer of [`again`] in the case.
#[inline(always)]
pub(crate) fn note(settled: Settled, case: &mut Case) {
    iomt_note(case, settled.word());
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn iomt_note(case: *mut Case, word: u64) -> u32 {
    let Some(case) = given(case) else { return 0 };
    let tables = Maps::of(case);
    decide::note(Settled::from_word(word), case, &tables);
    1
}

/// Writes a record of the case.
#[inline(always)]
pub(crate) fn write_record(context: &XdpContext, case: &mut Case) {
    iomt_record(context.ctx, case);
}

/// Adds the frame to a conversation that no rule allows.
#[inline(always)]
pub(crate) fn watch(case: &mut Case) {
    iomt_watch(case);
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn iomt_watch(case: *mut Case) -> u32 {
    let Some(case) = given(case) else { return 0 };
    report::watch(case);
    1
}

/// Makes the frame the reset that answers it; whether that could be done.
#[inline(always)]
pub(crate) fn answer_by_reset(context: &XdpContext, case: &mut Case) -> bool {
    iomt_reset(context.ctx, case) != 0
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn iomt_reset(context: *mut xdp_md, case: *mut Case) -> u32 {
    let Some(case) = given(case) else { return 0 };
    u32::from(answer::answer(context, &case.packet))
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn iomt_read(context: *mut xdp_md, case: *mut Case) -> u32 {
    let Some(case) = given(case) else { return 0 };
    let parsed = parse(&Frame::new(context), &mut case.packet);
    case.set_parsed(parsed);
    1
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn iomt_record(context: *mut xdp_md, case: *mut Case) -> u32 {
    let Some(case) = given(case) else { return 0 };
    report::emit(&XdpContext::new(context), case);
    1
}

/// In the answer of a function that reads a part: an [`Unparsed`], and not an offset.
const FAILED: u32 = 1 << 31;

macro_rules! parts {
    ($($function:ident = $part:ident,)*) => {
        $(
            #[unsafe(no_mangle)]
            #[inline(never)]
            extern "C" fn $function(context: *mut xdp_md, packet: *mut Packet, start: u32, end: u32) -> u32 {
                let Some(packet) = given(packet) else { return FAILED };
                match parse::run(Part::$part, &Frame::new(context), start, end, packet) {
                    Ok(offset) => offset,
                    Err(unparsed) => FAILED | unparsed as u32,
                }
            }
        )*

        /// Reads a part of the frame that lies in `start..end`; the offset of what follows it.
        #[inline(always)]
        pub(crate) fn read(
            part: Part,
            context: *mut xdp_md,
            packet: &mut Packet,
            start: u32,
            end: u32,
        ) -> Result<u32, Unparsed> {
            let offset = match part {
                $(Part::$part => $function(context, packet, start, end),)*
            };
            match Unparsed::from_number(offset & !FAILED) {
                Some(unparsed) if offset & FAILED != 0 => Err(unparsed),
                _ if offset & FAILED != 0 => Err(Unparsed::Malformed),
                _ => Ok(offset),
            }
        }
    };
}

parts! {
    iomt_ipv4 = Ipv4,
    iomt_ipv4_option = Ipv4Option,
    iomt_ipv6 = Ipv6,
    iomt_ipv6_extensions = Ipv6Extensions,
    iomt_transport = Transport,
    iomt_quoted = Quoted,
    iomt_neighbour = Neighbour,
    iomt_dhcp = Dhcp,
    iomt_dhcp_option = DhcpOption,
    iomt_dhcpv6 = Dhcpv6,
    iomt_dhcpv6_option = Dhcpv6Option,
}

macro_rules! stages {
    ($($function:ident = $stage:ident,)*) => {
        $(
            #[unsafe(no_mangle)]
            #[inline(never)]
            extern "C" fn $function(case: *mut Case) -> u32 {
                let Some(case) = given(case) else { return 1 };
                let tables = Maps::of(case);
                u32::from(decide::run(Stage::$stage, case, &tables))
            }
        )*

        /// Takes one step; whether it answered.
        #[inline(always)]
        pub(crate) fn run(stage: Stage, case: &mut Case) -> bool {
            let answered = match stage {
                $(Stage::$stage => $function(case),)*
            };
            answered != 0
        }
    };
}

stages! {
    iomt_readable = Readable,
    iomt_link = Link,
    iomt_identity = Identity,
    iomt_management = Management,
    iomt_standing = Standing,
    iomt_established = Established,
    iomt_far_end = FarEnd,
    iomt_conversation = Conversation,
    iomt_answer = Answer,
    iomt_rules = Rules,
    iomt_conclusion = Conclusion,
    iomt_memory = Memory,
}
