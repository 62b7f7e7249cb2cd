//! The reference model: what the filter should say of a frame, from the written rules alone.
//!
//! It shares no code with the filter: it has its own parser, its own memory of flows, and reads a
//! [`World`] instead of tables. Slow and literal on purpose. The steps of [`Oracle::judge`] are numbered as
//! the order of judgement is.

use std::collections::BTreeSet;
use std::net::IpAddr;

use iomt_filter_common::device::Port;
use iomt_filter_common::policy::{Mode, Otherwise};
use iomt_filter_common::{Direction, Reason, Verdict};

use crate::judge::{Fields, Judge, Listed, Observed};
use crate::world::{Opens, World};

mod ends;
mod dhcp;
mod flows;
mod frame;
mod link;
mod leases;
mod limits;
mod queries;
mod quoted;
mod questions;
mod remember;
mod standing;

use ends::{End, Ends};
use flows::{Found, Memory, Owners};
use frame::{Ip, What};
use leases::Leases;
use limits::Buckets;
use queries::{Matched, Queries};
use remember::owners;

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
    /// Later fragments may be written over.
    OnlyFirstFragmentHolds,
    /// What is left of a packet whose beginning was dropped is judged by itself.
    RestsPass,
    /// Any number of ranges is kept of a packet in fragments.
    SpansWithoutEnd,
    /// Answers to groups are packets like any other.
    NobodyAnswersGroups,
    /// A rule that allows DHCP with its servers does not reach everybody.
    DhcpStaysUnicast,
    /// Whatever a server says is believed.
    AnyTransactionWillDo,
    /// A lease is for ever.
    LeasesNeverEnd,
    /// Nobody is told that a connection was blocked.
    NothingIsReset,
    /// Fragments are answered by a reset too.
    FragmentsAreReset,
    /// A bucket holds two seconds' worth.
    BucketsHoldTwice,
    /// Flows are not counted.
    FlowsWithoutEnd,
    /// Whoever is open while the agent is lost still asks the lists.
    OpenAsksLists,
    /// A flow outlives the grant that allowed it.
    GrantsNeverEnd,
    /// A reset ends a flow, whoever sent it.
    ResetsAreFinal,
    /// What passed while the agent was lost counts as judged.
    OpenFlowsAreGood,
    /// A flow goes with the address, whoever has it.
    FlowsAreInherited,
}

/// The model and what it remembers.
#[derive(Clone, Debug)]
pub struct Oracle {
    world: World,
    generation: u32,
    memory: Memory,
    queries: Queries,
    leases: Leases,
    buckets: Buckets,
    /// Who has advertised itself as a router on an uplink, or claimed an address there by ARP.
    far_hosts: BTreeSet<IpAddr>,
    now: u64,
    flaw: Option<Flaw>,
}

/// That an address is at a hardware address; all zero where nothing is said of it.
struct Claim {
    claimed: IpAddr,
    mac: [u8; 6],
}

/// An answer on its way, without the frame's fields.
#[derive(Clone, Debug)]
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

    fn beat(&mut self, now: u64) {
        self.world.heartbeat.last = now;
    }

    fn judge(&mut self, bytes: &[u8], port: Port, now: u64) -> Observed {
        let (fields, what) = frame::read(bytes);
        self.now = now;
        let answer = self.answer(&what, &fields, port, now);
        let answer = self.opened(answer);
        self.remember(&what, &fields, port, &answer);
        let answer = self.reset(answer, &what, &fields);
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
        Self {
            world: world.clone(),
            generation: 1,
            memory: Memory::default(),
            queries: Queries::default(),
            leases: Leases::default(),
            buckets: Buckets::default(),
            far_hosts: BTreeSet::new(),
            now: 0,
            flaw: None,
        }
    }

    /// The model with an error in it.
    pub fn flawed(world: &World, flaw: Flaw) -> Self {
        Self { flaw: Some(flaw), ..Self::of(world) }
    }

    fn has(&self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }

    /// The innermost tag that is no mere priority.
    fn vlan(&self, fields: &Fields) -> u16 {
        let mut tags = fields.vlan.iter().copied().filter(|tag| *tag != 0);
        let found = if self.has(Flaw::OutermostTagCounts) { tags.next() } else { tags.next_back() };
        found.unwrap_or(0)
    }

    fn answer(&mut self, what: &What, fields: &Fields, port: Port, now: u64) -> Answer {
        let vlan = self.vlan(fields);

        // 1
        let ip = match what {
            What::Unreadable(reason) => return nobody(otherwise(self.world.unparsed), *reason),
            What::LaterFragment(piece) => {
                match self.memory.first_of(piece, port, now, self.generation, self.flaw) {
                    Some(Ok(first)) => &first.continued(piece),
                    Some(Err(answer)) => return answer,
                    None => return nobody(otherwise(self.world.unparsed), Reason::Fragment),
                }
            }
            What::Link => return nobody(Verdict::Pass, Reason::Link),
            What::Arp { sender_mac, sender } => return self.arp(*sender_mac, *sender, fields, vlan, port),
            What::Ip(ip) => ip,
        };
        // 2
        if let Some(answer) = self.takeover(ip, fields, vlan, port) {
            return answer;
        }
        // 3, of a device port only where the sender is who it says
        let ends = self.ends_of(ip, fields.macs, vlan, port);
        let is_believed = match &ends {
            Ends::Ours(ends) => !ends[0].spoofed,
            Ends::Unknown(_) | Ends::NotOurs => false,
        };
        if (port == Port::Uplink || is_believed) && self.is_management(ip, port) {
            return nobody(Verdict::Pass, Reason::Management);
        }
        // 4
        let ends = match ends {
            Ends::NotOurs => {
                if port == Port::Uplink {
                    self.note_query(ip, fields.macs.1, None);
                }
                return nobody(Verdict::Pass, Reason::NoDevice);
            }
            Ends::Unknown(receiver) => {
                let verdict = otherwise(self.world.unknown_device);
                // A device is protected from a stranger who may pass.
                let refused = match receiver {
                    Some(receiver) if verdict != Verdict::Drop => {
                        let judged = self.devices(ip, fields.macs.1, std::slice::from_ref(&receiver), now);
                        Some(self.packets(judged, &[receiver]))
                    }
                    _ => None,
                };
                return match refused {
                    Some(answer) if answer.verdict == Verdict::Drop => answer,
                    _ => nobody(verdict, Reason::UnknownDevice),
                };
            }
            Ends::Ours(ends) => ends,
        };
        let judged = self.devices(ip, fields.macs.1, &ends, now);
        let is_allowed = matches!(judged.reason, Reason::Allowed | Reason::Established)
            || (matches!(judged.reason, Reason::NotAllowed | Reason::Learned)
                && judged.verdict != Verdict::Drop);
        let answer = self.packets(judged, &ends);
        let answer = self.opened(answer);
        if is_allowed && answer.verdict != Verdict::Drop && port == Port::Device {
            self.note_query(ip, fields.macs.1, ends.first());
        }
        answer
    }

    /// Steps 4 to 11 for the devices at the ends, the sender first.
    fn devices(&mut self, ip: &Ip, destination_mac: [u8; 6], ends: &[End], now: u64) -> Answer {
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
        let asks = |end: &&End| {
            !self.is_protected(end) && (!self.is_open(&end.device) || self.has(Flaw::OpenAsksLists))
        };
        let open: Vec<&End> = ends.iter().filter(asks).collect();
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
        let owners = |is_reply| owners(ends, is_reply);
        // No generation has judged what is let through in part.
        let is_partly = ends.iter().any(|end| self.is_open(&end.device)) && !self.has(Flaw::OpenFlowsAreGood);
        let generation = if is_partly { 0 } else { self.generation };
        match &found {
            Some(found) if self.is_judged(found, ip, &owners(found.is_reply)) => {
                // Whose flow it is stays as it was judged.
                let matched = (found.rule.clone(), self.memory.until(found));
                return self.pass(ip, ends, found, Reason::Established, matched);
            }
            Some(found) => {
                let found = &Found { owners: owners(found.is_reply), generation, ..found.clone() };
                return match self.rules(ip, ends, found) {
                    Ok(matched) => self.pass(ip, ends, found, Reason::Established, matched),
                    Err(answer) => answer,
                };
            }
            None => {}
        }
        if let Some(quoted) = &ip.quoted
            && let Some(rule) = self.memory.quoted(ip, quoted, self.generation, &owners(false), now)
        {
            return Answer { rule, ..about(principal, Verdict::Pass, Reason::Related) };
        }
        let midstream = ip.is_tcp() && !ip.opens_tcp();
        let backwards = Found { owners: owners(true), generation, ..Found::new(ip, true) };
        // What this host sends is not seen on its way out: answers to what it may open are known by the rules.
        let to_device = ends.iter().any(|end| end.direction == Direction::ToDevice);
        let to_host = self.world.own.contains(&ip.destination) && ip.may_answer() && !to_device;
        let answers_host = to_host && self.rules(ip, ends, &backwards).is_ok();
        let is_refused = midstream && self.world.midstream != Otherwise::Pass;
        if is_refused && !answers_host {
            return self.soften(strictest, Reason::NoFlow);
        }
        // 10, 11
        if let Some(matched) = self.answers(ip, destination_mac, ends) {
            let rule = matched[0].0.clone();
            return Answer { rule, ..about(principal, Verdict::Pass, Reason::Established) };
        }
        let forwards = Found { owners: owners(false), generation, ..Found::new(ip, false) };
        match self.rules(ip, ends, &forwards) {
            Ok(matched) if !is_refused => self.pass(ip, ends, &forwards, Reason::Allowed, matched),
            Ok(_) => match self.rules(ip, ends, &backwards) {
                Ok(matched) => self.pass(ip, ends, &backwards, Reason::Allowed, matched),
                Err(refused) => refused,
            },
            Err(refused) if midstream || answers_host => match self.rules(ip, ends, &backwards) {
                Ok(matched) => self.pass(ip, ends, &backwards, Reason::Allowed, matched),
                Err(_) => refused,
            },
            Err(refused) => refused,
        }
    }

    #[allow(clippy::result_large_err, reason = "an answer is what either way ends in")]
    /// The principal's rule, where every device at an end has one; until when all are good.
    fn rules(&self, ip: &Ip, ends: &[End], flow: &Found) -> Result<Matched, Answer> {
        let asked: Vec<(&End, Option<Matched>)> = ends
            .iter()
            .map(|end| {
                let sends = end.direction == Direction::FromDevice;
                let opens = if sends == flow.is_reply { Opens::Peer } else { Opens::Device };
                (end, self.allowed(end, opens, ip.protocol, flow.key.destination_port()))
            })
            .collect();
        let refused: Vec<(&End, ())> =
            asked.iter().filter(|(_, rule)| rule.is_none()).map(|(end, _)| (*end, ())).collect();
        let sender_suffices = self.has(Flaw::ReceiverNotAsked) && asked[0].1.is_some();
        if let Some((end, ())) = self.stricter(&refused)
            && !sender_suffices
        {
            return Err(self.soften(end, Reason::NotAllowed));
        }
        let until = asked.iter().filter_map(|(_, rule)| rule.as_ref()?.1).min();
        Ok((asked[0].1.clone().and_then(|(rule, _)| rule), until))
    }

    /// Passes a packet of a conversation that may be, if nobody has had too many, and remembers it.
    fn pass(&mut self, ip: &Ip, ends: &[End], flow: &Found, reason: Reason, matched: Matched) -> Answer {
        let principal = &ends[0];
        let answer = Answer { rule: matched.0.clone(), ..about(principal, Verdict::Pass, reason) };
        if !ip.may_open() && !flow.is_reply {
            return answer;
        }
        let refused = match flow.last_seen {
            None => self.connections(ends, flow.is_reply),
            Some(last) => {
                if self.is_to_be_counted(last) {
                    self.count_flow(&flow.owners);
                }
                Vec::new()
            }
        };
        let answer = self.worse(answer, refused);
        if answer.verdict == Verdict::Drop {
            return answer;
        }
        self.memory.pass(ip, flow, matched, self.now, self.flaw);
        answer
    }

    /// Tells the sender of a blocked connection, where the device's profile says so.
    fn reset(&self, answer: Answer, what: &What, fields: &Fields) -> Answer {
        let resets = answer.device.as_ref().is_some_and(|name| {
            let device = self.world.devices.iter().find(|device| device.name == *name);
            device.is_some_and(|device| {
                let profile = self.world.profile(&device.profile);
                profile.resets && !profile.is_unset
            })
        });
        let is_whole = |ip: &Ip| ip.is_whole || self.has(Flaw::FragmentsAreReset);
        let is_connection = matches!(what, What::Ip(ip) if ip.is_tcp() && is_whole(ip) && !ip.has_rst());
        let is_to_one = [fields.macs.0, fields.macs.1].iter().all(|mac| mac[0] & 1 == 0)
            && fields.addresses.is_some_and(|(_, to)| !to.is_multicast() && to != IpAddr::from([255; 4]));
        let is_told =
            matches!(answer.reason, Reason::NotAllowed | Reason::Blocklist | Reason::Geo | Reason::NoFlow);
        let tells = resets && is_connection && is_to_one && is_told && !self.has(Flaw::NothingIsReset);
        if answer.verdict == Verdict::Drop && tells {
            return Answer { verdict: Verdict::Reset, ..answer };
        }
        answer
    }

    /// A flow that this generation judged for these devices, from a source that only one can have.
    fn is_judged(&self, found: &Found, ip: &Ip, owners: &Owners) -> bool {
        let current = found.generation == self.generation || self.has(Flaw::OldFlowIsGood);
        let is_theirs = found.owners == *owners || self.has(Flaw::FlowsAreInherited);
        current && is_theirs && !found.expired && !ends::is_anybodys(ip.source)
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
