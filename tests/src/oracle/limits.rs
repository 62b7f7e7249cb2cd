//! How much a device may send and be sent.

use std::collections::HashMap;

use iomt_filter_common::policy::Mode;
use iomt_filter_common::{Direction, Reason, Verdict};

use super::ends::End;
use super::{Answer, Flaw, Oracle};
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
    flows: HashMap<String, (u64, u32)>,
}

impl Oracle {
    /// A token of each side for a packet that would pass; the answer where there is none.
    pub(super) fn packets(&mut self, answer: Answer, ends: &[End]) -> Answer {
        let free =
            [Reason::Link, Reason::Management, Reason::NoDevice, Reason::UnknownDevice, Reason::Related];
        if !matches!(answer.verdict, Verdict::Pass | Verdict::WouldDrop) || free.contains(&answer.reason) {
            return answer;
        }
        let refused = self.tokens(ends, |rates| rates.packets, true);
        self.worse(answer, refused)
    }

    /// What a new flow takes; the sides that have nothing left.
    pub(super) fn connections(&mut self, ends: &[End]) -> Vec<End> {
        let mut refused = self.tokens(ends, |rates| rates.connections, false);
        if refused.iter().any(|end| self.mode(end) >= Mode::Enforce) {
            return refused;
        }
        let principal = &ends[0];
        let name = &principal.device.name;
        let limit = self.limits(principal).flows.unwrap_or(FLOWS);
        if self.flows_of(name) >= limit && !self.has(Flaw::FlowsWithoutEnd) {
            refused.push(principal.clone());
        } else {
            self.count_flow(name);
        }
        refused
    }

    /// Counts a flow of a device in this minute.
    pub(super) fn count_flow(&mut self, device: &str) {
        let count = self.flows_of(device) + 1;
        self.buckets.flows.insert(device.to_owned(), (self.now / MINUTE, count));
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

    fn flows_of(&self, device: &str) -> u32 {
        match self.buckets.flows.get(device) {
            Some((window, count)) if *window == self.now / MINUTE => *count,
            _ => 0,
        }
    }

    fn limits(&self, end: &End) -> Limits {
        let profile = self.world.profile(&end.device.profile);
        if profile.is_unset { Limits::default() } else { profile.limits }
    }

    /// Takes from one side after the other, until one is refused that may be.
    fn tokens(&mut self, ends: &[End], rate: fn(Rates) -> Option<u32>, is_packet: bool) -> Vec<End> {
        let mut refused = Vec::new();
        for end in ends {
            let sends = end.direction == Direction::FromDevice;
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
