//! What the decision asks of the tables. The kernel program answers from BPF maps, tests from theirs.
//!
//! One value of this trait stands for one generation: whoever makes it reads the number of the active
//! generation once, so that no frame meets two.

use crate::addr::{Address, Mac};
use crate::case::Case;
use crate::decide::{self, Stage};
use crate::device::Device;
use crate::exception::Exception;
use crate::flow::{Flow, FlowKey};
use crate::flowtable::{Origin, Recalled, Sighting};
use crate::fragment::{FirstFragment, FragmentKey, Shelf};
use crate::geo::Country;
use crate::lease::{Lease, Request};
use crate::limit::Bucket;
use crate::policy::{Grant, Profile, RuleDirection, Service, Settings};
use crate::query::Query;
use crate::reputation::Listing;

/// Lookups of one generation of policy, inventory, feeds and geo, and the flow table.
pub trait Tables {
    /// A remembered flow that can be read and written in place.
    type Entry: FlowEntry;

    /// Number of the generation that answers; never 0.
    fn generation(&self) -> u32;
    /// What holds for all devices.
    fn settings(&self) -> Settings;

    /// Takes one step of the judgement; whether it answered. The kernel program has each step verified on
    /// its own, so that what there is to walk adds up and does not multiply.
    #[inline(always)]
    fn run(&self, stage: Stage, case: &mut Case) -> bool
    where
        Self: Sized,
    {
        decide::run(stage, case, self)
    }

    /// The device that `address` is bound to.
    fn device_by_address(&self, address: Address) -> Option<u32>;
    /// A device with this hardware address, that of `vlan` before any other.
    fn device_by_mac(&self, mac: Mac, vlan: u16) -> Option<u32>;
    /// The `n`th of the devices by DHCP with this hardware address, in whatever VLAN; they count from 0.
    fn client(&self, mac: Mac, n: u16) -> Option<u32>;
    /// What holds of a device by hand; of device 0, of every frame.
    fn exception(&self, device: u32) -> Exception;
    /// Binding, profile and mode of a device; `None` or all zero for no device.
    fn device(&self, device: u32) -> Option<Device>;
    /// The profile that a device has.
    fn profile(&self, profile: u16) -> Option<&Profile>;
    /// Whether an address lies behind the device ports.
    fn in_segment(&self, address: Address) -> bool;
    /// Whether an address is the host's own.
    fn is_own(&self, address: Address) -> bool;
    /// Whether rules name an address by itself.
    fn is_named(&self, address: Address) -> bool;
    /// Whether a host on an uplink has claimed an address: a router that advertised itself, or anybody by ARP.
    fn is_far_host(&self, address: Address) -> bool;
    /// Notes the address of such a host.
    fn remember_far_host(&self, address: Address, now: u64);

    /// Whether `peer` may open `service` anywhere, whatever policy says.
    fn is_management(&self, peer: Address, service: Service) -> bool;
    /// Whether no feed and no country may come between `device` and `peer`.
    fn is_protected(&self, device: u32, peer: Address) -> bool;

    /// The most severe listing of `address`, or none.
    fn listing(&self, address: Address) -> Listing;
    /// The country of `address`.
    fn country(&self, address: Address) -> Country;

    /// The first rule of `profile` that allows `service` with `peer`, which is a device of
    /// `peer_profile` unless that is 0.
    fn rule(
        &self,
        profile: u16,
        direction: RuleDirection,
        peer: Address,
        peer_profile: u16,
        service: Service,
    ) -> Option<u32>;

    /// The grant of `device` that allows `service` with `peer` and ends last, or one that ended long ago.
    fn grant(
        &self,
        device: u32,
        direction: RuleDirection,
        peer: Address,
        peer_profile: u16,
        service: Service,
    ) -> Grant;

    /// When the agent last said that it lives, in nanoseconds of the program's clock; 0 for never.
    fn heartbeat(&self) -> u64;

    /// A device's word in one of its buckets.
    fn bucket(&self, device: u32, bucket: Bucket) -> u64;
    /// Replaces the word, unless it is no longer the one that was `seen`; whether it did.
    fn replace_bucket(&self, device: u32, bucket: Bucket, seen: u64, word: u64) -> bool;

    /// The device that leased `address` last; its lease may be over, or of another address by now.
    fn leased_to(&self, address: Address) -> Option<u32>;
    /// Remembers the device that leased `address` last. Where there is no room, nobody has leased it.
    fn remember_leased(&self, address: Address, device: u32);
    /// Forgets who leased `address` last.
    fn forget_leased(&self, address: Address);
    /// The lease in a place, see [`lease::index`](crate::lease::index).
    fn lease(&self, index: u32) -> Lease;
    /// Replaces the lease in a place.
    fn remember_lease(&self, index: u32, lease: &Lease);
    /// A request of those in a place, see [`lease::index`](crate::lease::index); `slot` is below
    /// [`lease::REQUESTS`](crate::lease::REQUESTS).
    fn request(&self, index: u32, slot: u32) -> Request;
    /// Replaces a request.
    fn remember_request(&self, index: u32, slot: u32, request: &Request);

    /// The question in a place, of which there are [`query::places`](crate::query::places).
    fn query(&self, place: u32) -> Query;
    /// Replaces the question in a place.
    fn remember_query(&self, place: u32, query: &Query);

    /// The first fragment that is remembered under `key`.
    fn fragment(&self, shelf: Shelf, key: &FragmentKey) -> Option<FirstFragment>;
    /// Remembers a first fragment. A full shelf forgets its least recently used one.
    fn remember_fragment(&self, shelf: Shelf, key: &FragmentKey, first: &FirstFragment);

    /// The flow that is remembered under `key`.
    fn flow(&self, key: &FlowKey) -> Option<Self::Entry>;
    /// Remembers a flow, which is known to be `absent` or not. A full table forgets another one for it, or does not
    /// remember it.
    fn remember(&self, key: &FlowKey, flow: &Flow, absent: bool);
    /// Adds a packet to its flow, opened by either side, where nothing about it is to be judged; see
    /// [`flowtable::recall`](crate::flowtable::recall).
    fn recall(&self, key: &FlowKey, seen: &Sighting) -> Recalled;
}

/// A remembered flow in its table.
pub trait FlowEntry {
    /// A copy of what is remembered.
    fn load(&self) -> Flow;
    /// Replaces what is remembered.
    fn store(&self, flow: &Flow);
    /// Remembers where packets come from in one direction that the generation which asks has judged in full.
    fn set_origin(&self, is_reply: bool, origin: Origin);
    /// Forgets where they come from in both.
    fn look_again(&self);
}
