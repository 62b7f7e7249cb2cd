//! CrowdSec's decisions: the stream of its local API, its decisions or alerts as an array, and files for
//! `cscli decisions import`.
//!
//! Bytes come in; bans of addresses and ranges go out, with their end, and what the stream takes back. Simulated
//! decisions, other remedies and other scopes are of no use here and counted.

use std::borrow::Cow;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::banner::Banner;
use super::collect::{Collector, Facts, Place, given, kept, refused};
use super::document::{self, Step};
use super::table::Table;
use super::target::{self, Target};
use super::{Format, Parsed, Reading, RejectReason, category, moment, plain};
use crate::feeds::About;

/// How long a decision of a file holds that does not say it.
const USUAL_DURATION: SignedDuration = SignedDuration::from_hours(4);

/// Reads a list.
pub(super) fn parse(reading: &Reading, bytes: &[u8]) -> Parsed {
    let mut collector = Collector::new(Format::Crowdsec, reading);
    let start = bytes.trim_ascii();
    if start.starts_with(b"{") || start.starts_with(b"[") || start == b"null" {
        return json(collector, bytes);
    }
    let mut lines = start.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii);
    let first = lines.find(|line| !line.is_empty() && !line.starts_with(b"#")).unwrap_or_default();
    if !first.contains(&b',') {
        return plain::read(collector, bytes, None);
    }
    let table = Table::named(bytes, b',', &["value"], &[]);
    let found = table.rows(&mut collector, |collector, row| {
        add(collector, row.place, &|name| row.get(name).map(Cow::into_owned));
    });
    Banner::of(bytes, b"#").remark(found, &mut collector);
    collector.finish()
}

fn json(mut collector: Collector, bytes: &[u8]) -> Parsed {
    let is_stream = bytes.trim_ascii_start().starts_with(b"{");
    let places: &[&[&str]] = if is_stream { &[&["new", "*"], &["deleted", "*"]] } else { &[&["*"]] };
    let mut line = 0;
    let walked = document::take(bytes, places, &mut |path, record| {
        let is_deleted = matches!(path, [Step::Key(key), _] if key == "deleted");
        let mut decision = |collector: &mut Collector, record: &Value| {
            line += 1;
            let get = |name: &str| document::member(record, name);
            let text = [get("scope"), get("value")].map(Option::unwrap_or_default).join(" ");
            let place = Place { line, text: &text };
            if is_deleted { withdraw(collector, place, &get) } else { add(collector, place, &get) }
        };
        // An alert has its decisions in it.
        match record.get("decisions") {
            Some(Value::Array(decisions)) => {
                decisions.iter().for_each(|record| decision(&mut collector, record))
            }
            Some(Value::Null) => {}
            _ => decision(&mut collector, &record),
        }
    });
    let is_quiet = || bytes.trim_ascii() == b"null" || document::is_empty_list(bytes, &["new", "deleted"]);
    match walked {
        Ok(()) if line == 0 && !is_quiet() => refused(Format::Crowdsec, bytes, 1, RejectReason::Answer),
        Ok(()) => collector.finish(),
        Err(broken) => refused(Format::Crowdsec, bytes, broken.line, RejectReason::BrokenJson),
    }
}

fn add(collector: &mut Collector, place: Place<'_>, get: &dyn Fn(&str) -> Option<String>) {
    let target = match target(get) {
        Ok(target) => target,
        Err(reason) => return collector.reject(place, reason),
    };
    if get("simulated").is_some_and(|text| text == "true") {
        return collector.reject(place, RejectReason::Simulated);
    }
    if get("type").is_some_and(|kind| !kind.eq_ignore_ascii_case("ban")) {
        return collector.reject(place, RejectReason::NoBan);
    }
    let expires = match end(collector.now(), get("until").as_deref(), get("duration").as_deref()) {
        Ok(expires) => expires,
        Err(reason) => return collector.reject(place, reason),
    };
    let scenario = get("scenario").or_else(|| get("reason"));
    let id = get("uuid").or_else(|| get("id"));
    let about = About {
        category: given(scenario.as_deref()).map(category::of),
        first_seen: None,
        last_seen: None,
        expires: Some(expires),
        reference: kept(id.as_deref()),
        label: kept(scenario.as_deref()),
    };
    collector.target(place, target, Facts { about, ..Facts::default() });
}

fn withdraw(collector: &mut Collector, place: Place<'_>, get: &dyn Fn(&str) -> Option<String>) {
    match target(get) {
        Ok(Target::Network { network, .. }) => collector.withdraw([network]),
        Ok(Target::Range(networks)) => collector.withdraw(networks),
        Ok(Target::Domain { .. }) => collector.reject(place, RejectReason::Kind),
        Err(reason) => collector.reject(place, reason),
    }
}

/// What a decision is about. Scopes are written in whichever case.
fn target(get: &dyn Fn(&str) -> Option<String>) -> Result<Target, RejectReason> {
    let value = get("value");
    let value = given(value.as_deref()).ok_or(RejectReason::NoValue)?;
    match get("scope").unwrap_or_else(|| "ip".to_owned()).to_ascii_lowercase().as_str() {
        "ip" | "range" => match target::read(value)? {
            target @ (Target::Network { .. } | Target::Range(_)) => Ok(target),
            Target::Domain { .. } => Err(RejectReason::Kind),
        },
        "as" => Err(RejectReason::AsNumber),
        _ => Err(RejectReason::Scope),
    }
}

/// When a decision ends: at `until`, or `duration` after it was fetched.
fn end(now: Timestamp, until: Option<&str>, duration: Option<&str>) -> Result<Timestamp, RejectReason> {
    if let Some(until) = given(until).and_then(moment::timestamp) {
        return Ok(until);
    }
    let duration = match given(duration) {
        Some(text) => moment::go_duration(text).ok_or(RejectReason::Duration)?,
        None => USUAL_DURATION,
    };
    // What ends beyond the calendar does not end.
    let furthest = if duration.is_negative() { Timestamp::MIN } else { Timestamp::MAX };
    Ok(now.checked_add(duration).unwrap_or(furthest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feeds::Category;

    fn read(text: &str) -> Parsed {
        let now = "2026-07-04T12:00:00Z".parse().unwrap();
        parse(&Reading { now, ..Reading::default() }, text.as_bytes())
    }

    fn entries(parsed: &Parsed) -> Vec<(String, String)> {
        let end = |entry: &crate::feeds::Entry| {
            entry.about.as_ref().and_then(|about| about.expires).map(|at| at.to_string()).unwrap_or_default()
        };
        parsed.entries.iter().map(|entry| (entry.network.to_string(), end(entry))).collect()
    }

    #[test]
    fn the_stream_adds_and_takes_back() {
        let parsed = read(
            r#"{"deleted":[{"duration":"-1h","id":9,"origin":"cscli","scenario":"c2","scope":"ip","type":"ban","value":"192.0.2.7/32"},
             {"duration":"-1h","scope":"Ip","type":"ban","value":"192.0.2.9"},{"scope":"Country","value":"XX"}],
            "new":[{"duration":"3h59m59.326s","id":1,"origin":"cscli","scenario":"crowdsecurity/ssh-bf","scope":"Ip","type":"ban","value":"192.0.2.9"},
             {"duration":"1h","until":"2026-07-05T00:00:00Z","scope":"Range","type":"ban","value":"198.51.100.0/24"},
             {"duration":"1h","scope":"Country","type":"ban","value":"XX"},{"duration":"1h","scope":"AS","type":"ban","value":"64496"},
             {"duration":"1h","scope":"Ip","type":"ban","value":"192.0.2.1","simulated":true},{"duration":"1h","scope":"Ip","type":"captcha","value":"192.0.2.2"},
             {"duration":"-3s","scope":"Ip","type":"ban","value":"192.0.2.3"},{"duration":"soon","scope":"Ip","type":"ban","value":"192.0.2.4"},
             {"duration":"1h","scope":"Ip","type":"ban","value":"evil.example"},{}]}"#,
        );
        assert_eq!(
            entries(&parsed),
            [
                ("192.0.2.9/32".into(), "2026-07-04T15:59:59.326Z".into()),
                ("198.51.100.0/24".into(), "2026-07-05T00:00:00Z".into())
            ]
        );
        assert_eq!(parsed.withdrawn, ["192.0.2.7/32".parse::<ipnet::IpNet>().unwrap()]);
        assert_eq!(parsed.entries[0].about.as_ref().unwrap().category, Some(Category::Bruteforce));
        use RejectReason::{AsNumber, Duration, Expired, Kind, NoBan, NoValue, Scope, Simulated};
        let reasons: Vec<_> = parsed.rejects.iter().map(|reject| (reject.line, reject.reason)).collect();
        assert_eq!(
            reasons,
            [
                (3, Scope),
                (6, Scope),
                (7, AsNumber),
                (8, Simulated),
                (9, NoBan),
                (10, Expired),
                (11, Duration),
                (12, Kind),
                (13, NoValue)
            ]
        );
        for quiet in [r#"{"deleted":null,"new":null}"#, "null", "[]"] {
            let parsed = read(quiet);
            assert_eq!((parsed.entries.len(), parsed.rejects.len()), (0, 0), "{quiet}");
        }
    }

    #[test]
    fn an_error_is_no_empty_list() {
        let parsed = read(r#"{"message":"access forbidden"}"#);
        assert_eq!(parsed.rejects[0].reason, RejectReason::Answer);
    }

    #[test]
    fn files_of_its_command_line_are_read() {
        let four = "2026-07-04T16:00:00Z";
        let csv = "origin,scope,value,reason,type,duration\ncscli,ip,192.0.2.16,manual import,ban,1h\ncscli,,192.0.2.17,,,\n";
        let parsed = read(csv);
        assert_eq!(
            entries(&parsed),
            [("192.0.2.16/32".into(), "2026-07-04T13:00:00Z".into()), ("192.0.2.17/32".into(), four.into())]
        );
        let parsed =
            read("[{\"value\":\"192.0.2.16\"},\n{\"id\":1,\"decisions\":[{\"value\":\"192.0.2.17\"}]}]");
        assert_eq!(
            entries(&parsed),
            [("192.0.2.16/32".into(), four.into()), ("192.0.2.17/32".into(), four.into())]
        );
        assert_eq!(read("192.0.2.16\n").entries.len(), 1);
        assert_eq!(read("scope,reason\nip,x\n").rejects.len(), 2);
    }
}
