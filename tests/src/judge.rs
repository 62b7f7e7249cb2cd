//! Whatever judges frames: the host build of the filter here, the kernel program in its own level.

use std::cell::Cell;
use std::net::IpAddr;

use iomt_filter::judge::{Memory, RowsTables};
use iomt_filter::rows::Rows;
use iomt_filter_common::decide::{Moment, Settled, again, note, refused};
use iomt_filter_common::device::Port;
use iomt_filter_common::packet::{Fragment, Kind, Packet};
use iomt_filter_common::reputation::Listing;
use iomt_filter_common::{Address, Case, Decision, Direction, Reason, Unparsed, Verdict, decide, parse};

use crate::world::World;

/// What a judge said of a frame, with names instead of numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// What happens to it.
    pub verdict: Verdict,
    /// Why.
    pub reason: Reason,
    /// The device that it was judged for.
    pub device: Option<String>,
    /// Which way it goes, seen from that device.
    pub direction: Direction,
    /// The rule as `profile[index]`, counted from 1.
    pub rule: Option<String>,
    /// The list entry that blocked it.
    pub listing: Option<Listed>,
    /// The country that blocked it; `other` where the tables do not tell it from others.
    pub country: Option<String>,
    /// The fields of the frame.
    pub fields: Fields,
}

/// A list entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its feed.
    pub feed: String,
    /// The entry as a prefix.
    pub entry: String,
    /// Its score.
    pub score: u8,
}

/// What was read of a frame. A frame that could not be read has its Ethernet fields alone, and those of a
/// fragment where it was read that far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    /// Length of the frame.
    pub length: u32,
    /// Source and destination of the frame.
    pub macs: ([u8; 6], [u8; 6]),
    /// VLAN identifiers, outermost first.
    pub vlan: Vec<u16>,
    /// IP version, or 0.
    pub version: u8,
    /// IP or ARP source and destination.
    pub addresses: Option<(IpAddr, IpAddr)>,
    /// IP protocol number.
    pub protocol: u8,
    /// TTL or hop limit.
    pub hop_limit: u8,
    /// Source and destination port.
    pub ports: (u16, u16),
    /// TCP flags.
    pub tcp_flags: u8,
    /// ICMP type and code.
    pub icmp: (u8, u8),
    /// Identification and offset of a fragment.
    pub fragment: Option<(u32, u16)>,
}

/// Judges frames one after the other.
pub trait Judge {
    /// Activates a new generation that says what `world` says; flows are kept.
    fn load(&mut self, world: &World);

    /// The agent is heard of at `now` nanoseconds.
    fn beat(&mut self, now: u64);

    /// Judges a frame that comes in on `port` at `now` nanoseconds.
    fn judge(&mut self, frame: &[u8], port: Port, now: u64) -> Observed;

    /// What went back to the sender of the last frame, where the verdict was `reset` and the judge is one
    /// that answers.
    fn sent_back(&self) -> Option<Vec<u8>> {
        None
    }
}

thread_local! {
    /// How many frames needed no stage of the judgement, in this thread so far.
    static AT_A_GLANCE: Cell<usize> = const { Cell::new(0) };
}

/// Frames that the host build has judged at a glance in this thread so far.
pub fn at_a_glance() -> usize {
    AT_A_GLANCE.get()
}

/// `parse` and `decide` as the kernel program runs them, on tables of the host.
#[derive(Debug)]
pub struct Host {
    compile: fn(&World) -> Rows,
    rows: Rows,
    memory: Memory,
    generation: u32,
    /// Whether every frame goes through the stages.
    by_stages: bool,
}

impl Host {
    /// A host with one generation loaded, compiled by the harness.
    pub fn of(world: &World) -> Self {
        Self::compiled_by(World::rows, world)
    }

    /// A host with rows that the harness has compiled of `world` before.
    pub fn filled_with(rows: Rows, world: &World) -> Self {
        let host =
            Self { compile: World::rows, rows, memory: Memory::default(), generation: 1, by_stages: false };
        host.memory.heartbeat.set(world.heartbeat.last);
        host.memory.exceptions.borrow_mut().extend(world.numbered_exceptions());
        host
    }

    /// A host that knows no short way.
    pub fn by_stages(world: &World) -> Self {
        Self { by_stages: true, ..Self::of(world) }
    }

    /// A host that another compiler fills.
    pub fn compiled_by(compile: fn(&World) -> Rows, world: &World) -> Self {
        Self { compile, ..Self::filled_with(compile(world), world) }
    }
}

impl Judge for Host {
    fn load(&mut self, world: &World) {
        self.rows = (self.compile)(world);
        self.memory.heartbeat.set(world.heartbeat.last);
        *self.memory.exceptions.borrow_mut() = world.numbered_exceptions().collect();
        self.generation += 1;
    }

    fn beat(&mut self, now: u64) {
        self.memory.heartbeat.set(now);
    }

    fn judge(&mut self, frame: &[u8], port: Port, now: u64) -> Observed {
        let tables = RowsTables::new(&self.rows, &self.memory, self.generation);
        let mut case = Case::new(port, now);
        let settled = match self.by_stages {
            true => Settled::NOT,
            false => again(frame, &tables, |_| port, || Moment::of(now)),
        };
        let parsed = parse(frame, &mut case.packet);
        case.set_parsed(parsed);
        let read = case.packet;
        if settled.is_some() {
            AT_A_GLANCE.set(AT_A_GLANCE.get() + 1);
            note(settled, &mut case, &tables);
        } else {
            if settled.is_absent() {
                case.set_absent();
            }
            decide(&mut case, &tables);
            if settled.is_absent() {
                agree(refused(frame, &tables, settled, |_| port), case.decision);
            }
        }
        observe(&self.rows, &read, parsed, case.decision)
    }
}

/// The short way of what lists and countries refuse says nothing else than the stages do.
fn agree(settled: Settled, decision: Decision) {
    let (reason, device) = settled.refusal();
    let of_far_end = matches!(decision.reason(), Some(Reason::Blocklist | Reason::Geo));
    if reason != 0 {
        AT_A_GLANCE.set(AT_A_GLANCE.get() + 1);
        let said = (decision.verdict(), decision.reason_number(), decision.device);
        assert_eq!(said, (Verdict::Drop, reason, device), "{decision:?}");
    }
    assert!(!settled.is_clean() || !of_far_end, "{decision:?}");
}

/// Puts names to the numbers of an answer.
pub fn observe(rows: &Rows, packet: &Packet, parsed: Result<(), Unparsed>, decision: Decision) -> Observed {
    let names = &rows.names;
    let far = match decision.direction() {
        Direction::ToDevice => packet.source,
        Direction::FromDevice | Direction::None => packet.destination,
    };
    let label = names.rules.get(&decision.rule);
    let label = label.and_then(|label| label.split(' ').next()).map(str::to_owned);
    Observed {
        verdict: decision.verdict(),
        reason: decision.reason().unwrap_or(Reason::Dns),
        device: names.devices.get(&decision.device).cloned(),
        direction: decision.direction(),
        rule: label,
        listing: (decision.listing != Listing::NONE).then(|| Listed {
            feed: names.feeds.get(&decision.listing.feed).cloned().unwrap_or_default(),
            entry: entry(far, decision.listing.prefix_bits),
            score: decision.listing.score,
        }),
        country: (decision.reason() == Some(Reason::Geo)).then(|| country(decision.country)),
        fields: fields(packet, parsed.is_ok()),
    }
}

fn entry(address: Address, bits: u8) -> String {
    let address = IpAddr::from(address);
    let length = if address.is_ipv4() { bits.saturating_sub(96) } else { bits };
    ipnet::IpNet::new(address, length)
        .map_or_else(|_| format!("{address}/{bits}?"), |net| net.trunc().to_string())
}

fn country(number: u16) -> String {
    match number {
        0 => "unknown".to_owned(),
        677 => "other".to_owned(),
        _ => {
            let letter = |n: u16| char::from(b'A' + n as u8);
            [letter((number - 1) / 26), letter((number - 1) % 26)].iter().collect()
        }
    }
}

fn fields(packet: &Packet, is_whole: bool) -> Fields {
    let ethernet = Fields {
        length: packet.length,
        macs: (packet.source_mac.0, packet.destination_mac.0),
        vlan: packet.vlan[..usize::from(packet.vlan_count)].to_vec(),
        fragment: (packet.fragment() != Fragment::Whole)
            .then_some((packet.fragment_id, packet.fragment_offset)),
        ..Fields::default()
    };
    let version = match packet.kind() {
        Kind::Ipv4 => 4,
        Kind::Ipv6 => 6,
        Kind::Arp | Kind::Link | Kind::Other => 0,
    };
    if !is_whole || matches!(packet.kind(), Kind::Link | Kind::Other) {
        return ethernet;
    }
    Fields {
        version,
        addresses: Some((packet.source.into(), packet.destination.into())),
        protocol: packet.protocol,
        hop_limit: packet.hop_limit,
        ports: (packet.source_port, packet.destination_port),
        tcp_flags: packet.tcp_flags,
        icmp: (packet.icmp_type, packet.icmp_code),
        ..ethernet
    }
}
