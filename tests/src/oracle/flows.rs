//! What the model remembers of conversations.

use std::collections::HashMap;
use std::net::IpAddr;

use iomt_filter_common::device::Port;
use iomt_filter_common::{Reason, Verdict};

use super::Answer;
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

/// The device that opened a conversation, and the one that it was opened to.
pub(super) type Owners = (Option<String>, Option<String>);

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
    /// The devices that opened it and that it was opened to.
    pub(super) owners: Owners,
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
            owners: (None, None),
        }
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
    owners: Owners,
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
    /// The answer that dropped it, and of which generation.
    dropped: Option<(Answer, u32)>,
}

/// Spans that are kept of one packet.
const SPANS: usize = 4;

/// Ends, identification and protocol of what comes in fragments.
type PieceKey = (IpAddr, IpAddr, u32, u8);
/// The same on one side of the filter; whether it passed and concerns a device.
type FirstKey = (PieceKey, Port, bool);

/// Every flow, dead ones included.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory {
    flows: HashMap<Key, Flow>,
    firsts: HashMap<FirstKey, First>,
}

impl Memory {
    pub(super) fn find(&self, ip: &Ip, now: u64, flaw: Option<Flaw>) -> Option<Found> {
        let alive = |key: Key| {
            let flow = self.flows.get(&key)?;
            let age = now.saturating_sub(flow.last_seen);
            (age <= lifetime(key.protocol, flow) || flaw == Some(Flaw::FlowsNeverEnd)).then_some(flow)
        };
        let answers = ip.may_answer() || (flaw == Some(Flaw::SynAnswers) && ip.is_tcp());
        // What asks for a connection where one has ended asks for another.
        let goes_on = |flow: &&Flow| !ip.opens_tcp() || !flow.ended();
        let own = if ip.may_open() { alive(Key::forwards(ip)).filter(goes_on) } else { None };
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
            owners: flow.owners.clone(),
            ..Found::new(ip, is_reply)
        })
    }

    /// Notes a first fragment: its packet begins anew. Those that pass and concern a device are kept apart.
    pub(super) fn note_first(
        &mut self,
        ip: &Ip,
        piece: &Piece,
        port: Port,
        (answer, generation): (&Answer, u32),
        now: u64,
    ) {
        let spans = if piece.end == 0 { vec![] } else { vec![(piece.start, piece.end)] };
        let dropped = (answer.verdict == Verdict::Drop).then(|| (answer.clone(), generation));
        let concerns_device = answer.device.is_some() || answer.reason == Reason::Management;
        let counts = concerns_device && dropped.is_none();
        let first = First { ip: ip.clone(), seen: now, spans, dropped };
        self.firsts.insert((piece.packet, port, counts), first);
    }

    /// Notes a later fragment that passed.
    pub(super) fn note_later(&mut self, piece: &Piece, port: Port, now: u64, flaw: Option<Flaw>) {
        let Some((key, spans)) = self.grown(piece, port, now, flaw) else { return };
        if let Some(first) = self.firsts.get_mut(&key) {
            first.spans = spans;
        }
    }

    /// The first fragment of a later one's packet, none of whose bytes this one would write again; or the answer
    /// of this generation that dropped it.
    pub(super) fn first_of(
        &self,
        piece: &Piece,
        port: Port,
        now: u64,
        generation: u32,
        flaw: Option<Flaw>,
    ) -> Option<Result<Ip, Answer>> {
        let (key, _) = self.grown(piece, port, now, flaw)?;
        let first = self.firsts.get(&key)?;
        match first.dropped.clone().filter(|_| flaw != Some(Flaw::RestsPass)) {
            Some((answer, by)) => (by == generation).then_some(Err(answer)),
            None => Some(Ok(first.ip.clone())),
        }
    }

    /// The first fragment of a packet, half a minute old at most; one that passed and concerns a device before any
    /// other.
    fn recent(&self, piece: &Piece, port: Port, now: u64) -> Option<(FirstKey, &First)> {
        [true, false].into_iter().find_map(|counts| {
            let key = (piece.packet, port, counts);
            let first = self.firsts.get(&key)?;
            (now.saturating_sub(first.seen) <= 30_000_000_000).then_some((key, first))
        })
    }

    /// The packet of a later fragment, and what has come of it then.
    fn grown(
        &self,
        piece: &Piece,
        port: Port,
        now: u64,
        flaw: Option<Flaw>,
    ) -> Option<(FirstKey, Vec<(u32, u32)>)> {
        let (key, first) = self.recent(piece, port, now)?;
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
        Some((key, apart))
    }

    /// The rule of the flow that an ICMP error quotes, where this generation has judged it for one of these
    /// devices.
    pub(super) fn quoted(
        &self,
        ip: &Ip,
        quoted: &Quoted,
        generation: u32,
        devices: &Owners,
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
        let flow = alive(&forwards).or_else(|| alive(&backwards))?;
        let is_good = flow.until.is_none_or(|until| now < until);
        let present = [&devices.0, &devices.1];
        let is_theirs =
            [&flow.owners.0, &flow.owners.1].iter().any(|owner| owner.is_some() && present.contains(owner));
        // A device that tells of it is at one of its ends.
        let teller = &devices.0;
        let is_end = teller.is_none() || [&flow.owners.0, &flow.owners.1].contains(&teller);
        (flow.generation == generation && is_good && is_theirs && is_end).then(|| flow.rule.clone())
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
        flow.owners = found.owners.clone();
        flow.answered |= found.is_reply;
        if !ip.is_tcp() {
            return;
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
        (6, false, true) => 432_000,
        (_, false, true) => 300,
    };
    seconds * 1_000_000_000
}
