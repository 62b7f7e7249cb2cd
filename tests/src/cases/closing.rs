//! Resets that end a connection, and those that were not its own.

use super::{DEVICE, Story, UPLINK};
use crate::packet::{ACK, FIN, Frame, PSH, RST, SYN};
use crate::world::{World, hospital};

stories![a_reset_ends_a_connection, a_reset_that_its_side_did_not_send, a_finished_connection_stays_finished];

/// What a scanner sends and what it gets, in both families.
fn connections(world: &World) -> [(Frame, Frame); 2] {
    let ways = [world.from("ct-1").to("10.20.0.10"), Frame::from(world.v6("ct-1")).to("2001:db8:20::10")];
    ways.map(|way| {
        let out = way.tcp(49_152, 104);
        let back = out.reversed().untagged();
        (out, back)
    })
}

fn a_reset_ends_a_connection(story: &mut Story) {
    let world = hospital();
    for (out, back) in connections(&world) {
        for flags in [RST, RST | ACK] {
            story
                .once(&world, "opening", DEVICE, &out.clone().syn(), "pass allowed ct-1")
                .frame("answered", UPLINK, &back.clone().syn_ack(), "pass established ct-1")
                .frame("reset", UPLINK, &back.clone().flags(flags), "pass established ct-1")
                .wait(30)
                .frame("on its way", DEVICE, &out.clone().ack(), "pass established ct-1")
                .wait(31)
                .frame("long after", DEVICE, &out.clone().ack(), "drop no-flow ct-1");
        }
    }
}

fn a_reset_that_its_side_did_not_send(story: &mut Story) {
    let world = hospital();
    for (out, back) in connections(&world) {
        let cases = [
            ("goes on", ACK, true),
            ("sends data", PSH | ACK, true),
            ("says nothing of the sort", PSH, false),
            ("opens", SYN, false),
            ("resets again", RST | ACK, false),
        ];
        for (what, flags, is_alive) in cases {
            for is_peer in [true, false] {
                let (port, own, other_port, other) =
                    if is_peer { (UPLINK, &back, DEVICE, &out) } else { (DEVICE, &out, UPLINK, &back) };
                if is_peer && flags == SYN {
                    continue;
                }
                let told = if flags == SYN { "pass allowed ct-1" } else { "pass established ct-1" };
                let after = if is_alive { "pass established ct-1" } else { "drop no-flow ct-1" };
                story
                    .once(&world, "opening", DEVICE, &out.clone().syn(), "pass allowed ct-1")
                    .frame("answered", UPLINK, &back.clone().syn_ack(), "pass established ct-1")
                    .frame("reset", port, &own.clone().flags(RST), "pass established ct-1")
                    .frame(what, port, &own.clone().flags(flags), told)
                    .wait(61)
                    .frame("later", other_port, &other.clone().ack(), after);
                story
                    .once(&world, "opening", DEVICE, &out.clone().syn(), "pass allowed ct-1")
                    .frame("answered", UPLINK, &back.clone().syn_ack(), "pass established ct-1")
                    .frame("reset", port, &own.clone().flags(RST), "pass established ct-1")
                    .frame("the other goes on", other_port, &other.clone().ack(), "pass established ct-1")
                    .wait(61)
                    .frame("later", other_port, &other.clone().ack(), "drop no-flow ct-1");
            }
        }
        story
            .once(&world, "opening", DEVICE, &out.clone().syn(), "pass allowed ct-1")
            .frame("answered", UPLINK, &back.clone().syn_ack(), "pass established ct-1")
            .frame("both reset", UPLINK, &back.clone().flags(RST), "pass established ct-1")
            .frame("both reset", DEVICE, &out.clone().flags(RST), "pass established ct-1")
            .frame("one goes on", DEVICE, &out.clone().ack(), "pass established ct-1")
            .wait(61)
            .frame("which is not enough", DEVICE, &out.ack(), "drop no-flow ct-1");
    }
}

fn a_finished_connection_stays_finished(story: &mut Story) {
    let world = hospital();
    for (out, back) in connections(&world) {
        story
            .once(&world, "opening", DEVICE, &out.clone().syn(), "pass allowed ct-1")
            .frame("answered", UPLINK, &back.clone().syn_ack(), "pass established ct-1")
            .frame("done", DEVICE, &out.clone().flags(FIN | ACK), "pass established ct-1")
            .frame("done too", UPLINK, &back.clone().flags(FIN | ACK), "pass established ct-1")
            .frame("the last word", DEVICE, &out.clone().ack(), "pass established ct-1")
            .frame("and a reset", UPLINK, &back.clone().flags(RST), "pass established ct-1")
            .frame("by somebody else", UPLINK, &back.clone().ack(), "pass established ct-1")
            .wait(31)
            .frame("long after", DEVICE, &out.clone().ack(), "drop no-flow ct-1");
        let elsewhere = out.clone().tcp(49_153, 104).flags(RST);
        story.once(&world, "a reset of nothing", DEVICE, &elsewhere, "drop no-flow ct-1").frame(
            "and what follows",
            DEVICE,
            &out.tcp(49_153, 104).ack(),
            "drop no-flow ct-1",
        );
    }
}
