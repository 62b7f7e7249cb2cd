//! Remembered flows: what was opened, by whom, and which generation judged it.

use crate::addr::Address;
use crate::case::Case;
use crate::limit::{self, Bucket};
use crate::packet::{Kind, Packet, TCP_ACK, TCP_FIN, TCP_RST, TCP_SYN, protocol};
use crate::policy::{Permission, Service};
use crate::tables::{FlowEntry, Tables};

const SECOND: u64 = 1_000_000_000;
/// A connection that was asked for and not answered.
pub(crate) const OPENING: u64 = 30 * SECOND;
/// An idle TCP connection: five days, as long as Linux remembers it (`tcp_timeouts` in
/// `net/netfilter/nf_conntrack_proto_tcp.c`). RFC 5382 REQ-5 asks for two hours and four minutes at least; HL7
/// connections are silent over a weekend.
const TCP_ESTABLISHED: u64 = 432_000 * SECOND;
/// A connection that either side has ended.
const CLOSING: u64 = 30 * SECOND;
/// UDP and other protocols that were answered: RFC 4787 REQ-5 asks for two minutes, and says five.
const DATAGRAM: u64 = 300 * SECOND;
/// An ICMP query: RFC 5508 REQ-1 asks for 60 seconds.
const ICMP: u64 = 60 * SECOND;

/// Both ends of a conversation, in the direction in which it was opened: 40 bytes, a table key.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowKey {
    /// Who opened.
    pub source: Address,
    /// Who was opened to.
    pub destination: Address,
    /// The opener's port; the identifier of an ICMP query; 0 for protocols without ports.
    pub source_port: u16,
    /// The port that was opened to.
    pub destination_port: u16,
    /// IP protocol number.
    pub protocol: u8,
    /// Padding, zero. Two fields, because three bytes are cleared by a call in the kernel program.
    pub reserved: u8,
    /// Padding, zero.
    pub reserved_end: u16,
}

impl FlowKey {
    /// The key under which `packet` would open a flow.
    #[inline(always)]
    pub const fn of(packet: &Packet) -> Self {
        Self {
            source: packet.source,
            destination: packet.destination,
            source_port: packet.source_port,
            destination_port: packet.destination_port,
            protocol: packet.protocol,
            reserved: 0,
            reserved_end: 0,
        }
    }

    /// The same conversation, opened by the other side.
    #[inline(always)]
    pub const fn reversed(&self) -> Self {
        Self {
            source: self.destination,
            destination: self.source,
            source_port: self.destination_port,
            destination_port: self.source_port,
            protocol: self.protocol,
            reserved: 0,
            reserved_end: 0,
        }
    }

    /// The conversation of `packet`, which is an answer or not.
    #[inline(always)]
    pub const fn of_conversation(packet: &Packet, is_reply: bool) -> Self {
        let key = Self::of(packet);
        if is_reply { key.reversed() } else { key }
    }

    /// What was opened, as rules name it.
    #[inline(always)]
    pub const fn service_of(packet: &Packet, is_reply: bool) -> Service {
        Service::of(packet.protocol, if is_reply { packet.source_port } else { packet.destination_port })
    }
}

/// How far a flow has come.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Asked for, not answered.
    Opening = 0,
    /// Answered.
    Established = 1,
    /// Ended by FIN or RST from either side.
    Closing = 2,
}

/// A remembered flow: 56 bytes, a table value. Only what was allowed is remembered.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// When its last packet passed, in nanoseconds of the program's clock.
    pub last_seen: u64,
    /// Packets that passed, both ways; approximate where both ways run on two CPUs at once.
    pub packets: u64,
    /// Bytes of those frames.
    pub bytes: u64,
    /// When what allowed it ends, in nanoseconds of the program's clock; 0 for never.
    pub expires: u64,
    /// The generation that judged it; it is good for no other.
    pub generation: u32,
    /// The rule that allowed it.
    pub rule: u32,
    /// The device that opened it, 0 where that was none.
    pub opener: u32,
    /// The device that it was opened to, 0 where that was none.
    pub responder: u32,
    /// [`Progress`] as a number.
    pub progress: u8,
    /// Sides that have sent a FIN (1 the opener, 2 the responder) or an RST (4, 8).
    pub ended: u8,
    /// Padding, zero.
    pub reserved: [u8; 6],
}

impl Flow {
    /// The device that it belongs to: who opened it, before who it was opened to.
    pub const fn device(&self) -> u32 {
        if self.opener != 0 { self.opener } else { self.responder }
    }
}

/// A packet's place in its conversation, and what is remembered of it.
pub struct Conversation<E> {
    /// Whether the packet goes against the direction in which the conversation was opened.
    pub is_reply: bool,
    /// The flow, of whatever generation.
    pub entry: Option<E>,
}

/// Finds the conversation that a packet belongs to.
///
/// A reply is a packet of the exactly reversed tuple; a TCP segment that opens a connection and an ICMP
/// query never are, so that nobody opens a connection backwards through somebody else's flow.
#[inline(always)]
pub fn find<T: Tables>(packet: &Packet, now: u64, tables: &T) -> Conversation<T::Entry> {
    let role = role(packet);
    if role.opens {
        let entry = alive(tables.flow(&FlowKey::of(packet)), packet.protocol, now);
        // What asks for a connection where one has ended asks for another one.
        let entry = entry.filter(|entry| !packet.opens_tcp() || entry.load().progress != CLOSING_PROGRESS);
        if entry.is_some() {
            return Conversation { is_reply: false, entry };
        }
    }
    if role.answers {
        let entry = alive(tables.flow(&FlowKey::of_conversation(packet, true)), packet.protocol, now);
        if entry.is_some() {
            return Conversation { is_reply: true, entry };
        }
    }
    Conversation { is_reply: false, entry: None }
}

/// Whether the flow that an ICMP error quotes was judged, and that holds; `judged` is then how. It is written there
/// because nothing says which register keeps the place of an answer, and the verifier wants none of the stack in the one
/// that answers.
#[cfg_attr(target_arch = "bpf", inline(never))]
pub fn quoted<T: Tables>(packet: &Packet, now: u64, tables: &T, judged: &mut Judged) -> bool {
    if packet.quoted_protocol == 0 {
        return false;
    }
    let mut key = FlowKey::of(packet);
    key.source = packet.destination;
    key.destination = packet.quoted_destination;
    key.source_port = packet.quoted_source_port;
    key.destination_port = packet.quoted_destination_port;
    key.protocol = packet.quoted_protocol;
    let mut entry = alive(tables.flow(&key), key.protocol, now);
    if entry.is_none() {
        entry = alive(tables.flow(&key.reversed()), key.protocol, now);
    }
    let Some(entry) = entry else { return false };
    *judged = Judged::by(&entry.load());
    judged.is_good(now, tables)
}

/// What a packet can be to a flow.
struct Role {
    opens: bool,
    answers: bool,
}

#[inline(always)]
fn role(packet: &Packet) -> Role {
    match packet.protocol {
        protocol::TCP => Role { opens: true, answers: !packet.opens_tcp() },
        protocol::ICMP if packet.kind() as u8 == Kind::Ipv4 as u8 => Role {
            opens: matches!(packet.icmp_type, ICMP_ECHO_REQUEST | ICMP_TIMESTAMP_REQUEST),
            answers: matches!(packet.icmp_type, ICMP_ECHO_REPLY | ICMP_TIMESTAMP_REPLY),
        },
        protocol::ICMPV6 if packet.kind() as u8 == Kind::Ipv6 as u8 => Role {
            opens: packet.icmp_type == ICMPV6_ECHO_REQUEST,
            answers: packet.icmp_type == ICMPV6_ECHO_REPLY,
        },
        _ => Role { opens: true, answers: true },
    }
}

const FINISHED: u8 = 1;
const RESET: u8 = 4;
const BOTH_FINISHED: u8 = 3;
const OPENING_PROGRESS: u8 = Progress::Opening as u8;
const CLOSING_PROGRESS: u8 = Progress::Closing as u8;
const ICMP_ECHO_REPLY: u8 = 0;
const ICMP_ECHO_REQUEST: u8 = 8;
const ICMP_TIMESTAMP_REQUEST: u8 = 13;
const ICMP_TIMESTAMP_REPLY: u8 = 14;
const ICMPV6_ECHO_REQUEST: u8 = 128;
const ICMPV6_ECHO_REPLY: u8 = 129;

/// Whether a packet that a rule allows leaves a flow behind, so that its answers pass.
#[inline(always)]
pub fn is_remembered(packet: &Packet) -> bool {
    role(packet).opens
}

/// Whether a packet can be an answer to what somebody else has opened.
#[inline(always)]
pub fn may_answer(packet: &Packet) -> bool {
    role(packet).answers
}

/// Notes that a packet of a remembered conversation passes at `now`.
#[inline(always)]
pub fn pass<T: Tables>(
    packet: &Packet,
    conversation: &Conversation<T::Entry>,
    judged: &Judged,
    now: u64,
    tables: &T,
) {
    let Some(entry) = &conversation.entry else { return };
    let mut flow = entry.load();
    if limit::window(flow.last_seen) != limit::window(now) {
        judged.count(0, now, tables);
    }
    advance(&mut flow, packet, conversation.is_reply, judged, now);
    entry.store(&flow);
}

/// Notes that the first packet of a conversation passes.
#[cfg_attr(target_arch = "bpf", inline(never))]
pub fn begin<T: Tables>(case: &Case, is_reply: bool, judged: &Judged, tables: &T) {
    let mut flow = Flow::default();
    advance(&mut flow, &case.packet, is_reply, judged, case.now);
    tables.remember(&FlowKey::of_conversation(&case.packet, is_reply), &flow, case.is_absent());
}

/// Where both sides have opened a conversation, a packet may belong to either: from now on each is looked at in full.
#[cfg_attr(target_arch = "bpf", inline(never))]
pub fn look_again<T: Tables>(packet: &Packet, is_reply: bool, tables: &T) {
    if let Some(other) = tables.flow(&FlowKey::of_conversation(packet, !is_reply)) {
        other.look_again();
    }
}

/// Who allowed a packet.
#[derive(Clone, Copy, Debug, Default)]
pub struct Judged {
    /// The generation.
    pub generation: u32,
    /// The device that opened the conversation, or 0.
    pub opener: u32,
    /// The device that it was opened to, or 0.
    pub responder: u32,
    /// Its rule, and when that ends.
    pub permission: Permission,
}

impl Judged {
    /// Who allowed a remembered flow.
    #[inline(always)]
    pub const fn by(flow: &Flow) -> Self {
        let permission = Permission { rule: flow.rule, expires: flow.expires };
        let Flow { generation, opener, responder, .. } = *flow;
        Self { generation, opener, responder, permission }
    }

    /// Counts a flow that has traffic in this minute, with those that its opener has opened, or else with those
    /// that were opened to its responder; whether it is one of the first `most`.
    #[inline(always)]
    pub fn count<T: Tables>(&self, most: u32, now: u64, tables: &T) -> bool {
        let is_opener = self.opener != 0;
        let device = if is_opener { self.opener } else { self.responder };
        let bucket = if is_opener { Bucket::FlowsFrom } else { Bucket::FlowsTo };
        limit::count_flow(device, bucket, most, now, tables)
    }

    /// Whether `device` is at an end of the conversation, or no device.
    #[inline(always)]
    pub const fn concerns(&self, device: u32) -> bool {
        device == 0 || device == self.opener || device == self.responder
    }

    /// Whether this is the judgement that holds at `now`.
    #[inline(always)]
    pub fn is_good<T: Tables>(&self, now: u64, tables: &T) -> bool {
        self.generation == tables.generation() && self.permission.holds(now)
    }
}

#[inline(always)]
fn advance(flow: &mut Flow, packet: &Packet, is_reply: bool, judged: &Judged, now: u64) {
    flow.last_seen = now;
    flow.packets += 1;
    flow.bytes += packet.length as u64;
    flow.generation = judged.generation;
    flow.rule = judged.permission.rule;
    flow.expires = judged.permission.expires;
    flow.opener = judged.opener;
    flow.responder = judged.responder;
    if is_reply && flow.progress == Progress::Opening as u8 {
        flow.progress = Progress::Established as u8;
    }
    if packet.protocol != protocol::TCP {
        return;
    }
    let side = is_reply as u8;
    if packet.tcp_flags & TCP_FIN != 0 {
        flow.ended |= FINISHED << side;
    }
    if packet.tcp_flags & TCP_RST != 0 {
        flow.ended |= RESET << side;
    } else if flow.ended & (RESET << side) != 0 && packet.tcp_flags & (TCP_ACK | TCP_SYN) == TCP_ACK {
        // Whoever ends a connection by RST says no more: somebody else had sent that one.
        flow.ended &= !(RESET << side);
        flow.progress = Progress::Established as u8;
    }
    if flow.ended > BOTH_FINISHED || flow.ended & BOTH_FINISHED == BOTH_FINISHED {
        flow.progress = Progress::Closing as u8;
    }
}

#[inline(always)]
fn alive<E: FlowEntry>(entry: Option<E>, protocol: u8, now: u64) -> Option<E> {
    let entry = entry?;
    let flow = entry.load();
    if now.saturating_sub(flow.last_seen) > timeout(protocol, flow.progress) { None } else { Some(entry) }
}

/// How long a flow is remembered after its last packet, in nanoseconds.
#[inline(always)]
pub const fn timeout(protocol: u8, progress: u8) -> u64 {
    match (protocol, progress) {
        (protocol::ICMP | protocol::ICMPV6, _) => ICMP,
        (_, OPENING_PROGRESS) => OPENING,
        (protocol::TCP, CLOSING_PROGRESS) => CLOSING,
        (protocol::TCP, _) => TCP_ESTABLISHED,
        _ => DATAGRAM,
    }
}
