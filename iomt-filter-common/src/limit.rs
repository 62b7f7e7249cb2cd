//! Token buckets of a device: how fast it may send, be sent to, and open, and how much it may have open.
//!
//! A bucket is one word, changed by compare and exchange: CPUs share it, nobody waits. It holds one second's
//! worth and is full at the beginning. Its word is the time at which it would be full again, which is the
//! generic cell rate algorithm (ITU-T I.371 annex A.1): no clock ticks, and zero is a full bucket.

use crate::tables::Tables;

const SECOND: u64 = 1_000_000_000;
/// How long a flow counts as open after its last packet.
pub(crate) const WINDOW: u64 = 60 * SECOND;
/// Tries to change a word that other CPUs change as well. A packet behind so many others passes: they have
/// paid.
const TRIES: usize = 4;
/// A bucket further ahead of the clock than it can be is of a clock that went back, as a replay's may.
const FURTHEST: u64 = 2 * SECOND;

/// What a device has of its own.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bucket {
    /// Packets that it sends.
    PacketsFrom = 0,
    /// Packets that it is sent.
    PacketsTo = 1,
    /// Connections that it opens.
    ConnectionsFrom = 2,
    /// Connections that are opened to it.
    ConnectionsTo = 3,
    /// Flows that it opened and that have traffic in this minute: the minute in the upper half, their number in
    /// the lower.
    FlowsFrom = 4,
    /// Flows that were opened to it, the same way: whoever opens many to a device leaves it its own.
    FlowsTo = 5,
}

/// The buckets of a device: one cache line, a table value.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Buckets {
    /// By [`Bucket`] number.
    pub words: [u64; 8],
}

/// Takes a token of `rate` a second at `now`; whether there was one. A rate of 0 is no limit.
#[cfg_attr(target_arch = "bpf", inline(never))]
pub fn take<T: Tables>(device: u32, bucket: Bucket, rate: u32, now: u64, tables: &T) -> bool {
    if rate == 0 {
        return true;
    }
    let interval = SECOND / rate as u64;
    for _ in 0..TRIES {
        let word = tables.bucket(device, bucket);
        let full = if word > now.saturating_add(FURTHEST) { now } else { word.max(now) };
        if full - now > SECOND - interval {
            return false;
        }
        if tables.replace_bucket(device, bucket, word, full.saturating_add(interval)) {
            return true;
        }
    }
    true
}

/// Counts a flow that has traffic in this minute; whether it is one of the first `most`. 0 is no limit.
#[cfg_attr(target_arch = "bpf", inline(never))]
pub fn count_flow<T: Tables>(device: u32, bucket: Bucket, most: u32, now: u64, tables: &T) -> bool {
    let mut minute = window(now) << 32;
    for _ in 0..TRIES {
        let word = tables.bucket(device, bucket);
        // Another processor's clock may be a tick ahead, in the next minute.
        if word >> 32 == (minute >> 32) + 1 {
            minute = word >> 32 << 32;
        }
        let count = if word >> 32 == minute >> 32 { word & 0xffff_ffff } else { 0 };
        if most != 0 && count >= most as u64 {
            return false;
        }
        if tables.replace_bucket(device, bucket, word, minute | (count + 1)) {
            return true;
        }
    }
    true
}

/// When the minute began in which `now` lies.
#[inline(always)]
pub const fn minute(now: u64) -> u64 {
    now - now % WINDOW
}

/// The minute in which `now` lies, counted.
#[inline(always)]
pub const fn window(now: u64) -> u64 {
    (now / WINDOW) & 0xffff_ffff
}
