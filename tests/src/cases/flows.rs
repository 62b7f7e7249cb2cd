//! What is remembered, for how long, and for whom.

use iomt_filter_common::policy::Mode;

use super::{DEVICE, Play, Story, UPLINK};
use crate::packet::{ACK, FIN, Frame, RST};
use crate::world::{World, hospital, net};

stories![
    a_connection_from_its_opening_to_its_end,
    lifetimes,
    a_flow_is_its_exact_tuple_and_its_direction,
    a_new_generation_judges_a_live_flow_again,
    only_what_was_allowed_is_remembered,
    first_fragments_open_flows_with_their_ports,
    what_goes_on_lets_nobody_else_in,
    what_goes_on_is_forgotten_by_the_minute_and_by_the_generation,
];

const CT_1: [u8; 6] = [2, 0, 0, 0, 1, 0x11];

/// A scanner's connection to the PACS: what it sends, and what it gets.
fn association(world: &World) -> (Frame, Frame) {
    let out = world.from("ct-1").to("10.20.0.10").tcp(49152, 104);
    let back = out.reversed().untagged();
    (out, back)
}

fn a_connection_from_its_opening_to_its_end(story: &mut Story) {
    let world = hospital();
    let (out, back) = association(&world);
    let play = story.play(&world);
    play.frame("an answer that nobody asked for", UPLINK, &back.clone().syn_ack(), "drop no-flow ct-1");
    play.frame("opening", DEVICE, &out.clone().syn(), "pass allowed ct-1");
    play.frame("the SYN once more", DEVICE, &out.clone().syn(), "pass established ct-1");
    play.frame("the answer", UPLINK, &back.clone().syn_ack(), "pass established ct-1");
    play.wait(432_000).frame("after five days", UPLINK, &back.clone().ack(), "pass established ct-1");
    play.frame("the device is done", DEVICE, &out.clone().flags(FIN | ACK), "pass established ct-1");
    play.wait(60).frame("the peer is not", UPLINK, &back.clone().ack(), "pass established ct-1");
    play.frame("now it is", UPLINK, &back.clone().flags(FIN | ACK), "pass established ct-1");
    play.wait(30).frame("the last word", DEVICE, &out.clone().ack(), "pass established ct-1");
    play.wait(31).frame("long after", DEVICE, &out.clone().ack(), "drop no-flow ct-1");
    play.frame("the same ports again", DEVICE, &out.syn(), "pass allowed ct-1");
}

fn lifetimes(story: &mut Story) {
    let world = hospital();
    let (out, back) = association(&world);
    let play = story.play(&world);
    play.frame("opening", DEVICE, &out.clone().syn(), "pass allowed ct-1");
    play.wait(31).frame("TCP, answered too late", UPLINK, &back.clone().syn_ack(), "drop no-flow ct-1");
    play.frame("opening", DEVICE, &out.clone().syn(), "pass allowed ct-1");
    play.frame("refused", UPLINK, &back.clone().flags(RST | ACK), "pass established ct-1");
    play.wait(31).frame("after a reset", UPLINK, &back.ack(), "drop no-flow ct-1");
    play.frame("opening", DEVICE, &out.clone().syn(), "pass allowed ct-1");
    play.frame("reset by the opener", DEVICE, &out.clone().flags(RST), "pass established ct-1");
    play.frame("and opened again at once", DEVICE, &out.syn(), "pass allowed ct-1");

    let query = world.from("ct-1").to("10.0.0.53").udp(5353, 53);
    let reply = query.reversed().untagged();
    let play = story.play(&world);
    play.frame("UDP", DEVICE, &query, "pass allowed ct-1");
    play.wait(30).frame("answered in time", UPLINK, &reply, "pass established ct-1");
    play.wait(300).frame("five minutes later", UPLINK, &reply, "pass established ct-1");
    play.wait(301).frame("longer", UPLINK, &reply, "drop not-allowed ct-1");

    let ping = world.from("ct-1").to("10.20.0.10").ping(7);
    let pong = ping.reversed().untagged().pong(7);
    let play = story.play(&world);
    play.frame("ICMP", DEVICE, &ping, "pass allowed ct-1");
    play.wait(60).frame("the echo", UPLINK, &pong, "pass established ct-1");
    play.frame("another identifier", UPLINK, &pong.clone().pong(8), "drop not-allowed ct-1");
    play.frame("a question is no answer", UPLINK, &pong.clone().ping(7), "drop not-allowed ct-1");
    play.frame("nor is an error", UPLINK, &pong.clone().icmp(3, 1, 7), "drop not-allowed ct-1");
    play.wait(61).frame("too late", UPLINK, &pong, "drop not-allowed ct-1");
}

fn a_flow_is_its_exact_tuple_and_its_direction(story: &mut Story) {
    let world = hospital();
    let (out, back) = association(&world);
    let play = story.play(&world);
    play.frame("opening", DEVICE, &out.syn(), "pass allowed ct-1");
    play.frame("opened backwards", UPLINK, &back.clone().syn(), "drop not-allowed ct-1");
    let other = |frame: Frame| frame.ack();
    play.frame(
        "another port of the device",
        UPLINK,
        &other(back.clone().tcp(104, 49153)),
        "drop no-flow ct-1",
    );
    play.frame("another port of the peer", UPLINK, &other(back.clone().tcp(105, 49152)), "drop no-flow ct-1");
    let neighbour = Frame::from("10.20.0.11").to(world.v4("ct-1")).untagged().tcp(104, 49152).ack();
    play.frame("another peer", UPLINK, &neighbour, "drop no-flow ct-1");
    let twin = world.from("ct-2").to("10.20.0.10").tcp(49152, 104).ack();
    play.frame("another device", DEVICE, &twin, "drop no-flow ct-2");
    let stolen = world.from("ct-1").to("10.20.0.10").tcp(49152, 104).ack().source_mac([9; 6]);
    play.frame("the device's address without its hardware address", DEVICE, &stolen, "drop spoofed ct-1");
}

fn a_new_generation_judges_a_live_flow_again(story: &mut Story) {
    let world = hospital();
    let (out, back) = association(&world);
    let play = story.play(&world);
    play.frame("opening", DEVICE, &out.clone().syn(), "pass allowed ct-1");
    play.frame("answered", UPLINK, &back.clone().syn_ack(), "pass established ct-1");
    play.load(&world).frame(
        "still allowed, the peer sends first",
        UPLINK,
        &back.clone().ack(),
        "pass established ct-1",
    );
    play.load(&world).load(&world).frame(
        "still allowed",
        DEVICE,
        &out.clone().ack(),
        "pass established ct-1",
    );

    let mut blocked = hospital();
    blocked.feeds[0].entries.push(net("10.20.0.10"));
    play.load(&blocked).frame("now listed, sent", DEVICE, &out.clone().ack(), "drop blocklist ct-1");
    play.frame("now listed, received", UPLINK, &back.clone().ack(), "drop blocklist ct-1");
    play.load(&world).frame("no longer listed", UPLINK, &back.clone().ack(), "pass established ct-1");

    let mut forbidden = hospital();
    forbidden.profiles[0].rules.remove(0);
    play.load(&forbidden).frame("its rule is gone", UPLINK, &back.clone().ack(), "drop not-allowed ct-1");
    let watching = forbidden.with_mode("ct-scanner", Mode::Monitor);
    play.load(&watching).frame("in monitor", DEVICE, &out.clone().ack(), "would-drop not-allowed ct-1");
    let locked = hospital().with_mode("ct-scanner", Mode::Quarantine);
    play.load(&locked).frame("in quarantine", DEVICE, &out.ack(), "drop quarantine ct-1");
}

/// Packets of both directions, more than it takes until nothing is judged about them any more.
fn talk<'p>(play: &'p mut Play, (out, back): &(Frame, Frame)) -> &'p mut Play {
    play.frame("opening", DEVICE, &out.clone().syn(), "pass allowed ct-1");
    play.frame("the answer", UPLINK, &back.clone().syn_ack(), "pass established ct-1");
    for _ in 0..3 {
        play.frame("sent", DEVICE, &out.clone().ack(), "pass established ct-1");
        play.frame("received", UPLINK, &back.clone().ack(), "pass established ct-1");
    }
    play
}

fn what_goes_on_lets_nobody_else_in(story: &mut Story) {
    let world = hospital();
    let both = association(&world);
    let (out, back) = (both.0.clone().ack(), both.1.clone().ack());
    let play = talk(story.play(&world), &both);
    let twin = out.clone().source_mac([2, 0, 0, 0, 1, 0x12]);
    play.frame("by another device", DEVICE, &twin, "drop spoofed ct-1");
    play.frame("by nobody", DEVICE, &out.clone().source_mac([9; 6]), "drop spoofed ct-1");
    play.frame("the device, from the wrong side", UPLINK, &out, "pass no-device");
    play.frame("the peer, from the wrong side", DEVICE, &back, "drop unknown-device");
    play.frame("and as before", DEVICE, &out, "pass established ct-1");
    play.frame("another port", DEVICE, &out.clone().tcp(49153, 104).ack(), "drop no-flow ct-1");
    play.frame("another protocol", DEVICE, &out.clone().udp(49152, 104), "drop not-allowed ct-1");
    play.frame("to everybody", DEVICE, &out.clone().destination_mac([0xff; 6]), "pass established ct-1");
    let reset = back.clone().flags(RST | ACK);
    play.frame("ended", UPLINK, &reset, "pass established ct-1");
    play.wait(31).frame("and over", DEVICE, &out, "drop no-flow ct-1");

    let play = talk(story.play(&world), &both);
    play.frame("in another VLAN", DEVICE, &out.clone().vlan(111), "drop spoofed ct-1");
    play.frame("in none", DEVICE, &out.clone().untagged(), "drop spoofed ct-1");
    play.frame("as before", DEVICE, &out, "pass established ct-1").tags_matter();

    let play = talk(story.play(&world), &both);
    play.frame("cut short", DEVICE, &out.clone().truncate(40), "drop malformed").bytes_matter();
    play.frame("as before", DEVICE, &out, "pass established ct-1");
}

fn what_goes_on_is_forgotten_by_the_minute_and_by_the_generation(story: &mut Story) {
    let world = hospital();
    let both = association(&world);
    let (out, back) = (both.0.clone().ack(), both.1.clone().ack());
    let play = talk(story.play(&world), &both);
    play.wait(61).frame("a minute later", DEVICE, &out, "pass established ct-1");
    play.frame("and again", DEVICE, &out, "pass established ct-1");
    let mut forbidden = hospital();
    forbidden.profiles[0].rules.remove(0);
    play.load(&forbidden).frame("its rule is gone", DEVICE, &out, "drop not-allowed ct-1");
    play.frame("for both", UPLINK, &back, "drop not-allowed ct-1");
    play.load(&world).frame("its rule is back", UPLINK, &back, "pass established ct-1");
    play.frame("for both", DEVICE, &out, "pass established ct-1");
    let twin = out.clone().source_mac([2, 0, 0, 0, 1, 0x12]);
    play.frame("and for nobody else", DEVICE, &twin, "drop spoofed ct-1");

    let query = world.from("ct-1").to("10.0.0.53").udp(5353, 53);
    let play = story.play(&world);
    play.frame("UDP", DEVICE, &query, "pass allowed ct-1");
    for _ in 0..3 {
        play.wait(9).frame("that nobody answers", DEVICE, &query, "pass established ct-1");
    }
    play.wait(31).frame("begins anew", DEVICE, &query, "pass allowed ct-1");
}

fn only_what_was_allowed_is_remembered(story: &mut Story) {
    let world = hospital();
    let play = story.play(&world);
    let out = world.from("learner-1").to("10.20.0.10").udp(1, 9);
    play.frame("learned", DEVICE, &out, "pass learned learner-1");
    play.frame("its answer is judged for itself", UPLINK, &out.reversed(), "pass learned learner-1");
    let out = world.from("monitor-1").to("10.20.0.10").tcp(1, 9);
    play.frame("would drop", DEVICE, &out.clone().syn(), "would-drop not-allowed monitor-1");
    play.frame("its answer", UPLINK, &out.reversed().syn_ack(), "would-drop no-flow monitor-1");
}

fn first_fragments_open_flows_with_their_ports(story: &mut Story) {
    let world = hospital();
    let out = world.from("ct-1").to("10.0.0.53").udp(5353, 53);
    let play = story.play(&world);
    play.frame("a first fragment", DEVICE, &out.clone().fragment(5, 0, true), "pass allowed ct-1");
    play.frame("the rest of it", DEVICE, &out.clone().fragment(5, 8, false), "drop fragment");
    play.frame("its answer", UPLINK, &out.reversed().untagged(), "pass established ct-1");
    let v6 = Frame::from(world.v6("ct-1")).to("2001:db8:20::53").source_mac(CT_1).udp(5353, 53);
    play.frame("IPv6, a first fragment", DEVICE, &v6.fragment(5, 0, true), "pass allowed ct-1");
}
