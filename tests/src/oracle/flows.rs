//! What the model remembers of conversations.

use std::collections::HashMap;
use std::net::IpAddr;

use super::Flaw;
use super::frame::{Ip, Piece, Quoted};

/// Ends and protocol, the opener first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    opener: (IpAddr, u16),
    responder: (IpAddr, u16),
    protocol: u8,
}

impl Key {
    fn forwards(ip: &Ip) -> Self {
        let (source, destination) = ip.ports();
        Self { opener: (ip.source, source), responder: (ip.destination, destination), protocol: ip.protocol }
    }

    fn backwards(ip: &Ip) -> Self {
        let Self { opener, responder, protocol } = Self::forwards(ip);
        Self { opener: responder, responder: opener, protocol }
    }

    /// The port that was opened to.
    pub(super) const fn destination_port(&self) -> u16 {
        self.responder.1
    }
}

/// A conversation that a packet belongs to, or would open.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) key: Key,
    pub(super) is_reply: bool,
    pub(super) generation: u32,
    pub(super) rule: Option<String>,
}

impl Found {
    /// One that nothing is remembered of.
    pub(super) fn new(ip: &Ip, is_reply: bool) -> Self {
        let key = if is_reply { Key::backwards(ip) } else { Key::forwards(ip) };
        Self { key, is_reply, generation: 0, rule: None }
    }
}

#[derive(Clone, Debug, Default)]
struct Flow {
    last_seen: u64,
    generation: u32,
    rule: Option<String>,
    answered: bool,
    finished: (bool, bool),
    ended: bool,
}

/// Ends, identification and protocol of what comes in fragments.
type PieceKey = (IpAddr, IpAddr, u32, u8);

/// Every flow, dead ones included.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory {
    flows: HashMap<Key, Flow>,
    firsts: HashMap<PieceKey, (Ip, u32, u64)>,
}

impl Memory {
    pub(super) fn find(&self, ip: &Ip, now: u64, flaw: Option<Flaw>) -> Option<Found> {
        let alive = |key: Key| {
            let flow = self.flows.get(&key)?;
            let age = now.saturating_sub(flow.last_seen);
            (age <= lifetime(key.protocol, flow) || flaw == Some(Flaw::FlowsNeverEnd)).then_some(flow)
        };
        let answers = ip.may_answer() || (flaw == Some(Flaw::SynAnswers) && ip.is_tcp());
        let own = if ip.may_open() { alive(Key::forwards(ip)) } else { None };
        let (is_reply, flow) = match own {
            Some(flow) => (false, flow),
            None if answers => (true, alive(Key::backwards(ip))?),
            None => return None,
        };
        let found =
            Found { generation: flow.generation, rule: flow.rule.clone(), ..Found::new(ip, is_reply) };
        Some(found)
    }

    /// Notes a first fragment.
    pub(super) fn note_first(&mut self, ip: &Ip, piece: &Piece, now: u64) {
        self.firsts.insert(piece.packet, (ip.clone(), piece.end, now));
    }

    /// The first fragment of a later one's packet: half a minute old at most, and not written over.
    pub(super) fn first_of(&self, piece: &Piece, now: u64) -> Option<Ip> {
        let (first, end, seen) = self.firsts.get(&piece.packet)?;
        let fits = piece.start >= *end && now.saturating_sub(*seen) <= 30_000_000_000;
        fits.then(|| first.clone())
    }

    /// The rule of the flow that an ICMP error quotes, where this generation has judged it.
    pub(super) fn quoted(
        &self,
        ip: &Ip,
        quoted: &Quoted,
        generation: u32,
        now: u64,
    ) -> Option<Option<String>> {
        let sent = (ip.destination, quoted.ports.0);
        let received = (quoted.destination, quoted.ports.1);
        let forwards = Key { opener: sent, responder: received, protocol: quoted.protocol };
        let backwards = Key { opener: received, responder: sent, protocol: quoted.protocol };
        let alive = |key: &Key| {
            let flow = self.flows.get(key)?;
            (now.saturating_sub(flow.last_seen) <= lifetime(key.protocol, flow)).then_some(flow)
        };
        let is_query = matches!(quoted.protocol, 1 | 58);
        let flow = alive(&forwards).or_else(|| if is_query { None } else { alive(&backwards) })?;
        (flow.generation == generation).then(|| flow.rule.clone())
    }

    /// Notes that a packet passed.
    pub(super) fn pass(&mut self, ip: &Ip, found: &Found, generation: u32, rule: Option<String>, now: u64) {
        let is_known = self
            .flows
            .get(&found.key)
            .is_some_and(|flow| now.saturating_sub(flow.last_seen) <= lifetime(found.key.protocol, flow));
        if !is_known {
            self.flows.remove(&found.key);
        }
        let flow = self.flows.entry(found.key).or_default();
        flow.last_seen = now;
        flow.generation = generation;
        flow.rule = rule;
        flow.answered |= found.is_reply;
        if !ip.is_tcp() {
            return;
        }
        if ip.opens_tcp() && flow.ended {
            *flow = Flow { last_seen: now, generation, rule: flow.rule.take(), ..Flow::default() };
        }
        if ip.has_fin() {
            if found.is_reply { flow.finished.1 = true } else { flow.finished.0 = true }
        }
        flow.ended |= ip.has_rst() || flow.finished == (true, true);
    }
}

/// How long a flow is remembered after its last packet.
const fn lifetime(protocol: u8, flow: &Flow) -> u64 {
    let seconds = match (protocol, flow.ended, flow.answered) {
        (1 | 58, ..) => 60,
        (_, true, _) | (_, _, false) => 30,
        (6, false, true) => 7_440,
        (_, false, true) => 300,
    };
    seconds * 1_000_000_000
}
