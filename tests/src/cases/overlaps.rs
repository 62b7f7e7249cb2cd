//! Fragments that cover what has come before, and how many gaps a packet may have.

use super::{DEVICE, Story, UPLINK};
use crate::packet::Frame;
use crate::world::{World, hospital};

stories![
    what_has_come_may_not_come_again,
    fragments_in_any_order,
    four_ranges_and_no_fifth,
    a_first_fragment_begins_anew,
    what_was_refused_has_not_come,
];

/// A query of a scanner in both families, whose first fragment has 32 bytes.
fn packets(world: &World) -> [Frame; 2] {
    let ways = [world.from("ct-1").to("10.0.0.53"), Frame::from(world.v6("ct-1")).to("2001:db8:20::53")];
    ways.map(|way| {
        way.udp(1_000, 53).transport(|transport| {
            if let crate::packet::Transport::Udp(udp) = transport {
                udp.body = vec![0x55; 24];
            }
        })
    })
}

fn first(packet: &Frame) -> Frame {
    packet.clone().fragment(700, 0, true)
}

/// `length` bytes from `start` on.
fn part(packet: &Frame, start: u16, length: usize) -> Frame {
    packet.clone().protocol(17, &vec![0xaa; length]).fragment(700, start, true)
}

const PASS: &str = "pass established ct-1";

fn what_has_come_may_not_come_again(story: &mut Story) {
    let world = hospital();
    for packet in packets(&world) {
        for (what, start, length) in [
            ("the same once more", 64, 32),
            ("its beginning", 64, 8),
            ("its middle", 72, 8),
            ("its end", 88, 8),
            ("over its beginning, by one byte", 56, 9),
            ("over its end", 88, 64),
            ("over all of it", 48, 64),
            ("one byte of it", 64, 1),
            ("the last byte of the first fragment", 24, 16),
            ("over the header", 8, 8),
        ] {
            story
                .once(&world, "the first", DEVICE, &first(&packet), "pass allowed ct-1")
                .frame("a part", DEVICE, &part(&packet, 64, 32), PASS)
                .frame(what, DEVICE, &part(&packet, start, length), "drop fragment")
                .frame("what is new", DEVICE, &part(&packet, 96, 32), PASS)
                .frame("what is new", DEVICE, &part(&packet, 32, 32), PASS);
        }
        story
            .once(&world, "the first", DEVICE, &first(&packet), "pass allowed ct-1")
            .frame("a part", DEVICE, &part(&packet, 32, 32), PASS)
            .frame("up to the end", DEVICE, &part(&packet, 64, 65_471), PASS)
            .frame("the last byte again", DEVICE, &part(&packet, 65_528, 7), "drop fragment");
    }
}

fn fragments_in_any_order(story: &mut Story) {
    let world = hospital();
    for packet in packets(&world) {
        for order in [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2], [2, 0, 3, 1], [0, 3, 1, 2]] {
            let play = story.once(&world, "the first", DEVICE, &first(&packet), "pass allowed ct-1");
            for number in order {
                let what = format!("part {number} of {order:?}");
                play.frame(&what, DEVICE, &part(&packet, 32 + 32 * number, 32), PASS);
            }
            for number in order {
                let again = part(&packet, 32 + 32 * number, 32);
                play.frame(&format!("part {number} again"), DEVICE, &again, "drop fragment");
            }
        }
    }
}

fn four_ranges_and_no_fifth(story: &mut Story) {
    let world = hospital();
    for packet in packets(&world) {
        let piece = |number: u16| part(&packet, 64 * number, 32);
        let gap = |number: u16| part(&packet, 64 * number - 32, 32);
        story
            .once(&world, "the first range", DEVICE, &first(&packet), "pass allowed ct-1")
            .frame("the second", DEVICE, &piece(2), PASS)
            .frame("the third", DEVICE, &piece(4), PASS)
            .frame("the fourth", DEVICE, &piece(6), PASS)
            .frame("a fifth", DEVICE, &piece(8), "drop fragment")
            .frame("one that touches the fourth", DEVICE, &part(&packet, 416, 32), PASS)
            .frame("one that touches the third from below", DEVICE, &gap(4), PASS)
            .frame("still a fifth", DEVICE, &piece(10), "drop fragment")
            .frame("up to where the second begins", DEVICE, &part(&packet, 32, 96), PASS)
            .frame("now there is room", DEVICE, &piece(10), PASS)
            .frame("and none again", DEVICE, &piece(12), "drop fragment")
            .frame("what joined is remembered", DEVICE, &part(&packet, 64, 8), "drop fragment");
    }
}

fn a_first_fragment_begins_anew(story: &mut Story) {
    let world = hospital();
    for packet in packets(&world) {
        story
            .once(&world, "the first", DEVICE, &first(&packet), "pass allowed ct-1")
            .frame("a part", DEVICE, &part(&packet, 32, 32), PASS)
            .frame("the first again", DEVICE, &first(&packet), PASS)
            .frame("and the part", DEVICE, &part(&packet, 32, 32), PASS)
            .wait(30)
            .frame("half a minute later", DEVICE, &part(&packet, 64, 32), PASS)
            .wait(1)
            .frame("and a second", DEVICE, &part(&packet, 96, 32), "drop fragment");
    }
}

/// What drops a packet is no reason to forget its parts.
fn what_was_refused_has_not_come(story: &mut Story) {
    let world = hospital();
    for packet in packets(&world) {
        let refused = packet.udp(1_000, 54);
        let back = |frame: Frame| frame.reversed().untagged();
        story
            .once(&world, "the first", DEVICE, &first(&refused), "drop not-allowed ct-1")
            .frame("a part", DEVICE, &part(&refused, 32, 32), "drop not-allowed ct-1")
            .frame("the same", DEVICE, &part(&refused, 32, 32), "drop not-allowed ct-1");
        story
            .once(&world, "the first", UPLINK, &back(first(&refused)), "drop not-allowed ct-1")
            .frame("a part", UPLINK, &back(part(&refused, 32, 32)), "drop not-allowed ct-1")
            .frame("the same", UPLINK, &back(part(&refused, 32, 32)), "drop not-allowed ct-1");
    }
}
