//! Entry and exit.

use aya_ebpf::bindings::xdp_action;
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;
use iomt_filter_common::decide::Settled;
use iomt_filter_common::{Case, Verdict, counters, decide, trial, watch};

use crate::tables::Maps;
use crate::{maps, report, stages};

/// Judges every frame that an interface receives.
#[xdp(frags)]
pub(crate) fn iomt_filter(context: XdpContext) -> u32 {
    let Some(tables) = Maps::active() else {
        aya_log_ebpf::error!(&context, "no generation is active: dropping");
        return xdp_action::XDP_DROP;
    };
    // What is to be judged twice is judged in full.
    let trial = tables.on_trial();
    let mut settled = if trial.is_some() { Settled::NOT } else { stages::again(&context, tables) };
    if trial.is_none() && !maps::is_replay() {
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
    let Some(case) = maps::case(0) else { return xdp_action::XDP_DROP };
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
    if let Some(tables) = trial {
        try_also(&context, case, tables);
    }
    if case.decision.verdict() as u8 == Verdict::Reset as u8 && !stages::answer_by_reset(&context, case) {
        case.decision = case.decision.with(Verdict::Drop);
    }
    report::count(counters::index_of(&case.decision));
    if report::is_worth_a_record(&case.decision) {
        stages::write_record(&context, case);
    }
    if watch::is_watched(case) && !maps::is_replay() {
        stages::watch(case);
    }
    match case.decision.verdict() {
        Verdict::Pass | Verdict::WouldDrop => xdp_action::XDP_PASS,
        Verdict::Drop => xdp_action::XDP_DROP,
        Verdict::Reset => xdp_action::XDP_TX,
    }
}

/// Judges the frame of `judged` by a generation on trial too, and counts where that differs.
#[inline(always)]
fn try_also(context: &XdpContext, judged: &Case, tables: Maps) {
    let Some(case) = maps::case(1) else { return };
    tables.enter(case);
    stages::read_frame(context, case);
    maps::set_port(context, case);
    if !trial::is_tried(&case.packet) {
        return;
    }
    decide(case, &tables);
    report::count_trial(&judged.decision, &case.decision);
}

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// The kernel wants to know the licence before it lends GPL-only helpers.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
