//! `top` on a terminal without an agent, and where there is no terminal.

use std::process::Command;

use iomt_filter::top::screen::Screen;
use iomt_filter_tests::terminal::Terminal;
use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::program;

/// Names this test to itself, on a terminal.
const ON_A_TERMINAL: &str = "IOMT_FILTER_TEST_PANICS";

/// A configuration whose agent does not run.
fn nobody() -> (TempDir, Command) {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.toml");
    let path = folder.path().display();
    let text = format!(
        "[interfaces]\ndevice = [\"eth1\"]\n[paths]\nsocket = \"{path}/control.sock\"\npins = \"{path}/pins\"\n"
    );
    std::fs::write(&config, text).unwrap();
    let mut command = program::command();
    command.arg("--config").arg(config).arg("top").env("TERM", "linux").env_remove("NO_COLOR");
    (folder, command)
}

#[test]
fn where_it_cannot_draw_it_says_what_to_ask_instead() {
    let instead = "ask `iomt-filter status`, `devices` and `events --follow` instead";
    let (_folder, mut command) = nobody();
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(2), &b""[..]));
    assert_eq!(
        said,
        format!("error: standard output is no terminal, `top` has nowhere to draw; {instead}\n")
    );

    for (arguments, expected) in [
        (
            &["top", "--output", "json"][..],
            "error: `top` is a screen for people; ask `status`, `devices` or `events --follow` with `--output json` instead\n",
        ),
        (
            &["top", "--interval", "0s"],
            "error: `--interval 0s`: the agent is asked once a second at most, and once an hour at least\n",
        ),
        (
            &["top", "--interval", "soon"],
            "error: `--interval soon`: `soon` is no length of time; write a number and a unit, as in `30s`, `15m`, `1h`, `90d` or `2w`\n",
        ),
    ] {
        let answer = program::run(arguments);
        assert_eq!((answer.code, answer.stderr.as_str()), (2, expected));
    }

    let (_folder, mut command) = nobody();
    let mut terminal = Terminal::start(command.env("TERM", "dumb"), (80, 24)).unwrap();
    assert_eq!(terminal.wait().unwrap().code(), Some(2));
    assert!(terminal.wait_for("cannot be drawn on").unwrap().contains("events --follow"));
}

#[test]
fn without_an_agent_it_waits_and_says_so() {
    let (_folder, mut command) = nobody();
    let mut terminal = Terminal::start(&command, (80, 24)).unwrap();
    let screen = terminal.wait_for("NO AGENT").unwrap();
    assert!(screen.contains("no agent listens on"), "{screen}");
    assert!(terminal.has_colour(), "it is an alarm");
    terminal.press("?").unwrap();
    terminal.wait_for("It looks, and changes nothing.").unwrap();
    terminal.press("\u{1b}[6~").unwrap();
    terminal.wait_for("3-21 of 21").unwrap();
    terminal.press("\u{1b}").unwrap();
    terminal.wait_for("LATEST EVENTS").unwrap();
    terminal.press("q").unwrap();
    assert!(terminal.wait().unwrap().success());
    terminal.wait_until("the terminal as it was", |_| terminal.is_as_before().unwrap()).unwrap();

    // The same without colours: nothing is missing but them.
    let plain = Terminal::start(command.env("NO_COLOR", "1"), (80, 24)).unwrap();
    plain.wait_for("NO AGENT").unwrap();
    assert!(!plain.has_colour());
}

#[test]
fn a_terminal_is_given_back_after_a_signal_and_after_control_c() {
    let (_folder, command) = nobody();
    for signal in [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT] {
        let mut terminal = Terminal::start(&command, (80, 24)).unwrap();
        terminal.wait_for("NO AGENT").unwrap();
        assert!(!terminal.is_as_before().unwrap());
        terminal.signal(signal).unwrap();
        assert!(terminal.wait().unwrap().success(), "{signal}");
        terminal.wait_until("the terminal as it was", |_| terminal.is_as_before().unwrap()).unwrap();
    }
    let mut terminal = Terminal::start(&command, (80, 24)).unwrap();
    terminal.wait_for("NO AGENT").unwrap();
    terminal.press("/abc\u{3}").unwrap();
    assert!(terminal.wait().unwrap().success());
    terminal.wait_until("the terminal as it was", |_| terminal.is_as_before().unwrap()).unwrap();
}

#[test]
fn a_terminal_is_given_back_after_a_panic() {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "top::panics_on_a_terminal", "--nocapture"]);
    command.env(ON_A_TERMINAL, "1").env("TERM", "xterm").env("RUST_BACKTRACE", "0");
    let mut terminal = Terminal::start(&command, (80, 24)).unwrap();
    assert!(!terminal.wait().unwrap().success());
    terminal.wait_for("what a panic says is read").unwrap();
    terminal.wait_until("the terminal as it was", |_| terminal.is_as_before().unwrap()).unwrap();
    let sent = terminal.bytes();
    let is_sent = |what: &[u8]| sent.windows(what.len()).any(|bytes| bytes == what);
    assert!(is_sent(b"\x1b[?1049h"), "there was no other screen");
}

/// Run by the test above, on a terminal of its own.
#[test]
fn panics_on_a_terminal() {
    if std::env::var_os(ON_A_TERMINAL).is_some() {
        let _screen = Screen::open().unwrap();
        panic!("what a panic says is read");
    }
}
