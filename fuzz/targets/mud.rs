//! A MUD file: no panic, and whatever comes of it is a policy that can be read.
#![no_main]

use std::collections::BTreeMap;

use iomt_filter::diagnostic::SourceFile;
use iomt_filter::mud::{self, Answer, Bindings, Ground};
use iomt_filter::policy::{Policy, Vocabulary};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(mud) = mud::read(bytes) else { return };
    let answer = Answer { addresses: vec![[198, 51, 100, 7].into()], at: Default::default(), is_kept: false };
    let answers: BTreeMap<_, _> = mud.names().into_iter().map(|name| (name.to_owned(), answer.clone())).collect();
    let (bindings, vocabulary) = (Bindings::default(), Vocabulary::default());
    let profile = mud.profile_name();
    let ground = Ground {
        bindings: &bindings,
        answers: &answers,
        vocabulary: &vocabulary,
        profile: &profile,
        widen: true,
    };
    let imported = mud::import(&mud, &ground);
    let text = format!("version = 1\n{}\n{imported}", imported.policy);
    if let Err(found) = Policy::parse(&SourceFile::new("policy.toml", text.as_str())) {
        panic!("{found:?}\n{text}");
    }
});
