//! A STIX pattern in an indicator: named or refused, never both and never neither.
#![no_main]

use iomt_filter::feeds::formats::{Format, Reading, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|pattern: &str| {
    let Ok(text) = serde_json::to_string(pattern) else { return };
    let bundle =
        format!("{{\"objects\":[{{\"type\":\"indicator\",\"id\":\"indicator--1\",\"pattern\":{text}}}]}}");
    let found = parse(&Reading { format: Format::Stix, ..Reading::default() }, bundle.as_bytes());
    let named = found.entries.len() + found.domains.len();
    assert_eq!(named == 0, found.rejects.len() == 1, "{:?}", found.rejects);
    assert!(found.entries.iter().all(|entry| entry.network == entry.network.trunc()));
});
