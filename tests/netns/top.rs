//! `top` on a terminal, beside a real agent that drops real packets.

use insta::assert_snapshot;
use iomt_filter_tests::hospital::connection::{Outcome, attempt};
use iomt_filter_tests::hospital::filter::Filter;
use iomt_filter_tests::hospital::host::HTTPS;
use iomt_filter_tests::hospital::somebody::Somebody;
use iomt_filter_tests::hospital::{Hospital, Host, Version};
use iomt_filter_tests::readme::commands_of;
use iomt_filter_tests::terminal::Terminal;
use nix::sys::signal::Signal;
use serde_json::json;

use crate::can_run;
use crate::changes::session;
use crate::hospital::{ATTEMPT, agent, build};

/// A user, and a group, that nobody is.
const STRANGER: u32 = 47_114;

fn top(filter: &Filter<'_>, size: (u16, u16)) -> Terminal {
    let mut command = filter.command(&["top"]);
    Terminal::start(command.env("TERM", "screen").env_remove("NO_COLOR"), size).unwrap()
}

fn blocked(hospital: &Hospital) {
    let c2 = Host::C2.at(Version::V4, HTTPS);
    assert_eq!(attempt(&hospital[Host::Ct], c2, ATTEMPT).unwrap(), Outcome::NoAnswer);
}

/// The screen without its first two lines, with `#` for numbers that end a column and for times, and without reasons,
/// of which a network has what it likes.
fn masked(screen: &str) -> String {
    let mut lines = Vec::new();
    for line in screen.lines().skip(2) {
        let mut masked = String::new();
        let mut rest = line;
        while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
            let (before, number) = rest.split_at(start);
            let end = number.find(|c: char| !c.is_ascii_digit() && !".:kMG".contains(c));
            let (number, after) = number.split_at(end.unwrap_or(number.len()));
            masked.push_str(before);
            let is_time = number.matches(':').count() == 2 && masked.trim_start().is_empty();
            match is_time || masked.ends_with("  ") {
                true => masked.push_str(&format!("{:>1$}", '#', number.len())),
                false => masked.push_str(number),
            }
            rest = after;
        }
        lines.push(masked + rest);
    }
    let is_reasons = |line: &String| line.starts_with(" VERDICT");
    let first = lines.iter().position(is_reasons).unwrap() + 1;
    for line in lines.iter_mut().skip(first).take(4) {
        *line = format!(" (a reason){:29}{}", "", line.get(40..).unwrap_or_default()).trim_end().to_owned();
    }
    lines.join("\n")
}

#[test]
fn what_is_dropped_is_seen_looked_into_and_explained() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let mut filter = Filter::configure(&hospital, &agent()).unwrap();
    filter.open_to_everybody().unwrap();
    filter.start().unwrap();
    let mut terminal = top(&filter, (80, 24));
    let screen = terminal.wait_for("no change is pending").unwrap();
    assert!(screen.contains("4/4 ports judged") && screen.contains("threats"), "{screen}");
    assert!(screen.contains("pump-1") && screen.contains("(countries)"), "{screen}");
    assert!(screen.lines().count() == 24 && screen.lines().last().unwrap().starts_with("q end"), "{screen}");

    blocked(&hospital);
    terminal.press("/BlockList\r").unwrap();
    let is_told = |screen: &str| screen.contains("drop blocklist ct-1 → 203.0.113.9:443/tcp");
    terminal
        .wait_until("the event", |screen| is_told(screen) && screen.contains("drop       blocklist"))
        .unwrap();
    // Rates are those of the last second: wait for one in which nothing came.
    let is_quiet = |screen: &str| {
        let mut lines = screen.lines();
        is_told(screen) && lines.any(|line| line.starts_with(">ct-1") && line.contains("    0 "))
    };
    let screen = terminal.wait_until("a second without drops", is_quiet).unwrap();
    assert_snapshot!("top", masked(&screen));

    terminal.press("\r").unwrap();
    let page = terminal.wait_for("Latest events").unwrap();
    for expected in
        ["Device ct-1", "ct-scanner", "10.10.0.11", "drop        blocklist", "static without an agent"]
    {
        assert!(page.contains(expected), "`{expected}`:\n{page}");
    }
    // Back, to the events, and into the latest one.
    terminal.press("\u{1b}").unwrap();
    terminal.wait_for("LATEST EVENTS").unwrap();
    terminal.press("\u{1b}[Z\u{1b}[Be").unwrap();
    terminal.wait_for("Event drop blocklist").unwrap();
    terminal.resize((100, 70)).unwrap();
    let page = terminal.wait_for("What is known of 203.0.113.9").unwrap();
    for expected in [
        "What the program says of such a packet now",
        "threats 203.0.113.9/32 score 90",
        "drop blocklist, generation",
    ] {
        assert!(page.contains(expected), "`{expected}`:\n{page}");
    }
    // Out of the page, then out of the screen.
    terminal.press("q").unwrap();
    terminal.wait_for("LATEST EVENTS").unwrap();
    terminal.press("q").unwrap();
    assert!(terminal.wait().unwrap().success());
    filter.remove().unwrap();
}

#[test]
fn changes_and_lost_agents_are_told_and_the_screen_goes_on() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let mut filter = Filter::configure(&hospital, &agent()).unwrap();
    filter.open_to_everybody().unwrap();
    filter.start().unwrap();
    let (_pacs, session) = session(&hospital);
    let flows = |device: &str| filter.get(&format!("/v1/flows?device={device}")).unwrap().1;
    assert_eq!((flows("ct-1").as_array().unwrap().len(), flows("pump-1")), (1, json!([])));
    let devices = filter.get("/v1/devices?flows=true").unwrap().1;
    let totals =
        |name: &str| &devices.as_array().unwrap().iter().find(|it| it["name"] == name).unwrap()["flows"];
    assert_eq!((&totals("ct-1")["flows"], &totals("pump-1")["bytes"]), (&json!(1), &json!(0)));
    assert!(totals("ct-1")["bytes"].as_u64() > totals("ct-1")["packets"].as_u64(), "{devices}");
    assert!(filter.get("/v1/devices").unwrap().1[0].get("flows").is_none(), "nobody asked for them");

    let mut terminal = top(&filter, (100, 40));
    terminal.wait_for("no change is pending").unwrap();
    terminal.press("/ct-1\r\r").unwrap();
    terminal.wait_for("→ 10.20.0.10 104/tcp: 1 flows").unwrap();
    terminal.press("q\u{1b}").unwrap();
    terminal.wait_for("pump-1").unwrap();
    drop(session);
    filter
        .tell(&["bypass", "--device", "pump-1", "--for", "30m", "--note", "\u{1b}[2J\u{202e}test"])
        .unwrap();
    terminal.wait_for("BYPASS").unwrap();
    terminal.wait_for("BY HAND     bypass of device `pump-1`").unwrap();
    filter.tell(&["apply", "--confirm-within", "5m"]).unwrap();
    let screen = terminal.wait_for("PENDING     4m").unwrap();
    assert!(screen.contains("`iomt-filter confirm` keeps"), "{screen}");
    filter.tell(&["confirm"]).unwrap();
    terminal.wait_until("no change to be pending", |screen| !screen.contains("PENDING")).unwrap();
    let erased = b"\x1b[2J\xe2\x80\xae";
    assert!(
        !terminal.bytes().windows(erased.len()).any(|bytes| bytes == erased),
        "a note reached the terminal"
    );

    filter.kill().unwrap();
    let screen = terminal.wait_for("NO AGENT").unwrap();
    assert!(screen.contains("JUDGED ON   port-ct") && screen.contains("pump-1"), "{screen}");
    // Smaller than it can be used, and back.
    for size in [(20, 5), (1, 1), (80, 24)] {
        terminal.resize(size).unwrap();
    }
    filter.start().unwrap();
    terminal.wait_for("NEW AGENT").unwrap();
    terminal.wait_until("the agent to answer", |screen| !screen.contains("NO AGENT")).unwrap();

    // As the page about it says.
    for command in commands_of("docs/top.md", "screen") {
        let arguments: Vec<&str> = command.iter().map(String::as_str).collect();
        let mut documented = Terminal::start(&filter.command(&arguments), (80, 24)).unwrap();
        documented.wait_for("ports judged").unwrap();
        documented.press("q").unwrap();
        assert!(documented.wait().unwrap().success(), "{command:?}");
    }

    // Somebody who may not ask is told who may.
    let stranger = Somebody::new(STRANGER, &[]);
    let mut command = stranger.runs(&filter.command(&["top"]));
    let refused = Terminal::start(command.env("TERM", "xterm"), (80, 24)).unwrap();
    refused.wait_for("NOT ALLOWED").unwrap();
    terminal.signal(Signal::SIGTERM).unwrap();
    assert!(terminal.wait().unwrap().success());
    terminal.wait_until("the terminal as it was", |_| terminal.is_as_before().unwrap()).unwrap();
    filter.remove().unwrap();
}
