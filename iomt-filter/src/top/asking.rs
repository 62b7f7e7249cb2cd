//! Asks the agent, and tells what it says.
//!
//! Two threads: one asks a round of questions, and the next one no sooner than the interval later and than nine times as
//! long as the answers took, or ten seconds, so that no agent is kept busy by a screen; the other follows events,
//! and takes no more than are shown. What was lost is looked for again every second. Only questions are asked.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use serde_json::Value;

use super::model::{Effect, Round, Told, Unanswered, Watched};
use crate::api::client::{self, NotAllowed, escaped};
use crate::api::messages::{LookupRequest, Status};
use crate::events::Record;
use crate::explain::Question;
use crate::lookup::Answer;

/// The shortest time between two rounds.
pub const SHORTEST: Duration = Duration::from_secs(1);
/// The longest, where answers take long and the interval is shorter.
const LONGEST_REST: Duration = Duration::from_secs(10);
/// Events of the past that are asked for.
const PAST: usize = 200;
/// The same of a device that is looked into.
const OF_DEVICE: usize = 50;

/// Who is asked.
#[derive(Clone)]
pub struct Source {
    /// The control socket.
    pub socket: PathBuf,
    /// What nobody should overlook in a status, but for a change that is pending.
    pub loud: fn(&Status) -> Vec<String>,
    /// Interfaces that are judged without an agent, where that can be known.
    pub judged: fn(&Path) -> Vec<String>,
    /// Where the filter's pins are.
    pub pins: PathBuf,
    /// Time between two rounds.
    pub interval: Duration,
    /// When the screen began.
    pub begun: Instant,
}

/// The threads that ask.
#[derive(Debug)]
pub struct Asking {
    sender: Sender<Effect>,
    threads: [JoinHandle<()>; 2],
}

impl Asking {
    /// Starts to ask: until nobody takes what is told, or the program ends.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(source: &Source, told: &SyncSender<Told>) -> io::Result<Self> {
        let (sender, asked) = channel();
        let rounds = (source.clone(), told.clone());
        let asker = move || Asker { source: rounds.0, told: rounds.1, watched: None }.run(&asked);
        let rounds = thread::Builder::new().name("rounds".into()).spawn(asker)?;
        let events = (source.socket.clone(), told.clone());
        let events =
            thread::Builder::new().name("events".into()).spawn(move || follow(&events.0, &events.1))?;
        Ok(Self { sender, threads: [rounds, events] })
    }

    /// Does what a key wants done.
    pub fn ask(&self, effect: Effect) {
        // Where it goes on no more, that is seen by itself.
        let _ = self.sender.send(effect);
    }

    /// Whether both go on.
    #[must_use]
    pub fn goes_on(&self) -> bool {
        !self.threads.iter().any(JoinHandle::is_finished)
    }
}

struct Asker {
    source: Source,
    told: SyncSender<Told>,
    watched: Option<String>,
}

impl Asker {
    /// Until nobody listens.
    fn run(&mut self, asked: &Receiver<Effect>) {
        let (mut due, mut is_paused) = (Instant::now(), false);
        let mut earliest = due;
        loop {
            let wait = due.saturating_duration_since(Instant::now());
            let told = match asked.recv_timeout(if is_paused { Duration::from_secs(3_600) } else { wait }) {
                Ok(Effect::Leave) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(Effect::Watch(device)) => {
                    self.watched = device;
                    due = due.min(earliest);
                    continue;
                }
                Ok(Effect::Pause(pause)) => {
                    is_paused = pause;
                    continue;
                }
                Ok(Effect::Explain(number, record)) => {
                    let lines = self.explained(&record);
                    Told::Explained { number, lines }
                }
                Err(RecvTimeoutError::Timeout) if is_paused => continue,
                Err(RecvTimeoutError::Timeout) => {
                    let begun = Instant::now();
                    let mut round = self.round();
                    let (ended, rest) = (Instant::now(), (begun.elapsed() * 9).min(LONGEST_REST));
                    earliest = ended + rest.max(SHORTEST);
                    let rest = rest.max(self.source.interval);
                    round = round.map(|round| Round { rest, ..round });
                    due = ended + if round.is_ok() { rest } else { SHORTEST };
                    round.map_or_else(|error| self.unanswered(&error), |round| Told::Round(Box::new(round)))
                }
            };
            if self.told.send(told).is_err() {
                return;
            }
        }
    }

    fn round(&self) -> Result<Round> {
        let socket = &self.source.socket;
        let status: Status = client::get(socket, "/v1/status")?;
        let devices = client::get(socket, "/v1/devices?flows=true")?;
        let watched = self.watched.as_ref().map(|device| self.watched(device)).transpose()?;
        let loud = (self.source.loud)(&status);
        Ok(Round {
            at: self.source.begun.elapsed(),
            rest: self.source.interval,
            status,
            loud,
            devices,
            watched,
        })
    }

    fn watched(&self, device: &str) -> Result<Watched> {
        let socket = &self.source.socket;
        let flows = client::get(socket, &format!("/v1/flows?device={}", escaped(device)))?;
        let mut events = Vec::new();
        let path = format!("/v1/events?device={}&limit={OF_DEVICE}", escaped(device));
        client::lines(socket, &path, |line| {
            events.extend(serde_json::from_slice::<Record>(line));
            Ok(true)
        })?;
        Ok(Watched { device: device.to_owned(), flows, events })
    }

    fn unanswered(&self, error: &anyhow::Error) -> Told {
        let is_refused = error.is::<NotAllowed>();
        let is_there = is_refused || UnixStream::connect(&self.source.socket).is_ok();
        let judged = if is_there { Vec::new() } else { (self.source.judged)(&self.source.pins) };
        Told::Unanswered(Unanswered { why: format!("{error:#}"), is_refused, is_there, judged })
    }

    /// What the program says of such a packet now, and what is known of its far end; headings begin with `# `.
    fn explained(&self, record: &Record) -> Vec<String> {
        let socket = &self.source.socket;
        let mut lines = vec!["# What the program says of such a packet now".to_owned()];
        let explained = question(record)
            .map_err(|why| anyhow!("{why}"))
            .and_then(|question| client::explanation(socket, &question));
        match explained {
            Ok(explanation) => {
                if explanation.opening.generation != record.generation {
                    let then = record.generation;
                    lines.push(format!("generation {then} judged it: what holds now is another one"));
                }
                lines.extend(explanation.to_string().lines().map(str::to_owned));
            }
            Err(error) => lines.push(format!("{error:#}")),
        }
        let Some(peer) = record.peer() else { return lines };
        lines.push(format!("# What is known of {peer}"));
        let request = LookupRequest { queries: vec![peer.to_string()] };
        match client::post::<Vec<Answer>>(socket, "/v1/lookup", &request) {
            Ok(Ok(answers)) => {
                lines.extend(
                    answers
                        .iter()
                        .flat_map(|answer| answer.to_string().lines().map(str::to_owned).collect::<Vec<_>>()),
                );
            }
            Ok(Err(refused)) => lines.extend(refused.errors),
            Err(error) => lines.push(format!("{error:#}")),
        }
        lines
    }
}

/// The question that has the packet of an event judged again, or why there is none.
fn question(record: &Record) -> Result<Question, &'static str> {
    let device = record.device.clone().ok_or("no device is known for it, so that no rule is asked")?;
    let is_from = record.direction.as_deref() == Some("to-device");
    let (ours, peer) = match is_from {
        true => (record.destination, record.source),
        false => (record.source, record.destination),
    };
    let peer = peer.ok_or("it has no far end")?.to_string();
    let service = match (record.protocol.as_deref(), record.destination_port) {
        (None, _) => return Err("it is of no protocol that rules know"),
        (Some(protocol), Some(port)) => format!("{port}/{protocol}"),
        (Some("tcp" | "udp" | "sctp"), None) => {
            return Err("it is a part of a packet that is judged as its first part was");
        }
        (Some(name @ ("icmp" | "icmpv6")), None) => name.to_owned(),
        (Some(other), None) => format!("proto/{}", other.trim_start_matches("proto/")),
    };
    let source_port = record.source_port.filter(|port| *port > 0);
    let flags = record.tcp_flags.clone();
    Ok(Question { device, peer, is_from, service, source_port, address: ours, flags })
}

/// Tells events, until nobody listens.
fn follow(socket: &Path, told: &SyncSender<Told>) {
    let path = format!("/v1/events?follow=true&limit={PAST}");
    loop {
        let mut has_begun = false;
        // Why they end, the rounds say.
        let _ended = client::lines(socket, &path, |line| {
            if !std::mem::replace(&mut has_begun, true) && told.send(Told::EventsBegin).is_err() {
                return Ok(false);
            }
            let said = match serde_json::from_slice::<Record>(line) {
                Ok(record) => Told::Event(Box::new(record)),
                Err(_) => {
                    let value: Value = serde_json::from_slice(line).unwrap_or_default();
                    Told::Missed(value.get("missed").and_then(Value::as_u64).unwrap_or(0))
                }
            };
            Ok(told.send(said).is_ok())
        });
        thread::sleep(SHORTEST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(fields: &Value) -> Record {
        let mut whole = serde_json::to_value(Record::default()).unwrap();
        for (name, value) in fields.as_object().unwrap() {
            whole[name] = value.clone();
        }
        serde_json::from_value(whole).unwrap()
    }

    #[test]
    fn an_event_becomes_the_question_about_its_packet() {
        let fields = serde_json::json!({
            "device": "ct-3", "direction": "to-device", "source": "203.0.113.9", "destination": "10.10.4.12",
            "protocol": "tcp", "source_port": 443, "destination_port": 104, "tcp_flags": "SA",
        });
        let asked = question(&record(&fields)).unwrap();
        assert_eq!(
            (asked.device.as_str(), asked.peer.as_str(), asked.is_from),
            ("ct-3", "203.0.113.9", true)
        );
        assert_eq!((asked.service.as_str(), asked.source_port), ("104/tcp", Some(443)));
        assert_eq!((asked.address, asked.flags.as_deref()), ("10.10.4.12".parse().ok(), Some("SA")));

        let with = |name: &str, value: Value| {
            let mut fields = fields.clone();
            fields[name] = value;
            question(&record(&fields))
        };
        assert!(with("device", Value::Null).is_err());
        assert!(with("destination_port", Value::Null).is_err());
        assert_eq!(with("direction", "from-device".into()).unwrap().peer, "10.10.4.12");
        let mut ping = fields.clone();
        (ping["protocol"], ping["destination_port"]) = ("icmp".into(), Value::Null);
        assert_eq!(question(&record(&ping)).unwrap().service, "icmp");
        ping["protocol"] = "47".into();
        assert_eq!(question(&record(&ping)).unwrap().service, "proto/47");
    }
}
