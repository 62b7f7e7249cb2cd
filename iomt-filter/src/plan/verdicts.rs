//! What the candidate and what is in force make of one packet, and what that means to whom it belongs.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

use iomt_filter_common::geo::Country;
use iomt_filter_common::policy::{Mode, Otherwise};
use iomt_filter_common::reputation::Listing;
use iomt_filter_common::{Address, Case, Decision, Direction as Way, Reason, Verdict, decide, parse};

use super::packet::{Ends, Opening};
use super::{Direction, Ground, Talk, Turned, Was};
use crate::diagnostic::{Diagnostic, Place};
use crate::frame::Sent;
use crate::intent::Intent;
use crate::judge::{Memory, RowsTables};
use crate::policy::service::PortRange;
use crate::rows::{Prefix, Prefixes, Rows};

/// Names that a warning gives at most.
const MOST_NAMED: usize = 5;

/// What becomes of a talk.
#[derive(Debug)]
pub(super) enum Turn {
    /// What became of it before.
    Same,
    /// Nobody can say.
    NotJudged,
    /// It passes as before, and is reported.
    Reported,
    /// It ends.
    Cut(Box<Turned>),
    /// It was dropped or reported, and passes.
    Opened(Box<Turned>),
}

/// Judges talks twice.
#[derive(Clone, Debug)]
pub(super) struct Comparison<'g> {
    ground: Ground<'g>,
    ends: Ends<'g>,
    /// The names of networks, by the candidate's policy and by that in force.
    endpoints: Vec<Prefixes<&'g str>>,
    /// Talks between devices that were looked at: both devices have the same.
    between: HashSet<(Arc<str>, IpAddr, u8, Option<u16>)>,
}

impl<'g> Comparison<'g> {
    pub(super) fn new(ground: Ground<'g>) -> Self {
        let policies = [Some(ground.after), ground.before].into_iter().flatten();
        let endpoints = policies.map(endpoints).collect();
        Self { ends: Ends::new(&ground), ground, endpoints, between: HashSet::new() }
    }

    /// The talk as the device has it that opens; nothing where the other device had it already.
    pub(super) fn of_its_opener(&mut self, talk: &Talk) -> Option<Talk> {
        let Some(other) = self.ends.holder(talk.peer).filter(|other| **other != *talk.device) else {
            return Some(talk.clone());
        };
        let own = talk.own.or_else(|| self.ends.address(&talk.device, talk.peer));
        let talk = match (talk.direction, own) {
            (Direction::ToDevice, Some(own)) => Talk {
                device: other.into(),
                direction: Direction::FromDevice,
                peer: own,
                own: Some(talk.peer),
                ..talk.clone()
            },
            _ => talk.clone(),
        };
        let key = (talk.device.clone(), talk.peer, talk.protocol, talk.port);
        self.between.insert(key).then_some(talk)
    }

    /// What becomes of a talk.
    pub(super) fn turn(&self, talk: &Talk) -> Turn {
        let Some(opening) = self.ends.opening(talk) else { return Turn::NotJudged };
        let now = self.ground.now;
        let in_force = self.ground.before.unwrap_or(self.ground.after);
        let mut judged = opening.ways.iter().map(|way| (way, judge(&in_force.rows, way, &opening, now)));
        let Some(likeliest) = judged.next() else { return Turn::NotJudged };
        let passing = if likeliest.1.1.goes_on() { None } else { judged.find(|(_, (_, was))| was.goes_on()) };
        let (way, (packet, said)) = passing.unwrap_or(likeliest);
        let (was, is) = match self.ground.before {
            Some(_) => (Some(said), judge(&self.ground.after.rows, way, &opening, now).1),
            None => (None, said),
        };
        let passed = was.is_none_or(|was| was.goes_on());
        let was_reported = was.is_some_and(|was| was.verdict() == Verdict::WouldDrop);
        let is_reported = is.verdict() == Verdict::WouldDrop;
        match (passed, is.goes_on()) {
            (true, false) => Turn::Cut(Box::new(self.turned(talk, &packet, was, is))),
            (false, true) => Turn::Opened(Box::new(self.turned(talk, &packet, was, is))),
            (true, true) if was_reported && !is_reported => {
                Turn::Opened(Box::new(self.turned(talk, &packet, was, is)))
            }
            (true, true) if is_reported && !was_reported => Turn::Reported,
            _ => Turn::Same,
        }
    }

    /// What becomes of a talk by what is in force; nothing where nobody can say.
    pub(super) fn said(&self, talk: &Talk) -> Option<Turned> {
        let opening = self.ends.opening(talk)?;
        let after = &self.ground.after.rows;
        let judged = opening.ways.iter().map(|way| judge(after, way, &opening, self.ground.now));
        let judged: Vec<_> = judged.collect();
        let allowed = judged.iter().find(|(_, is)| is.goes_on() && is.rule != 0);
        let passing = allowed.or_else(|| judged.iter().find(|(_, is)| is.goes_on()));
        let (packet, is) = passing.or(judged.first())?;
        Some(self.turned(talk, packet, None, *is))
    }

    /// The device that has an address.
    pub(super) fn holder(&self, address: IpAddr) -> Option<&'g str> {
        self.ends.holder(address)
    }

    fn turned(&self, talk: &Talk, packet: &[Address; 2], was: Option<Decision>, is: Decision) -> Turned {
        let (after, before) = (self.ground.after, self.ground.before);
        let number = self.ends.device(&talk.device).map_or(0, |device| device.number);
        let profile = [Some(after), before].into_iter().flatten();
        let profile = profile.filter_map(|it| profile_of(&it.rows, number)).next();
        let port = talk.port.unwrap_or(0);
        let range = PortRange { protocol: talk.protocol, first: port, last: port };
        let [source, destination] = *packet;
        let far = if is.direction() == Way::ToDevice { source } else { destination };
        let names = &after.rows.names;
        let listed = (is.listing != Listing::NONE).then_some(is.listing);
        let was = was.map(|was| Was {
            verdict: was.verdict().name().to_owned(),
            reason: reason(&was).to_owned(),
            rule: before.and_then(|before| before.rows.names.rules.get(&was.rule).cloned()),
        });
        let mut turned = Turned {
            device: talk.device.to_string(),
            profile: profile.cloned(),
            peer: talk.peer.to_string(),
            endpoint: self.called(talk.peer),
            service: range.to_string(),
            direction: talk.direction.name().to_owned(),
            first_seen: talk.first_seen,
            last_seen: talk.last_seen,
            packets: talk.packets,
            bytes: talk.bytes,
            known_from: talk.known_from,
            verdict: is.verdict().name().to_owned(),
            reason: reason(&is).to_owned(),
            why: String::new(),
            rule: names.rules.get(&is.rule).cloned(),
            feed: listed.and_then(|listed| names.feeds.get(&listed.feed).cloned()),
            entry: listed.map(|listed| Prefix::of(far, listed.prefix_bits).to_string()),
            score: listed.map(|listed| listed.score),
            country: (is.reason() == Some(Reason::Geo)).then(|| country(after, far, Country(is.country))),
            was,
        };
        turned.why = self.why(&turned, &is, number);
        turned
    }

    /// The name of a far end: the narrowest endpoint of the policy that holds it, or the device that has it.
    fn called(&self, peer: IpAddr) -> Option<String> {
        let endpoint = self.endpoints.iter().find_map(|endpoints| endpoints.longest(peer.into()));
        endpoint.copied().or_else(|| self.ends.holder(peer)).map(str::to_owned)
    }

    fn why(&self, turned: &Turned, is: &Decision, number: u32) -> String {
        let rows = &self.ground.after.rows;
        if is.goes_on() {
            return match &turned.rule {
                Some(rule) => format!("`{rule}` allows it"),
                None => turned.reason.clone(),
            };
        }
        let profile = rows.names.profiles.get(&is.profile).map_or("?", String::as_str);
        match is.reason() {
            Some(Reason::NotAllowed) => {
                let was = turned.was.as_ref().and_then(|was| was.rule.as_ref());
                let was = was.map(|rule| format!(", `{rule}` did")).unwrap_or_default();
                format!("no rule of `{profile}` allows it{was}")
            }
            Some(Reason::Blocklist) => {
                let feed = turned.feed.as_deref().unwrap_or("?");
                let entry = turned.entry.as_deref().unwrap_or("?");
                format!("`{feed}` lists {entry} with score {}", is.listing.score)
            }
            Some(Reason::Geo) => {
                let country = turned.country.as_deref().unwrap_or("?");
                format!("`{profile}` refuses its country ({country})")
            }
            Some(Reason::UnknownDevice) if !rows.devices.contains_key(&number) => {
                "removed device: the inventory no longer has it".to_owned()
            }
            Some(Reason::UnknownDevice) => "the inventory no longer knows who is at an end of it".to_owned(),
            Some(Reason::Spoofed) => {
                "hardware address, VLAN or address is not what the inventory says".to_owned()
            }
            Some(Reason::Quarantine) => "the device is in quarantine".to_owned(),
            _ => turned.reason.clone(),
        }
    }
}

/// The names that a policy gives to networks.
fn endpoints(intent: &Intent) -> Prefixes<&str> {
    let endpoints = intent.vocabulary.endpoints.iter();
    let named = endpoints.flat_map(|(name, networks)| networks.iter().map(move |it| (*it, name.as_str())));
    named.map(|(network, name)| (Prefix::from(network), name)).collect()
}

/// Judges a packet; its addresses come with the answer. Nothing is remembered: of two packets the second is judged as
/// if the first had never been.
fn judge(rows: &Rows, sent: &Sent, opening: &Opening, now: u64) -> ([Address; 2], Decision) {
    let memory = Memory::default();
    opening.leased.iter().for_each(|(device, address)| memory.lease(*device, *address));
    let mut case = Case::new(sent.from.port, now);
    let parsed = parse(&*sent.bytes(), &mut case.packet);
    case.set_parsed(parsed);
    decide(&mut case, &RowsTables::new(rows, &memory, 1));
    ([case.packet.source, case.packet.destination], case.decision)
}

fn reason(decision: &Decision) -> &'static str {
    decision.reason().map_or("?", Reason::name)
}

fn profile_of(rows: &Rows, device: u32) -> Option<&String> {
    rows.names.profiles.get(&rows.devices.get(&device)?.profile)
}

fn country(intent: &Intent, far: Address, known: Country) -> String {
    let code = intent.countries.as_ref().and_then(|database| database.country(far.into()));
    let code = code.or(known.code());
    code.map_or_else(|| "unknown".to_owned(), |code| String::from_utf8_lossy(&code).into_owned())
}

/// What a plan cannot know of talks, in words.
pub(super) fn warnings(ground: &Ground<'_>) -> Vec<Diagnostic> {
    let warning = |message: String| Diagnostic::warning(&Place::default(), message);
    let Some(before) = ground.before else {
        let message = "what is in force is not known: all that devices did counts as allowed, and what changes is not told";
        return vec![warning(message.to_owned()).help("ask while the agent runs")];
    };
    let modes = [("learn", Mode::Learn), ("monitor", Mode::Monitor)];
    let stricter = modes.map(|(name, mode)| (name, stricter(&before.rows, &ground.after.rows, mode)));
    let warned = stricter.iter().filter(|(_, devices)| !devices.is_empty()).map(|(mode, devices)| {
        let message = format!(
            "{} from `{mode}` to `enforce`: what it does that no rule allows is known for as long as it was watched",
            named(devices)
        );
        warning(message).help("`iomt-filter learn status` says how many days that is")
    });
    let mut warned: Vec<_> = warned.collect();
    if !warned.is_empty() && ground.after.rows.settings.midstream != Otherwise::Pass as u8 {
        let message =
            "TCP connections that are open, and that no rule has allowed so far, have to be opened anew";
        let help = "`midstream = \"pass\"` in `[defaults]` picks up those that the new rules allow; `drop` can come back later";
        warned.push(warning(message.to_owned()).help(help));
    }
    warned
}

/// Devices that are in this mode, and are to be in `enforce`.
fn stricter<'r>(before: &'r Rows, after: &Rows, mode: Mode) -> Vec<&'r str> {
    let was = before.devices.iter().filter(|(_, row)| row.mode == mode as u8);
    let becomes = was
        .filter(|(number, _)| after.devices.get(number).is_some_and(|row| row.mode == Mode::Enforce as u8));
    becomes.filter_map(|(number, _)| before.names.devices.get(number)).map(String::as_str).collect()
}

fn named(names: &[&str]) -> String {
    let shown: Vec<_> = names.iter().take(MOST_NAMED).map(|name| format!("`{name}`")).collect();
    let shown = shown.join(", ");
    match names.len() {
        1 => format!("{shown} goes"),
        count if count > MOST_NAMED => format!("each of {shown} and {} more goes", count - MOST_NAMED),
        _ => format!("each of {shown} goes"),
    }
}
