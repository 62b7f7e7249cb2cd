//! What a device may send, be sent, open and have open.

use super::side::Side;
use crate::case::Case;
use crate::flow::Judged;
use crate::limit::{self, Bucket};
use crate::policy::Limits;
use crate::tables::Tables;
use crate::verdict::Reason;

/// The device that must not open, or be opened to, or have open, one more: the stricter of several, the first
/// of equals. Nobody is asked behind one whose mode refuses.
#[cfg_attr(target_arch = "bpf", inline(never))]
pub(super) fn refuse_flow<T: Tables>(case: &Case, is_reply: bool, judged: &Judged, tables: &T) -> Side {
    let ([opener, responder], now) = (case.sides.in_order(is_reply), case.now);
    let mut refused = Side::default();
    let rate = of(opener, tables).connections_from;
    if opener.is_device() && !limit::take(opener.device, Bucket::ConnectionsFrom, rate, now, tables) {
        refused = opener;
    }
    let rate = of(responder, tables).connections_to;
    if !refused.is_final()
        && responder.is_device()
        && !limit::take(responder.device, Bucket::ConnectionsTo, rate, now, tables)
    {
        refused = stricter(refused, responder);
    }
    let counted = if opener.is_device() { opener } else { responder };
    if !refused.is_final() && !judged.count(of(counted, tables).flows, now, tables) {
        refused = stricter(refused, counted);
    }
    refused
}

/// The device that must not send, or be sent, one more packet.
#[cfg_attr(target_arch = "bpf", inline(never))]
pub(super) fn refuse_packet<T: Tables>(case: &Case, tables: &T) -> Side {
    let (sender, receiver, now) = (case.sides.sender, case.sides.receiver, case.now);
    let mut refused = Side::default();
    let rate = of(sender, tables).packets_from;
    if sender.is_device() && !limit::take(sender.device, Bucket::PacketsFrom, rate, now, tables) {
        refused = sender;
    }
    let rate = of(receiver, tables).packets_to;
    if !refused.is_final()
        && receiver.is_device()
        && !limit::take(receiver.device, Bucket::PacketsTo, rate, now, tables)
    {
        refused = stricter(refused, receiver);
    }
    refused
}

#[inline(always)]
const fn stricter(first: Side, second: Side) -> Side {
    if first.is_device() && first.mode() as u8 >= second.mode() as u8 { first } else { second }
}

/// Whether a packet that passes for this reason is of a device's own doing.
#[inline(always)]
pub(super) const fn counts(reason: u8) -> bool {
    const FREE: [Reason; 4] = [Reason::Link, Reason::Management, Reason::NoDevice, Reason::UnknownDevice];
    let mut index = 0;
    while index < FREE.len() {
        if FREE[index] as u8 == reason {
            return false;
        }
        index += 1;
    }
    true
}

/// The limits of a device's profile; none for no device.
#[inline(always)]
pub(super) fn of<T: Tables>(side: Side, tables: &T) -> Limits {
    tables.profile(side.profile).map_or(Limits::default(), |profile| profile.limits)
}
