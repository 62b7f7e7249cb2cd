//! ICMP errors: they pass where they are about a flow that is remembered.

use super::{DEVICE, Story, UPLINK};
use crate::packet::{Frame, Internet, Transport};
use crate::world::{World, hospital};

stories![
    an_error_about_a_remembered_flow,
    what_an_error_may_be_about,
    errors_that_lie,
    a_device_tells_of_its_own_conversations,
];

/// The error that `router` sends to whoever sent `about`.
pub(super) fn error(router: &str, about: &Frame, kind: u8, code: u8) -> Frame {
    let mut quoted = about.clone().untagged().bytes();
    quoted.drain(..14);
    let mut error = about.reversed().untagged();
    let source = Frame::from(router).internet;
    match (&mut error.internet, source) {
        (Internet::V4(v4), Internet::V4(from)) => v4.source = from.source,
        (Internet::V6(v6), Internet::V6(from)) => v6.source = from.source,
        _ => {}
    }
    let mut error = error.icmp(kind, code, 0);
    if let Transport::Icmp(icmp) = &mut error.transport {
        icmp.body = quoted;
    }
    error
}

/// A scanner's way to the PACS, a router on it, and a kind of error there.
fn ways(world: &World) -> [(Frame, &'static str, [u8; 4]); 2] {
    [
        (world.from("ct-1").to("10.20.0.10"), "10.99.0.1", [3, 11, 12, 3]),
        (Frame::from(world.v6("ct-1")).to("2001:db8:20::10"), "2001:db8:20::ff", [1, 2, 3, 4]),
    ]
}

fn an_error_about_a_remembered_flow(story: &mut Story) {
    let world = hospital();
    for (way, router, kinds) in ways(&world) {
        let syn = way.clone().tcp(40_000, 104).syn();
        for kind in kinds {
            for code in [0, 1, 4] {
                let about = error(router, &syn, kind, code);
                let what = format!("type {kind}, code {code}");
                story
                    .once(&world, "nothing remembered", UPLINK, &about, "drop not-allowed ct-1")
                    .frame("opening", DEVICE, &syn, "pass allowed ct-1")
                    .frame(&what, UPLINK, &about, "pass related ct-1")
                    .by("ct-scanner[1]")
                    .wait(31)
                    .frame("the flow is gone", UPLINK, &about, "drop not-allowed ct-1");
            }
        }
        let unreachable = error(router, &syn, kinds[0], 1);
        story
            .once(&world, "opening", DEVICE, &syn, "pass allowed ct-1")
            .load(&world)
            .frame("not judged again yet", UPLINK, &unreachable, "drop not-allowed ct-1")
            .frame("judged again", DEVICE, &syn, "pass established ct-1")
            .frame("now it is", UPLINK, &unreachable, "pass related ct-1");
    }
}

fn what_an_error_may_be_about(story: &mut Story) {
    let world = hospital();
    for (way, router, kinds) in ways(&world) {
        let is_v4 = router.contains('.');
        let dns = if is_v4 { "10.0.0.53" } else { "2001:db8:20::53" };
        let query =
            Frame::from(if is_v4 { world.v4("ct-1") } else { world.v6("ct-1") }).to(dns).udp(40_000, 53);
        story
            .once(&world, "a query", DEVICE, &query, "pass allowed ct-1")
            .frame("no such port", UPLINK, &error(dns, &query, kinds[0], 3), "pass related ct-1")
            .frame(
                "about another port",
                UPLINK,
                &error(dns, &query.clone().udp(40_001, 53), kinds[0], 3),
                "drop not-allowed ct-1",
            )
            .frame(
                "about another service",
                UPLINK,
                &error(dns, &query.clone().udp(40_000, 54), kinds[0], 3),
                "drop not-allowed ct-1",
            );
        let opened = way.reversed().untagged().tcp(1, 11_112).syn();
        let own = if is_v4 { "10.10.0.11" } else { "2001:db8:10::11" };
        let refusal = |about: &Frame| error(own, about, kinds[0], 3).vlan(110);
        let other = opened.clone().tcp(2, 11_112).syn();
        story
            .once(&world, "a peer opens", UPLINK, &opened, "pass allowed ct-1")
            .frame("the device has no such port", DEVICE, &refusal(&opened), "pass related ct-1")
            .by("ct-scanner[3]");
        let without = if is_v4 { "pass allowed ct-1" } else { "drop not-allowed ct-1" };
        story
            .once(&world, "a peer opens", UPLINK, &opened, "pass allowed ct-1")
            .frame("about what was never opened, by its rule", DEVICE, &refusal(&other), without)
            .family_matters();
        let answer = way.clone().tcp(11_112, 1).syn_ack();
        story.once(&world, "a peer opens", UPLINK, &opened, "pass allowed ct-1").frame(
            "about the device's answer",
            UPLINK,
            &error(router, &answer, kinds[0], 1),
            "pass related ct-1",
        );
    }
    let (ping, pacs) = (world.from("ct-1").to("10.20.0.10").ping(7), "10.20.0.10");
    story
        .once(&world, "an echo", DEVICE, &ping, "pass allowed ct-1")
        .frame("about it", UPLINK, &error(pacs, &ping, 3, 1), "pass related ct-1")
        .frame("about another", UPLINK, &error(pacs, &ping.clone().ping(8), 3, 1), "drop not-allowed ct-1");
}

fn errors_that_lie(story: &mut Story) {
    let world = hospital();
    for (way, router, kinds) in ways(&world) {
        let is_v4 = router.contains('.');
        let syn = way.clone().tcp(40_000, 104).syn();
        let mut short = error(router, &syn, kinds[0], 1);
        if let Transport::Icmp(icmp) = &mut short.transport {
            icmp.body.truncate(if is_v4 { 27 } else { 47 });
        }
        let mut enough = short.clone();
        if let Transport::Icmp(icmp) = &mut enough.transport {
            icmp.body.push(0);
        }
        let mut other = error(router, &syn, kinds[0], 1);
        match &mut other.internet {
            Internet::V4(v4) => v4.destination = [10, 10, 0, 21].into(),
            Internet::V6(v6) => v6.destination = [0x2001, 0xdb8, 0x10, 0, 0, 0, 0, 0x21].into(),
            Internet::Arp(_) | Internet::Raw(..) => {}
        }
        let listed = if is_v4 { "203.0.113.9" } else { "2001:db8:bad::1" };
        story
            .once(&world, "opening", DEVICE, &syn, "pass allowed ct-1")
            .frame("a type that is no error", UPLINK, &error(router, &syn, 5, 0), "drop not-allowed ct-1")
            .frame("a quotation that ends before the ports", UPLINK, &short, "drop not-allowed ct-1")
            .frame("a quotation that ends behind them", UPLINK, &enough, "pass related ct-1")
            .frame("to another device", UPLINK, &other, "drop not-allowed pump-1")
            .frame("from a listed router", UPLINK, &error(listed, &syn, kinds[0], 1), "drop blocklist ct-1")
            .family_matters();
        let sent = error(router, &syn, kinds[0], 1).reversed().vlan(110);
        story
            .once(&world, "opening", DEVICE, &syn, "pass allowed ct-1")
            .frame("an error by the device about its own packet", DEVICE, &sent, "drop not-allowed ct-1")
            .family_matters();
    }
}

fn a_device_tells_of_its_own_conversations(story: &mut Story) {
    let world = hospital();
    let syn = world.from("ct-1").to("10.20.0.10").tcp(40_000, 104).syn();
    let told = error("10.10.0.21", &syn, 3, 4).source_mac(world.v4("pump-1").mac);
    story
        .once(&world, "a scanner opens", DEVICE, &syn, "pass allowed ct-1")
        .frame("a pump tells it what became of that", DEVICE, &told, "drop not-allowed pump-1")
        .family_matters();
}
