//! Writes `seeds/`: what each target begins with. Made from the harness' frames and worlds and the fixtures of feeds
//! alone, so that it can be made again: `cargo run --bin seeds` in this folder.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use iomt_filter::feeds::formats::{FORMATS, Reading, parse};
use iomt_filter_common::device::Port;
use iomt_filter_fuzz::append;
use iomt_filter_tests::generate::{Step, conversations};
use iomt_filter_tests::packet::{Extension, Frame};
use iomt_filter_tests::world::{World, hospital};

fn main() -> io::Result<()> {
    let world = hospital();
    let texts = texts(&world);
    let kinds = [
        ("frames", frames(&world)),
        ("capture", captures(&world)?),
        ("country", countries(&world)?),
        ("feed", feeds()?),
        ("mud", vec![("pump".to_owned(), fs::read(data().join("mud/pump9000.json"))?)]),
        ("mds2", vec![("ventilator".to_owned(), fs::read(data().join("mds2/ventilator.csv"))?)]),
        ("profile", vec![("monitor".to_owned(), fs::read(data().join("../../packaging/profiles/sdc-monitor.toml"))?)]),
        ("sbom", files(&["pump-os.json", "pump-vex.json", "pump-spdx2.json", "pump-spdx3.json", "pump-openvex.json"])?),
        ("catalog", files(&["kev.json", "epss.csv"])?),
    ];
    for (target, seeds) in kinds.into_iter().chain(texts) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
        fs::create_dir_all(&folder)?;
        for (name, bytes) in seeds {
            fs::write(folder.join(name), bytes)?;
        }
    }
    Ok(())
}

type Seeds = Vec<(String, Vec<u8>)>;

/// The fixtures of the tests.
fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data")
}

/// Fixtures of `risk`, by their names.
fn files(names: &[&str]) -> io::Result<Seeds> {
    names.iter().map(|name| Ok(((*name).to_owned(), fs::read(data().join("risk").join(name))?))).collect()
}

/// One of a kind, whole conversations of random hospitals, and those of the readable one.
fn frames(world: &World) -> Seeds {
    let ct = || world.from("ct-1");
    let v6 = || Frame::from(world.v6("ct-1")).to("2001:db8:20::10");
    let pacs = "10.20.0.10";
    let connection = ct().to(pacs).tcp(49_152, 104);
    let single = [
        ("arp", vec![(0, Frame::arp(world.v4("ct-1"), "10.10.0.1"))]),
        (
            "connection",
            vec![(0, connection.clone().syn()), (1, connection.reversed().syn_ack()), (0, connection.ack())],
        ),
        ("name", vec![(0, ct().to("10.0.0.53").udp(49_152, 53))]),
        ("ping", vec![(0, ct().to(pacs).ping(7)), (1, ct().to(pacs).ping(7).reversed().icmp(0, 0, 7))]),
        ("six", vec![(0, v6().tcp(49_152, 104).syn()), (1, v6().tcp(49_152, 104).reversed().syn_ack())]),
        (
            "extended",
            vec![(
                0,
                v6().extension(Extension::hop_by_hop()).extension(Extension::authentication()).udp(1, 9),
            )],
        ),
        (
            "pieces",
            vec![
                (0, ct().to(pacs).udp(9, 9).fragment(3, 0, true)),
                (0, ct().to(pacs).udp(9, 9).fragment(3, 16, false)),
            ],
        ),
        ("sctp", vec![(0, ct().to(pacs).sctp(9, 9))]),
        ("neighbour", vec![(0, v6().icmp(135, 0, 0).hop_limit(255))]),
        ("tags", vec![(0, ct().to(pacs).udp(9, 9).outer_tag(0x88a8, 7))]),
        ("link", vec![(0, Frame::ethernet(0x88cc, &[2, 7]))]),
    ];
    let single = single.into_iter().map(|(name, frames)| {
        let mut data = Vec::new();
        frames.iter().for_each(|(port, frame)| append(&mut data, *port, &frame.bytes()));
        (name.to_owned(), data)
    });
    let random = (1..=8).map(|seed| {
        let mut data = Vec::new();
        for step in conversations(seed, 12).steps {
            if let Step::Frame { port, bytes, .. } = step {
                append(&mut data, u8::from(port == Port::Uplink), &bytes);
            }
        }
        (format!("conversation-{seed}"), data)
    });
    single.chain(random).collect()
}

fn texts(world: &World) -> [(&'static str, Seeds); 4] {
    let text = |name: &str, text: String| (name.to_owned(), text.into_bytes());
    let example = |name: &str| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/hospital");
        fs::read(folder.join(name)).unwrap_or_default()
    };
    let toml = "[[device]]\nname = \"ct-1\"\nmac = \"02:00:00:00:00:11\"\nip = [\"10.10.0.11\", \"2001:db8:10::11\"]\nvlan = 110\nprofile = \"ct-scanner\"\n";
    [
        ("policy", vec![text("hospital", world.policy_toml()), ("example".into(), example("policy.toml"))]),
        (
            "inventory",
            vec![
                text("table", world.devices_csv()),
                text("toml", toml.into()),
                ("example".into(), example("devices.csv")),
            ],
        ),
        (
            "config",
            vec![
                text("hospital", world.config_toml(Path::new("/etc"), &["eth0"], &["eth1"])),
                ("example".into(), example("config.toml")),
            ],
        ),
        ("pattern", PATTERNS.iter().map(|(name, pattern)| text(name, (*pattern).to_owned())).collect()),
    ]
}

/// A pattern of each sort, of the subset that is read and of what is refused.
const PATTERNS: &[(&str, &str)] = &[
    ("address", "[ipv4-addr:value = '192.0.2.7']"),
    (
        "any",
        "[ipv4-addr:value IN ('192.0.2.8', '192.0.2.0/25')] OR [ipv6-addr:value ISSUBSET '2001:db8::/32']",
    ),
    ("url", "[domain-name:value = 'evil.example' OR url:value = 'http://192.0.2.9:8080/it\\'s']"),
    (
        "traffic",
        "[network-traffic:dst_ref.type = 'ipv4-addr' AND network-traffic:dst_ref.value = '192.0.2.4' AND network-traffic:dst_port = 443]",
    ),
    ("file", "[file:hashes.'SHA-256' = 'ab' AND (NOT file:size >= 7 OR EXISTS file:name)]"),
    (
        "timed",
        "([ipv4-addr:value LIKE '192.%'] FOLLOWEDBY [a:b[*].c = true]) WITHIN 5.0 SECONDS REPEATS 2 TIMES",
    ),
    ("span", "[x:y = h'00'] START t'2026-01-01T00:00:00Z' STOP t'2026-01-02T00:00:00Z'"),
];

/// The fixtures of all formats, behind the byte that says which.
fn feeds() -> io::Result<Seeds> {
    let folder = data().join("feeds");
    let mut seeds = Seeds::new();
    for file in fs::read_dir(folder)? {
        let file = file?;
        let bytes = fs::read(file.path())?;
        let format = parse(&Reading::default(), &bytes).format;
        let number = FORMATS.iter().position(|(_, known)| *known == format).unwrap_or_default();
        let name = file.file_name().to_string_lossy().into_owned();
        seeds.push((name, [&[number as u8][..], &bytes].concat()));
    }
    Ok(seeds)
}

/// Two frames in each dialect of both formats.
fn captures(world: &World) -> io::Result<Seeds> {
    let frame = world.from("ct-1").to("10.20.0.10").tcp(49_152, 104).syn().bytes();
    let mut seeds = Seeds::new();
    for (name, magic, is_little) in
        [("micro", 0xa1b2_c3d4_u32, true), ("nano", 0xa1b2_3c4d, true), ("big", 0xa1b2_c3d4, false)]
    {
        let word = |value: u32| if is_little { value.to_le_bytes() } else { value.to_be_bytes() };
        let half = |value: u16| if is_little { value.to_le_bytes() } else { value.to_be_bytes() };
        let mut bytes = word(magic).to_vec();
        bytes.extend([half(2), half(4)].concat());
        bytes.extend([word(0), word(0), word(65_535), word(1)].concat());
        for second in 0..2 {
            let length = frame.len() as u32;
            bytes.extend([word(second), word(0), word(length), word(length)].concat());
            bytes.extend(&frame);
        }
        seeds.push((name.to_owned(), bytes));
    }
    seeds.push(("next".to_owned(), next_generation(&frame)));
    Ok(seeds)
}

/// A section, an interface, a packet.
fn next_generation(frame: &[u8]) -> Vec<u8> {
    let block = |kind: u32, body: &[u8]| {
        let mut body = body.to_vec();
        body.resize(body.len().next_multiple_of(4), 0);
        let length = (body.len() as u32 + 12).to_le_bytes();
        [&kind.to_le_bytes()[..], &length, &body, &length].concat()
    };
    let mut section = 0x1a2b_3c4d_u32.to_le_bytes().to_vec();
    section.extend([1, 0, 0, 0]);
    section.extend([0xff; 8]);
    let interface = [1, 0, 0, 0, 0, 0, 1, 0, 9, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0];
    let length = (frame.len() as u32).to_le_bytes();
    let packet = [&[0; 12][..], &length, &length, frame].concat();
    [block(0x0a0d_0d0a, &section), block(1, &interface), block(6, &packet)].concat()
}

fn countries(world: &World) -> io::Result<Seeds> {
    let bytes = |world: &World| world.country_mmdb().map_err(io::Error::other);
    let mut one = world.clone();
    one.countries.truncate(1);
    Ok(vec![("hospital".to_owned(), bytes(world)?), ("one".to_owned(), bytes(&one)?)])
}
