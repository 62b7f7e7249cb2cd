//! Fragments and ICMP errors: judged by what they belong to.

use iomt_filter_common::device::Port;
use iomt_filter_tests::judge::Judge;
use iomt_filter_tests::kernel::{Kernel, Loaded};
use iomt_filter_tests::packet::{Frame, Transport};
use iomt_filter_tests::world::{World, hospital};

const SECOND: u64 = 1_000_000_000;

fn answer(judge: &mut Loaded, frame: &Frame, port: Port, now: u64) -> String {
    let seen = judge.judge(&frame.bytes(), port, now * SECOND);
    format!("{} {}", seen.verdict.name(), seen.reason.name())
}

/// An allowed connection and one that is not, IPv4 and IPv6, each with no tag, one and two.
fn conversations(world: &World) -> Vec<(Frame, &'static str)> {
    let mut all = Vec::new();
    for (from, to) in [
        (world.v4("pump-1"), "10.20.1.5"),
        (world.v4("ct-1"), "10.20.0.10"),
        (world.v6("ct-1"), "2001:db8:20::10"),
    ] {
        let base = Frame::from(from).to(to);
        for tagged in [base.clone(), base.outer_tag(0x88a8, 7)] {
            all.push((tagged.clone().tcp(40_000, 104).syn(), "tcp"));
            all.push((tagged.udp(40_001, 9), "udp"));
        }
    }
    all
}

#[test]
fn later_fragments_are_judged_as_their_first_one() {
    let world = hospital();
    let kernel = Kernel::load();
    for (number, (frame, what)) in (100..).zip(conversations(&world)) {
        let mut judge = kernel.judge(&world);
        let first = frame.clone().fragment(number, 0, true);
        let later = frame.clone().fragment(number, 1_480, false);
        assert_eq!(answer(&mut judge, &later, Port::Device, 1), "drop fragment", "no first: {what}");
        let whole = answer(&mut judge, &frame, Port::Device, 1);
        let first = answer(&mut judge, &first, Port::Device, 1);
        let later_answer = answer(&mut judge, &later, Port::Device, 1);
        let passes = |answer: &str| answer.starts_with("pass");
        assert_eq!(
            (passes(&first), passes(&later_answer)),
            (passes(&whole), passes(&whole)),
            "{what}: {later_answer}"
        );
        let other = frame.clone().fragment(number + 1_000, 1_480, false);
        assert_eq!(answer(&mut judge, &other, Port::Device, 1), "drop fragment", "another packet: {what}");
        let rewriting = frame.clone().fragment(number, 8, true);
        if what == "tcp" {
            assert_eq!(answer(&mut judge, &rewriting, Port::Device, 1), "drop fragment", "RFC 3128: {what}");
        }
        assert_eq!(answer(&mut judge, &later, Port::Device, 40), "drop fragment", "too late: {what}");
    }
}

/// The error that a router sends to whoever sent `about`.
fn error(about: &Frame, kind: u8, code: u8) -> Frame {
    let mut quoted = about.clone().untagged().bytes();
    quoted.drain(..14);
    let mut error = about.reversed().icmp(kind, code, 0);
    if let Transport::Icmp(icmp) = &mut error.transport {
        icmp.body = quoted;
    }
    error
}

#[test]
fn an_error_about_a_remembered_flow_passes_and_no_other() {
    let world = hospital();
    let kernel = Kernel::load();
    for (source, pacs, kind, code) in
        [(world.v4("ct-1"), "10.20.0.10", 3, 4), (world.v6("ct-1"), "2001:db8:20::10", 2, 0)]
    {
        let mut judge = kernel.judge(&world);
        let syn = Frame::from(source).to(pacs).tcp(40_000, 104).syn();
        let too_big = error(&syn, kind, code);
        assert_eq!(answer(&mut judge, &too_big, Port::Uplink, 1), "drop not-allowed", "nothing remembered");
        assert_eq!(answer(&mut judge, &syn, Port::Device, 1), "pass allowed");
        assert_eq!(answer(&mut judge, &too_big, Port::Uplink, 1), "pass related");
        let elsewhere = error(&Frame::from(source).to(pacs).tcp(40_001, 104).syn(), kind, code);
        assert_eq!(answer(&mut judge, &elsewhere, Port::Uplink, 1), "drop not-allowed", "another port");
        judge.load(&world);
        assert_eq!(answer(&mut judge, &too_big, Port::Uplink, 1), "drop not-allowed", "not judged again yet");
    }
}

#[test]
fn what_no_honest_host_sends_is_malformed() {
    let world = hospital();
    let mut judge = Kernel::load().judge(&world);
    let ct = || world.from("ct-1");
    for (what, frame) in [
        ("land: to its own sender", ct().to("10.10.0.11").tcp(104, 104).syn()),
        ("to the loopback", ct().to("127.0.0.1").tcp(1_000, 104).syn()),
        ("from a group", Frame::from("224.0.0.5").to("10.20.0.10").udp(1, 2)),
        ("to port 0", ct().to("10.20.0.10").tcp(1_000, 0).syn()),
        (
            "a loose source route",
            ct().to("10.20.0.10")
                .v4(|v4| v4.options = vec![0x83, 7, 4, 10, 9, 9, 9, 0])
                .tcp(1_000, 104)
                .syn(),
        ),
        (
            "a strict source route behind padding",
            ct().to("10.20.0.10")
                .v4(|v4| v4.options = vec![1, 0x89, 7, 4, 10, 9, 9, 9])
                .tcp(1_000, 104)
                .syn(),
        ),
        (
            "an option beyond the header",
            ct().to("10.20.0.10").v4(|v4| v4.options = vec![7, 40, 4, 0]).tcp(1_000, 104).syn(),
        ),
    ] {
        assert_eq!(answer(&mut judge, &frame, Port::Device, 1), "drop malformed", "{what}");
    }
    let harmless =
        ct().to("10.20.0.10").v4(|v4| v4.options = vec![7, 7, 4, 0, 0, 0, 0, 0]).tcp(1_000, 104).syn();
    assert_eq!(answer(&mut judge, &harmless, Port::Device, 1), "pass allowed", "a record of the route");
}

#[test]
fn discovery_is_no_way_out() {
    let world = hospital();
    let mut judge = Kernel::load().judge(&world);
    let advert = |to: &str| Frame::from(world.v6("ct-1")).to(to).icmp(136, 0, 0).hop_limit(255);
    assert_eq!(answer(&mut judge, &advert("ff02::1"), Port::Device, 1), "pass link");
    assert_eq!(answer(&mut judge, &advert("2001:db8:bad::9"), Port::Device, 1), "drop blocklist", "far away");
    let mut large = advert("ff02::1");
    if let Transport::Icmp(icmp) = &mut large.transport {
        icmp.body = vec![0; 400];
    }
    assert_ne!(answer(&mut judge, &large, Port::Device, 1), "pass link", "a payload");
    let redirect = Frame::from(world.v6("ct-1")).to("ff02::1").icmp(137, 0, 0).hop_limit(255);
    assert_eq!(answer(&mut judge, &redirect, Port::Device, 1), "drop rogue-ra");
}
