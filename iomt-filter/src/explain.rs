//! The real program's answer to a question, stage by stage.
//!
//! A [`Question`] and what is to hold come in, an [`Explanation`] goes out: the packet that opens the conversation
//! and the one that answers it, each judged by a private copy of the kernel program. Nothing that runs is touched,
//! and nothing is decided here: the words only say what the program found.

use std::net::IpAddr;
use std::sync::Arc;

use iomt_filter_common::Address;
use iomt_filter_common::device::{Device, Port};
use iomt_filter_common::flow::FlowKey;
use serde::{Deserialize, Serialize};

use crate::datapath::replay::{Replay, ReplayError};
use crate::datapath::{Learned, LoadOptions};
use crate::events::{self, EnrichContext, MacPair};
use crate::frame::Sent;
use crate::geo::CountryDatabase;
use crate::rows::Rows;

mod advice;
mod question;
mod stages;
mod text;

pub use self::question::{Question, QuestionError, Scene, Surroundings};

/// Time between a packet and its answer.
const ROUND_TRIP: u64 = 1_000_000;
/// Flows that a private copy of the program has room for: those of one question.
const FLOWS: u32 = 64;

/// The answer to a question.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Explanation {
    /// `agent`: what it has loaded now; `files`: those that the configuration names.
    pub source: String,
    /// The packet that opens the conversation.
    #[serde(flatten)]
    pub opening: Judged,
    /// The packet that answers it; nothing where the first one does not pass, or nobody knows who answers.
    pub answer: Option<Judged>,
    /// What was chosen where the question left a choice.
    pub notes: Vec<String>,
}

/// A packet and what the program said of it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Judged {
    /// `pass`, `drop`, `would-drop` or `reset`.
    pub verdict: String,
    /// Why, as in events.
    pub reason: String,
    /// The stage that gave the answer.
    pub stage: String,
    /// Every stage, in its order.
    pub stages: Vec<Step>,
    /// The rule that allowed it.
    pub rule: Option<String>,
    /// The feed that lists the far end, severe enough or not.
    pub feed: Option<String>,
    /// Its entry.
    pub entry: Option<String>,
    /// The score of the entry.
    pub score: Option<u8>,
    /// The country of the far end, where it has one.
    pub country: Option<String>,
    /// The device that the packet was judged for.
    pub device: Option<String>,
    /// Its profile.
    pub profile: Option<String>,
    /// The mode that held for it.
    pub mode: Option<String>,
    /// The generation that was asked; 1 where files were.
    pub generation: u32,
    /// The packet, as the program read it.
    pub packet: Packet,
    /// What to do next, where the packet is not simply passed.
    pub next: Option<String>,
}

/// A stage and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Its name.
    pub name: String,
    /// The verdict where it answered, `next` where it left that to those behind it, or `not-reached`.
    pub result: String,
    /// What it found.
    pub detail: String,
}

/// A packet, field by field as in events.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Packet {
    /// `device` or `uplink`.
    pub port: String,
    /// Hardware addresses.
    pub mac: Option<MacPair>,
    /// VLAN identifiers, outermost first.
    pub vlan: Option<Vec<u16>>,
    /// 4 or 6.
    pub ip_version: Option<u8>,
    /// IP source.
    pub source: Option<IpAddr>,
    /// IP destination.
    pub destination: Option<IpAddr>,
    /// IP protocol by name, or its number.
    pub protocol: Option<String>,
    /// TCP, UDP or SCTP source port.
    pub source_port: Option<u16>,
    /// TCP, UDP or SCTP destination port.
    pub destination_port: Option<u16>,
    /// Letters of the flags that are set.
    pub tcp_flags: Option<String>,
    /// ICMP or ICMPv6 type.
    pub icmp_type: Option<u8>,
    /// Length of the frame in bytes.
    pub length: u32,
}

impl Explanation {
    /// Whether the conversation is cut: its first packet, or the answer to it, would be dropped.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        let ends = |judged: &Judged| matches!(judged.verdict.as_str(), "drop" | "reset");
        ends(&self.opening) || self.answer.as_ref().is_some_and(ends)
    }
}

/// What is to hold while a question is answered.
#[derive(Debug)]
pub struct Setting {
    /// `agent` or `files`.
    pub source: &'static str,
    /// At least what concerns the addresses of the scene.
    pub rows: Rows,
    /// For the countries that no profile names.
    pub countries: Option<Arc<CountryDatabase>>,
    /// What the tables that judge have learned.
    pub learned: Learned,
    /// The generation that the rows are of.
    pub generation: u32,
    /// Nanoseconds since the host was booted.
    pub now: u64,
}

/// The leases that hold at `now`, of devices that may have one.
#[must_use]
pub fn leased(rows: &Rows, learned: &Learned, now: u64) -> Vec<(u32, IpAddr)> {
    let holds = |device: &u32, expires: u64| {
        now < expires && rows.devices.get(device).is_some_and(|row| row.has(Device::BY_DHCP))
    };
    let leases = learned.leases.iter().filter(|(device, lease)| holds(device, lease.expires));
    leases.map(|(device, lease)| (*device, lease.address.into())).collect()
}

/// A private copy of the program, which answers one question after the other: who may load one at the start only.
pub struct Understudy(Replay);

impl Understudy {
    /// Loads it, for devices with numbers up to `devices`.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn load(devices: usize) -> Result<Self, ReplayError> {
        Ok(Self(Replay::load(LoadOptions { devices, flows: FLOWS, ..LoadOptions::default() })?))
    }

    /// Has both packets of a scene judged. What it knows of the scene before is forgotten.
    ///
    /// # Errors
    /// When a packet cannot be judged.
    pub fn play(&mut self, scene: Scene, setting: Setting) -> Result<Explanation, ReplayError> {
        scene.played_by(&mut self.0, setting)
    }
}

impl Scene {
    /// The frame that opens, and where it comes in.
    #[must_use]
    pub fn frame(&self) -> (Vec<u8>, Port) {
        (self.opening.bytes(), self.opening.from.port)
    }

    /// The addresses at its ends.
    #[must_use]
    pub fn addresses(&self) -> [Address; 2] {
        [self.opening.from.address.into(), self.opening.to.address.into()]
    }

    /// What it would be remembered by, in either direction.
    #[must_use]
    pub fn flows(&self) -> [FlowKey; 2] {
        let key = self.opening.flow();
        [key, key.reversed()]
    }

    /// Has both packets judged, by a copy of the program that is loaded for it.
    ///
    /// # Errors
    /// When the program cannot be loaded, or a packet not be judged.
    pub fn play(self, setting: Setting) -> Result<Explanation, ReplayError> {
        let most = setting.rows.devices.keys().next_back().copied().unwrap_or(0);
        Understudy::load(most as usize)?.play(self, setting)
    }

    fn played_by(self, replay: &mut Replay, setting: Setting) -> Result<Explanation, ReplayError> {
        replay.forget()?;
        replay.apply(setting.rows.clone())?;
        replay.learn(&setting.learned, setting.generation)?;
        let opening = judge(replay, &self.opening, setting.now, &setting)?;
        let passes = matches!(opening.verdict.as_str(), "pass" | "would-drop");
        let answer = match self.opening.answer().filter(|_| passes) {
            Some(sent) => {
                let mut answer = judge(replay, &sent, setting.now + ROUND_TRIP, &setting)?;
                if answer.next.is_some() && opening.verdict != "pass" {
                    answer.next = Some("allow the first packet, then its answers pass with it".to_owned());
                }
                Some(answer)
            }
            None => None,
        };
        let notes = self.notes;
        Ok(Explanation { source: setting.source.to_owned(), opening, answer, notes })
    }
}

fn judge(replay: &mut Replay, sent: &Sent, now: u64, setting: &Setting) -> Result<Judged, ReplayError> {
    let (event, case) = replay.judge_and_tell(&sent.bytes(), sent.from.port, now)?;
    let countries = setting.countries.as_deref();
    let context = EnrichContext {
        host: "",
        interface: &|_| None,
        country: &|address| countries?.country(address),
        time_base: 0,
        expected: &|_| None,
    };
    let record = events::decode(&event, &setting.rows.names, &context);
    let view = stages::View { case: &case, record: &record, rows: &setting.rows, countries };
    let listed = view.listed();
    let mode = [case.sender(), case.receiver()].into_iter().flatten();
    let mode = mode.filter(|end| end.device == event.decision.device).map(|end| end.mode.name()).next();
    let next = advice::of(&view);
    Ok(Judged {
        verdict: record.verdict.to_string(),
        reason: record.reason.to_string(),
        stage: view.answered().map(|stage| stage.name().to_owned()).unwrap_or_default(),
        stages: view.steps(),
        rule: record.rule.clone(),
        feed: listed.as_ref().map(|listed| listed.feed.clone()),
        entry: listed.as_ref().map(|listed| listed.entry.clone()),
        score: listed.as_ref().map(|listed| listed.score),
        country: record.country.clone(),
        device: record.device.clone(),
        profile: record.profile.clone(),
        mode: mode.map(str::to_owned),
        generation: setting.generation,
        packet: Packet {
            port: record.port.to_string(),
            mac: record.mac.clone(),
            vlan: record.vlan.clone(),
            ip_version: record.ip_version,
            source: record.source,
            destination: record.destination,
            protocol: record.protocol.as_ref().map(ToString::to_string),
            source_port: record.source_port,
            destination_port: record.destination_port,
            tcp_flags: record.tcp_flags.clone(),
            icmp_type: record.icmp_type,
            length: record.length,
        },
        next,
    })
}
