//! Paths that are narrower than their ends: errors that say so pass, and so do fragments.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;

use iomt_filter_tests::hospital::Version;
use iomt_filter_tests::hospital::connection::Service;
use iomt_filter_tests::hospital::host::HTTPS;
use iomt_filter_tests::packet::{Frame, Internet, ROUTER, Transport};
use iomt_filter_tests::ward::frames::Wire;
use iomt_filter_tests::ward::{INTERFACE, Placement, Station, Ward};

use super::{LIMIT, build, dropped, filter, in_both_placements};

in_both_placements!(
    narrow_paths,
    a_narrow_path_and_fragments_work_through_a_router,
    a_narrow_path_and_fragments_work_through_a_bridge
);

/// Bytes that go there and back.
const BULK: usize = 500_000;

/// The path's size as the kernel of the scanner has learned it.
fn learned(ward: &Ward, version: Version) -> bool {
    let far = ward.address(Station::Far, version).to_string();
    ward[Station::Ct].run(&["ip", "route", "get", &far]).unwrap().contains("mtu 1280")
}

fn forget(ward: &Ward) {
    // The far end too: it would offer segments that fit.
    for station in [Station::Ct, Station::Far] {
        for family in ["-4", "-6"] {
            ward[station].ip(&[family, "route", "flush", "cache"]).unwrap();
        }
    }
}

/// Sends bytes to an echo service, reads them all again.
fn transfer(ward: &Ward, to: SocketAddr) {
    let stream = ward[Station::Ct].inside(|| TcpStream::connect_timeout(&to, LIMIT)).unwrap().unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let mut writer = stream.try_clone().unwrap();
    let writing = thread::spawn(move || writer.write_all(&vec![0x2a; BULK]).unwrap());
    let mut reader = stream;
    reader.read_exact(&mut vec![0; BULK]).unwrap();
    writing.join().unwrap();
}

/// Whether a ping of this size is answered. Where the packet is too big for the path, the kernel learns
/// that from the first one and sends the next in fragments.
fn ping(ward: &Ward, from: Station, to: Station, version: Version, size: &str) -> bool {
    let to = ward.address(to, version).to_string();
    let command = ["ping", "-n", "-M", "want", "-c", "3", "-i", "0.2", "-W", "0.4", "-s", size, &to];
    let output = ward[from].output(&command).unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    !text.contains(" 0 received") && text.contains(" received")
}

fn narrow_paths(placement: Placement) {
    let ward = build(placement);
    let _far = Version::BOTH
        .map(|version| Service::start(&ward[Station::Far], ward.at(Station::Far, version, HTTPS)).unwrap());
    let all_work = || {
        for version in Version::BOTH {
            for by_ping in [false, true] {
                forget(&ward);
                assert!(!learned(&ward, version), "{version:?}");
                match by_ping {
                    true => assert!(ping(&ward, Station::Ct, Station::Far, version, "1400"), "{version:?}"),
                    false => transfer(&ward, ward.at(Station::Far, version, HTTPS)),
                }
                // Nothing but the router's ICMP error can have said so.
                assert!(learned(&ward, version), "{version:?}");
            }
            for (from, to) in [(Station::Monitor, Station::Server), (Station::Server, Station::Monitor)] {
                assert!(ping(&ward, from, to, version, "8000"), "{from:?} {version:?}");
            }
        }
    };
    all_work();
    assert!(ping(&ward, Station::Pump, Station::Server, Version::V4, "8000"));

    let (filter, events) = filter(&ward);
    all_work();
    for version in Version::BOTH {
        let server = ward.address(Station::Server, version).to_string();
        assert!(!ping(&ward, Station::Pump, Station::Server, version, "8000"), "{version:?}");
        dropped(&events, Some("pump-1"), "not-allowed", |event| event["destination"] == server);
        assert!(!ping(&ward, Station::Server, Station::Pump, version, "8000"), "{version:?}");
        dropped(&events, Some("pump-1"), "not-allowed", |event| event["source"] == server);
        // Later fragments share the fate of their first.
        assert!(!ping(&ward, Station::Laptop, Station::Server, version, "8000"), "{version:?}");
    }
    dropped(&events, None, "unknown-device", |event| event["mac"]["source"] == "3c:97:0e:40:00:66");

    // An error about a conversation that nobody has is no error: the path stays as wide as it was.
    forget(&ward);
    let wire = Wire::open(&ward[Station::Stranger], INTERFACE).unwrap();
    wire.send(&forged_error(&ward)).unwrap();
    dropped(&events, Some("ct-1"), "not-allowed", |event| event["protocol"] == "icmp");
    assert!(!learned(&ward, Version::V4));
    drop(events);
    filter.remove().unwrap();
}

/// "Fragmentation needed" about a segment that the scanner has never sent.
fn forged_error(ward: &Ward) -> Frame {
    let of = |station| ward.address(station, Version::V4);
    let quoted = Frame::from(of(Station::Ct)).to(of(Station::Far)).tcp(40_000, HTTPS).ack().bytes();
    let gateway = gateway_mac(ward);
    let error = Frame::from(of(Station::Stranger)).to(of(Station::Ct)).source_mac(ROUTER).icmp(3, 4, 0);
    let mut error = error.destination_mac(gateway);
    if let Transport::Icmp(icmp) = &mut error.transport {
        icmp.sequence = 1280;
        icmp.body = quoted[14..14 + 28].to_vec();
    }
    assert!(matches!(error.internet, Internet::V4(_)));
    error
}

/// The hardware address of the router that the stranger sends to.
fn gateway_mac(ward: &Ward) -> [u8; 6] {
    let text = ward[Station::Core].run(&["cat", "/sys/class/net/stranger/address"]).unwrap();
    let bytes: Vec<_> = text.trim().split(':').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
    bytes.try_into().unwrap()
}
