//! A catalog of vulnerabilities (KEV) or scores (EPSS): no panic, and whatever is in it has a number of the CVE list.
#![no_main]

use iomt_filter::risk::{epss, kev};
use iomt_filter::sbom::cve;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(catalog) = kev::read(bytes) {
        assert!(catalog.entries.keys().all(|name| cve(name).as_ref() == Some(name)));
    }
    if let Ok(scores) = epss::read(bytes, |_| true) {
        assert!(scores.of.values().all(|score| (0.0..=1.0).contains(score)));
    }
});
