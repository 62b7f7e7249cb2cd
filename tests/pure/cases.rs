//! The named cases, told to the host build.

use std::collections::BTreeSet;

use iomt_filter_common::Reason;
use iomt_filter_tests::cases::{answers, tell};
use iomt_filter_tests::judge::{Host, Judge};
use iomt_filter_tests::world::World;

fn told(group: &str) {
    let mut compiled = None;
    let mut host = |world: &World| -> Box<dyn Judge> {
        let (_, rows) = match compiled.take() {
            Some((last, rows)) if last == *world => compiled.insert((last, rows)),
            _ => compiled.insert((world.clone(), world.rows())),
        };
        Box::new(Host::filled_with(rows.clone(), world))
    };
    tell(group, &mut host);
}

iomt_filter_tests::every_group!(told);

/// Each reason with each of its verdicts, on each port where it can be.
#[test]
fn no_answer_is_left_out() {
    let wanted = [
        ("allowed", "pass", "device uplink"),
        ("established", "pass", "device uplink"),
        ("related", "pass", "device uplink"),
        ("link", "pass", "device uplink"),
        ("no-device", "pass", "uplink"),
        ("management", "pass", "device uplink"),
        ("learned", "pass", "device uplink"),
        ("not-allowed", "drop would-drop reset", "device uplink"),
        ("blocklist", "drop reset", "device uplink"),
        ("geo", "drop reset", "device uplink"),
        ("unknown-device", "drop would-drop pass", "device"),
        ("unknown-device", "drop", "uplink"),
        ("spoofed", "drop would-drop", "device"),
        ("quarantine", "drop", "device uplink"),
        ("malformed", "drop pass", "device uplink"),
        ("unsupported", "drop pass", "device uplink"),
        ("fragment", "drop pass", "device uplink"),
        ("not-ip", "drop pass", "device uplink"),
        ("no-flow", "drop would-drop reset", "device uplink"),
        ("rate-limit", "drop would-drop", "device uplink"),
        ("rogue-dhcp", "drop", "device"),
        ("rogue-ra", "drop", "device"),
    ];
    let told: BTreeSet<(String, &str)> = answers();
    let mut missing = Vec::new();
    for (reason, verdicts, ports) in wanted {
        for verdict in verdicts.split(' ') {
            let answer = format!("{verdict} {reason}");
            let is_missing = |port: &&str| !told.contains(&(answer.clone(), *port));
            missing.extend(
                ports.split(' ').filter(is_missing).map(|port| format!("{answer} on the {port} port")),
            );
        }
    }
    assert!(missing.is_empty(), "in no story: {missing:?}");
    let not_yet = [Reason::Dns];
    for reason in Reason::ALL {
        let is_wanted = wanted.iter().any(|(name, ..)| *name == reason.name());
        assert!(is_wanted || not_yet.contains(reason), "`{}` is in no story", reason.name());
    }
}
