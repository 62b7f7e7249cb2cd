//! Entry and exit.

use aya_ebpf::bindings::xdp_action;
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;
use iomt_filter_common::counters;
use iomt_filter_common::{Verdict, decide};

use crate::tables::Maps;
use crate::{maps, report, stages};

/// Judges every frame that an interface receives.
#[xdp(frags)]
pub(crate) fn iomt_filter(context: XdpContext) -> u32 {
    let Some(tables) = Maps::active() else {
        aya_log_ebpf::error!(&context, "no generation is active: dropping");
        return xdp_action::XDP_DROP;
    };
    let mut settled = stages::again(&context, tables);
    if !maps::is_replay() {
        if settled.is_some() {
            report::count(settled.counter());
            return xdp_action::XDP_PASS;
        }
        if settled.is_absent() {
            settled = stages::refused(&context, tables, settled);
            let (reason, device) = settled.refusal();
            if reason != 0 && report::is_suppressed(device, reason) {
                return xdp_action::XDP_DROP;
            }
        }
    }
    let Some(case) = maps::case() else { return xdp_action::XDP_DROP };
    tables.enter(case);
    stages::read_frame(&context, case);
    maps::set_port(&context, case);
    if settled.is_some() {
        stages::note(settled, case);
    } else {
        if settled.is_absent() {
            case.set_absent();
        }
        if settled.is_clean() {
            case.set_clean();
        }
        decide(case, &tables);
    }
    if case.decision.verdict() as u8 == Verdict::Reset as u8 && !stages::answer_by_reset(&context, case) {
        case.decision = case.decision.with(Verdict::Drop);
    }
    report::count(counters::index_of(&case.decision));
    if report::is_worth_a_record(&case.decision) {
        stages::write_record(&context, case);
    }
    match case.decision.verdict() {
        Verdict::Pass | Verdict::WouldDrop => xdp_action::XDP_PASS,
        Verdict::Drop => xdp_action::XDP_DROP,
        Verdict::Reset => xdp_action::XDP_TX,
    }
}

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// The kernel wants to know the licence before it lends GPL-only helpers.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
