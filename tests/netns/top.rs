//! `top` on a terminal, beside a real agent that drops real packets.

use insta::assert_snapshot;
use iomt_filter_tests::hospital::connection::{Outcome, attempt};
use iomt_filter_tests::hospital::filter::Filter;
use iomt_filter_tests::hospital::host::HTTPS;
use iomt_filter_tests::hospital::somebody::Somebody;
use iomt_filter_tests::hospital::{Hospital, Host, Version};
use iomt_filter_tests::terminal::Terminal;
use nix::sys::signal::Signal;

use crate::can_run;
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

/// The screen with `#` for numbers. Those that end a column keep their place.
fn masked(screen: &str, host: &str) -> String {
    let mut lines = Vec::new();
    for line in screen.replace(host, "HOST").lines() {
        let mut masked = String::new();
        let mut rest = line;
        while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
            let (before, number) = rest.split_at(start);
            let end =
                number.find(|c: char| !c.is_ascii_digit() && !".kMG".contains(c)).unwrap_or(number.len());
            masked.push_str(before);
            if masked.ends_with("  ") {
                masked.push_str(&" ".repeat(end - 1));
            }
            masked.push('#');
            rest = &number[end..];
        }
        lines.push(masked + rest);
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
    assert!(screen.contains("4/4 interfaces judged") && screen.contains("threats"), "{screen}");
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
    let host = filter.json(&["status"]).unwrap()["host"].as_str().unwrap().to_owned();
    let body: Vec<&str> = screen.lines().skip(2).collect();
    assert_snapshot!("top", masked(&body.join("\n"), &host));

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
    let mut terminal = top(&filter, (100, 40));
    terminal.wait_for("no change is pending").unwrap();
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
