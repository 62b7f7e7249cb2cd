//! config.toml: no panic, and a refusal says why.
#![no_main]

use std::path::Path;

use iomt_filter::config::Config;
use iomt_filter::diagnostic::SourceFile;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let path = Path::new("/etc/iomt-filter/config.toml");
    if let Err(found) = Config::parse(&SourceFile::new("config.toml", text), path, false) {
        assert!(!found.is_empty());
    }
});
