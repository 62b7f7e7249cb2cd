//! What must not matter, does not.

use iomt_filter_common::Verdict;
use iomt_filter_common::device::Port;
use iomt_filter_tests::generate::{Step, script};
use iomt_filter_tests::judge::{Host, Judge, Observed};
use iomt_filter_tests::packet::{Frame, TPID_8021AD, TPID_8021Q, TPID_QINQ};
use iomt_filter_tests::world::{World, hospital};

fn frames(world: &World) -> Vec<(Port, Frame)> {
    vec![
        (Port::Device, world.from("ct-1").to("10.20.0.10").tcp(1, 104).syn()),
        (Port::Device, world.from("ct-1").to("10.20.0.10").tcp(1, 105).syn()),
        (Port::Device, world.from("ct-1").to("203.0.113.9").tcp(1, 443).syn()),
        (Port::Device, Frame::from(world.v6("ct-1")).to("2001:db8:b::1").tcp(1, 443).syn()),
        (Port::Device, world.from("pump-1").to("10.20.0.10").udp(68, 67)),
        (Port::Device, world.from("monitor-1").to("10.20.0.10").ping(3)),
        (Port::Device, world.from("locked-1").to("10.20.0.10").sctp(1, 2)),
        (Port::Uplink, Frame::from("10.20.1.5").to(world.v4("pump-1")).tcp(1, 8443).syn()),
        (Port::Uplink, Frame::from("10.20.1.5").to("10.10.0.99").tcp(1, 8443).syn()),
    ]
}

/// The answer, fields aside.
fn answer(world: &World, port: Port, frame: &Frame) -> Observed {
    let told = Host::of(world).judge(&frame.bytes(), port, 1 << 50);
    Observed { fields: Default::default(), ..told }
}

#[test]
fn padding_options_and_extension_headers_change_nothing() {
    let world = hospital();
    for (port, frame) in frames(&world) {
        let plain = answer(&world, port, &frame);
        for padding in [1, 6, 46, 1400] {
            assert_eq!(answer(&world, port, &frame.clone().padding(padding)), plain);
        }
        let longer = frame.clone().v4(|v4| v4.options = vec![1; 40]);
        assert_eq!(answer(&world, port, &longer), plain);
        let mut extended = frame.clone();
        for _ in 0..7 {
            extended = extended.extension(iomt_filter_tests::packet::Extension::destination_options());
        }
        assert_eq!(answer(&world, port, &extended), plain);
        let wrong_sums = frame.v4(|v4| v4.checksum = Some(0xdead));
        assert_eq!(answer(&world, port, &wrong_sums), plain);
    }
}

#[test]
fn kind_priority_and_outer_tags_change_nothing() {
    let world = hospital();
    for (port, frame) in frames(&world) {
        let plain = answer(&world, port, &frame);
        for tpid in [TPID_8021Q, TPID_8021AD, TPID_QINQ] {
            let tagged = match frame.tags.first() {
                Some(tag) => frame.clone().untagged().outer_tag(tpid, tag.tci | 0xf000),
                None => frame.clone().outer_tag(tpid, 30), // none of these devices is bound to a VLAN
            };
            assert_eq!(answer(&world, port, &tagged), plain);
            assert_eq!(answer(&world, port, &tagged.outer_tag(tpid, 99)), plain);
        }
    }
}

#[test]
fn a_frame_that_is_cut_anywhere_never_passes_as_allowed() {
    let world = hospital();
    for (port, frame) in frames(&world) {
        let whole = frame.bytes().len();
        let verdict = answer(&world, port, &frame).verdict;
        for length in 0..whole {
            let cut = answer(&world, port, &frame.clone().truncate(length));
            assert_eq!(cut.verdict, Verdict::Drop, "{length} of {whole}: {cut:?}, whole: {verdict:?}");
        }
    }
}

#[test]
fn any_bytes_get_an_answer_and_no_panic() {
    let mut random = iomt_filter_tests::random::Random::new(7);
    for seed in 0..200 {
        let script = script(seed, 40);
        let mut host = Host::of(&script.world);
        for step in script.steps {
            let Step::Frame { port, mut bytes, .. } = step else { continue };
            for _ in 0..4 {
                let at = random.below(bytes.len().max(1));
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = random.next() as u8;
                }
                // Time that goes back, and time at its ends, is no reason to panic either.
                let now = random.pick(&[0, 1, u64::MAX, random.clone().next()]);
                let _ = host.judge(&bytes, port, now);
            }
        }
    }
}
