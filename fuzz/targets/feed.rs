//! A list in the format that the first byte says: no panic, nothing that no list may hold, and what was read reads as
//! itself.
#![no_main]

use iomt_filter::feeds::formats::{FORMATS, Format, Reading, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((&first, bytes)) = bytes.split_first() else { return };
    let (_, format) = FORMATS[usize::from(first) % FORMATS.len()];
    let read = |format, bytes: &[u8]| parse(&Reading { format, ..Reading::default() }, bytes);
    let found = read(format, bytes);
    assert!(found.format != Format::Auto && (format == Format::Auto || found.format == format));
    let withdrawn = found.withdrawn.iter().copied();
    for network in found.entries.iter().map(|entry| entry.network).chain(withdrawn) {
        assert_eq!(network, network.trunc(), "host bits");
        assert!(network.prefix_len() > 0, "everything");
    }
    let entries = found.entries.iter().map(|entry| entry.network.to_string());
    let domains = found.domains.iter().map(|domain| domain.name.to_string());
    let written: Vec<String> = entries.chain(domains).collect();
    let again = read(Format::Plain, written.join("\n").as_bytes());
    assert!(again.rejects.is_empty() && again.notes.is_empty(), "{:?} {:?}", again.rejects, again.notes);
    assert!(
        again.entries.iter().map(|entry| entry.network).eq(found.entries.iter().map(|entry| entry.network))
    );
    assert!(
        again.domains.iter().map(|domain| &domain.name).eq(found.domains.iter().map(|domain| &domain.name))
    );
});
