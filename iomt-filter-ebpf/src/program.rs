//! Entry and exit.

use aya_ebpf::bindings::xdp_action;
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;
use iomt_filter_common::decide::Ingress;
use iomt_filter_common::{Decision, Packet, Unparsed, Verdict, decide, parse};

use crate::frame::Frame;
use crate::maps::{self, Maps, Scratch, Veil};
use crate::report;

/// Judges every frame that an interface receives.
#[xdp(frags)]
pub(crate) fn iomt_filter(context: XdpContext) -> u32 {
    let Some(scratch) = Scratch::get() else { return xdp_action::XDP_DROP };
    let veil = scratch.veil();
    let Some(tables) = Maps::active(veil) else {
        aya_log_ebpf::error!(&context, "no generation is active: dropping");
        return xdp_action::XDP_DROP;
    };
    scratch.clear_packet();
    let Scratch { packet, decision, .. } = scratch;
    let ingress = maps::ingress(&context);
    let unparsed = veil.forget(read(&context, packet, veil));
    judge(unparsed, packet, &ingress, &tables, decision);
    report::count(decision);
    if report::is_worth_a_record(decision) {
        report::emit(&context, packet, decision, &ingress);
    }
    match decision.verdict() {
        Verdict::Pass | Verdict::WouldDrop => xdp_action::XDP_PASS,
        Verdict::Drop | Verdict::Reset => xdp_action::XDP_DROP,
    }
}

/// Frame to packet; 0, or the number of an [`Unparsed`].
#[inline(never)]
fn read(context: &XdpContext, packet: &mut Packet, veil: Veil) -> u32 {
    match parse(&Frame::new(context, veil), packet) {
        Ok(()) => 0,
        Err(unparsed) => unparsed as u32,
    }
}

#[inline(never)]
fn judge(unparsed: u32, packet: &mut Packet, ingress: &Ingress, tables: &Maps, decision: &mut Decision) {
    let parsed = match Unparsed::from_number(unparsed) {
        Some(unparsed) => Err(unparsed),
        None => Ok(()),
    };
    *decision = decide(parsed, packet, *ingress, tables);
}

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// The kernel wants to know the licence before it lends GPL-only helpers.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
