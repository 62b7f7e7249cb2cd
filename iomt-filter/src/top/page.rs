//! What stands on a page: a device, a feed, an event, the alarms, the keys, as lines.
//!
//! What the screen knows comes in, lines of at most so many columns go out.

use std::collections::BTreeMap;

use serde_json::Value;

use super::model::{Link, Model, Page, Round, Watched};
use super::plain::{count, lasting, short, wrapped};
use crate::api::messages::{DeviceStatus, FlowStatus};
use crate::events::Record;

/// How much an alarm, or a line, matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Something does not work, or somebody has to act.
    Bad,
    /// Something is out of the ordinary.
    Odd,
    /// All is well.
    Well,
}

/// A line of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// What the lines below it are about.
    Heading(String),
    /// Anything else.
    Text(String),
}

/// Something that nobody should overlook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// How much it matters.
    pub level: Level,
    /// What it is.
    pub text: String,
}

/// Flows and events of a device that are shown.
const SHOWN: usize = 50;

/// What nobody should overlook, the gravest first; that there is nothing, where there is nothing.
#[must_use]
pub fn alarms(model: &Model) -> Vec<Alarm> {
    let mut alarms = Vec::new();
    let mut alarm = |level, text: String| alarms.push(Alarm { level, text });
    if let Link::Silent(since, unanswered) = &model.link {
        let word = match (unanswered.is_refused, unanswered.is_there) {
            (true, _) => "NOT ALLOWED",
            (false, true) => "NO ANSWER",
            (false, false) => "NO AGENT",
        };
        let lasted = lasting(model.now.saturating_sub(*since).as_secs());
        alarm(Level::Bad, format!("{word:<11} for {lasted}, asked again: {}", unanswered.why));
        if !unanswered.judged.is_empty() {
            let judged = unanswered.judged.join(", ");
            alarm(Level::Odd, format!("JUDGED ON   {judged}: by what was loaded last, nothing is recorded"));
        }
        if let Some(open) = model.round.as_ref().and_then(open_without_agent) {
            alarm(Level::Bad, open);
        }
    }
    if let Some(seconds) = model.silence() {
        alarm(Level::Bad, format!("NO ANSWER   for {}, what is shown is as old", lasting(seconds)));
    }
    let Some(round) = &model.round else {
        if alarms.is_empty() {
            alarms
                .push(Alarm { level: Level::Odd, text: "ASKING      the agent has not answered yet".into() });
        }
        return alarms;
    };
    if let (Some(pending), Some(left)) = (&round.status.change.pending, model.left()) {
        let (left, number, by) = (lasting(left), pending.number, &pending.by);
        let back = pending.falls_back_to.map(|to| format!(", else {to} holds again")).unwrap_or_default();
        let text = format!(
            "PENDING     {left} left: `iomt-filter confirm` keeps it, `rollback` takes it back; {number} by {by}{back}"
        );
        alarm(Level::Bad, text);
    }
    round.loud.iter().for_each(|line| alarm(Level::Bad, line.clone()));
    if model.is_renewed() {
        alarm(Level::Odd, format!("NEW AGENT   since {:.0}: rates begin anew", round.status.started));
    }
    if let Some(failed) = &round.status.failed_reload {
        let why = failed.errors.first().map(String::as_str).unwrap_or_default();
        alarm(Level::Odd, format!("RELOAD      failed at {:.0}, what ran before goes on: {why}", failed.at));
    }
    if round.status.change.files_differ {
        alarm(
            Level::Odd,
            "FILES       say something else than what holds: `iomt-filter plan` shows what".into(),
        );
    }
    for sink in round.status.sinks.iter().filter(|sink| sink.state != "up") {
        alarm(Level::Odd, format!("SINK        {} is {} since {:.0}", sink.name, sink.state, sink.since));
    }
    round.status.warnings.iter().for_each(|warning| alarm(Level::Odd, format!("WARNING     {warning}")));
    if alarms.is_empty() {
        let text = "no change is pending, nothing holds by hand, every interface is judged";
        alarms.push(Alarm { level: Level::Well, text: text.to_owned() });
    }
    alarms
}

/// Profiles that pass everything once the agent has been missing too long.
fn open_without_agent(round: &Round) -> Option<String> {
    let profiles = round.status.profiles.iter().filter(|profile| profile.on_agent_loss == "open");
    let names: Vec<_> = profiles.map(|profile| profile.name.as_str()).collect();
    let after = round.status.heartbeat.loss_after_seconds;
    (!names.is_empty()).then(|| format!("OPEN        after {after} s without an agent: {}", names.join(", ")))
}

/// What the page is called.
#[must_use]
pub fn title(page: &Page) -> String {
    match page {
        Page::Help => "Keys".to_owned(),
        Page::Alarms => "What nobody should overlook".to_owned(),
        Page::Device(name) => format!("Device {name}"),
        Page::Feed(name) => format!("Feed {name}"),
        Page::Event(_, record, _) => format!("Event {} {}", record.verdict, record.reason),
    }
}

/// The lines of the page that is shown, of at most so many columns.
#[must_use]
pub fn lines(model: &Model, columns: usize) -> Vec<Line> {
    let mut text = Text { lines: Vec::new(), columns };
    match &model.page {
        None => {}
        Some(Page::Help) => HELP.iter().for_each(|line| text.say(line)),
        Some(Page::Alarms) => alarms(model).iter().for_each(|alarm| text.say(&alarm.text)),
        Some(Page::Device(name)) => device(&mut text, model, name),
        Some(Page::Feed(name)) => feed(&mut text, model, name),
        Some(Page::Event(_, record, answer)) => event(&mut text, record, answer.as_deref()),
    }
    text.lines
}

struct Text {
    lines: Vec<Line>,
    columns: usize,
}

impl Text {
    fn head(&mut self, heading: &str) {
        if !self.lines.is_empty() {
            self.lines.push(Line::Text(String::new()));
        }
        self.lines.push(Line::Heading(heading.to_owned()));
    }

    fn say(&mut self, text: impl AsRef<str>) {
        self.lines.extend(wrapped(text.as_ref(), self.columns).into_iter().map(Line::Text));
    }

    fn fact(&mut self, name: &str, value: impl AsRef<str>) {
        self.say(format!("  {name:<11} {}", value.as_ref()));
    }
}

const HELP: [&str; 20] = [
    "It looks, and changes nothing.",
    "",
    "  Tab, Shift-Tab         the next pane, the one before",
    "  Up Down, k j           a line up, down",
    "  PgUp PgDn              as many lines as are shown",
    "  Home End, g G          the first, the last line",
    "  s                      order devices by dropped frames a second, frames a",
    "                         second, bytes of remembered flows, dropped frames, name",
    "  /                      show only devices and events that hold a text: name,",
    "                         profile, mode, address, reason; any word of an event",
    "  Esc                    show everything again; leave a page; end",
    "  Enter                  look into a device or a feed, explain an event, show only",
    "                         devices and events with that reason",
    "  e                      explain the event that is chosen",
    "  a                      every alarm in full",
    "  space, p               stand still, go on",
    "  ?                      this page",
    "  q, Ctrl-C              end",
    "",
    "A rate is that of the last interval; it is `-` until two answers are there.",
];

fn device(text: &mut Text, model: &Model, name: &str) {
    let Some(round) = &model.round else { return text.say("the agent has not answered yet") };
    let Some(status) = round.devices.iter().find(|device| device.name.as_deref() == Some(name)) else {
        return text.say("it is not in the inventory any more");
    };
    let or_none = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
    text.head("What it is");
    text.fact("profile", or_none(&status.profile));
    text.fact("mode", or_none(&status.mode));
    if let Some(row) = model.devices.of_name(name) {
        if Some(&row.mode) != status.mode.as_ref() {
            text.fact("by hand", format!("{}; `iomt-filter release` ends it", row.mode));
        }
        let rate = |rate: Option<f64>| rate.map_or("-".to_owned(), short);
        text.fact("rates", format!("{} frames/s, {} dropped/s", rate(row.rate), rate(row.drop_rate)));
        text.fact("addresses", row.addresses.join(" "));
    }
    text.fact("hardware", or_none(&status.mac));
    if let Some(vlan) = status.vlan {
        text.fact("vlan", vlan.to_string());
    }
    let (fail, loss) = (or_none(&status.fail), or_none(&status.on_agent_loss));
    text.fact("fail", format!("{fail} where policy cannot be evaluated, {loss} without an agent"));
    text.head("Frames by verdict and reason");
    counters(text, status);
    let watched = round.watched.as_ref().filter(|watched| watched.device == name);
    let Some(Watched { flows, events, .. }) = watched else {
        text.head("Flows");
        let is_asked = !model.is_paused;
        return text.say(if is_asked {
            "  asked for"
        } else {
            "  not asked for while the screen stands still"
        });
    };
    talks(text, flows);
    text.head("Latest events");
    if events.is_empty() {
        text.say("  none");
    }
    events.iter().rev().take(SHOWN).for_each(|record| text.say(format!("  {record}")));
}

fn counters(text: &mut Text, status: &DeviceStatus) {
    let all = status.reasons.iter().flat_map(|(verdict, reasons)| {
        reasons.iter().map(move |(reason, frames)| (verdict, reason, *frames))
    });
    let mut all: Vec<_> = all.filter(|(_, _, frames)| *frames > 0).collect();
    all.sort_by_key(|(verdict, _, frames)| (verdict.as_str() == "pass", std::cmp::Reverse(*frames)));
    if all.is_empty() {
        text.say("  none yet");
    }
    for (verdict, reason, frames) in all {
        text.say(format!("  {verdict:<11} {reason:<16} {frames:>12}"));
    }
}

/// What flows have in common: source, destination, its port, protocol and rule.
type Talk<'f> = (&'f str, &'f str, Option<u16>, &'f str, Option<&'f str>);

/// Flows by far end and service, those with the most bytes first.
fn talks(text: &mut Text, flows: &[FlowStatus]) {
    text.head(&format!("Flows, {}", flows.len()));
    let mut together: BTreeMap<Talk<'_>, (u64, u64, u64)> = BTreeMap::new();
    for flow in flows {
        let key = (
            flow.source.as_str(),
            flow.destination.as_str(),
            flow.destination_port,
            flow.protocol.as_str(),
            flow.rule.as_deref(),
        );
        let sums = together.entry(key).or_default();
        *sums = (sums.0 + 1, sums.1 + flow.packets, sums.2 + flow.bytes);
    }
    let mut together: Vec<_> = together.into_iter().collect();
    together.sort_by_key(|(_, (_, _, bytes))| std::cmp::Reverse(*bytes));
    if together.is_empty() {
        text.say("  none");
    }
    for ((source, destination, port, protocol, rule), (flows, packets, bytes)) in together.iter().take(SHOWN)
    {
        let service = port.map_or_else(|| (*protocol).to_owned(), |port| format!("{port}/{protocol}"));
        let rule = rule.map(|rule| format!(", rule {rule}")).unwrap_or_default();
        let (packets, bytes) = (count(*packets), count(*bytes));
        text.say(format!(
            "  {source} → {destination} {service}: {flows} flows, {packets} packets, {bytes} bytes{rule}"
        ));
    }
    if together.len() > SHOWN {
        text.say(format!("  and {} more: `iomt-filter flows --device`", together.len() - SHOWN));
    }
}

fn feed(text: &mut Text, model: &Model, name: &str) {
    let Some(row) = model.feeds.iter().find(|row| row.name == name) else {
        return text.say("it is not configured any more");
    };
    text.fact("state", &row.state);
    text.fact("age", row.age.map_or("not known".to_owned(), lasting));
    text.fact("entries", row.entries.map_or("-".to_owned(), |entries| entries.to_string()));
    for remark in &row.remarks {
        match remark.split_once(": ") {
            Some((name, value)) => text.fact(name, value),
            None => text.say(remark),
        }
    }
}

/// Whether the program can be asked about such a packet: there was one, and it has two ends.
#[must_use]
pub fn is_about_a_packet(record: &Record) -> bool {
    record.source.is_some() && record.destination.is_some()
}

fn event(text: &mut Text, record: &Record, answer: Option<&[String]>) {
    text.head("What was recorded");
    text.say(format!("  {record}"));
    if let Ok(Value::Object(fields)) = serde_json::to_value(record) {
        for (name, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            text.say(format!("  {name:<16} {value}"));
        }
    }
    match answer {
        Some(answer) => {
            for line in answer {
                match line.strip_prefix("# ") {
                    Some(heading) => text.head(heading),
                    None => text.say(format!("  {line}")),
                }
            }
        }
        None if is_about_a_packet(record) => {
            text.head("What holds now");
            text.say("  asked for");
        }
        None => {
            text.head("What holds now");
            text.say("  it is no packet with two ends: `docs/reasons.md` says what its reason means");
        }
    }
}
