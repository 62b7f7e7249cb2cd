//! policy.toml: no panic, and what is accepted can be compiled, or refused with a reason.
#![no_main]

use iomt_filter::diagnostic::SourceFile;
use iomt_filter::inventory::Inventory;
use iomt_filter::numbers::Numbers;
use iomt_filter::policy::Policy;
use iomt_filter::policy::compile::{Extras, compile};
use libfuzzer_sys::fuzz_target;

const DEVICES: &str = include_str!("../../examples/hospital/devices.csv");

fuzz_target!(|text: &str| {
    match Policy::parse(&SourceFile::new("policy.toml", text)) {
        Ok((policy, _)) => {
            let devices = Inventory::parse(&SourceFile::new("devices.csv", DEVICES));
            let (devices, _) = devices.unwrap_or_else(|found| panic!("{found:?}"));
            let extras = Extras { has_country_database: true, ..Extras::default() };
            let compiled = |numbers: &mut Numbers| compile(&policy, &devices, &extras, numbers);
            let mut numbers = Numbers::default();
            match (compiled(&mut numbers), compiled(&mut numbers)) {
                (Ok((once, _)), Ok((again, _))) => assert_eq!(once, again),
                (Err(found), Err(_)) => assert!(!found.is_empty()),
                _ => panic!("the same policy is accepted once and refused once"),
            }
        }
        Err(found) => assert!(!found.is_empty()),
    }
});
