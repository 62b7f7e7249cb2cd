//! A plain list: no panic, and what was read reads as itself.
#![no_main]

use iomt_filter::feeds::formats::{Format, Reading, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let reading = Reading { format: Format::Plain, ..Reading::default() };
    let read = |bytes: &[u8]| parse(&reading, bytes).unwrap_or_else(|error| panic!("{error}"));
    let first = read(bytes);
    for entry in &first.entries {
        assert_eq!(entry.network, entry.network.trunc(), "host bits in line {}", entry.line);
        assert!(entry.network.prefix_len() > 0, "line {} covers everything", entry.line);
    }
    let written: String = first.entries.iter().map(|entry| format!("{}\n", entry.network)).collect();
    let second = read(written.as_bytes());
    assert!(second.rejects.is_empty(), "{:?}", second.rejects);
    let networks = |entries: &[iomt_filter::feeds::Entry]| {
        entries.iter().map(|entry| entry.network).collect::<Vec<_>>()
    };
    assert_eq!(networks(&first.entries), networks(&second.entries));
});
