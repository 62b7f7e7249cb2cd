//! A play of IPv4 told in IPv6: each address, port and number by what does the same there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv6Net};

use super::{Play, Shown, Step};
use crate::packet::{Extension, Frame, Icmp, Internet, Ipv4, Ipv6, Transport};
use crate::world::{Peer, Service, World};

/// The same play without IPv4; nothing where a frame has no counterpart.
pub(super) fn translated(play: &Play) -> Option<Play> {
    let mut varied = play.varies.family.then(|| play.clone())?;
    varied.map_worlds(world);
    for step in &mut varied.steps {
        if let Step::Frame(shown) = step {
            translate(shown)?;
        }
    }
    Some(varied)
}

fn translate(shown: &mut Shown) -> Option<()> {
    frame(&mut shown.frame)?;
    if let Some((_, entry, _)) = &mut shown.listing {
        *entry = net(entry.parse().ok()?).to_string();
    }
    Some(())
}

fn world(world: &mut World) {
    let nets = |nets: &mut Vec<IpNet>| nets.iter_mut().for_each(|entry| *entry = net(*entry));
    nets(&mut world.segments);
    world.own.iter_mut().for_each(|own| *own = address(*own));
    world.endpoints.iter_mut().for_each(|endpoint| nets(&mut endpoint.addresses));
    world.feeds.iter_mut().for_each(|feed| nets(&mut feed.entries));
    for device in &mut world.devices {
        device.addresses.iter_mut().for_each(|entry| *entry = address(*entry));
    }
    for pair in &mut world.protected {
        pair.peer = net(pair.peer);
    }
    for pair in &mut world.management {
        pair.address = address(pair.address);
        pair.services.iter_mut().for_each(service);
    }
    for (prefix, _) in &mut world.countries {
        *prefix = net(*prefix);
    }
    let granted = world.grants.iter_mut().map(|grant| &mut grant.rule);
    for rule in world.profiles.iter_mut().flat_map(|profile| &mut profile.rules).chain(granted) {
        rule.services.iter_mut().for_each(service);
        if let Peer::Net(peer) = &mut rule.peer {
            *peer = net(*peer);
        }
    }
}

/// Private addresses become private ones, others public ones: only those have a country.
fn address(address: IpAddr) -> IpAddr {
    let IpAddr::V4(v4) = address else { return address };
    let prefix: u128 = match v4 {
        Ipv4Addr::UNSPECIFIED => return IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        Ipv4Addr::BROADCAST => return IpAddr::V6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2)),
        _ if v4.is_loopback() => return IpAddr::V6(Ipv6Addr::LOCALHOST),
        _ if v4.is_multicast() => 0xff0e << 112,
        _ if v4.is_link_local() => 0xfe80 << 112,
        _ if v4.is_private() => 0xfd00_0064 << 96,
        _ => 0x2001_0db8_0064 << 80,
    };
    IpAddr::V6(Ipv6Addr::from_bits(prefix | u128::from(v4.to_bits())))
}

fn net(prefix: IpNet) -> IpNet {
    let IpNet::V4(v4) = prefix else { return prefix };
    let IpAddr::V6(first) = address(v4.addr().into()) else { return prefix };
    let length = if v4.prefix_len() == 0 { 0 } else { 96 + v4.prefix_len() };
    Ipv6Net::new(first, length).map_or(prefix, IpNet::V6)
}

fn service(service: &mut Service) {
    match service {
        Service::Protocol(number @ 1) => *number = 58,
        Service::Ports { protocol: 17, first: first @ 67, last: last @ 67..=68 } => {
            (*first, *last) = (port(*last), port(*first));
        }
        Service::Any | Service::Protocol(_) | Service::Ports { .. } => {}
    }
}

/// A server's and a client's port of DHCP.
const fn port(port: u16) -> u16 {
    match port {
        67 => 547,
        68 => 546,
        _ => port,
    }
}

fn frame(frame: &mut Frame) -> Option<()> {
    let is_whole = frame.truncate.is_none() && frame.overwrite.is_empty() && frame.ethertype.is_none();
    if let Transport::Udp(udp) = &mut frame.transport {
        (udp.source, udp.destination) = (port(udp.source), port(udp.destination));
    }
    let Internet::V4(v4) = &frame.internet else {
        return matches!(frame.internet, Internet::V6(_)).then_some(());
    };
    let is_plain = v4.options.is_empty() && v4.header_words.is_none() && v4.total_length.is_none();
    if !is_whole || !is_plain || v4.version != 4 || v4.protocol.is_some() {
        return None;
    }
    match &mut frame.transport {
        Transport::Icmp(message) => icmp(message)?,
        Transport::Raw(0 | 1 | 43 | 44 | 51 | 58 | 60, _) => return None,
        Transport::Tcp(_) | Transport::Udp(_) | Transport::Sctp(_) | Transport::Raw(..) | Transport::None => {
        }
    }
    frame.internet = Internet::V6(header(v4)?);
    Some(())
}

fn header(v4: &Ipv4) -> Option<Ipv6> {
    let (IpAddr::V6(source), IpAddr::V6(destination)) =
        (address(v4.source.into()), address(v4.destination.into()))
    else {
        return None;
    };
    let is_piece = v4.more_fragments || v4.fragment_offset != 0;
    let piece = Extension::fragment(v4.identification.into(), v4.fragment_offset, v4.more_fragments);
    Some(Ipv6 {
        version: 6,
        payload_length: None,
        next_header: None,
        hop_limit: v4.ttl,
        source,
        destination,
        extensions: is_piece.then_some(piece).into_iter().collect(),
    })
}

/// Echoes and unreachables; what an error quotes would be IPv4.
fn icmp(message: &mut Icmp) -> Option<()> {
    message.kind = match message.kind {
        8 => 128,
        0 => 129,
        3 if message.body.len() <= 8 => 1,
        _ => return None,
    };
    Some(())
}
