//! Marks the types that are shared memory, and pins their layout. The only unsafe code of this crate.

use crate::abi::{Active, Change, Input, PeerClass, ProtectedKey};
use crate::addr::Address;
use crate::case::Case;
use crate::counters::EventLimit;
use crate::device::Device;
use crate::event::Event;
use crate::exception::Exception;
use crate::flow::{Flow, FlowKey};
use crate::flowtable::Place;
use crate::fragment::{FirstFragment, FragmentKey};
use crate::geo::Country;
use crate::lease::{Lease, Request, Requests};
use crate::limit::Buckets;
use crate::lookup::Directory;
use crate::packet::Packet;
use crate::policy::{Grant, GrantKey, Profile, Settings};
use crate::query::Query;
use crate::reputation::Listing;
use crate::trial::Difference;
use crate::verdict::Decision;
use crate::watch::Watched;

/// A type without padding whose every bit pattern is a value.
///
/// # Safety
/// Implementors are `repr(C)` or `repr(transparent)`, hold only such types, and have no padding.
pub unsafe trait Pod: Copy + 'static {
    /// Reads a value from the front of `bytes`; `None` where they are too few.
    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if bytes.len() < size_of::<Self>() {
            return None;
        }
        // SAFETY: long enough by the check above, and any bit pattern is a value of a `Pod`.
        Some(unsafe { bytes.as_ptr().cast::<Self>().read_unaligned() })
    }

    /// The value as bytes.
    fn as_bytes(&self) -> &[u8] {
        // SAFETY: a `Pod` has no padding, so all of its bytes are initialised.
        unsafe { core::slice::from_raw_parts((&raw const *self).cast(), size_of::<Self>()) }
    }
}

macro_rules! shared {
    ($($type:ty = $size:literal,)*) => { $(
        const _: () = assert!(size_of::<$type>() == $size);
        // SAFETY: fixed layout of integers without padding; the fields add up to the size above.
        unsafe impl Pod for $type {}
        #[cfg(feature = "user")]
        // SAFETY: as above.
        unsafe impl aya::Pod for $type {}
    )* };
}

shared! {
    Active = 8,
    Address = 16,
    Buckets = 64,
    Case = 200,
    Change = 40,
    Country = 2,
    Decision = 24,
    Device = 12,
    Difference = 8,
    Directory = 424,
    Event = 160,
    EventLimit = 16,
    Exception = 16,
    FirstFragment = 56,
    Flow = 56,
    FlowKey = 40,
    FragmentKey = 40,
    Grant = 16,
    GrantKey = 16,
    Input = 16,
    Lease = 24,
    Listing = 4,
    Packet = 112,
    PeerClass = 8,
    Place = 16,
    Profile = 160,
    ProtectedKey = 24,
    Query = 48,
    Request = 16,
    Requests = 64,
    Settings = 8,
    Watched = 48,
}
