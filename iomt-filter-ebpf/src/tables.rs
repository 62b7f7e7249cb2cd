//! The lookups that the decision asks for, answered from the maps of one generation.

use core::intrinsics::{AtomicOrdering, atomic_cxchg};

use aya_ebpf::maps::lpm_trie::Key;
use iomt_filter_common::abi::{
    Active, CLIENT, Change, MANAGEMENT_PROFILE, MAX_PROFILES, PEER_ANY, PEER_PROFILE, PeerClass,
    ProtectedKey, SERVICE_ANY,
};
use iomt_filter_common::decide::Stage;
use iomt_filter_common::device::Device;
use iomt_filter_common::exception::Exception;
use iomt_filter_common::flow::{Flow, FlowKey};
use iomt_filter_common::flowtable::{Entry, Origin, Recalled, Sighting};
use iomt_filter_common::fragment::{FirstFragment, FragmentKey, Shelf};
use iomt_filter_common::geo::Country;
use iomt_filter_common::lease::{self, Lease, Request};
use iomt_filter_common::limit::Bucket;
use iomt_filter_common::lookup::known::Kind;
use iomt_filter_common::lookup::policy::{self, Asked};
use iomt_filter_common::policy::{Grant, GrantKey, Profile, RuleDirection, Service, Settings};
use iomt_filter_common::query::Query;
use iomt_filter_common::reputation::Listing;
use iomt_filter_common::tables::FlowEntry;
use iomt_filter_common::{Address, Case, Mac, Tables};

use crate::flows::{self, Flows};
use crate::maps::{
    self, ACTIVE, BUCKETS, CHANGE, DEVICES, EXCEPTIONS, FAR_HOSTS, FRAGMENTS, GRANTS, HEARTBEAT, LEASED,
    LEASES, OTHER_FRAGMENTS, PROFILES, PROTECTED, QUERIES, REQUESTS, SETTINGS,
};
use crate::{lists, stages};

/// The tables of one generation.
#[derive(Clone, Copy)]
pub(crate) struct Maps {
    active: Active,
}

impl Maps {
    /// The generation that is active now; `None` before the first.
    #[inline(always)]
    pub(crate) fn active() -> Option<Self> {
        let word = ACTIVE.get_ptr(0)?;
        // SAFETY: points at the map's only value; volatile, because user space writes it at any time.
        let active = unsafe { word.read_volatile() };
        let active = if active.is_pending() { judging(active) } else { active };
        if active.generation() == 0 { None } else { Some(Self { active }) }
    }

    /// The generation that is on trial beside this one; `None` where none is, or its time is up.
    #[inline(always)]
    pub(crate) fn on_trial(self) -> Option<Self> {
        if !self.active.has_trial() {
            return None;
        }
        let change = change()?;
        if change.trial.generation() == 0 || maps::moment().now >= change.trial_until {
            return None;
        }
        Some(Self { active: change.trial.on_trial() })
    }

    /// Whether nothing is to change for what this one says.
    #[inline(always)]
    const fn is_on_trial(&self) -> bool {
        self.active.is_on_trial()
    }

    /// The same, from what [`word`](Self::word) said.
    #[inline(always)]
    pub(crate) const fn from_word(word: u64) -> Self {
        Self { active: Active(word) }
    }

    /// As one word, for functions that are verified on their own.
    #[inline(always)]
    pub(crate) const fn word(self) -> u64 {
        self.active.0
    }

    /// The generation that judges `case`.
    #[inline(always)]
    pub(crate) const fn of(case: &Case) -> Self {
        Self { active: case.active }
    }

    /// Notes in `case` when the frame came in, and who judges it.
    #[inline(always)]
    pub(crate) fn enter(&self, case: &mut Case) {
        case.enter(maps::moment().now);
        case.active = self.active;
    }

    #[inline(always)]
    fn known(&self, kind: Kind, key: [u64; 2]) -> u32 {
        lists::known(self.active.slot(), kind, key)
    }

    #[inline(always)]
    fn mac_row(&self, mac: Mac, vlan: u16) -> u32 {
        self.known(Kind::Hardware, policy::hardware(mac, vlan))
    }

    #[inline(always)]
    fn peer_class(&self, address: Address) -> PeerClass {
        lists::peer(self.active.slot(), address)
    }

    #[inline(always)]
    fn service_class(&self, service: Service) -> u16 {
        lists::service(self.active.slot(), service)
    }

    /// The grant in any of the cells of a peer and a service that ends last.
    #[inline(always)]
    fn last_grant(&self, device: u32, direction: RuleDirection, peers: [u16; 3], service: u16) -> Grant {
        let mut last = Grant::default();
        let (slot, direction) = (self.active.slot(), direction as u16);
        for peer in peers {
            for service in [service, SERVICE_ANY] {
                let key = GrantKey { slot, device, direction, peer, service, reserved: 0 };
                // SAFETY: rows of the active generation are not removed while a program that reads it runs.
                let grant = unsafe { GRANTS.get(&key) }.copied().unwrap_or_default();
                if grant.expires > last.expires {
                    last = grant;
                }
            }
        }
        last
    }
}

/// What is pending, or on trial. Asked for behind a word of `ACTIVE` that says so, which user space writes a grace period
/// after what stands here: in whatever order a processor loads the two, it finds what belongs together.
#[inline(always)]
fn change() -> Option<Change> {
    let change = CHANGE.get_ptr(0)?;
    // SAFETY: points at the map's only value; volatile, because user space writes it at any time, each word at once.
    Some(unsafe { change.read_volatile() })
}

/// The generation that judges while a change is pending: the clock is asked for no other.
#[inline(always)]
fn judging(active: Active) -> Active {
    change().map_or(active, |change| change.judging(active, maps::moment().now))
}

/// A remembered flow, which a generation on trial leaves as it is.
pub(crate) struct Remembered {
    entry: Entry<Flows>,
    is_kept: bool,
}

impl FlowEntry for Remembered {
    #[inline(always)]
    fn load(&self) -> Flow {
        self.entry.load()
    }

    #[inline(always)]
    fn store(&self, flow: &Flow) {
        if self.is_kept {
            self.entry.store(flow);
        }
    }

    #[inline(always)]
    fn set_origin(&self, is_reply: bool, origin: Origin) {
        if self.is_kept {
            self.entry.set_origin(is_reply, origin);
        }
    }

    #[inline(always)]
    fn look_again(&self) {
        if self.is_kept {
            self.entry.look_again();
        }
    }
}

impl Tables for Maps {
    type Entry = Remembered;

    #[inline(always)]
    fn generation(&self) -> u32 {
        self.active.generation()
    }

    #[inline(always)]
    fn run(&self, stage: Stage, case: &mut Case) -> bool {
        stages::run(stage, case)
    }

    #[inline(always)]
    fn settings(&self) -> Settings {
        SETTINGS.get(self.active.slot()).copied().unwrap_or_default()
    }

    #[inline(always)]
    fn device_by_address(&self, address: Address) -> Option<u32> {
        some(self.known(Kind::Address, address.words()))
    }

    #[inline(always)]
    fn device_by_mac(&self, mac: Mac, vlan: u16) -> Option<u32> {
        let found = self.mac_row(mac, vlan);
        some(if found == 0 && vlan != 0 { self.mac_row(mac, 0) } else { found })
    }

    #[inline(always)]
    fn client(&self, mac: Mac, n: u16) -> Option<u32> {
        some(self.mac_row(mac, CLIENT + n))
    }

    #[inline(always)]
    fn exception(&self, device: u32) -> Exception {
        let Some(row) = EXCEPTIONS.get_ptr(device) else { return Exception::default() };
        // SAFETY: points into the table; volatile, because user space writes it at any time, each word at once.
        unsafe { row.read_volatile() }
    }

    #[inline(always)]
    fn device(&self, device: u32) -> Option<Device> {
        let capacity = maps::device_capacity();
        let index = if device < capacity { device } else { 0 };
        DEVICES.get(self.active.slot() * capacity + index).copied()
    }

    #[inline(always)]
    fn profile(&self, profile: u16) -> Option<&Profile> {
        let index = u32::from(profile) & (MAX_PROFILES - 1);
        PROFILES.get(self.active.slot() * MAX_PROFILES + index)
    }

    #[inline(always)]
    fn in_segment(&self, address: Address) -> bool {
        self.peer_class(address).in_segment != 0
    }

    #[inline(always)]
    fn is_own(&self, address: Address) -> bool {
        self.peer_class(address).is_own != 0
    }

    #[inline(always)]
    fn is_named(&self, address: Address) -> bool {
        self.peer_class(address).is_named != 0
    }

    #[inline(always)]
    fn is_far_host(&self, address: Address) -> bool {
        FAR_HOSTS.get_ptr(&address).is_some()
    }

    #[inline(always)]
    fn remember_far_host(&self, address: Address, now: u64) {
        if self.is_on_trial() {
            return;
        }
        // One that cannot be remembered advertises itself again.
        let _ = FAR_HOSTS.insert(&address, &now, 0);
    }

    #[inline(always)]
    fn is_management(&self, peer: Address, service: Service) -> bool {
        self.rule(MANAGEMENT_PROFILE, RuleDirection::From, peer, 0, service).is_some()
    }

    #[inline(always)]
    fn is_protected(&self, device: u32, peer: Address) -> bool {
        let key = ProtectedKey { slot: self.active.slot(), device, address: peer };
        PROTECTED.get(&Key::new(32 + 32 + 128, key)).is_some()
    }

    #[inline(always)]
    fn listing(&self, address: Address) -> Listing {
        lists::listing(self.active.slot(), address)
    }

    #[inline(always)]
    fn country(&self, address: Address) -> Country {
        lists::country(self.active.slot(), address)
    }

    #[inline(always)]
    fn rule(
        &self,
        profile: u16,
        direction: RuleDirection,
        peer: Address,
        peer_profile: u16,
        service: Service,
    ) -> Option<u32> {
        let class = self.peer_class(peer).class;
        let service = self.service_class(service);
        let asked = Asked { profile, direction, peer: class, peer_profile, service };
        some(lists::first_rule(self.active.slot(), &asked))
    }

    #[inline(always)]
    fn grant(
        &self,
        device: u32,
        direction: RuleDirection,
        peer: Address,
        peer_profile: u16,
        service: Service,
    ) -> Grant {
        let class = self.peer_class(peer).class;
        let service = self.service_class(service);
        let peers = [class, PEER_ANY, PEER_PROFILE | peer_profile];
        self.last_grant(device, direction, peers, service)
    }

    #[inline(always)]
    fn heartbeat(&self) -> u64 {
        let Some(word) = HEARTBEAT.get_ptr(0) else { return 0 };
        // SAFETY: points at the map's only value; volatile, because user space writes it at any time.
        unsafe { word.read_volatile() }
    }

    #[inline(always)]
    fn bucket(&self, device: u32, bucket: Bucket) -> u64 {
        // What is on trial takes from no bucket, and finds them as nobody has taken from them.
        if self.is_on_trial() {
            return 0;
        }
        let Some(word) = word(device, bucket) else { return 0 };
        // SAFETY: points at a word of the table; volatile, because other CPUs change it at any time.
        unsafe { word.read_volatile() }
    }

    #[inline(always)]
    fn replace_bucket(&self, device: u32, bucket: Bucket, seen: u64, with: u64) -> bool {
        if self.is_on_trial() {
            return true;
        }
        let Some(word) = word(device, bucket) else { return true };
        // SAFETY: points at an aligned word of the table, which programs change in this way alone.
        let (_, is_replaced) = unsafe {
            atomic_cxchg::<u64, { AtomicOrdering::Relaxed }, { AtomicOrdering::Relaxed }>(word, seen, with)
        };
        is_replaced
    }

    #[inline(always)]
    fn leased_to(&self, address: Address) -> Option<u32> {
        // SAFETY: the value is one word, and copied at once.
        some(unsafe { LEASED.get(&address) }.copied().unwrap_or(0))
    }

    #[inline(always)]
    fn lease(&self, index: u32) -> Lease {
        LEASES.get(index).copied().unwrap_or_default()
    }

    #[inline(always)]
    fn remember_leased(&self, address: Address, device: u32) {
        if self.is_on_trial() {
            return;
        }
        // Without this row the address is nobody's, as it was.
        let _ = LEASED.insert(&address, &device, 0);
    }

    #[inline(always)]
    fn forget_leased(&self, address: Address) {
        if self.is_on_trial() {
            return;
        }
        // Where it is gone already there is nothing to forget. Where another CPU gives the address to somebody else
        // in this very moment, it is nobody's until that device renews.
        let _ = LEASED.remove(&address);
    }

    #[inline(always)]
    fn remember_lease(&self, index: u32, lease: &Lease) {
        if self.is_on_trial() {
            return;
        }
        let Some(row) = LEASES.get_ptr_mut(index) else { return };
        // SAFETY: points into the table. A reader on another CPU may see an address that is half of the lease
        // before: it then equals neither, and one packet counts as without a binding.
        unsafe { row.write(*lease) };
    }

    #[inline(always)]
    fn request(&self, index: u32, slot: u32) -> Request {
        let Some(row) = request_row(index, slot) else { return Request::default() };
        // SAFETY: points into the table. One that another CPU replaces meanwhile may come out mixed from two
        // requests of the same device.
        unsafe { row.read() }
    }

    #[inline(always)]
    fn remember_request(&self, index: u32, slot: u32, request: &Request) {
        if self.is_on_trial() {
            return;
        }
        let Some(row) = request_row(index, slot) else { return };
        // SAFETY: as above.
        unsafe { row.write(*request) };
    }

    #[inline(always)]
    fn query(&self, place: u32) -> Query {
        let Some(row) = QUERIES.get_ptr(place) else { return Query::default() };
        // SAFETY: points into the table; volatile, because other CPUs write it at any time. What is read of two
        // questions at once was asked by one host, or by two whose answers nothing but rules decides on.
        unsafe { row.read_volatile() }
    }

    #[inline(always)]
    fn remember_query(&self, place: u32, query: &Query) {
        if self.is_on_trial() {
            return;
        }
        let Some(row) = QUERIES.get_ptr_mut(place) else { return };
        // SAFETY: points into the table, see above.
        unsafe { row.write_volatile(*query) };
    }

    #[inline(always)]
    fn fragment(&self, shelf: Shelf, key: &FragmentKey) -> Option<FirstFragment> {
        let row = match shelf {
            Shelf::OfDevices => FRAGMENTS.get_ptr(key),
            Shelf::Others => OTHER_FRAGMENTS.get_ptr(key),
        };
        // SAFETY: points into the table, whose memory stays; volatile, because other CPUs write it. A row that is
        // given to another packet between lookup and reading costs this fragment its place: its ports are then
        // another's, and rules decide on them.
        Some(unsafe { row?.read_volatile() })
    }

    #[inline(always)]
    fn remember_fragment(&self, shelf: Shelf, key: &FragmentKey, first: &FirstFragment) {
        if self.is_on_trial() {
            return;
        }
        // A first fragment that cannot be remembered costs its packet the later ones.
        let _ = match shelf {
            Shelf::OfDevices => FRAGMENTS.insert(key, first, 0),
            Shelf::Others => OTHER_FRAGMENTS.insert(key, first, 0),
        };
    }

    #[inline(always)]
    fn flow(&self, key: &FlowKey) -> Option<Remembered> {
        let entry = Entry::find(Flows, key, self.active.generation())?;
        Some(Remembered { entry, is_kept: !self.is_on_trial() })
    }

    #[inline(always)]
    fn remember(&self, key: &FlowKey, flow: &Flow, absent: bool) {
        if self.is_on_trial() {
            return;
        }
        flows::remember(key, flow, absent);
    }

    #[inline(always)]
    fn recall(&self, key: &FlowKey, seen: &Sighting) -> Recalled {
        flows::recall(key, seen)
    }
}

#[inline(always)]
const fn some(number: u32) -> Option<u32> {
    if number == 0 { None } else { Some(number) }
}

/// A device's word in one of its buckets.
#[inline(always)]
fn word(device: u32, bucket: Bucket) -> Option<*mut u64> {
    let words = BUCKETS.get_ptr_mut(device)?;
    // SAFETY: a value is eight words, and the bucket's number is below eight.
    Some(unsafe { words.cast::<u64>().add(bucket as usize) })
}

/// A request of those in a place.
#[inline(always)]
fn request_row(index: u32, slot: u32) -> Option<*mut Request> {
    let rows = REQUESTS.get_ptr_mut(index)?;
    // SAFETY: a value is so many requests, and the remainder is below their number.
    Some(unsafe { rows.cast::<Request>().add((slot % lease::REQUESTS) as usize) })
}
