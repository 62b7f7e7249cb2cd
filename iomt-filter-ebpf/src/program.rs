//! Entry and exit.

use aya_ebpf::bindings::xdp_action;
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;
use iomt_filter_common::decide::Ingress;
use iomt_filter_common::{Decision, Packet, Reason, Tables as _, Unparsed, Verdict, decide, parse};

use crate::frame::Frame;
use crate::maps::{self, Maps};
use crate::report;

/// Judges every frame that an interface receives.
#[xdp(frags)]
pub(crate) fn iomt_filter(context: XdpContext) -> u32 {
    let Some(tables) = Maps::active() else {
        aya_log_ebpf::error!(&context, "no generation is active: dropping");
        return xdp_action::XDP_DROP;
    };
    let ingress = maps::ingress(&context);
    let mut packet = Packet::default();
    let parsed = read(&context, &mut packet);
    let mut decision = Decision::new(Verdict::Drop, Reason::Malformed, tables.generation());
    judge(parsed, &packet, &ingress, tables, &mut decision);
    report::count(&decision);
    report::emit(&context, &packet, &decision, &ingress);
    match decision.verdict() {
        Verdict::Pass | Verdict::WouldDrop => xdp_action::XDP_PASS,
        Verdict::Drop | Verdict::Reset => xdp_action::XDP_DROP,
    }
}

/// Frame to packet, as a function of its own: the verifier meets it once.
#[inline(never)]
fn read(context: &XdpContext, packet: &mut Packet) -> Result<(), Unparsed> {
    parse(&Frame::new(context), packet)
}

#[inline(never)]
fn judge(parsed: Result<(), Unparsed>, packet: &Packet, ingress: &Ingress, tables: Maps, decision: &mut Decision) {
    *decision = decide(parsed, packet, *ingress, &tables);
}

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// The kernel wants to know the licence before it lends GPL-only helpers.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
