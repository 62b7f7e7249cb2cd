//! Plans of random hospitals, compared with any judge: what a plan says of a talk is what the judge says of the frame
//! that opens it, before and after.

use std::net::IpAddr;

use iomt_filter::contacts::Direction;
use iomt_filter::intent::Intent;
use iomt_filter::plan::{Ground, KnownFrom, Plan, Planning, Room, Talk, Turned};
use iomt_filter_common::Verdict;
use iomt_filter_common::device::Port;
use jiff::Timestamp;

use crate::differential::Maker;
use crate::generate::{START, Step, address, script};
use crate::judge::Observed;
use crate::packet::{End, Frame, ROUTER};
use crate::random::Random;
use crate::world::{Heartbeat, World};

/// Talks of one pair of generations.
const TALKS: usize = 25;
/// Steps of a script, which changes its hospital in some of them.
const STEPS: usize = 40;
const PROTOCOLS: [u8; 6] = [1, 6, 6, 17, 132, 47];
const PORTS: [u16; 8] = [22, 53, 67, 104, 443, 547, 1000, 0xffff];

/// How often what was seen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    /// Talks that were judged.
    pub talks: usize,
    /// Those that are cut.
    pub cuts: usize,
    /// Those that are opened.
    pub opens: usize,
    /// Those that come to be reported.
    pub reported: usize,
}

/// Compares the plans of these seeds with what the judges that `maker` makes say.
///
/// # Errors
/// The first difference.
pub fn compare(seeds: impl IntoIterator<Item = u64>, maker: &mut dyn Maker) -> Result<Seen, String> {
    let mut seen = Seen::default();
    for seed in seeds {
        compare_one(seed, maker, &mut seen).map_err(|difference| format!("seed {seed}: {difference}"))?;
    }
    Ok(seen)
}

fn compare_one(seed: u64, maker: &mut dyn Maker, seen: &mut Seen) -> Result<(), String> {
    let script = script(seed, STEPS);
    let later = script.steps.iter().find_map(|step| match step {
        Step::Load(world) => Some(world.clone()),
        Step::Frame { .. } | Step::Beat(_) => None,
    });
    let Some(later) = later else { return Ok(()) };
    let worlds = [plain(script.world), plain(later)];
    let mut random = Random::new(seed ^ 0x0009_1a45);
    let talks: Vec<Talk> = (0..TALKS).filter_map(|_| talk(&mut random, &worlds)).collect();
    // A judge is made for each talk: nobody remembers another one.
    let mut judged = worlds.each_ref().map(|_| Vec::new());
    let mut ports = Vec::new();
    for (world, judged) in worlds.iter().zip(&mut judged) {
        for (at, talk) in talks.iter().enumerate() {
            let Some((frame, candidates)) = opening(talk, &worlds) else {
                judged.push(None);
                ports.push(Port::Device);
                continue;
            };
            if ports.len() <= at {
                let passes = |port: &&Port| goes_on(&maker.judge(world).judge(&frame, **port, START));
                ports.push(candidates.iter().find(passes).copied().unwrap_or(candidates[0]));
            }
            judged.push(Some(maker.judge(world).judge(&frame, ports[at], START)));
        }
    }
    let [before, after] = judged;
    let [in_force, candidate] = worlds.each_ref().map(intent);
    let room = Room::default();
    let ground = Ground { before: Some(&in_force), after: &candidate, leases: &[], room, now: START };
    let begun = Planning::begin(ground, Timestamp::MIN);
    for ((talk, was), is) in talks.iter().zip(before).zip(after) {
        let mut planning = begun.clone();
        planning.hear(talk);
        let plan = planning.end();
        let agrees = agrees(&plan, was.as_ref(), is.as_ref(), seen);
        agrees
            .map_err(|what| format!("{what}\n{talk:?}\nwas {was:?}\nis  {is:?}\n{plan:#?}\n{worlds:#?}"))?;
    }
    Ok(())
}

/// Without what a plan does not ask about: leases that were never given, and an agent that is lost.
fn plain(mut world: World) -> World {
    world.heartbeat = Heartbeat::default();
    world.exceptions.clear();
    world.devices.retain(|device| !device.addresses.is_empty());
    world.devices.iter_mut().for_each(|device| device.by_dhcp = false);
    world
}

fn intent(world: &World) -> Intent {
    let mut intent = Intent::default();
    (intent.rows, intent.segments) = (world.rows(), world.segments.clone());
    intent
}

/// A talk of one of the devices with any address.
fn talk(random: &mut Random, worlds: &[World; 2]) -> Option<Talk> {
    let world = &worlds[usize::from(random.chance(20))];
    let device = world.devices.get(random.below(world.devices.len()))?;
    let protocol = random.pick(&PROTOCOLS);
    let peer = address(random);
    let is_icmp = protocol == 1;
    Some(Talk {
        device: device.name.as_str().into(),
        direction: if random.chance(60) { Direction::FromDevice } else { Direction::ToDevice },
        peer,
        protocol: if is_icmp && peer.is_ipv6() { 58 } else { protocol },
        port: matches!(protocol, 6 | 17 | 132).then(|| random.pick(&PORTS)),
        own: None,
        first_seen: Timestamp::UNIX_EPOCH,
        last_seen: Timestamp::UNIX_EPOCH,
        packets: 1,
        bytes: 60,
        known_from: KnownFrom::History,
    })
}

/// The frame that opens a talk, and the ports that it may come in on, the likeliest first.
fn opening(talk: &Talk, worlds: &[World; 2]) -> Option<(Vec<u8>, Vec<Port>)> {
    let known = |name: &str| worlds.iter().find_map(|world| world.devices.iter().find(|it| it.name == name));
    let device = known(&talk.device)?;
    let own = device.addresses.iter().copied();
    let link_local = device.mac.map(link_local);
    let is_near = matches!(talk.peer, IpAddr::V6(peer) if peer.is_unicast_link_local());
    let is_group = matches!(talk.peer, IpAddr::V6(peer) if peer.is_multicast());
    let mut own: Vec<IpAddr> = own.filter(|own| own.is_ipv4() == talk.peer.is_ipv4()).collect();
    own.sort_unstable();
    let own = own.first().copied();
    let own = if is_near { link_local.or(own) } else { own };
    let own = if is_group { own.or(link_local) } else { own };
    let near = End { mac: device.mac.unwrap_or(ROUTER), address: own?, vlan: device.vlan };
    let holder = worlds.iter().find_map(|world| {
        let holder = world.devices.iter().find(|it| it.addresses.contains(&talk.peer))?;
        known(&holder.name)
    });
    let far = End {
        mac: holder.and_then(|it| it.mac).unwrap_or([2, 0, 0, 0, 0, 0xfd]),
        address: talk.peer,
        vlan: holder.map_or(device.vlan, |it| it.vlan),
    };
    let is_inside = worlds.iter().any(|world| world.segments.iter().any(|it| it.contains(&talk.peer)));
    let is_own = worlds.iter().any(|world| world.own.contains(&talk.peer));
    let port = talk.port.unwrap_or(0);
    let client = match (talk.protocol, port) {
        (17, 67) => 68,
        (17, 547) => 546,
        _ => 49_152,
    };
    let carrying = |frame: Frame, from: u16, to: u16, answers: bool| match talk.protocol {
        6 if answers => frame.tcp(from, to).syn_ack(),
        6 => frame.tcp(from, to).syn(),
        17 => frame.udp(from, to),
        132 => frame.sctp(from, to),
        1 | 58 if answers => frame.pong(7),
        1 | 58 => frame.ping(7),
        other => frame.protocol(other, &[0; 8]),
    };
    let group = group_mac(talk.peer);
    let (frame, ports) = match talk.direction {
        Direction::FromDevice => {
            let frame = carrying(Frame::from(near).to(far), client, port, false);
            (frame.destination_mac(group.unwrap_or(far.mac)), vec![Port::Device])
        }
        Direction::ToDevice if group.is_some() => return None,
        Direction::ToDevice if is_own => {
            (carrying(Frame::from(near).to(far), port, client, true), vec![Port::Device])
        }
        Direction::ToDevice => {
            let ports = match (holder, is_inside) {
                (Some(_), _) => vec![Port::Device],
                (None, true) => vec![Port::Device, Port::Uplink],
                (None, false) => vec![Port::Uplink],
            };
            (carrying(Frame::from(far).to(near), client, port, false), ports)
        }
    };
    Some((frame.bytes(), ports))
}

fn group_mac(address: IpAddr) -> Option<[u8; 6]> {
    match address {
        IpAddr::V4(v4) if v4.is_broadcast() => Some([0xff; 6]),
        IpAddr::V4(v4) => {
            let [_, b, c, d] = v4.octets();
            v4.is_multicast().then_some([1, 0, 0x5e, b & 0x7f, c, d])
        }
        IpAddr::V6(v6) => {
            let [.., a, b, c, d] = v6.octets();
            v6.is_multicast().then_some([0x33, 0x33, a, b, c, d])
        }
    }
}

fn link_local([a, b, c, d, e, f]: [u8; 6]) -> IpAddr {
    [0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 2, b, c, 0xff, 0xfe, d, e, f].into()
}

fn goes_on(observed: &Observed) -> bool {
    matches!(observed.verdict, Verdict::Pass | Verdict::WouldDrop)
}

/// That the plan says of the talk what the judges say.
fn agrees(
    plan: &Plan,
    was: Option<&Observed>,
    is: Option<&Observed>,
    seen: &mut Seen,
) -> Result<(), &'static str> {
    let (Some(was), Some(is)) = (was, is) else {
        let is_quiet = plan.cuts.is_empty() && plan.opens.is_empty();
        return if is_quiet { Ok(()) } else { Err("nobody can send that") };
    };
    seen.talks += 1;
    let reported = |it: &Observed| it.verdict == Verdict::WouldDrop;
    let is_cut = goes_on(was) && !goes_on(is);
    let is_open = goes_on(is) && (!goes_on(was) || reported(was) && !reported(is));
    let is_reported = goes_on(was) && reported(is) && !reported(was);
    seen.cuts += usize::from(is_cut);
    seen.opens += usize::from(is_open);
    seen.reported += usize::from(is_reported);
    if plan.not_judged != 0 {
        return Err("it was not judged");
    }
    if plan.newly_reported != usize::from(is_reported) {
        return Err("it is reported, or not");
    }
    match (plan.cuts.as_slice(), plan.opens.as_slice()) {
        ([], []) if !is_cut && !is_open => Ok(()),
        ([cut], []) if is_cut => says(cut, was, is),
        ([], [open]) if is_open => says(open, was, is),
        _ => Err("it is cut or opened, or neither"),
    }
}

fn says(turned: &Turned, was: &Observed, is: &Observed) -> Result<(), &'static str> {
    let before = turned.was.as_ref();
    let before = before.map(|was| (was.verdict.as_str(), was.reason.as_str()));
    let rule = turned.rule.as_ref().and_then(|rule| rule.split(' ').next());
    let feed = is.listing.as_ref().map(|listed| listed.feed.as_str());
    let of_is = (turned.verdict.as_str(), turned.reason.as_str()) == (is.verdict.name(), is.reason.name());
    let of_was = before == Some((was.verdict.name(), was.reason.name()));
    let of_list = turned.feed.as_deref() == feed && rule == is.rule.as_deref();
    if of_is && of_was && of_list { Ok(()) } else { Err("it is for something else") }
}
