//! What the tables of each generation hold, and what each frame must come to in it.

use std::net::IpAddr;

use iomt_filter::rows::{Prefix, Prefixes, Rows};
use iomt_filter_common::geo::Country;
use iomt_filter_common::policy::Mode;
use iomt_filter_common::reputation::Listing;
use iomt_filter_common::{Address, Decision, Mac, Reason, Verdict};
use iomt_filter_tests::packet::{End, Frame};
use iomt_filter_tests::random::Random;
use iomt_filter_tests::world::{World, hospital, net};
use ipnet::IpNet;

/// Generations whose numbers are so far apart hold the same of everything that is asked for here.
pub(super) const PERIOD: u32 = 12;
/// Now and then a list is long enough for a table of hosts.
const LONG_LIST: u32 = 20_500;
const LEARNER: u32 = 5;
/// Devices of the inventory in some generations.
const COMES_AND_GOES: u32 = 20;
const OTHERS: [u32; 2] = [21, 22];
const MACS: [[u8; 6]; 2] = [[2, 0, 0, 0, 1, 0x98], [2, 0, 0, 0, 1, 0x99]];
const ADDRESSES: [&str; 2] = ["10.10.0.98", "10.10.0.99"];

/// What is recorded of a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    verdict: Option<Verdict>,
    reason: Option<Reason>,
    device: u32,
    listing: Listing,
    country: u16,
}

/// A frame that is sent all the time.
pub(super) struct Probe {
    pub(super) name: &'static str,
    frame: Frame,
    destination: IpAddr,
    /// What it comes to in a generation; `None` where it passes without a record.
    pub(super) answer: fn(u32) -> Option<Answer>,
    /// Whether lists and countries alone decide.
    pub(super) is_of_lists: bool,
}

impl Probe {
    /// The frame, from a port of the sender's own.
    pub(super) fn bytes(&self, port: u16) -> Vec<u8> {
        self.frame.clone().udp(port, 53).bytes()
    }

    pub(super) fn destination(&self) -> Address {
        self.destination.into()
    }

    /// Whether there is a record of every frame.
    pub(super) fn is_recorded(&self) -> bool {
        (0..PERIOD).all(|generation| (self.answer)(generation).is_some())
    }
}

impl From<Decision> for Answer {
    fn from(decision: Decision) -> Self {
        Self {
            verdict: Some(decision.verdict()),
            reason: decision.reason(),
            device: decision.device,
            listing: decision.listing,
            country: decision.country,
        }
    }
}

/// Every frame.
pub(super) fn probes() -> Vec<Probe> {
    let world = world();
    let probe = |name, from: End, to: &str, is_of_lists, answer| {
        let destination: IpAddr = net(to).addr();
        Probe { name, frame: Frame::from(from).to(to), destination, answer, is_of_lists }
    };
    let [other, guest] =
        [0, 1].map(|at| End { mac: MACS[at], address: net(ADDRESSES[at]).addr(), vlan: None });
    vec![
        probe("allowed", world.v4("ct-1"), "10.0.0.53", true, |_| None),
        probe("listed by one entry or another", world.v4("monitor-1"), "192.0.2.77", true, |number| {
            let (feed, bits) = LISTED_V4[number as usize % 4];
            Some(listed(4, feed, bits))
        }),
        probe(
            "listed by one entry or another, IPv6",
            world.v6("ct-1"),
            "2001:db8:bad2::77",
            true,
            |number| {
                let (feed, bits) = LISTED_V6[number as usize % 3];
                Some(listed(1, feed, bits))
            },
        ),
        probe("listed in every other generation", world.v4("monitor-1"), "198.18.4.4", true, |number| {
            Some(if is_odd(number) { listed(4, 31, 128) } else { refused(4, Verdict::WouldDrop) })
        }),
        probe("blocked in every other generation", world.v6("pump-1"), "2001:db8:bad3::5", true, |number| {
            Some(if is_odd(number) { listed(3, 32, 128) } else { refused(3, Verdict::Drop) })
        }),
        probe("in one country or another", world.v4("ct-1"), "198.18.9.9", true, |number| {
            let (code, _) = COUNTRIES[number as usize % 3];
            Some(from_country(1, code))
        }),
        probe(
            "in an allowed country in every other generation",
            world.v6("ct-1"),
            "2001:db8:20::53",
            true,
            |number| is_odd(number).then(|| from_country(1, *b"KP")),
        ),
        probe("of a device in one mode or another", world.v4("learner-1"), "198.18.6.6", false, |number| {
            Some(refused(LEARNER, if is_odd(number) { Verdict::Drop } else { Verdict::WouldDrop }))
        }),
        probe("of a device that comes and goes", guest, "198.18.7.7", false, |number| {
            let unknown = answer(0, Verdict::Drop, Reason::UnknownDevice);
            Some(if is_odd(number) { unknown } else { refused(COMES_AND_GOES, Verdict::WouldDrop) })
        }),
        probe("of one device or another", other, "198.18.8.8", false, |number| {
            Some(refused(OTHERS[number as usize % 2], Verdict::WouldDrop))
        }),
    ]
}

/// Feed and length of what lists the first of them, the third of which is a block by hand.
const LISTED_V4: [(u16, u8); 4] = [(11, 128), (12, 96 + 24), (13, 128), (14, 96 + 16)];
const LISTED_V6: [(u16, u8); 3] = [(21, 128), (22, 64), (23, 48)];
/// Codes and lengths.
const COUNTRIES: [([u8; 2], u8); 3] = [(*b"KP", 24), (*b"RU", 32), (*b"KP", 16)];

/// The tables of the generation with this number.
pub(super) fn rows(base: &Rows, number: u32) -> Rows {
    let mut rows = base.clone();
    let mut random = Random::new(u64::from(number));
    let mut listings: Vec<_> = base.listings.iter().copied().collect();
    let mut blocks = Vec::new();
    let length = if number % 50 == 24 { LONG_LIST } else { 200 };
    for _ in 0..length {
        let host = Address::from_v4([45, random.next() as u8, random.next() as u8, random.next() as u8]);
        listings.push(row(Prefix::of(host, 128), 40));
        let network = 0x2001_0db9 << 96 | u128::from(random.next()) << 32;
        let bits = [48, 56, 64, 128][random.below(4)];
        if random.chance(10) {
            listings.push(row(Prefix::of(Address::from_v6(network.to_be_bytes()), bits), 41));
        }
    }
    let (feed, bits) = LISTED_V4[number as usize % 4];
    let list = if feed == 13 { &mut blocks } else { &mut listings };
    list.push(row(around("192.0.2.77", bits), feed));
    let (feed, bits) = LISTED_V6[number as usize % 3];
    let list = if feed == 23 { &mut blocks } else { &mut listings };
    list.push(row(around("2001:db8:bad2::77", bits), feed));
    if is_odd(number) {
        listings.push(row(around("198.18.4.4", 128), 31));
        blocks.push(row(around("2001:db8:bad3::5", 128), 32));
    }
    rows.listings = listings.into_iter().collect();
    rows.blocks = blocks.into_iter().collect();
    rows.countries = countries(base, number);
    add_devices(&mut rows, number);
    rows
}

/// What no generation changes.
pub(super) fn base() -> Rows {
    world().rows()
}

fn world() -> World {
    hospital()
}

fn countries(base: &Rows, number: u32) -> Prefixes<Country> {
    let country = |code| Country::from_code(code).unwrap();
    let mut countries: Vec<_> = base.countries.iter().copied().collect();
    let (code, bits) = COUNTRIES[number as usize % 3];
    countries.push((around("198.18.9.9", 96 + bits), country(code)));
    if is_odd(number) {
        countries.push((around("2001:db8:20::53", 128), country(*b"KP")));
    }
    for network in 0..number % 7 * 100 {
        let address = Address::from_v4([46, (network / 256) as u8, network as u8, 0]);
        countries.push((Prefix::of(address, 96 + 24), country(*b"FR")));
    }
    countries.into_iter().collect()
}

fn add_devices(rows: &mut Rows, number: u32) {
    let like = rows.devices[&4];
    if let Some(learner) = rows.devices.get_mut(&LEARNER) {
        learner.mode = if is_odd(number) { Mode::Enforce } else { Mode::Monitor } as u8;
    }
    let mut devices = vec![(0, OTHERS[number as usize % 2])];
    if !is_odd(number) {
        devices.push((1, COMES_AND_GOES));
    }
    for (at, device) in devices {
        let mac = Mac(MACS[at]);
        rows.devices.insert(device, iomt_filter_common::device::Device { mac, ..like });
        rows.device_macs.insert((mac, 0), device);
        rows.device_addresses.insert(net(ADDRESSES[at]).addr().into(), device);
    }
}

fn row(prefix: Prefix, feed: u16) -> (Prefix, Listing) {
    (prefix, Listing { feed, score: 90, prefix_bits: prefix.bits })
}

fn around(address: &str, bits: u8) -> Prefix {
    Prefix::of(IpNet::addr(&net(address)).into(), bits)
}

const fn is_odd(number: u32) -> bool {
    number % 2 == 1
}

fn answer(device: u32, verdict: Verdict, reason: Reason) -> Answer {
    Answer { verdict: Some(verdict), reason: Some(reason), device, ..Answer::default() }
}

fn listed(device: u32, feed: u16, prefix_bits: u8) -> Answer {
    let listing = Listing { feed, score: 90, prefix_bits };
    Answer { listing, ..answer(device, Verdict::Drop, Reason::Blocklist) }
}

fn refused(device: u32, verdict: Verdict) -> Answer {
    answer(device, verdict, Reason::NotAllowed)
}

fn from_country(device: u32, code: [u8; 2]) -> Answer {
    let country = Country::from_code(code).unwrap().0;
    Answer { country, ..answer(device, Verdict::Drop, Reason::Geo) }
}
