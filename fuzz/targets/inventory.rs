//! devices.csv and devices.toml: no panic, and names and addresses that are accepted are unique.
#![no_main]

use std::collections::BTreeSet;

use iomt_filter::diagnostic::SourceFile;
use iomt_filter::inventory::Inventory;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    for name in ["devices.csv", "devices.toml"] {
        match Inventory::parse(&SourceFile::new(name, text)) {
            Ok((inventory, _)) => {
                let mut names = BTreeSet::new();
                let mut addresses = BTreeSet::new();
                for device in &inventory.devices {
                    assert!(names.insert(&device.name), "`{}` twice", device.name);
                    assert!(device.addresses.iter().all(|address| addresses.insert(*address)));
                }
            }
            Err(found) => assert!(!found.is_empty()),
        }
    }
});
