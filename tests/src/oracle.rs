//! The reference model: what the filter should say of a frame, from the written rules alone.
//!
//! It shares no code with the filter: it has its own parser, its own memory of flows, and reads a
//! [`World`] instead of tables. Slow and literal on purpose. The steps of [`Oracle::judge`] are numbered as
//! the order of judgement is.

use std::net::IpAddr;

use iomt_filter_common::device::Port;
use iomt_filter_common::policy::{Mode, Otherwise};
use iomt_filter_common::{Direction, Reason, Verdict};

use crate::judge::{Fields, Judge, Listed, Observed};
use crate::world::{Device, Opens, World};

mod ends;
mod flows;
mod frame;
mod quoted;
mod questions;

use ends::{End, Ends};
use flows::{Found, Memory};
use frame::{Ip, What};

/// An error that can be put into the model, to see that a comparison notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// A device in `learn` reaches listed addresses.
    LearnSoftensBlocklist,
    /// Lists are asked about what devices send, not about what they receive.
    ListsAskedOneWay,
    /// Protected pairs are forgotten.
    NothingIsProtected,
    /// Private addresses have the country that the database says.
    PrivateHasCountry,
    /// A country without an entry is always allowed.
    UnknownCountryAllowed,
    /// The outermost tag is the VLAN.
    OutermostTagCounts,
    /// Hardware addresses are not compared.
    AnyMacWillDo,
    /// A flow of an older generation is no flow.
    OldFlowIsGone,
    /// A flow of an older generation is good.
    OldFlowIsGood,
    /// A connection may be opened backwards through a remembered one.
    SynAnswers,
    /// Flows are remembered forever.
    FlowsNeverEnd,
    /// The receiver's rules are not asked where the sender's allow.
    ReceiverNotAsked,
    /// Answers to management peers are not covered.
    ManagementOneWay,
    /// Quarantine waits for the end of a flow.
    FlowsSurviveQuarantine,
    /// Router advertisements pass from anywhere.
    RogueRouterPasses,
}

/// The model and what it remembers.
#[derive(Clone, Debug)]
pub struct Oracle {
    world: World,
    generation: u32,
    memory: Memory,
    flaw: Option<Flaw>,
}

/// That an address is at a hardware address; all zero where nothing is said of it.
struct Claim {
    claimed: IpAddr,
    mac: [u8; 6],
}

/// An answer on its way, without the frame's fields.
struct Answer {
    verdict: Verdict,
    reason: Reason,
    device: Option<String>,
    direction: Direction,
    rule: Option<String>,
    listing: Option<Listed>,
    country: Option<String>,
}

impl Judge for Oracle {
    fn load(&mut self, world: &World) {
        self.world = world.clone();
        self.generation += 1;
    }

    fn judge(&mut self, bytes: &[u8], port: Port, now: u64) -> Observed {
        let (fields, what) = frame::read(bytes);
        let answer = self.answer(&what, &fields, port, now);
        Observed {
            verdict: answer.verdict,
            reason: answer.reason,
            device: answer.device,
            direction: answer.direction,
            rule: answer.rule,
            listing: answer.listing,
            country: answer.country,
            fields,
        }
    }
}

impl Oracle {
    /// The model of `world`, as its first generation.
    pub fn of(world: &World) -> Self {
        Self { world: world.clone(), generation: 1, memory: Memory::default(), flaw: None }
    }

    /// The model with an error in it.
    pub fn flawed(world: &World, flaw: Flaw) -> Self {
        Self { flaw: Some(flaw), ..Self::of(world) }
    }

    fn has(&self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }

    fn answer(&mut self, what: &What, fields: &Fields, port: Port, now: u64) -> Answer {
        let vlan = if self.has(Flaw::OutermostTagCounts) { fields.vlan.first() } else { fields.vlan.last() };
        let vlan = vlan.copied().unwrap_or(0);

        // 1
        let ip = match what {
            What::Unreadable(reason) => return nobody(otherwise(self.world.unparsed), *reason),
            What::LaterFragment(piece) => match self.memory.first_of(piece, now) {
                Some(first) => &first.continued(piece),
                None => return nobody(otherwise(self.world.unparsed), Reason::Fragment),
            },
            What::Link => return nobody(Verdict::Pass, Reason::Link),
            What::Arp { sender_mac, sender } => return self.arp(*sender_mac, *sender, fields, vlan, port),
            What::Ip(ip) => ip,
        };
        if let Some(piece) = &ip.first_piece {
            self.memory.note_first(ip, piece, now);
        }
        // 2
        if let Some(answer) = self.takeover(ip, fields, vlan, port) {
            return answer;
        }
        // 3, of a device port only where the sender is who it says
        let ends = self.ends_of(ip, fields.macs.0, vlan, port);
        let is_believed = match &ends {
            Ends::Ours(ends) => !ends[0].spoofed,
            Ends::Unknown(_) | Ends::NotOurs => false,
        };
        if (port == Port::Uplink || is_believed) && self.is_management(ip) {
            return nobody(Verdict::Pass, Reason::Management);
        }
        // 4
        let ends = match ends {
            Ends::NotOurs => return nobody(Verdict::Pass, Reason::NoDevice),
            Ends::Unknown(receiver) => {
                let verdict = otherwise(self.world.unknown_device);
                // A device is protected from a stranger who may pass.
                let refused = match receiver {
                    Some(receiver) if verdict != Verdict::Drop => Some(self.devices(ip, &[receiver], now)),
                    _ => None,
                };
                return match refused {
                    Some(answer) if answer.verdict == Verdict::Drop => answer,
                    _ => nobody(verdict, Reason::UnknownDevice),
                };
            }
            Ends::Ours(ends) => ends,
        };
        self.devices(ip, &ends, now)
    }

    /// Steps 4 to 11 for the devices at the ends, the sender first.
    fn devices(&mut self, ip: &Ip, ends: &[End], now: u64) -> Answer {
        let principal = &ends[0];
        let spoofed = principal.spoofed;
        if spoofed && self.mode(principal) >= Mode::Enforce {
            return about(principal, Verdict::Drop, Reason::Spoofed);
        }
        // 5
        let found = if spoofed { None } else { self.memory.find(ip, now, self.flaw) };
        let found = found.filter(|flow| flow.generation == self.generation || !self.has(Flaw::OldFlowIsGone));
        let spared = self.has(Flaw::FlowsSurviveQuarantine) && found.is_some();
        if let Some(end) = ends.iter().find(|end| self.mode(end) == Mode::Quarantine && !spared) {
            return about(end, Verdict::Drop, Reason::Quarantine);
        }
        // 6, 7
        let open: Vec<&End> = ends.iter().filter(|end| !self.is_protected(end)).collect();
        let listed: Vec<_> = open.iter().filter_map(|end| Some((*end, self.listing(end)?))).collect();
        if let Some((end, listing)) = self.stricter(&listed) {
            return Answer { listing: Some(listing.clone()), ..about(end, Verdict::Drop, Reason::Blocklist) };
        }
        // 8
        let foreign: Vec<_> = open.iter().filter_map(|end| Some((*end, self.foreign(end)?))).collect();
        if let Some((end, country)) = self.stricter(&foreign) {
            return Answer { country: Some(country.clone()), ..about(end, Verdict::Drop, Reason::Geo) };
        }
        // 4, softened
        let all: Vec<(&End, ())> = ends.iter().map(|end| (end, ())).collect();
        let strictest = self.stricter(&all).map_or(principal, |(end, ())| end);
        if spoofed {
            return self.soften(strictest, Reason::Spoofed);
        }
        // 9
        match &found {
            Some(found) if self.is_judged(found, ip) => {
                self.memory.pass(ip, found, self.generation, found.rule.clone(), now);
                let answer = about(principal, Verdict::Pass, Reason::Established);
                return Answer { rule: found.rule.clone(), ..answer };
            }
            Some(found) => return self.rules(ip, ends, found, Reason::Established, now),
            None => {}
        }
        if let Some(quoted) = &ip.quoted
            && let Some(rule) = self.memory.quoted(ip, quoted, self.generation, now)
        {
            return Answer { rule, ..about(principal, Verdict::Pass, Reason::Related) };
        }
        let midstream = ip.is_tcp() && !ip.opens_tcp();
        if midstream && self.world.midstream != Otherwise::Pass {
            return self.soften(strictest, Reason::NoFlow);
        }
        // 10, 11
        let forwards = Found::new(ip, false);
        let answer = self.rules(ip, ends, &forwards, Reason::Allowed, now);
        if midstream && answer.reason != Reason::Allowed {
            let backwards = self.rules(ip, ends, &Found::new(ip, true), Reason::Allowed, now);
            if backwards.reason == Reason::Allowed {
                return backwards;
            }
        }
        answer
    }

    /// Asks the rules of every device at an end, and remembers what they allow.
    fn rules(&mut self, ip: &Ip, ends: &[End], flow: &Found, reason: Reason, now: u64) -> Answer {
        let asked: Vec<(&End, Option<String>)> = ends
            .iter()
            .map(|end| {
                let sends = end.direction == Direction::FromDevice;
                let opens = if sends == flow.is_reply { Opens::Peer } else { Opens::Device };
                (end, self.rule(end, opens, ip.protocol, flow.key.destination_port()))
            })
            .collect();
        let refused: Vec<(&End, ())> =
            asked.iter().filter(|(_, rule)| rule.is_none()).map(|(end, _)| (*end, ())).collect();
        let sender_suffices = self.has(Flaw::ReceiverNotAsked) && asked[0].1.is_some();
        if let Some((end, ())) = self.stricter(&refused)
            && !sender_suffices
        {
            return self.soften(end, Reason::NotAllowed);
        }
        let (principal, rule) = asked[0].clone();
        let answer = Answer { rule: rule.clone(), ..about(principal, Verdict::Pass, reason) };
        if ip.may_open() || flow.is_reply {
            self.memory.pass(ip, flow, self.generation, rule, now);
        }
        answer
    }

    /// A flow that this generation judged, from a source that only one device can have.
    fn is_judged(&self, found: &Found, ip: &Ip) -> bool {
        let current = found.generation == self.generation || self.has(Flaw::OldFlowIsGood);
        current && !ends::is_anybodys(ip.source)
    }

    /// Of what failed at several ends, that of the stricter mode; the first of equals.
    fn stricter<'a, T>(&self, failed: &'a [(&'a End, T)]) -> Option<(&'a End, &'a T)> {
        let mut strictest: Option<&(&End, T)> = None;
        for candidate in failed {
            if strictest.is_none_or(|(end, _)| self.mode(candidate.0) > self.mode(end)) {
                strictest = Some(candidate);
            }
        }
        strictest.map(|(end, what)| (*end, what))
    }

    fn soften(&self, end: &End, reason: Reason) -> Answer {
        match self.mode(end) {
            Mode::Learn => about(end, Verdict::Pass, Reason::Learned),
            Mode::Monitor => about(end, Verdict::WouldDrop, reason),
            Mode::Enforce | Mode::Quarantine => about(end, Verdict::Drop, reason),
        }
    }

    fn mode(&self, end: &End) -> Mode {
        self.mode_of(&end.device)
    }

    fn mode_of(&self, device: &Device) -> Mode {
        self.world.profile(&device.profile).mode
    }

    fn arp(&self, sender_mac: [u8; 6], sender: IpAddr, fields: &Fields, vlan: u16, port: Port) -> Answer {
        let said = Claim { claimed: sender, mac: sender_mac };
        let far = fields.addresses.map_or(sender, |(_, target)| target);
        match port {
            Port::Device => self.claim(&said, fields.macs.0, vlan, far),
            Port::Uplink => nobody(Verdict::Pass, Reason::Link),
        }
    }

    /// Who says that an address is at a hardware address: believed where it is its own, or nobody's and the
    /// sender is nobody either.
    fn claim(&self, said: &Claim, frame_mac: [u8; 6], vlan: u16, far: IpAddr) -> Answer {
        let pass = nobody(Verdict::Pass, Reason::Link);
        if ends::is_anybodys(said.claimed) {
            return pass;
        }
        let mac = if said.mac == [0; 6] { frame_mac } else { said.mac };
        let blamed = match self.device_with(said.claimed) {
            None => self.device_seen_as(frame_mac, vlan),
            Some(owner) if [mac, frame_mac].iter().all(|mac| self.is_bound(owner, *mac, vlan)) => None,
            Some(owner) => Some(self.stricter_device(owner, frame_mac, vlan)),
        };
        let Some(device) = blamed.cloned() else { return pass };
        let end = End { device, direction: Direction::FromDevice, far, peer: None, spoofed: true };
        self.soften(&end, Reason::Spoofed)
    }

    /// What would take the link over, and neighbour discovery.
    fn takeover(&self, ip: &Ip, fields: &Fields, vlan: u16, port: Port) -> Option<Answer> {
        let is_v6 = ip.source.is_ipv6();
        let from_device = port == Port::Device;
        if let (true, Some(kind @ 133..=137)) = (is_v6, ip.icmp_kind()) {
            if matches!(kind, 134 | 137) && from_device && !self.has(Flaw::RogueRouterPasses) {
                return Some(nobody(Verdict::Drop, Reason::RogueRa));
            }
            if ip.hop_limit != 255 || !ip.is_whole || fields.icmp.1 != 0 {
                return Some(nobody(Verdict::Drop, Reason::Malformed));
            }
            if !from_device {
                return Some(nobody(Verdict::Pass, Reason::Link));
            }
            let stays = ends::is_anybodys(ip.destination)
                || ip.destination.is_multicast()
                || self.world.segments.iter().any(|net| net.contains(&ip.destination))
                || (ends::is_one_network(ip.source, ip.destination) && self.device_with(ip.source).is_some());
            if !stays || fields.length > 150 {
                return None;
            }
            let (target, mac) = ip.neighbour.unwrap_or((IpAddr::from([0; 16]), [0; 6]));
            let claimed = if kind == 136 { target } else { ip.source };
            return Some(self.claim(&Claim { claimed, mac }, fields.macs.0, vlan, ip.destination));
        }
        let (server, client) = if is_v6 { (547, 546) } else { (67, 68) };
        let (source, destination) = ip.ports();
        let serves =
            ip.protocol == 17 && source == server && (destination == server || destination == client);
        (serves && from_device).then(|| nobody(Verdict::Drop, Reason::RogueDhcp))
    }
}

fn nobody(verdict: Verdict, reason: Reason) -> Answer {
    Answer {
        verdict,
        reason,
        device: None,
        direction: Direction::None,
        rule: None,
        listing: None,
        country: None,
    }
}

fn about(end: &End, verdict: Verdict, reason: Reason) -> Answer {
    Answer { device: Some(end.device.name.clone()), direction: end.direction, ..nobody(verdict, reason) }
}

const fn otherwise(choice: Otherwise) -> Verdict {
    match choice {
        Otherwise::Drop => Verdict::Drop,
        Otherwise::Monitor => Verdict::WouldDrop,
        Otherwise::Pass => Verdict::Pass,
    }
}
