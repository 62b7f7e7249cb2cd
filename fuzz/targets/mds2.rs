//! A table of ports: no panic, and whatever comes of it is a policy that can be read.
#![no_main]

use iomt_filter::bindings::Bindings;
use iomt_filter::diagnostic::SourceFile;
use iomt_filter::mds2::{self, Ground};
use iomt_filter::policy::{Policy, Vocabulary};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(table) = mds2::read(bytes) else { return };
    let bindings = "[peers]\n\"Service gateway\" = \"10.0.0.1\"\npacs = \"10.0.0.2\"\n";
    let Ok(bindings) = Bindings::parse(&SourceFile::new("bindings.toml", bindings)) else { return };
    let ground = Ground {
        bindings: &bindings,
        vocabulary: &Vocabulary::default(),
        profile: "own",
        file: "table.csv",
        model: None,
        direction: None,
        widen: true,
    };
    let Ok(imported) = mds2::import(&table, &ground) else { return };
    let text = format!("version = 1\n{}\n{imported}", imported.policy);
    if let Err(found) = Policy::parse(&SourceFile::new("policy.toml", text.as_str())) {
        panic!("{found:?}\n{text}");
    }
});
