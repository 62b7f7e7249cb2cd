//! How much a device may send and be sent.

use std::collections::HashMap;

use iomt_filter_common::policy::Mode;
use iomt_filter_common::{Direction, Reason, Verdict};

use super::ends::End;
use super::flows::Owners;
use super::{Answer, Flaw, Oracle, owners};
use crate::world::{Limits, Rates};

const SECOND: u64 = 1_000_000_000;
const MINUTE: u64 = 60 * SECOND;
/// Flows of a device in a minute, where its profile says nothing.
const FLOWS: u32 = 16_384;

/// Which bucket of a device: what it sends or is sent, packets or connections.
type Bucket = (String, bool, bool);

/// Every bucket, and every device's flows of a minute.
#[derive(Clone, Debug, Default)]
pub(super) struct Buckets {
    full_at: HashMap<Bucket, u64>,
    /// By device and whether it opened them.
    flows: HashMap<(String, bool), (u64, u32)>,
}

impl Oracle {
    /// A token of each side for a packet that would pass; the answer where there is none.
    pub(super) fn packets(&mut self, answer: Answer, ends: &[End]) -> Answer {
        let free = [Reason::Link, Reason::Management, Reason::NoDevice, Reason::UnknownDevice];
        if !matches!(answer.verdict, Verdict::Pass | Verdict::WouldDrop) || free.contains(&answer.reason) {
            return answer;
        }
        let sends = |end: &End| end.direction == Direction::FromDevice;
        let refused = self.tokens(ends, |rates| rates.packets, true, &sends);
        self.worse(answer, refused)
    }

    /// What a new flow takes, of who opens it first; the sides that have nothing left.
    pub(super) fn connections(&mut self, ends: &[End], is_reply: bool) -> Vec<End> {
        let mut in_order = ends.to_vec();
        if is_reply {
            in_order.reverse();
        }
        let opens = |end: &End| (end.direction == Direction::FromDevice) != is_reply;
        let mut refused = self.tokens(&in_order, |rates| rates.connections, false, &opens);
        if refused.iter().any(|end| self.mode(end) >= Mode::Enforce) {
            return refused;
        }
        let counted = &in_order[0];
        let owners = owners(ends, is_reply);
        let limit = self.limits(counted).flows.unwrap_or(FLOWS);
        if self.flows_of(&counted_for(&owners)) >= limit && !self.has(Flaw::FlowsWithoutEnd) {
            refused.push(counted.clone());
        } else {
            self.count_flow(&owners);
        }
        refused
    }

    /// Counts a flow in this minute: with those that its opener has opened, or else with those that were opened to
    /// who it was opened to.
    pub(super) fn count_flow(&mut self, owners: &Owners) {
        let whose = counted_for(owners);
        let count = self.flows_of(&whose) + 1;
        self.buckets.flows.insert(whose, (self.now / MINUTE, count));
    }

    /// Whether a flow that was last seen then has had no traffic in this minute.
    pub(super) fn is_to_be_counted(&self, last_seen: u64) -> bool {
        last_seen / MINUTE != self.now / MINUTE
    }

    /// The answer, or that the strictest of those that were refused something gives instead.
    pub(super) fn worse(&self, answer: Answer, refused: Vec<End>) -> Answer {
        let refused: Vec<(&End, ())> = refused.iter().map(|end| (end, ())).collect();
        match self.stricter(&refused) {
            Some((end, ())) => self.soften(end, Reason::RateLimit),
            None => answer,
        }
    }

    fn flows_of(&self, whose: &(String, bool)) -> u32 {
        match self.buckets.flows.get(whose) {
            Some((window, count)) if *window == self.now / MINUTE => *count,
            _ => 0,
        }
    }

    fn limits(&self, end: &End) -> Limits {
        let profile = self.world.profile(&end.device.profile);
        if profile.is_unset { Limits::default() } else { profile.limits }
    }

    /// Takes from one side after the other, until one is refused that may be.
    fn tokens(
        &mut self,
        ends: &[End],
        rate: fn(Rates) -> Option<u32>,
        is_packet: bool,
        acts: &dyn Fn(&End) -> bool,
    ) -> Vec<End> {
        let mut refused = Vec::new();
        for end in ends {
            let sends = acts(end);
            let limits = self.limits(end);
            let Some(rate) = rate(if sends { limits.from } else { limits.to }) else { continue };
            if self.takes((end.device.name.clone(), sends, is_packet), rate) {
                continue;
            }
            refused.push(end.clone());
            if self.mode(end) >= Mode::Enforce {
                break;
            }
        }
        refused
    }

    fn takes(&mut self, bucket: Bucket, rate: u32) -> bool {
        let interval = SECOND / u64::from(rate);
        let full_at = self.buckets.full_at.get(&bucket).copied().unwrap_or(0);
        let is_from_the_future = full_at > self.now.saturating_add(2 * SECOND);
        let full_at = if is_from_the_future { self.now } else { full_at.max(self.now) };
        let holds = if self.has(Flaw::BucketsHoldTwice) { 2 * SECOND } else { SECOND };
        if full_at - self.now > holds - interval {
            return false;
        }
        self.buckets.full_at.insert(bucket, full_at + interval);
        true
    }
}

/// Whose flow one is, and whether that device opened it.
fn counted_for((opener, responder): &Owners) -> (String, bool) {
    let whose = opener.as_ref().or(responder.as_ref());
    (whose.cloned().unwrap_or_default(), opener.is_some())
}
