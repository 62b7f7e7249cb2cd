//! Protocols that carry others, and those that nobody knows: they need a rule by their number.

use super::{DEVICE, Story, UPLINK};
use crate::packet::Frame;
use crate::world::{Peer, Rule, Service, World, hospital, net};

stories![
    a_protocol_needs_a_rule_by_its_number,
    a_rule_for_ports_allows_no_tunnel,
    what_a_tunnel_carries_is_not_looked_at,
    sctp_has_ports,
    icmp_of_the_other_family_is_a_protocol_like_any_other,
];

const GRE: u8 = 47;
const ESP: u8 = 50;
const IP_IN_IP: u8 = 4;
const IPV6_IN_IP: u8 = 41;
const SCTP: u8 = 132;

/// The hospital with one more rule of scanners.
fn with(rule: Rule) -> World {
    let mut world = hospital();
    world.profiles[0].rules.push(rule);
    world
}

fn pacs() -> Peer {
    Peer::Endpoint("pacs".into())
}

/// Both families of a scanner's way to the PACS.
fn ways(world: &World) -> [(Frame, &'static str); 2] {
    [
        (world.from("ct-1").to("10.20.0.10"), "IPv4"),
        (Frame::from(world.v6("ct-1")).to("2001:db8:20::10"), "IPv6"),
    ]
}

fn a_protocol_needs_a_rule_by_its_number(story: &mut Story) {
    // 59 is "no next header", 253 is for experiments, 200 and 255 are nobody's.
    for number in [IP_IN_IP, IPV6_IN_IP, GRE, ESP, 2, 59, 89, 112, 136, 200, 253, 255] {
        let world = with(Rule::to(pacs(), Service::Protocol(number)));
        let opened = with(Rule::from(pacs(), Service::Protocol(number)));
        for (way, family) in ways(&world) {
            let out = way.protocol(number, &[0x45; 24]);
            let back = out.reversed().untagged();
            let say = |what: &str| format!("{family}, protocol {number}: {what}");
            story.once(&hospital(), &say("no rule"), DEVICE, &out, "drop not-allowed ct-1");
            story.once(&hospital(), &say("no rule, received"), UPLINK, &back, "drop not-allowed ct-1");
            let play = story.once(&world, &say("its rule"), DEVICE, &out, "pass allowed ct-1");
            play.by("ct-scanner[10]");
            play.frame(&say("its answer"), UPLINK, &back, "pass established ct-1");
            let other = out.clone().protocol(number ^ 0x40, &[0x45; 24]);
            play.frame(&say("another number"), DEVICE, &other, "drop not-allowed ct-1");
            story.once(&world, &say("the other way"), UPLINK, &back, "drop not-allowed ct-1");
            story.once(&opened, &say("`from`"), UPLINK, &back, "pass allowed ct-1").by("ct-scanner[10]");
            story.once(&opened, &say("`from` is no `to`"), DEVICE, &out, "drop not-allowed ct-1");
        }
    }
}

fn a_rule_for_ports_allows_no_tunnel(story: &mut Story) {
    let ports = |protocol| Service::Ports { protocol, first: 0, last: 65_535 };
    let services = vec![ports(6), ports(17), ports(SCTP)];
    let world = with(Rule { services, ..Rule::to(pacs(), Service::Any) });
    let any = with(Rule::to(pacs(), Service::Any));
    for (way, family) in ways(&world) {
        for number in [IP_IN_IP, IPV6_IN_IP, GRE, ESP, 59, 253] {
            let out = way.clone().protocol(number, &[0; 24]);
            let what = format!("{family}, protocol {number}, all ports of TCP, UDP and SCTP are allowed");
            story.once(&world, &what, DEVICE, &out, "drop not-allowed ct-1");
            let what = format!("{family}, protocol {number}, `any` is allowed");
            story.once(&any, &what, DEVICE, &out, "pass allowed ct-1").by("ct-scanner[10]");
        }
        let sctp = way.clone().sctp(1, 2_905);
        story.once(&world, "SCTP has ports", DEVICE, &sctp, "pass allowed ct-1").by("ct-scanner[10]");
    }
}

/// A listed address within a tunnel is no far end: the tunnel's is.
fn what_a_tunnel_carries_is_not_looked_at(story: &mut Story) {
    let inner = hospital().from("ct-1").to("203.0.113.9").tcp(1, 443).syn().untagged().bytes();
    let peer = Peer::Net(net("203.0.113.9"));
    for number in [IP_IN_IP, GRE] {
        let world = with(Rule::to(pacs(), Service::Protocol(number)));
        for (way, family) in ways(&world) {
            let tunnel = way.protocol(number, &inner[14..]);
            let what = format!("{family}, protocol {number} to an allowed end");
            story.once(&world, &what, DEVICE, &tunnel, "pass allowed ct-1");
        }
        let world = with(Rule::to(peer.clone(), Service::Protocol(number)));
        let listed = world.from("ct-1").to("203.0.113.9").protocol(number, &inner[14..]);
        story.once(&world, "a tunnel to a listed end", DEVICE, &listed, "drop blocklist ct-1");
        let back = listed.reversed().untagged();
        story.once(&world, "a tunnel from a listed end", UPLINK, &back, "drop blocklist ct-1");
    }
}

fn sctp_has_ports(story: &mut Story) {
    let service = Service::Ports { protocol: SCTP, first: 2_904, last: 2_905 };
    let world = with(Rule::to(pacs(), service));
    let number = with(Rule::to(pacs(), Service::Protocol(SCTP)));
    for (way, family) in ways(&world) {
        let out = way.sctp(40_000, 2_905);
        let back = out.reversed().untagged();
        let other = out.clone().sctp(40_000, 2_906);
        story.once(&hospital(), &format!("{family}, no rule"), DEVICE, &out, "drop not-allowed ct-1");
        story
            .once(&world, &format!("{family}, its port"), DEVICE, &out, "pass allowed ct-1")
            .frame("its answer", UPLINK, &back, "pass established ct-1")
            .frame("another port", DEVICE, &other, "drop not-allowed ct-1");
        story.once(&world, "an answer to nothing", UPLINK, &back, "drop not-allowed ct-1");
        story.once(&number, &format!("{family}, its number"), DEVICE, &other, "pass allowed ct-1");
    }
}

fn icmp_of_the_other_family_is_a_protocol_like_any_other(story: &mut Story) {
    let world = with(Rule::to(pacs(), Service::Protocol(58)));
    let [(v4, _), (v6, _)] = ways(&world);
    let advertisement = v4.protocol(58, &[134, 0, 0, 0, 64, 0, 0, 0]).hop_limit(255);
    let what = "a router advertisement in IPv4 is none";
    story.once(&world, what, DEVICE, &advertisement, "pass allowed ct-1").family_matters();
    story.once(&hospital(), what, DEVICE, &advertisement, "drop not-allowed ct-1").family_matters();
    let echo = v6.protocol(1, &[8, 0, 0, 0, 0, 1, 0, 1]);
    story
        .once(&hospital(), "ICMP in IPv6, with a rule for it", DEVICE, &echo, "pass allowed ct-1")
        .family_matters();
    let [_, (v6, _)] = ways(&world);
    story
        .once(&hospital(), "ICMPv6 is not ICMP", DEVICE, &v6.ping(1), "drop not-allowed ct-1")
        .family_matters();
}
