//! Captures as they should be, and as they should not.

use std::io::Cursor;

use super::*;

const FRAME: [u8; 15] = *b"\x02\0\0\0\0\x01\x02\0\0\0\0\x02\x08\0!";

fn open(bytes: Vec<u8>) -> Result<Capture, CaptureError> {
    Capture::open(Box::new(Cursor::new(bytes)))
}

/// The frames until the end or an error.
fn read(bytes: Vec<u8>) -> (Vec<Frame>, Option<String>) {
    let mut capture = match open(bytes) {
        Ok(capture) => capture,
        Err(error) => return (Vec::new(), Some(error.to_string())),
    };
    let mut frames = Vec::new();
    loop {
        match capture.next_frame() {
            Ok(Some(frame)) => frames.push(frame),
            Ok(None) => return (frames, None),
            Err(error) => return (frames, Some(error.to_string())),
        }
    }
}

fn word(order: Order, value: u32) -> [u8; 4] {
    match order {
        Order::Little => value.to_le_bytes(),
        Order::Big => value.to_be_bytes(),
    }
}

fn half(order: Order, value: u16) -> [u8; 2] {
    match order {
        Order::Little => value.to_le_bytes(),
        Order::Big => value.to_be_bytes(),
    }
}

fn pcap(order: Order, magic: u32, link_type: u32, records: &[(u32, u32, u32, &[u8])]) -> Vec<u8> {
    let header = [magic, 0x0002_0004, 0, 0, 65_535, link_type];
    let mut file: Vec<u8> = header.iter().flat_map(|&value| word(order, value)).collect();
    for &(seconds, fraction, length, bytes) in records {
        let header = [seconds, fraction, bytes.len() as u32, length];
        file.extend(header.iter().flat_map(|&value| word(order, value)));
        file.extend(bytes);
    }
    file
}

fn block(order: Order, kind: u32, body: &[u8]) -> Vec<u8> {
    let mut padded = body.to_vec();
    padded.resize(body.len().next_multiple_of(4), 0);
    let length = word(order, padded.len() as u32 + 12);
    [&word(order, kind)[..], &length, &padded, &length].concat()
}

fn section_header(order: Order) -> Vec<u8> {
    let body = [&word(order, 0x1a2b_3c4d)[..], &half(order, 1), &half(order, 0), &[0xff; 8]].concat();
    block(order, 0x0a0d_0d0a, &body)
}

fn interface(order: Order, link_type: u16, snap_length: u32, options: &[u8]) -> Vec<u8> {
    let body = [&half(order, link_type)[..], &[0; 2], &word(order, snap_length), options].concat();
    block(order, INTERFACE, &body)
}

fn enhanced(order: Order, interface: u32, ticks: u64, length: u32) -> Vec<u8> {
    let fields = [interface, (ticks >> 32) as u32, ticks as u32, FRAME.len() as u32, length];
    let mut body: Vec<u8> = fields.iter().flat_map(|&value| word(order, value)).collect();
    body.extend(FRAME);
    block(order, ENHANCED, &body)
}

const INTERFACE: u32 = 1;
const SIMPLE: u32 = 3;
const ENHANCED: u32 = 6;

#[test]
fn pcap_in_every_dialect() {
    let dialects = [
        (Order::Little, 0xa1b2_c3d4, 7_000_005_000),
        (Order::Big, 0xa1b2_c3d4, 7_000_005_000),
        (Order::Little, 0xa1b2_3c4d, 7_000_000_005),
        (Order::Big, 0xa1b2_3c4d, 7_000_000_005),
    ];
    for (order, magic, time) in dialects {
        let (frames, error) = read(pcap(order, magic, 1, &[(7, 5, 60, &FRAME)]));
        assert_eq!(frames, [Frame { time: Some(time), length: 60, bytes: FRAME.to_vec() }]);
        assert_eq!(error, None);
    }
}

#[test]
fn pcap_with_longer_record_headers() {
    let mut file = pcap(Order::Little, 0xa1b2_cd34, 1, &[(7, 5, 15, &FRAME)]);
    file.splice(40..40, [0; 8]);
    let (frames, error) = read(file);
    assert_eq!((frames.len(), error), (1, None));
}

#[test]
fn other_link_types_are_refused_by_name() {
    let refused = |link_type| read(pcap(Order::Little, 0xa1b2_c3d4, link_type, &[])).1.unwrap();
    assert_eq!(refused(101), "link type 101 (raw IP): only Ethernet captures can be replayed");
    assert_eq!(refused(299), "link type 299: only Ethernet captures can be replayed");
}

#[test]
fn what_was_whole_is_read_before_the_end_is_reported() {
    let file = pcap(Order::Little, 0xa1b2_c3d4, 1, &[(7, 5, 15, &FRAME), (8, 5, 15, &FRAME)]);
    for cut in [1, 14, 15, 20, 30] {
        let (frames, error) = read(file[..file.len() - cut].to_vec());
        assert_eq!(frames.len(), 1);
        assert_eq!(error.unwrap(), "the capture is cut off: it ends within the record at byte 55");
    }
}

#[test]
fn a_record_that_claims_gigabytes_reserves_none() {
    let mut file = pcap(Order::Little, 0xa1b2_c3d4, 1, &[(7, 5, 15, &FRAME)]);
    file[32..36].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(read(file).1.unwrap(), "the capture is damaged at byte 24: a record longer than any frame");
}

#[test]
fn what_is_no_capture_is_said() {
    assert_eq!(read(Vec::new()).1.unwrap(), "the capture is empty");
    assert_eq!(read(b"GET".to_vec()).1.unwrap(), "this is no pcap and no pcapng capture");
    assert_eq!(read(b"GET / HTTP".to_vec()).1.unwrap(), "this is no pcap and no pcapng capture");
    let compressed =
        "the capture is compressed with gzip; decompress it first: `gunzip -c FILE | iomt-filter replay -`";
    assert_eq!(read(vec![0x1f, 0x8b, 8, 0, 0]).1.unwrap(), compressed);
}

#[test]
fn pcapng_sections_have_their_own_interfaces_and_byte_order() {
    let nanoseconds = [&half(Order::Big, 9)[..], &half(Order::Big, 1), &[9, 0, 0, 0], &[0; 4]].concat();
    let binary = [&half(Order::Big, 9)[..], &half(Order::Big, 1), &[0x80 | 10, 0, 0, 0], &[0; 4]].concat();
    let file = [
        section_header(Order::Little),
        interface(Order::Little, 1, 0, &[]),
        enhanced(Order::Little, 0, 7_000_005, 15),
        block(Order::Little, 0x0bad_cafe, b"unknown"),
        section_header(Order::Big),
        interface(Order::Big, 1, 8, &nanoseconds),
        interface(Order::Big, 1, 0, &binary),
        enhanced(Order::Big, 0, 7_000_000_005, 60),
        enhanced(Order::Big, 1, 7 * 1024 + 512, 15),
        block(Order::Big, SIMPLE, &[&word(Order::Big, 15)[..], &FRAME[..8]].concat()),
    ];
    let (frames, error) = read(file.concat());
    assert_eq!(error, None);
    let shown: Vec<_> = frames.iter().map(|frame| (frame.time, frame.length, frame.bytes.len())).collect();
    let expected = [
        (Some(7_000_005_000), 15, 15),
        (Some(7_000_000_005), 60, 15),
        (Some(7_500_000_000), 15, 15),
        (None, 15, 8),
    ];
    assert_eq!(shown, expected);
}

#[test]
fn pcapng_time_offsets_shift_and_never_wrap() {
    let offset = |seconds: i64| {
        [&half(Order::Little, 14)[..], &half(Order::Little, 8), &seconds.to_le_bytes()].concat()
    };
    let time = |seconds| {
        let order = Order::Little;
        let file =
            [section_header(order), interface(order, 1, 0, &offset(seconds)), enhanced(order, 0, 5, 15)];
        read(file.concat()).0[0].time
    };
    assert_eq!(time(10), Some(10_000_005_000));
    assert_eq!(time(-10), Some(0));
    assert_eq!(time(i64::MAX), Some(u64::MAX));
}

#[test]
fn pcapng_frames_of_other_link_types_end_the_replay() {
    let order = Order::Little;
    let file = [
        section_header(order),
        interface(order, 1, 0, &[]),
        interface(order, 113, 0, &[]),
        enhanced(order, 0, 5, 15),
        enhanced(order, 1, 6, 15),
    ];
    let (frames, error) = read(file.concat());
    assert_eq!(frames.len(), 1);
    let expected = "the frame at byte 116 has link type 113 (Linux cooked v1): only Ethernet can be replayed";
    assert_eq!(error.unwrap(), expected);
}

#[test]
fn damaged_pcapng_is_reported_with_its_place() {
    let order = Order::Little;
    let head = [section_header(order), interface(order, 1, 0, &[])].concat();
    let damaged = |block: &[u8]| read([&head[..], block].concat()).1.unwrap();
    let mut lengths = enhanced(order, 0, 5, 15);
    let last = lengths.len() - 4;
    lengths[last] ^= 4;
    assert_eq!(damaged(&lengths), "the capture is damaged at byte 48: the two lengths of a block differ");
    lengths[4] = 7;
    assert_eq!(damaged(&lengths), "the capture is damaged at byte 48: a block with an impossible length");
    let unknown = enhanced(order, 3, 5, 15);
    let expected = "the capture is damaged at byte 48: a frame of an interface that is not described";
    assert_eq!(damaged(&unknown), expected);
    let resolution = interface(order, 1, 0, &[9, 0, 1, 0, 39, 0, 0, 0]);
    assert_eq!(
        damaged(&resolution),
        "the capture is damaged at byte 48: a time resolution that no clock has"
    );
    assert_eq!(damaged(&resolution[..10]), "the capture is cut off: it ends within the record at byte 48");
}

#[test]
fn a_section_of_another_version_is_not_guessed_at() {
    let order = Order::Little;
    let mut file = [section_header(order), section_header(order)].concat();
    file[28 + 12] = 2;
    let expected = "the section at byte 28 is pcapng version 2: only version 1 is known";
    assert_eq!(read(file), (Vec::new(), Some(expected.to_owned())));
}

#[test]
fn any_bytes_end_in_an_answer() {
    let order = Order::Little;
    let file = [
        section_header(order),
        interface(order, 1, 0, &[9, 0, 1, 0, 9, 0, 0, 0]),
        enhanced(order, 0, 5, 15),
        block(order, SIMPLE, &word(order, 3)),
    ];
    let file = file.concat();
    for at in 0..file.len() {
        for value in [0, 1, 0x7f, 0xff] {
            let mut changed = file.clone();
            changed[at] = value;
            let _ = read(changed);
        }
        let _ = read(file[..at].to_vec());
    }
}
