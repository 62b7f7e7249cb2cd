//! Feeds of every format: what each file of `tests/data/feeds` comes to, read by its content.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use iomt_filter::feeds::formats::{FORMATS, Format, Parsed, Reading, parse};
use iomt_filter::feeds::{About, Domain, Entry};
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// When the lists of the fixtures are said to have been fetched.
const NOW: &str = "2026-07-04T12:00:00Z";

/// The fixtures by name.
fn fixtures() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/feeds");
    let mut found: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())
        })
        .collect();
    found.sort();
    found
}

fn reading(format: Format) -> Reading {
    Reading { format, now: NOW.parse().unwrap(), ..Reading::default() }
}

/// A list as text: a line for each thing in it.
fn told(parsed: &Parsed) -> String {
    let mut text = format!("format {}\n", parsed.format);
    for Entry { network, port, score, line, about } in &parsed.entries {
        let _ = writeln!(text, "{line:>3} entry {network}{}", said(*port, *score, about.as_deref()));
    }
    for Domain { name, port, score, line, about } in &parsed.domains {
        let _ = writeln!(text, "{line:>3} domain {name}{}", said(*port, *score, about.as_deref()));
    }
    for network in &parsed.withdrawn {
        let _ = writeln!(text, "    withdrawn {network}");
    }
    for note in &parsed.notes {
        let _ = writeln!(text, "{:>3} note {} is read as {}", note.line, note.text, note.read_as);
    }
    for reject in &parsed.rejects {
        let kind = if reject.reason.is_fault() { "fault" } else { "of no use" };
        let shown: String = reject.text.chars().take(60).collect();
        let _ = writeln!(text, "{:>3} {kind}: {} <- {shown}", reject.line, reject.reason);
    }
    for remark in &parsed.remarks {
        let _ = writeln!(text, "    remark {remark:?}");
    }
    text
}

fn said(port: Option<u16>, score: Option<u8>, about: Option<&About>) -> String {
    let about = about.cloned().unwrap_or_default();
    let parts = [
        ("port", port.map(|port| port.to_string())),
        ("score", score.map(|score| score.to_string())),
        ("category", about.category.map(|category| category.to_string())),
        ("first", about.first_seen.map(|at| at.to_string())),
        ("last", about.last_seen.map(|at| at.to_string())),
        ("until", about.expires.map(|at| at.to_string())),
        ("reference", about.reference.map(Into::into)),
        ("label", about.label.map(Into::into)),
    ];
    parts
        .into_iter()
        .filter_map(|(name, value): (_, Option<String>)| Some(format!(" {name} {}", value?)))
        .collect()
}

#[test]
fn every_fixture_is_found_out_and_read() {
    let mut text = String::new();
    for (name, bytes) in fixtures() {
        let _ = writeln!(text, "# {name}\n{}", told(&parse(&reading(Format::Auto), &bytes)));
    }
    insta::assert_snapshot!(text);
}

#[test]
fn every_format_has_a_fixture_and_reads_it_alike_when_it_is_named() {
    let mut seen = Vec::new();
    for (name, bytes) in fixtures() {
        let found = parse(&reading(Format::Auto), &bytes);
        seen.push(found.format);
        assert_eq!(parse(&reading(found.format), &bytes), found, "{name}");
    }
    for (name, format) in FORMATS.iter().filter(|(_, format)| *format != Format::Auto) {
        assert!(seen.contains(format), "no fixture is {name}");
    }
}

#[test]
fn a_named_format_is_never_read_as_another() {
    for (name, bytes) in fixtures() {
        for (_, format) in FORMATS.iter().filter(|(_, format)| *format != Format::Auto) {
            let parsed = parse(&reading(*format), &bytes);
            assert_eq!(parsed.format, *format, "{name}");
            holds(&parsed);
        }
    }
}

/// What is true of every list.
fn holds(parsed: &Parsed) {
    for network in parsed.entries.iter().map(|entry| entry.network).chain(parsed.withdrawn.iter().copied()) {
        assert_eq!(network, network.trunc(), "host bits");
        assert!(network.prefix_len() > 0, "everything");
    }
    for score in
        parsed.entries.iter().map(|entry| entry.score).chain(parsed.domains.iter().map(|domain| domain.score))
    {
        assert!(score.is_none_or(|score| score <= 100), "{score:?}");
    }
    for domain in &parsed.domains {
        assert_eq!(*domain.name, *domain.name.to_ascii_lowercase());
        assert!(domain.name.contains('.') && !domain.name.ends_with('.'), "{}", domain.name);
    }
    assert!(parsed.format != Format::Auto);
    // What was read reads as itself.
    let entries = parsed.entries.iter().map(|entry| entry.network.to_string());
    let written: Vec<_> =
        entries.chain(parsed.domains.iter().map(|domain| domain.name.to_string())).collect();
    let again = parse(&reading(Format::Plain), written.join("\n").as_bytes());
    assert!(
        again.entries.iter().map(|entry| entry.network).eq(parsed.entries.iter().map(|entry| entry.network))
    );
    assert!(
        again.domains.iter().map(|domain| &domain.name).eq(parsed.domains.iter().map(|domain| &domain.name))
    );
    assert!(again.rejects.is_empty() && again.notes.is_empty(), "{:?} {:?}", again.rejects, again.notes);
}

proptest! {
    #[test]
    fn any_bytes_are_read_in_any_format(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        format in select(FORMATS),
    ) {
        holds(&parse(&reading(format.1), &bytes));
    }

    #[test]
    fn a_list_that_was_damaged_is_read_in_any_format(
        (_, bytes) in select(fixtures()),
        edits in prop::collection::vec((any::<Index>(), any::<u8>(), 0usize..4), 1..6),
        format in select(FORMATS),
        is_named in any::<bool>(),
    ) {
        let mut bytes = bytes;
        for (index, byte, kind) in edits {
            if bytes.is_empty() {
                break;
            }
            let at = index.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => bytes.truncate(at),
                2 => drop(bytes.remove(at)),
                _ => bytes.insert(at, byte),
            }
        }
        let format = if is_named { format.1 } else { Format::Auto };
        holds(&parse(&reading(format), &bytes));
    }
}
