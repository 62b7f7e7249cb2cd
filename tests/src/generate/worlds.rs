//! Random hospitals.

use std::collections::BTreeSet;
use std::net::IpAddr;

use iomt_filter_common::exception::Exception;
use iomt_filter_common::policy::{Mode, Otherwise};
use ipnet::IpNet;

use crate::random::Random;
use crate::world::{
    CountryCode, Device, Endpoint, Feed, Geo, Grant, Heartbeat, Limits, Management, Opens, Peer, Profile,
    Protected, Rates, Rule, Service, World, net,
};

/// Addresses that frames and worlds are made of.
pub(super) const ADDRESSES: &[&str] = &[
    "10.10.0.1",
    "10.10.0.2",
    "10.10.0.3",
    "10.10.0.4",
    "10.10.0.77",
    "10.10.0.78",
    "10.10.0.99",
    "10.20.0.1",
    "10.20.0.2",
    "203.0.113.1",
    "203.0.113.2",
    "203.0.113.200",
    "198.51.100.1",
    "198.51.100.200",
    "192.0.2.1",
    "172.15.255.255",
    "172.16.0.0",
    "172.31.255.255",
    "172.32.0.0",
    "192.167.255.255",
    "192.168.0.1",
    "192.169.0.0",
    "9.255.255.255",
    "11.0.0.0",
    "100.64.0.1",
    "127.0.0.1",
    "128.0.0.0",
    "169.253.255.255",
    "169.254.1.1",
    "169.255.0.0",
    "223.255.255.255",
    "224.0.0.5",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "0.0.0.0",
    "0.0.0.1",
    "1.0.0.0",
    "2001:db8:10::1",
    "2001:db8:10::2",
    "2001:db8:10::77",
    "2001:db8:10::99",
    "2001:db8:20::1",
    "2001:db8:20::2",
    "2001:db8:bad::1",
    "fe80::1",
    "fe80::2",
    "febf::1",
    "fec0::1",
    "fbff::1",
    "fc00::1",
    "fdff::1",
    "fe00::1",
    "feff::1",
    "ff02::1",
    "ff02::1:2",
    "::",
    "::1",
    "::2",
    "::1:0:0:1",
    "64:ff9b::cb00:7101",
];

/// Hardware addresses; the last is nobody's.
pub(super) const MACS: &[[u8; 6]] =
    &[[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2], [2, 0, 0, 0, 0, 3], [2, 0, 0, 0, 0, 4], [2, 0, 0, 0, 0, 0xee]];

/// VLANs.
pub(super) const VLANS: &[u16] = &[10, 20];

/// Ports.
pub(super) const PORTS: &[u16] = &[22, 53, 67, 68, 104, 443, 546, 547, 1000, 3702, 0xffff];

const CODES: &[CountryCode] = &[*b"US", *b"DE", *b"KP", *b"ZZ", *b"AA"];
const MODES: &[Mode] =
    &[Mode::Enforce, Mode::Enforce, Mode::Enforce, Mode::Monitor, Mode::Learn, Mode::Quarantine];
const PROFILES: usize = 3;

/// A small hospital.
pub fn world(random: &mut Random) -> World {
    let mut world = World {
        unknown_device: random.pick(&[Otherwise::Drop, Otherwise::Drop, Otherwise::Monitor, Otherwise::Pass]),
        unparsed: random.pick(&[Otherwise::Drop, Otherwise::Drop, Otherwise::Pass]),
        midstream: random.pick(&[Otherwise::Drop, Otherwise::Drop, Otherwise::Pass]),
        segments: vec![net("10.10.0.0/16"), net("2001:db8:10::/48")],
        own: Vec::new(),
        endpoints: Vec::new(),
        profiles: Vec::new(),
        devices: devices(random),
        management: Vec::new(),
        protected: Vec::new(),
        feeds: feeds(random),
        countries: countries(random),
        grants: Vec::new(),
        heartbeat: Heartbeat::default(),
        exceptions: Vec::new(),
    };
    for index in 0..2 {
        let addresses = (0..1 + random.below(2)).map(|_| some_net(random)).collect();
        world.endpoints.push(Endpoint { name: format!("endpoint-{index}"), addresses });
    }
    for index in 0..PROFILES {
        world.profiles.push(profile(random, index));
    }
    if random.chance(30) {
        world.own = vec![net("10.10.0.77").addr(), net("2001:db8:10::77").addr()];
    }
    if random.chance(40) {
        let services = vec![service(random)];
        world.management.push(Management { address: address(random), services });
    }
    if random.chance(50) {
        let device = random.pick(&["device-0", "device-1", "device-*"]).to_owned();
        world.protected.push(Protected { device, peer: some_net(random) });
    }
    world
}

/// A hospital in which most of what rules allow gets through: lists, countries and quarantine are rarer.
pub(super) fn lenient(random: &mut Random) -> World {
    let mut world = world(random);
    world.unparsed = Otherwise::Drop;
    if random.chance(60) {
        world.feeds.iter_mut().for_each(|feed| feed.entries.truncate(1));
    }
    for profile in &mut world.profiles {
        if profile.mode == Mode::Quarantine && random.chance(85) {
            profile.mode = Mode::Enforce;
        }
        if random.chance(60) {
            profile.geo = None;
        }
        if random.chance(70) {
            profile.block_score = 100;
        }
    }
    world
}

/// What an administrator, a feed or a database does from one generation to the next.
pub(super) fn change(random: &mut Random, world: &mut World, now: u64) {
    passing(random, world, now);
    match random.below(7) {
        0 => world.feeds = feeds(random),
        1 => world.countries = countries(random),
        2 | 3 => {
            let index = random.below(PROFILES);
            world.profiles[index] = profile(random, index);
        }
        4 => world.devices = devices(random),
        5 => {
            let index = random.below(PROFILES);
            world.profiles[index].mode = random.pick(MODES);
        }
        _ => {} // the same once more: every flow is judged again, with the same result
    }
}

/// What ends by itself: grants, and the agent.
pub(super) fn passing(random: &mut Random, world: &mut World, now: u64) {
    const SECOND: u64 = 1_000_000_000;
    if random.chance(50) {
        let count = random.below(4) as u64;
        let grant = |index| {
            let device = format!("device-{}", random.below(3));
            let after = random.pick(&[0, 1, 5, 29, 30, 300, 432_000]) * SECOND;
            // No two end at once: which of them is named then is nobody's business.
            Grant { device, rule: rule(random), expires: now + after + 1_000_000 + index }
        };
        world.grants = (0..count).map(grant).collect();
    }
    if random.chance(50) {
        let last = random.pick(&[0, now, now - 30 * SECOND, now - 59 * SECOND, now - 61 * SECOND]);
        world.heartbeat = Heartbeat { last, loss_after: random.pick(&[0, 1, 60, 60]) };
    }
    by_hand(&mut Random::new(now), world, now);
}

/// What holds by hand: seldom anything, so that conversations go deep.
fn by_hand(random: &mut Random, world: &mut World, now: u64) {
    const SECOND: u64 = 1_000_000_000;
    world.exceptions.clear();
    if random.chance(94) {
        return;
    }
    let mut until = || random.pick(&[0, 0, now, now + SECOND, now + 60 * SECOND, now + 86_400 * SECOND]);
    let mut exception = || Exception { quarantined_until: until(), open_until: until() };
    let (of_all, of_one) = (exception(), exception());
    let device = format!("device-{}", random.below(3));
    world.exceptions.push((Some(device), of_one));
    if random.chance(20) {
        world.exceptions.push((None, of_all));
    }
}

/// An address of a device, or one that DHCP may have given it.
pub(super) fn address_of(random: &mut Random, device: &Device) -> IpAddr {
    if device.addresses.is_empty() || (device.by_dhcp && random.chance(15)) {
        return net(random.pick(LEASABLE)).addr();
    }
    device.addresses[random.below(device.addresses.len())]
}

/// Addresses that DHCP gives.
pub(super) const LEASABLE: &[&str] = &["10.10.0.77", "10.10.0.77", "10.10.0.78", "2001:db8:10::77"];

fn devices(random: &mut Random) -> Vec<Device> {
    let mut free: Vec<IpAddr> = parse(&[
        "10.10.0.1",
        "10.10.0.2",
        "10.10.0.3",
        "10.10.0.4",
        "2001:db8:10::1",
        "2001:db8:10::2",
        "fe80::1",
        "198.51.100.1",
    ]);
    let mut bindings = BTreeSet::new();
    let mut devices = Vec::new();
    for _ in 0..2 + random.below(3) {
        let mac = (!random.chance(15)).then(|| MACS[random.below(MACS.len() - 1)]);
        let vlan = random.chance(30).then(|| random.pick(VLANS));
        if mac.is_some() && !bindings.insert((mac, vlan)) {
            continue;
        }
        let addresses =
            (0..1 + random.below(2)).map(|_| free.swap_remove(random.below(free.len()))).collect();
        let profile = format!("profile-{}", random.below(PROFILES));
        let by_dhcp = mac.is_some() && random.chance(30);
        let addresses = if by_dhcp && random.chance(35) { Vec::new() } else { addresses };
        // Named by its place, because what is remembered of a device is remembered by number.
        let name = format!("device-{}", devices.len());
        devices.push(Device { name, mac, vlan, addresses, by_dhcp, profile });
    }
    devices
}

fn profile(random: &mut Random, index: usize) -> Profile {
    let geo = random.chance(40).then(|| Geo {
        allow: random.chance(50),
        list: vec![random.pick(CODES), random.pick(CODES)],
        unknown_allowed: random.chance(60),
    });
    Profile {
        name: format!("profile-{index}"),
        mode: random.pick(MODES),
        block_score: random.pick(&[0, 30, 50, 90, 100, 100]),
        geo,
        rules: (0..random.below(9)).map(|_| rule(random)).collect(),
        resets: random.chance(40),
        limits: limits(random),
        open_on_agent_loss: random.chance(20),
        fails_open: random.chance(50),
        is_unset: random.chance(2),
    }
}

fn limits(random: &mut Random) -> Limits {
    let mut some = |rates: &[u32]| random.chance(12).then(|| random.pick(rates));
    let packets: &[u32] = &[1, 2, 3, 10, 1_000];
    let connections: &[u32] = &[1, 2, 5, 3_000_000_000];
    Limits {
        from: Rates { packets: some(packets), connections: some(connections) },
        to: Rates { packets: some(packets), connections: some(connections) },
        flows: some(&[1, 2, 3, 8]),
    }
}

fn rule(random: &mut Random) -> Rule {
    let peer = match random.below(10) {
        0..=3 => Peer::Any,
        4 | 5 => Peer::Net(some_net(random)),
        6 | 7 => Peer::Endpoint(format!("endpoint-{}", random.below(2))),
        _ => Peer::Profile(format!("profile-{}", random.below(PROFILES))),
    };
    let opens = if random.chance(50) { Opens::Device } else { Opens::Peer };
    let services = (0..1 + random.below(2)).map(|_| service(random)).collect();
    Rule { opens, peer, services }
}

fn service(random: &mut Random) -> Service {
    match random.below(10) {
        0..=3 => Service::Any,
        4 => Service::Protocol(random.pick(&[1, 58, 6, 17, 132, 47, 253])),
        5 => {
            let (a, b) = (random.pick(PORTS), random.pick(PORTS));
            Service::Ports { protocol: random.pick(&[6, 17, 132]), first: a.min(b), last: a.max(b) }
        }
        _ => {
            let port = random.pick(PORTS);
            Service::Ports { protocol: random.pick(&[6, 6, 17, 17, 132]), first: port, last: port }
        }
    }
}

fn feeds(random: &mut Random) -> Vec<Feed> {
    let feed = |name: &str, score, random: &mut Random| Feed {
        name: name.to_owned(),
        score,
        entries: (0..random.below(4)).map(|_| narrow_net(random)).collect(),
    };
    vec![feed("low", 30, random), feed("middle", 50, random), feed("high", 90, random)]
}

fn countries(random: &mut Random) -> Vec<(IpNet, CountryCode)> {
    let mut seen = BTreeSet::new();
    let mut countries = Vec::new();
    for _ in 0..random.below(12) {
        let net = narrow_net(random);
        // A MaxMind DB keeps IPv4 in `::/96`, so that these prefixes mean something else there.
        let is_ambiguous = matches!(net.network(), IpAddr::V6(v6) if v6.segments()[0] == 0);
        if !is_ambiguous && seen.insert(net) {
            countries.push((net, random.pick(CODES)));
        }
    }
    countries
}

/// Any prefix around an address of the pool, down to everything.
fn some_net(random: &mut Random) -> IpNet {
    let address = address(random);
    let lengths: &[u8] =
        if address.is_ipv4() { &[0, 8, 15, 24, 25, 31, 32] } else { &[0, 10, 32, 48, 64, 127, 128] };
    let length = random.pick(lengths);
    IpNet::new(address, length).unwrap_or_else(|_| IpNet::from(address)).trunc()
}

/// A prefix that a list or a country can have: never so wide that it covers both families.
fn narrow_net(random: &mut Random) -> IpNet {
    loop {
        let net = some_net(random);
        if net.prefix_len() >= 8 {
            return net;
        }
    }
}

/// An address that frames and hospitals are made of.
pub fn address(random: &mut Random) -> IpAddr {
    net(random.pick(ADDRESSES)).addr()
}

fn parse(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| net(text).addr()).collect()
}
