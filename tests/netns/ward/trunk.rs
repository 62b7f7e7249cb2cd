//! Devices in VLANs on one trunk port: a tag is part of who they are, and leaves as it came.
//!
//! The kernel here may know no VLANs: tagged frames are made by hand, and a bridge carries them.

use std::fs;
use std::net::IpAddr;

use iomt_filter_tests::hospital::events::Events;
use iomt_filter_tests::hospital::filter::Filter;
use iomt_filter_tests::hospital::host::{DICOM, HL7, HTTPS};
use iomt_filter_tests::hospital::{Version, wait};
use iomt_filter_tests::packet::{End, Frame, TPID_8021AD, TPID_8021Q};
use iomt_filter_tests::ward::capture::Capture;
use iomt_filter_tests::ward::frames::Wire;
use iomt_filter_tests::ward::{DEVICES, INTERFACE, Placement, Station, Ward};

use super::{LIMIT, build, dropped};
use crate::can_run;
use crate::hospital::agent;

const OF_CT: u16 = 110;
const OF_MONITOR: u16 = 120;
/// The tag that a carrier puts in front.
const OUTER: u16 = 200;

/// The inventory, with a VLAN for each device on the trunk.
fn inventory() -> String {
    let mut text = DEVICES.to_owned();
    for (profile, vlan) in [("ct-scanner", OF_CT), ("patient-monitor", OF_MONITOR)] {
        let line = format!("profile = \"{profile}\"");
        text = text.replace(&line, &format!("{line}\nvlan    = {vlan}"));
    }
    text
}

/// A device as it speaks in a VLAN.
fn end(ward: &Ward, station: Station, version: Version, vlan: u16) -> End {
    let mac = station.mac().unwrap();
    End { mac, address: ward.address(station, version), vlan: Some(vlan) }
}

/// What belongs to whom on the trunk: a frame of a device, and what its far end answers.
fn conversations(ward: &Ward, version: Version) -> Vec<(Frame, Frame)> {
    let server = ward.address(Station::Server, version);
    let open = |station, vlan, from: u16, port| {
        Frame::from(end(ward, station, version, vlan)).to(server).tcp(from, port).syn()
    };
    let pair = |frame: Frame| {
        let answer = frame.reversed().syn_ack();
        (frame, answer)
    };
    vec![
        pair(open(Station::Ct, OF_CT, 40_001, DICOM)),
        pair(open(Station::Monitor, OF_MONITOR, 40_002, HL7)),
        pair(open(Station::Ct, OF_CT, 40_003, DICOM).outer_tag(TPID_8021AD, OUTER)),
        pair(open(Station::Monitor, OF_MONITOR, 40_004, HL7).outer_tag(TPID_8021Q, OUTER)),
    ]
}

/// A frame that goes nowhere: the sentence, the frame, the device, the reason.
type Forbidden = (&'static str, Frame, Option<&'static str>, &'static str);

fn forbidden(ward: &Ward, version: Version) -> Vec<Forbidden> {
    let server = ward.address(Station::Server, version);
    let dicom = |from: End, port| Frame::from(from).to(server).tcp(port, DICOM).syn();
    let ct = |vlan| end(ward, Station::Ct, version, vlan);
    let laptop = end(ward, Station::Laptop, version, OF_CT);
    let https = Frame::from(ct(OF_CT)).to(server).tcp(41_006, HTTPS).syn();
    vec![
        ("another device's VLAN", dicom(ct(OF_MONITOR), 41_001), Some("ct-1"), "spoofed"),
        ("no VLAN", dicom(ct(OF_CT), 41_002).untagged(), Some("ct-1"), "spoofed"),
        (
            "its own VLAN outside, another inside",
            dicom(ct(OF_MONITOR), 41_003).outer_tag(TPID_8021AD, OF_CT),
            Some("ct-1"),
            "spoofed",
        ),
        (
            "three tags",
            dicom(ct(OF_CT), 41_004).outer_tag(TPID_8021Q, OUTER).outer_tag(TPID_8021AD, OUTER),
            None,
            "unsupported",
        ),
        ("nobody in the scanner's VLAN", dicom(laptop, 41_005), None, "unknown-device"),
        ("no rule", https, Some("ct-1"), "not-allowed"),
    ]
}

fn seen_by(capture: &mut Capture, frame: &Frame) -> bool {
    capture.frames().unwrap().contains(&frame.bytes())
}

fn source_port(frame: &Frame) -> u16 {
    let bytes = frame.bytes();
    let at = 14 + 4 * frame.tags.len() + if is_v4(frame) { 20 } else { 40 };
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn is_v4(frame: &Frame) -> bool {
    matches!(frame.internet, iomt_filter_tests::packet::Internet::V4(_))
}

#[test]
fn devices_on_a_trunk_are_told_apart_by_their_tags() {
    if !can_run() {
        return;
    }
    let ward = build(Placement::Bridge);
    let (trunk, uplink) = (
        Wire::open(&ward[Station::Ct], INTERFACE).unwrap(),
        Wire::open(&ward[Station::Core], "seg").unwrap(),
    );
    let mut beyond = Capture::start(&ward, Station::Core, "seg").unwrap();
    let mut before = Capture::start(&ward, Station::Ct, INTERFACE).unwrap();
    // Without the filter a bridge takes every frame along, whatever its tags are.
    for (sentence, frame, ..) in forbidden(&ward, Version::V4) {
        let control = frame.source_mac([0x3c, 0x97, 0x0e, 0x40, 0x00, 0x67]);
        trunk.send(&control).unwrap();
        beyond.wait_for(sentence, &control.bytes()).unwrap();
    }

    let mut filter = ward.filter(&agent()).unwrap();
    filter.write("devices.toml", inventory()).unwrap();
    filter.start().unwrap();
    let events = Events::follow(&filter).unwrap();
    for version in Version::BOTH {
        for (frame, answer) in conversations(&ward, version) {
            trunk.send(&frame).unwrap();
            beyond.wait_for("a tagged frame beyond the filter", &frame.bytes()).unwrap();
            uplink.send(&answer).unwrap();
            before.wait_for("its answer on the trunk", &answer.bytes()).unwrap();
        }
        for (sentence, frame, device, reason) in forbidden(&ward, version) {
            trunk.send(&frame).unwrap();
            let tags = serde_json::json!(frame.tags.iter().map(|tag| tag.tci).collect::<Vec<_>>());
            let port = source_port(&frame);
            let is_it = |event: &serde_json::Value| {
                reason == "unsupported" || (event["source_port"] == port && event["vlan"] == tags)
            };
            dropped(&events, device, reason, is_it);
            assert!(!seen_by(&mut beyond, &frame), "{sentence} {version:?}");
        }
        from_uplink(&ward, version, &uplink, &mut before, &events);
    }
    drop(events);
    filter.remove().unwrap();
}

/// What comes down the uplink is judged by the device's address, and keeps its tags as well.
fn from_uplink(ward: &Ward, version: Version, uplink: &Wire, before: &mut Capture, events: &Events) {
    let stranger: IpAddr = ward.address(Station::Stranger, version);
    let attack = Frame::from(stranger).to(end(ward, Station::Ct, version, OF_CT)).vlan(OF_CT);
    let attack = attack.tcp(42_001, DICOM).syn();
    uplink.send(&attack).unwrap();
    let source = stranger.to_string();
    dropped(events, Some("ct-1"), "not-allowed", |event| {
        event["source"] == source && event["direction"] == "to-device" && event["vlan"][0] == OF_CT
    });
    // The bridge hands frames on in their order: the attack would have been here before this one.
    let harmless = Frame::ethernet(0x88cc, &[0x5a; 50]).vlan(OF_CT);
    let harmless = harmless.destination_mac(attack.destination_mac);
    uplink.send(&harmless).unwrap();
    wait::until("a frame behind the attack", LIMIT, || Ok(seen_by(before, &harmless).then_some(()))).unwrap();
    assert!(!seen_by(before, &attack), "{version:?}");
}

/// Replaces the ports of the ward's configuration.
fn set_ports(filter: &Filter<'_>, device: &str, uplink: &str) {
    let text = fs::read_to_string(filter.config()).unwrap();
    let line = |line: &str| match line.split(' ').next() {
        Some("device") => format!("device = [{device}]\n"),
        Some("uplink") => format!("uplink = [{uplink}]\n"),
        _ => format!("{line}\n"),
    };
    filter.write("config.toml", text.lines().map(line).collect::<String>()).unwrap();
}

#[test]
fn one_trunk_port_faces_both_sides_by_vlan() {
    const OF_UPLINK: u16 = 10;
    const OF_NOBODY: u16 = 130;
    /// The filter's host, as routers know it; the bridge knows nothing of it and floods.
    const HOST: [u8; 6] = [0x02, 0, 0, 0, 0, 0xfd];
    if !can_run() {
        return;
    }
    let ward = build(Placement::Bridge);
    let trunk = Wire::open(&ward[Station::Ct], INTERFACE).unwrap();
    // What the filter passes, the bridge behind it hands on to a port that nobody judges.
    let mut passed = Capture::start(&ward, Station::Core, "seg").unwrap();
    let mut filter = ward.filter(&agent()).unwrap();
    filter.write("devices.toml", inventory()).unwrap();
    let devices = format!("\"port-ct:{OF_CT}\", \"port-ct:{OF_MONITOR}\"");
    set_ports(&filter, &devices, &format!("\"port-ct:{OF_UPLINK}\""));
    filter.start().unwrap();
    let events = Events::follow(&filter).unwrap();
    for version in Version::BOTH {
        for (frame, answer) in conversations(&ward, version) {
            if frame.tags.len() > 1 {
                continue;
            }
            trunk.send(&frame.clone().destination_mac(HOST)).unwrap();
            passed.wait_for("a device's frame", &frame.destination_mac(HOST).bytes()).unwrap();
            let answer = answer.vlan(OF_UPLINK).destination_mac(HOST);
            trunk.send(&answer).unwrap();
            passed.wait_for("its answer from the uplink", &answer.bytes()).unwrap();
        }
        let stranger = ward.address(Station::Stranger, version);
        let ct = ward.address(Station::Ct, version);
        let attack =
            |vlan, port| Frame::from(stranger).to(ct).vlan(vlan).destination_mac(HOST).tcp(port, DICOM).syn();
        for (vlan, port, role, device, reason) in [
            (OF_UPLINK, 43_001, "uplink", Some("ct-1"), "not-allowed"),
            (OF_CT, 43_002, "device", None, "unknown-device"),
            (OF_NOBODY, 43_003, "device", None, "unknown-device"),
        ] {
            let frame = attack(vlan, port);
            trunk.send(&frame).unwrap();
            dropped(&events, device, reason, |event| {
                event["source_port"] == port && event["port"] == role && event["vlan"][0] == vlan
            });
            assert!(!seen_by(&mut passed, &frame), "{vlan} {version:?}");
        }
    }
    drop(events);
    filter.remove().unwrap();
}
