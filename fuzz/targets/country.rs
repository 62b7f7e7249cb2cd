//! MaxMind databases: no panic, and one that opens can be read to its end or says that it is damaged.
#![no_main]

use std::net::{IpAddr, Ipv4Addr};

use iomt_filter::diagnostic::SourceFile;
use iomt_filter::geo::database::CountryDatabase;
use iomt_filter::geo::expand::{Distinctions, expand};
use iomt_filter::policy::Policy;
use libfuzzer_sys::fuzz_target;

const POLICY: &str = r#"
version = 1
[profiles.scanner]
geo = { allow = ["DE", "US"], unknown = "deny" }
allow = []
"#;

fuzz_target!(|bytes: &[u8]| {
    let Ok(database) = CountryDatabase::open(bytes.to_vec()) else { return };
    let _ = (database.kind(), database.built());
    for address in [0, 0x0a00_0001, 0xcb00_7101, u32::MAX] {
        let _ = database.country(IpAddr::V4(Ipv4Addr::from(address)));
    }
    let policy = Policy::parse(&SourceFile::new("policy.toml", POLICY));
    let (policy, _) = policy.unwrap_or_else(|found| panic!("{found:?}"));
    let _ = expand(&database, &Distinctions::of(&policy));
});
