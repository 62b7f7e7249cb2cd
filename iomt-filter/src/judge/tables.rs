//! What the judgement asks for, answered from rows, and what it remembers, in a memory that never fills.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use iomt_filter_common::abi::{CLIENT, MANAGEMENT_PROFILE, PEER_ANY, PEER_PROFILE, SERVICE_ANY};
use iomt_filter_common::device::Device;
use iomt_filter_common::exception::Exception;
use iomt_filter_common::flow::{Flow, FlowKey};
use iomt_filter_common::flowtable::{self, Entry, Recalled, Sighting};
use iomt_filter_common::fragment::{FirstFragment, FragmentKey, Shelf};
use iomt_filter_common::geo::Country;
use iomt_filter_common::lease::{self, Lease, Request};
use iomt_filter_common::limit::Bucket;
use iomt_filter_common::policy::{Grant, Profile, RuleDirection, Service, Settings};
use iomt_filter_common::query::Query;
use iomt_filter_common::reputation::Listing;
use iomt_filter_common::{Address, Mac, Tables};

use super::flows::Flows;
use crate::rows::{GrantCell, Prefix, Rows, RuleCell, longest};

/// What outlives a generation.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    flows: Flows,
    fragments: RefCell<HashMap<(u8, FragmentKey), FirstFragment>>,
    queries: RefCell<HashMap<u32, Query>>,
    far_hosts: RefCell<HashMap<Address, u64>>,
    buckets: RefCell<HashMap<(u32, u32), u64>>,
    leases: RefCell<HashMap<u32, Lease>>,
    leased: RefCell<HashMap<Address, u32>>,
    requests: RefCell<HashMap<(u32, u32), Request>>,
    /// When the agent said last that it lives.
    pub heartbeat: Cell<u64>,
    /// What holds of devices by hand.
    pub exceptions: RefCell<HashMap<u32, Exception>>,
}

impl Memory {
    /// Remembers that DHCP has given a device this address, for good.
    pub fn lease(&self, device: u32, address: Address) {
        self.leased.borrow_mut().insert(address, device);
        let lease = Lease { expires: Lease::NEVER, address };
        self.leases.borrow_mut().insert(lease::index(device, address), lease);
    }
}

/// One generation of rows.
#[derive(Clone, Copy, Debug)]
pub struct RowsTables<'a> {
    rows: &'a Rows,
    memory: &'a Memory,
    generation: u32,
}

impl<'a> RowsTables<'a> {
    /// `rows` as `generation`, with flows of this and older ones.
    pub const fn new(rows: &'a Rows, memory: &'a Memory, generation: u32) -> Self {
        Self { rows, memory, generation }
    }

    fn service_class(&self, service: Service) -> u16 {
        longest::around_service(&self.rows.services, service).unwrap_or(0)
    }
}

impl<'a> Tables for RowsTables<'a> {
    type Entry = Entry<&'a Flows>;

    fn generation(&self) -> u32 {
        self.generation
    }

    fn settings(&self) -> Settings {
        self.rows.settings
    }

    fn device_by_address(&self, address: Address) -> Option<u32> {
        self.rows.device_addresses.get(&address).copied()
    }

    fn device_by_mac(&self, mac: Mac, vlan: u16) -> Option<u32> {
        let macs = &self.rows.device_macs;
        macs.get(&(mac, vlan)).or_else(|| macs.get(&(mac, 0))).copied()
    }

    fn client(&self, mac: Mac, n: u16) -> Option<u32> {
        self.rows.device_macs.get(&(mac, CLIENT + n)).copied()
    }

    fn exception(&self, device: u32) -> Exception {
        self.memory.exceptions.borrow().get(&device).copied().unwrap_or_default()
    }

    fn device(&self, device: u32) -> Option<Device> {
        self.rows.devices.get(&device).copied()
    }

    fn profile(&self, profile: u16) -> Option<&Profile> {
        self.rows.profiles.get(&profile)
    }

    fn in_segment(&self, address: Address) -> bool {
        self.rows.peer(address).in_segment != 0
    }

    fn is_own(&self, address: Address) -> bool {
        self.rows.peer(address).is_own != 0
    }

    fn is_named(&self, address: Address) -> bool {
        self.rows.peer(address).is_named != 0
    }

    fn is_far_host(&self, address: Address) -> bool {
        self.memory.far_hosts.borrow().contains_key(&address)
    }

    fn remember_far_host(&self, address: Address, now: u64) {
        self.memory.far_hosts.borrow_mut().insert(address, now);
    }

    fn is_management(&self, peer: Address, service: Service) -> bool {
        self.rule(MANAGEMENT_PROFILE, RuleDirection::From, peer, 0, service).is_some()
    }

    fn is_protected(&self, device: u32, peer: Address) -> bool {
        let first = Prefix { address: Address::UNSPECIFIED, bits: 0 };
        let last = |to| self.rows.protected.range((device, first)..=(device, to)).next_back();
        longest::around(peer, |to| last(to).map(|(_, prefix)| (*prefix, ()))).is_some()
    }

    fn listing(&self, address: Address) -> Listing {
        self.rows.listing(address)
    }

    fn country(&self, address: Address) -> Country {
        self.rows.countries.longest(address).copied().unwrap_or(Country::UNKNOWN)
    }

    fn rule(
        &self,
        profile: u16,
        direction: RuleDirection,
        peer: Address,
        peer_profile: u16,
        service: Service,
    ) -> Option<u32> {
        let class = self.rows.peer(peer).class;
        let of_profile = if peer_profile == 0 { PEER_ANY } else { PEER_PROFILE + peer_profile };
        let service = self.service_class(service);
        let mut first = None;
        for peer in [class, of_profile, PEER_ANY] {
            for service in [service, SERVICE_ANY] {
                let cell = RuleCell { profile, direction, peer, service };
                let rule = self.rows.rules.get(&cell).copied();
                first = [first, rule].into_iter().flatten().min();
            }
        }
        first
    }

    fn grant(
        &self,
        device: u32,
        direction: RuleDirection,
        peer: Address,
        peer_profile: u16,
        service: Service,
    ) -> Grant {
        let class = self.rows.peer(peer).class;
        let of_profile = if peer_profile == 0 { PEER_ANY } else { PEER_PROFILE + peer_profile };
        let service = self.service_class(service);
        let cells = [class, of_profile, PEER_ANY].into_iter().flat_map(|peer| {
            [service, SERVICE_ANY].map(|service| GrantCell { device, direction, peer, service })
        });
        let grants = cells.filter_map(|cell| self.rows.grants.get(&cell).copied());
        grants.max_by_key(|grant| grant.expires).unwrap_or_default()
    }

    fn heartbeat(&self) -> u64 {
        self.memory.heartbeat.get()
    }

    fn bucket(&self, device: u32, bucket: Bucket) -> u64 {
        self.memory.buckets.borrow().get(&(device, bucket as u32)).copied().unwrap_or(0)
    }

    fn replace_bucket(&self, device: u32, bucket: Bucket, seen: u64, word: u64) -> bool {
        let is_current = self.bucket(device, bucket) == seen;
        if is_current {
            self.memory.buckets.borrow_mut().insert((device, bucket as u32), word);
        }
        is_current
    }

    fn leased_to(&self, address: Address) -> Option<u32> {
        self.memory.leased.borrow().get(&address).copied()
    }

    fn remember_leased(&self, address: Address, device: u32) {
        self.memory.leased.borrow_mut().insert(address, device);
    }

    fn forget_leased(&self, address: Address) {
        self.memory.leased.borrow_mut().remove(&address);
    }

    fn lease(&self, index: u32) -> Lease {
        self.memory.leases.borrow().get(&index).copied().unwrap_or_default()
    }

    fn remember_lease(&self, index: u32, lease: &Lease) {
        self.memory.leases.borrow_mut().insert(index, *lease);
    }

    fn request(&self, index: u32, slot: u32) -> Request {
        self.memory.requests.borrow().get(&(index, slot)).copied().unwrap_or_default()
    }

    fn remember_request(&self, index: u32, slot: u32, request: &Request) {
        self.memory.requests.borrow_mut().insert((index, slot), *request);
    }

    fn query(&self, place: u32) -> Query {
        self.memory.queries.borrow().get(&place).copied().unwrap_or_default()
    }

    fn remember_query(&self, place: u32, query: &Query) {
        self.memory.queries.borrow_mut().insert(place, *query);
    }

    fn fragment(&self, shelf: Shelf, key: &FragmentKey) -> Option<FirstFragment> {
        self.memory.fragments.borrow().get(&(shelf as u8, *key)).copied()
    }

    fn remember_fragment(&self, shelf: Shelf, key: &FragmentKey, first: &FirstFragment) {
        self.memory.fragments.borrow_mut().insert((shelf as u8, *key), *first);
    }

    fn flow(&self, key: &FlowKey) -> Option<Self::Entry> {
        Entry::find(&self.memory.flows, key, self.generation)
    }

    fn remember(&self, key: &FlowKey, flow: &Flow, absent: bool) {
        flowtable::insert(key, flow, absent, &&self.memory.flows);
    }

    fn recall(&self, key: &FlowKey, seen: &Sighting) -> Recalled {
        flowtable::recall(key, seen, &&self.memory.flows)
    }
}
