//! A profile that ships: no panic, and whatever comes of it is TOML.
#![no_main]

use iomt_filter::bindings::Bindings;
use iomt_filter::diagnostic::SourceFile;
use iomt_filter::policy::{Vocabulary, source};
use iomt_filter::profiles::{self, Shipped};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(shipped) = Shipped::parse("own", &SourceFile::new("own.toml", text)) else { return };
    let Ok(imported) = profiles::import(&shipped, "own", &Bindings::default(), &Vocabulary::default()) else { return };
    let text = format!("version = 1\n{}\n{imported}", imported.policy);
    let (policy, found) = source::parse(&SourceFile::new("policy.toml", text.as_str()));
    assert!(found.is_empty() && policy.profiles.len() == 1, "{found:?}\n{text}");
});
