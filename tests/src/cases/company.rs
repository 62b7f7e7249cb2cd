//! What a hospital has besides: a device, a profile, rules, lists, countries and pairs that no case is about.

use ipnet::IpNet;

use super::{Play, Step};
use crate::world::{Endpoint, Feed, Geo, Grant, Management, Peer, Protected, Rule, Service, World, net};

const NAME: &str = "unrelated";

/// All of it behind what there is.
pub(super) fn behind(play: &Play) -> Play {
    let mut varied = play.clone();
    varied.map_worlds(|world| add(world, false));
    varied
}

/// All of it before: numbers shift, and the rules that frames pass by have another place.
pub(super) fn before(play: &Play) -> Play {
    let mut varied = play.clone();
    varied.map_worlds(|world| add(world, true));
    for step in &mut varied.steps {
        if let Step::Frame(shown) = step
            && let Some(rule) = &mut shown.rule
        {
            *rule = next(rule);
        }
    }
    varied
}

/// `profile[1]` becomes `profile[2]`.
fn next(rule: &str) -> String {
    let parts = rule.strip_suffix(']').and_then(|rule| rule.split_once('['));
    match parts.and_then(|(profile, index)| Some((profile, index.parse::<u32>().ok()?))) {
        Some((profile, index)) => format!("{profile}[{}]", index + 1),
        None => rule.to_owned(),
    }
}

fn add(world: &mut World, is_first: bool) {
    let rule = Rule::to(Peer::Net(net("192.0.2.203")), Service::udp(9_999));
    for profile in &mut world.profiles {
        insert(&mut profile.rules, rule.clone(), is_first);
    }
    // Clones: what other fields say is of no interest here.
    if let Some(mut profile) = world.profiles.first().cloned() {
        profile.name = NAME.to_owned();
        profile.geo = Some(Geo { allow: false, list: vec![*b"CN"], unknown_allowed: true });
        profile.block_score = 1;
        profile.resets = true;
        profile.limits.from.packets = Some(1);
        profile.rules = vec![Rule::to(Peer::Any, Service::Any), Rule::from(Peer::Any, Service::Any)];
        insert(&mut world.profiles, profile, is_first);
    }
    if let Some(mut device) = world.devices.first().cloned() {
        device.name = NAME.to_owned();
        device.profile = NAME.to_owned();
        device.mac = Some([2, 0, 0, 0, 1, 0x7e]);
        device.vlan = None;
        device.addresses = vec![net("192.0.2.202").addr()];
        insert(&mut world.devices, device, is_first);
    }
    let rule = Rule::to(Peer::Any, Service::Any);
    insert(&mut world.grants, Grant { device: NAME.to_owned(), rule, expires: u64::MAX }, is_first);
    let entries: Vec<IpNet> = vec![net("192.0.2.201"), net("2001:db8:ffff::/48")];
    insert(&mut world.feeds, Feed { name: NAME.to_owned(), score: 100, entries }, is_first);
    insert(&mut world.countries, (net("192.0.2.208/28"), *b"FR"), is_first);
    insert(&mut world.segments, net("192.0.2.240/29"), is_first);
    insert(&mut world.own, net("192.0.2.206").addr(), is_first);
    let services = vec![Service::udp(161), Service::tcp(22)];
    let pair = Management { address: net("192.0.2.204").addr(), services };
    insert(&mut world.management, pair, is_first);
    insert(
        &mut world.protected,
        Protected { device: "unrelated*".to_owned(), peer: net("192.0.2.201") },
        is_first,
    );
    let endpoint = Endpoint { name: NAME.to_owned(), addresses: vec![net("192.0.2.205")] };
    insert(&mut world.endpoints, endpoint, is_first);
}

fn insert<T>(list: &mut Vec<T>, item: T, is_first: bool) {
    let at = if is_first { 0 } else { list.len() };
    list.insert(at, item);
}
