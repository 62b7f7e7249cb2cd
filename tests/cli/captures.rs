//! The captures in `data/replay`: what they hold, and that they hold it.
//!
//! `IOMT_FILTER_WRITE_DATA=1` writes them anew.

use std::fs;
use std::path::PathBuf;

use iomt_filter_tests::packet::{End, Frame, ROUTER};

/// 2026-11-23T14:02:11.482913Z, in microseconds.
const BEGIN: u64 = 1_795_442_531_482_913;
const STEP: u64 = 1_000_250;
const ETHERNET: u32 = 1;
const RAW_IP: u32 = 101;

/// The folder of the captures.
pub(crate) fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("data/replay")
}

#[test]
fn the_captures_are_what_this_file_makes() {
    let write = std::env::var_os("IOMT_FILTER_WRITE_DATA").is_some();
    for (name, made) in all() {
        let path = folder().join(name);
        if write {
            fs::write(&path, &made).unwrap();
        }
        assert_eq!(fs::read(&path).unwrap(), made, "{name} differs: IOMT_FILTER_WRITE_DATA=1 writes it anew");
    }
}

fn all() -> Vec<(&'static str, Vec<u8>)> {
    let frames = hospital();
    let small = pcap(u32::to_le_bytes, 0xa1b2_c3d4, ETHERNET, &frames);
    let cut = small[..small.len() - 10].to_vec();
    vec![
        ("small.pcap", small),
        ("small-be.pcap", pcap(u32::to_be_bytes, 0xa1b2_c3d4, ETHERNET, &frames)),
        ("small-nano.pcap", pcap(u32::to_le_bytes, 0xa1b2_3c4d, ETHERNET, &frames)),
        ("small.pcapng", pcapng(&frames)),
        ("cut.pcap", cut),
        ("snaplen.pcap", pcap(u32::to_le_bytes, 0xa1b2_c3d4, ETHERNET, &snapped())),
        ("backwards.pcap", pcap(u32::to_le_bytes, 0xa1b2_c3d4, ETHERNET, &backwards())),
        ("raw-ip.pcap", pcap(u32::to_le_bytes, 0xa1b2_c3d4, RAW_IP, &[])),
        ("compressed.pcap.gz", vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
    ]
}

/// A captured frame.
struct Captured {
    /// Microseconds.
    time: u64,
    length: usize,
    bytes: Vec<u8>,
}

fn captured(frames: impl IntoIterator<Item = Vec<u8>>) -> Vec<Captured> {
    let times = (0..).map(|index| BEGIN + index * STEP);
    frames.into_iter().zip(times).map(|(bytes, time)| Captured { time, length: bytes.len(), bytes }).collect()
}

fn ct() -> End {
    End { mac: [2, 0, 0, 0, 1, 1], address: [10, 10, 0, 11].into(), vlan: None }
}

fn pump() -> End {
    End { mac: [2, 0, 0, 0, 2, 7], address: [10, 10, 0, 27].into(), vlan: Some(110) }
}

/// A capture of one UDP packet, again and again, each time in a frame of one of these lengths.
pub(crate) fn padded(lengths: &[usize]) -> Vec<u8> {
    let frame = Frame::from(ct()).to("10.20.0.10").udp(40000, 104).bytes();
    let padded = lengths.iter().map(|&length| {
        let mut frame = frame.clone();
        frame.resize(length, 0);
        frame
    });
    pcap(u32::to_le_bytes, 0xa1b2_c3d4, ETHERNET, &captured(padded))
}

/// A capture of one connection's segments, a second apart, of which the third says that it was caught years later.
pub(crate) fn with_one_from_the_future(frames: usize) -> Vec<u8> {
    let syn = Frame::from(ct()).to("10.20.0.10").tcp(49152, 104).syn();
    let segments = (0..frames).map(|index| if index == 0 { syn.bytes() } else { syn.clone().ack().bytes() });
    let mut frames = captured(segments);
    frames[2].time += 5 * 365 * 86_400 * 1_000_000;
    pcap(u32::to_le_bytes, 0xa1b2_c3d4, ETHERNET, &frames)
}

/// A capture of these frames.
pub(crate) fn of(frames: impl IntoIterator<Item = Vec<u8>>) -> Vec<u8> {
    pcap(u32::to_le_bytes, 0xa1b2_c3d4, ETHERNET, &captured(frames))
}

/// A little of everything that the filter tells apart.
fn hospital() -> Vec<Captured> {
    let syn = Frame::from(ct()).to("10.20.0.10").tcp(49152, 104).syn();
    let ipv6: std::net::IpAddr = "fd00:10::27".parse().unwrap();
    let to_all = [0x33, 0x33, 0, 0, 0, 1];
    let frames = [
        Frame::arp(ct(), "10.10.0.1"),
        syn.clone(),
        syn.reversed().syn_ack(),
        syn.ack(),
        Frame::from(ct()).to("203.0.113.9").tcp(49153, 443).syn(),
        Frame::from("203.0.113.9").to(ct()).tcp(443, 49153).syn_ack(),
        Frame::from(ct()).to("10.30.0.1").udp(40000, 161),
        Frame::from(pump()).to("10.0.0.53").udp(40001, 53),
        Frame::from(pump()).to("198.51.100.7").ping(7),
        Frame::from(End { vlan: None, ..pump() }).to("10.0.0.53").udp(40002, 53),
        Frame::from("10.10.0.99").to("10.20.0.10").tcp(50000, 104).syn(),
        Frame::from(ct()).to("10.20.0.10").udp(1, 2).fragment(77, 1480, false),
        Frame::from(End { address: ipv6, ..pump() }).to("2001:db8::5").tcp(50001, 443).syn(),
        Frame::from(End { address: "fe80::7".parse().unwrap(), ..pump() })
            .to("ff02::1")
            .destination_mac(to_all)
            .icmp(134, 0, 0)
            .hop_limit(255),
        Frame::from(ct()).to("10.20.0.10").tcp(49154, 104).syn().truncate(40),
        Frame::ethernet(0x88b5, &[0; 46]).source_mac(ROUTER),
    ];
    captured(frames.map(|frame| frame.bytes()))
}

/// The payload left out, and then half the header too.
fn snapped() -> Vec<Captured> {
    let frame = Frame::from(ct()).to("10.20.0.10").udp(40000, 104).bytes();
    let mut frames = captured([frame.clone(), frame]);
    for (frame, kept) in frames.iter_mut().zip([42, 38]) {
        frame.bytes.truncate(kept);
    }
    frames
}

/// The answer stands in the capture with a time before the question's.
fn backwards() -> Vec<Captured> {
    let syn = Frame::from(ct()).to("10.20.0.10").tcp(49152, 104).syn();
    let mut frames = captured([syn.bytes(), syn.reversed().syn_ack().bytes()]);
    frames[1].time = BEGIN - STEP;
    frames
}

fn pcap(order: fn(u32) -> [u8; 4], magic: u32, link_type: u32, frames: &[Captured]) -> Vec<u8> {
    let unit = if magic == 0xa1b2_3c4d { 1000 } else { 1 };
    // Two half words: major and minor version.
    let version = if order(1)[0] == 1 { 0x0004_0002 } else { 0x0002_0004 };
    let mut file: Vec<u8> = [magic, version, 0, 0, 262_144, link_type].into_iter().flat_map(order).collect();
    for frame in frames {
        let (seconds, micros) = (frame.time / 1_000_000, frame.time % 1_000_000);
        let header = [seconds as u32, micros as u32 * unit, frame.bytes.len() as u32, frame.length as u32];
        file.extend(header.into_iter().flat_map(order));
        file.extend(&frame.bytes);
    }
    file
}

/// Every frame by another interface, of which the second counts in nanoseconds, with a block between that
/// nobody knows.
fn pcapng(frames: &[Captured]) -> Vec<u8> {
    let link = ETHERNET.to_le_bytes();
    let nanoseconds = [&link[..], &[0; 4], &[9, 0, 1, 0, 9, 0, 0, 0], &[0; 4]].concat();
    let section = [&0x1a2b_3c4du32.to_le_bytes()[..], &[1, 0, 0, 0], &[0xff; 8]].concat();
    let mut file = [
        block(0x0a0d_0d0a, &section),
        block(1, &[&link[..], &[0; 4]].concat()),
        block(1, &nanoseconds),
        block(0x0000_0bad, b"nobody knows"),
    ]
    .concat();
    for (index, frame) in frames.iter().enumerate() {
        let interface = index as u32 % 2;
        let ticks = if interface == 1 { frame.time * 1000 } else { frame.time };
        let fields =
            [interface, (ticks >> 32) as u32, ticks as u32, frame.bytes.len() as u32, frame.length as u32];
        let mut body: Vec<u8> = fields.into_iter().flat_map(u32::to_le_bytes).collect();
        body.extend(&frame.bytes);
        file.extend(block(6, &body));
    }
    file
}

fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let padded = body.len().next_multiple_of(4);
    let length = (padded as u32 + 12).to_le_bytes();
    [&kind.to_le_bytes()[..], &length, body, &vec![0; padded - body.len()], &length].concat()
}
