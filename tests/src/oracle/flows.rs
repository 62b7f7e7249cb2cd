//! What the model remembers of conversations.

use std::collections::HashMap;
use std::net::IpAddr;

use super::Flaw;
use super::frame::{Ip, Piece, Quoted};
use super::queries::Matched;

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
    /// The grant that it stands on has ended.
    pub(super) expired: bool,
    /// When it last had traffic; `None` where nothing is remembered.
    pub(super) last_seen: Option<u64>,
    /// The device that it was allowed for.
    pub(super) device: String,
    /// The devices at its ends, in the order of their names.
    pub(super) owners: Vec<String>,
}

impl Found {
    /// One that nothing is remembered of.
    pub(super) fn new(ip: &Ip, is_reply: bool) -> Self {
        let key = if is_reply { Key::backwards(ip) } else { Key::forwards(ip) };
        Self {
            key,
            is_reply,
            generation: 0,
            rule: None,
            expired: false,
            last_seen: None,
            device: String::new(),
            owners: Vec::new(),
        }
    }

    /// The same, opened by the other side.
    pub(super) fn backwards(&self, ip: &Ip) -> Self {
        Self { key: Key::backwards(ip), is_reply: true, ..self.clone() }
    }
}

#[derive(Clone, Debug, Default)]
struct Flow {
    last_seen: u64,
    generation: u32,
    rule: Option<String>,
    answered: bool,
    /// By opener and responder.
    finished: (bool, bool),
    reset: (bool, bool),
    /// Until when it is good, where a grant allowed it.
    until: Option<u64>,
    /// The device that it was allowed for, and those at its ends.
    device: String,
    owners: Vec<String>,
}

impl Flow {
    fn ended(&self) -> bool {
        self.finished == (true, true) || self.reset.0 || self.reset.1
    }
}

/// A first fragment, and which bytes of its packet have come.
#[derive(Clone, Debug)]
struct First {
    ip: Ip,
    seen: u64,
    spans: Vec<(u32, u32)>,
}

/// Spans that are kept of one packet.
const SPANS: usize = 4;

/// Ends, identification and protocol of what comes in fragments.
type PieceKey = (IpAddr, IpAddr, u32, u8);

/// Every flow, dead ones included.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory {
    flows: HashMap<Key, Flow>,
    firsts: HashMap<PieceKey, First>,
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
        Some(Found {
            generation: flow.generation,
            rule: flow.rule.clone(),
            expired: flow.until.is_some_and(|until| now >= until) && flaw != Some(Flaw::GrantsNeverEnd),
            last_seen: Some(flow.last_seen),
            device: flow.device.clone(),
            owners: flow.owners.clone(),
            ..Found::new(ip, is_reply)
        })
    }

    /// Notes a first fragment: its packet begins anew.
    pub(super) fn note_first(&mut self, ip: &Ip, piece: &Piece, now: u64) {
        let spans = if piece.end == 0 { vec![] } else { vec![(piece.start, piece.end)] };
        let first = First { ip: ip.clone(), seen: now, spans };
        self.firsts.insert(piece.packet, first);
    }

    /// The first fragment of a later one's packet: half a minute old at most, none of whose bytes this one
    /// would write again. The later one is noted with it.
    pub(super) fn first_of(&mut self, piece: &Piece, now: u64, flaw: Option<Flaw>) -> Option<Ip> {
        let first = self.firsts.get_mut(&piece.packet)?;
        if now.saturating_sub(first.seen) > 30_000_000_000 {
            return None;
        }
        let watched = if flaw == Some(Flaw::OnlyFirstFragmentHolds) { 1 } else { SPANS };
        if first.spans.iter().take(watched).any(|(start, end)| piece.start < *end && *start < piece.end) {
            return None;
        }
        let (touching, mut apart): (Vec<_>, Vec<_>) =
            first.spans.iter().partition(|(start, end)| *end == piece.start || *start == piece.end);
        let start = touching.iter().map(|(start, _)| *start).chain([piece.start]).min()?;
        let end = touching.iter().map(|(_, end)| *end).chain([piece.end]).max()?;
        apart.push((start, end));
        if apart.len() > SPANS && flaw != Some(Flaw::SpansWithoutEnd) {
            return None;
        }
        apart.sort_unstable();
        first.spans = apart;
        Some(first.ip.clone())
    }

    /// The rule of the flow that an ICMP error quotes, where this generation has judged it for one of these
    /// devices.
    pub(super) fn quoted(
        &self,
        ip: &Ip,
        quoted: &Quoted,
        generation: u32,
        devices: &[String],
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
        let is_good = flow.until.is_none_or(|until| now < until);
        let is_theirs = flow.owners.iter().any(|owner| devices.contains(owner));
        (flow.generation == generation && is_good && is_theirs).then(|| flow.rule.clone())
    }

    /// Notes that a packet passed: by `rule`, good `until` then.
    pub(super) fn pass(
        &mut self,
        ip: &Ip,
        found: &Found,
        (rule, until): Matched,
        now: u64,
        flaw: Option<Flaw>,
    ) {
        if found.last_seen.is_none() {
            self.flows.remove(&found.key);
        }
        let flow = self.flows.entry(found.key).or_default();
        flow.last_seen = now;
        flow.generation = found.generation;
        flow.rule = rule;
        flow.until = until;
        flow.device = found.device.clone();
        flow.owners = found.owners.clone();
        flow.answered |= found.is_reply;
        if !ip.is_tcp() {
            return;
        }
        if ip.opens_tcp() && flow.ended() {
            *flow = Flow { answered: false, finished: (false, false), reset: (false, false), ..flow.clone() };
        }
        let (finished, reset) = match found.is_reply {
            false => (&mut flow.finished.0, &mut flow.reset.0),
            true => (&mut flow.finished.1, &mut flow.reset.1),
        };
        *finished |= ip.has_fin();
        if ip.has_rst() {
            *reset = true;
        } else if *reset && ip.goes_on() && flaw != Some(Flaw::ResetsAreFinal) {
            *reset = false;
            flow.answered = true;
        }
    }

    /// Until when the flow is good.
    pub(super) fn until(&self, found: &Found) -> Option<u64> {
        self.flows.get(&found.key)?.until
    }
}

/// How long a flow is remembered after its last packet.
fn lifetime(protocol: u8, flow: &Flow) -> u64 {
    let seconds = match (protocol, flow.ended(), flow.answered) {
        (1 | 58, ..) => 60,
        (_, true, _) | (_, _, false) => 30,
        (6, false, true) => 7_440,
        (_, false, true) => 300,
    };
    seconds * 1_000_000_000
}
