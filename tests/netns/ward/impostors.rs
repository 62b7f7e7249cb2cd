//! A device that claims to be another, or a router: its neighbours go on knowing better.

use std::fs;
use std::net::{IpAddr, Ipv6Addr};
use std::thread;
use std::time::Duration;

use iomt_filter_tests::hospital::{Version, wait};
use iomt_filter_tests::packet::{End, Extension, Frame, Internet, TPID_8021AD, TPID_8021Q, Transport};
use iomt_filter_tests::ward::frames::Wire;
use iomt_filter_tests::ward::{INTERFACE, Placement, Station, Ward};

use serde_json::Value;

use super::{LIMIT, build, dropped, filter, in_both_placements};

in_both_placements!(
    impostors,
    nobody_behind_a_router_takes_another_ones_address,
    nobody_behind_a_bridge_takes_another_ones_address
);

/// Time in which a kernel would have believed a frame.
const MOMENT: Duration = Duration::from_millis(150);
const LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0x21b, 0x21ff, 0xfe40, 0x13);
const ALL_NODES: End = End {
    mac: [0x33, 0x33, 0, 0, 0, 1],
    address: IpAddr::V6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1)),
    vlan: None,
};
/// The prefix that a rogue router advertises.
const ROGUE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xbad, 0, 0, 0, 0, 0);

/// Where a station has its neighbours.
fn interface_of(ward: &Ward, station: Station) -> &'static str {
    if station == ward.gateway() { "br-ward" } else { INTERFACE }
}

/// The hardware address under which a station knows another, as `ip` shows it.
fn known(ward: &Ward, victim: Station, claimed: IpAddr) -> Option<String> {
    let (claimed, interface) = (claimed.to_string(), interface_of(ward, victim));
    let text = ward[victim].run(&["ip", "neighbour", "show", &claimed, "dev", interface]).unwrap();
    text.split_once("lladdr ").and_then(|(_, rest)| rest.split(' ').next()).map(str::to_owned)
}

/// The same once the two have met.
fn met(ward: &Ward, victim: Station, claimed: IpAddr) -> String {
    let interface = interface_of(ward, victim);
    ward[victim].ip(&["neighbour", "flush", "dev", interface]).unwrap();
    // Whether it is answered is not asked: to send it takes the other's hardware address.
    ward[victim].output(&["ping", "-n", "-c", "1", "-W", "0.2", &claimed.to_string()]).unwrap();
    wait::until("a neighbour", LIMIT, || Ok(known(ward, victim, claimed))).unwrap()
}

fn mac_of(ward: &Ward, station: Station) -> [u8; 6] {
    let path = format!("/sys/class/net/{}/address", interface_of(ward, station));
    let text = ward[station].run(&["cat", &path]).unwrap();
    let bytes: Vec<_> = text.trim().split(':').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
    bytes.try_into().unwrap()
}

fn shown(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

/// Every way to say to a victim that `claimed` is at the liar's hardware address: as it is, and behind tags
/// that only give a priority, which receivers take off.
fn lies(ward: &Ward, liar: Station, victim: Station, claimed: IpAddr) -> Vec<Frame> {
    let plain = untagged_lies(ward, liar, victim, claimed);
    let once = plain[0].clone().outer_tag(TPID_8021Q, 0);
    let twice = once.clone().outer_tag(TPID_8021AD, 0);
    [plain, vec![once, twice]].concat()
}

fn untagged_lies(ward: &Ward, liar: Station, victim: Station, claimed: IpAddr) -> Vec<Frame> {
    let mac = liar.mac().unwrap();
    let address = ward.address(victim, if claimed.is_ipv4() { Version::V4 } else { Version::V6 });
    let victim = End { mac: mac_of(ward, victim), address, vlan: None };
    let from = End { mac, address: claimed, vlan: None };
    if claimed.is_ipv6() {
        let local = End { address: LOCAL.into(), ..from };
        return vec![advertisement(from, victim, claimed), advertisement(local, victim, claimed)];
    }
    let asks = Frame::arp(from, &claimed.to_string());
    let mut answers = Frame::arp(from, &victim.address.to_string()).destination_mac(victim.mac);
    if let Internet::Arp(arp) = &mut answers.internet {
        (arp.operation, arp.target_mac) = (2, victim.mac);
    }
    vec![answers, asks]
}

/// An unasked neighbour advertisement that overrides what is known (RFC 4861 §4.4).
fn advertisement(from: End, to: End, target: IpAddr) -> Frame {
    let IpAddr::V6(target) = target else { unreachable!("neighbour discovery is IPv6's") };
    let mut frame = Frame::from(from).to(to).hop_limit(255).icmp(136, 0, 0x2000);
    if let Transport::Icmp(icmp) = &mut frame.transport {
        icmp.sequence = 0;
        icmp.body = [&target.octets()[..], &[2, 1], &from.mac].concat();
    }
    frame
}

/// A router advertisement with a default route and a prefix to take addresses from (RFC 4861 §4.2, §4.6.2).
fn router_advertisement(from: End) -> Frame {
    const HOPS_AND_FLAGS: u16 = 64 << 8;
    const LIFETIME: u16 = 1800;
    let mut frame = Frame::from(from).to(ALL_NODES).hop_limit(255).icmp(134, 0, HOPS_AND_FLAGS);
    if let Transport::Icmp(icmp) = &mut frame.transport {
        icmp.sequence = LIFETIME;
        let prefix = [3, 4, 64, 0xc0, 0, 0, 7, 8, 0, 0, 7, 8, 0, 0, 0, 0];
        icmp.body = [&[0; 8], &prefix[..], &ROGUE.octets(), &[1, 1], &from.mac].concat();
    }
    frame
}

/// Whether a station has taken a route or an address from a router.
fn is_misled(ward: &Ward, victim: Station) -> bool {
    let routes = ward[victim].run(&["ip", "-6", "route", "show", "proto", "ra"]).unwrap();
    let addresses = ward[victim].run(&["ip", "-6", "address", "show", "dev", INTERFACE]).unwrap();
    !routes.trim().is_empty() || addresses.contains("2001:db8:bad:")
}

/// Lets a device take what routers advertise, as devices do; or forget what it took.
fn accept_routers(ward: &Ward, victim: Station, accept: bool) {
    let path = format!("/proc/sys/net/ipv6/conf/{INTERFACE}/accept_ra");
    ward[victim].inside(|| fs::write(path, if accept { "1" } else { "0" })).unwrap().unwrap();
    if !accept {
        ward[victim].ip(&["-6", "route", "flush", "proto", "ra"]).unwrap();
        ward[victim].ip(&["-6", "address", "flush", "dev", INTERFACE, "dynamic"]).unwrap();
    }
}

/// A neighbour that claims another hardware address is believed at once, and not a second later.
fn believe_at_once(ward: &Ward, victim: Station) {
    let path = format!("/proc/sys/net/ipv4/neigh/{}/locktime", interface_of(ward, victim));
    ward[victim].inside(|| fs::write(path, "0")).unwrap().unwrap();
}

/// Who is told a lie, and whose address it is about.
fn targets(ward: &Ward) -> Vec<(Station, Station)> {
    let gateway = ward.gateway();
    let mut targets = vec![(Station::Ct, gateway), (Station::Ct, Station::Monitor), (gateway, Station::Ct)];
    if ward.placement() == Placement::Bridge {
        targets.push((Station::Ct, Station::Console));
    }
    targets
}

/// The same with who tells it: a device that was taken over, or a laptop that poses as a device.
fn lies_told(ward: &Ward) -> Vec<(Station, Station, Station)> {
    let told = |(victim, claimed): (Station, Station)| {
        let of_laptop = claimed.device().map(|_| (Station::Laptop, victim, claimed));
        [Some((Station::Pump, victim, claimed)), of_laptop].into_iter().flatten()
    };
    targets(ward).into_iter().flat_map(told).collect()
}

fn impostors(placement: Placement) {
    let ward = build(placement);
    [Station::Ct, ward.gateway()].into_iter().for_each(|victim| believe_at_once(&ward, victim));
    let pump = Wire::open(&ward[Station::Pump], INTERFACE).unwrap();
    let liar = shown(Station::Pump.mac().unwrap());
    for version in Version::BOTH {
        for (victim, claimed) in targets(&ward) {
            let address = ward.address(claimed, version);
            assert_eq!(met(&ward, victim, address), shown(mac_of(&ward, claimed)));
            for (number, lie) in lies(&ward, Station::Pump, victim, address).iter().enumerate() {
                met(&ward, victim, address);
                let what = format!("lie {number} to be believed by {victim:?} without the filter");
                wait::until(&what, LIMIT, || {
                    // The owner may still be answering: the last word counts.
                    pump.send(lie)?;
                    Ok((known(&ward, victim, address).as_ref() == Some(&liar)).then_some(()))
                })
                .unwrap();
            }
        }
    }
    let from = End { mac: Station::Pump.mac().unwrap(), address: LOCAL.into(), vlan: None };
    let advertisements = [
        router_advertisement(from),
        router_advertisement(from).extension(Extension::destination_options()),
        router_advertisement(from).extension(Extension::hop_by_hop()),
        router_advertisement(from).outer_tag(TPID_8021Q, 0),
    ];
    for frame in &advertisements {
        accept_routers(&ward, Station::Ct, true);
        pump.send(frame).unwrap();
        wait::until("a device to be misled without the filter", LIMIT, || {
            Ok(is_misled(&ward, Station::Ct).then_some(()))
        })
        .unwrap();
        accept_routers(&ward, Station::Ct, false);
    }

    let (filter, events) = filter(&ward);
    for version in Version::BOTH {
        for (liar, victim, claimed) in lies_told(&ward) {
            let address = ward.address(claimed, version);
            let before = met(&ward, victim, address);
            let wire = Wire::open(&ward[liar], INTERFACE).unwrap();
            for lie in lies(&ward, liar, victim, address) {
                wire.send(&lie).unwrap();
            }
            // Where the address is another device's, that one is named, and the frame's sender by its
            // hardware address.
            let device = claimed.device().or(liar.device());
            let source = shown(liar.mac().unwrap());
            dropped(&events, device, "spoofed", |event| event["mac"]["source"] == source);
            thread::sleep(MOMENT);
            assert_eq!(known(&ward, victim, address), Some(before), "{liar:?}, {victim:?} about {claimed:?}");
        }
    }
    // An address that is on another link is nobody's neighbour, and does not become one.
    for version in Version::BOTH {
        let pacs = ward.address(Station::Server, version);
        for lie in lies(&ward, Station::Pump, Station::Ct, pacs) {
            pump.send(&lie).unwrap();
        }
        let claimed = pacs.to_string();
        dropped(&events, Some("pump-1"), "spoofed", |event| {
            event["source"] == claimed || event["arp"]["sender"] == claimed
        });
        assert_eq!(known(&ward, Station::Ct, pacs), None);
    }
    accept_routers(&ward, Station::Ct, true);
    for frame in &advertisements {
        pump.send(frame).unwrap();
    }
    let is_its = |event: &Value| event["reason"] == "rogue-ra" && event["mac"]["source"] == liar;
    events.wait("an advertisement dropped as `rogue-ra`", is_its).unwrap();
    thread::sleep(MOMENT);
    assert!(!is_misled(&ward, Station::Ct));
    drop(events);
    filter.remove().unwrap();
}
