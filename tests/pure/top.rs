//! The live screen without a terminal: what was told and the keys that were pressed, and the cells that come of it.

use std::time::Duration;

use insta::assert_snapshot;
use iomt_filter::api::messages::{DeviceStatus, Status};
use iomt_filter::events::Record;
use iomt_filter::top::model::{Effect, Key, Model, Page, Round, Told, Unanswered, Watched};
use iomt_filter::top::view::{Theme, draw};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use serde_json::{Value, json};

const AT: &str = "2026-11-28T14:02:11Z";

fn status(number: u64) -> Value {
    json!({
        "version": "0.1.0", "contract": 9, "host": "seg-gw-1", "started": "2026-11-28T12:00:00Z", "adopted": true,
        "generation": 12, "generation_since": AT,
        "defaults": { "unknown_device": "drop", "unparsed": "drop", "midstream": "monitor" },
        "heartbeat": { "age_milliseconds": 250, "loss_after_seconds": 60 },
        "profiles": [
            { "name": "ct-scanner", "devices": 2, "on_block": "drop", "fail": "closed", "on_agent_loss": "static", "limits": {} },
            { "name": "ventilator", "devices": 1, "on_block": "drop", "fail": "open", "on_agent_loss": "open", "limits": {} },
        ],
        "interfaces": [
            { "name": "eth1", "port": "device", "mode": "native", "state": "up" },
            { "name": "eth0", "port": "uplink", "mode": "native", "state": "up" },
        ],
        "segments": [], "devices": { "enforce": 3, "monitor": 1 }, "tables": [],
        "feeds": [
            { "name": "threatfox", "state": "loaded", "age": 252, "entries": 52_013, "source": "https://feeds.example.org/threatfox" },
            { "name": "spamhaus\u{1b}[31m", "state": "held", "reason": "it lost half its entries", "age": 97_200, "entries": 1_204,
              "held": ["half of its entries are gone; `iomt-filter feed release spamhaus` lets it through"] },
        ],
        "geo": { "path": "country.mmdb", "age_days": 12, "prefixes": 512_000, "stale": false },
        "contacts": { "path": "history.db", "contacts": 0, "read": null, "error": null, "moved_aside": null },
        "frames": {
            "pass": { "established": 100_000 + 1_204 * number, "link": 12 },
            "drop": { "blocklist": 20 + 3 * number, "not-allowed": 900 },
            "would-drop": { "not-allowed": 7 },
        },
        "events": {}, "warnings": [], "failed_reload": null,
        "change": { "number": 3, "files_differ": false, "kept_because": null, "pending": null },
        "exceptions": [],
    })
}

fn devices(number: u64) -> Value {
    json!([
        { "name": "ct-3", "profile": "ct-scanner", "mode": "enforce", "mac": "00:1b:21:aa:bb:cc", "vlan": 110,
          "addresses": ["10.10.4.12", "2001:db8:10::12"], "leases": null, "fail": "closed", "on_agent_loss": "static",
          "allowed": 90_000 + 1_000 * number, "dropped": 20 + 3 * number, "would_dropped": 0,
          "reasons": { "drop": { "blocklist": 20 + 3 * number }, "pass": { "established": 90_000 + 1_000 * number } },
          "flows": { "flows": 3, "packets": 4_000, "bytes": 1_310_720 } },
        { "name": "超音波診断装置-\u{1b}[2J\u{202e}2", "profile": "ultrasound", "mode": "monitor", "mac": null, "vlan": null,
          "addresses": ["10.10.4.31"], "leases": null, "fail": "closed", "on_agent_loss": "static",
          "allowed": 10_000 + 200 * number, "dropped": 0, "would_dropped": 7,
          "reasons": { "would-drop": { "not-allowed": 7 } }, "flows": { "flows": 1, "packets": 10, "bytes": 800 } },
        { "name": "ventilator-1", "profile": "ventilator", "mode": "enforce", "mac": null, "vlan": null,
          "addresses": ["10.10.4.44"], "leases": null, "fail": "open", "on_agent_loss": "open",
          "allowed": 4 * number, "dropped": 0, "would_dropped": 0, "reasons": {}, "flows": { "flows": 0, "packets": 0, "bytes": 0 } },
        { "name": null, "profile": null, "mode": null, "mac": null, "vlan": null, "addresses": [], "leases": null,
          "fail": null, "on_agent_loss": null, "allowed": 12, "dropped": 900, "would_dropped": 0,
          "reasons": { "drop": { "not-allowed": 900 } }, "flows": { "flows": 0, "packets": 0, "bytes": 0 } },
    ])
}

fn round(number: u64) -> Round {
    Round {
        at: Duration::from_secs(number),
        rest: Duration::from_secs(1),
        status: serde_json::from_value(status(number)).unwrap(),
        loud: Vec::new(),
        devices: serde_json::from_value(devices(number)).unwrap(),
        watched: None,
    }
}

fn event(fields: &Value) -> Record {
    let mut whole = serde_json::to_value(Record::default()).unwrap();
    let usual = json!({
        "time": "2026-11-28T14:02:10.482913Z", "host": "seg-gw-1", "interface": "eth1", "port": "device", "verdict": "drop",
        "reason": "blocklist", "device": "ct-3", "profile": "ct-scanner", "direction": "from-device", "ip_version": 4,
        "source": "10.10.4.12", "destination": "203.0.113.9", "protocol": "tcp", "source_port": 49_152,
        "destination_port": 443, "tcp_flags": "S", "length": 74, "country": "RU", "feed": "threatfox",
        "entry": "203.0.113.9/32", "score": 100, "generation": 12, "count": 1,
    });
    for (name, value) in usual.as_object().unwrap().iter().chain(fields.as_object().unwrap()) {
        whole[name] = value.clone();
    }
    serde_json::from_value(whole).unwrap()
}

fn told(model: &mut Model, told: Told) {
    model.told(told);
}

/// A model that has heard two rounds, and some events.
fn model(width: u16, height: u16) -> Model {
    let mut model = Model::new(Duration::from_secs(1));
    model.resized(Rect::new(0, 0, width, height));
    for number in [1, 2] {
        model.tick(Duration::from_secs(number), AT.parse().unwrap());
        told(&mut model, Told::Round(Box::new(round(number))));
    }
    told(&mut model, Told::EventsBegin);
    for number in 0..9 {
        let name = if number % 2 == 0 { "ct-3" } else { "超音波診断装置-\u{1b}[2J\u{202e}2" };
        let event = event(&json!({ "device": name, "source_port": 50_000 + number, "count": number + 1 }));
        told(&mut model, Told::Event(Box::new(event)));
    }
    model
}

fn drawn(model: &Model, width: u16, height: u16) -> Buffer {
    let area = Rect::new(0, 0, width, height);
    let mut buffer = Buffer::empty(area);
    draw(model, Theme { has_colour: true }, area, &mut buffer);
    buffer
}

/// The cells as lines; the second one of a wide character has none.
fn text(buffer: &Buffer) -> String {
    let lines = (0..buffer.area.height).map(|line| {
        let mut text = String::new();
        let mut column = 0;
        while column < buffer.area.width {
            let symbol = buffer[(column, line)].symbol();
            text.push_str(symbol);
            column += if symbol.chars().all(|c| iomt_filter::top::plain::width(&c.to_string()) == 2) {
                2
            } else {
                1
            };
        }
        text.trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn screen(model: &Model) -> String {
    text(&drawn(model, model.area.width, model.area.height))
}

fn press(model: &mut Model, keys: &str) -> Option<Effect> {
    keys.chars().filter_map(|key| model.key(Key::Char(key))).last()
}

#[test]
fn a_usual_minute_at_eighty_by_twenty_four() {
    assert_snapshot!("top_usual", screen(&model(80, 24)));
}

#[test]
fn a_wide_screen_shows_more() {
    assert_snapshot!("top_wide", screen(&model(140, 40)));
}

#[test]
fn what_nobody_should_overlook_comes_first() {
    let mut model = model(80, 24);
    let mut round = round(3);
    let mut status = status(3);
    status["change"]["pending"] = json!({ "number": 13, "by": "root", "note": null, "confirm_by": AT, "left_seconds": 290, "falls_back_to": 12 });
    status["exceptions"] = json!([
        { "kind": "bypass", "scope": { "profile": "ultrasound" }, "until": AT, "note": null, "added": AT, "by": "root" },
        { "kind": "quarantine", "scope": { "device": "ct-3" }, "until": null, "note": null, "added": AT, "by": "root" },
    ]);
    status["warnings"] = json!(["the disk is nearly full", "another"]);
    round.status = serde_json::from_value(status).unwrap();
    round.loud = vec!["BY HAND     bypass of profile `ultrasound` until 14:32".to_owned()];
    told(&mut model, Told::Round(Box::new(round)));
    model.tick(Duration::from_secs(5), AT.parse().unwrap());
    assert_snapshot!("top_alarms", screen(&model));
    assert!(press(&mut model, "a").is_none());
    assert!(screen(&model).contains("the disk is nearly full"));
}

#[test]
fn a_lost_agent_is_told_with_what_goes_on_without_it_and_comes_back() {
    let mut model = model(80, 24);
    let unanswered = Unanswered {
        why: "no agent listens on `/run/iomt-filter/control.sock`; start it with `iomt-filter run`".into(),
        is_refused: false,
        is_there: false,
        judged: vec!["eth0".into(), "eth1".into()],
    };
    model.tick(Duration::from_secs(3), AT.parse().unwrap());
    told(&mut model, Told::Unanswered(unanswered));
    model.tick(Duration::from_secs(75), AT.parse().unwrap());
    assert_snapshot!("top_lost", screen(&model));

    // Counters that began anew are no rates, and neither is what came while nobody asked.
    let mut back = round(0);
    (back.at, back.status.started) = (Duration::from_secs(76), AT.parse().unwrap());
    told(&mut model, Told::Round(Box::new(back)));
    let shown = screen(&model);
    assert!(shown.contains("NEW AGENT") && shown.contains("- frames/s"), "{shown}");
    let mut next = round(1);
    (next.at, next.status.started) = (Duration::from_secs(77), AT.parse().unwrap());
    told(&mut model, Told::Round(Box::new(next)));
    assert!(screen(&model).contains("1207 frames/s"), "{}", screen(&model));
    model.tick(Duration::from_secs(100), AT.parse().unwrap());
    assert!(screen(&model).contains("NO ANSWER   for 23s"), "{}", screen(&model));
}

#[test]
fn a_device_an_event_and_a_feed_are_looked_into() {
    let mut model = model(80, 24);
    assert_eq!(model.key(Key::Enter), Some(Effect::Watch(Some("ct-3".into()))));
    let mut round = round(3);
    let flow = json!({
        "device": "ct-3", "source": "10.10.4.12", "source_port": 49_152, "destination": "10.20.0.10", "destination_port": 104,
        "protocol": "tcp", "progress": "established", "packets": 4_000, "bytes": 1_310_720, "idle_seconds": 0,
        "rule": "ct-scanner allow 1", "current": true,
    });
    let flows = vec![serde_json::from_value(flow).unwrap(); 2];
    round.watched = Some(Watched { device: "ct-3".into(), flows, events: vec![event(&json!({}))] });
    told(&mut model, Told::Round(Box::new(round)));
    assert_snapshot!("top_device", screen(&model));
    model.key(Key::End);
    assert!(screen(&model).contains("203.0.113.9:443/tcp"), "{}", screen(&model));
    assert_eq!(model.key(Key::Escape), Some(Effect::Watch(None)));

    model.key(Key::BackTab);
    model.key(Key::Down);
    let Some(Effect::Explain(number, record)) = model.key(Key::Char('e')) else { panic!("nothing is asked") };
    assert_eq!(record.source_port, Some(50_007));
    assert!(screen(&model).contains("Event drop blocklist"));
    // The answer to another question is not this one's.
    told(&mut model, Told::Explained { number: number + 1, lines: vec!["# Wrong".into()] });
    told(
        &mut model,
        Told::Explained { number, lines: vec!["# What holds".into(), "drop \u{1b}[31mblocklist".into()] },
    );
    model.key(Key::End);
    let shown = screen(&model);
    assert!(
        shown.contains("What holds") && shown.contains("drop ?[31mblocklist") && !shown.contains("Wrong"),
        "{shown}"
    );
    model.key(Key::Escape);

    model.key(Key::BackTab);
    model.key(Key::Down);
    assert_eq!(model.key(Key::Enter), None);
    assert!(screen(&model).contains("`iomt-filter feed release spamhaus`"), "{}", screen(&model));
    assert_eq!(model.page, Some(Page::Feed("spamhaus\u{1b}[31m".into())));
}

#[test]
fn only_what_is_looked_for_is_shown_and_the_chosen_device_stays_chosen() {
    let mut model = model(80, 24);
    press(&mut model, "s");
    model.key(Key::Down);
    let chosen = model.devices.chosen().unwrap().name.clone();
    let mut busy = round(3);
    busy.devices[2].allowed += 1_000_000;
    told(&mut model, Told::Round(Box::new(busy)));
    assert_eq!(model.devices.chosen().unwrap().name, chosen, "others went by");
    press(&mut model, "/VENT");
    let names: Vec<_> = model.devices.shown().map(|row| row.name.clone()).collect();
    assert_eq!(names, [Some("ventilator-1".to_owned())]);
    // Letters of the text are no keys: this one would end the screen.
    assert_eq!(press(&mut model, "q"), None);
    assert_eq!(model.devices.shown().len(), 0);
    assert_eq!(model.key(Key::Enter), None);
    screen(&model);
    assert_eq!(model.key(Key::Escape), None);
    assert_eq!(model.devices.shown().len(), 4);
    for text in ["10.10.4.31", "ultrasound", "monitor", "not-allowed", "00:1B:21"] {
        press(&mut model, &format!("/{text}"));
        model.key(Key::Enter);
        assert!((1..3).contains(&model.devices.shown().len()), "{text}");
        model.key(Key::Escape);
    }
    assert_eq!(model.key(Key::Escape), Some(Effect::Leave));
    assert_eq!(model.key(Key::Interrupt), Some(Effect::Leave));
}

#[test]
fn a_screen_that_stands_still_changes_nothing_and_loses_nothing() {
    let mut model = model(80, 24);
    assert_eq!(press(&mut model, " "), Some(Effect::Pause(true)));
    let before = screen(&model);
    told(&mut model, Told::Round(Box::new(round(9))));
    told(&mut model, Told::Event(Box::new(event(&json!({ "device": "late-1" })))));
    told(&mut model, Told::EventsBegin);
    told(&mut model, Told::Event(Box::new(event(&json!({ "device": "late-1" })))));
    let after = screen(&model);
    assert!(after.contains("1 wait") && !after.contains("late-1"), "{after}");
    assert_eq!(before.lines().take(10).collect::<Vec<_>>(), after.lines().take(10).collect::<Vec<_>>());
    assert_eq!(press(&mut model, "p"), Some(Effect::Pause(false)));
    let after = screen(&model);
    assert!(after.contains("late-1") && after.matches("203.0.113.9:443/tcp").count() == 1, "{after}");
}

#[test]
fn no_size_no_name_and_no_key_breaks_it() {
    let hostile = [
        "\u{1b}[2J",
        "\u{9b}31m",
        "a\u{301}\u{301}\u{301}",
        "\u{202e}",
        "🩻🩻",
        "\r\n",
        "\u{0}",
        "",
        &"長".repeat(300),
    ];
    let mut round = round(3);
    for (number, name) in hostile.iter().enumerate() {
        let text = Some((*name).to_owned());
        round.devices.push(DeviceStatus {
            name: Some(format!("{number}{name}")),
            profile: text.clone(),
            mode: text,
            addresses: vec![(*name).to_owned()],
            dropped: u64::MAX,
            ..DeviceStatus::default()
        });
        round.loud.push((*name).to_owned());
        round.status.feeds.push(
            json!({ "name": name, "state": name, "age": u64::MAX, "entries": u64::MAX, "held": [name] }),
        );
        round.status.frames.entry((*name).to_owned()).or_default().insert((*name).to_owned(), u64::MAX);
    }
    let keys = [
        Key::Enter,
        Key::Tab,
        Key::BackTab,
        Key::Up,
        Key::Down,
        Key::PageUp,
        Key::PageDown,
        Key::Home,
        Key::End,
        Key::Escape,
        Key::Backspace,
        Key::Char('s'),
        Key::Char('e'),
        Key::Char('a'),
        Key::Char('?'),
        Key::Char('/'),
        Key::Char('\u{1b}'),
        Key::Char('長'),
        Key::Char(' '),
    ];
    let mut random = 7_u32;
    for (width, height) in [(0, 0), (1, 1), (3, 2), (20, 5), (59, 13), (80, 24), (81, 25), (150, 50)] {
        let mut model = model(width, height);
        told(&mut model, Told::Round(Box::new(round.clone())));
        for name in hostile {
            told(
                &mut model,
                Told::Event(Box::new(event(&json!({ "device": name, "feed": name, "interface": name })))),
            );
        }
        for _ in 0..80 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            model.key(keys[random as usize / 7 % keys.len()]);
            let buffer = drawn(&model, width, height);
            let is_bad = |c: char| c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c);
            assert!(buffer.content.iter().all(|cell| !cell.symbol().contains(is_bad)), "{width}x{height}");
        }
    }
}

#[test]
fn ten_thousand_devices_are_taken_in_and_looked_through() {
    let status: Status = serde_json::from_value(status(1)).unwrap();
    let mut model = Model::new(Duration::from_secs(1));
    model.resized(Rect::new(0, 0, 80, 24));
    for number in [1_u64, 2] {
        let device = |device: u64| DeviceStatus {
            name: Some(format!("device-{device:05}")),
            profile: Some("pump".into()),
            allowed: device * number,
            dropped: (device % 7) * number,
            ..DeviceStatus::default()
        };
        let devices = (0..10_000).map(device).collect();
        let at = Duration::from_secs(number);
        let round = Round { at, rest: at, status: status.clone(), loud: Vec::new(), devices, watched: None };
        told(&mut model, Told::Round(Box::new(round)));
    }
    assert_eq!(model.devices.shown().next().unwrap().name.as_deref(), Some("device-00006"));
    model.key(Key::End);
    assert!(screen(&model).contains(">device-09996"), "{}", screen(&model));
    press(&mut model, "/-0999");
    assert_eq!(model.devices.shown().len(), 10);
}
