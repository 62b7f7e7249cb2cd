//! What came of it, as a table.

use std::fmt::Write as _;
use std::time::Duration;

use iomt_filter_common::Reason;
use iomt_filter_tests::differential::Seen;

/// Reasons that no verdict has yet.
const RESERVED: [Reason; 1] = [Reason::Dns];

/// One line.
pub(crate) fn line(seen: &Seen, scripts: u64, took: Duration) -> String {
    let frames: usize = seen.values().sum();
    let a_second = frames as f64 / took.as_secs_f64().max(f64::EPSILON);
    format!(
        "{frames} frames of {scripts} scripts compared in {:.0} s, {a_second:.0} a second",
        took.as_secs_f64()
    )
}

/// The line, how often each answer was given, and which reasons were never seen.
pub(crate) fn of(seen: &Seen, scripts: u64, took: Duration) -> String {
    let frames: usize = seen.values().sum();
    let mut text = line(seen, scripts, took);
    for (answer, times) in seen {
        let share = *times as f64 * 100.0 / frames.max(1) as f64;
        let _ = write!(text, "\n{answer:<28} {times:>10} {share:>6.2} %");
    }
    let name_of = |answer: &str| answer.split(' ').next().unwrap_or_default().to_owned();
    let names: Vec<String> = seen.keys().map(|answer| name_of(answer)).collect();
    let unseen = Reason::ALL.iter().filter(|reason| !RESERVED.contains(reason));
    let unseen: Vec<&str> =
        unseen.map(|reason| reason.name()).filter(|name| !names.iter().any(|seen| seen == name)).collect();
    if !unseen.is_empty() {
        let _ = write!(text, "\nnever seen: {}", unseen.join(", "));
    }
    text
}
